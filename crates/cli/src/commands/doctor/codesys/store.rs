//! What a PLC's certificates say, by the rules that CODESYS documents for choosing among them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fleetkey_agent::intake::{Choice, Owned};
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::time::Timestamp;

use super::description::Plc;
use crate::commands::doctor::finding::Finding;

/// The least that CODESYS and AWS take, bits.
const RSA_BITS: usize = 2048;
/// The subject of certificates that AWS makes without a request (Developer Guide, device-certs-create).
const AWS_COMMON_NAME: &str = "AWS IoT Certificate";

/// What a PLC has in its store, as it was exported.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) own: Vec<Owned>,
    trusted: usize,
    /// What is to be imported next.
    bundle: Option<Bundle>,
    /// Of files that are no certificates.
    findings: Vec<Finding>,
}

/// A bundle of `fleetkey export codesys` or of `fleetkey sign-request`.
#[derive(Debug)]
struct Bundle {
    at: String,
    pkcs12: bool,
    certificate: Option<Owned>,
}

impl Shown {
    /// Reads the files that the description names; relative ones lie in `beside`.
    pub(super) fn read(plc: &Plc, beside: &Path) -> Result<Self> {
        let mut shown = Self::default();
        let own = shown.certificates(plc.store.own.as_deref().unwrap_or_default(), beside)?;
        let trusted = shown.certificates(plc.store.trusted.as_deref().unwrap_or_default(), beside)?;
        let bundle = plc.store.bundle.as_ref().map(|dir| shown.bundle(&beside.join(dir))).transpose()?;
        Ok(Self { own, trusted: trusted.len(), bundle, ..shown })
    }

    fn certificates(&mut self, named: &[PathBuf], beside: &Path) -> Result<Vec<Owned>> {
        let mut all = Vec::new();
        for path in named {
            for file in files(&beside.join(path))? {
                all.extend(self.certificate(&file)?);
            }
        }
        Ok(all)
    }

    /// One file; what is none is a finding.
    fn certificate(&mut self, path: &Path) -> Result<Option<Owned>> {
        let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let error = match Owned::read(&bytes) {
            Ok(owned) => return Ok(Some(owned)),
            Err(error) => error,
        };
        let is_pem = bytes.windows(10).any(|window| window == b"-----BEGIN");
        let what = if is_pem { "it is PEM, whatever its name".to_owned() } else { error.to_string() };
        self.findings.push(
            Finding::fault("not_der", path.display().to_string(), what)
                .why("the store takes certificates in DER, and PEM under another name is not taken")
                .todo("convert it: openssl x509 -in FILE -outform DER -out FILE.der"),
        );
        Ok(None)
    }

    fn bundle(&mut self, dir: &Path) -> Result<Bundle> {
        let mut bundle = Bundle { at: dir.display().to_string(), pkcs12: false, certificate: None };
        for path in listed(dir)? {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            match name.rsplit_once('.') {
                Some((_, "p12" | "pfx")) => bundle.pkcs12 = true,
                Some((stem, "der")) if stem != "ca" && !stem.starts_with("root-") => {
                    bundle.certificate = self.certificate(&path)?;
                }
                _ => {}
            }
        }
        Ok(bundle)
    }
}

/// Judges Own, Trusted, and what is to be imported.
pub(super) fn judge(
    plc: &Plc,
    shown: &Shown,
    principal: Option<CertificateId>,
    now: Timestamp,
) -> Vec<Finding> {
    let mut findings = shown.findings.clone();
    if plc.tls.is_some() && plc.store.own.is_some() {
        findings.extend(own(plc, shown, principal, now));
    }
    let verifies = plc.tls.as_ref().is_some_and(|tls| tls.verification_mode == 2);
    if verifies && plc.store.trusted.is_some() && shown.trusted == 0 {
        findings.push(
            Finding::fault("no_trust", "Trusted", "nothing is trusted")
                .why("with udiVerificationMode 2 the broker's certificate then ends at no root, and every connection fails")
                .todo("import the root-*.der of the bundle into Trusted, and name them as trusted here"),
        );
    }
    findings.extend(shown.bundle.as_ref().map(|bundle| import(plc, shown, bundle, now)).unwrap_or_default());
    findings
}

fn own(plc: &Plc, shown: &Shown, principal: Option<CertificateId>, now: Timestamp) -> Vec<Finding> {
    let (wanted, pin) = (plc.common_name(), plc.pin());
    let looked_at = |one: &&Owned| match &pin {
        Some(pin) => one.thumbprint == *pin,
        None => one.facts.common_name().as_deref() == Some(wanted.as_str()),
    };
    let candidates: Vec<_> = shown.own.iter().filter(looked_at).collect();
    let mut findings: Vec<_> = candidates.iter().flat_map(|one| unusable(one, now)).collect();
    if candidates.is_empty() {
        findings.push(match &pin {
            Some(pin) => pinned_away(pin),
            None => unnamed(&wanted, &shown.own),
        });
    }
    let choice = Choice::among(&shown.own, pin.as_deref(), &wanted, now);
    let usable = candidates.iter().filter(|one| one.for_a_client && one.is_valid(now));
    let newest = usable.clone().max_by_key(|one| one.facts.not_before).copied();
    if usable.count() > 1 && pin.is_none() {
        findings.extend(newest.and_then(|newest| several(choice, newest, &wanted)));
    }
    if let (Some(principal), Choice::Takes(taken)) = (principal, choice) {
        findings.extend((taken.facts.id != principal).then(|| stale(taken, principal)));
    }
    findings
}

fn unusable(one: &Owned, now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !one.is_valid(now) {
        let (begins, ends) = (one.facts.not_before, one.facts.not_after);
        let what = format!("it is valid from {begins} to {ends}, and it is {now}");
        findings.push(
            Finding::fault("not_in_term", label(one), what)
                .why("the store passes over what is not valid by the PLC's clock")
                .todo("set the PLC's clock, or import a certificate that is valid"),
        );
    }
    if !one.for_a_client {
        findings.push(
            Finding::fault(
                "not_for_a_client",
                label(one),
                "its key usage or extended key usage is not a client's",
            )
            .why("the store passes over it when a client connects")
            .todo("have it signed again with digital signature and client authentication"),
        );
    }
    match one.rsa_bits {
        Some(bits) if bits < RSA_BITS => findings.push(
            Finding::fault("weak_key", label(one), format!("its RSA key has {bits} bits"))
                .why("CODESYS and AWS IoT take 2048 and more")
                .todo("cert-createcsr with keylen=2048, and have that signed"),
        ),
        Some(_) => {}
        None => findings.push(
            Finding::note("not_rsa", label(one), "its key is not RSA")
                .why("CODESYS's documentation shows RSA alone; whether a version takes ECDSA no test has shown")
                .todo("try it before the window; key_source = \"service\" in the agent's configuration gives RSA"),
        ),
    }
    findings
}

fn unnamed(wanted: &str, own: &[Owned]) -> Finding {
    let names: Vec<_> = own.iter().filter_map(|one| one.facts.common_name()).collect();
    let found =
        if names.is_empty() { "Own is empty".to_owned() } else { format!("Own has {}", names.join(", ")) };
    let by_aws = names.iter().any(|name| name == AWS_COMMON_NAME);
    let why = match by_aws {
        true => "a certificate whose key AWS has made is called so, and is found by its thumbprint only",
        false => "the store is searched by common name: the client id, or PREFIX@<client id>",
    };
    Finding::fault("common_name", "Own", format!("no certificate is called {wanted}: {found}"))
        .why(why)
        .todo("pin its thumbprint for the use case, or have one signed for that name")
}

fn pinned_away(pin: &str) -> Finding {
    Finding::fault("pin", "Own", format!("nothing in Own has the thumbprint that is pinned, {pin}"))
        .why("a thumbprint that is pinned wins, and nothing stands in for it: no connection comes about")
        .todo("import that certificate, or pin the thumbprint of one that is there")
}

/// Of several that could be taken, nobody wants any but the newest.
fn several(choice: Choice<'_>, newest: &Owned, wanted: &str) -> Option<Finding> {
    let (what, severe) = match choice {
        Choice::Takes(taken) if taken.facts.id == newest.facts.id => {
            (format!("several are called {wanted}; the newest, {}, is taken", label(taken)), false)
        }
        Choice::Takes(taken) => {
            (format!("several are called {wanted}, and an older one is taken: {}", label(taken)), true)
        }
        Choice::Tie(one, other) => {
            let (one, other) = (label(one), label(other));
            (
                format!("several are called {wanted}, and nobody documents which is taken: {one} or {other}"),
                true,
            )
        }
        Choice::Nothing => return None,
    };
    let finding = match severe {
        true => Finding::fault("same_name", "Own", what),
        false => Finding::note("same_name", "Own", what),
    };
    Some(
        finding
            .why("the longest period of validity wins, not the newest; deactivating the one that is taken cuts the PLC off")
            .todo("pin the new thumbprint, or remove the old certificate from Own and keep a copy"),
    )
}

fn stale(taken: &Owned, principal: CertificateId) -> Finding {
    Finding::fault(
        "stale_certificate",
        "Own",
        format!("the live connection is on {principal}, the store takes {}", label(taken)),
    )
    .why("so says the broker's presence event; an open connection does not notice the store")
    .todo("xEnable FALSE, then TRUE; see the certificate id again before the old one is deactivated")
}

/// What comes of importing a bundle.
fn import(plc: &Plc, shown: &Shown, bundle: &Bundle, now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    let takes = plc.runtime.as_ref().map(super::description::Version::takes_pkcs12);
    if bundle.pkcs12 && takes == Some(false) {
        findings.push(
            Finding::fault("pkcs12", bundle.at.as_str(), "this version takes no PKCS#12")
                .why("Own takes a key from elsewhere from Control 3.5.18.0 on")
                .todo("let the PLC make its key: STEPS-REQUEST.txt, and fleetkey sign-request"),
        );
    }
    if bundle.pkcs12 && takes.is_none() {
        findings.push(
            Finding::note(
                "pkcs12",
                bundle.at.as_str(),
                "it is PKCS#12, and the runtime's version is not said",
            )
            .why("Own takes a key from elsewhere from Control 3.5.18.0 on")
            .todo("say runtime = \"3.5.…\" in the description"),
        );
    }
    findings.extend(bundle.certificate.as_ref().and_then(|new| after_import(plc, shown, bundle, new, now)));
    findings
}

fn after_import(plc: &Plc, shown: &Shown, bundle: &Bundle, new: &Owned, now: Timestamp) -> Option<Finding> {
    let mut own = shown.own.clone();
    own.retain(|one| one.facts.id != new.facts.id);
    own.push(new.clone());
    let taken = match Choice::among(&own, plc.pin().as_deref(), &plc.common_name(), now) {
        Choice::Takes(taken) if taken.facts.id == new.facts.id => return None,
        Choice::Takes(taken) => label(taken),
        Choice::Tie(..) => "one or the other".to_owned(),
        Choice::Nothing => "nothing".to_owned(),
    };
    let what = format!("once it is imported, the PLC takes {taken}, not {}", label(new));
    Some(
        Finding::fault("not_taken", bundle.at.as_str(), what)
            .why("a pin wins; else the common name, and of several the longest period of validity")
            .todo(format!("pin {} for the use case before xEnable is toggled", new.thumbprint)),
    )
}

/// How a certificate is called for people.
fn label(one: &Owned) -> String {
    format!("{} (SHA-1 {})", one.facts.common_name().unwrap_or_default(), one.thumbprint)
}

/// A file itself; of a directory what may be a certificate.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let is_one = |path: &PathBuf| {
        let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
        ["der", "cer", "crt", "pem"].contains(&end.to_ascii_lowercase().as_str())
    };
    Ok(listed(path)?.into_iter().filter(is_one).collect())
}

fn listed(dir: &Path) -> Result<Vec<PathBuf>> {
    let failed = || format!("{} cannot be listed", dir.display());
    let entries = std::fs::read_dir(dir).with_context(failed)?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .with_context(failed)?;
    paths.sort();
    Ok(paths)
}
