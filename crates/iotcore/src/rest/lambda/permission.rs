//! A function's resource policy.

use hyper::Method;
use serde::Deserialize;
use serde_json::json;

use super::super::{Context, Refusal, Reply, Route, route};
use crate::functions::{NewPermission, Permission};

pub(super) fn routes() -> Vec<Route> {
    let policy = "/2015-03-31/functions/{FunctionName}/policy";
    vec![
        route("AddPermission", Method::POST, policy, add_permission),
        route("GetPolicy", Method::GET, policy, get_policy),
        route(
            "RemovePermission",
            Method::DELETE,
            "/2015-03-31/functions/{FunctionName}/policy/{StatementId}",
            remove_permission,
        ),
    ]
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AddPermission {
    function_name: String,
    statement_id: String,
    action: String,
    principal: String,
    source_arn: Option<String>,
    source_account: Option<String>,
    revision_id: Option<String>,
    qualifier: Option<String>,
}

async fn add_permission(context: Context, input: AddPermission) -> Result<Reply, Refusal> {
    let permission = Permission {
        sid: input.statement_id,
        action: input.action,
        principal: input.principal,
        source_arn: input.source_arn,
        source_account: input.source_account,
    };
    let new = NewPermission { permission, revision: input.revision_id };
    let name = context.functions.qualified(&input.function_name, input.qualifier.as_deref())?;
    let statement = context.functions.add_permission(&name, new).await?;
    Ok(Reply::json(&json!({"Statement": statement.to_string()})).with_status(201))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Name {
    function_name: String,
    qualifier: Option<String>,
}

async fn get_policy(context: Context, input: Name) -> Result<Reply, Refusal> {
    let name = context.functions.qualified(&input.function_name, input.qualifier.as_deref())?;
    let (policy, revision) = context.functions.policy(&name)?;
    Ok(Reply::json(&json!({"Policy": policy.to_string(), "RevisionId": revision})))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RemovePermission {
    function_name: String,
    statement_id: String,
    revision_id: Option<String>,
    qualifier: Option<String>,
}

async fn remove_permission(context: Context, input: RemovePermission) -> Result<Reply, Refusal> {
    let RemovePermission { function_name, statement_id, revision_id, qualifier } = input;
    let name = context.functions.qualified(&function_name, qualifier.as_deref())?;
    context.functions.remove_permission(&name, &statement_id, revision_id.as_deref()).await?;
    Ok(Reply::empty().with_status(204))
}
