//! The power, armed faults, a full disk and a read-only one.

use super::*;

#[test]
fn after_the_cut_every_call_fails_until_the_crash_has_been_decided() {
    let disk = SimDisk::new();
    durable(&disk, "a", "x");
    disk.cut_power(2);
    let mut open = written(&disk, "b", "y");
    assert!(open.sync().is_err() && disk.is_off());
    assert!(disk.create_dir(&at("c"), 0o700).is_err());
    assert!(disk.read(&at("a"), 10).is_err() && disk.list(home()).is_err());
    disk.crash(Crash::LoseAll);
    assert!(!disk.is_off());
    assert_eq!(disk.read(&at("a"), 10).unwrap(), b"x");
    assert!(disk.read(&at("b"), 10).is_err());
    assert!(open.write_all(b"z").is_err(), "a file that was open before is not open after");
}

#[test]
fn a_fault_strikes_the_call_that_it_was_armed_for_and_only_that() {
    let disk = SimDisk::new();
    disk.fail(Fault::once(1, Errno::Io));
    disk.create_dir(&at("a"), 0o700).unwrap();
    assert_eq!(disk.list(home()).unwrap().len(), 1, "reading does not count");
    assert!(disk.create_dir(&at("b"), 0o700).is_err());
    disk.create_dir(&at("b"), 0o700).unwrap();
    assert_eq!(disk.changes(), 3);
}

#[test]
fn a_fault_of_one_kind_counts_only_its_kind() {
    let disk = SimDisk::new();
    disk.fail(Fault::once(1, Errno::Io).of(Op::Rename));
    disk.fail(Fault::once(0, Errno::Io).of(Op::Read));
    durable(&disk, "a", "x");
    assert!(disk.read(&at("a"), 1).is_err());
    assert_eq!(disk.read(&at("a"), 1).unwrap(), b"x");
    disk.rename(&at("a"), &at("b")).unwrap();
    assert!(disk.rename(&at("b"), &at("c")).is_err());
    assert_eq!(content(&disk, "b").as_deref(), Some("x"));
}

#[test]
fn a_failed_write_may_have_written_a_part() {
    let disk = SimDisk::new();
    disk.fail(Fault::once(0, Errno::NoSpace).of(Op::Write));
    let mut file = disk.create(&at("a"), 0o600).unwrap();
    assert_eq!(file.write_all(b"abcdef").unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(content(&disk, "a").as_deref(), Some("abc"));
}

#[test]
fn after_a_failed_fsync_the_next_one_lies_and_is_noted() {
    let disk = SimDisk::new();
    disk.fail(Fault::once(0, Errno::Io).of(Op::Sync));
    let mut file = written(&disk, "a", "x");
    assert!(file.sync().is_err());
    assert_eq!(disk.violations(), Vec::<String>::new());
    file.sync().unwrap();
    assert_eq!(disk.violations(), ["/state/a was synced after its fsync had failed"]);
    assert_eq!(content(&disk, "a").as_deref(), Some("x"), "the page cache still shows it");
    disk.sync_dir(home()).unwrap();
    assert_eq!(outcomes(&disk, |disk| content(disk, "a")), [Some(String::new())]);
}

#[test]
fn what_is_written_after_a_failed_fsync_stands_behind_a_hole() {
    let disk = SimDisk::new();
    disk.fail(Fault::once(0, Errno::Io).of(Op::Sync));
    let mut file = written(&disk, "a", "xy");
    assert!(file.sync().is_err());
    file.write_all(b"z").unwrap();
    file.sync().unwrap();
    disk.sync_dir(home()).unwrap();
    assert_eq!(outcomes(&disk, |disk| content(disk, "a")), [Some("\0\0z".into())]);
    assert_eq!(disk.violations().len(), 2);
}

#[test]
fn after_a_failed_fsync_of_a_directory_the_next_one_lies_until_something_changes() {
    let disk = SimDisk::new();
    disk.create_dir(&at("a"), 0o700).unwrap();
    disk.fail(Fault::once(0, Errno::Io));
    assert!(disk.sync_dir(home()).is_err());
    disk.sync_dir(home()).unwrap();
    assert_eq!(outcomes(&disk, SimDisk::paths).len(), 2, "it may still be lost");
    disk.create_dir(&at("b"), 0o700).unwrap();
    disk.sync_dir(home()).unwrap();
    assert_eq!(outcomes(&disk, SimDisk::paths), [[home().into(), at("a"), at("b")]]);
}

#[test]
fn a_lasting_fault_ends_when_it_is_lifted() {
    let disk = SimDisk::new();
    disk.fail(Fault::lasting(1, Errno::Io));
    disk.create_dir(&at("a"), 0o700).unwrap();
    for _ in 0..3 {
        assert!(disk.create_dir(&at("b"), 0o700).is_err());
    }
    disk.crash(Crash::KeepAll);
    assert!(disk.create_dir(&at("b"), 0o700).is_err(), "a crash repairs nothing");
    disk.lift();
    disk.create_dir(&at("b"), 0o700).unwrap();
}

#[test]
fn a_full_disk_takes_what_fits_and_has_room_again_when_something_goes() {
    let disk = SimDisk::new();
    let before = disk.used();
    disk.set_capacity(Some(before + 3 * 4096));
    durable(&disk, "ballast", &"b".repeat(8192));
    let mut file = disk.create(&at("a"), 0o600).unwrap();
    assert_eq!(file.write_all(&[b'x'; 5000]).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(content(&disk, "a").unwrap().len(), 4096);
    assert_eq!(disk.create_dir(&at("dir"), 0o700).unwrap_err().kind(), ErrorKind::StorageFull);
    disk.remove_file(&at("ballast")).unwrap();
    disk.create_dir(&at("dir"), 0o700).unwrap();
    assert_eq!(disk.used(), before + 2 * 4096);
}

#[test]
fn a_read_only_disk_reads_and_refuses_every_change() {
    let disk = SimDisk::new();
    durable(&disk, "a", "x");
    disk.set_read_only(true);
    let kinds = [
        disk.create(&at("b"), 0o600).err(),
        disk.create_dir(&at("b"), 0o700).err(),
        disk.symlink(Path::new("a"), &at("b")).err(),
        disk.rename(&at("a"), &at("b")).err(),
        disk.remove_file(&at("a")).err(),
        disk.remove_dir(&at("b")).err(),
    ];
    assert!(
        kinds.iter().all(|error| error.as_ref().unwrap().kind() == ErrorKind::ReadOnlyFilesystem),
        "{kinds:?}"
    );
    assert_eq!(disk.create_dir(home(), 0o700).unwrap_err().kind(), ErrorKind::AlreadyExists);
    disk.sync_dir(home()).unwrap();
    assert_eq!(disk.read(&at("a"), 1).unwrap(), b"x");
}

#[test]
fn a_remount_in_the_middle_loses_nothing_and_leaves_what_was_not_synced_in_doubt() {
    let disk = SimDisk::new();
    disk.fail(Fault::lasting(2, Errno::ReadOnly));
    let mut file = written(&disk, "a", "xy");
    assert_eq!(file.sync().unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
    assert_eq!(disk.sync_dir(home()).unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
    assert_eq!(disk.rename(&at("a"), &at("b")).unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
    assert_eq!(outcomes(&disk, |disk| content(disk, "a")).len(), 5, "gone, empty, torn, zeros, whole");
    disk.lift();
    file.sync().unwrap();
    disk.sync_dir(home()).unwrap();
    assert_eq!(outcomes(&disk, |disk| content(disk, "a")), [Some("xy".into())]);
}

#[test]
fn the_log_tells_each_call_and_masks_what_is_random() {
    let disk = SimDisk::new();
    disk.trace(true);
    disk.fail(Fault::once(3, Errno::Io));
    written(&disk, ".tmp-a-0123456789abcdef", "x").sync().unwrap();
    assert!(disk.rename(&at(".tmp-a-0123456789abcdef"), &at("a")).is_err());
    let lines: Vec<String> = disk.calls().iter().map(ToString::to_string).collect();
    let expected = [
        "0 create /state/.tmp-a-*",
        "1 write /state/.tmp-a-*",
        "2 fsync /state/.tmp-a-*",
        "3 rename /state/a = EIO",
    ];
    assert_eq!(lines, expected);
}
