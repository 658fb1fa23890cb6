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
use fleetkey_model::secret::PrivateKeyPem;

use super::retirement::Request;
use super::{BundleError, File, Material, Signed, pem, pkcs12, thumbprint};

mod client;

pub(super) fn bundle(
    of: &Material,
    key: &PrivateKeyPem,
    passphrase: &str,
    kept: &Path,
) -> Result<(Vec<File>, String), BundleError> {
    let serial = of.serial.as_str();
    let own = pkcs12(key, &of.certificate.der, serial, passphrase)?;
    let mut files = vec![
        File::secret(format!("{serial}.p12"), own),
        File::public(format!("{serial}.der"), of.certificate.der.clone()),
    ];
    files.extend(roots(of));
    files.push(File::public("chain.pem", of.certificate_pem() + &of.roots_pem()));
    files.push(sums(&files));
    let sheet = by_pkcs12(of, kept);
    files.push(File::public("STEPS.txt", sheet.clone()));
    files.push(File::public("STEPS-REQUEST.txt", by_request(of)));
    files.push(File::public("CLIENT.st", client::program(of)));
    Ok((files, sheet))
}

/// For a key that the PLC keeps: no file here is secret.
pub(super) fn signed(of: &Material, signed: &Signed) -> (Vec<File>, String) {
    let der = &of.certificate.der;
    let issuer = signed.issuer.as_ref();
    let mut files = vec![
        File::public(format!("{}.der", of.serial), der.clone()),
        File::public("thumbprint.txt", thumbprint(&SHA1_FOR_LEGACY_USE_ONLY, der) + "\n"),
    ];
    files.extend(roots(of));
    files.extend(issuer.map(|issuer| File::public("ca.der", issuer.der.clone())));
    let issuer_pem = issuer.map(|issuer| pem(&issuer.der)).unwrap_or_default();
    files.push(File::public("chain.pem", of.certificate_pem() + &issuer_pem + &of.roots_pem()));
    files.push(sums(&files));
    let sheet = by_signed_request(of, signed);
    files.push(File::public("STEPS.txt", sheet.clone()));
    files.push(File::public("CLIENT.st", client::program(of)));
    (files, sheet)
}

/// What the PLC is to trust.
fn roots(of: &Material) -> impl Iterator<Item = File> {
    let roots = of.roots.iter().enumerate();
    roots.map(|(at, root)| File::public(format!("root-{}.der", at + 1), root.clone()))
}

fn sums(files: &[File]) -> File {
    let sums = files.iter().map(|file| format!("{}  {}\n", sum(&file.content), file.name));
    File::public("SHA256SUMS", sums.collect::<String>())
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
        rest = from_own_on(of, &of.certificate.id.to_string(), &retirement(of)),
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
         [ ] 2  PLC shell: cert-getapplist, and cert-createcsr with the number of the use case. The request is DER, or\n\
         \x20      PEM with encoding=Base64; keylen= sets the key's length from the patches of 3.5.21 on. Many PLCs: the\n\
         \x20      CODESYS Automation Server makes requests and distributes certificates.\n\
         \x20      It demands key usage, extended key usage and subject alternative name, each critical: what is signed\n\
         \x20      without one of them cannot be used by the PLC. Its common name must be {serial}, or PREFIX@{serial}.\n\
         [ ] 2a Have it signed: fleetkey sign-request FILE --serial {serial} --to DIR, with --ca and --ca-key for a CA of\n\
         \x20      your own. It keeps those extensions or says which is lost, registers the certificate, and writes a sheet\n\
         \x20      for it, which takes the place of the steps below. Import it (DER): it is Untrusted first; move it to Own.\n\
         {rest}",
        notes = notes(of),
        rest = from_own_on(
            of,
            "(the certificate's SHA-256, in small letters and without colons)",
            &retirement(of)
        ),
    )
}

/// The same once the request was signed.
fn by_signed_request(of: &Material, signed: &Signed) -> String {
    let serial = of.serial.as_str();
    let ca = if signed.issuer.is_some() { ", and ca.der" } else { "" };
    let registration = if signed.registered {
        ""
    } else {
        "[ ] 0  Register the certificate (aws iot register-certificate-without-ca, or by the CA that is registered), attach\n\
         \x20      it to the thing with the fleet's device policy, and make it ACTIVE: nobody has done so yet.\n"
    };
    format!(
        "CODESYS: the certificate that was signed for the request of {serial}; its key is the PLC's\n\n\
         {facts}\n\
         {notes}\
         Before: sha256sum -c SHA256SUMS in this directory.\n\n\
         {registration}\
         [ ] 1  Security Screen, Devices, Trusted: import each root-*.der{ca}.\n\
         [ ] 2  Import {serial}.der: it is Untrusted first; move it to Own. Compare the thumbprint.\n\
         {rest}",
        facts = facts(of),
        notes = notes(of),
        rest = from_own_on(of, &of.certificate.id.to_string(), &own_retirement(of)),
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
    let name = of.certificate.common_name().unwrap_or_default();
    if name != of.serial.as_str() && prefix(of, &name).is_none() {
        notes += "NOTE  The certificate is searched by its common name, which is not the client id: pin its thumbprint.\n";
    }
    notes
}

/// What stands before the client id in `PREFIX@<client id>`.
fn prefix<'a>(of: &Material, name: &'a str) -> Option<&'a str> {
    name.strip_suffix(of.serial.as_str())?.strip_suffix('@')
}

/// What an agent that waits for its retirement wants the PLC to say.
fn retirement(of: &Material) -> String {
    let told = of.retires.as_ref().map(|id| {
        format!("[ ] 8  `retire`, and while it waits publish from the PLC to {}", retire_request(of, id))
    });
    told.unwrap_or_else(|| "[ ] 8  Nothing is superseded that could be retired.\n".to_owned())
}

/// What a PLC says whose certificate no agent has asked for.
fn own_retirement(of: &Material) -> String {
    let request = retire_request(of, &of.certificate.id.short());
    format!(
        "[ ] 8  Once it works, for the certificates before it to be retired, publish from the PLC to {request}"
    )
}

fn retire_request(of: &Material, id: &str) -> String {
    let Request { topic, payload } = Request::new(of, id);
    format!(
        "{topic}\n\
         {payload}\n\
         \x20      The broker's word on that connection is what the superseded certificate goes by. Said while the\n\
         \x20      PLC is on the certificate before it retires nothing: say it again then.\n",
    )
}

/// The steps once the certificate with this id is in Own.
fn from_own_on(of: &Material, id: &str, retirement: &str) -> String {
    let serial = of.serial.as_str();
    let name = of.certificate.common_name().unwrap_or_default();
    let prefixed = match prefix(of, &name) {
        Some(prefix) => format!("sCertCNPrefix := '{prefix}': it looks for {name}."),
        None => format!("sCertCNPrefix empty; with one it looks for PREFIX@{serial}."),
    };
    format!(
        "[ ] 3  Pin the certificate's thumbprint for the client's use case; or remove the old certificate from Own (keep a copy).\n\
         \x20      With both in Own and none pinned the PLC goes on using the old one.\n\
         [ ] 4  TLSContext and client as in CLIENT.st: ciCertInfo with the common name, udiVerificationMode := 2 (its\n\
         \x20      default, 1, checks nobody), itfAsyncProperty. AWS IoT Core Client SL: {prefixed}\n\
         [ ] 5  xEnable FALSE, then TRUE. An open connection does not notice the store.\n\
         [ ] 6  Test: publish to {root}/{serial}/status and receive from {root}/{serial}/commands.\n\
         [ ] 7  See in the account that the connection of {serial} is on certificate id\n\
         \x20      {id}\n\
         {retirement}\
         [ ] 9  Where no controller runs: deactivate the superseded certificate in the account.\n",
        root = of.topic_root,
    )
}
