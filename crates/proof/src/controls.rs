//! Controls that must fail: other algorithms under the same schedules, judged by the same invariants.
//!
//! A harness that catches nothing proves nothing. Each control is somebody's real algorithm in a few lines
//! (`demo`, `backup_file`), or a rule that was considered for the server and not taken (`retire_on_presence`).

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use fleetkey_agent::keys::Keys;
use fleetkey_agent::store::Filesystem;
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::secret::PrivateKeyPem;
use fleetkey_model::time::Timestamp;

use crate::cloud::{Answer, Asked};
use crate::device::{Device, Home};
use crate::director::{Dark, Wired};
use crate::disk::{Crash, Errno, SimDisk};
use crate::env::{Env, News};
use crate::explore::Found;
use crate::mint;
use crate::schedule::{Fault, Schedule};
use crate::world::{World, provisioned};

pub use backup_file::BackupFile;
pub use demo::Demo;
pub use retire_on_presence::Staged;

mod backup_file;
mod demo;
mod retire_on_presence;

/// The certificate and the key of a control, each in a file of its own.
pub const CERTIFICATE: &str = "/state/device.cert.pem";
/// See [`CERTIFICATE`].
pub const KEY: &str = "/state/device.key.pem";

/// The live session of a control, and whether its rotation is still to be done.
#[derive(Debug, Default)]
pub struct Line {
    up: Option<u64>,
    retry_at: Timestamp,
    /// The certificate that is old enough to be replaced.
    worn: Option<CertificateId>,
}

/// A new certificate, registered, and its key, in memory.
#[derive(Debug)]
pub struct Fresh {
    id: CertificateId,
    chain: String,
    key: PrivateKeyPem,
}

impl Line {
    fn hear(&mut self, env: &mut Env, home: &Home, in_use: Option<CertificateId>) -> bool {
        let mut heard = false;
        while let Some(news) = env.next_news(home.number) {
            heard = true;
            match news {
                News::Ended { number, .. } if self.up == Some(number) => self.up = None,
                News::Command(_) => self.worn = in_use,
                _ => {}
            }
        }
        heard
    }

    /// Connects if it is not connected; whether there was something to do.
    fn connect(&mut self, env: &mut Env, home: &Home, identity: CertificateId) -> Result<bool, Dark> {
        if self.up.is_some() || env.now < self.retry_at {
            return Ok(false);
        }
        self.up = env.connect(home.number, &home.live(), identity)?.ok();
        self.retry_at = env.now + Duration::from_secs(20);
        Ok(true)
    }

    /// A key, a certificate for it, and its registration, over the live session; the key is in memory only.
    fn provision(&self, env: &mut Env, home: &Home) -> Result<Option<Fresh>, Dark> {
        let Some(number) = self.up else { return Ok(None) };
        let Ok(key) = home.keys.generate() else { return Ok(None) };
        let Ok(csr) = home.keys.request(&key, &home.serial) else { return Ok(None) };
        let answer = env.ask(home.number, &home.live(), number, &Asked::Certificate { csr })?;
        let Some(Answer::Issued(issued)) = answer else { return Ok(None) };
        let asked = Asked::Registration {
            template: env.cloud.stage().fleet.names.rotation_template.clone(),
            token: issued.certificate_ownership_token,
            serial: home.serial.clone(),
        };
        let answer = env.ask(home.number, &home.live(), number, &asked)?;
        let fresh = Fresh { id: issued.certificate_id, chain: issued.certificate_pem, key };
        Ok(matches!(answer, Some(Answer::Registered(_))).then_some(fresh))
    }

    fn deadline(&self, env: &Env) -> Option<Timestamp> {
        (self.up.is_none() || self.worn.is_some()).then(|| self.retry_at.max(env.now))
    }
}

/// Writes a file that is not there, as programs do that do not think of power cuts.
fn write(fs: &Wired, path: &str, content: &[u8]) -> Result<(), Dark> {
    // What fails here goes unnoticed, as it does in the originals.
    if let Ok(mut file) = fs.create(Path::new(path), 0o600) {
        let _ = file.write_all(content);
    }
    fs.powered()
}

fn read(disk: &dyn Filesystem, path: &str) -> Option<Vec<u8>> {
    disk.read(Path::new(path), 1 << 16).ok()
}

/// The certificate of two files, if they belong together.
fn pair(disk: &dyn Filesystem, certificate: &str, key: &str) -> Option<CertificateId> {
    let (chain, key) = (read(disk, certificate)?, read(disk, key)?);
    mint::belong_together(core::str::from_utf8(&key).ok()?, core::str::from_utf8(&chain).ok()?)
}

/// A world for a control: its two files hold a month-old identity.
///
/// # Errors
/// When a device cannot even be provisioned without faults.
pub fn stage<D: Device>(schedule: &Schedule) -> Result<World<D>> {
    let mut world: World<D> = provisioned()?.world(schedule)?;
    if let Some(node) = world.nodes.first_mut() {
        let disk = SimDisk::new();
        for (from, to) in [("/state/slots/1/key.pem", KEY), ("/state/export.1/device.cert.pem", CERTIFICATE)]
        {
            let content = node.home.disk.peek(Path::new(from)).unwrap_or_default();
            disk.plant(Path::new(to), &content);
        }
        node.home.disk = disk;
    }
    Ok(world)
}

/// The first schedule under which a control loses its device: calm, then a crash, then one fault, at every step.
///
/// # Errors
/// When no run can even begin.
pub fn catch<D: Device>(set: impl Fn(&mut World<D>)) -> Result<Option<Found>> {
    let mut world = stage::<D>(&Schedule::calm())?;
    set(&mut world);
    world.env.director.record();
    world.run_faulty();
    let steps = world.env.director.ordinal();
    let faults = [
        Fault::Cut(Crash::LoseAll),
        Fault::Cut(Crash::KeepAll),
        Fault::Disk(Errno::NoSpace, 1),
        Fault::Mute,
        Fault::NoRoute,
    ];
    let single = (0..steps).flat_map(|at| faults.map(|fault| Schedule::calm().with(at, fault)));
    for schedule in core::iter::once(Schedule::calm()).chain(single) {
        let mut world = stage::<D>(&schedule)?;
        set(&mut world);
        world.run_faulty();
        let outcome = world.outcome();
        if outcome.violation.is_some() {
            return Ok(Some(Found { schedule, outcome }));
        }
    }
    Ok(None)
}
