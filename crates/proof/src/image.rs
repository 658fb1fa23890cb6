//! What a disk holds, read by its content and without the store: the judge does not borrow the accused's eyes.

use std::path::{Path, PathBuf};

use fleetkey_agent::store::{Filesystem, read_record};
use fleetkey_lifecycle::{Record, SlotId};
use fleetkey_model::certificate::CertificateId;
use serde::Deserialize;

use crate::disk::{Crash, SimDisk};
use crate::mint;

/// The largest file that counts.
const MAX: u64 = 64 * 1024;

/// A slot whose key and certificate are there and belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// The slot.
    pub slot: SlotId,
    /// Its certificate.
    pub certificate: CertificateId,
}

/// The state directory of a device as it would be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The record, if one reads.
    pub record: Option<Record>,
    /// The complete slots.
    pub pairs: Vec<Pair>,
    /// The slots with a whole key and its signing request.
    pub keys: Vec<SlotId>,
    /// How many slots there are, complete or not.
    pub slots: usize,
}

/// The part of `cert.json` that says which certificate it is.
#[derive(Deserialize)]
struct CertificateFile {
    chain: String,
}

impl Image {
    /// What would be found if the power went now and this survived.
    pub fn after(disk: &SimDisk, crash: Crash) -> Self {
        let copy = disk.clone();
        copy.lift();
        copy.crash(crash);
        Self::of(&copy)
    }

    /// What is found on a disk.
    pub fn of(disk: &SimDisk) -> Self {
        let root = Path::new(SimDisk::HOME);
        let slots = slots(disk, root);
        let pairs = slots.iter().filter_map(|(slot, dir)| pair(disk, *slot, dir)).collect();
        let keyed = slots.iter().filter(|(_, dir)| has_key(disk, dir)).map(|(slot, _)| *slot).collect();
        let record = read_record(disk, root).ok().flatten();
        Self { record, pairs, keys: keyed, slots: slots.len() }
    }

    /// The certificate of a complete slot.
    pub fn certificate(&self, slot: SlotId) -> Option<CertificateId> {
        self.pairs.iter().find(|pair| pair.slot == slot).map(|pair| pair.certificate)
    }

    /// The certificate of the committed slot, if that is complete.
    pub fn current(&self) -> Option<CertificateId> {
        self.certificate(self.record.as_ref()?.current?)
    }
}

fn slots(disk: &SimDisk, root: &Path) -> Vec<(SlotId, PathBuf)> {
    let slots = root.join("slots");
    let entries = disk.list(&slots).unwrap_or_default();
    let number = |name: &std::ffi::OsStr| name.to_str()?.parse().ok();
    let found =
        entries.into_iter().filter_map(|entry| Some((SlotId(number(&entry.name)?), slots.join(&entry.name))));
    found.collect()
}

fn pair(disk: &SimDisk, slot: SlotId, dir: &Path) -> Option<Pair> {
    let key = disk.read(&dir.join("key.pem"), MAX).ok()?;
    let file = disk.read(&dir.join("cert.json"), MAX).ok()?;
    let file: CertificateFile = serde_json::from_slice(&file).ok()?;
    let certificate = mint::belong_together(core::str::from_utf8(&key).ok()?, &file.chain)?;
    Some(Pair { slot, certificate })
}

fn has_key(disk: &SimDisk, dir: &Path) -> bool {
    let text = |name: &str| String::from_utf8(disk.read(&dir.join(name), MAX).ok()?).ok();
    text("key.pem").is_some_and(|key| mint::is_key(&key))
        && text("csr.pem").is_some_and(|csr| mint::is_request(&csr))
}
