//! Killed with SIGKILL at each call in turn, held before the account has seen it and again before its answer is seen:
//! the next run completes what the killed one began, or undoes it.
//!
//! Without `FLEETKEY_EVERY_KILL` only every so-many-th call is taken.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use fleetkey_operator::chain::{self, JOURNAL_FILE};
use tempfile::TempDir;

use crate::core::{Core, Outcome, a_directory, copy_tree};
use crate::inventory::{Clients, Inventory};
use crate::process::PATIENCE;
use crate::proxy::{Proxy, Side, Stop};
use crate::whole::no_key_is_left;

/// Of how many calls one is taken in the test command.
const ONE_OF: usize = 4;
/// How many accounts are worked on at once: more than cores, because set-up and clean-up mostly wait.
const WORKERS: usize = 6;

/// What makes an account empty, or what it was when it was copied.
struct Bench {
    core: Core,
    clients: Clients,
}

impl Bench {
    fn of(core: Core) -> Self {
        let clients = Clients::of(&core);
        Self { core, clients }
    }

    /// `POST /_fleetkey/reset`.
    fn reset(&self) {
        let address = self.core.address();
        let mut stream = TcpStream::connect(address).unwrap();
        let request = format!(
            "POST /_fleetkey/reset HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    fn set_up(&self, fleet: &Path) -> Outcome {
        self.core.set_up(&[], fleet)
    }
}

/// Runs a command until the call to stop at is in the proxy's hand, and kills it.
fn kill_at(core: &Core, arguments: &[&str], fleet: &Path, stop: Stop) {
    let proxy = Proxy::start(core.address(), Some(stop));
    let mut child = core.command(&proxy.url(), arguments, fleet).spawn().unwrap();
    let end = Instant::now() + PATIENCE;
    // Either the call is held, or the command ends without it.
    while let Err(RecvTimeoutError::Timeout) = proxy.held().recv_timeout(Duration::from_millis(50)) {
        let ended = child.try_wait().unwrap();
        assert!(
            ended.is_none() && Instant::now() < end,
            "{stop:?} was never reached: {:?}",
            Outcome::of(child)
        );
    }
    child.kill().unwrap();
    assert_eq!(Outcome::of(child).code, -1);
}

/// The calls of an undisturbed run.
fn calls_of(core: &Core, arguments: &[&str], fleet: &Path) -> usize {
    let proxy = Proxy::start(core.address(), None);
    Outcome::of(core.command(&proxy.url(), arguments, fleet).spawn().unwrap()).good();
    proxy.calls().len()
}

/// The points to kill at, of a run of so many calls.
fn points(calls: usize) -> Vec<Stop> {
    let one_of = if std::env::var_os("FLEETKEY_EVERY_KILL").is_some() { 1 } else { ONE_OF };
    let sides = [Side::Before, Side::After];
    (0..calls).step_by(one_of).flat_map(|at| sides.map(|side| Stop { at, side })).collect()
}

/// Tries every point, some at once; how many were tried.
fn each<W>(points: &[Stop], worker: impl Fn() -> W + Sync, attempt: impl Fn(&W, Stop) + Sync) -> usize {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(0));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let bench = worker();
                while let Some(stop) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                    attempt(&bench, *stop);
                    *done.lock().unwrap() += 1;
                }
            });
        }
    });
    done.into_inner().unwrap()
}

#[track_caller]
fn journal_holds(fleet: &Path) {
    let path = fleet.join("operator").join(JOURNAL_FILE);
    if path.exists() {
        chain::verify(&path).unwrap();
    }
}

/// `setup` is killed at each of its calls; `setup` again makes the very account that an undisturbed run makes, no
/// certificate more; and `cleanup` instead leaves nothing.
#[test]
fn a_setup_killed_at_any_call_is_completed_or_undone_by_the_next() {
    let bench = Bench::of(Core::empty());
    let fleet = a_directory();
    let words = bench.core.setup();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let calls = calls_of(&bench.core, &words, fleet.path());
    let whole = bench.clients.inventory();
    drop(bench);
    let points = points(calls);
    let killed = each(
        &points,
        || Bench::of(Core::empty()),
        |bench, stop| {
            let words = bench.core.setup();
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            let fleet = a_directory();
            kill_at(&bench.core, &words, fleet.path(), stop);
            bench.set_up(fleet.path()).good();
            assert_eq!(bench.clients.inventory(), whole, "{stop:?}");
            journal_holds(fleet.path());
            bench.reset();

            let fleet = a_directory();
            kill_at(&bench.core, &words, fleet.path(), stop);
            bench.core.run(&["cleanup"], fleet.path()).good();
            assert_eq!(bench.clients.inventory(), Inventory::new(), "{stop:?}");
            no_key_is_left(fleet.path());
            journal_holds(fleet.path());
            bench.reset();
        },
    );
    println!("setup: {calls} calls, {} killed, {killed} completed, {killed} undone", points.len());
}

/// `cleanup` of a fleet with devices is killed at each of its calls; the next one leaves nothing.
#[test]
fn a_cleanup_killed_at_any_call_is_completed_by_the_next() {
    let whole = completed_after_each_kill(&["cleanup"], |fleet, _| no_key_is_left(fleet));
    assert_eq!(whole, Inventory::new());
}

/// The exchange of the claim, killed at each of its calls, leaves one claim, and a device's end none of its certificates.
#[test]
fn claim_and_device_are_not_lost_half_way() {
    let three = completed_after_each_kill(&["rotate-claim"], |_, _| {});
    assert_eq!(three.keys().filter(|name| name.starts_with("certificate")).count(), 3 + 2);
    let left = completed_after_each_kill(&["decommission", "press-1"], |_, _| {});
    assert_eq!(left.keys().filter(|name| name.starts_with("certificate")).count(), 3 + 1);
    assert!(left.contains_key("thing press-2") && !left.contains_key("thing press-1"));
}

/// A panic that is killed at any call is completed by the next, and the way back brings back the account as it was.
#[test]
fn a_panic_killed_at_any_call_is_completed_and_undone() {
    for what in
        [["claim", "--yes", "--why", "x"].as_slice(), &["policy", "DevicePolicy", "--yes", "--why", "x"]]
    {
        let panic = [&["panic"], what].concat();
        let undo = ["panic", "undo", "--yes", "--why", "x"];
        let stopped = completed_after_each_kill(&panic, |_, _| {});
        let undone = ended_after_each_kill(&panic, &[&panic, &undo], |_, _| {});
        assert_ne!(stopped, undone, "{what:?}");
    }
}

/// A recovery window whose opening is killed at any call is closed by the next command, and nothing is left of it.
#[test]
fn a_window_killed_at_any_call_is_closed_by_the_next_command() {
    let open = ["recovery", "open", "--serial", "press-1", "--for", "1h", "--why", "x"];
    ended_after_each_kill(&open, &[&["recovery", "close"]], |_, _| {});
}

/// Kills a command on a fleet with two devices at each of its calls, and runs it again: the account must then be as after
/// an undisturbed run, which is returned.
fn completed_after_each_kill(command: &[&str], check: impl Fn(&Path, Stop) + Sync) -> Inventory {
    ended_after_each_kill(command, &[command], check)
}

/// The same with other commands after the kill: the account must then be as when nothing was killed before them.
fn ended_after_each_kill(
    command: &[&str],
    next: &[&[&str]],
    check: impl Fn(&Path, Stop) + Sync,
) -> Inventory {
    let (account, fleet) = a_fleet_at_rest();
    let copy = || {
        let copied = a_directory();
        copy_tree(fleet.path(), copied.path());
        (Bench::of(Core::copy(account.path())), copied)
    };
    let (bench, copied) = copy();
    let calls = calls_of(&bench.core, command, copied.path());
    for command in next.iter().filter(|next| **next != command) {
        bench.core.run(command, copied.path()).good();
    }
    let whole = bench.clients.inventory();
    drop(bench);
    let points = points(calls);
    let killed = each(
        &points,
        || (),
        |(), stop| {
            let (bench, fleet) = copy();
            kill_at(&bench.core, command, fleet.path(), stop);
            for command in next {
                bench.core.run(command, fleet.path()).good();
            }
            assert_eq!(bench.clients.inventory(), whole, "{stop:?}");
            journal_holds(fleet.path());
            check(fleet.path(), stop);
        },
    );
    println!("{}: {calls} calls, {} killed, {killed} completed", command[0], points.len());
    whole
}

/// The files of an account with a fleet of two devices, and the fleet's directory; nobody serves it.
fn a_fleet_at_rest() -> (TempDir, TempDir) {
    let (core, fleet) = (Core::empty(), a_directory());
    core.set_up(&[], fleet.path()).good();
    for serial in ["press-1", "press-2"] {
        core.provision(serial, fleet.path());
    }
    (core.stop(), fleet)
}
