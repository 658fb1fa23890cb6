//! The offline bundle for CODESYS: PKCS#12 into the store's Own, roots into Trusted, sums to compare, and the steps.
//!
//! From CODESYS's documentation: PKCS#12 is imported into Own from Control 3.5.18.0 on; the certificate is searched by
//! common name, a pinned thumbprint wins, and of several that fit the one with the *longest period of validity* is taken.
//! Certificates of AWS IoT all end on the same day, so of two the older one would win: the old one has to be removed, or
//! the new one pinned. Not shown by any test without a PLC: the import itself, EC keys, and whether a running connection
//! notices the store.

use std::path::Path;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256};

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
    let sheet = sheet(of, kept);
    files.push(File::public("SHA256SUMS", sums));
    files.push(File::public("STEPS.txt", sheet.clone()));
    Ok((files, sheet))
}

/// As sha256sum(1) checks it.
fn sum(content: &[u8]) -> String {
    thumbprint(&SHA256, content).replace(':', "").to_lowercase()
}

fn sheet(of: &Material, kept: &Path) -> String {
    let der = &of.certificate.der;
    let name = of.certificate.common_name().unwrap_or_default();
    let mut notes = String::new();
    if !of.serial.as_str().chars().all(|c| c.is_ascii_alphanumeric()) {
        notes +=
            "NOTE  MQTT Client SL documents client ids of letters and digits only; this one has others.\n";
    }
    if name != of.serial.as_str() {
        notes += "NOTE  The certificate is searched by its common name, which is not the client id: pin its thumbprint.\n";
    }
    format!(
        "CODESYS: certificate of {serial}\n\n\
         Common name   {name}\n\
         SHA-1         {sha1}\n\
         SHA-256       {sha256}\n\
         Endpoint      {host}:{port}, client id {serial}\n\
         Passphrase    in {kept}; take it to the PLC by another way than the files\n\n\
         {notes}\
         Before: sha256sum -c SHA256SUMS in this directory. Keep it on encrypted media, and destroy it afterwards.\n\n\
         Control 3.5.18.0 and later\n\
         [ ] 1  Security Screen, Devices, Trusted: import each root-*.der.\n\
         [ ] 2  Own: import {serial}.p12 with the passphrase. Compare the thumbprint.\n\
         [ ] 3  Pin this thumbprint for the client's use case; or remove the old certificate from Own (keep a copy).\n\
         \x20      With both in Own and none pinned the PLC goes on using the old one.\n\
         [ ] 4  TLSContext: ciCertInfo.sSubject = common name, udiVerificationMode := 2 (its default, 1, checks nobody).\n\
         [ ] 5  xEnable FALSE, then TRUE. An open connection does not notice the store.\n\
         [ ] 6  Test: publish to {root}/{serial}/status and receive from {root}/{serial}/commands.\n\
         [ ] 7  See in the account that the connection of {serial} is on certificate id\n\
         \x20      {id}\n\
         \x20      and only then take the superseded one out of use: `retire`, or deactivate it in the account.\n\n\
         Before 3.5.18.0 no key can be imported: let the PLC make it (PLC shell: cert-createcsr), have the request\n\
         signed, import the certificate into Own, and go on with step 3.\n",
        serial = of.serial,
        sha1 = thumbprint(&SHA1_FOR_LEGACY_USE_ONLY, der),
        sha256 = thumbprint(&SHA256, der),
        host = of.host,
        port = of.port,
        kept = kept.display(),
        root = of.topic_root,
        id = of.certificate.id,
    )
}
