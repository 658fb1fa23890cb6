//! A disk for the store's tests: the real one in a temporary directory, recorded, and failing where told to.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use fleetkey_lifecycle::SlotId;
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::SerialNumber;
use fleetkey_model::provisioning::CertificateIssued;
use fleetkey_model::secret::{OwnershipToken, PrivateKeyPem};

use super::Store;
use super::fs::{Entry, Filesystem, NewFile, RealFs};
use crate::keys::testing::certificate_for;
use crate::keys::{KeyError, Keys, P256Keys};

/// Records each call that changes the disk and can fail one of them.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    dir: Arc<tempfile::TempDir>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    calls: Vec<String>,
    /// The beginning of a call, how many more of these succeed, and how it then fails.
    fail: Option<(String, usize, io::ErrorKind)>,
    refuses: Option<io::ErrorKind>,
    /// The end of the path of a directory that cannot be listed.
    unlistable: Option<String>,
}

impl Disk {
    pub(crate) fn new() -> Self {
        let private = Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new().permissions(private).tempdir().unwrap();
        Self { dir: Arc::new(dir), state: Arc::default() }
    }

    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }

    /// From now on, the first call whose record begins with `prefix` fails.
    pub(crate) fn fail(&self, prefix: &str, kind: io::ErrorKind) {
        self.state.lock().unwrap().fail = Some((prefix.to_owned(), 0, kind));
    }

    /// From now on, the `nth` call whose record is `call` fails.
    pub(crate) fn fail_nth(&self, call: &str, nth: usize, kind: io::ErrorKind) {
        self.state.lock().unwrap().fail = Some((format!("{call}\n"), nth - 1, kind));
    }

    /// From now on, a directory whose path ends so cannot be listed.
    pub(crate) fn refuse_list(&self, dir: &str) {
        self.state.lock().unwrap().unlistable = Some(dir.to_owned());
    }

    /// From now on, every call that needs room fails, or none; on a read-only disk also those that do not.
    pub(crate) fn refuse(&self, kind: impl Into<Option<io::ErrorKind>>) {
        self.state.lock().unwrap().refuses = kind.into();
    }

    /// The calls since the last time, with random suffixes replaced by `*` and paths below the root.
    pub(crate) fn calls(&self) -> Vec<String> {
        core::mem::take(&mut self.state.lock().unwrap().calls)
    }

    fn note(&self, call: &str, path: &Path) -> io::Result<()> {
        let shown = path.strip_prefix(self.root()).unwrap_or(path).display().to_string();
        let call = format!("{call} {}", mask(&shown));
        let mut state = self.state.lock().unwrap();
        let fault = state.fault(&call);
        state.calls.push(call);
        fault.map_or(Ok(()), |kind| Err(kind.into()))
    }
}

impl State {
    fn fault(&mut self, call: &str) -> Option<io::ErrorKind> {
        const NEED_ROOM: [&str; 5] = ["create", "append", "write", "mkdir", "symlink"];
        let refused = self.refuses.filter(|&kind| {
            let read_only = kind == io::ErrorKind::ReadOnlyFilesystem && !call.starts_with("fsync");
            read_only || NEED_ROOM.iter().any(|needs| call.starts_with(needs))
        });
        if refused.is_some() {
            return refused;
        }
        let (prefix, left, kind) = self.fail.as_mut()?;
        if !format!("{call}\n").starts_with(prefix.as_str()) {
            return None;
        }
        if *left > 0 {
            *left -= 1;
            return None;
        }
        let kind = *kind;
        self.fail = None;
        Some(kind)
    }
}

fn mask(path: &str) -> String {
    match path.rsplit_once('-') {
        Some((head, tail)) if tail.len() == 16 => format!("{head}-*"),
        _ if path.is_empty() => ".".to_owned(),
        _ => path.to_owned(),
    }
}

struct Recorded {
    disk: Disk,
    path: PathBuf,
    file: Box<dyn NewFile>,
}

impl NewFile for Recorded {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.note("write", &self.path)?;
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.note("fsync", &self.path)?;
        self.file.sync()
    }
}

impl Filesystem for Disk {
    fn create(&self, path: &Path, mode: u32) -> io::Result<Box<dyn NewFile>> {
        self.note(&format!("create {mode:o}"), path)?;
        Ok(Box::new(Recorded { disk: self.clone(), path: path.to_owned(), file: RealFs.create(path, mode)? }))
    }

    fn append(&self, path: &Path, mode: u32) -> io::Result<Box<dyn NewFile>> {
        self.note(&format!("append {mode:o}"), path)?;
        Ok(Box::new(Recorded { disk: self.clone(), path: path.to_owned(), file: RealFs.append(path, mode)? }))
    }

    fn create_dir(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.note("mkdir", path)?;
        RealFs.create_dir(path, mode)
    }

    fn symlink(&self, target: &Path, link: &Path) -> io::Result<()> {
        self.note("symlink", link)?;
        RealFs.symlink(target, link)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.note("rename", to)?;
        RealFs.rename(from, to)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.note("fsync", path)?;
        RealFs.sync_dir(path)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.note("remove", path)?;
        RealFs.remove_file(path)
    }

    fn wipe(&self, path: &Path) -> io::Result<()> {
        self.note("wipe", path)?;
        RealFs.wipe(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.note("rmdir", path)?;
        RealFs.remove_dir(path)
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        RealFs.read(path, limit)
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        RealFs.read_link(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let unlistable = self.state.lock().unwrap().unlistable.clone();
        match unlistable {
            Some(dir) if path.ends_with(&dir) => Err(io::Error::other("EIO")),
            _ => RealFs.list(path),
        }
    }
}

/// A store on `disk`, its opening calls forgotten.
pub(crate) fn store(disk: &Disk) -> Store {
    let serial = SerialNumber::new("dev-1").unwrap();
    let store = Store::open(Arc::new(disk.clone()), Arc::new(P256Keys), disk.root(), serial).unwrap();
    disk.calls();
    store
}

/// What a cloud would issue for the slot's signing request.
pub(crate) fn issued(store: &Store, slot: SlotId) -> CertificateIssued {
    let key = store.key(slot).unwrap().unwrap();
    issued_for(&P256Keys.public_key(&key).unwrap())
}

/// What a cloud would issue for a public key.
pub(crate) fn issued_for(spki: &[u8]) -> CertificateIssued {
    let (der, pem) = certificate_for(spki);
    CertificateIssued {
        certificate_id: CertificateId::of_der(&der),
        certificate_pem: pem,
        private_key: None,
        certificate_ownership_token: OwnershipToken::new("t0k3n"),
    }
}

/// A token that is not there yet.
#[derive(Debug)]
pub(crate) struct Unplugged;

impl Keys for Unplugged {
    fn generate(&self) -> Result<PrivateKeyPem, KeyError> {
        Err(KeyError::Absent("no token".into()))
    }

    fn public_key(&self, _: &PrivateKeyPem) -> Result<Vec<u8>, KeyError> {
        Err(KeyError::Absent("no token".into()))
    }

    fn request(&self, _: &PrivateKeyPem, _: &SerialNumber) -> Result<String, KeyError> {
        Err(KeyError::Absent("no token".into()))
    }
}
