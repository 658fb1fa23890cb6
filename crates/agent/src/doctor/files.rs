//! Certificate, key and roots as files: there, whole, and belonging together. Reads only, and keeps no key longer than
//! it takes to connect with it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fleetkey_model::certificate::CertificateFacts;
use fleetkey_model::secret::PrivateKeyPem;
use fleetkey_model::time::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

use super::subject::common_name;
use super::{Check, Target, Tier};
use crate::keys::{Keys, P256Keys};
use crate::tls::{ClientIdentity, Roots};

/// The common name that AWS gives where it makes the key, or takes none from the request.
const AWS_SUBJECT: &str = "AWS IoT Certificate";
/// Nobody writes a longer one.
const MAX_FILE: u64 = 256 * 1024;

/// What the files hold.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) certificate: Option<CertificateFacts>,
    /// Certificate and key, where they belong together.
    pub(super) identity: Option<ClientIdentity>,
    pub(super) checks: Vec<Check>,
}

impl Files {
    /// Reads and judges all but the validity, which needs to know what time it is.
    pub(super) fn read(target: &Target) -> Self {
        let mut checks = Vec::new();
        let chain = read_text(&target.certificate);
        let certificate = chain.as_ref().map_err(Clone::clone).and_then(|text| facts(text));
        checks.push(certificate_check(target, &certificate));
        let key = read_text(&target.key).map(|text| PrivateKeyPem::new(text.as_str()));
        checks.push(key_check(target, &key, certificate.as_ref().ok()));
        checks.extend(mode_check(&target.key));
        checks.push(roots_check(target));
        if let Ok(facts) = &certificate {
            checks.push(name_check(target, facts));
        }
        checks.push(client_check(target));
        let whole = !checks.iter().any(|check| {
            check.tier == Tier::Files && check.name != "roots" && check.verdict == super::Verdict::Failed
        });
        let identity = match (chain, key) {
            (Ok(chain), Ok(key)) if whole => Some(ClientIdentity { key, chain: chain.as_str().to_owned() }),
            _ => None,
        };
        Self { certificate: certificate.ok(), identity, checks }
    }

    /// Whether the certificate is valid at `now`, which is known to be right.
    pub(super) fn validity(&self, now: Timestamp) -> Option<Check> {
        let facts = self.certificate.as_ref()?;
        let span = format!("valid from {} to {}", facts.not_before, facts.not_after);
        Some(if now > facts.not_after {
            Check::failed(Tier::Files, "validity", format!("the certificate has expired: {span}"))
                .why(format!("it is {now}"))
                .todo("get another one: rotate with an identity that still works, or provision again")
        } else if now < facts.not_before {
            Check::failed(Tier::Files, "validity", format!("the certificate is not valid yet: {span}"))
                .why(format!("it is {now}"))
                .todo("look at the clock of whoever signed it")
        } else {
            Check::ok(Tier::Files, "validity", span)
        })
    }
}

fn certificate_check(target: &Target, facts: &Result<CertificateFacts, String>) -> Check {
    let path = target.certificate.display();
    match facts {
        Ok(facts) => Check::ok(Tier::Files, "certificate", format!("{path}: id {}", facts.id)),
        Err(why) => {
            Check::failed(Tier::Files, "certificate", format!("{path} holds no certificate that reads"))
                .why(why)
                .todo(
                    "write the file again, whole, as it was issued: PEM, the device's own certificate first",
                )
        }
    }
}

fn key_check(
    target: &Target,
    key: &Result<PrivateKeyPem, String>,
    certificate: Option<&CertificateFacts>,
) -> Check {
    let path = target.key.display();
    let failed = |what: String| Check::failed(Tier::Files, "key", what);
    let key = match key {
        Ok(key) => key,
        Err(why) => {
            let check = failed(format!("{path} cannot be read")).why(why);
            return check.todo("let the user that the client runs as read it, and nobody else");
        }
    };
    if key.expose().contains("ENCRYPTED") {
        return failed(format!("{path} is encrypted")).todo("decrypt it: openssl pkey -in FILE -out OTHER");
    }
    match (P256Keys.public_key(key), certificate) {
        (Err(error), _) => failed(format!("{path} holds no key that reads"))
            .why(error.to_string())
            .todo("write the file again, whole; a torn one needs a new key and certificate"),
        (Ok(public), Some(facts)) if public != facts.public_key => {
            failed(format!("{path} is not the key of this certificate"))
                .why("its public half is another than the one in the certificate")
                .todo(
                    "put the pair together that was issued together; the newer file may belong to a rotation",
                )
        }
        (Ok(_), Some(_)) => Check::ok(Tier::Files, "key", format!("{path} is the key of this certificate")),
        (Ok(_), None) => Check::not_checked(Tier::Files, "key", "there is no certificate to compare it with"),
    }
}

/// A key that others may read. A group is left alone: Node-RED and the agent may share one.
fn mode_check(path: &Path) -> Option<Check> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o007 != 0).then(|| {
        Check::note(
            Tier::Files,
            "key mode",
            format!("{} may be read by everybody here (mode {mode:o})", path.display()),
        )
        .todo(format!("chmod 600 {}, and rotate if others use this computer", path.display()))
    })
}

fn roots_check(target: &Target) -> Check {
    match Roots::new(target.roots.clone()).load() {
        Ok(roots) => Check::ok(Tier::Files, "roots", format!("{} trusted root certificates", roots.len())),
        Err(error) => Check::failed(Tier::Files, "roots", error.to_string())
            .todo("give the file with Amazon's roots, PEM: https://www.amazontrust.com/repository/"),
    }
}

/// The notes of the field ask for CN = thing. AWS does not look at it; CODESYS does, and a certificate that names
/// somebody else is somebody else's.
fn name_check(target: &Target, facts: &CertificateFacts) -> Check {
    let thing = &target.thing;
    match common_name(&facts.der) {
        Some(name) if name == thing.as_str() => {
            Check::ok(Tier::Identity, "common name", format!("CN = {name} is the thing's name"))
        }
        Some(name) if name == AWS_SUBJECT => Check::note(
            Tier::Identity,
            "common name",
            format!("CN = {name}, which AWS gives where no CSR names one"),
        )
        .why("AWS does not look at it; a client that picks its certificate by CN (CODESYS) does not find it")
        .todo("for such a client: get a certificate by a CSR with the thing's name as CN"),
        Some(name) => {
            Check::failed(Tier::Identity, "common name", format!("the certificate names {name}, not {thing}"))
                .why("these may be the files of another device")
                .todo(format!("take {thing}'s own certificate, or say --thing {name} if this is that thing"))
        }
        None => Check::note(Tier::Identity, "common name", "the certificate has none")
            .why("AWS does not look at it; a client that picks its certificate by CN does not find it"),
    }
}

fn client_check(target: &Target) -> Check {
    let (client, thing) = (&target.client, &target.thing);
    if client.as_str() == thing.as_str() {
        return Check::ok(Tier::Identity, "client id", format!("{client} is the thing's name"));
    }
    Check::note(Tier::Identity, "client id", format!("the client connects as {client}, the thing is {thing}"))
        .why("policies with ${iot:Connection.Thing.ThingName} usually allow the thing's name alone")
        .todo(format!("unless that is meant, set the client id to {thing}"))
}

fn facts(text: &str) -> Result<CertificateFacts, String> {
    let first = CertificateDer::pem_slice_iter(text.as_bytes()).next();
    let der = first.ok_or("there is no CERTIFICATE in it")?.map_err(|error| error.to_string())?;
    CertificateFacts::from_der(&der).map_err(|error| error.to_string())
}

fn read_text(path: &Path) -> Result<Zeroizing<String>, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > MAX_FILE {
        return Err(format!("it has {size} bytes"));
    }
    std::fs::read_to_string(path).map(Zeroizing::new).map_err(|error| error.to_string())
}
