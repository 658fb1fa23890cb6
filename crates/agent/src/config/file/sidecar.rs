//! The table `[sidecar]` of the configuration file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Span, set};
use crate::sidecar::{Listen, SidecarSettings};

/// Why a sidecar and a live session of the agent's own are not had together.
pub(super) const NOT_OURS: &str = "session.live = true and [sidecar] cannot be had together: the thing's session is the \
    sidecar's client's, and the agent connects as <serial>~agent";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SidecarTable {
    listen: Vec<ListenTable>,
    drain: Option<Span>,
    max_hold: Option<Span>,
    queue: Option<usize>,
    queue_bytes: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListenTable {
    tcp: Option<SocketAddr>,
    unix: Option<PathBuf>,
}

impl SidecarTable {
    pub(super) fn into_settings(self, base: &Path) -> Result<SidecarSettings, String> {
        let listen = self.listen.into_iter().map(|one| one.into_listen(base)).collect::<Result<_, _>>()?;
        let mut settings = SidecarSettings::new(listen);
        set(&mut settings.drain, self.drain.map(|span| span.0));
        set(&mut settings.max_hold, self.max_hold.map(|span| span.0));
        set(&mut settings.queue, self.queue);
        set(&mut settings.queue_bytes, self.queue_bytes);
        settings.check()?;
        Ok(settings)
    }
}

impl ListenTable {
    fn into_listen(self, base: &Path) -> Result<Listen, String> {
        match (self.tcp, self.unix) {
            (Some(address), None) => Ok(Listen::Tcp(address)),
            (None, Some(path)) => Ok(Listen::Unix(base.join(path))),
            _ => {
                Err("each [[sidecar.listen]] has either tcp = \"127.0.0.1:1883\" or unix = \"mqtt.sock\""
                    .into())
            }
        }
    }
}
