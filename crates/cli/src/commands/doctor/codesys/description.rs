//! A PLC as its description has it: the settings of its application and of its store, by CODESYS's own defaults.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fleetkey_model::name::ThingName;
use serde::Deserialize;

/// What the application and the store are set to (TOML).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plc {
    /// Which library connects.
    pub(super) library: Library,
    /// Version of CODESYS Control.
    pub(super) runtime: Option<Version>,
    /// The thing, where it is not the client id.
    pub(super) thing: Option<ThingName>,
    /// `sHostname`.
    #[serde(default)]
    pub(super) hostname: String,
    /// `sClientId`.
    pub(super) client_id: String,
    /// `sCertCNPrefix`.
    #[serde(default)]
    pub(super) common_name_prefix: String,
    /// `uiKeepAlive`, seconds.
    pub(super) keepalive: Option<u16>,
    /// `xCleanSession`.
    #[serde(default)]
    pub(super) clean_session: bool,
    /// `itfTLSContext`; none where there is no table.
    pub(super) tls: Option<Tls>,
    /// What is in the certificate store.
    #[serde(default)]
    pub(super) store: Store,
}

/// A library for MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Library {
    /// MQTT Client SL, `MQTTClient`.
    MqttClient,
    /// AWS IoT Core Client SL, `AWSIoTClient`.
    AwsIotCoreClient,
}

/// `TLSContext`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    /// `udiVerificationMode`: 1, the default, verifies nobody; 2 verifies.
    #[serde(default = "verifies_nobody")]
    pub(super) verification_mode: u32,
    /// `sTLSVersion`.
    #[serde(default = "tls_1_2")]
    pub(super) version: String,
    /// `ciCertInfo.sSubject`.
    #[serde(default)]
    pub(super) subject: String,
    /// The SHA-1 thumbprint that is pinned for the use case.
    #[serde(default)]
    pub(super) pinned: String,
}

/// Exported certificates: files in DER, or directories of such. What is not named is not known, and not judged.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Store {
    /// Own.
    pub(super) own: Option<Vec<PathBuf>>,
    /// Trusted.
    pub(super) trusted: Option<Vec<PathBuf>>,
    /// A bundle that is to be imported.
    pub(super) bundle: Option<PathBuf>,
}

/// A version of CODESYS Control, such as 3.5.18.0.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Version(Vec<u32>);

impl Version {
    /// From this one on Own takes PKCS#12.
    pub(super) fn takes_pkcs12(&self) -> bool {
        self.0.as_slice() >= [3, 5, 18].as_slice()
    }
}

impl TryFrom<String> for Version {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parts: Result<Vec<u32>, _> = text.split('.').map(str::parse).collect();
        match parts {
            Ok(parts) if (2..=4).contains(&parts.len()) => Ok(Self(parts)),
            _ => Err(format!("{text:?} is no version of CODESYS Control; for example 3.5.18.0")),
        }
    }
}

impl Plc {
    /// Reads a description.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is no description of a PLC", path.display()))
    }

    /// The common name that the store is searched for.
    pub(super) fn common_name(&self) -> String {
        match (self.library, &self.tls) {
            (Library::AwsIotCoreClient, _) if !self.common_name_prefix.is_empty() => {
                format!("{}@{}", self.common_name_prefix, self.client_id)
            }
            (Library::MqttClient, Some(tls)) if !tls.subject.is_empty() => tls.subject.clone(),
            _ => self.client_id.clone(),
        }
    }

    /// The thumbprint that is pinned, as certificates have theirs.
    pub(super) fn pin(&self) -> Option<String> {
        let pinned = self.tls.as_ref().map(|tls| tls.pinned.as_str()).unwrap_or_default();
        let digits =
            pinned.chars().filter(char::is_ascii_alphanumeric).map(|digit| digit.to_ascii_uppercase());
        Some(digits.collect::<String>()).filter(|pin| !pin.is_empty())
    }

    /// What it uses, seconds: documented are 5 for `MQTTClient` and 30 for `AWSIoTClient`.
    pub(super) fn keepalive(&self) -> u16 {
        self.keepalive.unwrap_or(match self.library {
            Library::MqttClient => 5,
            Library::AwsIotCoreClient => 30,
        })
    }
}

fn verifies_nobody() -> u32 {
    1
}

fn tls_1_2() -> String {
    "1.2".to_owned()
}
