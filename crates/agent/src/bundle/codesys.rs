//! The offline bundle for CODESYS: PKCS#12 into the store's Own, roots into Trusted, sums to compare, and the steps.
//!
//! A sheet for each way that a version of CODESYS has. From its documentation: PKCS#12 is imported into Own from Control
//! 3.5.18.0 on, before that the PLC makes its key and a request; the certificate is searched by
//! common name, a pinned thumbprint wins, and of several that fit the one with the *longest period of validity* is taken.
//! Certificates of AWS IoT all end on the same day, so of two the older one would win: the old one has to be removed, or
//! the new one pinned. Not shown by any test without a PLC: the import itself, EC keys, and whether a running connection
//! notices the store.

use std::path::Path;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use fleetkey_model::retirement::{DeviceRequest, RequestOp};
use fleetkey_model::topic::FleetTopic;

use super::{BundleError, File, Material, pkcs12, thumbprint};

pub(super) fn bundle(
    of: &Material,
    passphrase: &str,
    kept: &Path,
) -> Result<(Vec<File>, String), BundleError> {
    let serial = of.serial.as_str();
    let own = pkcs12(&of.key, &of.certificate.der, serial, passphrase)?;
    let mut files = vec![
        File::secret(format!("{serial}.p12"), own),
        File::public(format!("{serial}.der"), of.certificate.der.clone()),
    ];
    let roots = of.roots.iter().enumerate();
    files.extend(roots.map(|(at, root)| File::public(format!("root-{}.der", at + 1), root.clone())));
    files.push(File::public("chain.pem", of.certificate_pem() + &of.roots_pem()));
    let sums = files.iter().map(|file| format!("{}  {}\n", sum(&file.content), file.name));
    let sums: String = sums.collect();
    files.push(File::public("SHA256SUMS", sums));
    let sheet = by_pkcs12(of, kept);
    files.push(File::public("STEPS.txt", sheet.clone()));
    files.push(File::public("STEPS-REQUEST.txt", by_request(of)));
    Ok((files, sheet))
}

/// As sha256sum(1) checks it.
fn sum(content: &[u8]) -> String {
    thumbprint(&SHA256, content).replace(':', "").to_lowercase()
}

/// Control 3.5.18.0 and later.
fn by_pkcs12(of: &Material, kept: &Path) -> String {
    let serial = of.serial.as_str();
    format!(
        "CODESYS: certificate of {serial}, for Control 3.5.18.0 and later\n\n\
         {facts}\
         Passphrase    in {kept}; take it to the PLC by another way than the files\n\n\
         {notes}\
         Before: sha256sum -c SHA256SUMS in this directory. Keep it on encrypted media, and destroy it afterwards.\n\n\
         [ ] 1  Security Screen, Devices, Trusted: import each root-*.der.\n\
         [ ] 2  Own: import {serial}.p12 with the passphrase. Compare the thumbprint.\n\
         {rest}",
        facts = facts(of),
        kept = kept.display(),
        notes = notes(of),
        rest = from_own_on(of),
    )
}

/// Any version, and the only way before 3.5.18.0: the PLC makes its key, which never leaves it.
fn by_request(of: &Material) -> String {
    let serial = of.serial.as_str();
    format!(
        "CODESYS: a certificate for a key that the PLC of {serial} makes; the only way before Control 3.5.18.0\n\n\
         {notes}\
         [ ] 0  Start the application with xEnable TRUE once: it fails, and the use case is registered.\n\
         [ ] 1  Security Screen, Devices, Trusted: import each root-*.der.\n\
         [ ] 2  PLC shell: cert-getapplist, and cert-createcsr with the number of the use case. The request is DER.\n\
         \x20      It demands key usage, extended key usage and subject alternative name, each critical: what is signed\n\
         \x20      without one of them cannot be used by the PLC. Its common name must be {serial}, or PREFIX@{serial}.\n\
         [ ] 2a Have it signed with those extensions, register what comes of it and attach it to {serial} with the\n\
         \x20      fleet's device policy. Import it (DER): it is Untrusted first; move it to Own.\n\
         \x20      In the steps below its thumbprint and id take the place of what is said there.\n\
         {rest}",
        notes = notes(of),
        rest = from_own_on(of),
    )
}

fn facts(of: &Material) -> String {
    let der = &of.certificate.der;
    format!(
        "Common name   {name}\n\
         SHA-1         {sha1}\n\
         SHA-256       {sha256}\n\
         Endpoint      {host}:{port}, client id {serial}\n",
        name = of.certificate.common_name().unwrap_or_default(),
        sha1 = thumbprint(&SHA1_FOR_LEGACY_USE_ONLY, der),
        sha256 = thumbprint(&SHA256, der),
        host = of.host,
        port = of.port,
        serial = of.serial,
    )
}

/// What CODESYS will not like of this device.
fn notes(of: &Material) -> String {
    let mut notes = String::new();
    if !of.serial.as_str().chars().all(|c| c.is_ascii_alphanumeric()) {
        notes +=
            "NOTE  MQTT Client SL documents client ids of letters and digits only; this one has others.\n";
    }
    if of.certificate.common_name().as_deref() != Some(of.serial.as_str()) {
        notes += "NOTE  The certificate is searched by its common name, which is not the client id: pin its thumbprint.\n";
    }
    notes
}

/// The steps once the certificate is in Own.
fn from_own_on(of: &Material) -> String {
    let requests = FleetTopic::Requests(of.serial.thing());
    let told = of.retires.as_ref().map(|id| {
        let request = DeviceRequest { op: RequestOp::Retire, id: id.clone(), audit: None };
        format!(
            "[ ] 8  `retire`, and while it waits publish from the PLC to {requests}\n\
             {request}\n\
             \x20      The broker's word on that connection is what the superseded certificate goes by.\n",
            request = serde_json::to_string(&request).unwrap_or_default(),
        )
    });
    let told = told.unwrap_or_else(|| "[ ] 8  Nothing is superseded that could be retired.\n".to_owned());
    format!(
        "[ ] 3  Pin this thumbprint for the client's use case; or remove the old certificate from Own (keep a copy).\n\
         \x20      With both in Own and none pinned the PLC goes on using the old one.\n\
         [ ] 4  TLSContext: ciCertInfo.sSubject = common name, udiVerificationMode := 2 (its default, 1, checks nobody).\n\
         \x20      AWS IoT Core Client SL: sCertCNPrefix empty; with one it looks for PREFIX@{serial}.\n\
         [ ] 5  xEnable FALSE, then TRUE. An open connection does not notice the store.\n\
         [ ] 6  Test: publish to {root}/{serial}/status and receive from {root}/{serial}/commands.\n\
         [ ] 7  See in the account that the connection of {serial} is on certificate id\n\
         \x20      {id}\n\
         {told}\
         [ ] 9  Where no controller runs: deactivate the superseded certificate in the account.\n",
        serial = of.serial,
        root = of.topic_root,
        id = of.certificate.id,
    )
}
