//! Who may come in: API tokens, sessions of browsers, and the one-time link that starts the first.
//!
//! Secrets are kept as hashes, compared in constant time, and shown once: the link when it is made, a token never.

use std::sync::Arc;

use aws_lc_rs::{constant_time, digest};
use base64ct::{Base64UrlUnpadded, Encoding};
use fleetkey_model::time::Timestamp;
use zeroize::Zeroizing;

pub(crate) use desk::{Desk, LoginError, Pass};
pub(crate) use limiter::bucket;
pub(crate) use session::Bearer;
pub(crate) use ticket::Grant;

mod desk;
mod limiter;
mod session;
mod ticket;

/// What somebody may do; each may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Look.
    Auditor,
    /// Rotate devices, publish.
    Operator,
    /// All there is.
    Admin,
}

impl Scope {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auditor => "auditor",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Auditor => 1,
            Self::Operator => 2,
            Self::Admin => 3,
        }
    }

    const fn of_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Auditor),
            2 => Some(Self::Operator),
            3 => Some(Self::Admin),
            _ => None,
        }
    }
}

/// A token for scripts and for the login page; only its hash is kept.
#[derive(Clone)]
pub struct Token {
    name: String,
    scope: Scope,
    hash: Hash,
    until: Option<Timestamp>,
}

impl Token {
    /// The token with this text.
    pub fn new(name: impl Into<String>, scope: Scope, text: &str) -> Self {
        Self { name: name.into(), scope, hash: Hash::of(text), until: None }
    }

    /// The token whose text has this SHA-256, as it is kept.
    pub fn hashed(name: impl Into<String>, scope: Scope, sha256: [u8; 32]) -> Self {
        Self { name: name.into(), scope, hash: Hash(sha256), until: None }
    }

    /// The same, good until then.
    #[must_use]
    pub fn ending(self, until: Timestamp) -> Self {
        Self { until: Some(until), ..self }
    }

    /// When it ends, if it does.
    pub const fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// What it is called; not secret.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it allows.
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    fn is(&self, presented: &Hash) -> bool {
        self.hash.matches(presented)
    }

    fn is_good(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// Neither text nor hash.
impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("name", &self.name).field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// Tokens that are kept elsewhere: asked for whenever one is needed, so that one that was taken back is none from then on.
#[derive(Clone)]
pub struct Roster(Arc<dyn Fn() -> Vec<Token> + Send + Sync>);

impl Roster {
    /// Those that `tokens` gives, which must be quick.
    pub fn new(tokens: impl Fn() -> Vec<Token> + Send + Sync + 'static) -> Self {
        Self(Arc::new(tokens))
    }

    fn tokens(&self) -> Vec<Token> {
        (self.0)()
    }
}

impl std::fmt::Debug for Roster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Roster(…)")
    }
}

/// What signs sessions. Given from outside, sessions outlive the process.
#[derive(Clone)]
pub struct SessionKey(Zeroizing<Vec<u8>>);

impl SessionKey {
    /// The key made of a text that only the operator knows.
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.as_bytes().to_vec()))
    }
}

impl std::fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionKey(…)")
    }
}

/// How to come in.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// The tokens that count.
    pub tokens: Vec<Token>,
    /// Further ones, which come and go.
    pub roster: Option<Roster>,
    /// Signs the sessions; without it, sessions end with the process.
    pub session_key: Option<SessionKey>,
    /// Everybody is let in as admin. For loopback addresses only.
    pub open: bool,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Actor {
    /// For the journal: a session's first digits, the name of the token that it was opened with, or both.
    pub(crate) name: String,
    /// The token that they came in with, if they did.
    pub(crate) bearer: Option<Bearer>,
    pub(crate) scope: Scope,
    pub(crate) via: Via,
    /// Whether they have shown just now that they are themselves; what cannot be undone needs that.
    pub(crate) proven: bool,
}

/// How somebody was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via {
    /// By a cookie, which a browser sends whoever asks it to: the origin must be checked.
    Cookie,
    /// By a header that only who knows the token can set.
    Header,
    /// Not at all: the dashboard is open.
    Open,
}

/// No randomness: nobody can be let in safely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandomness;

#[derive(Clone, Copy)]
pub(crate) struct Hash([u8; 32]);

impl Hash {
    fn of(text: &str) -> Self {
        let mut hash = [0; 32];
        for (to, from) in hash.iter_mut().zip(digest::digest(&digest::SHA256, text.as_bytes()).as_ref()) {
            *to = *from;
        }
        Self(hash)
    }

    fn matches(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

/// 256 random bits as text that fits into a URL.
fn secret() -> Result<Zeroizing<String>, NoRandomness> {
    let mut bytes = Zeroizing::new([0u8; 32]);
    aws_lc_rs::rand::fill(bytes.as_mut()).map_err(|_| NoRandomness)?;
    Ok(Zeroizing::new(Base64UrlUnpadded::encode_string(bytes.as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_printed() {
        let token = Token::new("script", Scope::Operator, "hunter2");
        let access = Access {
            tokens: vec![token],
            session_key: Some(SessionKey::new("hunter3")),
            ..Access::default()
        };
        let shown = format!("{access:?}");
        assert!(shown.contains("script") && !shown.contains("hunter"), "{shown}");
        assert!(!shown.contains("hash"), "{shown}");
    }

    #[test]
    fn two_secrets_differ_and_have_256_bits() {
        let (one, other) = (secret().unwrap(), secret().unwrap());
        assert_ne!(*one, *other);
        assert_eq!(one.len(), 43);
    }
}
