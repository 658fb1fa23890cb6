//! What a program that starts finds in a state directory, told by the store itself and through the export's link.

use std::path::Path;
use std::sync::Arc;

use fleetkey_agent::keys::{KeyError, Keys};
use fleetkey_agent::store::{
    BUNDLE_FILE, CERTIFICATE_FILE, EXPORT_LINK, KEY_FILE, RecordError, Store, StoreFault,
};
use fleetkey_lifecycle::{Record, SlotFacts};
use fleetkey_model::name::SerialNumber;
use fleetkey_model::secret::PrivateKeyPem;
use fleetkey_proof::disk::SimDisk;
use fleetkey_proof::mint::PoolKeys;

/// What is found; two of these are equal if nobody could tell the two disks apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) record: Result<Option<Record>, RecordError>,
    pub(crate) slots: Vec<SlotFacts>,
    pub(crate) export: Option<Export>,
    /// Slots that did not match.
    pub(crate) aside: usize,
    /// Unfinished files of an interrupted write that a start did not remove.
    pub(crate) left: usize,
}

/// The three exported files; `None`: the link leads to no such file.
pub(crate) type Export = [Option<String>; 3];

/// The shipping store on a simulated disk.
pub(crate) fn open(disk: &SimDisk) -> Result<Store, StoreFault> {
    let serial = SerialNumber::new("proof-1").unwrap();
    Store::open(Arc::new(disk.share()), Arc::new(Numbered(disk.share())), root(), serial)
}

/// Keys by number: the next one is that of how many the disk holds, whatever was tried before.
#[derive(Debug)]
struct Numbered(SimDisk);

impl Keys for Numbered {
    fn generate(&self) -> Result<PrivateKeyPem, KeyError> {
        let held = self.0.paths().iter().filter(|path| path.ends_with("key.pem")).count();
        PoolKeys::resumed(7000, held as u64).generate()
    }

    fn public_key(&self, key: &PrivateKeyPem) -> Result<Vec<u8>, KeyError> {
        PoolKeys::from(7000).public_key(key)
    }

    fn request(&self, key: &PrivateKeyPem, serial: &SerialNumber) -> Result<String, KeyError> {
        PoolKeys::from(7000).request(key, serial)
    }
}

pub(crate) fn root() -> &'static Path {
    Path::new(SimDisk::HOME)
}

impl State {
    /// Starts on a copy of the disk, with faults lifted, and looks.
    pub(crate) fn of(disk: &SimDisk) -> Self {
        let copy = disk.clone();
        copy.lift();
        copy.set_capacity(None);
        let store = open(&copy).unwrap();
        let scan = store.scan().unwrap();
        Self {
            left: copy.paths().iter().filter(|path| path.to_string_lossy().contains(".tmp-")).count(),
            record: store.read_record(),
            slots: scan.slots,
            export: exported(&copy),
            aside: scan.aside.len(),
        }
    }

    /// Nothing in it is torn: the record reads, no slot contradicts itself, an export is whole.
    pub(crate) fn is_whole(&self) -> bool {
        let bundle = |export: &Export| match export {
            [Some(key), Some(certificate), Some(bundle)] => *bundle == [&**key, certificate].concat(),
            _ => false,
        };
        self.record.is_ok() && self.aside == 0 && self.left == 0 && self.export.as_ref().is_none_or(bundle)
    }
}

/// What other programs read through the link at this moment.
pub(crate) fn exported(disk: &SimDisk) -> Option<Export> {
    let link = root().join(EXPORT_LINK);
    let linked = disk.paths().contains(&link);
    linked.then(|| [KEY_FILE, CERTIFICATE_FILE, BUNDLE_FILE].map(|file| text(disk, &link.join(file))))
}

fn text(disk: &SimDisk, path: &Path) -> Option<String> {
    disk.peek(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}
