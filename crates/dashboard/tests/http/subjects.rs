//! Certificates whose names a stranger chose, as real DER: on a device's page, in its chain, beside the certificate before it; on the
//! page of its rotation, and before a certificate is revoked.

use std::fmt::Write;

use base64ct::{Base64, Encoding};

use fleetkey_model::certificate::CertificateId;

use crate::support::{Bench, Reply, Sample, access};

const SCRIPT: &str = "<script>alert(1)</script>";
/// DER tags (X.690, 8): the strings that a name may be written in, and what holds them.
const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const IA5: u8 = 0x16;
const BMP: u8 = 0x1e;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// The parts of an object identifier that certificates need.
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const ORGANIZATION: &[u8] = &[0x55, 4, 10];
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len().to_be_bytes();
    let short: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    let length = match content.len() {
        0..128 => vec![u8::try_from(content.len()).unwrap()],
        _ => [&[0x80 | u8::try_from(short.len()).unwrap()], short.as_slice()].concat(),
    };
    [&[tag], length.as_slice(), &content].concat()
}

fn oid(parts: &[u8]) -> Vec<u8> {
    der(6, &[parts])
}

fn name(attributes: &[(&[u8], u8, &[u8])]) -> Vec<u8> {
    let attribute = |(kind, tag, value): &(&[u8], u8, &[u8])| {
        der(SET, &[&der(SEQUENCE, &[&oid(kind), &der(*tag, &[value])])])
    };
    let parts: Vec<Vec<u8>> = attributes.iter().map(attribute).collect();
    der(SEQUENCE, &[&parts.concat()])
}

/// A certificate of this subject that this issuer gave out, for this host; nobody has signed it (RFC 5280, 4.1).
fn certificate(subject: &[u8], issuer: &[u8], host: &str, serial: u8) -> String {
    let algorithm = der(SEQUENCE, &[&oid(ECDSA)]);
    let validity = der(SEQUENCE, &[&der(0x17, &[b"250101000000Z"]), &der(0x17, &[b"450101000000Z"])]);
    let key = der(
        SEQUENCE,
        &[&der(SEQUENCE, &[&oid(EC), &oid(P256)]), &der(3, &[&[0, 4], [serial; 64].as_slice()])],
    );
    let hosts = der(4, &[&der(SEQUENCE, &[&der(0x82, &[host.as_bytes()])])]);
    let extensions = der(0xa3, &[&der(SEQUENCE, &[&der(SEQUENCE, &[&oid(ALTERNATIVE_NAMES), &hosts])])]);
    let version = der(0xa0, &[&der(2, &[&[2]])]);
    let number = der(2, &[&[serial]]);
    let body = der(SEQUENCE, &[&version, &number, &algorithm, issuer, &validity, subject, &key, &extensions]);
    let whole = der(SEQUENCE, &[&body, &algorithm, &der(3, &[&[0, 1]])]);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in Base64::encode_string(&whole).as_bytes().chunks(64) {
        writeln!(pem, "{}", std::str::from_utf8(line).unwrap()).unwrap();
    }
    pem + "-----END CERTIFICATE-----\n"
}

/// A device both of whose certificates and their issuer have these names.
async fn bench(subject: &[u8], host: &str) -> Bench {
    let issuer = name(&[(ORGANIZATION, UTF8, SCRIPT.as_bytes()), (COMMON_NAME, PRINTABLE, b"Plant CA")]);
    let mut sample = Sample::of(1, "a stranger's");
    sample.texts = Some([1, 2].map(|serial| certificate(subject, &issuer, host, serial)));
    Bench::with(sample, access()).await
}

/// Its own page.
async fn page(subject: &[u8], host: &str) -> String {
    let bench = bench(subject, host).await;
    let page = sound(bench.page("/devices/pump-000001", &bench.session().await).await);
    assert!(!page.contains("not readable"), "the certificate was read: {page}");
    page
}

/// A page that shows it, with nothing in it that a stranger could have put there to be run or not to be seen.
fn sound(page: Reply) -> String {
    assert_eq!(page.status, 200);
    for never in ["<script>alert", "<img", "</title></script>", " style=", "\0", "\u{202e}"] {
        assert!(!page.body.contains(never), "{never:?} stands in the page");
    }
    assert_eq!(page.body.matches("<script").count(), 1, "our own, by its address");
    assert!(page.body.len() < 200_000, "{} bytes", page.body.len());
    page.body
}

/// The parts of a page where a certificate's names stand: the table, the chain, the comparison.
fn parts(page: &str) -> [&str; 3] {
    ["certificates", "chain", "changed"].map(|part| {
        let begin = page.split(&format!("<section id=\"{part}\"")).nth(1).unwrap();
        begin.split("</section>").next().unwrap()
    })
}

#[tokio::test]
async fn a_subject_that_is_a_script_is_text_wherever_it_stands() {
    for tag in [UTF8, IA5] {
        let text = format!("{SCRIPT}<img src=x onerror=alert(2)>\"'&");
        let page = page(&name(&[(COMMON_NAME, tag, text.as_bytes())]), &format!("{SCRIPT}.example")).await;
        let [table, chain, compared] = parts(&page);
        for part in [table, chain, compared] {
            assert!(part.contains("&lt;script\\&gt;alert(1)"), "{part}");
        }
        for part in [chain, compared] {
            assert!(part.contains("&lt;script&gt;alert(1)&lt;/script&gt;.example"), "the host, too: {part}");
            assert!(part.matches("&lt;script\\&gt;alert(1)").count() >= 2, "its issuer, too: {part}");
        }
    }
}

#[tokio::test]
async fn what_is_not_seen_and_what_turns_the_writing_is_told_by_its_number() {
    let text = "press\u{202e}1-sserp\u{2066}\u{200b}\u{feff}";
    let page = page(&name(&[(COMMON_NAME, UTF8, text.as_bytes())]), "press-1.example").await;
    for part in parts(&page) {
        assert!(part.contains("CN=press[U+202E]1-sserp[U+2066][U+200B][U+FEFF]"), "{part}");
    }
}

/// Where somebody decides of a certificate, or follows how it came, its names are told as on the device's page.
#[tokio::test]
async fn what_is_not_seen_is_told_where_a_certificate_is_decided_of_and_where_it_came_from() {
    let text = format!("press\u{202e}1-sserp{SCRIPT}");
    let bench = bench(&name(&[(COMMON_NAME, UTF8, text.as_bytes())]), "press-1.example").await;
    let session = bench.session().await;
    let rotation = sound(bench.page("/devices/pump-000001/rotation", &session).await);
    assert_eq!(rotation.matches("CN=press[U+202E]1-sserp\\").count(), 2, "both of them: {rotation}");
    for (der, verb) in
        [(b"new".as_slice(), "revoke"), (b"new", "deactivate"), (b"old", "reactivate"), (b"old", "revoke")]
    {
        let path = format!("/devices/pump-000001/certificates/{}/{verb}", CertificateId::of_der(der));
        let asked = sound(bench.post(&path, &session, "").await);
        assert!(asked.contains("CN=press[U+202E]1-sserp\\"), "{path}: {asked}");
    }
}

#[tokio::test]
async fn a_nul_is_seen_and_cuts_nothing_off() {
    for (tag, text) in [(UTF8, b"press-1\0.attacker.example".as_slice()), (BMP, b"\0p\0\0\0<")] {
        let page = page(&name(&[(COMMON_NAME, tag, text)]), "press-1.example").await;
        for part in parts(&page) {
            // In a string of another kind, it is told by its bytes (RFC 4514, 2.4).
            let told = part.contains("attacker.example") || part.contains("2.5.4.3=#1e060070");
            assert!(told, "{part}");
        }
    }
}

/// As many as a page shows: the table stays a table.
#[tokio::test]
async fn a_name_of_four_kilobytes_is_cut_and_said_to_be() {
    let long = "<&".repeat(2048);
    let page = page(&name(&[(COMMON_NAME, UTF8, long.as_bytes())]), &"<".repeat(4096)).await;
    for part in parts(&page) {
        assert!(part.contains(" characters more"), "{part}");
    }
}
