//! The control plane in process: what an operator does to one account, without HTTP.
//!
//! The REST API and the operator's commands sit on it. Every method that changes something returns after the
//! change is durable. Not here: rules (they are [`crate::registry`]'s), signatures, IAM.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleetkey_model::arn::Scope;
use fleetkey_model::certificate::CertificateStatus;
use fleetkey_model::time::Timestamp;

use crate::ca::DeviceAuthority;
use crate::clock::Clock;
use crate::registry::{Plan, Registry, RegistryError};
use crate::store::{CommitError, Store};

pub use authorization::{Authorization, Question};
pub use error::AccountError;

mod authorization;
mod certificates;
mod error;
mod policies;
mod rules;
mod templates;
mod things;

/// One account of the local IoT Core. Clones share it.
#[derive(Clone)]
pub struct Account {
    store: Store,
    devices: Arc<DeviceAuthority>,
    clock: Arc<dyn Clock>,
    scope: Scope,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("scope", &self.scope).finish_non_exhaustive()
    }
}

impl Account {
    /// The account whose registry is `store` and whose certificates `devices` issues.
    pub fn new(store: Store, devices: Arc<DeviceAuthority>, clock: Arc<dyn Clock>, scope: Scope) -> Self {
        Self { store, devices, clock, scope }
    }

    /// Account number and region.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The registry beneath, for whoever reads much at once.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// How many certificates there are of each status; statuses with none are absent.
    pub fn count_by_status(&self) -> BTreeMap<CertificateStatus, usize> {
        self.store.read().count_by_status()
    }

    /// The clock of everything that is written here.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Carries out what the registry plans: durable, then visible, then answered.
    ///
    /// # Errors
    /// What the plan says, or when the disk fails.
    pub async fn commit<T>(
        &self,
        plan: impl FnOnce(&Registry) -> Result<Plan<T>, RegistryError>,
    ) -> Result<T, AccountError> {
        match self.store.commit(plan).await {
            Ok(output) => Ok(output),
            Err(CommitError::Refused(error)) => Err(error.into()),
            Err(CommitError::Storage(error)) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests;
