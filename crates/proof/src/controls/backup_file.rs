//! The backup-file algorithm of the Greengrass labs certificate rotator: copies, then the files themselves, in place.
//!
//! Source: aws-greengrass-labs-certificate-rotator 323485a, `pki_file.py`: `rotate`, `backup_exists`, `rollback`. At a
//! start, two backups mean "the swap was done": connect and ask for the commit, which the server grants only to the new
//! certificate; refused, the backups are copied back. That a backup exists says nothing of what is in it.

use std::path::Path;

use fleetkey_agent::store::Filesystem;
use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::time::Timestamp;

use super::{CERTIFICATE, Fresh, KEY, Line, pair, read, write};
use crate::device::{Device, Home, Started};
use crate::director::{Dark, Place, Wired};
use crate::disk::View;
use crate::env::Env;
use crate::schedule::Whose;

const FILES: [(&str, &str); 2] =
    [(CERTIFICATE, "/state/device.cert.pem.bak"), (KEY, "/state/device.key.pem.bak")];

/// The rotator's component.
#[derive(Debug)]
pub struct BackupFile {
    fs: Wired,
    line: Line,
    identity: Option<CertificateId>,
    /// The identity before the swap, while the commit is out.
    committing: Option<CertificateId>,
}

impl Device for BackupFile {
    const NAME: &'static str = "backup-file";

    fn start(env: &mut Env, home: &Home) -> Result<Started<Self>, Dark> {
        let fs = Wired::new(home, &env.director, Self::identities);
        let identity = pair(&fs, CERTIFICATE, KEY);
        let swapped = FILES.iter().all(|(_, backup)| read(&fs, backup).is_some());
        let committing = swapped.then_some(identity).flatten();
        let worn = identity.filter(|_| env.watch.commits == 0 && !swapped);
        Ok(Started::Up(Self { fs, line: Line { worn, ..Line::default() }, identity, committing }))
    }

    fn step(&mut self, env: &mut Env, home: &Home) -> Result<bool, Dark> {
        let Some(identity) = self.identity else { return Ok(false) };
        if self.line.hear(env, home, self.identity) || self.line.connect(env, home, identity)? {
            return Ok(true);
        }
        if self.line.up.is_none() {
            return Ok(false);
        }
        if self.committing.take().is_some() {
            self.commit(env, home, identity)?;
            return Ok(true);
        }
        if self.line.worn != self.identity || env.now < self.line.retry_at {
            return Ok(false);
        }
        match self.line.provision(env, home)? {
            Some(fresh) => self.rotate(env, home, &fresh)?,
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

    /// The pair, and the backups, which a rollback would copy back.
    fn identities(disk: &View<'_>) -> Vec<CertificateId> {
        let backups = FILES.map(|(_, backup)| backup);
        let [certificate, key] = backups;
        pair(disk, CERTIFICATE, KEY).into_iter().chain(pair(disk, certificate, key)).collect()
    }
}

impl BackupFile {
    fn rotate(&mut self, env: &mut Env, home: &Home, new: &Fresh) -> Result<(), Dark> {
        for (path, backup) in FILES {
            self.copy(path, backup, env.syncs)?;
        }
        for (path, content) in [(CERTIFICATE, new.chain.as_str()), (KEY, new.key.expose())] {
            self.overwrite(path, content.as_bytes(), env.syncs)?;
        }
        // The component exits and is started again on the new files.
        env.cloud.drop_session(env.now, &home.live());
        self.identity = pair(&self.fs, CERTIFICATE, KEY);
        self.committing = self.identity;
        self.line = Line::default();
        self.fs.powered()
    }

    /// The server grants the commit to the newest certificate only, and retires the others.
    fn commit(&mut self, env: &mut Env, home: &Home, identity: CertificateId) -> Result<(), Dark> {
        env.director.powered_step(Place::Ask)?;
        let active = env.cloud.active(&home.thing);
        let created = |id: &CertificateId| env.cloud.registry.certificate(id).map(|record| record.created_at);
        let newest = active.iter().max_by_key(|id| created(id)).copied();
        if newest != Some(identity) || active.len() < 2 {
            return self.roll_back(env.syncs);
        }
        for old in active.iter().filter(|id| **id != identity) {
            let _ = env.cloud.set_status(env.now, old, CertificateStatus::Inactive);
        }
        env.watch.commits += 1;
        for (_, backup) in FILES {
            let _ = self.fs.remove_file(Path::new(backup));
            self.fs.powered()?;
        }
        Ok(())
    }

    fn roll_back(&mut self, durably: bool) -> Result<(), Dark> {
        for (path, backup) in FILES {
            self.copy(backup, path, durably)?;
            let _ = self.fs.remove_file(Path::new(backup));
        }
        self.identity = pair(&self.fs, CERTIFICATE, KEY);
        self.line = Line::default();
        self.fs.powered()
    }

    fn copy(&self, from: &str, to: &str, durably: bool) -> Result<(), Dark> {
        let content = read(&self.fs, from).unwrap_or_default();
        self.overwrite(to, &content, durably)
    }

    /// `open(path, "w")`.
    fn overwrite(&self, path: &str, content: &[u8], durably: bool) -> Result<(), Dark> {
        let _ = self.fs.remove_file(Path::new(path));
        write(&self.fs, path, content, durably)
    }
}
