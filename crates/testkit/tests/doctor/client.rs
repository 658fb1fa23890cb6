//! A broker whose TLS takes no certificate of ours: a plant's own, which trusts the CA of its plant and nobody else's.

use std::sync::Arc;

use fleetkey_agent::doctor::Tier;
use fleetkey_iotcore::ca::{Authorities, CaConfig, ServerResolver};
use fleetkey_iotcore::clock::{Clock, SystemClock};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::bed::{Asked, Bed};

/// TLS 1.2 refuses within the handshake; by TLS 1.3 the client has finished it when it hears of the refusal.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_trusts_the_ca_of_its_plant_alone_refuses_our_side_of_tls() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut bed = Bed::healthy().await;
        distrusts(&mut bed, version).await;
        for asked in [Asked::Account, Asked::Nobody] {
            let report = bed.report(asked).await;
            Bed::faults(&report, Tier::ClientTls, "the server's TLS refuses our certificate");
            assert!(!report.has_failed(Tier::Certificate), "the account has nothing against it\n{report}");
        }
    }
}

/// Points the doctor at a server whose certificate it trusts, and which trusts no certificate of AWS's.
async fn distrusts(bed: &mut Bed, version: &'static SupportedProtocolVersion) {
    let hosts = vec![bed.target.endpoint.host.clone()];
    let config = CaConfig { hosts, ..CaConfig::default() };
    let directory = bed.bench.path("plant");
    std::fs::create_dir(&directory).unwrap();
    let plant = Authorities::open(&directory, &config, SystemClock.now()).unwrap();
    let mut trusted = RootCertStore::empty();
    trusted.add(plant.server.root_der().to_vec().into()).unwrap();
    let provider = Arc::new(default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(trusted.into(), provider.clone());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_cert_resolver(Arc::new(ServerResolver::new(plant.server.clone(), Arc::new(SystemClock))));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    bed.target.endpoint.port = listener.local_addr().unwrap().port();
    bed.target.roots = vec![plant.root_ca_path()];
    tokio::spawn(refuse_all(listener, TlsAcceptor::from(Arc::new(config))));
}

/// Ends every connection after its alert. What the client has sent meanwhile is read, or the alert would be lost with it.
async fn refuse_all(listener: TcpListener, acceptor: TlsAcceptor) {
    while let Ok((tcp, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            if let Err((_, mut tcp)) = acceptor.accept(tcp).into_fallible().await {
                let _ = tcp.shutdown().await;
                let _ = tcp.read_to_end(&mut Vec::new()).await;
            }
        });
    }
}
