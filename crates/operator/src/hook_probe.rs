//! Requests that nobody has made, to ask a pre-provisioning hook about: some that it must allow, some that it must refuse.
//!
//! A hook only decides, so asking it provisions nothing. Not here: the asking.

use fleetkey_model::arn::Scope;
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{SerialNumber, TemplateName};
use fleetkey_model::provisioning::SERIAL_PARAMETER;
use serde_json::{Value, json};

use crate::documents::Names;

/// The longest that a serial may be, so that `~verify` fits behind it in a client id.
const LONGEST: usize = 121;
/// What fills a pattern's gaps.
const RUN: &str = "self-test";

/// A request that nobody has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The template that it is about.
    pub template: TemplateName,
    /// The serial that it asks for; may be none.
    pub serial: String,
    /// The client id of whoever asks.
    pub client: String,
    /// Whether the hook is to allow it.
    pub expected: bool,
    /// Who asks for what, in words.
    pub words: String,
}

/// What to ask the hook of a fleet that lets these serials in. Of recovery nothing: whom it is open for, changes.
pub fn probes(names: &Names, serials: &[String]) -> Vec<Probe> {
    let mut probes = Vec::new();
    let claim = |serial: String, expected, words| Probe {
        template: names.claim_template.clone(),
        client: format!("claim-{RUN}"),
        serial,
        expected,
        words,
    };
    if let Some(serial) = listed(serials) {
        let words = format!("a new device with the serial {serial}, which is on the list");
        probes.push(claim(serial, true, words));
    }
    let (serial, why) = unlisted(serials);
    probes.push(claim(serial, false, format!("a new device with {why}")));
    let own = |client: &str, expected, words: &str| Probe {
        template: names.rotation_template.clone(),
        serial: RUN.to_owned(),
        client: client.to_owned(),
        expected,
        words: words.to_owned(),
    };
    probes.push(own(RUN, true, "a device that asks for its own thing"));
    probes.push(own("another-device", false, "a device that asks for another's thing"));
    probes
}

impl Probe {
    /// What the hook is told, as AWS spells it (Developer Guide, pre-provisioning-hook). Its certificates are nobody's.
    pub fn event(&self, scope: &Scope) -> Value {
        json!({
            "claimCertificateId": CertificateId::of_der(b"self-test, claim"),
            "certificateId": CertificateId::of_der(b"self-test"),
            "certificatePem": "",
            "templateArn": scope.template(&self.template),
            "clientId": self.client,
            "parameters": { SERIAL_PARAMETER: self.serial },
        })
    }
}

/// A serial that one of the patterns lets in.
fn listed(patterns: &[String]) -> Option<String> {
    let filled = patterns.iter().map(|pattern| pattern.replace('*', RUN).replace('?', "0"));
    filled.into_iter().find(|serial| SerialNumber::new(serial.as_str()).is_ok())
}

/// A serial that none of them lets in, and what it is: one that begins as none of them does; where one takes any beginning, one
/// that is too long for all.
fn unlisted(patterns: &[String]) -> (String, String) {
    let begins = |first: char| patterns.iter().any(|pattern| pattern.starts_with([first, '*', '?']));
    match ('A'..='Z').chain('0'..='9').find(|first| !begins(*first)) {
        Some(first) => {
            let serial = format!("{first}-{RUN}");
            let words = format!("the serial {serial}, which is not on the list");
            (serial, words)
        }
        None => ("0".repeat(LONGEST + 1), format!("a serial of {} characters, one too many", LONGEST + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(patterns: &[&str]) -> Vec<(String, bool)> {
        let patterns: Vec<_> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        let probes = probes(&Names::new("").unwrap(), &patterns);
        probes.into_iter().map(|probe| (probe.serial, probe.expected)).collect()
    }

    #[test]
    fn what_is_on_the_list_is_to_be_allowed_and_what_is_not_refused() {
        let probes = of(&["PM500-*", "A?"]);
        assert_eq!(probes[0], ("PM500-self-test".to_owned(), true));
        assert_eq!(probes[1], ("B-self-test".to_owned(), false));
        assert_eq!(of(&["*"])[..2], [("self-test".to_owned(), true), ("0".repeat(122), false)]);
        assert_eq!(of(&[])[0], ("A-self-test".to_owned(), false), "nobody is on an empty list");
        assert_eq!(of(&["*"]).len(), 4);
    }

    /// The very Python that Lambda runs, on each of them.
    #[test]
    fn the_hook_decides_as_it_is_to() {
        let names = Names::new("").unwrap();
        for patterns in [&["*"][..], &["PM500-*"], &["PM500-*", "?1", "exact"]] {
            let serials: Vec<_> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
            let configuration = crate::hook_code::configuration(&names, &serials, &[]);
            let events: Vec<_> = probes(&names, &serials)
                .iter()
                .map(|probe| json!([probe.event(&Scope::local()), probe.expected]))
                .collect();
            let script = "import json, sys; import fleetkey_hook as hook\n\
                          configuration, events = json.load(sys.stdin)\n\
                          for event, expected in events: \
                              assert hook.decide(event, configuration)[0] == expected, event";
            let mut python = std::process::Command::new("python3")
                .args(["-B", "-c", script])
                .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/lambda"))
                .stdin(std::process::Stdio::piped())
                .spawn()
                .expect("python3 is needed for this test");
            let input = json!([configuration, events]).to_string();
            std::io::Write::write_all(&mut python.stdin.take().unwrap(), input.as_bytes()).unwrap();
            assert!(python.wait().unwrap().success(), "{patterns:?}");
        }
    }
}
