//! What the settings of a PLC's client say. Pure: a description in, findings out.

use fleetkey_model::name::ThingName;

use super::description::{Library, Plc, Tls};
use crate::commands::doctor::finding::Finding;

/// `udiVerificationMode` that verifies the peer.
const VERIFIES: u32 = 2;
/// What AWS IoT Core keeps to, seconds; below and above it takes these (AWS IoT Core quotas, "Keep alive").
const KEEPALIVE: core::ops::RangeInclusive<u16> = 30..=1200;

/// Judges client and TLS context.
pub(super) fn judge(plc: &Plc, thing: Option<&ThingName>) -> Vec<Finding> {
    let tls = match &plc.tls {
        Some(tls) => context(tls),
        None => no_tls(plc).into_iter().collect(),
    };
    let thing = thing.or(plc.thing.as_ref());
    let found = [client_id(plc, thing), alphabet(plc), prefix(plc), keepalive(plc), clean_session(plc)];
    tls.into_iter().chain(found.into_iter().flatten()).collect()
}

fn context(tls: &Tls) -> Vec<Finding> {
    let mut findings = Vec::new();
    if tls.verification_mode != VERIFIES {
        let what = format!(
            "udiVerificationMode is {}: the broker's certificate is not verified",
            tls.verification_mode
        );
        findings.push(
            Finding::fault("server_not_verified", "TLSContext", what)
                .why("1 is the default; whoever stands between is taken for the broker, and reads and writes everything")
                .todo("set udiVerificationMode := 2, with the roots of the bundle under Trusted"),
        );
    }
    if !["1.2", "1.3"].contains(&tls.version.as_str()) {
        let what = format!("sTLSVersion is '{}'", tls.version);
        findings.push(
            Finding::fault("tls_version", "TLSContext", what)
                .why("AWS IoT Core takes TLS 1.2 and 1.3")
                .todo("set sTLSVersion := '1.2'"),
        );
    }
    findings
}

fn no_tls(plc: &Plc) -> Option<Finding> {
    let loopback = ["localhost", "127.0.0.1", "::1"].contains(&plc.hostname.as_str());
    (!loopback).then(|| {
        Finding::fault("no_tls", "itfTLSContext", "there is no TLS context")
            .why("AWS IoT Core takes no such connection; the obsolete xUseTLS names no certificate")
            .todo("give the client a TLSContext, or have it speak to a sidecar on this controller")
    })
}

fn client_id(plc: &Plc, thing: Option<&ThingName>) -> Option<Finding> {
    let client = &plc.client_id;
    let thing = thing.filter(|thing| thing.as_str() != client)?;
    Some(
        Finding::fault(
            "client_id",
            "sClientId",
            format!("the client id is '{client}', the thing is {thing}"),
        )
        .why("the policy allows the thing's name; the broker hangs up on others")
        .todo(format!("set sClientId := '{thing}'")),
    )
}

fn alphabet(plc: &Plc) -> Option<Finding> {
    let client = &plc.client_id;
    let documented = !client.is_empty() && client.chars().all(|c| c.is_ascii_alphanumeric());
    (plc.library == Library::MqttClient && !documented).then(|| {
        Finding::fault(
            "client_id_alphabet",
            "sClientId",
            format!("'{client}' is not of letters and digits alone"),
        )
        .why("MQTT Client SL documents 0-9, a-z and A-Z as allowed, and nothing else")
        .todo("name the thing so (a new serial), or use AWS IoT Core Client SL or the sidecar")
    })
}

fn prefix(plc: &Plc) -> Option<Finding> {
    let prefix = plc.common_name_prefix.as_str();
    let (what, todo) = match plc.library {
        _ if prefix.is_empty() => return None,
        Library::MqttClient => (
            "a prefix is set, which MQTT Client SL does not have",
            "name the certificate in ciCertInfo.sSubject (subject of [tls] here), and leave the prefix away",
        ),
        Library::AwsIotCoreClient if prefix.contains('@') => (
            "the prefix has an @ of its own",
            "set what stands before the @ alone; the library puts it between prefix and client id",
        ),
        Library::AwsIotCoreClient => return None,
    };
    Some(
        Finding::fault("prefix", "sCertCNPrefix", what)
            .why("the store is then searched for another common name than one thinks")
            .todo(todo),
    )
}

fn keepalive(plc: &Plc) -> Option<Finding> {
    let seconds = plc.keepalive();
    (!KEEPALIVE.contains(&seconds)).then(|| {
        Finding::note("keepalive", "uiKeepAlive", format!("the keepalive is {seconds} s"))
            .why(
                "AWS IoT Core takes what is below 30 s for 30 s, and 0 or what is above 1200 s for 1200 s: \
                  a dead connection is noticed by that, whatever stands here",
            )
            .todo("set uiKeepAlive between 30 and 1200")
    })
}

fn clean_session(plc: &Plc) -> Option<Finding> {
    plc.clean_session.then(|| {
        Finding::note("clean_session", "xCleanSession", "it asks for a clean session")
            .why("what is sent to it while xEnable is toggled in the maintenance window is lost")
            .todo("set xCleanSession := FALSE")
    })
}
