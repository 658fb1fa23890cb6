//! A device that is connected while its account is fuzzed, so that the data plane has somebody to tell of.
//!
//! It comes back when it is cut. What it hears it throws away; nothing here is asserted.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use fleetkey_iotcore::clock::{Clock as _, ManualClock};
use fleetkey_model::name::PolicyName;
use fleetkey_mqtt::{Connect, Packet, PacketId, QoS, Subscribe, SubscribeFilter, Version, encode};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use crate::support::World;

/// The client id that the seeds name.
const CLIENT: &str = "t";
const POLICY: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:*","Resource":"*"}}"#;

/// Connects, and stays until the task is aborted or the server ends.
pub(super) async fn stay(world: &World) -> JoinHandle<()> {
    let account = world.handle.account();
    let minted = account.create_keys_and_certificate(true).await.unwrap();
    let name = PolicyName::new("the-device-of-the-fuzzer").unwrap();
    account.create_policy(&name, POLICY).await.unwrap();
    account.attach_policy(&name, &minted.facts.id).await.unwrap();
    let key = PrivateKeyDer::from_pem_slice(minted.private_key.unwrap().expose().as_bytes()).unwrap();
    let certificate = CertificateDer::from_pem_slice(minted.pem.as_bytes()).unwrap();
    let tls = TlsConnector::from(Arc::new(tls(world, certificate, key)));
    let port = world.handle.ports().mqtt;
    tokio::spawn(async move { while connected(port, &tls).await.is_ok() {} })
}

/// One connection to its end; an error is a server that is no more.
async fn connected(port: u16, tls: &TlsConnector) -> std::io::Result<()> {
    let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
    let Ok(mut stream) = tls.connect(ServerName::try_from("localhost").unwrap(), tcp).await else {
        return Ok(());
    };
    let mut connect = Connect::new(Version::V311, CLIENT);
    connect.clean_start = false;
    let subscribe = Subscribe {
        packet_id: PacketId::new(1).unwrap(),
        filters: vec![SubscribeFilter::new("a/#", QoS::AtMostOnce)],
        properties: Default::default(),
    };
    let mut out = BytesMut::new();
    encode(&Packet::Connect(Box::new(connect)), Version::V311, &mut out).unwrap();
    encode(&Packet::Subscribe(subscribe), Version::V311, &mut out).unwrap();
    if stream.write_all(&out).await.is_ok() {
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    }
    Ok(())
}

fn tls(
    world: &World,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    let pem = std::fs::read(world.handle.root_ca_path()).unwrap();
    roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    rustls::ClientConfig::builder_with_details(provider, Arc::new(Time(world.clock.clone())))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)
        .unwrap()
}

/// The server's clock stands where the test put it; verifying its certificate goes by the same.
#[derive(Debug)]
struct Time(Arc<ManualClock>);

impl rustls::time_provider::TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(self.0.now().as_millis())))
    }
}
