//! Statements of policies as pages cite them, and what pages ask, in the evaluator's words.

use fleetkey_dashboard::fleet::{Action, Statement};
use fleetkey_policy::StatementRef;
use serde_json::Value;

/// A statement with its text, out of the document that it is in.
pub(crate) fn cited(statement: &StatementRef, document: Option<&str>) -> Statement {
    Statement {
        policy: statement.policy.clone(),
        number: statement.statement + 1,
        sid: statement.sid.clone(),
        text: document.and_then(|text| written(text, statement.statement)).unwrap_or_default(),
    }
}

/// The same action for the evaluator.
pub(crate) const fn action(action: Action) -> fleetkey_policy::Action {
    use fleetkey_policy::Action as Asked;
    match action {
        Action::Connect => Asked::Connect,
        Action::Publish => Asked::Publish,
        Action::Subscribe => Asked::Subscribe,
        Action::Receive => Asked::Receive,
        Action::RetainPublish => Asked::RetainPublish,
    }
}

/// The statement with this index, as it was written. A document may have one statement in place of a list.
fn written(document: &str, index: usize) -> Option<String> {
    let document: Value = serde_json::from_str(document).ok()?;
    let statements = document.get("Statement")?;
    let statement = statements.as_array().map_or(Some(statements), |list| list.get(index))?;
    serde_json::to_string_pretty(statement).ok()
}
