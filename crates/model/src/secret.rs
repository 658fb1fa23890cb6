//! Values that must never be printed: private keys, certificate ownership tokens, secret access keys.
//!
//! Their `Debug` is redacted, they have no `Display`, and their memory is zeroed on drop.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

macro_rules! secret_text {
    ($name:ident) => {
        impl $name {
            /// Takes ownership of the secret text.
            pub fn new(text: impl Into<String>) -> Self {
                Self(Zeroizing::new(text.into()))
            }

            /// The secret itself; the caller answers for where it goes.
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(secret: $name) -> Self {
                secret.expose().into()
            }
        }
    };
}

/// A private key in PKCS#8 or PKCS#1 PEM.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct PrivateKeyPem(Zeroizing<String>);
secret_text!(PrivateKeyPem);

/// The token that proves ownership of a certificate not yet registered; valid for one hour
/// (Developer Guide, fleet-provision-api).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct OwnershipToken(Zeroizing<String>);
secret_text!(OwnershipToken);

/// The secret half of an AWS access key, or a session token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct SecretAccessKey(Zeroizing<String>);
secret_text!(SecretAccessKey);

impl OwnershipToken {
    /// How long a token is valid after it was issued.
    pub const LIFETIME: core::time::Duration = core::time::Duration::from_secs(3600);
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn a_secret_cannot_be_printed() {
        assert_eq!(format!("{:?}", PrivateKeyPem::new("-----BEGIN")), "PrivateKeyPem(…)");
        assert_eq!(format!("{:?}", OwnershipToken::new("t0k3n")), "OwnershipToken(…)");
        assert_eq!(format!("{:?}", SecretAccessKey::new("wJalr")), "SecretAccessKey(…)");
    }
}
