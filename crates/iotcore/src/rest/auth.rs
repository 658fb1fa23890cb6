//! Whose request it is: the account's access keys, and the signature made with one of them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use fleetkey_model::arn::Scope;
use fleetkey_model::secret::SecretAccessKey;
use fleetkey_model::time::Timestamp;

use crate::access_key::AccessKey;

use super::context::Caller;
use super::service::Service;
use super::sigv4::{self, Claims, Flaw, Head};

/// How long after their end temporary credentials are told apart from a key that nobody ever had.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// An access key that requests may be signed with.
#[derive(Debug, Clone)]
pub(super) struct Credential {
    /// The secret half.
    pub(super) secret: SecretAccessKey,
    /// The token that goes with temporary credentials.
    pub(super) token: Option<SecretAccessKey>,
    /// When temporary credentials end.
    pub(super) expires: Option<Timestamp>,
    /// Whose it is.
    pub(super) caller: Caller,
}

/// The access keys of the account. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keys {
    known: Arc<RwLock<HashMap<String, Credential>>>,
    any: bool,
}

impl Keys {
    /// The account owner's key; with `any`, every key and signature counts as it.
    pub(crate) fn of_owner(key: AccessKey, scope: &Scope, any: bool) -> Self {
        let keys = Self { known: Arc::default(), any };
        let caller = owner(scope, &key.access_key_id);
        let credential = Credential { secret: key.secret_access_key, token: None, expires: None, caller };
        keys.known().insert(key.access_key_id, credential);
        keys
    }

    /// Whether every key and signature counts.
    pub(crate) const fn take_any(&self) -> bool {
        self.any
    }

    /// Adds temporary credentials of an assumed role, and forgets those that ended long ago.
    pub(super) fn add(&self, credential: Credential, now: Timestamp) {
        let mut known = self.known();
        known.retain(|_, other| other.expires.is_none_or(|end| now < end + REMEMBERED));
        known.insert(credential.caller.access_key.clone(), credential);
    }

    /// Forgets temporary credentials; what the account was made with stays.
    pub(crate) fn drop_temporary(&self) {
        self.known().retain(|_, credential| credential.token.is_none());
    }

    fn known(&self) -> RwLockWriteGuard<'_, HashMap<String, Credential>> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, access_key: &str) -> Option<Credential> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(access_key).cloned()
    }
}

/// The owner of the account, who the first key belongs to.
pub(crate) fn owner(scope: &Scope, access_key: &str) -> Caller {
    Caller {
        access_key: access_key.to_owned(),
        account: scope.account.clone(),
        arn: format!("arn:{}:iam::{}:user/fleetkey", scope.partition, scope.account),
        principal_id: "AIDAFLEETKEYLOCALUSER".to_owned(),
    }
}

/// A request that claims to be somebody's, before its body is read.
#[derive(Debug, Clone)]
pub(super) struct Claimed {
    pub(super) claims: Claims,
    pub(super) service: Service,
    credential: Credential,
}

impl Claimed {
    /// Looks up the key that a request claims to be signed with. Whoever has none learns so before the body is read.
    ///
    /// # Errors
    /// When the key is nobody's, or the scope is not of this account's region.
    pub(super) fn of(claims: Claims, keys: &Keys, scope: &Scope, now: Timestamp) -> Result<Self, Flaw> {
        let service = Service::of_scope(&claims.service).ok_or_else(|| unknown_service(&claims.service))?;
        if keys.any {
            let caller = owner(scope, &claims.access_key);
            let secret = SecretAccessKey::new(String::new());
            let credential = Credential { secret, token: None, expires: None, caller };
            return Ok(Self { claims, service, credential });
        }
        let credential = keys.find(&claims.access_key).ok_or(Flaw::UnknownKey)?;
        if !token_fits(claims.token.as_deref(), credential.token.as_ref()) {
            return Err(Flaw::UnknownKey);
        }
        if credential.expires.is_some_and(|end| now >= end) {
            return Err(Flaw::ExpiredToken);
        }
        if claims.region != scope.region {
            let message =
                format!("Credential should be scoped to a valid region, not '{}'.", clip(&claims.region));
            return Err(Flaw::Scope(format!("{message} This account is in {}.", scope.region)));
        }
        Ok(Self { claims, service, credential })
    }

    /// Checks the signature over head and body.
    ///
    /// # Errors
    /// See [`sigv4::verify`].
    pub(super) fn verify(
        self,
        head: &Head<'_>,
        body: &[u8],
        keys: &Keys,
        now: Timestamp,
    ) -> Result<Caller, Flaw> {
        if !keys.any {
            sigv4::verify(&self.claims, head, body, &self.credential.secret, now)?;
        }
        Ok(self.credential.caller)
    }
}

fn token_fits(given: Option<&str>, known: Option<&SecretAccessKey>) -> bool {
    match (given, known) {
        (None, None) => true,
        (Some(given), Some(known)) => {
            aws_lc_rs::constant_time::verify_slices_are_equal(given.as_bytes(), known.expose().as_bytes())
                .is_ok()
        }
        _ => false,
    }
}

fn unknown_service(name: &str) -> Flaw {
    let known: Vec<_> = Service::ALL.into_iter().map(Service::signing_name).collect();
    let message = format!("Credential should be scoped to correct service: '{}' is none", clip(name));
    Flaw::Scope(format!("{message} of the local IoT Core's ({}).", known.join(", ")))
}

fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}
