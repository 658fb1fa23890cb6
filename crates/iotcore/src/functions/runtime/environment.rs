//! The environment of a function's process: what Lambda sets, the function's own variables, and nothing of ours.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>. Missing are the credentials of
//! the role: a function here reaches nothing that would take them.

use std::ffi::OsString;

use super::{Interpreter, Run};

/// Where programs are.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// All variables of a run.
pub(super) fn of(run: &Run<'_>) -> Vec<(OsString, OsString)> {
    let function = run.function;
    let own = function.environment.0.iter().map(|(name, value)| (name.into(), value.into()));
    // The function's own first: Lambda's win where both are there, except for these few.
    let weak = [("PATH", PATH), ("LANG", "en_US.UTF-8"), ("TZ", ":UTC")];
    let weak = weak.into_iter().map(|(name, value)| (name.into(), value.into()));
    let home = run.home.as_os_str().to_owned();
    let code = run.code.path().as_os_str().to_owned();
    let strong: [(&str, OsString); 18] = [
        ("HOME", home.clone()),
        ("TMPDIR", home),
        ("LAMBDA_TASK_ROOT", code.clone()),
        ("LAMBDA_RUNTIME_DIR", code),
        ("AWS_REGION", run.region.into()),
        ("AWS_DEFAULT_REGION", run.region.into()),
        ("AWS_EXECUTION_ENV", format!("AWS_Lambda_{}", function.runtime).into()),
        ("AWS_LAMBDA_FUNCTION_NAME", function.name.as_str().into()),
        ("AWS_LAMBDA_FUNCTION_VERSION", function.version_name().into()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", function.memory.to_string().into()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".into()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", function.log_group().into()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", run.stream.as_str().into()),
        ("AWS_EC2_METADATA_DISABLED", "true".into()),
        ("_HANDLER", function.handler.as_str().into()),
        ("PYTHONDONTWRITEBYTECODE", "1".into()),
        ("PYTHONUNBUFFERED", "1".into()),
        ("PYTHONIOENCODING", "utf-8".into()),
    ];
    let python = matches!(run.interpreter, Interpreter::Python(_));
    let strong = strong.into_iter().filter(move |(name, _)| python || !name.starts_with("PYTHON"));
    let strong = strong.map(|(name, value)| (name.into(), value));
    weak.chain(own).chain(strong).collect()
}
