//! The agent's keys, lent to set-up: ECDSA on P-256.

use fleetkey_agent::keys::{Keys, P256Keys};
use fleetkey_model::name::SerialNumber;
use fleetkey_model::secret::PrivateKeyPem;
use fleetkey_operator::plan::KeyMaker;

/// Makes keys as the agent does.
#[derive(Debug)]
pub(super) struct AgentKeys;

impl KeyMaker for AgentKeys {
    fn generate(&self) -> Result<PrivateKeyPem, String> {
        P256Keys.generate().map_err(|error| error.to_string())
    }

    fn public_key(&self, key: &PrivateKeyPem) -> Result<Vec<u8>, String> {
        P256Keys.public_key(key).map_err(|error| error.to_string())
    }

    fn request(&self, key: &PrivateKeyPem, name: &str) -> Result<String, String> {
        let name = SerialNumber::new(name).map_err(|error| error.to_string())?;
        P256Keys.request(key, &name).map_err(|error| error.to_string())
    }
}
