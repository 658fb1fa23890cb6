//! Requests as OpenSSL makes them with what CODESYS documents, and certificates that OpenSSL reads.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fleetkey_model::certificate::CertificateFacts;
use fleetkey_model::time::Timestamp;

use super::*;
use crate::clock::{Clock, SystemClock};

const YEAR: Duration = Duration::from_secs(365 * 86_400);
/// What CODESYS puts into a request.
const DEMANDED: [&str; 3] = [
    "keyUsage=critical,digitalSignature,keyEncipherment",
    "extendedKeyUsage=critical,clientAuth",
    "subjectAltName=critical,DNS:plc-1.local",
];
const CA: [&str; 3] = [
    "basicConstraints=critical,CA:TRUE",
    "keyUsage=critical,keyCertSign,cRLSign",
    "subjectKeyIdentifier=hash",
];

struct Bench(tempfile::TempDir);

impl Bench {
    /// With a CA in `ca.pem` and `ca.key`.
    fn new() -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        bench.authority("ca", "ec", &CA);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn openssl(&self, arguments: &[&str]) -> String {
        let output = Command::new("openssl").args(arguments).current_dir(self.0.path()).output();
        let output = output.expect("openssl is installed with the test's packages");
        let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments:?}: {told}");
        told.into_owned()
    }

    /// A file of OpenSSL's with a common name and a section of extensions.
    fn settings(&self, common_name: &str, extensions: &[&str]) -> String {
        let text = format!(
            "[req]\ndistinguished_name=dn\nprompt=no\nstring_mask=utf8only\n[dn]\nCN={common_name}\n[more]\n{}\n",
            extensions.join("\n")
        );
        std::fs::write(self.path("openssl.cnf"), text).unwrap();
        "openssl.cnf".to_owned()
    }

    fn authority(&self, name: &str, key: &str, extensions: &[&str]) {
        let (config, out, key_out) =
            (self.settings("Plant CA", extensions), format!("{name}.pem"), format!("{name}.key"));
        let curve = if key == "ec" { vec!["-pkeyopt", "ec_paramgen_curve:P-256"] } else { vec![] };
        let fixed = ["req", "-x509", "-nodes", "-days", "3650", "-config", &config, "-extensions", "more"];
        let files = ["-newkey", key, "-keyout", &key_out, "-out", &out];
        self.openssl(&[&fixed[..], &files, &curve].concat());
    }

    /// A request in DER, by this kind of key and these flags besides.
    fn request(&self, common_name: &str, extensions: &[&str], key: &str, more: &[&str]) -> Vec<u8> {
        let config = self.settings(common_name, extensions);
        let fixed = ["req", "-new", "-nodes", "-config", &config, "-keyout", "plc.key", "-outform", "DER"];
        let reqexts: &[&str] = if extensions.is_empty() { &[] } else { &["-reqexts", "more"] };
        self.openssl(&[&fixed[..], &["-newkey", key, "-out", "plc.csr"], reqexts, more].concat());
        std::fs::read(self.path("plc.csr")).unwrap()
    }

    fn good(&self) -> SigningRequest {
        SigningRequest::read(&self.request("PLC1", &DEMANDED, "rsa:2048", &[])).unwrap()
    }

    /// What a CA makes of the request in `plc.csr` that goes by its own rules.
    fn signed_with(&self, extensions: &[&str]) -> CertificateFacts {
        std::fs::write(self.path("extensions"), extensions.join("\n")).unwrap();
        let files = ["-in", "plc.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-out", "signed.der"];
        let forms = ["x509", "-req", "-inform", "DER", "-outform", "DER", "-extfile", "extensions"];
        self.openssl(&[&forms[..], &files, &["-set_serial", "7"]].concat());
        CertificateFacts::from_der(&std::fs::read(self.path("signed.der")).unwrap()).unwrap()
    }

    fn ca(&self) -> Authority {
        Authority::open(&self.path("ca.pem"), &self.path("ca.key")).unwrap()
    }
}

fn now() -> Timestamp {
    SystemClock.now()
}

#[test]
fn a_request_of_a_plc_is_read_in_der_and_in_pem_and_nothing_is_wrong_with_it() {
    let bench = Bench::new();
    let request = bench.good();
    assert_eq!(request.common_name().as_deref(), Some("PLC1"));
    assert_eq!(request.faults("PLC1"), []);
    let pem = format!("\n{}", request.pem());
    assert_eq!(SigningRequest::read(pem.as_bytes()), Ok(request.clone()));
    let windows = request.pem().replace('\n', "\r\n").replace("BEGIN CERT", "BEGIN NEW CERT");
    let windows = windows.replace("END CERT", "END NEW CERT");
    assert_eq!(SigningRequest::read(windows.as_bytes()), Ok(request.clone()));
    assert_eq!(SigningRequest::open(&bench.path("plc.csr")), Ok(request));
}

#[test]
fn what_a_request_lacks_or_asks_too_much_is_said() {
    let bench = Bench::new();
    let faults = |extensions: &[&str]| {
        let request = bench.request("PLC1", extensions, "rsa:2048", &[]);
        SigningRequest::read(&request).unwrap().faults("PLC1")
    };
    let [usage, purpose, names] = DEMANDED;
    let absent = Demand::ALL.map(Fault::Absent);
    assert_eq!(faults(&[]), absent);
    assert_eq!(faults(&[purpose, names]), [Fault::Absent(Demand::KeyUsage)]);
    assert_eq!(faults(&[usage, names]), [Fault::Absent(Demand::ExtendedKeyUsage)]);
    assert_eq!(faults(&[usage, purpose]), [Fault::Absent(Demand::SubjectAlternativeName)]);
    let lax = "extendedKeyUsage=clientAuth";
    assert_eq!(faults(&[usage, lax, names]), [Fault::NotCritical(Demand::ExtendedKeyUsage)]);
    assert_eq!(faults(&["keyUsage=critical,keyEncipherment", purpose, names]), [Fault::NoSignature]);
    assert_eq!(faults(&[usage, "extendedKeyUsage=critical,serverAuth", names]), [Fault::NoClient]);
    let authority = "keyUsage=critical,digitalSignature,keyCertSign";
    assert_eq!(faults(&[authority, purpose, names]), [Fault::Authority]);
}

#[test]
fn the_common_name_is_the_client_id_or_has_the_prefix_before_it() {
    let bench = Bench::new();
    let request = bench.request("AWSClient@PLC1", &DEMANDED, "rsa:2048", &[]);
    let request = SigningRequest::read(&request).unwrap();
    assert_eq!(request.faults("AWSClient@PLC1"), []);
    let other = Fault::CommonName { found: "AWSClient@PLC1".into(), wanted: "PLC1".into() };
    assert_eq!(request.faults("PLC1"), [other]);
}

#[test]
fn what_aws_does_not_take_is_refused_each_with_its_own_reason() {
    let bench = Bench::new();
    let read = |key: &str, more: &[&str]| {
        SigningRequest::read(&bench.request("PLC1", &DEMANDED, key, more)).map(|_| ())
    };
    assert_eq!(read("rsa:1024", &[]), Err(RequestError::KeySize(1024)));
    assert_eq!(read("ed25519", &[]), Err(RequestError::KeyType));
    for (name, taken) in [("P-256", true), ("P-384", true), ("P-521", true), ("secp256k1", false)] {
        let curve = format!("ec_paramgen_curve:{name}");
        let expected = if taken { Ok(()) } else { Err(RequestError::KeyType) };
        assert_eq!(read("ec", &["-pkeyopt", &curve]), expected, "{name}");
    }
    let sha1 = read("rsa:2048", &["-sha1"]);
    assert_eq!(sha1, Err(RequestError::Algorithm("1.2.840.113549.1.1.5".into())));
    assert_eq!(read("rsa:2048", &["-sha512"]), Ok(()));
}

#[test]
fn a_request_that_was_changed_is_refused_and_so_is_rubbish() {
    let bench = Bench::new();
    let mut der = bench.request("PLC1", &DEMANDED, "rsa:2048", &[]);
    let name = der.windows(4).position(|window| window == b"PLC1").unwrap();
    der[name + 3] = b'2';
    assert_eq!(SigningRequest::read(&der), Err(RequestError::Signature));
    der.push(0);
    assert!(matches!(SigningRequest::read(&der), Err(RequestError::Unreadable(_))));
    let certificate = std::fs::read(bench.path("ca.pem")).unwrap();
    for rubbish in [&b""[..], b"rubbish", b"-----BEGIN", &[0x30, 0x80], &certificate] {
        assert!(matches!(SigningRequest::read(rubbish), Err(RequestError::Unreadable(_))), "{rubbish:?}");
    }
    assert!(matches!(SigningRequest::open(Path::new("/nonexistent")), Err(RequestError::File(_))));
}

#[test]
fn a_ca_of_ones_own_keeps_what_was_asked_for_and_openssl_agrees() {
    for key in ["ec", "rsa:2048"] {
        let bench = Bench::new();
        bench.authority("ca", key, &CA);
        let (request, ca) = (bench.good(), bench.ca());
        let one = ca.sign(&request, YEAR, now()).unwrap();
        assert_eq!(request.losses(&one), []);
        assert_eq!(one.alternative_names(), ["plc-1.local"]);
        assert_ne!(one.id, ca.sign(&request, YEAR, now()).unwrap().id, "serial numbers are random");
        std::fs::write(bench.path("one.der"), &one.der).unwrap();
        bench.openssl(&["x509", "-inform", "DER", "-in", "one.der", "-out", "one.pem"]);
        let told = bench.openssl(&["verify", "-purpose", "sslclient", "-CAfile", "ca.pem", "one.pem"]);
        assert!(told.contains("OK"), "{told}");
        let text = bench.openssl(&["x509", "-in", "one.pem", "-noout", "-text"]);
        for line in
            ["Key Usage: critical", "Extended Key Usage: critical", "Alternative Name: critical", "CA:FALSE"]
        {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}

#[test]
fn what_a_certificate_has_not_kept_is_told_extension_by_extension() {
    let bench = Bench::new();
    let request = bench.good();
    let [usage, purpose, names] = DEMANDED;
    let losses = |extensions: &[&str]| request.losses(&bench.signed_with(extensions));
    assert_eq!(losses(&DEMANDED), []);
    assert_eq!(losses(&[purpose, names]), [Loss::Missing(Demand::KeyUsage)]);
    assert_eq!(losses(&[usage, names]), [Loss::Missing(Demand::ExtendedKeyUsage)]);
    assert_eq!(losses(&[usage, purpose]), [Loss::Missing(Demand::SubjectAlternativeName)]);
    let lax = "subjectAltName=DNS:plc-1.local";
    assert_eq!(losses(&[usage, purpose, lax]), [Loss::NotCritical(Demand::SubjectAlternativeName)]);
    let less = "keyUsage=critical,digitalSignature";
    assert_eq!(losses(&[less, purpose, names]), [Loss::Changed(Demand::KeyUsage)]);
    let others = bench.ca().sign(&bench.good(), YEAR, now()).unwrap();
    assert_eq!(request.losses(&others), [Loss::Key]);
}

#[test]
fn a_certificate_ends_with_its_ca_and_begins_no_earlier() {
    let bench = Bench::new();
    let (request, ca) = (bench.good(), bench.ca());
    let (begins, ends) = (ca.certificate().not_before, ca.certificate().not_after);
    let signed = ca.sign(&request, 100 * YEAR, now()).unwrap();
    assert_eq!((signed.not_before, signed.not_after), (begins, ends));
    let later = begins + YEAR;
    let signed = ca.sign(&request, YEAR, later).unwrap();
    assert_eq!(signed.not_before, later - Duration::from_secs(120));
    assert_eq!(signed.not_after, later + YEAR);
}

#[test]
fn a_clock_that_cannot_be_right_signs_nothing() {
    let bench = Bench::new();
    let (request, ca) = (bench.good(), bench.ca());
    let epoch = Timestamp::from_secs(86_400);
    assert_eq!(ca.sign(&request, YEAR, epoch), Err(AuthorityError::ClockBehind(epoch)));
    let after = ca.certificate().not_after;
    assert!(matches!(ca.sign(&request, YEAR, after), Err(AuthorityError::NotInTerm { .. })));
}

#[test]
fn what_is_no_ca_is_refused_each_with_its_own_reason() {
    let bench = Bench::new();
    bench.authority("other", "ec", &CA);
    bench.authority("leaf", "ec", &["basicConstraints=critical,CA:FALSE"]);
    bench.authority("lame", "ec", &[CA[0], "keyUsage=critical,cRLSign"]);
    let open = |certificate: &str, key: &str| {
        Authority::open(&bench.path(certificate), &bench.path(key)).map(|_| ()).unwrap_err()
    };
    assert!(matches!(open("leaf.pem", "leaf.key"), AuthorityError::NoAuthority { .. }));
    assert!(matches!(open("lame.pem", "lame.key"), AuthorityError::NoAuthority { .. }));
    assert_eq!(open("ca.pem", "other.key"), AuthorityError::NoMatch(bench.path("other.key")));
    assert!(matches!(open("ca.key", "ca.key"), AuthorityError::Certificate { .. }));
    assert!(matches!(open("none.pem", "ca.key"), AuthorityError::File { .. }));
    bench.openssl(&["pkcs8", "-topk8", "-in", "ca.key", "-passout", "pass:secret", "-out", "locked.key"]);
    std::fs::set_permissions(bench.path("locked.key"), PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(open("ca.pem", "locked.key"), AuthorityError::KeyEncrypted(bench.path("locked.key")));
    std::fs::set_permissions(bench.path("ca.key"), PermissionsExt::from_mode(0o640)).unwrap();
    assert_eq!(open("ca.pem", "ca.key"), AuthorityError::KeyOpen { path: bench.path("ca.key"), mode: 0o640 });
}

#[test]
fn a_ca_tells_nobody_its_key() {
    let bench = Bench::new();
    let key = std::fs::read_to_string(bench.path("ca.key")).unwrap();
    let told = format!("{:?}", bench.ca());
    let line = key.lines().nth(1).unwrap();
    assert!(!told.contains(line) && !told.contains("PRIVATE"), "{told}");
}

/// Certificates as a store has them; begin and end in years from `now`.
fn owned(bench: &Bench, common_name: &str, begins: i64, ends: i64, more: &[&str]) -> Owned {
    let date = |years: i64| {
        let seconds = now().as_secs().saturating_add_signed(years * 365 * 86_400);
        let shown = Timestamp::from_secs(seconds).to_string();
        shown.chars().filter(char::is_ascii_digit).take(14).collect::<String>() + "Z"
    };
    bench.request(common_name, &[], "rsa:2048", &[]);
    let config = bench.settings(common_name, more);
    let (begins, ends) = (date(begins), date(ends));
    std::fs::write(bench.path("index.txt"), "").unwrap();
    let ca = format!(
        "{}[ca]\ndefault_ca=it\n[it]\ndatabase=index.txt\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\npolicy=any\n\
         x509_extensions=more\n[any]\ncommonName=supplied\n",
        std::fs::read_to_string(bench.path(&config)).unwrap()
    );
    std::fs::write(bench.path("ca.cnf"), ca).unwrap();
    let signing = ["ca", "-batch", "-notext", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key"];
    let what =
        ["-in", "plc.csr", "-inform", "DER", "-out", "own.pem", "-startdate", &begins, "-enddate", &ends];
    bench.openssl(&[&signing[..], &what].concat());
    bench.openssl(&["x509", "-in", "own.pem", "-outform", "DER", "-out", "own.der"]);
    Owned::read(&std::fs::read(bench.path("own.der")).unwrap()).unwrap()
}

#[test]
fn of_two_certificates_that_end_alike_the_older_one_is_taken_until_the_other_is_pinned() {
    let bench = Bench::new();
    let (old, new) = (owned(&bench, "PLC1", -2, 20, &[]), owned(&bench, "PLC1", -1, 20, &[]));
    assert_eq!((old.rsa_bits, old.self_signed, old.for_a_client), (Some(2048), false, true));
    let store = [new.clone(), old.clone()];
    assert_eq!(Choice::among(&store, None, "PLC1", now()), Choice::Takes(&old));
    assert_eq!(Choice::among(&store, Some(&new.thumbprint), "PLC1", now()), Choice::Takes(&new));
    assert_eq!(Choice::among(&store[1..], Some(&new.thumbprint), "PLC1", now()), Choice::Nothing);
    assert_eq!(Choice::among(&store, None, "PLC2", now()), Choice::Nothing);
    let twins = [old.clone(), old];
    assert_eq!(Choice::among(&twins, None, "PLC1", now()), Choice::Tie(&twins[0], &twins[1]));
}

#[test]
fn what_is_out_of_its_term_or_for_a_server_is_not_taken_and_nobody_else_vouching_comes_last() {
    let bench = Bench::new();
    let server = owned(&bench, "PLC1", -1, 20, &["extendedKeyUsage=serverAuth"]);
    assert!(!server.for_a_client);
    let mut own = vec![server, owned(&bench, "PLC1", -2, -1, &[]), owned(&bench, "PLC1", 1, 2, &[])];
    assert_eq!(Choice::among(&own, None, "PLC1", now()), Choice::Nothing);
    let fixed = ["req", "-x509", "-nodes", "-newkey", "rsa:3072", "-days", "9000", "-keyout", "self.key"];
    let config = bench.settings("PLC1", &[]);
    bench.openssl(&[&fixed[..], &["-config", &config, "-outform", "DER", "-out", "self.der"]].concat());
    own.push(Owned::read(&std::fs::read(bench.path("self.der")).unwrap()).unwrap());
    assert_eq!(Choice::among(&own, None, "PLC1", now()), Choice::Takes(&own[3]));
    own.push(owned(&bench, "PLC1", -1, 1, &[]));
    assert_eq!(Choice::among(&own, None, "PLC1", now()), Choice::Takes(&own[4]));
}
