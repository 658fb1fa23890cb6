//! An account whose resources somebody has changed behind our back.

use std::path::Path;

use aws_sdk_iot::types::{Action, RepublishAction, TopicRulePayload};
use fleetkey_agent::keys::{Keys, P256Keys};
use fleetkey_model::name::SerialNumber;
use fleetkey_model::secret::PrivateKeyPem;

use crate::core::{Core, a_directory};
use crate::inventory::{Clients, THEIRS};

const TEMPLATE: &str = "CertRotationTemplate";

/// Changes a resource of each kind that can be changed, and fills the templates' five versions.
pub(crate) fn change_everything(clients: &Clients) {
    let iot = &clients.iot;
    clients.wait(async {
        let version = iot.create_policy_version().policy_name("DevicePolicy").policy_document(THEIRS);
        version.set_as_default(true).send().await.unwrap();
        iot.deprecate_thing_type().thing_type_name("fleet-device").send().await.unwrap();
        let template = iot.describe_provisioning_template().template_name(TEMPLATE).send().await.unwrap();
        let body = template.template_body().unwrap();
        for _ in 0..4 {
            let version = iot.create_provisioning_template_version().template_name(TEMPLATE);
            let other = body.replace("fleet-devices", "other-devices");
            version.template_body(other).set_as_default(true).send().await.unwrap();
        }
        let opened = iot.update_provisioning_template().template_name("CertRotationTemplate-recover");
        opened.enabled(true).send().await.unwrap();
        let rule = iot.get_topic_rule().rule_name("fleetkey_attest").send().await.unwrap();
        let action = rule.rule().unwrap().actions()[0].republish().unwrap();
        let action =
            RepublishAction::builder().role_arn(action.role_arn()).topic("elsewhere").build().unwrap();
        let rule = TopicRulePayload::builder().sql("SELECT * FROM 'a'");
        let rule = rule.actions(Action::builder().republish(action).build()).build().unwrap();
        iot.replace_topic_rule().rule_name("fleetkey_attest").topic_rule_payload(rule).send().await.unwrap();
        let hook = clients.lambda.update_function_configuration().function_name("fleetkey-hook");
        hook.timeout(3).send().await.unwrap();
        clients
            .iam
            .delete_role_policy()
            .role_name("fleetkey-hook-us-east-1")
            .policy_name("fleetkey")
            .send()
            .await
            .unwrap();
        clients
            .logs
            .put_retention_policy()
            .log_group_name("/aws/lambda/fleetkey-hook")
            .retention_in_days(1)
            .send()
            .await
            .unwrap();
    });
}

/// Leaves a claim as a run leaves it that was cut short before its commit, and makes a second certificate for its key, as
/// a call does whose answer is lost.
pub(crate) fn cut_the_claim_short(clients: &Clients, fleet: &Path) {
    let operator = fleet.join("operator");
    std::fs::rename(operator.join("claim"), operator.join("claim.new")).unwrap();
    let key = PrivateKeyPem::new(std::fs::read_to_string(operator.join("claim.new/key.pem")).unwrap());
    let csr = P256Keys.request(&key, &SerialNumber::new("lost").unwrap()).unwrap();
    clients.wait(clients.iot.create_certificate_from_csr().certificate_signing_request(csr).send()).unwrap();
}

/// `status` names what differs and fails; `setup` puts right just that, and leaves one certificate of two for one key.
#[test]
fn what_somebody_has_changed_is_told_and_put_right() {
    let (core, fleet) = (Core::empty(), a_directory());
    let clients = Clients::of(&core);
    core.set_up(&[], fleet.path()).good();
    let certificates = |clients: &Clients| {
        let all = clients.inventory();
        all.into_iter().filter(|(name, _)| name.starts_with("certificate")).collect::<Vec<_>>()
    };
    let before = certificates(&clients);
    change_everything(&clients);
    cut_the_claim_short(&clients, fleet.path());

    let told = core.run(&["status"], fleet.path());
    assert_eq!(told.code, 1);
    let wrong: Vec<_> = told
        .lines
        .iter()
        .filter(|line| line["state"] == "differs")
        .map(|line| line["what"].clone())
        .collect();
    assert_eq!(
        wrong,
        [
            "policy DevicePolicy",
            "thing type fleet-device",
            "role fleetkey-hook-us-east-1",
            "log group /aws/lambda/fleetkey-hook",
            "function fleetkey-hook",
            "provisioning template CertRotationTemplate",
            "provisioning template CertRotationTemplate-recover",
            "topic rule fleetkey_attest",
        ]
    );
    let mended = core.set_up(&[], fleet.path()).good();
    assert_eq!(mended.last()["changed"], wrong.len() + 1, "and the claim");
    assert_eq!(core.run(&["status"], fleet.path()).code, 0);
    assert_eq!(certificates(&clients), before, "of two certificates for one key one is left");
}
