//! The same calls on the simulated disk and on the operating system's: same results, same names, same content.

use std::io;

use fleetkey_agent::store::RealFs;
use proptest::prelude::*;

use super::*;

/// A few names, one of them in a directory and one through a link.
const PATHS: [&str; 8] = ["a", "b", "dir", "dir/a", "dir/b", "link", "link/a", "dir/../a"];

#[derive(Debug, Clone)]
enum Step {
    Create(usize, Vec<u8>),
    Append(usize, Vec<u8>),
    CreateDir(usize),
    Symlink(usize, usize),
    Rename(usize, usize),
    RemoveFile(usize),
    RemoveDir(usize),
    SyncDir(usize),
    Read(usize),
    ReadLink(usize),
    List(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let path = || 0..PATHS.len();
    prop_oneof![
        3 => (path(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(at, bytes)| Step::Create(at, bytes)),
        1 => (path(), prop::collection::vec(any::<u8>(), 0..9)).prop_map(|(at, bytes)| Step::Append(at, bytes)),
        3 => path().prop_map(Step::CreateDir),
        2 => (path(), path()).prop_map(|(target, at)| Step::Symlink(target, at)),
        4 => (path(), path()).prop_map(|(from, to)| Step::Rename(from, to)),
        2 => path().prop_map(Step::RemoveFile),
        2 => path().prop_map(Step::RemoveDir),
        1 => path().prop_map(Step::SyncDir),
        1 => path().prop_map(Step::Read),
        1 => path().prop_map(Step::ReadLink),
        1 => path().prop_map(Step::List),
    ]
}

fn run(fs: &dyn Filesystem, root: &Path, step: &Step) -> Result<String, ErrorKind> {
    let at = |index: &usize| root.join(PATHS[*index]);
    let shown = |result: io::Result<String>| result.map_err(|error| error.kind());
    let filled = |mut file: Box<dyn NewFile>, bytes: &[u8]| {
        file.write_all(bytes)?;
        file.sync().map(|()| String::new())
    };
    shown(match step {
        Step::Create(path, bytes) => fs.create(&at(path), 0o600).and_then(|file| filled(file, bytes)),
        // Through a link that leads nowhere a real disk makes the target; nobody here appends through a link.
        Step::Append(path, _) if fs.read_link(&at(path)).is_ok() => Ok(String::new()),
        Step::Append(path, bytes) => fs.append(&at(path), 0o600).and_then(|file| filled(file, bytes)),
        Step::CreateDir(path) => fs.create_dir(&at(path), 0o700).map(|()| String::new()),
        Step::Symlink(target, path) => {
            fs.symlink(Path::new(PATHS[*target]), &at(path)).map(|()| String::new())
        }
        Step::Rename(from, to) => fs.rename(&at(from), &at(to)).map(|()| String::new()),
        Step::RemoveFile(path) => fs.remove_file(&at(path)).map(|()| String::new()),
        Step::RemoveDir(path) => fs.remove_dir(&at(path)).map(|()| String::new()),
        Step::SyncDir(path) => fs.sync_dir(&at(path)).map(|()| String::new()),
        Step::Read(path) => fs.read(&at(path), 30).map(|bytes| format!("{bytes:?}")),
        Step::ReadLink(path) => fs.read_link(&at(path)).map(|target| format!("{target:?}")),
        Step::List(path) => fs.list(&at(path)).map(|entries| format!("{entries:?}")),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn programs_see_what_a_real_disk_shows(steps in prop::collection::vec(step(), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        let disk = SimDisk::new();
        for step in &steps {
            prop_assert_eq!(run(&disk, home(), step), run(&RealFs, dir.path(), step), "{:?}", step);
        }
        disk.settle();
        disk.crash(Crash::LoseAll);
        for index in 0..PATHS.len() {
            for step in [Step::Read(index), Step::ReadLink(index), Step::List(index)] {
                prop_assert_eq!(run(&disk, home(), &step), run(&RealFs, dir.path(), &step), "{:?}", step);
            }
        }
    }

    #[test]
    fn every_crash_of_every_history_leaves_a_disk_that_works(
        steps in prop::collection::vec(step(), 1..25),
        seed: u64,
    ) {
        let disk = SimDisk::new();
        for step in &steps {
            let _ = run(&disk, home(), step);
        }
        for crash in disk.crashes().into_iter().chain([Crash::Random(seed)]) {
            let copy = disk.clone();
            copy.crash(crash);
            prop_assert_eq!(copy.pending(), 0);
            let image = copy.fingerprint();
            copy.crash(Crash::LoseAll);
            prop_assert_eq!(copy.fingerprint(), image, "what is seen after {} is durable", crash);
            prop_assert!(copy.list(home()).is_ok());
        }
    }
}
