//! Each rule of the model by name. That what programs see is what a real disk shows them: [`real`].

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use fleetkey_agent::store::{Filesystem, NewFile};

use super::{Crash, Errno, Fault, Op, SimDisk};

mod faults;
mod real;

fn at(name: &str) -> PathBuf {
    Path::new(SimDisk::HOME).join(name)
}

fn home() -> &'static Path {
    Path::new(SimDisk::HOME)
}

fn written(disk: &SimDisk, name: &str, content: &str) -> Box<dyn NewFile> {
    let mut file = disk.create(&at(name), 0o600).unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file
}

fn durable(disk: &SimDisk, name: &str, content: &str) {
    written(disk, name, content).sync().unwrap();
    disk.sync_dir(home()).unwrap();
}

fn content(disk: &SimDisk, name: &str) -> Option<String> {
    disk.peek(&at(name)).map(|bytes| String::from_utf8(bytes).unwrap())
}

/// What is seen after each distinct way to crash now.
fn outcomes<T>(disk: &SimDisk, look: impl Fn(&SimDisk) -> T) -> Vec<T> {
    let after = |crash| {
        let copy = disk.clone();
        copy.crash(crash);
        look(&copy)
    };
    disk.crashes().into_iter().map(after).collect()
}

#[test]
fn what_was_synced_survives_every_crash() {
    let disk = SimDisk::new();
    durable(&disk, "a", "content");
    assert_eq!(disk.pending(), 0);
    assert_eq!(outcomes(&disk, |disk| content(disk, "a")), [Some("content".into())]);
}

#[test]
fn a_synced_file_without_a_synced_name_may_be_lost() {
    let disk = SimDisk::new();
    written(&disk, "a", "content").sync().unwrap();
    let mut seen = outcomes(&disk, |disk| content(disk, "a"));
    seen.sort();
    assert_eq!(seen, [None, Some("content".into())]);
}

#[test]
fn a_synced_name_without_synced_content_may_be_empty_torn_or_zeros() {
    let disk = SimDisk::new();
    written(&disk, "a", "content!");
    disk.sync_dir(home()).unwrap();
    let mut seen = outcomes(&disk, |disk| content(disk, "a").unwrap());
    seen.sort();
    assert_eq!(seen, ["", "\0\0\0\0\0\0\0\0", "cont", "content!"]);
}

#[test]
fn a_crash_by_chance_keeps_any_prefix_of_a_write() {
    let disk = SimDisk::new();
    written(&disk, "a", "0123456789");
    disk.sync_dir(home()).unwrap();
    let after = |seed| {
        let copy = disk.clone();
        copy.crash(Crash::Random(seed));
        content(&copy, "a").unwrap()
    };
    let seen: std::collections::BTreeSet<String> = (0..200).map(after).collect();
    for length in 0..=10 {
        assert!(seen.contains(&"0123456789"[..length]), "{length} of {seen:?}");
    }
    assert_eq!(after(7), after(7), "a seed is a schedule");
}

#[test]
fn what_is_appended_and_not_synced_may_be_torn_and_never_what_was_before_it() {
    let disk = SimDisk::new();
    let append = |text: &str| {
        let mut file = disk.append(&at("log"), 0o600).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    };
    append("one ").sync().unwrap();
    disk.sync_dir(home()).unwrap();
    append("two!");
    let mut seen = outcomes(&disk, |disk| content(disk, "log").unwrap());
    seen.sort();
    assert_eq!(seen, ["one ", "one \0\0\0\0", "one tw", "one two!"]);
}

#[test]
fn a_rename_is_all_or_nothing_and_there_is_always_one_of_the_two() {
    let disk = SimDisk::new();
    durable(&disk, "state", "old");
    written(&disk, "tmp", "new").sync().unwrap();
    disk.rename(&at("tmp"), &at("state")).unwrap();
    let mut seen = outcomes(&disk, |disk| (content(disk, "state").unwrap(), content(disk, "tmp")));
    seen.sort();
    seen.dedup();
    let kept = |state: &str, tmp: Option<&str>| (state.to_owned(), tmp.map(str::to_owned));
    assert_eq!(seen, [kept("new", None), kept("old", None), kept("old", Some("new"))]);
}

#[test]
fn a_rename_without_fsync_before_it_can_leave_an_empty_file_in_place_of_the_old_one() {
    let disk = SimDisk::new();
    durable(&disk, "state", "old");
    written(&disk, "tmp", "new");
    disk.rename(&at("tmp"), &at("state")).unwrap();
    assert!(outcomes(&disk, |disk| content(disk, "state")).contains(&Some(String::new())));
    assert_eq!(disk.violations(), ["/state/tmp became /state/state before its content was durable"]);
}

#[test]
fn changes_of_different_names_reach_the_medium_in_any_order() {
    let disk = SimDisk::new();
    durable(&disk, "a", "");
    durable(&disk, "b", "");
    disk.remove_file(&at("a")).unwrap();
    disk.remove_file(&at("b")).unwrap();
    let mut seen = outcomes(&disk, |disk| (content(disk, "a").is_some(), content(disk, "b").is_some()));
    seen.sort_unstable();
    assert_eq!(seen, [(false, false), (false, true), (true, false), (true, true)]);
}

#[test]
fn changes_of_one_name_keep_their_order() {
    let disk = SimDisk::new();
    durable(&disk, "a", "first");
    disk.rename(&at("a"), &at("kept")).unwrap();
    written(&disk, "a", "second").sync().unwrap();
    let lost = |disk: &SimDisk| {
        [content(disk, "a"), content(disk, "kept")].into_iter().flatten().all(|text| text != "first")
    };
    assert!(outcomes(&disk, lost).iter().all(|lost| !lost), "no order of the two loses the first file");
}

#[test]
fn a_rename_whose_create_was_dropped_still_names_the_inode() {
    let disk = SimDisk::new();
    written(&disk, "tmp", "x").sync().unwrap();
    disk.rename(&at("tmp"), &at("final")).unwrap();
    disk.crash(Crash::Subset(0b10));
    assert_eq!((content(&disk, "final").as_deref(), content(&disk, "tmp")), (Some("x"), None));
}

#[test]
fn a_directory_that_never_became_durable_takes_its_files_with_it() {
    let disk = SimDisk::new();
    disk.create_dir(&at("dir"), 0o700).unwrap();
    written(&disk, "dir/a", "x").sync().unwrap();
    disk.sync_dir(&at("dir")).unwrap();
    disk.crash(Crash::LoseAll);
    assert_eq!(disk.paths(), [home()]);
    disk.create_dir(&at("dir"), 0o700).unwrap();
    assert_eq!(disk.list(&at("dir")).unwrap(), []);
}

#[test]
fn a_rename_between_directories_is_durable_with_either_of_them() {
    for synced in ["one", "two"] {
        let disk = SimDisk::new();
        disk.create_dir(&at("one"), 0o700).unwrap();
        disk.create_dir(&at("two"), 0o700).unwrap();
        disk.sync_dir(home()).unwrap();
        written(&disk, "one/a", "x").sync().unwrap();
        disk.rename(&at("one/a"), &at("two/a")).unwrap();
        disk.sync_dir(&at(synced)).unwrap();
        assert_eq!(outcomes(&disk, SimDisk::paths), [[home().into(), at("one"), at("two"), at("two/a")]]);
    }
}

#[test]
fn a_prefix_keeps_the_first_changes_in_the_order_in_which_they_were_made() {
    let disk = SimDisk::new();
    for name in ["a", "b", "c"] {
        disk.create_dir(&at(name), 0o700).unwrap();
    }
    disk.crash(Crash::Prefix(2));
    assert_eq!(disk.paths(), [home().into(), at("a"), at("b")]);
}

#[test]
fn a_copy_is_a_disk_of_its_own_and_a_share_is_not() {
    let disk = SimDisk::new();
    durable(&disk, "a", "x");
    let (copy, share) = (disk.clone(), disk.share());
    disk.remove_file(&at("a")).unwrap();
    assert_eq!((content(&copy, "a").as_deref(), content(&share, "a")), (Some("x"), None));
    assert_eq!((copy.changes(), share.changes()), (4, 5));
}

#[test]
fn random_names_do_not_count_in_a_fingerprint_and_content_does() {
    let image = |name: &str, text: &str| {
        let disk = SimDisk::new();
        written(&disk, name, text);
        disk.fingerprint()
    };
    assert_eq!(image(".tmp-a-0123456789abcdef", "x"), image(".tmp-a-fedcba9876543210", "x"));
    assert_ne!(image("a", "x"), image("a", "y"));
    assert_ne!(image("a", "x"), image("b", "x"));
}

#[test]
fn nothing_grows_with_the_number_of_replacements() {
    let disk = SimDisk::new();
    disk.create_dir(&at("dir"), 0o700).unwrap();
    for turn in 0..50 {
        written(&disk, "dir/never-synced", "x");
        disk.remove_file(&at("dir/never-synced")).unwrap();
        disk.create_dir(&at("dir/short"), 0o700).unwrap();
        written(&disk, "dir/short/a", "x");
        disk.remove_file(&at("dir/short/a")).unwrap();
        disk.remove_dir(&at("dir/short")).unwrap();
        disk.sync_dir(&at("dir")).unwrap();
        let nodes = disk.lock().tree.nodes.len();
        assert_eq!((nodes, disk.pending()), (3, 1), "turn {turn}");
    }
}

#[test]
fn what_was_planted_or_wiped_is_durable_and_no_call() {
    let disk = SimDisk::new();
    disk.plant(&at("deep/er/a"), b"x");
    assert_eq!(outcomes(&disk, |disk| content(disk, "deep/er/a")), [Some("x".into())]);
    assert!(disk.wipe(&at("deep/er/a")) && !disk.wipe(&at("deep/er/a")));
    assert_eq!((disk.changes(), disk.pending(), content(&disk, "deep/er/a")), (0, 0, None));
}
