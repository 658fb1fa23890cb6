//! Of each state the first point and every n-th after it, on the shipping binary.

use fleetkey_testkit::kill::{Enumeration, Extent, Tally, binary, order};
use fleetkey_testkit::trace::{Errno, TraceError};

/// Devices struck side by side.
const LANES: u32 = 2;
/// How much of the whole: of each state the first point and every so-manieth after it.
const SLICE: Extent = Extent::Every(3);

/// What ran, or `None` where the environment says that it cannot.
fn ran<T>(outcome: Result<T, TraceError>) -> Option<T> {
    match outcome {
        Ok(done) => Some(done),
        Err(error @ TraceError::Seize(_)) if std::env::var_os("FLEETKEY_WITHOUT_PTRACE").is_some() => {
            println!("NOT RUN: {error}");
            None
        }
        Err(error @ TraceError::Seize(_)) => {
            panic!("{error}; or set FLEETKEY_WITHOUT_PTRACE=1 to go without")
        }
        Err(error) => panic!("{error}"),
    }
}

fn all_recovered(what: &str, tally: &Tally) {
    println!("{what}\n{tally}");
    assert_eq!(tally.shortcomings(), Vec::<String>::new(), "{what}\n{tally}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_after_any_call_of_a_rotation_costs_no_device_and_leaves_nothing() {
    let enumeration = Enumeration::start(&binary(), LANES).await;
    if let Some(tally) = ran(enumeration.kills(SLICE).await) {
        all_recovered("SIGKILL", &tally);
    }
    enumeration.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_after_any_call_of_a_first_start_leaves_a_device_that_can_be_provisioned() {
    let enumeration = Enumeration::start(&binary(), LANES).await;
    if let Some(tally) = ran(enumeration.births(SLICE).await) {
        all_recovered("SIGKILL in a first start", &tally);
    }
    enumeration.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_or_fails_at_any_call_stops_neither_the_device_nor_for_ever_its_rotation() {
    let enumeration = Enumeration::start(&binary(), LANES).await;
    for errno in [Errno::ENOSPC, Errno::EIO] {
        if let Some(tally) = ran(enumeration.faults(errno, SLICE).await) {
            all_recovered(&format!("{errno:?}"), &tally);
            assert_eq!(tally.given_up(), 0, "a fault that passes delays a rotation and no more");
            assert!(tally.restarts() * 3 > tally.points(), "about half are started again\n{tally}");
        }
    }
    enumeration.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_synced_before_it_has_its_name_and_its_name_before_anything_else_happens() {
    let enumeration = Enumeration::start(&binary(), 1).await;
    if let Some(trace) = ran(enumeration.trace().await) {
        assert_eq!(order::violations(&trace), Vec::<String>::new());
        assert!(order::renames(&trace) > 10, "keys, certificates, exports and records were seen");
    }
    enumeration.stop().await;
}
