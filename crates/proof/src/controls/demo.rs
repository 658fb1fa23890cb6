//! The demo's algorithm: the new pair by two renames, the old certificate revoked, and only then the first connection.
//!
//! Source: iot-fleet-provisioning, `device_client.py`, rotation flow steps 4 to 6. The device holds credentials that
//! may revoke.

use std::path::Path;

use fleetkey_agent::store::Filesystem;
use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::time::Timestamp;

use super::{CERTIFICATE, Fresh, KEY, Line, pair, sync_names, write};
use crate::device::{Device, Home, Started};
use crate::director::{Dark, Place, Wired};
use crate::disk::View;
use crate::env::Env;
use crate::schedule::Whose;

/// The demo's device.
#[derive(Debug)]
pub struct Demo {
    fs: Wired,
    line: Line,
    identity: Option<CertificateId>,
}

impl Device for Demo {
    const NAME: &'static str = "demo";

    fn start(env: &mut Env, home: &Home) -> Result<Started<Self>, Dark> {
        let fs = Wired::new(home, &env.director, Self::identities);
        let identity = pair(&fs, CERTIFICATE, KEY);
        let worn = identity.filter(|_| env.watch.commits == 0);
        Ok(Started::Up(Self { fs, line: Line { worn, ..Line::default() }, identity }))
    }

    fn step(&mut self, env: &mut Env, home: &Home) -> Result<bool, Dark> {
        let Some(identity) = self.identity else { return Ok(false) };
        if self.line.hear(env, home, self.identity) || self.line.connect(env, home, identity)? {
            return Ok(true);
        }
        if self.line.up.is_none() || self.line.worn != self.identity || env.now < self.line.retry_at {
            return Ok(false);
        }
        match self.line.provision(env, home)? {
            Some(fresh) => self.swap(env, home, identity, &fresh)?,
            None => self.line.retry_at = env.now + crate::env::PATIENCE,
        }
        Ok(true)
    }

    fn deadline(&self, env: &Env) -> Option<Timestamp> {
        self.identity.and_then(|_| self.line.deadline(env))
    }

    fn is_settled(&self) -> bool {
        self.line.up.is_some() && self.line.worn.is_none()
    }

    fn doing(&self) -> String {
        format!("{:?}", self.line)
    }

    fn certificate(&self, _whose: Whose) -> Option<CertificateId> {
        self.identity
    }

    fn identities(disk: &View<'_>) -> Vec<CertificateId> {
        pair(disk, CERTIFICATE, KEY).into_iter().collect()
    }
}

impl Demo {
    fn swap(&mut self, env: &mut Env, home: &Home, old: CertificateId, new: &Fresh) -> Result<(), Dark> {
        for (path, content) in [(CERTIFICATE, new.chain.as_str()), (KEY, new.key.expose())] {
            let temporary = format!("{path}.tmp");
            write(&self.fs, &temporary, content.as_bytes(), env.syncs)?;
            let _ = self.fs.rename(Path::new(&temporary), Path::new(path));
            sync_names(&self.fs, env.syncs)?;
        }
        env.director.powered_step(Place::Ask)?;
        let _ = env.cloud.set_status(env.now, &old, CertificateStatus::Revoked);
        env.watch.commits += 1;
        self.identity = Some(new.id);
        self.line = Line::default();
        self.line.hear(env, home, None);
        Ok(())
    }
}
