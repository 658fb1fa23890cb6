//! What a disk holds, read by its content and without the store: the judge does not borrow the accused's eyes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;
use std::path::{Path, PathBuf};

use fleetkey_agent::store::{Filesystem, read_record};
use fleetkey_lifecycle::{Record, SlotId};
use fleetkey_model::certificate::CertificateId;
use serde::Deserialize;

use crate::disk::{SimDisk, View};
use crate::mint;

/// The largest file that counts.
const MAX: usize = 64 * 1024;
/// So many readings are remembered.
const MOST_REMEMBERED: usize = 10_000;

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
    /// What would be found if the power went now and this side survived.
    pub fn of(disk: &View<'_>) -> Self {
        let root = Path::new(SimDisk::HOME);
        let slots = slots(disk, root);
        let pairs = slots.iter().filter_map(|(slot, dir)| pair(disk, *slot, dir)).collect();
        let keyed = slots.iter().filter(|(_, dir)| has_key(disk, dir)).map(|(slot, _)| *slot).collect();
        Self { record: record(disk, root), pairs, keys: keyed, slots: slots.len() }
    }

    /// The complete slots that a device could come to use: not those that its record gives to destruction.
    pub fn usable(&self) -> impl Iterator<Item = CertificateId> {
        let doomed = self.record.as_ref().map_or(&[][..], |record| record.doomed.as_slice());
        self.pairs.iter().filter(|pair| !doomed.contains(&pair.slot)).map(|pair| pair.certificate)
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

fn slots(disk: &View<'_>, root: &Path) -> Vec<(SlotId, PathBuf)> {
    let slots = root.join("slots");
    let entries = disk.list(&slots).unwrap_or_default();
    let number = |name: &std::ffi::OsStr| name.to_str()?.parse().ok();
    let found =
        entries.into_iter().filter_map(|entry| Some((SlotId(number(&entry.name)?), slots.join(&entry.name))));
    found.collect()
}

fn pair(disk: &View<'_>, slot: SlotId, dir: &Path) -> Option<Pair> {
    let (key, file) = (dir.join("key.pem"), dir.join("cert.json"));
    let certificate = disk.content(&key, |key_digest, key| {
        disk.content(&file, |file_digest, file| {
            let known = PAIRS.with_borrow(|pairs| pairs.get(&(key_digest, file_digest)).copied());
            known.unwrap_or_else(|| {
                let read = read_pair(key, file);
                remember(&PAIRS, (key_digest, file_digest), read);
                read
            })
        })
    });
    Some(Pair { slot, certificate: certificate.flatten().flatten()? })
}

fn read_pair(key: &[u8], file: &[u8]) -> Option<CertificateId> {
    if key.len().max(file.len()) > MAX {
        return None;
    }
    let file: CertificateFile = serde_json::from_slice(file).ok()?;
    mint::belong_together(core::str::from_utf8(key).ok()?, &file.chain)
}

fn record(disk: &View<'_>, root: &Path) -> Option<Record> {
    let digest = disk.content(&root.join("state.json"), |digest, _| digest)?;
    let known = RECORDS.with_borrow(|records| records.get(&digest).cloned());
    known.unwrap_or_else(|| {
        let read = read_record(disk, root).ok().flatten();
        remember(&RECORDS, digest, read.clone());
        read
    })
}

fn has_key(disk: &View<'_>, dir: &Path) -> bool {
    let is = |name: &str, what: fn(&str) -> bool| {
        disk.content(&dir.join(name), |_, bytes| core::str::from_utf8(bytes).is_ok_and(what))
    };
    is("key.pem", mint::is_key) == Some(true) && is("csr.pem", mint::is_request) == Some(true)
}

/// What was read once is the same the next time; forgotten when it becomes much.
type Memory<K, V> = std::thread::LocalKey<RefCell<HashMap<K, V>>>;

thread_local! {
    static PAIRS: RefCell<HashMap<(u64, u64), Option<CertificateId>>> = RefCell::default();
    static RECORDS: RefCell<HashMap<u64, Option<Record>>> = RefCell::default();
}

fn remember<K: Eq + Hash, V>(memory: &'static Memory<K, V>, key: K, value: V) {
    memory.with_borrow_mut(|memory| {
        if memory.len() > MOST_REMEMBERED {
            memory.clear();
        }
        memory.insert(key, value);
    });
}
