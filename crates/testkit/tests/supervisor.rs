//! The supervisor on programs that everybody has: what it sees, what it makes fail, where it kills.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use fleetkey_testkit::trace::{Call, Ended, Errno, Next, Operation, Program, Signal, Target, Traced, Watch};
use fleetkey_testkit::wait::within;
use tempfile::TempDir;

/// Every call of a program on files below a directory, and what to do at one of them.
struct Script {
    below: PathBuf,
    seen: Arc<Mutex<Vec<(Operation, PathBuf)>>>,
    kill_after: Option<Operation>,
    fail: Option<(Operation, Errno)>,
}

impl Watch for Script {
    fn entering(&mut self, call: &Call) -> Option<Errno> {
        let (operation, errno) = self.fail?;
        (call.operation == operation && call.target.path()?.starts_with(&self.below)).then_some(errno)
    }

    fn done(&mut self, call: &Call, result: Result<u64, Errno>) -> Next {
        let Target::File(path) = &call.target else { return Next::Go };
        if result.is_err() || !path.starts_with(&self.below) {
            return Next::Go;
        }
        self.seen.lock().unwrap().push((call.operation, path.strip_prefix(&self.below).unwrap().to_owned()));
        if self.kill_after == Some(call.operation) { Next::Kill } else { Next::Go }
    }
}

struct Ran {
    dir: TempDir,
    seen: Vec<(Operation, PathBuf)>,
    ended: Ended,
    said: String,
}

/// Runs `dd`, which writes three times one byte, syncs and closes.
async fn dd(kill_after: Option<Operation>, fail: Option<(Operation, Errno)>) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    let below = dir.path().canonicalize().unwrap();
    let of = format!("of={}", below.join("out").display());
    let arguments = ["if=/dev/zero", &of, "bs=1", "count=3", "conv=fsync"];
    let (seen, ended, said) = run("/bin/dd", &arguments, &below, kill_after, fail).await;
    Ran { dir, seen, ended, said }
}

async fn run(
    program: &str,
    arguments: &[&str],
    below: &Path,
    kill_after: Option<Operation>,
    fail: Option<(Operation, Errno)>,
) -> (Vec<(Operation, PathBuf)>, Ended, String) {
    let seen = Arc::default();
    let script = Script { below: below.to_owned(), seen: Arc::clone(&seen), kill_after, fail };
    let program = Program {
        path: program.into(),
        arguments: arguments.iter().map(|argument| argument.into()).collect(),
    };
    let mut traced = Traced::start(program, script).await.unwrap();
    let mut stderr = traced.stderr().unwrap();
    let ended = within("the end", traced.ended()).await;
    assert!(!traced.is_known(), "what has ended has been reaped");
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    let seen = seen.lock().unwrap().clone();
    (seen, ended, said)
}

#[tokio::test]
async fn calls_are_seen_in_order_with_their_targets() {
    let ran = dd(None, None).await;
    assert_eq!(ran.ended, Ended::Exited(0), "{}", ran.said);
    let operations: Vec<Operation> = ran.seen.iter().map(|(operation, _)| *operation).collect();
    let written: Vec<Operation> =
        operations.into_iter().filter(|&operation| operation != Operation::Close).collect();
    use Operation::{Create, Sync, Write};
    assert_eq!(written, [Create, Write, Write, Write, Sync]);
    assert!(ran.seen.iter().all(|(_, path)| path == Path::new("out")), "{:?}", ran.seen);
}

#[tokio::test]
async fn a_process_is_killed_after_the_call_has_taken_effect_and_before_the_next() {
    let ran = dd(Some(Operation::Write), None).await;
    assert_eq!(ran.ended, Ended::Killed(Signal::SIGKILL));
    assert_eq!(std::fs::read(ran.dir.path().join("out")).unwrap(), [0], "one byte of three");
}

#[tokio::test]
async fn a_call_that_is_made_to_fail_has_no_effect_and_the_process_learns_why() {
    for (errno, told) in [(Errno::ENOSPC, "No space left"), (Errno::EIO, "Input/output error")] {
        let ran = dd(None, Some((Operation::Write, errno))).await;
        assert_eq!(ran.ended, Ended::Exited(1));
        assert!(ran.said.contains(told), "{}", ran.said);
        assert!(std::fs::read(ran.dir.path().join("out")).unwrap().is_empty());
    }
    let ran = dd(None, Some((Operation::Sync, Errno::EIO))).await;
    assert!(ran.said.contains("fsync failed") && ran.ended == Ended::Exited(1), "{}", ran.said);
}

#[tokio::test]
async fn relative_paths_and_both_names_of_a_rename_are_whole() {
    let dir = tempfile::tempdir().unwrap();
    let below = dir.path().canonicalize().unwrap();
    let script = format!("cd {} && : > a && exec mv -f a b", below.display());
    let (seen, ended, said) = run("/bin/sh", &["-c", &script], &below, None, None).await;
    assert_eq!(ended, Ended::Exited(0), "{said}");
    assert!(seen.contains(&(Operation::Create, "a".into())), "{seen:?}");
    assert!(seen.contains(&(Operation::Rename, "b".into())), "{seen:?}");
}

#[tokio::test]
async fn supervisors_beside_each_other_do_not_take_each_others_news() {
    let all = (0..4).map(|_| tokio::spawn(dd(None, None))).collect::<Vec<_>>();
    for one in all {
        assert_eq!(one.await.unwrap().ended, Ended::Exited(0));
    }
}

#[tokio::test]
async fn a_program_that_is_not_there_is_no_success() {
    let dir = tempfile::tempdir().unwrap();
    let (seen, ended, _) = run("/nonexistent/agent", &[], dir.path(), None, None).await;
    assert_eq!((seen.len(), ended), (0, Ended::Exited(127)));
}
