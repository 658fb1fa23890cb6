//! Plan, apply and undo: idempotent, resumable after a kill at any call, undone from any half-built state.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail the test")]
#![allow(unreachable_pub, dead_code, reason = "the account is shared by several tests")]

#[path = "support/cloud.rs"]
mod cloud;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use cloud::{Death, FakeCloud, FakeKeys, Killed};
use fleetkey_model::arn::Scope;
use fleetkey_model::certificate::CertificateStatus;
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;
use fleetkey_model::topic::TopicRoot;
use fleetkey_operator::chain::{self, JOURNAL_FILE};
use fleetkey_operator::cloud::{Key, Kind, Spec, Tags};
use fleetkey_operator::documents::{Fleet, Names};
use fleetkey_operator::plan::{
    Action, Applied, CloudNames, FLEET_TAG, Onlooker, Operator, Patience, PlanError, Removed, STATE_FILE,
    Silent, State, StateError, Tools, Wanted,
};
use tempfile::TempDir;

fn wanted() -> Wanted {
    let scope = Scope::local();
    let names = CloudNames::new("", &scope.region);
    let fleet = Fleet { scope, root: TopicRoot::default(), names: Names::new("").unwrap() };
    Wanted { fleet, names, serials: vec!["*".into()], windows: Vec::new(), retention_days: 30 }
}

/// In memory where there is such a thing: thousands of runs wait for every line of their journal to be on disk.
fn a_directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory).unwrap() } else { TempDir::new().unwrap() }
}

/// An operator's process: everything but account and directory is new each time.
async fn session<T>(
    cloud: &FakeCloud,
    directory: &Path,
    force: bool,
    work: impl AsyncFnOnce(&mut Operator<'_, FakeCloud>) -> Result<T, PlanError>,
) -> Result<T, PlanError> {
    let keys = FakeKeys::default();
    let clock = || Timestamp::from_secs(1_000_000);
    let tools = Tools {
        cloud,
        keys: &keys,
        clock: &clock,
        progress: &Silent,
        making: Patience::MAKING,
        deleting: Patience::DELETING,
    };
    let mut operator = Operator::open(tools, directory, "default", force).await?;
    work(&mut operator).await
}

async fn set_up_with(cloud: &FakeCloud, directory: &Path, wanted: &Wanted) -> Result<Applied, PlanError> {
    session(cloud, directory, false, async |operator| {
        let plan = operator.plan(wanted).await?;
        operator.apply(wanted, plan).await
    })
    .await
}

async fn set_up(cloud: &FakeCloud, directory: &Path) -> Result<Applied, PlanError> {
    set_up_with(cloud, directory, &wanted()).await
}

async fn clean_up(cloud: &FakeCloud, directory: &Path) -> Result<Removed, PlanError> {
    session(cloud, directory, false, async |operator| operator.cleanup(&wanted()).await).await
}

/// Runs to the end with time that passes by itself; `None` when the account killed it.
fn run<T>(work: impl Future<Output = T>) -> Option<T> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    match catch_unwind(AssertUnwindSafe(|| runtime.block_on(work))) {
        Ok(done) => Some(done),
        Err(payload) if payload.is::<Killed>() => None,
        Err(payload) => std::panic::resume_unwind(payload),
    }
}

fn is_whole(cloud: &FakeCloud, directory: &Path) {
    let state = cloud.state();
    assert_eq!(state.resources.len(), wanted().nodes().unwrap().len());
    assert!(
        state.resources.values().all(|(_, tags)| tags.get(FLEET_TAG).map(String::as_str) == Some("default"))
    );
    let own: Vec<_> = state.certificates.values().filter(|found| found.key.starts_with(b"secret-")).collect();
    assert_eq!(own.len(), 3, "no certificate is lost");
    assert!(own.iter().all(|found| found.status == CertificateStatus::Active && found.policies.len() == 1));
    drop(state);
    let recorded = State::read(directory).unwrap().unwrap();
    assert_eq!((recorded.resources.len(), recorded.certificates.len(), recorded.leaving.len()), (15, 3, 0));
}

fn is_empty(cloud: &FakeCloud, directory: &Path) {
    let state = cloud.state();
    assert_eq!(state.resources.keys().collect::<Vec<_>>(), Vec::<&Key>::new());
    assert_eq!((state.certificates.len(), state.things.len()), (0, 0));
    let left: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with(".lock") && !name.starts_with(JOURNAL_FILE))
        .collect();
    assert_eq!(left, Vec::<String>::new(), "no key is left behind");
}

fn journal_holds(directory: &Path) -> String {
    let path = directory.join(JOURNAL_FILE);
    chain::verify(&path).unwrap();
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_first_run_makes_everything_and_a_second_changes_nothing() {
    let (cloud, directory) = (FakeCloud::default(), a_directory());
    cloud.state().role_lag = 3;
    run(async {
        let plan = session(&cloud, directory.path(), false, async |operator| operator.plan(&wanted()).await);
        let plan = plan.await.unwrap();
        assert!(plan.steps.iter().all(|step| step.action == Action::Create));
        assert!(cloud.state().resources.is_empty(), "a plan only looks");
        let first = set_up(&cloud, directory.path()).await.unwrap();
        assert_eq!(first.steps.len(), 18);
        is_whole(&cloud, directory.path());
        let calls = cloud.state().calls.len();
        let second = set_up(&cloud, directory.path()).await.unwrap();
        assert!(second.steps.iter().all(|(action, _)| *action == "keep"), "{:?}", second.steps);
        assert_eq!((first.claim, first.controller), (second.claim, second.controller));
        let reads = ["look", "describe_certificate", "attached_policies", "identity", "endpoint"];
        for call in &cloud.state().calls[calls..] {
            assert!(reads.iter().any(|read| call.starts_with(read)), "{call}");
        }
    })
    .unwrap();
    let journal = journal_holds(directory.path());
    assert!(journal.contains("user/olga") && journal.contains("request-"), "who, and the service's ids");
    assert!(!journal.contains("secret-"), "no secret");
}

/// Killed at every call in turn, before its effect and after it, the next run completes what this one began; and
/// clean-up leaves nothing of what a killed run has made.
#[test]
fn a_run_killed_at_any_call_is_completed_or_undone_by_the_next() {
    let total = {
        let (cloud, directory) = (FakeCloud::default(), a_directory());
        run(set_up(&cloud, directory.path())).unwrap().unwrap();
        cloud.state().calls.len()
    };
    assert!(total > 40, "{total}");
    for (at, after_effect) in (0..total).flat_map(|at| [(at, false), (at, true)]) {
        for undo in [false, true] {
            let (cloud, directory) = (FakeCloud::default(), a_directory());
            cloud.state().death = Some(Death { at, after_effect });
            assert!(run(set_up(&cloud, directory.path())).is_none(), "call {at} of {total} was never made");
            cloud.state().death = None;
            if undo {
                let removed = run(clean_up(&cloud, directory.path())).unwrap().unwrap();
                assert!(removed.remains.found.is_empty() && removed.foreign.is_empty(), "call {at}");
                is_empty(&cloud, directory.path());
            } else {
                run(set_up(&cloud, directory.path())).unwrap().unwrap();
                is_whole(&cloud, directory.path());
            }
            journal_holds(directory.path());
        }
    }
}

#[test]
fn a_clean_up_killed_at_any_call_is_completed_by_the_next() {
    let prepare = || {
        let (cloud, directory) = (FakeCloud::default(), a_directory());
        run(set_up(&cloud, directory.path())).unwrap().unwrap();
        for thing in ["d1", "d2"] {
            cloud.provision(thing, "DevicePolicy", true);
        }
        cloud.state().type_lag = 2;
        (cloud, directory)
    };
    let (cloud, directory) = prepare();
    let begun = cloud.state().calls.len();
    let removed = run(clean_up(&cloud, directory.path())).unwrap().unwrap();
    assert!(removed.removed.iter().any(|what| what == "thing d2"), "{removed:?}");
    is_empty(&cloud, directory.path());
    let total = cloud.state().calls.len();
    for (at, after_effect) in (begun..total).flat_map(|at| [(at, false), (at, true)]) {
        let (cloud, directory) = prepare();
        cloud.state().death = Some(Death { at, after_effect });
        assert!(run(clean_up(&cloud, directory.path())).is_none(), "call {at} of {total} was never made");
        cloud.state().death = None;
        let removed = run(clean_up(&cloud, directory.path())).unwrap().unwrap();
        assert!(removed.remains.found.is_empty(), "call {at}: {removed:?}");
        is_empty(&cloud, directory.path());
    }
}

#[test]
fn what_differs_is_changed_and_what_is_wanted_no_more_is_deleted() {
    let (cloud, directory) = (FakeCloud::default(), a_directory());
    run(async {
        set_up(&cloud, directory.path()).await.unwrap();
        let mut other = wanted();
        other.fleet.root = TopicRoot::new("pm500").unwrap();
        other.serials = vec!["PM500-*".into()];
        other.names.rule = "another_rule".into();
        let applied = set_up_with(&cloud, directory.path(), &other).await.unwrap();
        let done: Vec<_> = applied.steps.iter().filter(|(action, _)| *action != "keep").collect();
        let done: Vec<_> = done.iter().map(|(action, what)| format!("{action} {what}")).collect();
        assert_eq!(
            done,
            [
                "change policy DevicePolicy",
                "change policy ObserverPolicy",
                "change function fleetkey-hook",
                "change role fleetkey-rule-us-east-1",
                "create topic rule another_rule",
                "delete topic rule fleetkey_attest",
            ]
        );
    })
    .unwrap();
    assert!(journal_holds(directory.path()).contains("pm500"), "before and after are on record");
}

#[test]
fn what_somebody_else_made_is_refused_and_left_alone() {
    let (cloud, directory) = (FakeCloud::default(), a_directory());
    let key = Key::new(Kind::Policy, "DevicePolicy");
    let theirs = Spec::Policy { document: "{}".into() };
    cloud.state().resources.insert(key.clone(), (theirs.clone(), Tags::new()));
    run(async {
        let refused = set_up(&cloud, directory.path()).await.unwrap_err();
        assert!(
            matches!(&refused, PlanError::Foreign(keys) if *keys == std::slice::from_ref(&key)),
            "{refused}"
        );
        assert!(refused.to_string().contains("--name-prefix"), "{refused}");
        assert_eq!(cloud.state().resources.len(), 1);
        let removed = clean_up(&cloud, directory.path()).await.unwrap();
        assert_eq!(removed.foreign, std::slice::from_ref(&key));
        assert_eq!(cloud.state().resources[&key].0, theirs);
        let adopted = session(&cloud, directory.path(), true, async |operator| {
            let plan = operator.plan(&wanted()).await?;
            operator.apply(&wanted(), plan).await
        });
        assert_eq!(adopted.await.unwrap().steps[0], ("adopt", "policy DevicePolicy".to_owned()));
        is_whole(&cloud, directory.path());
    })
    .unwrap();
}

/// A group of our group's name that somebody else made leads to their devices, not to ours.
#[test]
fn devices_of_a_group_that_is_not_ours_stay() {
    let (cloud, directory) = (FakeCloud::default(), a_directory());
    let key = Key::new(Kind::Group, wanted().fleet.names.group.as_str());
    cloud.state().resources.insert(key.clone(), (Spec::Group, Tags::new()));
    let theirs = cloud.provision("press", "TheirPolicy", true);
    run(async {
        let doomed =
            session(&cloud, directory.path(), false, async |operator| operator.doomed(&wanted()).await);
        let doomed = doomed.await.unwrap();
        assert_eq!((doomed.things.len(), &doomed.foreign), (0, &vec![key]));
        clean_up(&cloud, directory.path()).await.unwrap();
    })
    .unwrap();
    let state = cloud.state();
    assert_eq!(state.certificates[&theirs].status, CertificateStatus::Active);
    assert!(state.things.contains_key(&ThingName::new("press").unwrap()));
}

#[test]
fn a_plan_to_clean_up_names_everything_that_goes() {
    let (cloud, directory) = (FakeCloud::default(), a_directory());
    run(async {
        set_up(&cloud, directory.path()).await.unwrap();
        cloud.provision("d1", "DevicePolicy", true);
        let bereft = cloud.provision("d2", "DevicePolicy", true);
        cloud.state().certificates.get_mut(&bereft).unwrap().things.clear();
        cloud.state().things.remove(&ThingName::new("d2").unwrap());
        let doomed =
            session(&cloud, directory.path(), false, async |operator| operator.doomed(&wanted()).await);
        let doomed = doomed.await.unwrap();
        let removed = clean_up(&cloud, directory.path()).await.unwrap().removed;
        let mut told: Vec<_> =
            doomed.resources.iter().map(ToString::to_string).chain(doomed.certificates).collect();
        told.extend(doomed.things.iter().map(|thing| format!("thing {thing}")));
        told.sort();
        let mut went: Vec<_> = removed.into_iter().filter(|what| !what.ends_with("of thing d1")).collect();
        went.sort();
        assert_eq!(told, went);
    })
    .unwrap();
}

/// Whoever only looks waits for nobody, changes nothing, and asks nothing for a single device.
#[test]
fn a_look_is_taken_beside_an_operator_at_work_and_costs_no_call_for_each_device() {
    let (cloud, directory) = (FakeCloud::default(), a_directory());
    run(async {
        set_up(&cloud, directory.path()).await.unwrap();
        let journal = std::fs::read(directory.path().join(JOURNAL_FILE)).unwrap();
        let mut calls = Vec::new();
        for number in 0..9 {
            cloud.provision(&format!("d{number}"), "DevicePolicy", true);
            if number % 8 == 0 {
                let seen = session(&cloud, directory.path(), false, async |operator| {
                    let (keys, clock) = (FakeKeys::default(), || Timestamp::from_secs(1_000_000));
                    let tools = Tools {
                        cloud: &cloud,
                        keys: &keys,
                        clock: &clock,
                        progress: &Silent,
                        making: Patience::ASKING,
                        deleting: Patience::ASKING,
                    };
                    let onlooker = Onlooker::open(tools, directory.path(), "default", false).await?;
                    let before = cloud.state().calls.len();
                    let sight = onlooker.sight(&wanted()).await?;
                    calls.push(cloud.state().calls.len() - before);
                    assert_eq!(onlooker.plan(&wanted()).await?, operator.plan(&wanted()).await?);
                    Ok((sight, operator.doomed(&wanted()).await?))
                });
                let (sight, doomed) = seen.await.unwrap();
                assert_eq!((&sight.resources, &sight.foreign), (&doomed.resources, &doomed.foreign));
                assert_eq!(sight.members.len(), doomed.things.len());
                assert_eq!(sight.own.into_values().collect::<Vec<_>>(), doomed.certificates);
                // The devices', and three of our own.
                assert_eq!(sight.holders.len(), doomed.things.len() + 3);
            }
        }
        assert_eq!(calls[0], calls[1], "for 1 device and for 9");
        assert_eq!(std::fs::read(directory.path().join(JOURNAL_FILE)).unwrap(), journal);
    })
    .unwrap();
}

/// What the account has refused to make is not ours when somebody else makes it.
#[test]
fn a_refused_creation_claims_nothing() {
    let (cloud, directory) = (FakeCloud::default(), a_directory());
    let key = Key::new(Kind::Policy, "DevicePolicy");
    cloud.state().denied = Some(key.clone());
    run(async {
        let refused = set_up(&cloud, directory.path()).await.unwrap_err();
        assert!(refused.to_string().contains("AccessDenied"), "{refused}");
        assert!(!State::read(directory.path()).unwrap().unwrap().resources.contains(&key));
        let theirs = Spec::Policy { document: "{}".into() };
        cloud.state().resources.insert(key.clone(), (theirs.clone(), Tags::new()));
        assert!(matches!(set_up(&cloud, directory.path()).await, Err(PlanError::Foreign(_))));
        clean_up(&cloud, directory.path()).await.unwrap();
        assert_eq!(cloud.state().resources[&key].0, theirs);
    })
    .unwrap();
}

#[test]
fn what_was_removed_is_looked_for_again() {
    let (cloud, directory) = (FakeCloud::default(), a_directory());
    run(async {
        set_up(&cloud, directory.path()).await.unwrap();
        let id = cloud.provision("d1", "DevicePolicy", true);
        cloud.state().stubborn = Some(id);
        let removed = clean_up(&cloud, directory.path()).await.unwrap();
        assert_eq!(removed.remains.found, [format!("certificate {}", id.short())]);
    })
    .unwrap();
    let journal = journal_holds(directory.path());
    let entry = journal.lines().find(|line| line.contains(r#""action":"delete","what":"thing d1""#)).unwrap();
    assert!(entry.contains(r#""before":{"attributes":{"certificateId":"#), "{entry}");
    assert!(journal.contains(r#""policies":["DevicePolicy"],"status":"ACTIVE","things":["d1"]"#));
}

#[test]
fn what_the_tags_say_is_removed_without_any_record() {
    let (cloud, directory) = (FakeCloud::default(), a_directory());
    run(async {
        set_up(&cloud, directory.path()).await.unwrap();
        std::fs::remove_file(directory.path().join(STATE_FILE)).unwrap();
        clean_up(&cloud, directory.path()).await.unwrap();
    })
    .unwrap();
    is_empty(&cloud, directory.path());
}

#[test]
fn a_lost_answer_leaves_no_second_certificate() {
    let (cloud, directory) = (FakeCloud::default(), a_directory());
    cloud.state().lose = Some("certificate_from_csr");
    run(set_up(&cloud, directory.path())).unwrap().unwrap();
    is_whole(&cloud, directory.path());
    let (cloud, directory) = (FakeCloud::default(), a_directory());
    cloud.state().lose = Some("create");
    run(set_up(&cloud, directory.path())).unwrap().unwrap();
    is_whole(&cloud, directory.path());
}

#[test]
fn one_device_is_decommissioned_and_a_strangers_thing_is_not() {
    let (cloud, directory) = (FakeCloud::default(), a_directory());
    let thing = |name: &str| ThingName::new(name).unwrap();
    run(async {
        set_up(&cloud, directory.path()).await.unwrap();
        cloud.provision("d1", "DevicePolicy", true);
        let keep = cloud.provision("d2", "DevicePolicy", true);
        let foreign = cloud.provision("press", "DevicePolicy", false);
        let removed = session(&cloud, directory.path(), false, async |operator| {
            let removed = operator.decommission(&thing("d1")).await?;
            assert!(operator.is_gone(&thing("d1")).await? && !operator.is_gone(&thing("d2")).await?);
            assert!(operator.decommission(&thing("none")).await?.is_empty());
            assert!(matches!(operator.decommission(&thing("press")).await, Err(PlanError::ForeignThing(_))));
            Ok(removed)
        });
        assert_eq!(removed.await.unwrap().len(), 2);
        {
            let state = cloud.state();
            assert_eq!(state.things.len(), 2);
            assert!(state.certificates.contains_key(&keep) && state.certificates.contains_key(&foreign));
        }
        let removed = clean_up(&cloud, directory.path()).await.unwrap();
        assert!(removed.removed.iter().any(|what| what == "thing d2"));
        let state = cloud.state();
        assert_eq!(state.things.len(), 1, "the stranger's stays");
        assert!(state.certificates[&foreign].policies.is_empty(), "and has lost our policy only");
        assert_eq!(state.certificates[&foreign].status, CertificateStatus::Active);
    })
    .unwrap();
}

#[test]
fn a_claim_is_exchanged_and_a_kill_on_the_way_loses_neither() {
    let prepare = || {
        let (cloud, directory) = (FakeCloud::default(), a_directory());
        let claim = run(set_up(&cloud, directory.path())).unwrap().unwrap().claim;
        (cloud, directory, claim.id)
    };
    let rotate = |cloud: &FakeCloud, directory: &Path| {
        run(session(cloud, directory, false, async |operator| operator.rotate_claim(&wanted().fleet).await))
    };
    let (cloud, directory, old) = prepare();
    let begun = cloud.state().calls.len();
    let rotated = rotate(&cloud, directory.path()).unwrap().unwrap();
    assert_eq!(rotated.replaced, Some(old));
    assert!(!cloud.state().certificates.contains_key(&old));
    is_whole(&cloud, directory.path());
    let total = cloud.state().calls.len();
    for (at, after_effect) in (begun..total).flat_map(|at| [(at, false), (at, true)]) {
        let (cloud, directory, old) = prepare();
        cloud.state().death = Some(Death { at, after_effect });
        assert!(rotate(&cloud, directory.path()).is_none());
        cloud.state().death = None;
        rotate(&cloud, directory.path()).unwrap().unwrap();
        assert!(!cloud.state().certificates.contains_key(&old), "call {at}");
        is_whole(&cloud, directory.path());
    }
}

#[test]
fn a_directory_of_another_fleet_is_refused() {
    let (cloud, directory) = (FakeCloud::default(), a_directory());
    run(async {
        set_up(&cloud, directory.path()).await.unwrap();
        let keys = FakeKeys::default();
        let clock = || Timestamp::from_secs(1);
        let (making, deleting) = (Patience::MAKING, Patience::DELETING);
        let tools = Tools { cloud: &cloud, keys: &keys, clock: &clock, progress: &Silent, making, deleting };
        let refused = Operator::open(tools, directory.path(), "acme", false).await.err().unwrap();
        assert!(matches!(refused, PlanError::State(StateError::OtherFleet { .. })), "{refused}");
    })
    .unwrap();
}
