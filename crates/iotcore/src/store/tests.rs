//! The store's promise: durable, then visible, then answered; and what it says of files it cannot use.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use fleetkey_model::name::{PolicyName, TemplateName, ThingName};
use redb::{Database, TableDefinition};
use tokio::sync::broadcast::error::TryRecvError;

use super::*;
use crate::registry::{BuiltinHook, RegistryError, SerialPattern, Tags};
use disk::{Backend, TestDisk};

mod disk;

use crate::fixtures::{CLAIM_TEMPLATE, NOW, POLICY, new_certificate};

type Planner<'a> = &'a dyn Fn(&Registry) -> Result<Plan<()>, RegistryError>;

fn thing(name: &str) -> ThingName {
    ThingName::new(name).unwrap()
}

async fn create(store: &Store, name: &str) -> Result<(), CommitError<RegistryError>> {
    let name = thing(name);
    store
        .commit(|registry| {
            registry.plan_create_thing(&name, None, [("a".into(), name.to_string())].into(), NOW)
        })
        .await
}

fn has(store: &Store, name: &str) -> bool {
    store.read().thing(&thing(name)).is_some()
}

fn on(disk: &Arc<TestDisk>) -> Store {
    Store::with_backend(Backend(disk.clone())).unwrap()
}

#[tokio::test]
async fn nothing_is_visible_or_answered_before_the_sync() {
    let disk = TestDisk::new();
    let store = on(&disk);
    let mut changes = store.subscribe();
    let held = disk.hold();
    let commit = tokio::spawn({
        let store = store.clone();
        async move { create(&store, "a").await }
    });
    disk.sync_held().await;
    assert!(!commit.is_finished());
    assert!(!has(&store, "a"));
    assert_eq!(store.epoch(), 0);
    assert!(matches!(changes.try_recv(), Err(TryRecvError::Empty)));
    assert!(!has(&on(&disk.after_power_cut()), "a"));

    drop(held);
    commit.await.unwrap().unwrap();
    assert!(has(&store, "a"));
    assert_eq!(store.epoch(), 1);
    assert_eq!(changes.try_recv().unwrap().len(), 1);
    assert!(has(&on(&disk.after_power_cut()), "a"));
}

#[tokio::test]
async fn what_was_answered_survives_a_power_cut() {
    let disk = TestDisk::new();
    let store = on(&disk);
    for round in 0..20 {
        create(&store, &format!("thing-{round}")).await.unwrap();
        let after = on(&disk.after_power_cut());
        let survivors: Vec<_> = after.read().things().cloned().collect();
        let expected: Vec<_> = store.read().things().cloned().collect();
        assert_eq!(survivors, expected);
    }
}

#[tokio::test]
async fn a_failing_disk_leaves_the_registry_as_it_was_and_a_restart_heals() {
    let disk = TestDisk::new();
    let store = on(&disk);
    create(&store, "before").await.unwrap();
    let mut changes = store.subscribe();
    disk.fail();
    for _ in 0..2 {
        let refused = create(&store, "after").await;
        assert!(matches!(refused, Err(CommitError::Storage(_))), "{refused:?}");
    }
    assert!(has(&store, "before") && !has(&store, "after"));
    assert_eq!(store.epoch(), 1);
    assert!(matches!(changes.try_recv(), Err(TryRecvError::Empty)));

    let restarted = on(&disk.after_power_cut());
    assert!(has(&restarted, "before"));
    create(&restarted, "again").await.unwrap();
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_tear_its_commit() {
    let disk = TestDisk::new();
    let store = on(&disk);
    let mut changes = store.subscribe();
    let held = disk.hold();
    let commit = tokio::spawn({
        let store = store.clone();
        async move { create(&store, "a").await }
    });
    disk.sync_held().await;
    commit.abort();
    assert!(commit.await.unwrap_err().is_cancelled());
    drop(held);
    changes.recv().await.unwrap();
    assert!(has(&store, "a"));
    assert!(has(&on(&disk.after_power_cut()), "a"));
}

#[tokio::test]
async fn commits_take_turns_so_that_each_plan_sees_the_last() {
    let store = Store::in_memory().unwrap();
    let tasks: Vec<_> = (0..16)
        .map(|round| {
            let store = store.clone();
            let attributes = [("round".to_owned(), round.to_string())];
            tokio::spawn(async move {
                let plan = |registry: &Registry| {
                    registry.plan_create_thing(&thing("one"), None, attributes.into(), NOW)
                };
                store.commit(plan).await
            })
        })
        .collect();
    let mut made = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(()) => made += 1,
            Err(CommitError::Refused(RegistryError::ThingExists { name, .. })) => {
                assert_eq!(name, thing("one"));
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((made, store.epoch()), (1, 1));
}

#[tokio::test]
async fn a_plan_that_changes_nothing_does_not_touch_the_disk() {
    let disk = TestDisk::new();
    let store = on(&disk);
    create(&store, "a").await.unwrap();
    disk.fail();
    create(&store, "a").await.unwrap();
    assert_eq!(store.epoch(), 1);
}

#[tokio::test]
async fn a_file_holds_every_kind_of_record_and_only_its_owner_reads_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.redb");
    let store = Store::open(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    create(&store, "a").await.unwrap();
    let policy = PolicyName::new("p").unwrap();
    let group = fleetkey_model::name::GroupName::new("g").unwrap();
    let template = TemplateName::new("t").unwrap();
    let hook = BuiltinHook::Serials { allow: vec![SerialPattern("A*".into())] };
    let plans: [Planner<'_>; 5] = [
        &|registry| registry.plan_create_policy(&policy, POLICY, NOW),
        &|registry| registry.plan_create_group(&group, None, NOW),
        &|registry| registry.plan_create_thing_type(&group, Default::default(), Tags::default(), NOW),
        &|registry| registry.plan_create_template(&template, CLAIM_TEMPLATE, true, Some(hook.clone()), NOW),
        &|registry| Ok(registry.plan_register_certificate(new_certificate(1), NOW)?.map(drop)),
    ];
    for plan in plans {
        store.commit(plan).await.unwrap();
    }
    let before = format!("{:?}", store.read());
    drop(store);
    let store = Store::open(&path).unwrap();
    assert_eq!(format!("{:?}", store.read()), before);
    store.commit(|registry| registry.plan_delete_policy(&policy)).await.unwrap();
    drop(store);
    assert!(Store::open(&path).unwrap().read().policy(&policy).is_none());
}

#[test]
fn a_second_process_is_told_that_the_directory_is_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.redb");
    let first = Store::open(&path).unwrap();
    let second = Store::open(&path);
    assert!(matches!(second, Err(OpenError::InUse)), "{second:?}");
    drop(first);
    Store::open(&path).unwrap();
}

#[test]
fn a_path_that_cannot_be_a_file_is_named() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), "").unwrap();
    let error = Store::open(&directory.path().join("file/registry.redb")).unwrap_err();
    assert!(matches!(&error, OpenError::File { .. }), "{error:?}");
    assert!(error.to_string().contains("registry.redb"));
}

fn tampered(edit: impl FnOnce(&redb::WriteTransaction)) -> OpenError {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.redb");
    drop(Store::open(&path).unwrap());
    let database = Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    edit(&transaction);
    transaction.commit().unwrap();
    drop(database);
    Store::open(&path).unwrap_err()
}

/// Rows as the first format had them: a thing type was its name, a policy and a template had one version.
#[tokio::test]
async fn a_file_of_the_first_format_is_opened_and_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.redb");
    drop(Store::open(&path).unwrap());
    let database = Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let put = |table: &str, key: &str, json: String| {
        let table: TableDefinition<'_, &str, &[u8]> = TableDefinition::new(table);
        transaction.open_table(table).unwrap().insert(key, json.as_bytes()).unwrap();
    };
    let at = NOW.as_millis();
    let body = serde_json::Value::from(CLAIM_TEMPLATE);
    put("policies", "p", serde_json::json!({"name": "p", "text": POLICY, "created_at": at}).to_string());
    put("thing-types", "pump", r#""pump""#.to_owned());
    put("groups", "g", format!(r#"{{"name":"g","parent":null,"policies":["p"],"created_at":{at}}}"#));
    put(
        "templates",
        "t",
        format!(
            r#"{{"name":"t","body":{body},"enabled":true,"hook":null,"created_at":{at},"last_modified":{at}}}"#
        ),
    );
    let meta: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");
    transaction.open_table(meta).unwrap().insert("format", "1").unwrap();
    transaction.delete_table(TableDefinition::<'_, &str, &[u8]>::new("event-settings")).unwrap();
    transaction.commit().unwrap();
    drop(database);

    let store = Store::open(&path).unwrap();
    let policy = PolicyName::new("p").unwrap();
    store.commit(|registry| registry.plan_create_policy_version(&policy, POLICY, true, NOW)).await.unwrap();
    let wanted = [(crate::registry::EventType::Thing, true)].into();
    let events = |registry: &Registry| Ok::<_, RegistryError>(registry.plan_update_events(&wanted, NOW));
    store.commit(events).await.unwrap();
    drop(store);
    let store = Store::open(&path).unwrap();
    let registry = store.read();
    let versions = registry.policy(&policy).unwrap().all_versions().len();
    let template = registry.template(&TemplateName::new("t").unwrap()).unwrap();
    let group = fleetkey_model::name::GroupName::new("g").unwrap();
    assert_eq!((versions, template.versions.default), (2, 1));
    assert_eq!(registry.thing_types().count(), 1);
    assert_eq!(registry.group(&group).unwrap().version, 1);
    assert!(registry.event_settings().wants(crate::registry::EventType::Thing));
}

#[test]
fn a_newer_format_is_refused_with_both_versions_named() {
    let error = tampered(|transaction| {
        let meta: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");
        transaction.open_table(meta).unwrap().insert("format", "7").unwrap();
    });
    assert!(matches!(&error, OpenError::TooNew { found, known: 2 } if found == "7"), "{error:?}");
}

#[test]
fn a_damaged_row_is_named() {
    let error = tampered(|transaction| {
        let things: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("things");
        transaction.open_table(things).unwrap().insert("x", b"{".as_slice()).unwrap();
    });
    assert!(error.to_string().contains("things/x"), "{error}");
}

#[test]
fn a_file_that_is_no_database_is_an_error_and_stays_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.redb");
    fs::write(&path, "somebody's notes").unwrap();
    assert!(matches!(Store::open(&path), Err(OpenError::Storage(_))));
    assert_eq!(fs::read(&path).unwrap(), b"somebody's notes");
}
