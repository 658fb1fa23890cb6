//! `fleetkey up`, the main job: a fleet that rotates under load and loses nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and waits for another process by the real clock"
)]
#![expect(dead_code, reason = "the module is shared; not every test uses all of it")]

#[path = "cli/process.rs"]
mod process;

use process::Process;
use serde_json::Value;

const LONGEST_GAP_ALLOWED_MS: u64 = 250;

fn up(data: &str, rest: &[&str]) -> Process {
    let mut arguments = vec!["up", "--json", "--data-dir", data, "--mqtt-port", "0", "--alpn-port", "0"];
    arguments.extend(rest);
    Process::start(&arguments)
}

fn finish(process: Process) -> (Vec<Value>, Value) {
    let (status, lines, errors) = process.end();
    assert!(status.success(), "{}\n{errors}", lines.join("\n"));
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.last().unwrap().clone();
    assert_eq!(summary["event"], "summary");
    (lines, summary)
}

fn count(lines: &[Value], event: &str) -> usize {
    lines.iter().filter(|line| line["event"] == event).count()
}

/// A fleet of twenty, a minute, certificates that live ten seconds: then the same fleet again.
#[test]
fn a_fleet_of_twenty_rotates_for_a_minute_and_loses_nothing_and_is_there_again() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let (lines, summary) = finish(up(data, &["--devices", "20", "--rotate-every", "10s", "--for", "60s"]));
    let number = |key: &str| summary[key].as_u64().unwrap();
    assert_eq!(count(&lines, "provisioned"), 20);
    assert!(number("rotations") >= 100, "{summary}");
    assert_eq!((number("lost"), number("rolled_back")), (0, 0), "{summary}");
    assert!(number("sent") >= 20 * 10 * 60, "a message at least every 100 ms a device: {summary}");
    assert_eq!(summary["certificates"]["ACTIVE"], 20, "{summary}");
    assert_eq!(summary["certificates"]["REVOKED"].as_u64().unwrap(), number("rotations"), "{summary}");
    let gap = number("longest_gap_ms");
    println!(
        "longest gap {gap} ms, {:.2} of the {LONGEST_GAP_ALLOWED_MS} ms allowed; messages every {} ms",
        gap as f64 / LONGEST_GAP_ALLOWED_MS as f64,
        summary["interval_ms"],
    );
    assert!(gap <= LONGEST_GAP_ALLOWED_MS, "{summary}");

    let (lines, summary) = finish(up(data, &["--devices", "20", "--rotate-every", "60s", "--for", "3s"]));
    assert_eq!(count(&lines, "provisioned"), 0, "the same fleet: nobody needs a claim again");
    assert_eq!(
        (summary["lost"].as_u64(), summary["certificates"]["ACTIVE"].as_u64()),
        (Some(0), Some(20)),
        "{summary}"
    );
}

/// The rest of the fleet is neither waited for nor counted while nobody serves it.
#[test]
fn a_part_of_the_fleet_runs_by_itself_and_a_larger_one_is_provisioned_up_to_its_size() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    finish(up(data, &["--devices", "3", "--rotate-every", "60s", "--for", "1s"]));
    let (lines, summary) = finish(up(data, &["--devices", "1", "--rotate-every", "60s", "--for", "1s"]));
    assert_eq!(count(&lines, "provisioned"), 0);
    assert_eq!(summary["certificates"]["ACTIVE"], 1, "{summary}");
    assert!(summary["sent"].as_u64().unwrap() < 400, "it ends without waiting: {summary}");
    let (lines, summary) = finish(up(data, &["--devices", "5", "--rotate-every", "60s", "--for", "1s"]));
    assert_eq!(count(&lines, "provisioned"), 2);
    assert_eq!((&summary["certificates"]["ACTIVE"], &summary["lost"]), (&5.into(), &0.into()), "{summary}");
}

/// A process that was killed cost no device: the next start goes on with each of them.
#[test]
fn after_a_kill_the_next_start_has_the_same_fleet_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let mut process = up(data, &["--devices", "4", "--rotate-every", "2s"]);
    for _ in 0..6 {
        process.event("rotated");
    }
    process.signal("KILL");
    drop(process);
    let (lines, summary) = finish(up(data, &["--devices", "4", "--rotate-every", "2s", "--for", "5s"]));
    assert_eq!((count(&lines, "provisioned"), count(&lines, "frozen")), (0, 0), "{summary}");
    assert_eq!((&summary["certificates"]["ACTIVE"], &summary["lost"]), (&4.into(), &0.into()), "{summary}");
    assert!(summary["certificates"]["INACTIVE"].is_null(), "{summary}");
}

#[test]
fn an_interrupt_ends_it_cleanly_with_a_summary() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = up(dir.path().to_str().unwrap(), &["--devices", "2", "--rotate-every", "2s"]);
    process.event("rotated");
    process.signal("INT");
    let (_, summary) = finish(process);
    assert_eq!(summary["lost"], 0, "{summary}");
    assert_eq!(summary["certificates"]["ACTIVE"], 2, "{summary}");
}

#[test]
fn a_fleet_that_is_not_provisioned_in_time_is_an_error_that_names_a_device_and_the_flag() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let (status, _, errors) = up(data, &["--devices", "2", "--provision-within", "1ms"]).end();
    assert_eq!(status.code(), Some(1), "{errors}");
    for words in [" of 2 devices", "1ms", "for example device-000", "--provision-within", "goes on from here"]
    {
        assert!(errors.contains(words), "{words:?} is not in: {errors}");
    }
    finish(up(data, &["--devices", "2", "--for", "1s"]));
}
