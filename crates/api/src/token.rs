//! Who may ask for what: tokens of 256 random bits, shown once, kept as hashes, each with a role and an end.
//!
//! Not here: where they are kept, and randomness, which the caller brings.

use base64ct::{Base64UrlUnpadded, Encoding};
use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What every token begins with, so that scanners for leaked secrets can know one.
const PREFIX: &str = "fleetkey_";

/// What a token lets its holder do; each role may do what the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Read.
    Auditor,
    /// Release what is frozen, have devices rotate, and run campaigns, too.
    Operator,
    /// End certificates, and bring them back, too.
    Admin,
}

impl Role {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auditor => "auditor",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// A token as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// What it is called, for people and for the journal.
    pub name: String,
    /// What it lets its holder do.
    pub role: Role,
    /// SHA-256 of the token, hexadecimal.
    pub sha256: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl TokenRecord {
    /// The hash as bytes; `None` for a record that somebody has changed into something else.
    pub fn hash(&self) -> Option<[u8; 32]> {
        let mut hash = [0; 32];
        let mut digits = self.sha256.chars().map(|digit| digit.to_digit(16));
        for byte in &mut hash {
            *byte = u8::try_from(digits.next()?? * 16 + digits.next()??).ok()?;
        }
        digits.next().is_none().then_some(hash)
    }
}

/// All tokens of a fleet directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// As they are kept.
    pub tokens: Vec<TokenRecord>,
}

/// Whose request it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The token's name.
    pub name: String,
    /// Its role.
    pub role: Role,
}

/// A token as it is shown once: it cannot be printed by accident.
pub struct Secret(String);

impl Secret {
    /// The text, to be handed over.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Tokens {
    /// Makes a token of 32 random bytes.
    pub fn issue(
        &mut self,
        name: &str,
        role: Role,
        random: &[u8; 32],
        created_at: Timestamp,
        expires_at: Timestamp,
    ) -> Secret {
        let secret = format!("{PREFIX}{}", Base64UrlUnpadded::encode_string(random));
        let sha256 = hash(&secret);
        self.tokens.push(TokenRecord { name: name.to_owned(), role, sha256, created_at, expires_at });
        Secret(secret)
    }

    /// Whose token this is, if it has not ended. Every record is compared, to its last digit.
    pub fn holder(&self, presented: &str, now: Timestamp) -> Option<Holder> {
        let presented = hash(presented);
        let found = self
            .tokens
            .iter()
            .fold(None, |found, record| if same(&record.sha256, &presented) { Some(record) } else { found });
        found
            .filter(|record| now < record.expires_at)
            .map(|record| Holder { name: record.name.clone(), role: record.role })
    }

    /// Removes the tokens of a name; whether there were any.
    pub fn revoke(&mut self, name: &str) -> bool {
        let before = self.tokens.len();
        self.tokens.retain(|record| record.name != name);
        self.tokens.len() < before
    }
}

fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Takes as long whatever differs.
fn same(a: &str, b: &str) -> bool {
    let differences = a.bytes().zip(b.bytes()).fold(0, |seen, (a, b)| seen | (a ^ b));
    a.len() == b.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_until_its_end_and_kept_as_a_hash_alone() {
        let mut tokens = Tokens::default();
        let (made, end) = (Timestamp::from_secs(1), Timestamp::from_secs(100));
        let secret = tokens.issue("ci", Role::Auditor, &[7; 32], made, end);
        let holder = Holder { name: "ci".into(), role: Role::Auditor };
        assert_eq!(tokens.holder(secret.expose(), made), Some(holder));
        assert_eq!(tokens.holder(secret.expose(), end), None);
        assert_eq!(tokens.holder("fleetkey_", made), None);
        let kept = serde_json::to_string(&tokens).unwrap();
        assert!(!kept.contains(secret.expose().trim_start_matches(PREFIX)));
        assert!(!format!("{secret:?}").contains("fleetkey_"));
        let bytes = tokens.tokens[0].hash().unwrap();
        assert_eq!(bytes.as_slice(), &Sha256::digest(secret.expose())[..]);
        for changed in ["", "ab", &"x".repeat(64), &"a".repeat(65)] {
            assert_eq!(TokenRecord { sha256: changed.into(), ..tokens.tokens[0].clone() }.hash(), None);
        }
        assert!(tokens.revoke("ci") && !tokens.revoke("ci"));
        assert_eq!(tokens.holder(secret.expose(), made), None);
    }

    #[test]
    fn roles_are_ordered() {
        assert!(Role::Auditor < Role::Operator && Role::Operator < Role::Admin);
    }
}
