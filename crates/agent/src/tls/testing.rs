//! A TLS server for tests that echoes bytes and accepts one client certificate.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{ClientIdentity, provider};
use crate::keys::testing::self_signed;

/// A self-signed client identity, and its certificate for a server to trust.
pub(crate) fn identity(common: &str) -> (ClientIdentity, String) {
    let (key, chain) = self_signed(common);
    (ClientIdentity { key, chain: chain.clone() }, chain)
}

/// What a server needs to be one on localhost.
pub(crate) struct Server {
    dir: tempfile::TempDir,
    port: u16,
}

impl Server {
    /// An echo server that accepts clients with this certificate only.
    pub(crate) async fn trusting(client: &str) -> Self {
        let (dir, acceptor) = acceptor(&[client]);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(tcp).await {
                        let (mut read, mut write) = tokio::io::split(stream);
                        let _ = tokio::io::copy(&mut read, &mut write).await;
                    }
                });
            }
        });
        Self { dir, port }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn root_file(&self) -> PathBuf {
        self.dir.path().join("root.pem")
    }
}

/// A TLS acceptor that trusts these client certificates, and the directory with its `root.pem`.
pub(crate) fn acceptor(clients: &[&str]) -> (tempfile::TempDir, TlsAcceptor) {
    let dir = tempfile::tempdir().unwrap();
    let (key, chain) = self_signed("server");
    std::fs::write(dir.path().join("root.pem"), &chain).unwrap();
    let mut trusted = RootCertStore::empty();
    for client in clients {
        trusted.add(CertificateDer::from_pem_slice(client.as_bytes()).unwrap()).unwrap();
    }
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(trusted), provider()).build().unwrap();
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).unwrap(),
        )
        .unwrap();
    (dir, TlsAcceptor::from(Arc::new(config)))
}
