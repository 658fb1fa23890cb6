//! DescribeEndpoint: where devices and data-plane clients find us.
//!
//! AWS answers a bare host name, and clients add the port that they know (8883, 443, 8443). We answer with a host
//! that the server's certificate carries; see `docs/local-iot-core.md` for which clients take a port from it.

use hyper::Method;
use serde::Deserialize;
use serde_json::json;

use crate::rest::{Context, Refusal, Reply, Route, route};

pub(super) fn routes() -> Vec<Route> {
    vec![route("DescribeEndpoint", Method::GET, "/endpoint", describe_endpoint)]
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    endpoint_type: Option<String>,
}

async fn describe_endpoint(context: Context, input: Input) -> Result<Reply, Refusal> {
    let endpoints = &context.endpoints;
    let address = match input.endpoint_type.as_deref() {
        // Devices and the SDK's data-plane clients dial what they are told to.
        None | Some("iot:Data" | "iot:Data-ATS" | "iot:Data-Beta" | "iot:Jobs") => endpoints.host.clone(),
        Some("iot:CredentialProvider") => {
            return Err(Refusal::invalid("the local IoT Core has no credentials provider"));
        }
        Some(other) => {
            let message = format!("Invalid endpoint type {other:?}: iot:Data, iot:Data-ATS or iot:Jobs");
            return Err(Refusal::invalid(message));
        }
    };
    Ok(Reply::json(&json!({"endpointAddress": address})))
}
