//! The table `[sidecar]` of the configuration file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Span, set};
use crate::sidecar::{Listen, Route, SidecarSettings, TlsListen};

/// Why a sidecar and a live session of the agent's own are not had together.
pub(super) const NOT_OURS: &str = "session.live = true and [sidecar] cannot be had together: the thing's session is the \
    sidecar's client's, and the agent connects as <serial>~agent";

/// What a place to listen at is.
const ONE_KIND: &str = "each [[sidecar.listen]] has either tcp = \"127.0.0.1:1883\", or unix = \"mqtt.sock\", or tls with \
    names and users";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SidecarTable {
    listen: Vec<ListenTable>,
    #[serde(default)]
    route: Vec<RouteTable>,
    drain: Option<Span>,
    max_hold: Option<Span>,
    queue: Option<usize>,
    queue_bytes: Option<usize>,
    messages_per_second: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListenTable {
    tcp: Option<SocketAddr>,
    unix: Option<PathBuf>,
    tls: Option<SocketAddr>,
    #[serde(default)]
    names: Vec<String>,
    directory: Option<PathBuf>,
    users: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteTable {
    client_id: Option<String>,
    user: Option<String>,
    to: PathBuf,
}

impl SidecarTable {
    pub(super) fn into_settings(self, base: &Path) -> Result<SidecarSettings, String> {
        let listen = self.listen.into_iter().map(|one| one.into_listen(base)).collect::<Result<_, _>>()?;
        let mut settings = SidecarSettings::new(listen);
        settings.routes = self.route.into_iter().map(|one| one.into_route(base)).collect();
        set(&mut settings.max_hold, self.max_hold.map(|span| span.0));
        settings.drain = settings.drain.min(settings.longest_drain());
        set(&mut settings.drain, self.drain.map(|span| span.0));
        set(&mut settings.queue, self.queue);
        set(&mut settings.queue_bytes, self.queue_bytes);
        set(&mut settings.messages_per_second, self.messages_per_second);
        settings.check()?;
        Ok(settings)
    }
}

impl RouteTable {
    fn into_route(self, base: &Path) -> Route {
        Route { client_id: self.client_id, user: self.user, to: base.join(self.to) }
    }
}

impl ListenTable {
    fn into_listen(self, base: &Path) -> Result<Listen, String> {
        let is_plain = self.names.is_empty() && self.directory.is_none() && self.users.is_none();
        match (self.tcp, self.unix, self.tls) {
            (Some(address), None, None) if is_plain => Ok(Listen::Tcp(address)),
            (None, Some(path), None) if is_plain => Ok(Listen::Unix(base.join(path))),
            (None, None, Some(address)) => {
                let users = self
                    .users
                    .ok_or("[[sidecar.listen]] with tls needs users, the file with their passwords")?;
                let directory = self.directory.unwrap_or_else(|| "sidecar-ca".into());
                let (directory, users) = (base.join(directory), base.join(users));
                Ok(Listen::Tls(TlsListen { address, names: self.names, directory, users }))
            }
            _ => Err(ONE_KIND.into()),
        }
    }
}
