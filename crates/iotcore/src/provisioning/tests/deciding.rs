//! What the core decides, without any I/O: the order of RegisterThing, override settings, hooks, repetition.

use super::super::core::{Register, issue, register};
use super::super::{Caller, Refusal};
use crate::fixtures::{CLAIM_TEMPLATE, NOW, POLICY, ROTATION_TEMPLATE, id, minted, new_certificate};
use crate::registry::{BuiltinHook, Plan, Registry, RegistryError, SerialPattern, Source};
use fleetkey_model::certificate::{CertificateId, CertificateStatus, ThingPrincipalType};
use fleetkey_model::name::{ClientId, GroupName, PolicyName, TemplateName, ThingName};
use fleetkey_model::provisioning::ThingRegistered;
use fleetkey_model::secret::OwnershipToken;

/// A registry with a fleet's policy and group, and the three templates of the design.
struct Fleet {
    registry: Registry,
}

impl Fleet {
    fn new() -> Self {
        let mut fleet = Self { registry: Registry::new() };
        let serials = BuiltinHook::Serials { allow: vec![SerialPattern("PM-*".into())] };
        fleet.apply(|r| r.plan_create_policy(&PolicyName::new("device").unwrap(), POLICY, NOW));
        fleet.apply(|r| r.plan_create_group(&GroupName::new("fleet").unwrap(), None, NOW));
        fleet.apply(|r| r.plan_register_certificate(new_certificate(200), NOW));
        for (name, body, enabled, hook) in [
            ("claim", CLAIM_TEMPLATE, true, Some(serials.clone())),
            ("rotation", ROTATION_TEMPLATE, true, Some(BuiltinHook::OwnThing)),
            ("recovery", ROTATION_TEMPLATE, false, Some(serials)),
        ] {
            let name = TemplateName::new(name).unwrap();
            fleet.apply(|r| r.plan_create_template(&name, body, enabled, hook, NOW));
        }
        fleet
    }

    fn apply<T>(&mut self, plan: impl FnOnce(&Registry) -> Result<Plan<T>, RegistryError>) -> T {
        let plan = plan(&self.registry).unwrap();
        plan.changes.iter().for_each(|change| self.registry.apply(change));
        plan.output
    }

    /// Makes the `n`th certificate over MQTT.
    fn issue(&mut self, n: u8) -> OwnershipToken {
        let plan = issue(&self.registry, &minted(n), Source::Csr, &[n; 32], NOW).unwrap();
        plan.changes.iter().for_each(|change| self.registry.apply(change));
        plan.output.certificate_ownership_token
    }

    fn register(
        &mut self,
        caller: &Caller,
        template: &str,
        token: &OwnershipToken,
        serial: &str,
    ) -> Result<ThingRegistered, Refusal> {
        let request = Register {
            template: TemplateName::new(template).unwrap(),
            token: token.clone(),
            parameters: [("SerialNumber".to_owned(), serial.to_owned())].into(),
            allowed_by: None,
        };
        let plan = register(&self.registry, caller, &request, NOW)?;
        plan.changes.iter().for_each(|change| self.registry.apply(change));
        Ok(plan.output)
    }

    /// A device PM-1 that lives on certificate 1.
    fn with_device() -> Self {
        let mut fleet = Self::new();
        let token = fleet.issue(1);
        fleet.register(&claim(), "claim", &token, "PM-1").unwrap();
        fleet
    }

    fn status(&self, n: u8) -> CertificateStatus {
        self.registry.certificate(&id(n)).unwrap().status
    }
}

fn thing(name: &str) -> ThingName {
    ThingName::new(name).unwrap()
}

fn caller(principal: CertificateId, client_id: &str) -> Caller {
    Caller { principal, client_id: ClientId::new(client_id).unwrap() }
}

fn claim() -> Caller {
    caller(id(200), "claim-1")
}

fn conflict() -> Refusal {
    Refusal::Conflict { thing: thing("PM-1"), property: "AttributePayload" }
}

#[test]
fn a_claim_takes_a_new_serial_once() {
    let mut fleet = Fleet::with_device();
    assert_eq!(fleet.status(1), CertificateStatus::Active);
    let token = fleet.issue(2);
    assert_eq!(fleet.register(&claim(), "claim", &token, "PM-1"), Err(conflict()));
    assert_eq!(fleet.status(2), CertificateStatus::PendingActivation);
    assert!(fleet.registry.things_of(&id(2)).is_empty());
}

#[test]
fn a_claim_does_not_take_a_thing_that_the_operator_made() {
    let mut fleet = Fleet::new();
    fleet.apply(|r| r.plan_create_thing(&thing("PM-1"), None, [].into(), NOW));
    let token = fleet.issue(1);
    assert_eq!(fleet.register(&claim(), "claim", &token, "PM-1"), Err(conflict()));
}

#[test]
fn a_serial_that_is_not_on_the_list_is_refused_and_so_is_none() {
    let mut fleet = Fleet::new();
    let token = fleet.issue(1);
    assert_eq!(fleet.register(&claim(), "claim", &token, "XX-1"), Err(Refusal::AccessDenied));
    let template = TemplateName::new("claim").unwrap();
    let request = Register { template, token, parameters: [].into(), allowed_by: None };
    let refusal = register(&fleet.registry, &claim(), &request, NOW).unwrap_err();
    assert_eq!(refusal.rejection().error_code, "InvalidParameters");
    assert!(!refusal.retryable());
}

#[test]
fn a_device_whose_answer_was_lost_may_repeat_and_gets_the_same_answer() {
    let mut fleet = Fleet::new();
    let token = fleet.issue(1);
    let first = fleet.register(&claim(), "claim", &token, "PM-1").unwrap();
    let before = format!("{:?}", fleet.registry);
    let second = fleet.register(&claim(), "claim", &token, "PM-1").unwrap();
    assert_eq!(first, second);
    assert_eq!(format!("{:?}", fleet.registry), before);
    let other = fleet.register(&claim(), "claim", &token, "PM-2");
    assert_eq!(other, Err(Refusal::InvalidToken));
    assert!(fleet.registry.thing(&thing("PM-2")).is_none());
}

#[test]
fn a_repetition_does_not_bring_back_what_was_detached() {
    let mut fleet = Fleet::new();
    let token = fleet.issue(1);
    fleet.register(&claim(), "claim", &token, "PM-1").unwrap();
    fleet.apply(|r| r.plan_detach_thing_principal(&thing("PM-1"), &id(1)));
    assert_eq!(fleet.register(&claim(), "claim", &token, "PM-1"), Err(Refusal::InvalidToken));
}

#[test]
fn a_token_works_on_any_connection() {
    let mut fleet = Fleet::new();
    let token = fleet.issue(1);
    fleet.register(&caller(id(201), "claim-2"), "claim", &token, "PM-1").unwrap();
}

#[test]
fn a_device_rotates_onto_its_own_thing_and_keeps_its_old_certificate() {
    for client in ["PM-1", "PM-1~agent"] {
        let mut fleet = Fleet::with_device();
        let token = fleet.issue(2);
        fleet.register(&caller(id(1), client), "rotation", &token, "PM-1").unwrap();
        assert_eq!(
            (fleet.status(1), fleet.status(2)),
            (CertificateStatus::Active, CertificateStatus::Active)
        );
        assert_eq!(fleet.registry.principals_of(&thing("PM-1")).len(), 2);
        let found = fleet.registry.thing(&thing("PM-1")).unwrap();
        assert_eq!(found.attributes.get("certificate"), Some(&id(2).to_string()));
        assert_eq!(found.groups.len(), 1);
    }
}

#[test]
fn nobody_rotates_onto_a_thing_that_is_not_theirs() {
    let mut fleet = Fleet::with_device();
    let token = fleet.issue(2);
    fleet.register(&claim(), "claim", &token, "PM-2").unwrap();
    let token = fleet.issue(3);
    for (principal, client, serial) in [
        (id(2), "PM-2", "PM-1"),
        (id(2), "PM-1", "PM-1"),
        (id(1), "PM-2", "PM-1"),
        (id(1), "PM-1~verify", "PM-1"),
        (id(200), "PM-1", "PM-1"),
        (id(1), "PM-1", "PM-9"),
    ] {
        let refused = fleet.register(&caller(principal, client), "rotation", &token, serial);
        assert_eq!(refused, Err(Refusal::AccessDenied), "{principal:?} {client} {serial}");
    }
    assert!(fleet.registry.thing(&thing("PM-9")).is_none());
}

#[test]
fn a_device_that_was_deactivated_meanwhile_does_not_rotate() {
    let mut fleet = Fleet::with_device();
    let token = fleet.issue(2);
    fleet.apply(|r| r.plan_update_certificate(&id(1), CertificateStatus::Inactive, NOW));
    let refused = fleet.register(&caller(id(1), "PM-1"), "rotation", &token, "PM-1");
    assert_eq!(refused, Err(Refusal::AccessDenied));
}

#[test]
fn a_closed_template_is_as_good_as_none() {
    let mut fleet = Fleet::with_device();
    let token = fleet.issue(2);
    for name in ["recovery", "nowhere"] {
        let refusal = fleet.register(&claim(), name, &token, "PM-1").unwrap_err();
        assert_eq!((refusal.status(), refusal.rejection().error_code.as_str()), (404, "InvalidTemplate"));
    }
    let recovery = TemplateName::new("recovery").unwrap();
    fleet.apply(|r| r.plan_update_template(&recovery, NOW, |template| template.enabled = true));
    fleet.register(&claim(), "recovery", &token, "PM-1").unwrap();
}

#[test]
fn a_step_that_fails_leaves_nothing_of_the_others() {
    let mut fleet = Fleet::new();
    let name = TemplateName::new("claim").unwrap();
    let body = CLAIM_TEMPLATE.replace(r#""device"}}"#, r#""missing"}}"#);
    fleet.apply(|r| r.plan_update_template(&name, NOW, |template| template.body = body));
    let token = fleet.issue(1);
    let refusal = fleet.register(&claim(), "claim", &token, "PM-1").unwrap_err();
    let rejection = refusal.rejection();
    assert_eq!((rejection.status_code, rejection.error_code.as_str()), (400, "ProvisioningFailed"));
    assert!(
        rejection.error_message.contains("ResourceRegistrationFailureException"),
        "{}",
        rejection.error_message
    );
    assert!(rejection.error_message.contains("missing does not exist"), "{}", rejection.error_message);
    assert_eq!(fleet.registry.things().count(), 0);
    assert_eq!(fleet.status(1), CertificateStatus::PendingActivation);
}

#[test]
fn a_policy_document_makes_one_policy_for_the_whole_fleet() {
    let mut fleet = Fleet::new();
    let name = TemplateName::new("claim").unwrap();
    let body = CLAIM_TEMPLATE.replace(r#""PolicyName": "device""#, &format!(r#""PolicyDocument": {POLICY}"#));
    fleet.apply(|r| r.plan_update_template(&name, NOW, |template| template.body = body));
    for n in [1, 2] {
        let token = fleet.issue(n);
        fleet.register(&claim(), "claim", &token, &format!("PM-{n}")).unwrap();
    }
    assert_eq!(fleet.registry.policies().count(), 2);
    let (first, second) = (fleet.registry.certificate(&id(1)), fleet.registry.certificate(&id(2)));
    assert_eq!(first.unwrap().policies, second.unwrap().policies);
}

/// A template whose thing has one attribute, under this setting.
fn template_with(attribute: &str, setting: &str) -> String {
    format!(
        r#"{{"Parameters": {{"SerialNumber": {{"Type": "String"}}}}, "Resources": {{
        "certificate": {{"Type": "AWS::IoT::Certificate", "Properties": {{"CertificateId": {{"Ref": "AWS::IoT::Certificate::Id"}}}}}},
        "thing": {{"Type": "AWS::IoT::Thing", "OverrideSettings": {{{setting}}},
            "Properties": {{"ThingName": {{"Ref": "SerialNumber"}}, "AttributePayload": {{"a": "{attribute}"}}}}}}}}}}"#
    )
}

#[test]
fn override_settings_decide_what_becomes_of_a_thing_that_exists() {
    let table = [
        ("", "new", Ok(&[("a", "old"), ("b", "old")][..])),
        (r#""AttributePayload": "DO_NOTHING""#, "new", Ok(&[("a", "old"), ("b", "old")])),
        (r#""AttributePayload": "MERGE""#, "new", Ok(&[("a", "new"), ("b", "old")])),
        (r#""AttributePayload": "REPLACE""#, "new", Ok(&[("a", "new")])),
        (r#""AttributePayload": "FAIL""#, "new", Err(conflict())),
        (r#""AttributePayload": "FAIL""#, "old", Ok(&[("a", "old"), ("b", "old")])),
    ];
    for (setting, attribute, expected) in table {
        let mut fleet = Fleet::new();
        let before = [("a".to_owned(), "old".to_owned()), ("b".to_owned(), "old".to_owned())];
        fleet.apply(|r| r.plan_create_thing(&thing("PM-1"), None, before.into(), NOW));
        let name = TemplateName::new("plain").unwrap();
        fleet.apply(|r| r.plan_create_template(&name, &template_with(attribute, setting), true, None, NOW));
        let token = fleet.issue(1);
        let result = fleet.register(&claim(), "plain", &token, "PM-1");
        let after = result.map(|_| fleet.registry.thing(&thing("PM-1")).unwrap().attributes.clone());
        let expected =
            expected.map(|pairs| pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect());
        assert_eq!(after, expected, "{setting} {attribute}");
    }
}

#[test]
fn an_exclusive_certificate_of_another_thing_is_not_taken_along() {
    let mut fleet = Fleet::new();
    let token = fleet.issue(1);
    fleet.apply(|r| r.plan_create_thing(&thing("other"), None, [].into(), NOW));
    fleet.apply(|r| {
        r.plan_attach_thing_principal(&thing("other"), &id(1), ThingPrincipalType::ExclusiveThing)
    });
    let refusal = fleet.register(&claim(), "claim", &token, "PM-1").unwrap_err();
    assert!(
        matches!(refusal, Refusal::Failed { source: RegistryError::AttachedElsewhere { .. } }),
        "{refusal:?}"
    );
}
