//! `fleetkey sign-request`: a certificate for a key that a PLC keeps, whole or not at all.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::core::{Core, Outcome, a_directory};
use crate::inventory::Clients;
use crate::least_privilege;

/// What CODESYS puts into a request.
const DEMANDED: &str = "keyUsage=critical,digitalSignature,keyEncipherment\n\
    extendedKeyUsage=critical,clientAuth\nsubjectAltName=critical,DNS:plc-1.local";
const AUTHORITY: &str =
    "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash";

/// A fleet of one device, a request of its PLC, and a CA of the plant's own.
struct Plant {
    core: Core,
    fleet: TempDir,
    bench: TempDir,
}

impl Plant {
    fn new() -> Self {
        let (core, fleet, bench) = (Core::empty(), a_directory(), a_directory());
        core.set_up(&[], fleet.path()).good();
        core.provision("PLC1", fleet.path());
        let plant = Self { core, fleet, bench };
        plant.request("plc.csr", "PLC1", DEMANDED);
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
        let files = ["-x509", "-extensions", "more", "-days", "3650", "-keyout", "ca.key", "-out", "ca.pem"];
        plant.openssl("Plant CA", AUTHORITY, &[&files[..], &curve].concat());
        plant
    }

    fn path(&self, name: &str) -> String {
        self.bench.path().join(name).to_str().unwrap().to_owned()
    }

    fn request(&self, file: &str, common_name: &str, extensions: &str) {
        let arguments = [
            "-reqexts", "more", "-newkey", "rsa:2048", "-outform", "DER", "-keyout", "plc.key", "-out", file,
        ];
        self.openssl(common_name, extensions, &arguments);
    }

    fn openssl(&self, common_name: &str, extensions: &str, arguments: &[&str]) {
        let text = format!(
            "[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN={common_name}\n[more]\n{extensions}\n"
        );
        std::fs::write(self.path("openssl.cnf"), text).unwrap();
        let fixed = ["req", "-new", "-nodes", "-config", "openssl.cnf"];
        let made =
            Command::new("openssl").args(fixed).args(arguments).current_dir(self.bench.path()).output();
        let made = made.expect("openssl is installed with the test's packages");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    fn sign(&self, file: &str, serial: &str, more: &[&str]) -> Outcome {
        let (request, to) = (self.path(file), self.path("out"));
        let fixed = ["sign-request", &request, "--serial", serial, "--to", &to];
        self.core.run(&[&fixed[..], more].concat(), self.fleet.path())
    }

    /// By the plant's CA.
    fn sign_here(&self, more: &[&str]) -> Outcome {
        let (ca, key) = (self.path("ca.pem"), self.path("ca.key"));
        self.sign("plc.csr", "PLC1", &[&["--ca", &ca, "--ca-key", &key], more].concat())
    }

    fn has(&self, file: &str) -> bool {
        self.bench.path().join("out").join(file).exists()
    }
}

/// Id and status of each certificate of the account.
fn certificates(clients: &Clients) -> Vec<(String, String)> {
    clients.wait(async {
        let listed = clients.iot.list_certificates().page_size(100).send().await.unwrap();
        let found = listed.certificates().iter();
        let mut all: Vec<_> = found
            .map(|found| (found.certificate_id().unwrap().to_owned(), found.status().unwrap().to_string()))
            .collect();
        all.sort();
        all
    })
}

fn reasons(outcome: &Outcome) -> Vec<&str> {
    outcome.last()["reasons"].as_array().unwrap().iter().map(|reason| reason.as_str().unwrap()).collect()
}

#[test]
fn what_the_account_signs_without_the_extensions_is_withdrawn_and_what_ones_own_ca_signs_is_taken() {
    let plant = Plant::new();
    let clients = Clients::of(&plant.core);
    let before = certificates(&clients);

    let by_account = plant.sign("plc.csr", "PLC1", &[]);
    assert_eq!(by_account.code, 32, "{by_account:#?}");
    let lost = [
        "key usage has another value",
        "extended key usage is missing",
        "subject alternative name is missing",
    ];
    assert_eq!(reasons(&by_account), lost);
    assert_eq!(certificates(&clients), before, "nothing of it is left");
    assert!(!plant.has("PLC1.der"));

    let by_own_ca = plant.sign_here(&[]).good();
    let id = by_own_ca.last()["certificate"].as_str().unwrap().to_owned();
    assert_eq!(by_own_ca.last()["registered"], true);
    clients.wait(async {
        let described = clients.iot.describe_certificate().certificate_id(&id).send().await.unwrap();
        let described = described.certificate_description().unwrap();
        assert_eq!(described.status().unwrap().as_str(), "ACTIVE");
        let arn = described.certificate_arn().unwrap();
        let things = clients.iot.list_principal_things().principal(arn).send().await.unwrap();
        assert_eq!(things.things(), ["PLC1"]);
        let policies = clients.iot.list_attached_policies().target(arn).send().await.unwrap();
        let names: Vec<_> = policies.policies().iter().map(|policy| policy.policy_name().unwrap()).collect();
        assert_eq!(names, ["DevicePolicy"]);
    });

    let again = plant.sign_here(&[]).good();
    assert_eq!(again.last()["certificate"], id.as_str(), "the same request again is done already");
    assert_eq!(certificates(&clients).len(), before.len() + 1);
    least_privilege::exact(&plant.core, &["sign-request"], &[by_account, by_own_ca, again]);
    let journal = ["journal", "show", "--about", &id, "--fleet-dir", plant.fleet.path().to_str().unwrap()];
    let shown = crate::process::run(&journal).1;
    assert!(shown.contains("activate") && shown.contains("PLC1"), "{shown}");
}

#[test]
fn a_certificate_can_be_signed_far_from_the_account_and_registered_by_the_next_run() {
    let plant = Plant::new();
    let clients = Clients::of(&plant.core);
    let before = certificates(&clients);
    let signed = plant.sign_here(&["--no-account"]).good();
    assert_eq!(signed.last()["registered"], false);
    assert_eq!(signed.last()["calls"], Value::Array(Vec::new()));
    assert_eq!(certificates(&clients), before);
    let sheet = std::fs::read_to_string(plant.path("out/STEPS.txt")).unwrap();
    assert!(sheet.contains("[ ] 0  Register"), "{sheet}");
    let registered = plant.sign_here(&[]).good();
    assert_eq!(registered.last()["certificate"], signed.last()["certificate"]);
    assert_eq!(certificates(&clients).len(), before.len() + 1);
    let sheet = std::fs::read_to_string(plant.path("out/STEPS.txt")).unwrap();
    assert!(!sheet.contains("Register"), "{sheet}");
}

#[test]
fn a_request_that_should_not_be_signed_is_refused_with_every_reason_and_nothing_is_made() {
    let plant = Plant::new();
    let clients = Clients::of(&plant.core);
    let before = certificates(&clients);
    plant.request("other.csr", "PLC2", "keyUsage=critical,digitalSignature,keyCertSign");
    let refused = plant.sign("other.csr", "PLC1", &[]);
    assert_eq!(refused.code, 31, "{refused:#?}");
    let told = reasons(&refused).join("\n");
    for words in
        ["common name is \"PLC2\"", "right to sign", "no extended key usage", "no subject alternative name"]
    {
        assert!(told.contains(words), "{words}: {told}");
    }
    let prefixed = plant.sign("plc.csr", "PLC1", &["--common-name-prefix", "AWSClient"]);
    assert_eq!(prefixed.code, 31);
    assert!(reasons(&prefixed)[0].contains("AWSClient@PLC1"), "{prefixed:#?}");

    std::fs::write(plant.path("rubbish"), "no request").unwrap();
    for (file, serial, words) in [
        ("rubbish", "PLC1", "no signing request"),
        ("nothing", "PLC1", "cannot be read"),
        ("plc.csr", "PLC9", "common name"),
    ] {
        let outcome = plant.sign(file, serial, &[]);
        let told = format!("{}{:?}", outcome.errors, outcome.lines);
        assert!(outcome.code != 0 && told.contains(words), "{outcome:#?}");
    }
    plant.request("nobody.csr", "PLC9", DEMANDED);
    let nobody = plant.sign("nobody.csr", "PLC9", &[]);
    assert!(nobody.code == 1 && nobody.errors.contains("device provision --serial PLC9"), "{nobody:#?}");
    assert_eq!(certificates(&clients), before);
    assert!(!Path::new(&plant.path("out")).exists());
}
