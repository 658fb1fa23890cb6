//! What a line of a client's log says of TLS. Pure.
//!
//! The words are OpenSSL's, Node's and MQTT.js's, as they stand in Node-RED's log. Node-RED's MQTT
//! nodes say "Connection failed to broker" and "Disconnected from broker" and never why, which is no sign of anything: our
//! plugin logs the reason. Other nodes log theirs.

use serde::Serialize;

/// What kind of trouble a line tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// The server is not the one it should be: somebody may stand between.
    ServerIdentity,
    /// The handshake or its records were tampered with, or somebody wants to renegotiate.
    Handshake,
    /// The client's own certificate or key: refused, or its files do not belong together. A rotation makes such lines
    /// itself for a moment, where a client reads its files one by one.
    OwnCertificate,
}

impl Trouble {
    /// Whether it may be an attack, rather than an accident with files.
    pub const fn is_suspicious(self) -> bool {
        matches!(self, Self::ServerIdentity | Self::Handshake)
    }
}

/// In lower case; the first that a line contains decides.
const WORDS: [(&str, Trouble); 24] = [
    ("self-signed certificate", Trouble::ServerIdentity),
    ("self signed certificate", Trouble::ServerIdentity),
    ("self_signed_cert_in_chain", Trouble::ServerIdentity),
    ("unable to verify the first certificate", Trouble::ServerIdentity),
    ("unable_to_verify_leaf_signature", Trouble::ServerIdentity),
    ("unable to get local issuer certificate", Trouble::ServerIdentity),
    ("unable to get issuer certificate", Trouble::ServerIdentity),
    ("err_tls_cert_altname_invalid", Trouble::ServerIdentity),
    ("does not match certificate's altnames", Trouble::ServerIdentity),
    ("renegotiation", Trouble::Handshake),
    ("bad record mac", Trouble::Handshake),
    ("decryption failed", Trouble::Handshake),
    ("digest check failed", Trouble::Handshake),
    ("inappropriate fallback", Trouble::Handshake),
    ("key values mismatch", Trouble::OwnCertificate),
    ("alert bad certificate", Trouble::OwnCertificate),
    ("alert certificate unknown", Trouble::OwnCertificate),
    ("alert certificate revoked", Trouble::OwnCertificate),
    ("alert certificate expired", Trouble::OwnCertificate),
    ("alert unknown ca", Trouble::OwnCertificate),
    ("bad decrypt", Trouble::OwnCertificate),
    ("pem routines", Trouble::OwnCertificate),
    ("asn1 encoding routines", Trouble::OwnCertificate),
    ("unsupported certificate", Trouble::OwnCertificate),
];

/// The trouble that a line tells of, and by which words: nothing else of the line is passed on, since a log may hold what
/// is nobody's business.
pub fn trouble(line: &str) -> Option<(Trouble, &'static str)> {
    let line = line.to_ascii_lowercase();
    WORDS.iter().find(|(words, _)| line.contains(words)).map(|(words, trouble)| (*trouble, *words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_node_red_are_told_apart() {
        let told = |line| trouble(line).map(|(trouble, _)| trouble);
        let line =
            "22 Nov 10:00:00 - [error] [mqtt-broker:core] Error: unable to verify the first certificate";
        assert_eq!(told(line), Some(Trouble::ServerIdentity));
        let line =
            "Hostname/IP does not match certificate's altnames: Host: x. is not in the cert's altnames";
        assert_eq!(told(line), Some(Trouble::ServerIdentity));
        assert_eq!(told("SSL routines:ssl3_read_bytes:NO RENEGOTIATION"), Some(Trouble::Handshake));
        assert_eq!(told("Error: X509_check_private_key:key values mismatch"), Some(Trouble::OwnCertificate));
        assert_eq!(
            told("ssl/tls alert certificate unknown: SSL alert number 46"),
            Some(Trouble::OwnCertificate)
        );
    }

    #[test]
    fn what_a_rotation_or_a_bad_network_makes_is_no_trouble() {
        for line in [
            "[info] [mqtt-broker:core] Disconnected from broker: pump-1@mqtts://x:8883",
            "[info] [mqtt-broker:core] Connected to broker: pump-1@mqtts://x:8883",
            "[info] [mqtt-broker:core] Connection failed to broker: pump-1@mqtts://x:8883",
            "Error: connect ECONNREFUSED 127.0.0.1:8883",
            "read ECONNRESET",
            "",
        ] {
            assert_eq!(trouble(line), None, "{line}");
        }
    }
}
