//! What the tests of several modules need: templates of the design's shape, and certificates without minting.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fleetkey_model::certificate::{CertificateFacts, CertificateId, CertificateStatus};
use fleetkey_model::time::Timestamp;

use crate::ca::{Authorities, CaConfig, DeviceAuthority, Minted};
use crate::registry::{NewCertificate, Source};

/// A moment in November 2026.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

/// The claim template: the certificate's id is an attribute under FAIL, so that a thing is taken once.
pub(crate) const CLAIM_TEMPLATE: &str = r#"{
    "Parameters": {"SerialNumber": {"Type": "String"}},
    "Resources": {
        "certificate": {"Type": "AWS::IoT::Certificate", "Properties": {
            "CertificateId": {"Ref": "AWS::IoT::Certificate::Id"},
            "Status": "ACTIVE", "ThingPrincipalType": "EXCLUSIVE_THING"}},
        "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "device"}},
        "thing": {"Type": "AWS::IoT::Thing",
            "OverrideSettings": {"AttributePayload": "FAIL", "ThingGroups": "DO_NOTHING"},
            "Properties": {
                "ThingName": {"Ref": "SerialNumber"}, "ThingGroups": ["fleet"],
                "AttributePayload": {"certificate": {"Ref": "AWS::IoT::Certificate::Id"}}}}},
    "DeviceConfiguration": {"root": "device"}}"#;

/// The rotation template: nothing of the thing changes but the certificate's id.
pub(crate) const ROTATION_TEMPLATE: &str = r#"{
    "Parameters": {"SerialNumber": {"Type": "String"}},
    "Resources": {
        "certificate": {"Type": "AWS::IoT::Certificate", "Properties": {
            "CertificateId": {"Ref": "AWS::IoT::Certificate::Id"},
            "Status": "ACTIVE", "ThingPrincipalType": "EXCLUSIVE_THING"}},
        "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "device"}},
        "thing": {"Type": "AWS::IoT::Thing",
            "OverrideSettings": {"AttributePayload": "MERGE", "ThingGroups": "DO_NOTHING"},
            "Properties": {
                "ThingName": {"Ref": "SerialNumber"},
                "AttributePayload": {"certificate": {"Ref": "AWS::IoT::Certificate::Id"}}}}}}"#;

/// A document that parses.
pub(crate) const POLICY: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]}"#;

/// The id of the `n`th certificate.
pub(crate) fn id(n: u8) -> CertificateId {
    CertificateId::from_bytes([n; 32])
}

/// Facts of a certificate that nobody signed.
pub(crate) fn facts(n: u8) -> CertificateFacts {
    CertificateFacts {
        id: id(n),
        der: vec![n],
        not_before: NOW - Duration::from_secs(120),
        not_after: Timestamp::AWS_CERTIFICATE_END,
        public_key: vec![n],
    }
}

/// The `n`th certificate, ready to be registered as ACTIVE.
pub(crate) fn new_certificate(n: u8) -> NewCertificate {
    NewCertificate {
        pem: format!("pem {n}"),
        facts: facts(n),
        status: CertificateStatus::Active,
        source: Source::Csr,
    }
}

/// The `n`th certificate as if it had just been minted.
pub(crate) fn minted(n: u8) -> Minted {
    Minted { pem: format!("pem {n}"), facts: facts(n), private_key: None }
}

/// One device CA for all tests: its RSA key takes long to make. Its directory is gone again at once.
pub(crate) fn devices() -> Arc<DeviceAuthority> {
    static DEVICES: OnceLock<Arc<DeviceAuthority>> = OnceLock::new();
    let open = || {
        let directory = tempfile::tempdir().unwrap();
        Authorities::open(directory.path(), &CaConfig::default(), NOW).unwrap().devices
    };
    DEVICES.get_or_init(open).clone()
}
