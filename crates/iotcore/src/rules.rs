//! Topic rules: what a rule may be.
//!
//! Not here: the records ([`crate::registry`]).

use crate::registry::quota::MAX_RULE_ACTIONS;
use crate::registry::{RegistryError, RulePayload};

/// Whether a payload is a rule that can be carried out.
pub(crate) fn check(payload: &RulePayload) -> Result<(), RegistryError> {
    if payload.actions.len() > MAX_RULE_ACTIONS {
        let why = format!("A topic rule has at most {MAX_RULE_ACTIONS} actions");
        return Err(RegistryError::BadRule(why));
    }
    Ok(())
}
