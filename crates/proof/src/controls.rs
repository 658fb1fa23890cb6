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

/// Writes a file that is not there, as programs do that do not think of power cuts; or, for a fair trial, durably.
fn write(fs: &Wired, path: &str, content: &[u8], durably: bool) -> Result<(), Dark> {
    // What fails here goes unnoticed, as it does in the originals.
    if let Ok(mut file) = fs.create(Path::new(path), 0o600) {
        let _ = file.write_all(content);
        if durably {
            let _ = file.sync();
        }
    }
    sync_names(fs, durably)
}

/// Makes names durable, in a fair trial.
fn sync_names(fs: &Wired, durably: bool) -> Result<(), Dark> {
    if durably {
        let _ = fs.sync_dir(Path::new(SimDisk::HOME));
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
    world.watch_identities();
    Ok(world)
}

/// A schedule under which a control loses its device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caught {
    /// The schedule and what it breaks.
    pub found: Found,
    /// The line of the trace at which its fault struck: at which call of which file.
    pub strike: String,
}

/// The schedules under which a control loses its device: calm, then a crash or one fault at every step.
///
/// # Errors
/// When no run can even begin.
pub fn catches<D: Device>(set: impl Fn(&mut World<D>)) -> Result<Vec<Caught>> {
    let mut world = stage::<D>(&Schedule::calm())?;
    set(&mut world);
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
    let mut caught = Vec::new();
    for schedule in core::iter::once(Schedule::calm()).chain(single) {
        let mut world = stage::<D>(&schedule)?;
        set(&mut world);
        world.env.director.keep_trace();
        world.run_faulty();
        let outcome = world.outcome();
        if outcome.violation.is_some() {
            let strike = world.env.director.take_trace().into_iter().find(|line| line.contains("***"));
            let found = Found { schedule, outcome };
            caught.push(Caught { found, strike: strike.unwrap_or_default() });
        }
    }
    Ok(caught)
}

/// How a control is run for a fair trial: all it writes is made durable, and it is judged only after a power cut and at
/// the end, not in the midst of what it believes to be one step.
pub fn fairly<D: Device>(world: &mut World<D>) {
    world.env.syncs = true;
    world.env.patient = true;
}
