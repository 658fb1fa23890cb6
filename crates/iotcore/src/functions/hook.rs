//! A function as a template's pre-provisioning hook.
//!
//! The function's resource policy must let `iot.amazonaws.com` invoke it for the template, it has five seconds
//! whatever its own timeout says, and anything but a clear yes is a no. Source: Developer Guide,
//! pre-provisioning-hook; that the strings and the number below count as yes was observed on re:Post.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;

use super::Functions;
use crate::hook::{FunctionHooks, HookDecision, HookEvent, HookFailure, HookFuture, TIMEOUT};

/// The principal that invokes hooks.
const SERVICE: &str = "iot.amazonaws.com";

impl FunctionHooks for Functions {
    fn call(&self, arn: &str, event: HookEvent) -> HookFuture {
        let (this, arn) = (self.clone(), arn.to_owned());
        Box::pin(async move { this.ask(&arn, &event).await.map_err(HookFailure) })
    }
}

impl Functions {
    async fn ask(&self, arn: &str, event: &HookEvent) -> Result<HookDecision, String> {
        let ready = self.ready(arn).await.map_err(|error| error.to_string())?;
        let account = &self.0.scope.account;
        let allows =
            |source| ready.function.permissions.iter().any(|entry| entry.allows(SERVICE, source, account));
        if !allows(event.template_arn.as_str()) {
            return Err(format!(
                "{SERVICE} may not invoke {arn} for {}: AddPermission is missing",
                event.template_arn
            ));
        }
        let payload = serde_json::to_vec(event).map_err(|error| error.to_string())?;
        let limit = TIMEOUT.min(ready.limit());
        let ended = self.run(ready, payload.into(), limit).await.map_err(|error| error.to_string())?;
        match ended.error {
            None => decision(&ended.payload),
            Some(_) => Err(told(&ended.payload)),
        }
    }
}

/// `{"allowProvisioning": true, "parameterOverrides": {"Name": "text"}}`.
fn decision(payload: &Bytes) -> Result<HookDecision, String> {
    let answer: Value =
        serde_json::from_slice(payload).map_err(|error| format!("its answer is no JSON: {error}"))?;
    let allow_provisioning = match answer.get("allowProvisioning") {
        Some(Value::Bool(allow)) => *allow,
        Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
        Some(Value::Number(number)) => number.as_u64() == Some(1),
        _ => return Err("its answer has no allowProvisioning".to_owned()),
    };
    let parameter_overrides = match answer.get("parameterOverrides") {
        None | Some(Value::Null) => BTreeMap::new(),
        Some(overrides) => serde_json::from_value(overrides.clone())
            .map_err(|_| "its parameterOverrides are no names with texts".to_owned())?,
    };
    Ok(HookDecision { allow_provisioning, parameter_overrides })
}

/// What a failed function says of itself, not too much of it.
pub(super) fn told(payload: &Bytes) -> String {
    let report: Value = serde_json::from_slice(payload).unwrap_or_default();
    let part =
        |name: &str| report.get(name).and_then(Value::as_str).unwrap_or("?").chars().take(300).collect();
    let (kind, message): (String, String) = (part("errorType"), part("errorMessage"));
    format!("{kind}: {message}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_one() {
        let decide = |text: &'static str| decision(&Bytes::from_static(text.as_bytes()));
        for yes in ["true", "\"true\"", "\"True\"", "1"] {
            let answer = Bytes::from(format!(r#"{{"allowProvisioning":{yes},"parameterOverrides":null}}"#));
            assert!(decision(&answer).unwrap().allow_provisioning, "{yes}");
        }
        for no in ["false", "\"yes\"", "0", "1.5"] {
            let answer = Bytes::from(format!(r#"{{"allowProvisioning":{no}}}"#));
            assert!(!decision(&answer).unwrap().allow_provisioning, "{no}");
        }
        let overrides = decide(r#"{"allowProvisioning":true,"parameterOverrides":{"A":"b"}}"#).unwrap();
        assert_eq!(overrides.parameter_overrides["A"], "b");
        for bad in ["", "null", "[]", "{}", r#"{"allowProvisioning":null}"#] {
            decide(bad).unwrap_err();
        }
        decide(r#"{"allowProvisioning":true,"parameterOverrides":{"A":1}}"#).unwrap_err();
    }
}
