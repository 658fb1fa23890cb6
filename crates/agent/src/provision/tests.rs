//! One exchange each, on a scripted connection.

use fleetkey_mqtt::ReasonCode;

use super::*;
use crate::carrier::Broken;
use crate::keys::{Keys, P256Keys};
use crate::store::testing::issued_for;
use crate::testing::{Script, Scripted};

const LIMIT: Duration = Duration::from_millis(50);
const ACCEPTED: &str = "$aws/certificates/create-from-csr/json/accepted";
const REJECTED: &str = "$aws/certificates/create-from-csr/json/rejected";

fn public_key() -> Vec<u8> {
    P256Keys.public_key(&P256Keys.generate().unwrap()).unwrap()
}

fn issued(key: &[u8]) -> (String, Vec<u8>) {
    (ACCEPTED.to_owned(), serde_json::to_vec(&issued_for(key)).unwrap())
}

async fn ask_for(requests: &Scripted, mut script: Script, key: &[u8]) -> Result<CertificateIssued, Unserved> {
    certificate_for_csr(requests, &mut script, "csr".into(), key, LIMIT).await
}

fn no_answer(served: Result<CertificateIssued, Unserved>) -> String {
    match served {
        Err(Unserved::NoAnswer(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn both_answers_are_subscribed_to_before_the_request_is_published() {
    let (requests, key) = (Scripted::willing(), public_key());
    ask_for(&requests, Script::of([issued(&key)]), &key).await.unwrap();
    let log = requests.log.into_inner().unwrap();
    let request = "publish $aws/certificates/create-from-csr/json".to_owned();
    assert_eq!(log, [format!("subscribe {ACCEPTED}"), format!("subscribe {REJECTED}"), request]);
}

#[tokio::test]
async fn answers_for_another_key_rubbish_and_other_topics_are_passed_over() {
    let key = public_key();
    let script = Script::of([
        issued(&public_key()),
        (ACCEPTED.to_owned(), b"rubbish".to_vec()),
        ("device/dev-1/x".to_owned(), issued(&key).1),
        issued(&key),
    ]);
    let issued = ask_for(&Scripted::willing(), script, &key).await.unwrap();
    let facts = CertificateFacts::from_pem(&issued.certificate_pem).unwrap();
    assert_eq!(facts.public_key, key);
}

#[tokio::test]
async fn a_rejection_is_told_apart_from_silence() {
    let key = public_key();
    let rejection =
        Rejection { status_code: 429, error_code: "Throttled".into(), error_message: "slow down".into() };
    let script = Script::of([(REJECTED.to_owned(), serde_json::to_vec(&rejection).unwrap())]);
    let served = ask_for(&Scripted::willing(), script, &key).await;
    assert_eq!(served, Err(Unserved::Rejected(rejection)));
    let why = no_answer(ask_for(&Scripted::willing(), Script::of([]), &key).await);
    assert!(why.contains("no answer to $aws/certificates/create-from-csr/json"), "{why}");
}

#[tokio::test]
async fn an_answer_counts_even_if_the_acknowledgement_of_the_request_was_lost() {
    let key = public_key();
    let requests = Scripted { acknowledges: false, ..Scripted::willing() };
    ask_for(&requests, Script::of([issued(&key)]), &key).await.unwrap();
}

#[tokio::test]
async fn what_the_broker_does_not_let_us_ask_is_no_rejection() {
    let key = public_key();
    let deaf = Scripted { granted: ReasonCode::NOT_AUTHORIZED, ..Scripted::willing() };
    let why = no_answer(ask_for(&deaf, Script::of([]), &key).await);
    assert!(why.contains("not allowed to subscribe"), "{why}");
    let mute =
        Scripted { published: Err(Broken::Refused(ReasonCode::NOT_AUTHORIZED)), ..Scripted::willing() };
    let why = no_answer(ask_for(&mute, Script::of([]), &key).await);
    assert!(why.contains("not authorized"), "{why}");
    let cut = Script { ends: true, ..Script::of([]) };
    let why = no_answer(ask_for(&Scripted::willing(), cut, &key).await);
    assert!(why.contains("lost"), "{why}");
}

const REGISTERED: &str = "$aws/provisioning-templates/Rotation/provision/json/accepted";

fn registered(thing: Option<&str>) -> (String, Vec<u8>) {
    let thing_name = thing.map(|thing| thing.parse().unwrap());
    let answer = ThingRegistered { device_configuration: BTreeMap::new(), thing_name };
    (REGISTERED.to_owned(), serde_json::to_vec(&answer).unwrap())
}

async fn register(
    script: impl IntoIterator<Item = (String, Vec<u8>)>,
) -> Result<Option<ThingName>, Unserved> {
    let (template, serial) = ("Rotation".parse().unwrap(), "dev-1".parse().unwrap());
    let (requests, mut script) = (Scripted::willing(), Script::of(script));
    register_thing(&requests, &mut script, &template, OwnershipToken::new("t"), &serial, LIMIT).await
}

#[tokio::test]
async fn an_acceptance_that_names_another_thing_is_not_taken_for_ours() {
    let ours = register([registered(Some("dev-2")), registered(Some("dev-1"))]).await;
    assert_eq!(ours, Ok(Some("dev-1".parse().unwrap())));
    let Err(Unserved::NoAnswer(why)) = register([registered(Some("dev-2"))]).await else {
        panic!("somebody else's answer was taken");
    };
    assert!(why.contains("dev-2"), "{why}");
    assert_eq!(register([registered(None)]).await, Ok(None), "a template may leave the name out");
}
