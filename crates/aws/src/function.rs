//! Lambda functions: the code, its configuration, and who may call it.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{FunctionCode, Runtime};
use fleetkey_operator::cloud::{Archive, Found, FunctionSpec, Spec, Tags};
use fleetkey_operator::control_plane::{ApiError, Done};
use fleetkey_operator::plan::CloudNames;
use serde_json::Value;

use crate::Aws;
use crate::error::{gone, optional, refused};
use crate::permit::Command::{Cleanup, Pages, RecoveryWindow, Setup, Status};
use crate::permit::{On, Permit};

pub(crate) const PERMITS: &[Permit] = &[
    Permit {
        call: "lambda:GetFunction",
        also: &["lambda:ListTags"],
        on: On::Function,
        by: &[Setup, Cleanup, Status, RecoveryWindow],
    },
    Permit {
        call: "lambda:GetPolicy",
        also: &[],
        on: On::Function,
        by: &[Setup, Cleanup, Status, RecoveryWindow],
    },
    Permit {
        call: "lambda:CreateFunction",
        also: &["lambda:TagResource", "iam:PassRole"],
        on: On::Function,
        by: &[Setup],
    },
    Permit { call: "lambda:UpdateFunctionCode", also: &[], on: On::Function, by: &[Setup, RecoveryWindow] },
    Permit {
        call: "lambda:UpdateFunctionConfiguration",
        also: &["iam:PassRole"],
        on: On::Function,
        by: &[Setup],
    },
    Permit { call: "lambda:AddPermission", also: &[], on: On::Function, by: &[Setup] },
    Permit { call: "lambda:RemovePermission", also: &[], on: On::Function, by: &[Setup] },
    Permit { call: "lambda:TagResource", also: &[], on: On::Function, by: &[Setup] },
    Permit { call: "lambda:DeleteFunction", also: &[], on: On::Function, by: &[Cleanup] },
    Permit { call: "lambda:InvokeFunction", also: &[], on: On::Function, by: &[Pages] },
];

/// Who calls the function: AWS IoT, and nobody else.
const CALLER: &str = "iot.amazonaws.com";
/// How much of a function's own words on its failure is told.
const TOLD: usize = 300;

impl Aws {
    pub(crate) async fn look_at_function(&self, name: &str) -> Result<Option<Found>, ApiError> {
        let answer = optional(self.lambda.get_function().function_name(name).send().await.map_err(refused))?;
        let Some(answer) = answer else {
            return Ok(None);
        };
        let Some(found) = answer.configuration() else {
            return Ok(None);
        };
        let text = |field: Option<&str>| field.unwrap_or_default().to_owned();
        let spec = Spec::Function(FunctionSpec {
            archive: Archive::elsewhere(text(found.code_sha256())),
            runtime: text(found.runtime().map(Runtime::as_str)),
            handler: text(found.handler()),
            role: text(found.role()),
            timeout: found.timeout().unwrap_or_default(),
            callers: self.callers(name).await?,
        });
        let tags = answer.tags().cloned().unwrap_or_default().into_iter().collect();
        Ok(Some(Found { spec, tags }))
    }

    /// Makes the function and lets AWS IoT call it; what comes between is made good by the next look.
    pub(crate) async fn make_function(&self, name: &str, wanted: &FunctionSpec, tags: &Tags) -> Done {
        let code = FunctionCode::builder().zip_file(Blob::new(wanted.archive.bytes())).build();
        let call = self
            .lambda
            .create_function()
            .function_name(name)
            .code(code)
            .runtime(Runtime::from(wanted.runtime.as_str()))
            .handler(&wanted.handler)
            .role(&wanted.role)
            .timeout(wanted.timeout)
            .description("fleetkey: who may register a certificate for which thing")
            .set_tags(Some(map(tags)));
        call.send().await.map_err(refused)?;
        self.allow(name, wanted, &BTreeMap::new()).await
    }

    pub(crate) async fn change_function(&self, name: &str, wanted: &FunctionSpec, found: &Found) -> Done {
        let Spec::Function(found) = &found.spec else {
            return Err(ApiError::Other(format!("{name} is no function")));
        };
        if found.archive.digest() != wanted.archive.digest() {
            let call = self.lambda.update_function_code().function_name(name);
            let call = call.zip_file(Blob::new(wanted.archive.bytes()));
            call.send().await.map_err(|error| busy(refused(error)))?;
        }
        let settings = |spec: &FunctionSpec| {
            (spec.runtime.clone(), spec.handler.clone(), spec.role.clone(), spec.timeout)
        };
        if settings(found) != settings(wanted) {
            let call = self
                .lambda
                .update_function_configuration()
                .function_name(name)
                .runtime(Runtime::from(wanted.runtime.as_str()))
                .handler(&wanted.handler)
                .role(&wanted.role)
                .timeout(wanted.timeout);
            call.send().await.map_err(|error| busy(refused(error)))?;
        }
        for id in
            found.callers.iter().filter(|(id, arn)| wanted.callers.get(*id) != Some(*arn)).map(|(id, _)| id)
        {
            let call = self.lambda.remove_permission().function_name(name).statement_id(id);
            gone(call.send().await.map_err(refused))?;
        }
        self.allow(name, wanted, &found.callers).await
    }

    pub(crate) async fn tag_function(&self, name: &str, tags: &Tags) -> Done {
        let arn = CloudNames::function_arn(&self.scope().await?, name);
        let call = self.lambda.tag_resource().resource(arn).set_tags(Some(map(tags)));
        call.send().await.map(drop).map_err(refused)
    }

    pub(crate) async fn drop_function(&self, name: &str) -> Done {
        gone(self.lambda.delete_function().function_name(name).send().await.map_err(refused))
    }

    /// Has a function run on an event, and waits for what it returns.
    ///
    /// # Errors
    /// When it may not be invoked, when it fails, or when what it returns is no JSON.
    pub async fn invoke(&self, name: &str, event: &Value) -> Result<Value, ApiError> {
        let call = self.lambda.invoke().function_name(name).payload(Blob::new(event.to_string()));
        let answer = call.send().await.map_err(refused)?;
        let payload = answer.payload().map(Blob::as_ref).unwrap_or_default();
        if let Some(kind) = answer.function_error() {
            let words: String = String::from_utf8_lossy(payload).chars().take(TOLD).collect();
            return Err(ApiError::Other(format!("the function failed ({kind}): {words}")));
        }
        serde_json::from_slice(payload)
            .map_err(|error| ApiError::Other(format!("the function's answer cannot be read: {error}")))
    }

    /// Adds the permissions that are missing.
    async fn allow(&self, name: &str, wanted: &FunctionSpec, there: &BTreeMap<String, String>) -> Done {
        let account = self.scope().await?.account;
        for (id, arn) in wanted.callers.iter().filter(|(id, arn)| there.get(*id) != Some(*arn)) {
            let call = self
                .lambda
                .add_permission()
                .function_name(name)
                .statement_id(id)
                .action("lambda:InvokeFunction")
                .principal(CALLER)
                .source_arn(arn)
                .source_account(&account);
            match call.send().await.map_err(refused) {
                // An attempt before has added it, and its answer was lost.
                Ok(_) | Err(ApiError::AlreadyExists(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The statements of the function's own policy that let AWS IoT call it, with what for.
    async fn callers(&self, name: &str) -> Result<BTreeMap<String, String>, ApiError> {
        let answer = optional(self.lambda.get_policy().function_name(name).send().await.map_err(refused))?;
        let policy = answer.and_then(|answer| answer.policy).unwrap_or_default();
        let policy: Value = serde_json::from_str(&policy).unwrap_or_default();
        let statements = policy.get("Statement").and_then(Value::as_array).cloned().unwrap_or_default();
        Ok(statements.iter().filter_map(caller).collect())
    }
}

fn caller(statement: &Value) -> Option<(String, String)> {
    let id = statement.get("Sid")?.as_str()?;
    let source = statement.get("Condition")?.get("ArnLike")?.get("AWS:SourceArn")?.as_str()?;
    Some((id.to_owned(), source.to_owned()))
}

/// While an update is under way the function is busy, which Lambda calls a conflict.
fn busy(error: ApiError) -> ApiError {
    match error {
        ApiError::AlreadyExists(reason) => ApiError::Conflict(reason),
        other => other,
    }
}

fn map(tags: &Tags) -> HashMap<String, String> {
    tags.clone().into_iter().collect()
}
