//! What flows say of TLS and MQTT. Pure: nodes in, findings out.
//!
//! Fields as Node-RED 4.1 has them (`05-tls.js`, `10-mqtt.js`). A value like `${NAME}` comes from Node-RED's environment
//! and is not known here.

use fleetkey_model::name::ThingName;
use serde_json::Value;

use crate::commands::doctor::finding::Finding;

/// Judges every `tls-config`, `mqtt-broker` and `mqtt in` node.
pub(super) fn judge(nodes: &[Value], thing: Option<&ThingName>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for node in nodes {
        match text(node, "type") {
            "tls-config" => findings.extend(tls(node)),
            "mqtt-broker" => findings.extend(broker(node, thing)),
            "mqtt in" => findings.extend(input(node)),
            _ => {}
        }
    }
    findings
}

/// How a node is called for people: its kind, name and id.
pub(super) fn label(node: &Value) -> String {
    let name = text(node, "name");
    let space = if name.is_empty() { "" } else { " " };
    format!("{}{space}{name} ({})", text(node, "type"), text(node, "id"))
}

pub(super) fn text<'a>(node: &'a Value, field: &str) -> &'a str {
    node.get(field).and_then(Value::as_str).unwrap_or_default().trim()
}

fn is(node: &Value, field: &str, default: bool) -> bool {
    match node.get(field) {
        Some(Value::Bool(value)) => *value,
        Some(Value::String(value)) => value == "true",
        _ => default,
    }
}

fn tls(node: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    // A path wins over an upload; an upload leaves its file's name.
    if text(node, "key").is_empty() && !text(node, "keyname").is_empty() {
        findings.push(
            Finding::fault("uploaded_key", label(node), "its key was uploaded into Node-RED's credentials")
                .why("no rotation can replace it, and GET /credentials/tls-config/ID hands it out in clear to tokens with *")
                .todo("name files instead: export/device.cert.pem and device.key.pem of the agent; then rotate, the key was copied"),
        );
    }
    if !is(node, "verifyservercert", true) {
        findings.push(
            Finding::fault("server_not_verified", label(node), "the server's certificate is not verified")
                .why("whoever stands between is taken for the broker, and reads and writes everything")
                .todo("switch it on, with Amazon's roots (or the local IoT Core's) as CA certificate"),
        );
    }
    findings
}

fn broker(node: &Value, thing: Option<&ThingName>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let loopback = ["localhost", "127.0.0.1", "::1"].contains(&text(node, "broker"));
    if !is(node, "usetls", false) && !loopback {
        findings.push(
            Finding::fault("no_tls", label(node), "it connects without TLS")
                .why(
                    "AWS IoT Core takes no such connection; another broker's messages can be read on the way",
                )
                .todo("use TLS, or the sidecar on this machine"),
        );
    }
    findings.extend(client_id(node, thing));
    if is(node, "cleansession", true) {
        findings.push(
            Finding::note("clean_session", label(node), "it asks for a clean session")
                .why("what is sent to it while it is away, at a rotation for moments, is lost")
                .todo("switch clean session off"),
        );
    } else if is(node, "autoUnsubscribe", true) {
        findings.push(
            Finding::note("auto_unsubscribe", label(node), "it unsubscribes when it disconnects")
                .why("so its session collects nothing while Node-RED restarts or is deployed")
                .todo("switch \"automatically unsubscribe when disconnecting\" off"),
        );
    }
    findings
}

fn client_id(node: &Value, thing: Option<&ThingName>) -> Option<Finding> {
    let client = text(node, "clientid");
    if client.contains("${") {
        return None;
    }
    if client.is_empty() {
        let finding =
            Finding::fault("client_id", label(node), "it has no client id, and so another at each start");
        let finding =
            finding.why("policies allow the thing's name; and a session cannot be kept without an id");
        return Some(finding.todo("set it to the thing's name"));
    }
    let thing = thing.filter(|thing| thing.as_str() != client)?;
    let finding =
        Finding::fault("client_id", label(node), format!("its client id is {client}, the thing is {thing}"));
    let finding = finding.why("the policy allows the thing's name; the broker hangs up on others");
    Some(finding.todo(format!(
        "set the client id to {thing}; see what the policy allows with fleetkey doctor --client-id {client}"
    )))
}

fn input(node: &Value) -> Option<Finding> {
    (text(node, "qos") == "0").then(|| {
        Finding::note("qos_0", label(node), format!("it subscribes to {} with QoS 0", text(node, "topic")))
            .why("what is sent while it is away is not kept for it")
            .todo("subscribe with QoS 1")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kinds(node: &Value) -> Vec<&'static str> {
        let thing = ThingName::new("pump-1").unwrap();
        judge(std::slice::from_ref(node), Some(&thing)).iter().map(|finding| finding.kind).collect()
    }

    fn good_broker() -> Value {
        json!({ "type": "mqtt-broker", "id": "b", "broker": "x-ats.iot.eu-central-1.amazonaws.com", "usetls": true,
            "clientid": "pump-1", "cleansession": false, "autoUnsubscribe": false })
    }

    fn with(field: &str, value: Value) -> Value {
        let mut node = good_broker();
        node[field] = value;
        node
    }

    #[test]
    fn what_is_as_it_should_be_is_not_mentioned() {
        assert!(kinds(&good_broker()).is_empty());
        assert!(
            kinds(
                &json!({ "type": "tls-config", "id": "t", "cert": "/c", "key": "/k", "keyname": "old.pem" })
            )
            .is_empty()
        );
        assert!(kinds(&json!({ "type": "inject", "id": "i" })).is_empty());
        assert!(kinds(&json!("no node at all")).is_empty());
    }

    #[test]
    fn each_setting_has_its_finding() {
        assert_eq!(kinds(&with("usetls", json!(false))), ["no_tls"]);
        assert_eq!(kinds(&with("clientid", json!(""))), ["client_id"]);
        assert_eq!(kinds(&with("clientid", json!("node-red"))), ["client_id"]);
        assert_eq!(kinds(&with("cleansession", json!(true))), ["clean_session"]);
        assert_eq!(kinds(&with("autoUnsubscribe", json!(true))), ["auto_unsubscribe"]);
        let uploaded =
            json!({ "type": "tls-config", "id": "t", "keyname": "k.pem", "verifyservercert": false });
        assert_eq!(kinds(&uploaded), ["uploaded_key", "server_not_verified"]);
        assert_eq!(kinds(&json!({ "type": "mqtt in", "id": "i", "qos": "0", "topic": "t" })), ["qos_0"]);
    }

    #[test]
    fn a_sidecar_on_this_machine_needs_no_tls_and_a_variable_is_not_guessed() {
        let mut sidecar = with("usetls", json!(false));
        sidecar["broker"] = json!("127.0.0.1");
        sidecar["clientid"] = json!("${FLEETKEY_THING}");
        assert!(kinds(&sidecar).is_empty());
    }

    #[test]
    fn nodes_of_older_versions_have_the_defaults_of_node_red() {
        let mut bare = good_broker();
        bare.as_object_mut().unwrap().remove("cleansession");
        assert_eq!(kinds(&bare), ["clean_session"]);
        let mut bare = good_broker();
        bare.as_object_mut().unwrap().remove("autoUnsubscribe");
        assert_eq!(kinds(&bare), ["auto_unsubscribe"]);
    }
}
