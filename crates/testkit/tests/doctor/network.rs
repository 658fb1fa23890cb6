//! Between the device and the broker: names, ports, and the server's side of TLS.

use fleetkey_agent::doctor::Tier;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::bed::{Asked, Bed};

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_does_not_exist_is_a_matter_of_names() {
    let mut bed = Bed::healthy().await;
    bed.target.endpoint.host = "no-such-endpoint.invalid".into();
    Bed::faults(&bed.report(Asked::Account).await, Tier::Name, "does not resolve");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_port_is_a_matter_of_tcp_and_the_open_one_beside_it_is_named() {
    let mut bed = Bed::healthy().await;
    let closed = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap().port();
    bed.target.endpoint.port = closed;
    let report = bed.report(Asked::Account).await;
    Bed::faults(&report, Tier::Tcp, &format!("port {} is open", bed.target.alpn_port));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_host_than_the_certificates_is_a_matter_of_the_servers_tls() {
    let mut bed = Bed::healthy().await;
    bed.target.endpoint.server_name = Some("other.example.com".into());
    Bed::faults(&bed.report(Asked::Account).await, Tier::ServerTls, "is not for other.example.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_did_not_sign_the_server_is_a_matter_of_the_servers_tls_and_the_right_one_is_named() {
    let mut bed = Bed::healthy().await;
    let right = std::fs::read_to_string(bed.bench.core.root_ca_path()).unwrap();
    bed.target.roots = vec![bed.target.certificate.clone()];
    bed.target.known_roots = Some(("the known root".into(), right));
    Bed::faults(&bed.report(Asked::Account).await, Tier::ServerTls, "trust the known root");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_no_server_name_is_told_so_where_the_server_minds() {
    let mut bed = Bed::healthy_on(|config| config.switches.require_sni = true).await;
    bed.target.sni = false;
    Bed::faults(&bed.report(Asked::Account).await, Tier::ServerTls, "SNI");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_port_by_alpn_without_alpn_is_told_so() {
    let mut bed = Bed::healthy().await;
    bed.target.endpoint.port = bed.target.alpn_port;
    Bed::faults(&bed.report(Asked::Account).await, Tier::ServerTls, "with ALPN x-amzn-mqtt-ca");
    bed.target.endpoint.alpn = Some("x-amzn-mqtt-ca".into());
    let report = bed.report(Asked::Account).await;
    assert_eq!(report.exit_code(), 0, "\n{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_port_for_https_speaks_no_mqtt() {
    let mut bed = Bed::healthy().await;
    bed.target.endpoint.port = bed.target.alpn_port;
    bed.target.endpoint.alpn = Some("x-amzn-http-ca".into());
    Bed::faults(&bed.report(Asked::Account).await, Tier::ServerTls, "no MQTT answers");
}

/// A server of the time before TLS 1.2 says no more than an alert: 70, protocol_version.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_an_older_tls_is_told_by_its_alert() {
    let mut bed = Bed::healthy().await;
    bed.target.endpoint.port = answering(|_| vec![0x15, 3, 2, 0, 2, 2, 70]).await;
    Bed::faults(&bed.report(Asked::Account).await, Tier::ServerTls, "TLS 1.2 and 1.3");
}

/// It answers CONNECT and hangs up on everything else.
#[tokio::test(flavor = "multi_thread")]
async fn a_plain_mqtt_port_is_told_by_speaking_plainly() {
    let mut bed = Bed::healthy().await;
    let connack = |first| if first == 0x10 { vec![0x20, 2, 0, 0] } else { Vec::new() };
    bed.target.endpoint.port = answering(connack).await;
    Bed::faults(&bed.report(Asked::Account).await, Tier::ServerTls, "MQTT without TLS");
}

/// A server that answers once, by the first byte of what it hears, and hangs up; its port.
async fn answering(answer: impl Fn(u8) -> Vec<u8> + Send + 'static) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut heard = vec![0; 4096];
            let Ok(read) = stream.read(&mut heard).await else { continue };
            if read > 0 {
                let _ = stream.write_all(&answer(heard[0])).await;
            }
            let _ = stream.shutdown().await;
        }
    });
    port
}
