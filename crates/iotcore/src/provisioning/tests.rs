//! The API as a client meets it: topics, payloads, answers; what is decided is tested in `deciding`.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use fleetkey_model::certificate::{CertificateFacts, CertificateStatus};
use fleetkey_model::name::{GroupName, PolicyName, ThingName};
use fleetkey_model::provisioning::{CertificateIssued, Rejection, ThingRegistered};
use fleetkey_model::secret::OwnershipToken;
use serde_json::{Value, json};

use super::*;
use crate::clock::ManualClock;
use crate::fixtures::{CLAIM_TEMPLATE, NOW, POLICY, devices, id, new_certificate};
use crate::hook::{HookDecision, HookFailure, HookFuture};
use crate::registry::{BuiltinHook, SerialPattern};

mod deciding;
mod functions;

/// A registry with a fleet's policy, group and claim template, and the API over it.
struct Bench {
    api: ProvisioningApi,
    store: Store,
    clock: Arc<ManualClock>,
}

impl Bench {
    async fn new() -> Self {
        Self::with(ProvisioningConfig::default()).await
    }

    async fn with(config: ProvisioningConfig) -> Self {
        let store = Store::in_memory().unwrap();
        set_up(&store).await;
        Self::on(store, config)
    }

    fn on(store: Store, config: ProvisioningConfig) -> Self {
        let clock = Arc::new(ManualClock::new(NOW));
        Self {
            api: ProvisioningApi::new(store.clone(), devices(), clock.clone(), Scope::local(), config),
            store,
            clock,
        }
    }

    async fn ask(&self, topic: &str, payload: &[u8]) -> Answer {
        let topic = ReservedTopic::parse(topic).unwrap();
        self.api.handle(claim(), &topic, payload).await
    }

    async fn accepted<T: serde::de::DeserializeOwned>(&self, topic: &str, payload: &Value) -> T {
        let answer = self.ask(topic, payload.to_string().as_bytes()).await;
        assert_eq!(answer.topic.to_string(), format!("{topic}/accepted"), "{:?}", answer.payload);
        serde_json::from_slice(&answer.payload).unwrap()
    }

    async fn rejected(&self, topic: &str, payload: impl AsRef<[u8]>) -> Rejection {
        let answer = self.ask(topic, payload.as_ref()).await;
        assert_eq!(answer.topic.to_string(), format!("{topic}/rejected"));
        serde_json::from_slice(&answer.payload).unwrap()
    }

    async fn issued(&self) -> CertificateIssued {
        self.accepted(CSR_TOPIC, &json!({"certificateSigningRequest": CSR})).await
    }
}

const KEYS_TOPIC: &str = "$aws/certificates/create/json";
const CSR_TOPIC: &str = "$aws/certificates/create-from-csr/json";
const REGISTER_TOPIC: &str = "$aws/provisioning-templates/claim/provision/json";
const CSR: &str = include_str!("../../fixtures/csr/p256-sha256.pem");

fn claim() -> Caller {
    Caller { principal: id(200), client_id: ClientId::new("claim-1").unwrap() }
}

async fn set_up(store: &Store) {
    let template = TemplateName::new("claim").unwrap();
    let hook = BuiltinHook::Serials { allow: vec![SerialPattern("PM-*".into())] };
    let policy = PolicyName::new("device").unwrap();
    let group = GroupName::new("fleet").unwrap();
    store.commit(|registry| registry.plan_create_policy(&policy, POLICY, NOW)).await.unwrap();
    store.commit(|registry| registry.plan_create_group(&group, None, NOW)).await.unwrap();
    store.commit(|registry| registry.plan_register_certificate(new_certificate(200), NOW)).await.unwrap();
    store
        .commit(|registry| registry.plan_create_template(&template, CLAIM_TEMPLATE, true, Some(hook), NOW))
        .await
        .unwrap();
}

fn register(token: &OwnershipToken, serial: &str) -> Value {
    json!({"certificateOwnershipToken": token.expose(), "parameters": {"SerialNumber": serial}})
}

#[tokio::test]
async fn a_device_provisions_with_keys_made_for_it_whatever_payload_it_sends() {
    let bench = Bench::new().await;
    for payload in ["", "{}", "\0 ignored"] {
        let answer = bench.ask(KEYS_TOPIC, payload.as_bytes()).await;
        let issued: CertificateIssued = serde_json::from_slice(&answer.payload).unwrap();
        assert!(issued.private_key.is_some());
        let facts = CertificateFacts::from_pem(&issued.certificate_pem).unwrap();
        assert_eq!(facts.id, issued.certificate_id);
        let status = bench.store.read().certificate(&facts.id).unwrap().status;
        assert_eq!(status, CertificateStatus::PendingActivation);
    }
}

#[tokio::test]
async fn a_device_provisions_with_its_own_key() {
    let bench = Bench::new().await;
    let issued = bench.issued().await;
    assert!(issued.private_key.is_none());
    let request = register(&issued.certificate_ownership_token, "PM-1");
    let registered: ThingRegistered = bench.accepted(REGISTER_TOPIC, &request).await;
    let thing = ThingName::new("PM-1").unwrap();
    assert_eq!(registered.thing_name.as_ref(), Some(&thing));
    assert_eq!(registered.device_configuration, BTreeMap::from([("root".into(), "device".into())]));
    let registry = bench.store.read();
    let record = registry.certificate(&issued.certificate_id).unwrap();
    assert_eq!(record.status, CertificateStatus::Active);
    assert_eq!(record.exclusive_thing(), Some(&thing));
    assert_eq!(record.policies.len(), 1);
    assert_eq!(registry.thing(&thing).unwrap().groups.len(), 1);
}

#[tokio::test]
async fn device_configuration_is_there_even_when_it_is_empty() {
    let bench = Bench::new().await;
    let name = TemplateName::new("claim").unwrap();
    let body = CLAIM_TEMPLATE.replace(r#""root": "device""#, "");
    bench
        .store
        .commit(|registry| registry.plan_update_template(&name, NOW, |template| template.body = body))
        .await
        .unwrap();
    let issued = bench.issued().await;
    let request = register(&issued.certificate_ownership_token, "PM-1");
    let answer: Value = bench.accepted(REGISTER_TOPIC, &request).await;
    assert_eq!(answer, json!({"deviceConfiguration": {}, "thingName": "PM-1"}));
}

#[tokio::test]
async fn cbor_is_spoken_where_the_topic_says_so() {
    let bench = Bench::new().await;
    let topic = "$aws/certificates/create-from-csr/cbor";
    let request = cbor::encode(&json!({"certificateSigningRequest": CSR}));
    let answer = bench.ask(topic, &request).await;
    assert_eq!(answer.topic.to_string(), format!("{topic}/accepted"));
    let issued = cbor::decode(&answer.payload).unwrap();
    let token = OwnershipToken::new(issued["certificateOwnershipToken"].as_str().unwrap());
    let request = cbor::encode(&register(&token, "PM-1"));
    let answer = bench.ask("$aws/provisioning-templates/claim/provision/cbor", &request).await;
    assert_eq!(cbor::decode(&answer.payload).unwrap()["thingName"], "PM-1");
    let answer = bench.ask(topic, b"{}").await;
    assert_eq!(cbor::decode(&answer.payload).unwrap()["errorCode"], "InvalidPayload");
}

#[tokio::test]
async fn payloads_that_cannot_be_read_are_refused_without_repeating_them() {
    let bench = Bench::new().await;
    for payload in ["", "{", "[]", "{}", r#"{"certificateSigningRequest": 1}"#, "\u{fffd}"] {
        let rejection = bench.rejected(CSR_TOPIC, payload).await;
        assert_eq!(
            (rejection.status_code, rejection.error_code.as_str()),
            (400, "InvalidPayload"),
            "{payload}"
        );
    }
    let secret = r#"{"certificateOwnershipToken": {"s3cret": 1}}"#;
    let rejection = bench.rejected(REGISTER_TOPIC, secret).await;
    assert!(!rejection.error_message.contains("s3cret"), "{}", rejection.error_message);
}

#[tokio::test]
async fn a_bad_signing_request_says_what_is_wrong_with_it() {
    let bench = Bench::new().await;
    let small = include_str!("../../fixtures/csr/rsa512-sha256.pem");
    for (csr, word) in [("rubbish", "PKCS#10"), (small, "512 bits")] {
        let payload = json!({"certificateSigningRequest": csr}).to_string();
        let rejection = bench.rejected(CSR_TOPIC, payload).await;
        assert_eq!(rejection.status_code, 400);
        assert!(rejection.error_message.contains(word), "{}", rejection.error_message);
    }
    assert_eq!(bench.store.read().certificates().count(), 1);
}

#[tokio::test]
async fn an_empty_an_absent_and_an_unknown_token_are_refused_in_aws_words() {
    let bench = Bench::new().await;
    for payload in [
        "{}",
        r#"{"certificateOwnershipToken": ""}"#,
        r#"{"certificateOwnershipToken": null, "parameters": null}"#,
    ] {
        let rejection = bench.rejected(REGISTER_TOPIC, payload).await;
        assert_eq!(rejection.error_code, "InvalidCertificateOwnershipToken");
        assert_eq!(rejection.error_message, "Certificate ownership token cannot be empty.");
    }
    let rejection = bench.rejected(REGISTER_TOPIC, r#"{"certificateOwnershipToken": "x"}"#).await;
    assert_eq!(rejection.error_message, "Certificate ownership token is invalid.");
}

#[tokio::test]
async fn an_unregistered_certificate_is_gone_after_an_hour() {
    let bench = Bench::new().await;
    let issued = bench.issued().await;
    bench.clock.advance(Duration::from_secs(3599));
    assert_eq!(bench.api.expire().await.unwrap(), []);
    bench.clock.advance(Duration::from_secs(1));
    let request = register(&issued.certificate_ownership_token, "PM-1").to_string();
    let rejection = bench.rejected(REGISTER_TOPIC, &request).await;
    assert_eq!(rejection.error_code, "InvalidCertificateOwnershipToken");
    assert_eq!(bench.api.expire().await.unwrap(), [issued.certificate_id]);
    assert!(bench.store.read().certificate(&issued.certificate_id).is_none());
}

#[tokio::test]
async fn beyond_the_quota_a_request_is_throttled_and_may_be_repeated_later() {
    let rates = Rates { create_from_csr: 2, ..Rates::AWS };
    let bench = Bench::with(ProvisioningConfig { rates: Some(rates), ..ProvisioningConfig::default() }).await;
    bench.issued().await;
    bench.issued().await;
    let payload = json!({"certificateSigningRequest": CSR}).to_string();
    let rejection = bench.rejected(CSR_TOPIC, &payload).await;
    assert_eq!((rejection.status_code, rejection.error_code.as_str()), (429, "Throttled"));
    bench.clock.advance(Duration::from_millis(500));
    bench.issued().await;
}

#[tokio::test]
async fn a_topic_that_takes_no_requests_is_answered_with_a_rejection() {
    let bench = Bench::new().await;
    let topic = ReservedTopic::CreateKeys(Format::Json, Leg::Accepted);
    let answer = bench.api.handle(claim(), &topic, b"").await;
    assert_eq!(answer.topic, ReservedTopic::CreateKeys(Format::Json, Leg::Rejected));
}

#[tokio::test]
async fn an_answer_cannot_be_printed() {
    let bench = Bench::new().await;
    let answer = bench.ask(KEYS_TOPIC, b"").await;
    assert!(!format!("{answer:?}").contains("KEY"), "{answer:?}");
}

/// Records what it is told, and answers as it is told to.
struct Recorder {
    events: Mutex<Vec<HookEvent>>,
    answer: fn() -> HookFuture,
}

impl PreProvisioningHook for Recorder {
    fn call(&self, event: HookEvent) -> HookFuture {
        self.events.lock().unwrap().push(event);
        (self.answer)()
    }
}

async fn with_hook(answer: fn() -> HookFuture) -> (Bench, Arc<Recorder>) {
    let hook = Arc::new(Recorder { events: Mutex::default(), answer });
    let config = ProvisioningConfig { hook: Some(hook.clone()), ..ProvisioningConfig::default() };
    (Bench::with(config).await, hook)
}

#[tokio::test]
async fn an_external_hook_is_told_all_and_overrides_parameters() {
    let (bench, hook) = with_hook(|| {
        Box::pin(async {
            Ok(HookDecision {
                allow_provisioning: true,
                parameter_overrides: [("SerialNumber".to_owned(), "PM-renamed".to_owned())].into(),
            })
        })
    })
    .await;
    let issued = bench.issued().await;
    let request = register(&issued.certificate_ownership_token, "anything");
    let registered: ThingRegistered = bench.accepted(REGISTER_TOPIC, &request).await;
    assert_eq!(registered.thing_name.unwrap().as_str(), "PM-renamed");
    let events = hook.events.lock().unwrap();
    let event = serde_json::to_value(&events[0]).unwrap();
    assert_eq!(event["claimCertificateId"], claim().principal.to_string());
    assert_eq!(event["templateArn"], "arn:aws:iot:us-east-1:123456789012:provisioningtemplate/claim");
    assert_eq!(event["clientId"], "claim-1");
    assert_eq!(event["parameters"], json!({"SerialNumber": "anything"}));
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_refuses_fails_or_sleeps_denies_access_and_leaves_nothing_behind() {
    let answers: [fn() -> HookFuture; 3] = [
        || Box::pin(async { Ok(HookDecision::default()) }),
        || Box::pin(async { Err(HookFailure("broken".into())) }),
        || Box::pin(std::future::pending()),
    ];
    for answer in answers {
        let (bench, _) = with_hook(answer).await;
        let issued = bench.issued().await;
        let request = register(&issued.certificate_ownership_token, "PM-1").to_string();
        let rejection = bench.rejected(REGISTER_TOPIC, &request).await;
        assert_eq!((rejection.status_code, rejection.error_code.as_str()), (403, "AccessDenied"));
        assert_eq!(bench.store.read().things().count(), 0);
    }
}
