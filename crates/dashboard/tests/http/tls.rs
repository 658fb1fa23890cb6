//! Beyond loopback: only with TLS, only by the certificate's names, only for who is known.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use fleetkey_dashboard::access::Access;
use fleetkey_dashboard::server::{StartError, Tls, TlsError};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use crate::support::{Bench, Reply, Sample, access};

/// A certificate of its own authority, made anew: no key lies in the repository.
struct Pair {
    _directory: TempDir,
    certificate: Vec<u8>,
    key: Vec<u8>,
}

fn pair(names: &str) -> Pair {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let (certificate, key) = (at("certificate.pem"), at("key.pem"));
    let mut command = Command::new("openssl");
    command.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]);
    command.args(["-addext", "basicConstraints=critical,CA:FALSE", "-subj", "/CN=dashboard", "-keyout"]);
    command.arg(&key).arg("-out").arg(&certificate);
    if !names.is_empty() {
        command.args(["-addext", &format!("subjectAltName={names}")]);
    }
    let made = command.output().expect("openssl is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let read = |path: &Path| std::fs::read(path).unwrap();
    Pair { certificate: read(&certificate), key: read(&key), _directory: directory }
}

fn usual() -> Pair {
    pair("DNS:fleet.example,DNS:*.wild.example,IP:127.0.0.1")
}

impl Pair {
    fn tls(&self) -> Tls {
        Tls::from_pem(&self.certificate, &self.key).unwrap()
    }

    async fn serve(&self, address: &str) -> Bench {
        let listener = TcpListener::bind(address).await.unwrap();
        Bench::on(listener, Sample::small(), access(), Some(self.tls())).unwrap()
    }

    /// A request to `host` over TLS, as a browser sends it that trusts the certificate.
    async fn send(&self, bench: &Bench, host: &str, request: &str, headers: &[(&str, &str)]) -> Reply {
        let port = bench.address.port();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&self.certificate).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let name = ServerName::try_from("fleet.example").unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
        let mut text = format!(
            "{request} HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\naccept: text/html\r\n"
        );
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{text}content-length: 0\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        Reply::parse(&answer)
    }
}

/// The path of the one-time link, whose origin must be `origin`.
fn start(bench: &Bench, origin: &str) -> String {
    let expected = format!("{origin}:{}", bench.address.port());
    bench.dashboard.url().strip_prefix(&expected).unwrap_or_else(|| panic!("not at {expected}")).to_owned()
}

#[tokio::test]
async fn an_address_that_others_can_reach_is_refused_without_tls_and_without_asking_who_they_are() {
    let anywhere = async || TcpListener::bind("0.0.0.0:0").await.unwrap();
    let open = || Access { open: true, ..access() };
    let refused = Bench::on(anywhere().await, Sample::small(), access(), None).err().unwrap();
    assert!(matches!(refused, StartError::NotLoopback(_)), "{refused}");
    assert!(refused.to_string().contains("certificate"), "{refused}");
    for tls in [None, Some(usual().tls())] {
        let refused = Bench::on(anywhere().await, Sample::small(), open(), tls).err().unwrap();
        assert!(matches!(refused, StartError::Open(_)), "{refused}");
        assert!(refused.to_string().contains("SKIP_AUTH"), "{refused}");
    }
}

#[tokio::test]
async fn with_tls_another_address_is_served_to_who_is_known() {
    let pair = usual();
    let bench = pair.serve("0.0.0.0:0").await;
    let stranger = pair.send(&bench, "fleet.example", "GET /devices", &[]).await;
    assert_eq!((stranger.status, stranger.header("location")), (303, "/login"));
    let link = start(&bench, "https://fleet.example");
    let first = pair.send(&bench, "fleet.example", &format!("GET {link}"), &[]).await;
    let set = first.header("set-cookie");
    assert!(set.starts_with("__Host-") && set.contains("; Secure"), "{set}");
    let cookie = first.cookie();
    let page = pair.send(&bench, "fleet.example", "GET /devices", &[("cookie", &cookie)]).await;
    assert!(page.status == 200 && page.body.contains("pump-000001"), "{page:?}");
    let bare = cookie.trim_start_matches("__Host-");
    let planted = pair.send(&bench, "fleet.example", "GET /devices", &[("cookie", bare)]).await;
    assert_eq!(planted.status, 303, "a cookie that another host could have set is none");
}

#[tokio::test]
async fn with_tls_only_the_certificates_names_are_ours_and_only_https_is_our_origin() {
    let pair = usual();
    let bench = pair.serve("0.0.0.0:0").await;
    for host in ["rebound.example", "localhost", "a.wild.example", "0.0.0.0"] {
        assert_eq!(pair.send(&bench, host, "GET /login", &[]).await.status, 403, "{host}");
    }
    assert_eq!(pair.send(&bench, "127.0.0.1", "GET /login", &[]).await.status, 200);
    let link = start(&bench, "https://fleet.example");
    let cookie = pair.send(&bench, "fleet.example", &format!("GET {link}"), &[]).await.cookie();
    let port = bench.address.port();
    for (scheme, status) in [("http", 403), ("https", 303)] {
        let origin = format!("{scheme}://fleet.example:{port}");
        let headers = [("cookie", cookie.as_str()), ("origin", origin.as_str())];
        let reply = pair.send(&bench, "fleet.example", "POST /devices/pump-000001/rotate", &headers).await;
        assert_eq!(reply.status, status, "{scheme}");
    }
    assert_eq!(bench.fleet.ordered().len(), 1);
}

#[tokio::test]
async fn with_tls_nothing_is_told_in_plain() {
    let pair = usual();
    let bench = pair.serve("127.0.0.1:0").await;
    let mut stream = TcpStream::connect(bench.address).await.unwrap();
    stream.write_all(b"GET /login HTTP/1.1\r\nhost: fleet.example\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // A reset is as good an end as any.
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP/1.1"), "{answer:?}");
    assert_eq!(pair.send(&bench, "127.0.0.1", "GET /login", &[]).await.status, 200, "the next is served");
    start(&bench, "https://127.0.0.1");
}

#[test]
fn a_pair_that_cannot_serve_says_why_and_shows_no_key() {
    let (one, other, nameless) = (usual(), usual(), pair(""));
    let text = |key: &[u8]| String::from_utf8_lossy(key).lines().nth(1).unwrap().to_owned();
    for (chain, key, words) in [
        (one.certificate.as_slice(), other.key.as_slice(), "together"),
        (&one.certificate, &one.certificate, "no PEM private key"),
        (&one.certificate, b"", "no PEM private key"),
        (b"rubbish", &one.key, "none in the file"),
        (&one.key, &one.key, "none in the file"),
        (&nameless.certificate, &nameless.key, "subjectAltName"),
    ] {
        let error: TlsError = Tls::from_pem(chain, key).unwrap_err();
        let told = format!("{error} {error:?}");
        assert!(told.contains(words), "{told}");
        assert!(!told.contains(&text(&one.key)) && !told.contains(&text(&other.key)), "{told}");
    }
    let shown = format!("{:?}", one.tls());
    assert!(shown.contains("fleet.example") && !shown.contains('*') && !shown.contains("key"), "{shown}");
}
