//! Which certificate a live connection is on, held against the files: the socket's word by the plugin's report, or the
//! broker's by the presence event that the caller has seen.

use std::path::Path;

use fleetkey_agent::keys::{Keys, P256Keys};
use fleetkey_model::certificate::{CertificateFacts, CertificateId};
use fleetkey_model::secret::PrivateKeyPem;
use serde_json::Value;

use super::flows::{label, text};
use crate::commands::doctor::finding::Finding;

/// What a pair of files holds.
enum Pair {
    Whole(CertificateId),
    Torn(&'static str),
    /// Not on this machine, or not for our eyes.
    Elsewhere,
}

/// Judges the files of each `tls-config`, and what connections use.
pub(super) fn judge(
    nodes: &[Value],
    report: Option<&Value>,
    principal: Option<CertificateId>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for node in nodes.iter().filter(|node| text(node, "type") == "tls-config") {
        match pair(Path::new(text(node, "cert")), Path::new(text(node, "key"))) {
            Pair::Whole(id) => findings.extend(principal.filter(|used| *used != id).map(|used| {
                stale(label(node), &used.to_string(), &id.to_string(), "the broker's presence event")
            })),
            Pair::Torn(why) => findings.push(
                Finding::fault("torn_files", label(node), format!("its files do not belong together: {why}"))
                    .why("Node-RED 4 hangs until the next deploy if it starts with such a pair")
                    .todo(
                        "write the pair again, whole; the agent's export directory is switched in one step",
                    ),
            ),
            Pair::Elsewhere => {}
        }
    }
    findings.extend(reported(report));
    findings
}

fn reported(report: Option<&Value>) -> Vec<Finding> {
    let connections = report.and_then(|report| report.get("connections")).and_then(Value::as_array);
    let connections = connections.map(Vec::as_slice).unwrap_or_default();
    let differs = |connection: &&Value| {
        let (used, wanted) = (text(connection, "certificate_id"), text(connection, "wanted"));
        !used.is_empty() && !wanted.is_empty() && used != wanted
    };
    let finding = |connection: &Value| {
        let at = format!("mqtt-broker {} ({})", text(connection, "name"), text(connection, "broker"));
        stale(at, text(connection, "certificate_id"), text(connection, "wanted"), "the socket itself")
    };
    connections.iter().filter(differs).map(finding).collect()
}

fn stale(at: String, used: &str, held: &str, witness: &str) -> Finding {
    Finding::fault(
        "stale_certificate",
        at,
        format!("the live connection is on {used}, the files hold {held}"),
    )
    .why(format!(
        "so says {witness}; when the old one is revoked, Node-RED tries it for ever and logs nothing"
    ))
    .todo("let the plugin move it (is it refused? its report says why), or deploy: fleetkey-node-red-deploy")
}

fn pair(certificate: &Path, key: &Path) -> Pair {
    let (Ok(chain), Ok(key)) = (std::fs::read_to_string(certificate), std::fs::read_to_string(key)) else {
        return Pair::Elsewhere;
    };
    let key = PrivateKeyPem::new(key);
    match (CertificateFacts::from_pem(&chain), P256Keys.public_key(&key)) {
        (Ok(facts), Ok(public)) if facts.public_key == public => Pair::Whole(facts.id),
        (Ok(_), Ok(_)) => Pair::Torn("the key is another certificate's"),
        (Err(_), _) => Pair::Torn("the certificate does not read"),
        (_, Err(_)) => Pair::Torn("the key does not read"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_connection_that_is_not_on_what_the_files_hold_is_stale() {
        let connection = |used: &str, wanted| json!({ "connections": [{ "broker": "b", "name": "n", "certificate_id": used, "wanted": wanted }] });
        let found = |report: &Value| judge(&[], Some(report), None).len();
        assert_eq!(found(&connection("aa", json!("bb"))), 1);
        assert_eq!(found(&connection("aa", json!("aa"))), 0);
        assert_eq!(
            found(&connection("aa", json!(null))),
            0,
            "the files are torn: there is nothing to compare"
        );
        assert_eq!(found(&json!({ "connections": "none" })), 0);
    }

    #[test]
    fn files_that_do_not_read_are_torn_and_files_elsewhere_are_nobodys_business() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let node = json!({ "type": "tls-config", "id": "t", "cert": path("c"), "key": path("k") });
        assert!(judge(std::slice::from_ref(&node), None, None).is_empty());
        std::fs::write(path("c"), "half").unwrap();
        std::fs::write(path("k"), "half").unwrap();
        let kinds: Vec<_> = judge(&[node], None, None).iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, ["torn_files"]);
    }
}
