//! Invoke.

use base64ct::{Base64, Encoding};
use hyper::Method;
use serde::Deserialize;

use super::super::{Context, Refusal, Reply, Route, route};

/// Bytes of the log's end that an answer carries (API reference, Invoke, `LogType`).
const TAIL: usize = 4096;

pub(super) fn routes() -> Vec<Route> {
    let invoke = route("Invoke", Method::POST, "/2015-03-31/functions/{FunctionName}/invocations", invoke);
    let invoke = invoke.header("InvocationType", "x-amz-invocation-type").header("LogType", "x-amz-log-type");
    vec![invoke.blob()]
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Invoke {
    function_name: String,
    invocation_type: Option<String>,
    log_type: Option<String>,
    qualifier: Option<String>,
}

async fn invoke(context: Context, input: Invoke) -> Result<Reply, Refusal> {
    let functions = &context.functions;
    let name = &functions.qualified(&input.function_name, input.qualifier.as_deref())?;
    match input.invocation_type.as_deref().unwrap_or("RequestResponse") {
        "RequestResponse" => {}
        "Event" => {
            functions.invoke_later(name, context.body.clone()).await?;
            return Ok(Reply::raw("application/json", bytes::Bytes::new()).with_status(202));
        }
        "DryRun" => {
            functions.invoke_never(name)?;
            return Ok(Reply::empty().with_status(204));
        }
        other => {
            let constraint = "Member must satisfy enum value set: [RequestResponse, Event, DryRun]";
            return Err(Refusal::constraint(Some(other), "invocationType", constraint)
                .with_code("ValidationException"));
        }
    }
    let ended = functions.invoke(name, context.body.clone()).await?;
    let mut reply =
        Reply::raw("application/json", ended.payload).with_header("x-amz-executed-version", &ended.version);
    if let Some(error) = ended.error {
        reply = reply.with_header("x-amz-function-error", error);
    }
    if input.log_type.as_deref() == Some("Tail") {
        let tail = ended.log.get(ended.log.len().saturating_sub(TAIL)..).unwrap_or_default();
        reply = reply.with_header("x-amz-log-result", &Base64::encode_string(tail));
    }
    Ok(reply)
}
