//! A function's configuration, as requests give it and answers tell it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::functions::{Function, Functions, Variables};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Environment {
    #[serde(default)]
    variables: Option<Variables>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Storage {
    pub(super) size: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Logging {
    pub(super) log_group: Option<String>,
}

impl Environment {
    pub(super) fn variables(self) -> Variables {
        self.variables.unwrap_or_default()
    }
}

/// `FunctionConfiguration` of `$LATEST` for a request that names it: the ARN does too.
pub(super) fn described_latest(functions: &Functions, function: &Function) -> Value {
    let mut described = described(functions, function);
    if let Some(arn) = described.get_mut("FunctionArn") {
        *arn = format!("{}:$LATEST", functions.arn_of(function)).into();
    }
    described
}

/// `FunctionConfiguration`. The local IoT Core makes functions at once: they are never Pending.
pub(super) fn described(functions: &Functions, function: &Function) -> Value {
    let Variables(variables) = &function.environment;
    let shown: Option<&BTreeMap<_, _>> = (!variables.is_empty()).then_some(variables);
    // Lambda's own form of ISO 8601.
    let modified = function.last_modified.to_string().replace('Z', "+0000");
    json!({
        "FunctionName": function.name,
        "FunctionArn": functions.arn_of(function),
        "Runtime": function.runtime,
        "Role": function.role,
        "Handler": function.handler,
        "CodeSize": function.code.size,
        "CodeSha256": function.code.sha256_base64,
        "Description": function.description,
        "Timeout": function.timeout,
        "MemorySize": function.memory,
        "LastModified": modified,
        "Version": function.version_name(),
        "Environment": shown.map(|variables| json!({"Variables": variables})),
        "TracingConfig": {"Mode": "PassThrough"},
        "RevisionId": function.revision,
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "PackageType": "Zip",
        "Architectures": [function.architecture],
        "EphemeralStorage": {"Size": function.storage},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": function.log_group()},
    })
}
