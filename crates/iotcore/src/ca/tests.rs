//! The authorities: kept over restarts, renewed in time, acceptable to strict verifiers, shaped as AWS's.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use der::{Decode, Encode};
use fleetkey_model::certificate::CertificateFacts;
use fleetkey_model::time::Timestamp;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_cert::Certificate;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);
const DAY: Duration = Duration::from_secs(86_400);

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self, hosts: &[&str], now: Timestamp) -> Authorities {
        self.try_open(hosts, now).unwrap()
    }

    fn try_open(&self, hosts: &[&str], now: Timestamp) -> Result<Authorities, CaError> {
        let config =
            CaConfig { hosts: hosts.iter().map(ToString::to_string).collect(), device_validity: None };
        Authorities::open(self.0.path(), &config, now)
    }
}

fn leaf(server: &ServerIdentity, now: Timestamp) -> Vec<u8> {
    server.current(now).unwrap().cert[0].to_vec()
}

/// As a client that trusts only the root would.
fn verify(server: &ServerIdentity, host: &str, now: Timestamp) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(server.root_der().to_vec())).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let at = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()));
    verifier.verify_server_cert(&CertificateDer::from(leaf(server, now)), &[], &name, &[], at).is_ok()
}

#[test]
fn a_strict_verifier_accepts_the_server_under_each_of_its_names_and_no_other() {
    let home = Home::new();
    let server = home.open(&["broker.plant.example", "10.1.2.3"], NOW).server;
    for host in ["localhost", "127.0.0.1", "::1", "broker.plant.example", "10.1.2.3"] {
        assert!(verify(&server, host, NOW), "{host}");
    }
    for host in ["example.com", "10.1.2.4"] {
        assert!(!verify(&server, host, NOW), "{host}");
    }
}

#[test]
fn authorities_outlive_a_restart_and_keep_their_keys_to_themselves() {
    let home = Home::new();
    let first = home.open(&[], NOW);
    let second = home.open(&[], NOW + DAY);
    assert_eq!(first.server.root_der(), second.server.root_der());
    assert_eq!(leaf(&first.server, NOW), leaf(&second.server, NOW + DAY));
    for (name, mode) in
        [("server-ca.pem", 0o600), ("server.pem", 0o600), ("device-ca.pem", 0o600), ("root-ca.pem", 0o644)]
    {
        let metadata = fs::metadata(home.0.path().join(name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{name}");
    }
    let root = fs::read_to_string(second.root_ca_path()).unwrap();
    assert!(root.starts_with("-----BEGIN CERTIFICATE-----") && !root.contains("PRIVATE KEY"));
}

#[test]
fn the_server_certificate_renews_itself_before_its_last_third_and_the_new_one_is_kept() {
    let home = Home::new();
    let server = home.open(&[], NOW).server;
    let first = leaf(&server, NOW);
    assert_eq!(leaf(&server, NOW + DAY * 59), first);
    let renewed = leaf(&server, NOW + DAY * 61);
    assert_ne!(renewed, first);
    assert!(verify(&server, "localhost", NOW + DAY * 61));
    assert_eq!(leaf(&home.open(&[], NOW + DAY * 61).server, NOW + DAY * 61), renewed);
    let facts = CertificateFacts::from_der(&renewed).unwrap();
    assert!(facts.not_after.since(facts.not_before) <= DAY * 398);
    assert_ne!(facts.public_key, CertificateFacts::from_der(&first).unwrap().public_key);
}

#[test]
fn a_start_years_later_or_with_another_host_issues_a_new_certificate_under_the_same_root() {
    let home = Home::new();
    let root = home.open(&[], NOW).server.root_der().to_vec();
    let later = NOW + DAY * 1000;
    let server = home.open(&["other.example"], later).server;
    assert_eq!(server.root_der(), root);
    assert!(verify(&server, "other.example", later));
}

#[test]
fn damaged_or_foreign_files_and_impossible_hosts_are_told_apart() {
    let home = Home::new();
    drop(home.open(&[], NOW));
    assert!(matches!(home.try_open(&["no host"], NOW), Err(CaError::Host(_))));
    let device = fs::read_to_string(home.0.path().join("device-ca.pem")).unwrap();
    let server = fs::read_to_string(home.0.path().join("server-ca.pem")).unwrap();
    let certificate = &device[device.find("-----BEGIN CERTIFICATE").unwrap()..];
    let key = &server[..server.find("-----BEGIN CERTIFICATE").unwrap()];
    fs::write(home.0.path().join("device-ca.pem"), format!("{key}{certificate}")).unwrap();
    let error = home.try_open(&[], NOW).unwrap_err();
    assert!(error.to_string().contains("its certificate is not for its key"), "{error}");
    fs::write(home.0.path().join("device-ca.pem"), "rubbish").unwrap();
    assert!(matches!(home.try_open(&[], NOW), Err(CaError::Damaged { .. })));
}

#[test]
fn a_directory_that_does_not_exist_is_a_clear_error() {
    let home = Home::new();
    let error = Authorities::open(&home.0.path().join("gone"), &CaConfig::default(), NOW).unwrap_err();
    assert!(matches!(error, CaError::File { action: "write", .. }), "{error}");
}

#[tokio::test]
async fn a_device_certificate_has_the_shape_of_those_that_aws_issues() {
    let home = Home::new();
    let devices = home.open(&[], NOW).devices;
    let minted = devices.create_keys(Term::Trial, NOW).await.unwrap();
    let facts = CertificateFacts::from_pem(&minted.pem).unwrap();
    assert_eq!(facts, minted.facts);
    assert_eq!(facts.not_after, Timestamp::AWS_CERTIFICATE_END);
    assert_eq!(facts.not_before, NOW - Duration::from_secs(120));

    let certificate = Certificate::from_der(&facts.der).unwrap();
    let body = certificate.tbs_certificate();
    let issuer: Vec<_> = body.issuer().iter().map(|one| one.value.value().to_vec()).collect();
    assert_eq!(issuer, [b"Amazon Web Services O=Amazon.com Inc. L=Seattle ST=Washington C=US".to_vec()]);
    assert_eq!(body.subject().to_string(), "CN=AWS IoT Certificate");
    assert_eq!(body.serial_number().as_bytes().len(), 20);
    assert_eq!(certificate.signature_algorithm().oid.to_string(), "1.2.840.113549.1.1.11");
    let extensions: Vec<_> = body.extensions().unwrap().iter().collect();
    let listed: Vec<_> = extensions.iter().map(|one| (one.extn_id.to_string(), one.critical)).collect();
    // AuthorityKeyIdentifier, SubjectKeyIdentifier, BasicConstraints, KeyUsage; no EKU, no SAN.
    let expected = [("2.5.29.35", false), ("2.5.29.14", false), ("2.5.29.19", true), ("2.5.29.15", true)];
    assert_eq!(listed, expected.map(|(oid, critical)| (oid.to_owned(), critical)));
    assert_eq!(extensions[3].extn_value.as_bytes(), [3, 2, 7, 0x80]);
    // SEQUENCE {} is CA:FALSE in DER.
    assert_eq!(extensions[2].extn_value.as_bytes(), [0x30, 0]);
    assert!(extensions.iter().all(|one| one.extn_value.to_der().is_ok()));
}

#[tokio::test]
async fn the_key_made_for_a_device_is_pkcs1_and_fits_its_certificate() {
    let home = Home::new();
    let devices = home.open(&[], NOW).devices;
    let minted = devices.create_keys(Term::Trial, NOW).await.unwrap();
    let pem = minted.private_key.unwrap();
    assert!(pem.expose().starts_with("-----BEGIN RSA PRIVATE KEY-----"));
    let (_, der) = der::pem::decode_vec(pem.expose().as_bytes()).unwrap();
    let pair = aws_lc_rs::rsa::KeyPair::from_der(&der).unwrap();
    let public: aws_lc_rs::encoding::PublicKeyX509Der<'_> = {
        use aws_lc_rs::encoding::AsDer;
        use aws_lc_rs::signature::KeyPair;
        pair.public_key().as_der().unwrap()
    };
    assert_eq!(public.as_ref(), minted.facts.public_key);
}

#[tokio::test]
async fn a_request_keeps_its_subject_and_key_and_twice_gives_two_certificates() {
    let home = Home::new();
    let devices = home.open(&[], NOW).devices;
    let request = SigningRequest::parse(include_str!("../../fixtures/csr/p256-sha256.pem")).unwrap();
    let first = devices.issue(request.clone(), Term::Trial, NOW).await.unwrap();
    let second = devices.issue(request.clone(), Term::Trial, NOW).await.unwrap();
    assert_ne!(first.facts.id, second.facts.id);
    assert_eq!(first.facts.public_key, second.facts.public_key);
    assert_eq!(first.facts.public_key, request.public_key.to_der().unwrap());
    assert!(first.private_key.is_none());
    let certificate = Certificate::from_der(&first.facts.der).unwrap();
    assert_eq!(certificate.tbs_certificate().subject(), &request.subject);
}

#[tokio::test]
async fn a_shorter_validity_can_be_asked_for_trials() {
    let home = Home::new();
    let config = CaConfig { device_validity: Some(Duration::from_secs(60)), ..CaConfig::default() };
    let devices = Authorities::open(home.0.path(), &config, NOW).unwrap().devices;
    let minted = devices.create_keys(Term::Trial, NOW).await.unwrap();
    assert_eq!(minted.facts.not_after, NOW + Duration::from_secs(60));
}

#[tokio::test]
async fn nothing_prints_a_key() {
    let home = Home::new();
    let authorities = home.open(&[], NOW);
    let minted = authorities.devices.create_keys(Term::Trial, NOW).await.unwrap();
    let printed = format!("{authorities:?} {minted:?}");
    assert!(!printed.contains("PRIVATE"), "{printed}");
    assert!(printed.contains("SigningKey(…)") && printed.contains("PrivateKeyPem(…)"));
}
