//! Identity and access management as far as a fleet's set-up needs it: roles, their policies, and who may take them.
//!
//! Roles and policies are kept, checked and listed as IAM does; what a policy grants is not enforced, because the
//! caller of the local IoT Core owns the account. Enforced is the one thing that decides whether other services
//! work: whether a service may assume a role. Source: IAM API reference; error codes as botocore 1.44.5 has them.
//! Not here: XML, which is `rest`'s.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use fleetkey_model::arn::Scope;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::document::{Document, DocumentError, shared};

pub(crate) use error::IamError;
pub(crate) use policy::{NewPolicy, Policy, PolicyScope, PolicyVersion};
pub(crate) use role::{NewRole, Role};
pub(crate) use trust::Assumption;

use trust::Taker;

mod attach;
mod document;
mod error;
mod inline;
mod managed;
mod name;
mod policy;
mod role;
mod tags;
mod trust;

#[cfg(test)]
mod tests;

/// The roles and policies of an account. Clones share them.
#[derive(Clone)]
pub(crate) struct Iam {
    state: Document<State>,
    clock: Arc<dyn Clock>,
    scope: Scope,
}

/// What is kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct State {
    /// By name.
    #[serde(with = "shared")]
    roles: BTreeMap<String, Arc<Role>>,
    /// Those that the account made, by ARN.
    #[serde(with = "shared")]
    policies: BTreeMap<String, Arc<Policy>>,
}

impl Iam {
    /// Opens `iam.json` in the data directory. Blocks on the disk.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub(crate) fn open(data_dir: &Path, clock: Arc<dyn Clock>, scope: Scope) -> Result<Self, DocumentError> {
        Ok(Self { state: Document::open(data_dir.join("iam.json"))?, clock, scope })
    }

    /// Whether a service, for example `lambda.amazonaws.com`, may take the role with this ARN.
    ///
    /// Conditions on `aws:SourceAccount` hold for this account; those on `aws:SourceArn` are taken to hold, because
    /// the resource that will use the role does not exist yet when this is asked.
    pub(crate) fn role_can_be_assumed_by(&self, arn: &str, service: &str) -> bool {
        let state = self.state.read();
        let role = state.roles.values().find(|role| role.arn(&self.scope) == arn);
        let taker = Taker::Service { name: service, account: &self.scope.account };
        role.is_some_and(|role| trust::allows(&role.trust, taker))
    }

    /// The role with this ARN, if its trust policy lets a caller take it. Whether the caller's own policies would is
    /// not asked: what policies grant is not enforced.
    pub(crate) fn taken_by(&self, arn: &str, assumption: &Assumption<'_>) -> Option<Arc<Role>> {
        let state = self.state.read();
        let role = state.roles.values().find(|role| role.arn(&self.scope) == arn)?;
        trust::allows(&role.trust, Taker::Caller(assumption)).then(|| role.clone())
    }

    /// The ARN of the role that `arn:…:assumed-role/ROLE/SESSION` is a session of; `None` for any other caller.
    pub(crate) fn role_of_session(&self, caller: &str) -> Option<String> {
        let (_, session) = caller.split_once(":assumed-role/")?;
        let (name, _) = session.split_once('/')?;
        let path = self.state.read().roles.get(name).map(|role| role.arn(&self.scope));
        // A role that was deleted and whose session goes on had some path.
        Some(path.unwrap_or_else(|| self.arn(&format!("role/{name}"))))
    }

    /// Whether a text is a policy that says what somebody may do.
    ///
    /// # Errors
    /// [`IamError::Malformed`].
    pub(crate) fn check_policy(&self, text: &str) -> Result<(), IamError> {
        document::check(text, document::Kind::Identity)
    }

    /// Whether a text is a user's name, of which this service knows no more.
    ///
    /// # Errors
    /// [`IamError::Validation`].
    pub(crate) fn check_user_name(&self, text: &str) -> Result<(), IamError> {
        name::check("userName", text, 128)
    }

    /// Account number and partition of every ARN here.
    pub(crate) const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Removes everything.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) async fn reset(&self) -> Result<(), IamError> {
        self.state
            .change(|state| {
                *state = State::default();
                Ok(())
            })
            .await
    }

    fn arn(&self, tail: &str) -> String {
        format!("arn:{}:iam::{}:{tail}", self.scope.partition, self.scope.account)
    }

    /// Changes one role.
    async fn edit_role<R>(
        &self,
        name: &str,
        edit: impl FnOnce(&mut Role) -> Result<R, IamError>,
    ) -> Result<R, IamError> {
        self.state
            .change(|state| {
                let role = state.roles.get_mut(name).ok_or_else(|| IamError::no_role(name))?;
                edit(Arc::make_mut(role))
            })
            .await
    }
}
