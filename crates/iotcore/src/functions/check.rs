//! What Lambda refuses of a function's parameters, in its words. Bounds as botocore 1.44.5 has them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use fleetkey_model::arn::Scope;

use super::FunctionError;
use super::runtime::Family;

/// Bytes of a function's environment.
const MAX_ENVIRONMENT: usize = 4096;
/// Tags of a function.
const MAX_TAGS: usize = 50;
/// Variables that the runtime sets: <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>.
const RESERVED: [&str; 23] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_METADATA_API",
    "AWS_LAMBDA_METADATA_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECRET_KEY",
    "AWS_SECURITY_TOKEN",
    "AWS_SESSION_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "_LAMBDA_TELEMETRY_API",
];

/// Seconds of a timeout.
pub(super) const TIMEOUT: RangeInclusive<u32> = 1..=900;
/// MB of memory.
pub(super) const MEMORY: RangeInclusive<u32> = 128..=10_240;
/// MB of `/tmp`.
pub(super) const STORAGE: RangeInclusive<u32> = 512..=10_240;

/// What stands for a function in a name, in `ACCOUNT:function:NAME` or in an ARN of this account, and the qualifier.
pub(super) fn split<'a>(text: &'a str, scope: &Scope) -> (&'a str, Option<&'a str>) {
    let Scope { partition, region, account } = scope;
    let whole = format!("arn:{partition}:lambda:{region}:{account}:function:");
    let partial = format!("{account}:function:");
    let tail =
        [whole.as_str(), partial.as_str(), "function:"].iter().find_map(|front| text.strip_prefix(front));
    match tail.unwrap_or(text).split_once(':') {
        None => (tail.unwrap_or(text), None),
        Some((name, qualifier)) => (name, Some(qualifier)),
    }
}

/// `NAME`, or `NAME:NUMBER` of a published version; `$LATEST` may follow a name too.
pub(super) fn key(text: &str, scope: &Scope) -> Option<String> {
    let (name, qualifier) = split(text, scope);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let name = (!name.is_empty() && name.len() <= 64 && name.bytes().all(plain)).then_some(name)?;
    match qualifier {
        None | Some("$LATEST") => Some(name.to_owned()),
        Some(number) => Some(format!("{name}:{}", number.parse::<u32>().ok()?)),
    }
}

/// A new function's name.
pub(super) fn new_name(text: &str, scope: &Scope) -> Result<String, FunctionError> {
    key(text, scope).filter(|key| !key.contains(':')).ok_or_else(|| {
        let pattern = r"(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?";
        violation("functionName", text, &format!("Member must satisfy regular expression pattern: {pattern}"))
    })
}

/// A number between bounds.
pub(super) fn within(member: &str, value: u32, bounds: &RangeInclusive<u32>) -> Result<u32, FunctionError> {
    if bounds.contains(&value) {
        return Ok(value);
    }
    let constraint = if value < *bounds.start() {
        format!("Member must have value greater than or equal to {}", bounds.start())
    } else {
        format!("Member must have value less than or equal to {}", bounds.end())
    };
    Err(violation(member, &value.to_string(), &constraint))
}

/// A handler: `module.function`, or anything for a runtime that brings its own.
pub(super) fn handler(text: &str, family: Family) -> Result<(), FunctionError> {
    if text.len() > 128 || text.chars().any(char::is_whitespace) {
        return Err(violation("handler", text, r"Member must satisfy regular expression pattern: [^\s]+"));
    }
    if family == Family::Provided || !text.is_empty() {
        return Ok(());
    }
    Err(FunctionError::InvalidParameter("Handler is required for functions of this runtime.".to_owned()))
}

/// A description.
pub(super) fn description(text: &str) -> Result<(), FunctionError> {
    if text.chars().count() <= 256 {
        return Ok(());
    }
    Err(violation("description", text, "Member must have length less than or equal to 256"))
}

/// The environment's variables. Values are never repeated: they may be secrets.
pub(super) fn environment(variables: &BTreeMap<String, String>) -> Result<(), FunctionError> {
    let reserved: Vec<_> =
        variables.keys().filter(|name| RESERVED.contains(&name.as_str())).map(String::as_str).collect();
    if !reserved.is_empty() {
        return Err(FunctionError::InvalidParameter(format!(
            "Lambda was unable to configure your environment variables because the environment variables you have \
             provided contains reserved keys that are currently not supported for modification. Reserved keys used \
             in this request: {}",
            reserved.join(", ")
        )));
    }
    let plain = |name: &str| {
        let mut bytes = name.bytes();
        name.len() >= 2
            && bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if let Some(name) = variables.keys().find(|name| !plain(name)) {
        let constraint = "Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+";
        return Err(violation("environment.variables", name, constraint));
    }
    if variables.values().any(|value| value.contains('\0')) {
        let message =
            "A variable's value contains a NUL character, which no environment can hold.".to_owned();
        return Err(FunctionError::InvalidParameter(message));
    }
    let size: usize = variables.iter().map(|(name, value)| name.len() + value.len()).sum();
    if size > MAX_ENVIRONMENT {
        return Err(FunctionError::InvalidParameter(format!(
            "Lambda was unable to configure your environment variables because the environment variables you have \
             provided exceeded the 4KB limit. String measured: {size} bytes"
        )));
    }
    Ok(())
}

/// Tags.
pub(super) fn tags(tags: &BTreeMap<String, String>) -> Result<(), FunctionError> {
    if tags.len() > MAX_TAGS {
        return Err(FunctionError::InvalidParameter(format!(
            "A resource cannot have more than {MAX_TAGS} tags."
        )));
    }
    for (key, value) in tags {
        if key.is_empty() || key.chars().count() > 128 || key.starts_with("aws:") {
            return Err(FunctionError::InvalidParameter(format!("The tag key {key:?} is not valid.")));
        }
        if value.chars().count() > 256 {
            return Err(FunctionError::InvalidParameter(format!("The value of tag {key:?} is too long.")));
        }
    }
    Ok(())
}

/// What a member breaks, in the words of AWS's request validation.
pub(super) fn violation(member: &str, value: &str, constraint: &str) -> FunctionError {
    let value: String = value.chars().take(256).collect();
    FunctionError::Validation(format!(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {constraint}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_meant_by_its_name_or_its_arn_in_this_account() {
        let table = [
            ("hook", true),
            ("hook:$LATEST", true),
            ("function:hook", true),
            ("123456789012:function:hook", true),
            ("arn:aws:lambda:us-east-1:123456789012:function:hook", true),
            ("arn:aws:lambda:us-east-1:123456789012:function:hook:$LATEST", true),
            ("arn:aws:lambda:us-east-1:999999999999:function:hook", false),
            ("hook:alias", false),
            ("hook:1:2", false),
            ("../hook", false),
            ("", false),
        ];
        for (text, expected) in table {
            let name = key(text, &Scope::local());
            assert_eq!(name.as_deref() == Some("hook"), expected, "{text}");
        }
        for text in ["hook:7", "function:hook:7", "arn:aws:lambda:us-east-1:123456789012:function:hook:7"] {
            assert_eq!(key(text, &Scope::local()).as_deref(), Some("hook:7"), "{text}");
            assert!(new_name(text, &Scope::local()).is_err(), "{text}");
        }
    }

    #[test]
    fn an_environment_never_has_its_values_repeated() {
        let long = BTreeMap::from([("NAME".to_owned(), "s3cr3t".repeat(1000))]);
        let nul = BTreeMap::from([("NAME".to_owned(), "s3cr3t\0".to_owned())]);
        let reserved = BTreeMap::from([("AWS_REGION".to_owned(), "s3cr3t".to_owned())]);
        let name = BTreeMap::from([("1A".to_owned(), "s3cr3t".to_owned())]);
        for variables in [long, nul, reserved, name] {
            let error = environment(&variables).unwrap_err().to_string();
            assert!(!error.contains("s3cr3t"), "{error}");
        }
    }
}
