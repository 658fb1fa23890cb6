//! TestAuthorization: the broker's own evaluator, asked without a connection.

use std::collections::BTreeSet;

use fleetkey_model::name::{ClientId, PolicyName};
use fleetkey_policy::{Action, Outcome};
use hyper::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::policies::summary;
use crate::account::{Authorization, Question};
use crate::registry::Target;
use crate::rest::{Context, Refusal, Reply, Route, route};

pub(super) fn routes() -> Vec<Route> {
    vec![route("TestAuthorization", Method::POST, "/test-authorization", test)]
}

/// AWS asks ten questions at once at most.
const MAX_QUESTIONS: usize = 10;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    principal: Option<String>,
    cognito_identity_pool_id: Option<String>,
    auth_infos: Vec<AuthInfo>,
    client_id: Option<ClientId>,
    #[serde(default)]
    policy_names_to_add: Vec<PolicyName>,
    #[serde(default)]
    policy_names_to_skip: BTreeSet<PolicyName>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthInfo {
    action_type: ActionType,
    resources: Vec<String>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum ActionType {
    Publish,
    Subscribe,
    Receive,
    Connect,
}

impl From<ActionType> for Action {
    fn from(action: ActionType) -> Self {
        match action {
            ActionType::Publish => Self::Publish,
            ActionType::Subscribe => Self::Subscribe,
            ActionType::Receive => Self::Receive,
            ActionType::Connect => Self::Connect,
        }
    }
}

async fn test(context: Context, input: Input) -> Result<Reply, Refusal> {
    if input.cognito_identity_pool_id.is_some() {
        return Err(Refusal::invalid("the local IoT Core knows no Cognito identities"));
    }
    if input.auth_infos.is_empty() || input.auth_infos.len() > MAX_QUESTIONS {
        return Err(Refusal::invalid(format!("authInfos must have 1 to {MAX_QUESTIONS} members")));
    }
    if input.auth_infos.iter().any(|info| info.resources.is_empty()) {
        return Err(Refusal::invalid("authInfos.resources must name at least one resource"));
    }
    let principal =
        input.principal.as_deref().map(|arn| Target::principal(&context.scope, arn)).transpose()?;
    let question = Question {
        principal,
        client: input.client_id,
        add: input.policy_names_to_add,
        skip: input.policy_names_to_skip,
        requests: input
            .auth_infos
            .iter()
            .map(|info| (info.action_type.into(), info.resources.clone()))
            .collect(),
    };
    let decisions = context.account.test_authorization(&question, context.broker.switches())?;
    let results: Vec<Value> =
        input.auth_infos.iter().zip(&decisions).map(|(info, one)| result(&context, info, one)).collect();
    Ok(Reply::json(&json!({"authResults": results})))
}

/// `AuthResult`.
fn result(context: &Context, info: &AuthInfo, decision: &Authorization) -> Value {
    let policies = |names: &BTreeSet<PolicyName>| -> Vec<Value> {
        names.iter().map(|name| summary(context, name)).collect()
    };
    let implicit = match decision.outcome {
        Outcome::ImplicitDeny => policies(&decision.asked),
        Outcome::Allowed | Outcome::ExplicitDeny => Vec::new(),
    };
    let word = match decision.outcome {
        Outcome::Allowed => "ALLOWED",
        Outcome::ExplicitDeny => "EXPLICIT_DENY",
        Outcome::ImplicitDeny => "IMPLICIT_DENY",
    };
    json!({
        "authInfo": info,
        "allowed": {"policies": policies(&decision.allowing)},
        "denied": {
            "implicitDeny": {"policies": implicit},
            "explicitDeny": {"policies": policies(&decision.denying)},
        },
        "authDecision": word,
        "missingContextValues": decision.missing,
    })
}
