//! A whole agent whose keys live in a token: its disk names them, and holds none.

use std::collections::BTreeMap;
use std::sync::Mutex;

use fleetkey_model::name::SerialNumber;
use fleetkey_model::secret::PrivateKeyPem;
use fleetkey_mqtt::QoS;
use fleetkey_mqtt::link::{Client, ConnectOptions};
use fleetkey_mqtt::session::SessionConfig;
use rustls::sign::SigningKey;
use tokio::net::TcpStream;

use super::*;
use crate::keys::KeyError;
use crate::sidecar::{Listen, SidecarSettings};
use crate::tls::TlsError;

/// Names keys as PKCS#11 does, and signs with them.
#[derive(Debug, Default)]
struct Token(Mutex<BTreeMap<String, PrivateKeyPem>>);

impl Token {
    /// The key of that name; a key that is none of the token's is a file's, as the claim's is.
    fn key(&self, name: &PrivateKeyPem) -> PrivateKeyPem {
        let found = self.0.lock().unwrap().get(name.expose().trim()).cloned();
        found.unwrap_or_else(|| name.clone())
    }
}

impl Keys for Token {
    fn generate(&self) -> Result<PrivateKeyPem, KeyError> {
        let mut keys = self.0.lock().unwrap();
        let name = format!("pkcs11:token=device;object=key-{};type=private", keys.len() + 1);
        keys.insert(name.clone(), P256Keys.generate()?);
        Ok(PrivateKeyPem::new(name))
    }

    fn public_key(&self, key: &PrivateKeyPem) -> Result<Vec<u8>, KeyError> {
        P256Keys.public_key(&self.key(key))
    }

    fn request(&self, key: &PrivateKeyPem, serial: &SerialNumber) -> Result<String, KeyError> {
        P256Keys.request(&self.key(key), serial)
    }
}

impl SigningKeys for Token {
    fn signing_key(&self, identity: &ClientIdentity) -> Result<Arc<dyn SigningKey>, TlsError> {
        let key = self.key(&identity.key);
        PemKeys.signing_key(&ClientIdentity { key, chain: identity.chain.clone() })
    }
}

/// Every file below a directory, as text as far as it is any; links are not followed.
fn files(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let below = |entry: std::fs::DirEntry| match entry.file_type().unwrap() {
        kind if kind.is_dir() => files(&entry.path()),
        kind if kind.is_file() => {
            vec![String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).into_owned()]
        }
        _ => Vec::new(),
    };
    entries.flat_map(below).collect()
}

#[tokio::test]
async fn a_device_whose_keys_are_in_a_token_rotates_beneath_its_client_and_has_no_key_on_its_disk() {
    let broker = Broker::start().await;
    let token = Arc::new(Token::default());
    let mut config = broker.device("dev-1");
    config.sidecar = Some(SidecarSettings::new(vec![Listen::Tcp("127.0.0.1:0".parse().unwrap())]));
    let start = || {
        let ground = Ground { keys: token.clone(), signing: token.clone(), ..Ground::default() };
        Agent::start_on(config.clone(), Arc::new(SystemClock), ground)
    };
    let agent = start().await.unwrap();
    agent.until(|status| status.connected && status.exported).await.unwrap();
    let listen = agent.sidecar().unwrap().listen.remove(0);
    let tcp = TcpStream::connect(listen.strip_prefix("tcp ").unwrap()).await.unwrap();
    let (client, _messages) =
        Client::start(tcp, ConnectOptions::new("plc"), SessionConfig::default()).await.unwrap();
    client.publish("device/dev-1/telemetry", "0", QoS::AtLeastOnce).await.unwrap();
    agent.rotate().await;
    agent.sidecar_until(|status| status.moves == 1).await.unwrap();
    client.publish("device/dev-1/telemetry", "1", QoS::AtLeastOnce).await.unwrap();
    agent.until(|status| status.previous.is_none() && status.rotation.is_none()).await.unwrap();
    client.disconnect().await;
    agent.stop().await;

    assert_eq!(telemetry(&broker.seen()), [0, 1]);
    let kept = files(&config.state_dir);
    assert!(kept.iter().all(|text| !text.contains("PRIVATE KEY")), "a key on the disk");
    assert!(kept.iter().any(|text| text.contains("object=key-2")), "the name of the one in use");

    let agent = start().await.unwrap();
    agent.connected().await.expect("the token is asked again after a restart");
    agent.stop().await;
}
