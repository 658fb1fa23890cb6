//! A careful device under a hasty server: it writes durably, proves the new certificate before it commits, and goes
//! back to the old one when the proof fails. A server that retires the old one as soon as it sees the new one connect
//! takes the only identity that such a device has left.
//!
//! The device is the control for the harness as well: under the shipping controller, which waits for the attested
//! commit, the same schedules do it no harm.

use std::path::Path;

use fleetkey_agent::store::Filesystem;
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ClientId;
use fleetkey_model::retirement::{DeviceRequest, RequestOp};
use fleetkey_model::time::Timestamp;

use super::{CERTIFICATE, Fresh, KEY, Line, pair, read};
use crate::device::{Device, Home, Started};
use crate::director::{Dark, Wired};
use crate::disk::{Side, SimDisk, View};
use crate::env::Env;
use crate::schedule::Whose;

const NEW_CERTIFICATE: &str = "/state/new.cert.pem";
const NEW_KEY: &str = "/state/new.key.pem";
/// Made durably, it says that the new pair counts: the commit.
const COMMITTED: &str = "/state/committed";

/// The careful device.
#[derive(Debug)]
pub struct Staged {
    fs: Wired,
    line: Line,
    identity: Option<CertificateId>,
}

impl Device for Staged {
    const NAME: &'static str = "retire-on-presence";

    fn start(env: &mut Env, home: &Home) -> Result<Started<Self>, Dark> {
        let fs = Wired::new(home, &env.director, Self::identities);
        let identity = Self::identities(&home.disk.view(Side::Seen)).first().copied();
        let committed = home.disk.peek(Path::new(COMMITTED)).is_some();
        let worn = identity.filter(|_| !committed);
        Ok(Started::Up(Self { fs, line: Line { worn, ..Line::default() }, identity }))
    }

    fn step(&mut self, env: &mut Env, home: &Home) -> Result<bool, Dark> {
        let Some(identity) = self.identity else { return Ok(false) };
        if self.line.hear(env, home, None) || self.line.connect(env, home, identity)? {
            return Ok(true);
        }
        if self.line.up.is_none() || self.line.worn != self.identity || env.now < self.line.retry_at {
            return Ok(false);
        }
        self.line.retry_at = env.now + crate::env::PATIENCE;
        if let Some(fresh) = self.line.provision(env, home)? {
            self.prove(env, home, &fresh)?;
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
        let committed = read(disk, COMMITTED).is_some();
        let files = if committed { (NEW_CERTIFICATE, NEW_KEY) } else { (CERTIFICATE, KEY) };
        pair(disk, files.0, files.1).into_iter().collect()
    }
}

impl Staged {
    /// Keeps the new pair beside the old one, proves it, and commits or forgets it.
    fn prove(&mut self, env: &mut Env, home: &Home, new: &Fresh) -> Result<(), Dark> {
        for (path, content) in [(NEW_KEY, new.key.expose()), (NEW_CERTIFICATE, new.chain.as_str())] {
            let _ = self.fs.remove_file(Path::new(path));
            if !self.write_durably(path, content.as_bytes())? {
                return Ok(());
            }
        }
        let client = ClientId::verify(&home.thing);
        let proved = match env.connect(home.number, &client, new.id)? {
            Ok(number) => {
                let proved = env.tier(true)?.is_ok() && env.tier(true)?.is_ok();
                env.cloud.disconnect(env.now, &client, number);
                proved
            }
            Err(_) => false,
        };
        if proved && self.write_durably(COMMITTED, b"new\n")? {
            self.after_the_commit(env, home, new)?;
        }
        Ok(())
    }

    fn after_the_commit(&mut self, env: &mut Env, home: &Home, new: &Fresh) -> Result<(), Dark> {
        self.identity = Some(new.id);
        self.line = Line::default();
        self.line.connect(env, home, new.id)?;
        if let Some(number) = self.line.up {
            let request = DeviceRequest { op: RequestOp::Retire, id: "staged".into(), audit: None };
            env.cloud.is_asked_to_retire(new.id);
            env.cloud.publish_request(env.now, &home.live(), number, &home.thing, request);
        }
        Ok(())
    }

    /// Whether it is there for good.
    fn write_durably(&self, path: &str, content: &[u8]) -> Result<bool, Dark> {
        let (temporary, target) = (format!("{path}.tmp"), Path::new(path));
        let _ = self.fs.remove_file(Path::new(&temporary));
        let written = self.fs.create(Path::new(&temporary), 0o600).and_then(|mut file| {
            file.write_all(content)?;
            file.sync()?;
            self.fs.rename(Path::new(&temporary), target)?;
            self.fs.sync_dir(Path::new(SimDisk::HOME))
        });
        self.fs.powered()?;
        Ok(written.is_ok())
    }
}
