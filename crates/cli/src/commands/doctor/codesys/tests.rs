//! Each finding alone, on certificates that OpenSSL and a CA of one's own have made.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use fleetkey_agent::clock::{Clock, SystemClock};
use fleetkey_agent::intake::{Authority, SigningRequest};
use fleetkey_model::certificate::{CertificateFacts, CertificateId};
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;

use super::description::Plc;
use super::settings;
use super::store::{self, Shown};

const YEAR: Duration = Duration::from_secs(365 * 86_400);
const DEMANDED: &str = "keyUsage=critical,digitalSignature,keyEncipherment\n\
    extendedKeyUsage=critical,clientAuth\nsubjectAltName=critical,DNS:plc-1.local";
const GOOD: &str = "library = 'mqtt-client'\nruntime = '3.5.20.0'\nclient_id = 'PLC1'\nkeepalive = 60\n";
const TLS: &str = "[tls]\nverification_mode = 2\nsubject = 'PLC1'\n";
const STORE: &str = "[store]\nown = ['own']\ntrusted = ['trusted']\n";

fn plc(text: &str) -> Plc {
    toml::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// What is found in the settings alone.
fn settings_of(text: &str) -> Vec<&'static str> {
    let thing = ThingName::new("PLC1").unwrap();
    settings::judge(&plc(text), Some(&thing)).iter().map(|finding| finding.kind).collect()
}

/// A store in a directory: a good certificate in Own, and its CA as trusted.
struct Bench {
    dir: tempfile::TempDir,
    begun: Timestamp,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { dir: tempfile::tempdir().unwrap(), begun: SystemClock.now() };
        for name in ["own", "trusted", "bundle"] {
            std::fs::create_dir(bench.path(name)).unwrap();
        }
        let authority =
            "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash";
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
        let files = ["-x509", "-days", "9000", "-extensions", "more", "-keyout", "ca.key", "-out", "ca.pem"];
        bench.openssl("Plant CA", authority, &[&files[..], &curve].concat());
        std::fs::write(bench.path("trusted/ca.der"), &bench.ca().certificate().der).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn openssl(&self, name: &str, extensions: &str, arguments: &[&str]) {
        let text =
            format!("[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN={name}\n[more]\n{extensions}\n");
        std::fs::write(self.path("openssl.cnf"), text).unwrap();
        let fixed = ["req", "-new", "-nodes", "-config", "openssl.cnf"];
        let made = Command::new("openssl").args(fixed).args(arguments).current_dir(self.dir.path()).output();
        let made = made.expect("openssl is installed with the test's packages");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    fn ca(&self) -> Authority {
        Authority::open(&self.path("ca.pem"), &self.path("ca.key")).unwrap()
    }

    /// A certificate of the CA that begins so many years from now, in a file.
    fn signed(&self, file: &str, name: &str, begins: u32, term: Duration) -> CertificateFacts {
        let key = ["-newkey", "rsa:2048", "-keyout", "plc.key", "-reqexts", "more", "-out", "plc.csr"];
        self.openssl(name, DEMANDED, &key);
        let request = SigningRequest::open(&self.path("plc.csr")).unwrap();
        let signed = self.ca().sign(&request, term, self.year(begins)).unwrap();
        std::fs::write(self.path(file), &signed.der).unwrap();
        signed
    }

    fn year(&self, n: u32) -> Timestamp {
        // A while after the CA begins, which is by the clock too.
        self.begun + Duration::from_secs(600) + YEAR * n
    }

    /// What is found in the store, two years from now.
    fn found(&self, text: &str, principal: Option<CertificateId>) -> Vec<&'static str> {
        let plc = plc(text);
        let shown = Shown::read(&plc, self.dir.path()).unwrap();
        store::judge(&plc, &shown, principal, self.year(2)).iter().map(|finding| finding.kind).collect()
    }

    fn kinds(&self) -> Vec<&'static str> {
        self.found(&[GOOD, TLS, STORE].concat(), None)
    }
}

fn pinned(certificate: &CertificateFacts) -> String {
    let owned = fleetkey_agent::intake::Owned::read(&certificate.der).unwrap();
    let lower: Vec<_> = owned.thumbprint.as_bytes().chunks(2).map(String::from_utf8_lossy).collect();
    [GOOD, TLS, "pinned = '", &lower.join(":").to_lowercase(), "'\n", STORE].concat()
}

#[test]
fn what_is_as_it_should_be_is_not_mentioned() {
    let bench = Bench::new();
    let one = bench.signed("own/one.der", "PLC1", 1, 10 * YEAR);
    let text = [GOOD, TLS, STORE].concat();
    assert_eq!(settings_of(&text), [""; 0]);
    assert_eq!(bench.found(&text, Some(one.id)), [""; 0]);
    let other = "library = 'aws-iot-core-client'\nclient_id = 'PLC1'\ncommon_name_prefix = 'AWSClient'\n";
    let text = [other, "[tls]\nverification_mode = 2\n", STORE].concat();
    bench.signed("own/one.der", "AWSClient@PLC1", 1, 10 * YEAR);
    assert_eq!((settings_of(&text), bench.found(&text, None)), (vec![], vec![]));
}

#[test]
fn each_setting_has_its_finding() {
    let tls = |more: &str| settings_of(&[GOOD, "[tls]\n", more].concat());
    assert_eq!(tls(""), ["server_not_verified"], "1 is the default");
    assert_eq!(tls("verification_mode = 1"), ["server_not_verified"]);
    assert_eq!(tls("verification_mode = 2\nversion = '1.1'"), ["tls_version"]);
    assert_eq!(settings_of(GOOD), ["no_tls"]);
    assert!(
        settings_of(&[GOOD, "hostname = '127.0.0.1'\n"].concat()).is_empty(),
        "a sidecar on this controller"
    );
    let with = |line: &str, other: &str| settings_of(&[&GOOD.replace(line, other), TLS].concat());
    assert_eq!(with("client_id = 'PLC1'", "client_id = 'PLC2'"), ["client_id"]);
    assert_eq!(with("client_id = 'PLC1'", "client_id = 'PLC-1'"), ["client_id", "client_id_alphabet"]);
    assert_eq!(with("keepalive = 60\n", ""), ["keepalive"], "5 s is MQTT Client SL's default");
    assert_eq!(with("keepalive = 60", "keepalive = 0"), ["keepalive"]);
    assert_eq!(with("keepalive = 60", "keepalive = 1201"), ["keepalive"]);
    assert_eq!(with("keepalive = 60", "keepalive = 30\nclean_session = true"), ["clean_session"]);
    let prefix = "client_id = 'PLC1'\ncommon_name_prefix = 'AWSClient'";
    assert_eq!(with("client_id = 'PLC1'", prefix), ["prefix"]);
    let doubled = prefix.replace("AWSClient", "AWSClient@");
    let aws = GOOD.replace("mqtt-client", "aws-iot-core-client").replace("client_id = 'PLC1'", &doubled);
    assert_eq!(settings_of(&[&aws, TLS].concat()), ["prefix"]);
}

#[test]
fn the_library_of_aws_documents_no_alphabet_for_a_client_id() {
    let text = "library = 'aws-iot-core-client'\nclient_id = 'PLC-1'\n[tls]\nverification_mode = 2\n";
    let thing = ThingName::new("PLC-1").unwrap();
    assert!(settings::judge(&plc(text), Some(&thing)).is_empty());
}

#[test]
fn a_name_that_is_not_in_own_and_a_pin_that_is_not_are_told_apart() {
    let bench = Bench::new();
    assert_eq!(bench.kinds(), ["common_name"]);
    let gone = bench.signed("gone.der", "PLC1", 1, 10 * YEAR);
    bench.signed("own/aws.der", "AWS IoT Certificate", 1, 10 * YEAR);
    assert_eq!(bench.kinds(), ["common_name"]);
    assert_eq!(bench.found(&pinned(&gone), None), ["pin"]);
    std::fs::copy(bench.path("gone.der"), bench.path("own/here.der")).unwrap();
    assert_eq!(bench.found(&pinned(&gone), None), [""; 0]);
}

#[test]
fn of_two_with_one_name_an_older_one_is_a_fault_until_the_other_is_pinned() {
    let bench = Bench::new();
    let old = bench.signed("own/old.der", "PLC1", 0, 20 * YEAR);
    let new = bench.signed("own/new.der", "PLC1", 1, 10 * YEAR);
    assert_eq!(bench.kinds(), ["same_name"]);
    assert_eq!(bench.found(&pinned(&new), Some(new.id)), [""; 0]);
    assert_eq!(bench.found(&pinned(&new), Some(old.id)), ["stale_certificate"]);
    let plc = plc(&[GOOD, TLS, STORE].concat());
    let severity = |bench: &Bench| {
        let shown = Shown::read(&plc, bench.dir.path()).unwrap();
        let findings = store::judge(&plc, &shown, None, bench.year(2));
        format!("{} {}", findings[0], findings.len())
    };
    assert!(severity(&bench).contains("FAULT") && severity(&bench).contains("an older one is taken"));
    bench.signed("own/old.der", "PLC1", 0, 10 * YEAR);
    assert!(severity(&bench).contains("nobody documents"), "{}", severity(&bench));
    bench.signed("own/old.der", "PLC1", 0, 5 * YEAR);
    assert!(severity(&bench).contains("note") && severity(&bench).contains("the newest"));
}

#[test]
fn what_the_store_passes_over_is_told_certificate_by_certificate() {
    let bench = Bench::new();
    bench.signed("own/one.der", "PLC1", 0, YEAR);
    assert_eq!(bench.kinds(), ["not_in_term"]);
    bench.signed("own/one.der", "PLC1", 3, YEAR);
    assert_eq!(bench.kinds(), ["not_in_term"]);
    let own = [
        "-x509",
        "-days",
        "9000",
        "-outform",
        "DER",
        "-keyout",
        "plc.key",
        "-out",
        "own/one.der",
        "-extensions",
        "more",
    ];
    let with = |extensions: &str, key: &[&str]| {
        bench.openssl("PLC1", extensions, &[&own[..], key].concat());
        bench.kinds()
    };
    assert_eq!(with("extendedKeyUsage=serverAuth", &["-newkey", "rsa:2048"]), ["not_for_a_client"]);
    assert_eq!(with("keyUsage=keyEncipherment", &["-newkey", "rsa:2048"]), ["not_for_a_client"]);
    assert_eq!(with("extendedKeyUsage=clientAuth", &["-newkey", "rsa:1024"]), ["weak_key"]);
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    assert_eq!(with("extendedKeyUsage=clientAuth", &curve), ["not_rsa"]);
    assert_eq!(with("extendedKeyUsage=clientAuth", &["-newkey", "rsa:2048"]), [""; 0]);
}

#[test]
fn pem_under_the_name_of_der_is_found_and_so_is_a_store_that_trusts_nobody() {
    let bench = Bench::new();
    bench.signed("own/one.der", "PLC1", 1, 10 * YEAR);
    std::fs::copy(bench.path("ca.pem"), bench.path("trusted/ca.der")).unwrap();
    assert_eq!(bench.kinds(), ["not_der", "no_trust"]);
    std::fs::write(bench.path("trusted/ca.der"), "rubbish").unwrap();
    assert_eq!(bench.kinds(), ["not_der", "no_trust"]);
    let nobody_verified = [GOOD, "[tls]\nsubject = 'PLC1'\n", "[store]\nown = ['own/one.der']\n"].concat();
    assert_eq!(bench.found(&nobody_verified, None), [""; 0], "the verification mode is a finding of its own");
}

#[test]
fn what_an_import_would_come_to_is_told_before_the_window() {
    let bench = Bench::new();
    bench.signed("own/old.der", "PLC1", 0, 20 * YEAR);
    let new = bench.signed("bundle/PLC1.der", "PLC1", 1, 10 * YEAR);
    std::fs::write(bench.path("bundle/root-1.der"), "no matter").unwrap();
    let text = [GOOD, TLS, STORE, "bundle = 'bundle'\n"].concat();
    assert_eq!(bench.found(&text, None), ["not_taken"]);
    let pinned = [&pinned(&new), "bundle = 'bundle'\n"].concat();
    // The pin is set before the import: nothing has it yet, and the import will.
    assert_eq!(bench.found(&pinned, None), ["pin"]);
    std::fs::write(bench.path("bundle/PLC1.p12"), "what is in it nobody asks").unwrap();
    let version = |runtime: &str| text.replace("runtime = '3.5.20.0'", runtime);
    assert_eq!(bench.found(&version("runtime = '3.5.17.30'"), None), ["pkcs12", "not_taken"]);
    assert_eq!(bench.found(&version(""), None), ["pkcs12", "not_taken"]);
    assert_eq!(bench.found(&version("runtime = '3.5.18.0'"), None), ["not_taken"]);
}

#[test]
fn a_description_that_does_not_read_says_where() {
    for (text, words) in [
        ("library = 'paho'\nclient_id = 'x'\n", "mqtt-client"),
        ("library = 'mqtt-client'\n", "client_id"),
        ("library = 'mqtt-client'\nclient_id = 'x'\nkeepalives = 3\n", "keepalives"),
        ("library = 'mqtt-client'\nclient_id = 'x'\nruntime = 'SP18'\n", "no version of CODESYS Control"),
    ] {
        let error = toml::from_str::<Plc>(text).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}
