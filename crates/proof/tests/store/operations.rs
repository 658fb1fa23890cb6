//! Every operation of the store that changes the disk.

use fleetkey_agent::store::{Store, StoreFault};
use fleetkey_lifecycle::{Record, SlotId};
use fleetkey_model::provisioning::CertificateIssued;
use fleetkey_model::secret::OwnershipToken;
use fleetkey_model::time::Timestamp;
use fleetkey_proof::disk::SimDisk;
use fleetkey_proof::mint;

use super::explore::{Case, Start};
use super::state::{open, root};

pub(crate) const ONE: SlotId = SlotId(1);
pub(crate) const TWO: SlotId = SlotId(2);
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

/// What the cloud issues for the slot's request the `ordinal`th time.
pub(crate) fn issued(store: &Store, slot: SlotId, ordinal: u32) -> Result<CertificateIssued, StoreFault> {
    let minted = mint::certificate(&store.signing_request(slot)?, ordinal).unwrap();
    Ok(CertificateIssued {
        certificate_id: minted.facts.id,
        certificate_pem: minted.pem.clone(),
        private_key: None,
        certificate_ownership_token: OwnershipToken::new("t0k3n"),
    })
}

fn certify(store: &Store, slot: SlotId, ordinal: u32) -> Result<(), StoreFault> {
    store.store_certificate(slot, &issued(store, slot, ordinal)?, NOW).map(|_| ())
}

pub(crate) fn complete(store: &Store, slot: SlotId) {
    store.make_key(slot).unwrap();
    certify(store, slot, 0).unwrap();
}

pub(crate) fn record(current: SlotId) -> Record {
    Record { current: Some(current), ..Record::fresh(NOW) }
}

/// What the service made: a certificate with its key, made in another state directory.
fn made_by_the_service() -> CertificateIssued {
    let disk = SimDisk::new();
    let store = open(&disk).unwrap();
    for slot in 1..=4 {
        store.make_key(SlotId(slot)).unwrap();
    }
    let key = disk.peek(&root().join("slots/4/key.pem")).unwrap();
    let key = fleetkey_model::secret::PrivateKeyPem::new(String::from_utf8(key).unwrap());
    CertificateIssued { private_key: Some(key), ..issued(&store, SlotId(4), 0).unwrap() }
}

fn proven(name: &str, case: &Case) {
    let tried = case.explore().unwrap_or_else(|broken| panic!("{name}: {broken}"));
    assert!(tried.crashes > case.calls && tried.faults > case.calls, "{name}: {tried:?}");
    println!("{name}: {} calls, {tried:?}", case.calls);
}

#[test]
fn a_record_is_the_old_one_or_the_new_one() {
    let case = Case::new(
        |store, _| store.write_record(&record(ONE)).unwrap(),
        |store, _| store.write_record(&record(TWO)),
    );
    assert_ne!(case.old().record, case.new_state().record);
    proven("write_record", &case);
}

#[test]
fn the_first_record_is_there_or_not() {
    proven("the first write_record", &Case::new(|_, _| {}, |store, _| store.write_record(&record(ONE))));
}

#[test]
fn the_first_start_may_be_cut_off_anywhere() {
    proven("the first open", &Case::on(SimDisk::new(), Start::Cold, |_, _| Ok(())));
}

#[test]
fn a_start_that_finds_what_an_interrupted_write_left_loses_nothing_else() {
    let disk = SimDisk::new();
    let store = open(&disk).unwrap();
    complete(&store, ONE);
    store.write_record(&record(ONE)).unwrap();
    store.export(ONE).unwrap();
    for left in
        [".tmp-state.json-1", "slots/.tmp-x-1", "slots/1/.tmp-key.pem-1", "export.1/.tmp-bundle.pem-1"]
    {
        disk.plant(&root().join(left), b"half");
    }
    let case = Case::on(disk, Start::Cold, |store, _| store.scan().map(|_| ()));
    assert_eq!(case.old(), case.new_state());
    assert!(case.calls > 4);
    proven("open", &case);
}

#[test]
fn a_key_counts_with_its_request_and_not_before() {
    let case = Case::new(|_, _| {}, |store, _| store.make_key(ONE).map(|_| ()))
        .or(|state| state.slots.iter().all(|slot| slot.public_key.is_none() && slot.certificate.is_none()));
    assert!(case.new_state().slots[0].public_key.is_some());
    proven("make_key", &case);
}

#[test]
fn a_key_beside_another_slot_disturbs_nothing() {
    let case = Case::new(|store, _| complete(store, ONE), |store, _| store.make_key(TWO).map(|_| ()))
        .or(|state| state.slots[0].is_complete() && state.slots[1].public_key.is_none());
    proven("make_key beside another", &case);
}

#[test]
fn a_slot_is_reserved_or_not() {
    proven("reserve", &Case::new(|_, _| {}, |store, _| store.reserve(ONE)));
}

#[test]
fn a_certificate_is_stored_with_its_token_or_not_at_all() {
    let case = Case::new(|store, _| drop(store.make_key(ONE).unwrap()), |store, _| certify(store, ONE, 0));
    assert!(case.new_state().slots[0].is_complete() && case.new_state().slots[0].has_token);
    proven("store_certificate", &case);
}

#[test]
fn a_certificate_that_replaces_another_leaves_one_of_the_two_and_no_token_of_the_other() {
    let case = Case::new(|store, _| complete(store, ONE), |store, _| certify(store, ONE, 1))
        .or(|state| state.slots[0].is_complete() && !state.slots[0].has_token);
    let id =
        |slot: &fleetkey_lifecycle::SlotFacts| slot.certificate.as_ref().map(|certificate| certificate.id);
    assert_ne!(id(&case.old().slots[0]), id(&case.new_state().slots[0]));
    proven("store_certificate again", &case);
}

#[test]
fn a_key_that_the_service_made_comes_with_its_certificate_or_counts_as_none() {
    let came = made_by_the_service();
    let case = Case::new(
        |store, _| store.reserve(ONE).unwrap(),
        move |store, _| store.store_certificate(ONE, &came, NOW).map(|_| ()),
    )
    .or(|state| state.slots.iter().all(|slot| slot.certificate.is_none()));
    assert!(case.new_state().slots[0].is_complete());
    proven("store_certificate with a key", &case);
}

#[test]
fn a_key_that_the_service_made_in_place_of_another_never_stands_beside_its_certificate() {
    let came = made_by_the_service();
    let case = Case::new(
        |store, _| complete(store, ONE),
        move |store, _| store.store_certificate(ONE, &came, NOW).map(|_| ()),
    )
    .or(|state| state.slots[0].certificate.is_none());
    proven("store_certificate with a key again", &case);
}

#[test]
fn a_token_is_there_or_not() {
    let case = Case::new(|store, _| complete(store, ONE), |store, _| store.drop_token(ONE)).may_come_back();
    assert!(case.old().slots[0].has_token && !case.new_state().slots[0].has_token);
    proven("drop_token", &case);
}

#[test]
fn a_slot_that_is_destroyed_loses_its_key_first_and_the_others_nothing() {
    let before = |store: &Store, _: &SimDisk| {
        complete(store, ONE);
        complete(store, TWO);
        store.export(TWO).unwrap();
    };
    let case = Case::new(before, |store, _| store.destroy(ONE)).or(|state| match state.slots.as_slice() {
        [rest, other] => rest.public_key.is_none() && !rest.has_token && other.is_complete(),
        _ => false,
    });
    let case = case.may_come_back();
    assert_eq!(case.new_state().slots.len(), 1);
    proven("destroy", &case);
}

#[test]
fn an_export_is_whole_for_every_reader_at_every_moment() {
    let before = |store: &Store, _: &SimDisk| {
        complete(store, ONE);
        complete(store, TWO);
        store.export(ONE).unwrap();
    };
    let case = Case::new(before, |store, _| store.export(TWO).map(drop));
    assert!(case.old().is_whole() && case.new_state().is_whole());
    assert_ne!(case.old().export, case.new_state().export);
    proven("export", &case);
}

#[test]
fn the_first_export_is_whole_or_not_there() {
    // After a start that finds it missing it is made anew.
    let case =
        Case::new(|store, _| complete(store, ONE), |store, _| store.export(ONE).map(drop)).may_come_back();
    proven("the first export", &case);
}

#[test]
fn a_preflight_changes_nothing() {
    let case = Case::new(|store, _| complete(store, ONE), |store, _| store.preflight());
    assert_eq!(case.old(), case.new_state());
    proven("preflight", &case);
}
