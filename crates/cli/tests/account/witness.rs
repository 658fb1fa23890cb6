//! A witness of what the broker attests: a connection of its own beside the controller's, so that what was retired can be held
//! against the word of broker and registry alone.

use std::collections::{BTreeMap, BTreeSet};

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::retirement::Attested;
use fleetkey_model::topic::FleetTopic;
use fleetkey_mqtt::link::{Client, Messages};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::core::a_directory;
use crate::crowd::{Crowd, listener};
use crate::inventory::{Clients, THEIRS};
use crate::process::PATIENCE;

/// Hears every attested request of a fleet.
pub(crate) struct Witness {
    attested: watch::Receiver<Vec<Attested>>,
    _client: Client,
    _directory: TempDir,
}

impl Witness {
    /// Listens with a certificate that may do anything, before there is something to hear.
    pub(crate) fn of(crowd: &Crowd) -> Self {
        let (clients, directory) = (Clients::of(&crowd.core), a_directory());
        let made = clients.iot.create_keys_and_certificate().set_as_active(true).send();
        let made = clients.wait(made).unwrap();
        let document = THEIRS.replace("iot:Connect", "iot:*");
        let policy = clients.iot.create_policy().policy_name("witness").policy_document(document);
        clients.wait(policy.send()).unwrap();
        let target = made.certificate_arn().unwrap();
        clients.wait(clients.iot.attach_policy().policy_name("witness").target(target).send()).unwrap();
        let files = ["certificate.pem", "key.pem"].map(|name| directory.path().join(name));
        std::fs::write(&files[0], made.certificate_pem().unwrap()).unwrap();
        std::fs::write(&files[1], made.key_pair().unwrap().private_key().unwrap()).unwrap();
        let listens = listener(crowd, &files, "witness", FleetTopic::ALL_ATTESTED);
        let (client, messages) = crowd.runtime.block_on(listens);
        let (tell, attested) = watch::channel(Vec::new());
        crowd.runtime.spawn(hear(messages, tell));
        Self { attested, _client: client, _directory: directory }
    }

    /// Each of these certificates that the registry has made INACTIVE or REVOKED, by its own record, went after the broker had
    /// attested a newer one of the same thing, which was none of these. How many there were.
    #[track_caller]
    pub(crate) fn vouches_for_all(&mut self, crowd: &Crowd, superseded: &BTreeMap<String, String>) -> usize {
        let things: BTreeSet<_> = superseded.values().cloned().collect();
        let known = |found: &CertificateId| superseded.contains_key(&found.to_string());
        let told = |heard: &Vec<Attested>| {
            let newer = heard.iter().filter(|one| !known(&one.principal));
            newer.map(|one| one.thing.to_string()).collect::<BTreeSet<_>>().is_superset(&things)
        };
        let all = self.attested.wait_for(told);
        let all = crowd.runtime.block_on(async { tokio::time::timeout(PATIENCE, all).await }).map(drop);
        assert!(all.is_ok(), "the broker has not attested every device");
        let heard = self.attested.borrow();
        let ends = ends(&crowd.core.management_events());
        for (id, at) in &ends {
            let Some(thing) = superseded.get(id) else { panic!("{id} was nobody's old certificate") };
            let word = heard.iter().any(|one| {
                let is_its = one.thing.to_string() == *thing && one.clientid.as_str() == thing;
                is_its && !known(&one.principal) && second(&one.at.to_string()) <= second(at)
            });
            assert!(word, "{id} of {thing} was ended at {at}, and the broker had attested no newer one");
        }
        ends.len()
    }
}

async fn hear(mut messages: Messages, tell: watch::Sender<Vec<Attested>>) {
    while let Some(message) = messages.recv().await {
        let one = serde_json::from_slice(&message.payload).unwrap();
        tell.send_modify(|heard| heard.push(one));
    }
}

/// Whose certificates the registry has ended, and when.
fn ends(events: &[Value]) -> Vec<(String, String)> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = |event: &Value| {
        let asked = &event["requestParameters"];
        let is_end = event["eventName"] == "UpdateCertificate" && asked["newStatus"] != "ACTIVE";
        is_end.then(|| (word(&asked["certificateId"]), word(&event["eventTime"])))
    };
    events.iter().filter_map(of).collect()
}

/// A moment to the second, as the registry's record has it.
fn second(time: &str) -> &str {
    time.split(['.', 'Z']).next().unwrap_or(time)
}
