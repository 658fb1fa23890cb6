//! `state.json`: the rotation machine's record in an envelope with a version and a checksum.
//!
//! `{"v":2,"sum":"<16 hex>","record":{…}}`: the sum is the front of the SHA-256 of the record's bytes as they
//! stand in the file. Older versions are read (fields they lack have defaults) and replaced by the next write. A
//! file of a newer version is refused, never rewritten; a damaged one counts as lost, and the slots then tell
//! who the device is.

use std::path::Path;

use aws_lc_rs::digest;
use fleetkey_lifecycle::record::RECORD_VERSION;
use fleetkey_lifecycle::{Record, SlotId};
use serde::Deserialize;

use super::atomic::{self, SECRET};
use super::fault::StoreFault;
use super::{Filesystem, Store};

/// The file in the state directory.
pub(super) const STATE: &str = "state.json";
/// The largest record, in bytes.
const MAX_RECORD: usize = 4096;
/// The largest file: the record and its envelope.
const MAX_FILE: u64 = MAX_RECORD as u64 + 128;

/// Why there is no usable record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Another version wrote it, and may have meant more than this one understands.
    #[error(
        "{path} was written by a newer fleetkey-agent (state version {found}, this one knows {RECORD_VERSION}); \
         install that version again"
    )]
    Newer {
        /// The file.
        path: String,
        /// Its version.
        found: u64,
        /// The identity in use, where it stands as in this version.
        current: Option<SlotId>,
    },
    /// It does not read; the caller goes on as if it were lost.
    #[error("{path} is damaged ({reason})")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The disk refused.
    #[error(transparent)]
    Fault(#[from] StoreFault),
}

impl Store {
    /// Makes the record durable; on a full disk the ballast is given up for it.
    ///
    /// # Errors
    /// When the disk refuses: then either the old or the new record is on it. The machine goes on from the old
    /// one, which is sound for both: what the new one would have allowed is not done before a later record is
    /// durable, and that one replaces whichever of the two was.
    pub fn write_record(&self, record: &Record) -> Result<(), StoreFault> {
        let path = self.root.join(STATE);
        let text = serde_json::to_string(record)
            .map_err(|error| StoreFault::content("encode", &path, error.to_string()))?;
        if text.len() > MAX_RECORD {
            let reason = format!("the record has {} bytes, at most {MAX_RECORD} are allowed", text.len());
            return Err(StoreFault::content("encode", &path, reason));
        }
        let file = format!("{}{text}}}\n", prefix(RECORD_VERSION, &text));
        self.recovery_write(&self.root, STATE, SECRET, file.as_bytes())
    }

    /// The record, `None` when there is no file.
    ///
    /// # Errors
    /// When it is of a newer version, damaged, or the disk refuses.
    pub fn read_record(&self) -> Result<Option<Record>, RecordError> {
        read_record(&*self.fs, &self.root)
    }
}

/// Reads the record of any state directory without owning it, for `status` while no agent runs.
///
/// # Errors
/// When it is of a newer version, damaged, or the disk refuses.
pub fn read_record(fs: &dyn Filesystem, root: &Path) -> Result<Option<Record>, RecordError> {
    let path = root.join(STATE);
    let shown = path.display().to_string();
    let bytes = match atomic::read_optional(fs, &path, MAX_FILE) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(None),
        Err(fault) if fault.kind == super::FaultKind::Content => {
            return Err(RecordError::Damaged { path: shown, reason: fault.reason });
        }
        Err(fault) => return Err(fault.into()),
    };
    match decode(&bytes) {
        Ok(record) => Ok(Some(record)),
        Err(Undecodable::Newer(found)) => {
            Err(RecordError::Newer { path: shown, found, current: current_of(&bytes) })
        }
        Err(Undecodable::Damaged(reason)) => Err(RecordError::Damaged { path: shown, reason }),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Undecodable {
    Newer(u64),
    Damaged(String),
}

/// The only part of the envelope that every version will keep.
#[derive(Deserialize)]
struct Version {
    v: u64,
}

fn decode(bytes: &[u8]) -> Result<Record, Undecodable> {
    let damaged = |reason: String| Undecodable::Damaged(reason);
    let text = core::str::from_utf8(bytes).map_err(|error| damaged(error.to_string()))?;
    let Version { v } = serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
    let Some(version) = u32::try_from(v).ok().filter(|&version| version <= RECORD_VERSION) else {
        return Err(Undecodable::Newer(v));
    };
    // The envelope is fixed to the byte, so that the sum covers the record as it stands.
    let (_, record) = text.split_once(r#","record":"#).ok_or_else(|| damaged("no record in it".into()))?;
    let record = record.trim_end().strip_suffix('}').ok_or_else(|| damaged("cut off".into()))?;
    if version == 0 || !text.starts_with(&prefix(version, record)) {
        return Err(damaged("the checksum does not fit".into()));
    }
    let record: Record = serde_json::from_str(record).map_err(|error| damaged(error.to_string()))?;
    Ok(Record { v: RECORD_VERSION, ..record })
}

/// The slot in use by a record of another version.
fn current_of(bytes: &[u8]) -> Option<SlotId> {
    let file: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    file.pointer("/record/current")?.as_u64().map(SlotId)
}

fn prefix(version: u32, record: &str) -> String {
    let digest = digest::digest(&digest::SHA256, record.as_bytes());
    let sum: String = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!(r#"{{"v":{version},"sum":"{sum}","record":"#)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{Disk, store};
    use fleetkey_lifecycle::SlotId;
    use fleetkey_model::time::Timestamp;
    use proptest::prelude::*;

    fn record() -> Record {
        let mut record = Record::fresh(Timestamp::from_secs(9));
        record.current = Some(SlotId(7));
        record
    }

    #[test]
    fn a_record_reads_back_and_nothing_is_none() {
        let disk = Disk::new();
        let store = store(&disk);
        assert_eq!(store.read_record(), Ok(None));
        store.write_record(&record()).unwrap();
        assert_eq!(store.read_record(), Ok(Some(record())));
    }

    #[test]
    fn a_newer_version_is_refused_by_name() {
        let disk = Disk::new();
        let store = store(&disk);
        std::fs::write(disk.root().join(STATE), r#"{"v":99,"anything":[]}"#).unwrap();
        let error = store.read_record().unwrap_err();
        assert!(matches!(error, RecordError::Newer { found: 99, .. }), "{error}");
    }

    #[test]
    fn a_record_of_version_1_is_taken_up_and_the_next_write_is_of_this_version() {
        let disk = Disk::new();
        let store = store(&disk);
        // As the first release of the format wrote it, to the byte.
        let file = concat!(
            r#"{"v":1,"sum":"f7ac985ee43c9bf5","record":{"v":1,"next_slot":8,"current":7,"#,
            r#""current_since":1700000000000,"previous":6,"rotation":null,"aftermath":{"id":"#,
            r#""0011223344556677","stage":{"stage":"soak","until":1700086400000}},"doomed":[5],"#,
            r#""failures":0,"not_before":null,"time_floor":9000}}"#,
            "\n"
        );
        std::fs::write(disk.root().join(STATE), file).unwrap();
        let read = store.read_record().unwrap().unwrap();
        assert_eq!((read.v, read.current, read.previous), (RECORD_VERSION, Some(SlotId(7)), Some(SlotId(6))));
        store.write_record(&read).unwrap();
        assert_eq!(store.read_record(), Ok(Some(read)));
        let written = std::fs::read_to_string(disk.root().join(STATE)).unwrap();
        assert!(written.starts_with(&format!(r#"{{"v":{RECORD_VERSION},"#)), "{written}");
        std::fs::write(disk.root().join(STATE), file.replace("\"current\":7", "\"current\":6")).unwrap();
        assert!(matches!(store.read_record(), Err(RecordError::Damaged { .. })));
    }

    #[test]
    fn no_version_but_a_known_one_is_read() {
        let text = serde_json::to_string(&record()).unwrap();
        let file = |version| format!("{}{text}}}\n", prefix(version, &text));
        for version in 1..=RECORD_VERSION {
            assert_eq!(decode(file(version).as_bytes()), Ok(record()));
        }
        assert!(matches!(decode(file(0).as_bytes()), Err(Undecodable::Damaged(_))));
        let newer = decode(file(RECORD_VERSION + 1).as_bytes());
        assert_eq!(newer, Err(Undecodable::Newer(u64::from(RECORD_VERSION) + 1)));
    }

    #[test]
    fn every_torn_file_is_noticed() {
        let disk = Disk::new();
        let store = store(&disk);
        store.write_record(&record()).unwrap();
        let whole = std::fs::read(disk.root().join(STATE)).unwrap();
        for length in 0..whole.len() - 1 {
            std::fs::write(disk.root().join(STATE), &whole[..length]).unwrap();
            let read = store.read_record();
            assert!(matches!(read, Err(RecordError::Damaged { .. })), "{length}: {read:?}");
        }
    }

    proptest! {
        #[test]
        fn a_changed_byte_never_yields_another_record(at in 0usize..200, value: u8) {
            let text = serde_json::to_string(&record()).unwrap();
            let mut file = format!("{}{text}}}\n", prefix(RECORD_VERSION, &text)).into_bytes();
            let at = at % file.len();
            file[at] = value;
            if let Ok(read) = decode(&file) {
                prop_assert_eq!(read, record());
            }
        }
    }
}
