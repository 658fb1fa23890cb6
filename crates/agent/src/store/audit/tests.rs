//! The audit log over a real directory whose calls are recorded and can be made to fail.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;

use super::super::testing::Disk;
use super::*;

fn open(disk: &Disk) -> AuditLog {
    AuditLog::new(Arc::new(disk.clone()), disk.root())
}

fn entry(number: u64) -> AuditEntry {
    let at = Timestamp::from_secs(number);
    AuditEntry { at, id: Some("r1".into()), event: json!({"event": "committed", "number": number}) }
}

/// The chain as `verify` reads it; it must hold.
fn intact(disk: &Disk) -> AuditEntries {
    let read = read_entries(disk, disk.root()).unwrap();
    assert_eq!((read.breaks.as_slice(), read.torn), (&[][..], false), "{:?}", read.lines);
    read
}

fn events(read: &AuditEntries) -> Vec<String> {
    let event = |line: &String| -> String {
        let line: Value = serde_json::from_str(line).unwrap();
        let event = &line["event"];
        ["number", "bytes", "entries"]
            .iter()
            .find_map(|field| event.get(field))
            .map(|value| format!("{} {value}", event["event"].as_str().unwrap()))
            .unwrap()
    };
    read.lines.iter().map(event).collect()
}

#[test]
fn each_line_names_the_hash_of_the_line_before_and_the_last_is_the_head() {
    let disk = Disk::new();
    let mut log = open(&disk);
    for number in 1..=3 {
        log.append(&entry(number)).unwrap();
    }
    let text = std::fs::read_to_string(disk.root().join(LOG)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let first: Value = serde_json::from_str(lines[0]).unwrap();
    assert_eq!(first["n"], 1);
    assert_eq!(first["at"], "1970-01-01T00:00:01.000Z");
    assert_eq!(first["id"], "r1");
    assert_eq!(first["prev"], GENESIS);
    let second: Value = serde_json::from_str(lines[1]).unwrap();
    assert_eq!(second["prev"], chain::hash(lines[0].as_bytes()));
    let head = AuditHead { n: 3, hash: chain::hash(lines[2].as_bytes()) };
    assert_eq!(log.head(), Some(&head));
    assert_eq!(read_audit_head(&disk, disk.root()), Some(head.clone()));
    assert_eq!(intact(&disk).head, Some(head));
    assert_eq!(std::fs::metadata(disk.root().join(LOG)).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn an_entry_is_synced_and_the_first_one_of_a_file_with_its_directory() {
    let disk = Disk::new();
    let mut log = open(&disk);
    log.append(&entry(1)).unwrap();
    assert_eq!(disk.calls(), ["append 600 audit.log", "write audit.log", "fsync audit.log", "fsync ."]);
    log.append(&entry(2)).unwrap();
    assert_eq!(disk.calls(), ["append 600 audit.log", "write audit.log", "fsync audit.log"]);
}

#[test]
fn the_chain_goes_on_after_a_restart() {
    let disk = Disk::new();
    open(&disk).append(&entry(1)).unwrap();
    open(&disk).append(&entry(2)).unwrap();
    assert_eq!(events(&intact(&disk)), ["committed 1", "committed 2"]);
}

#[test]
fn a_torn_last_line_is_cut_off_and_the_cut_is_an_entry() {
    let disk = Disk::new();
    let path = disk.root().join(LOG);
    for number in 1..=2 {
        open(&disk).append(&entry(number)).unwrap();
    }
    let whole = std::fs::read(&path).unwrap();
    let first = whole.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    for torn in [first + 1, first + 20, whole.len() - 1] {
        std::fs::write(&path, &whole[..torn]).unwrap();
        assert!(read_entries(&disk, disk.root()).unwrap().torn);
        open(&disk).append(&entry(3)).unwrap();
        let cut = format!("audit_cut {}", torn - first);
        assert_eq!(events(&intact(&disk)), ["committed 1", &cut, "committed 3"]);
    }
    std::fs::write(&path, &whole[..10]).unwrap();
    open(&disk).append(&entry(3)).unwrap();
    assert_eq!(events(&intact(&disk)), ["audit_cut 10", "committed 3"]);
}

#[test]
fn an_entry_that_cannot_be_written_is_lost_counted_and_leaves_no_torn_line() {
    for call in ["append 600", "write audit.log", "fsync audit.log"] {
        for present in 0..2 {
            let disk = Disk::new();
            let mut log = open(&disk);
            for number in 0..present {
                log.append(&entry(number)).unwrap();
            }
            for number in [7, 8] {
                disk.fail(call, ErrorKind::StorageFull);
                log.append(&entry(number)).unwrap_err();
            }
            log.append(&entry(9)).unwrap();
            let read = intact(&disk);
            let tail = &events(&read)[present as usize..];
            assert_eq!(tail, ["audit_lost 2", "committed 9"], "{call}");
            assert_eq!(log.head(), read.head.as_ref());
        }
    }
}

#[test]
fn a_log_whose_fsync_failed_is_never_appended_to_again() {
    let disk = Disk::new();
    let mut log = open(&disk);
    log.append(&entry(1)).unwrap();
    disk.fail("fsync audit.log", ErrorKind::Other);
    log.append(&entry(2)).unwrap_err();
    disk.calls();
    log.append(&entry(3)).unwrap();
    assert_eq!(
        disk.calls()[..4],
        [
            "create 600 .tmp-audit.log-*",
            "write .tmp-audit.log-*",
            "fsync .tmp-audit.log-*",
            "rename audit.log"
        ]
    );
}

#[test]
fn the_chain_goes_on_across_files_and_the_oldest_goes() {
    let disk = Disk::new();
    let mut log = open(&disk);
    let filler = "x".repeat(MAX_LOG as usize);
    for number in 1..=7 {
        log.append(&entry(number)).unwrap();
        // A last line as long as a file may be: the next entry begins a new one.
        let line = json!({"n": number * 2, "prev": log.head().unwrap().hash, "filler": filler}).to_string();
        let path = disk.root().join(LOG);
        let text = std::fs::read_to_string(&path).unwrap() + &line + "\n";
        std::fs::write(&path, text).unwrap();
        log = open(&disk);
    }
    log.append(&entry(8)).unwrap();
    let read = intact(&disk);
    assert_eq!(read.lines.len(), 9, "four older files of two entries, and the new one");
    assert_eq!(read.head.as_ref().map(|head| head.n), Some(15));
    assert!(!disk.root().join("audit.5.log").exists());
}

#[test]
fn a_crash_between_the_renames_of_a_roll_breaks_nothing() {
    for failing in 1..=3 {
        let disk = Disk::new();
        for (number, file) in [(1, "audit.2.log"), (2, "audit.1.log"), (3, LOG)] {
            open(&disk).append(&entry(number)).unwrap();
            if file != LOG {
                std::fs::rename(disk.root().join(LOG), disk.root().join(file)).unwrap();
            }
        }
        let log = open(&disk);
        let end = read_end(&disk, disk.root()).unwrap().0;
        let to = ["audit.3.log", "audit.2.log", "audit.1.log"][failing - 1];
        disk.fail(&format!("rename {to}"), ErrorKind::Other);
        log.roll(end.clone()).unwrap_err();
        intact(&disk);
        log.roll(end).unwrap();
        open(&disk).append(&entry(4)).unwrap();
        let numbers = ["committed 1", "committed 2", "committed 3", "committed 4"];
        assert_eq!(events(&intact(&disk)), numbers, "{to}");
    }
}

#[test]
fn whatever_is_changed_in_the_past_breaks_the_chain() {
    let disk = Disk::new();
    let mut log = open(&disk);
    for number in 1..=4 {
        log.append(&entry(number)).unwrap();
    }
    let path = disk.root().join(LOG);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let forgeries = [
        text.replace("\"number\":2", "\"number\":5"),
        [lines[0], lines[2], lines[3]].join("\n") + "\n",
        [lines[0], lines[2], lines[1], lines[3]].join("\n") + "\n",
        text.replacen(GENESIS, &"1".repeat(64), 1),
        text.replace(lines[1], "not json"),
    ];
    for forged in forgeries {
        assert_ne!(forged, text);
        std::fs::write(&path, &forged).unwrap();
        let read = read_entries(&disk, disk.root()).unwrap();
        assert!(!read.breaks.is_empty(), "{forged}");
        assert!(read.breaks[0].line <= 3, "{:?}", read.breaks);
    }
}

#[test]
fn an_event_that_repeats_itself_is_one_entry_and_a_long_one_is_cut() {
    let disk = Disk::new();
    let mut log = open(&disk);
    for _ in 0..3 {
        log.append(&entry(1)).unwrap();
    }
    let long = json!({"event": "rolled_back", "why": "x".repeat(100_000), "list": vec![0; 1000]});
    log.append(&AuditEntry { event: long, ..entry(2) }).unwrap();
    assert_eq!(intact(&disk).lines.len(), 2);
    assert!(std::fs::metadata(disk.root().join(LOG)).unwrap().len() < 2000);
}
