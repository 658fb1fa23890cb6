//! Policies that do not allow what the device does: who refuses what, under which client id.

use std::time::Duration;

use fleetkey_agent::doctor::Tier;
use fleetkey_model::name::ClientId;

use crate::bed::{Asked, Bed, THING};

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_without_a_policy_may_not_connect() {
    let bed = Bed::unattached().await;
    bed.attach().await;
    Bed::faults(&bed.report(Asked::Account).await, Tier::Connect, "no policy is attached");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thing_that_is_not_attached_is_told_with_the_command_that_attaches_it() {
    let bed = Bed::unattached().await;
    bed.allow().await;
    let report = bed.report(Asked::Account).await;
    Bed::faults(&report, Tier::Connect, "aws iot attach-thing-principal --thing-name pump-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_denies_only_the_clients_own_id_is_found_beside_it_and_by_taking_over() {
    let mut bed = Bed::healthy().await;
    bed.add("Deny", "iot:Connect", &format!("client/{THING}")).await;
    Bed::faults(&bed.report(Asked::Account).await, Tier::Connect, "denied by added, statement 0");
    bed.target.take_over = true;
    let report = bed.report(Asked::Nobody).await;
    Bed::faults(&report, Tier::Connect, "does not let this certificate connect as pump-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_id_that_the_policy_does_not_know_is_told_the_one_that_it_does() {
    let mut bed = Bed::healthy().await;
    bed.target.client = ClientId::new("node-red_8a7f").unwrap();
    Bed::faults(&bed.report(Asked::Account).await, Tier::Connect, "set the client id to pump-1");
    bed.target.take_over = true;
    Bed::faults(&bed.report(Asked::Nobody).await, Tier::Connect, "connect as node-red_8a7f");
}

/// No id that disturbs nobody is allowed, nor need it be.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_allows_the_things_own_id_alone_is_no_fault() {
    let bed = Bed::unattached().await;
    bed.attach().await;
    bed.add("Allow", "iot:*", "*").await;
    let account = bed.bench.core.account();
    let name = fleetkey_model::name::PolicyName::new("own").unwrap();
    let clients = format!(r#""{}""#, bed.bench.fleet.scope.arn("client/*~*"));
    let deny = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Deny","Action":"iot:Connect","Resource":{clients}}}}}"#
    );
    account.create_policy(&name, &deny).await.unwrap();
    account.attach_policy(&name, &bed.id).await.unwrap();
    let report = bed.report(Asked::Account).await;
    assert_eq!(report.exit_code(), 0, "\n{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_subscription_is_a_matter_of_subscribe() {
    let bed = Bed::healthy().await;
    bed.add("Deny", "iot:Subscribe", "topicfilter/device/*").await;
    Bed::faults(
        &bed.report(Asked::Account).await,
        Tier::Subscribe,
        "iot:Subscribe on topicfilter/device/pump-1/verify",
    );
    Bed::faults(&bed.report(Asked::Nobody).await, Tier::Subscribe, "SUBACK");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_message_is_a_matter_of_publish() {
    let bed = Bed::healthy().await;
    bed.add("Deny", "iot:Publish", "topic/device/*").await;
    Bed::faults(&bed.report(Asked::Account).await, Tier::Publish, "denied by added");
    Bed::faults(&bed.report(Asked::Nobody).await, Tier::Publish, "PUBACK");
}

/// The broker takes the message and keeps it: there is nothing to see but the echo that does not come.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_taken_and_not_delivered_is_a_matter_of_receive() {
    let mut bed = Bed::healthy().await;
    bed.add("Deny", "iot:Receive", "*").await;
    bed.target.limit = Duration::from_secs(10);
    Bed::faults(&bed.report(Asked::Account).await, Tier::Receive, "denied by added");
}
