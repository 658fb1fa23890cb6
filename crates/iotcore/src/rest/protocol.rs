//! How each service writes its answers: the protocols of AWS's service models.
//!
//! Source: botocore 1.44.5, `protocol` of each service and `parsers.py`, which says what clients look at.

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde_json::{Map, Value, json};

use super::context::RequestId;
use super::refusal::Refusal;
use super::reply::{Content, Reply};
use super::xml;

/// A protocol of AWS's service models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// rest-json: paths and JSON.
    RestJson,
    /// rest-json as Lambda has it: `Message` and `Type` in errors.
    Lambda,
    /// JSON 1.1: `X-Amz-Target`; with the name that errors give their message.
    Json11(&'static str),
    /// Query: forms in, XML out, in a namespace.
    Query(&'static str),
}

impl Protocol {
    /// A successful answer of the operation `name`.
    pub(crate) fn reply(self, name: &str, reply: Reply, id: &RequestId) -> Response<Full<Bytes>> {
        let (content_type, body) = match (reply.content, self) {
            (Content::Raw(content_type, body), _) => (content_type, body),
            (Content::Model(_), Self::RestJson | Self::Lambda) if reply.status == 204 => ("", Bytes::new()),
            (Content::Model(output), Self::RestJson | Self::Lambda) => {
                ("application/json", output.to_string().into())
            }
            (Content::Model(output), Self::Json11(_)) => {
                ("application/x-amz-json-1.1", output.to_string().into())
            }
            (Content::Model(output), Self::Query(namespace)) => {
                ("text/xml", xml::reply(name, namespace, &output, id.as_str()).into())
            }
        };
        let mut response = response(reply.status, content_type, body, id);
        response.headers_mut().extend(reply.headers);
        response
    }

    /// A refusal.
    pub(crate) fn refusal(self, refusal: &Refusal, id: &RequestId) -> Response<Full<Bytes>> {
        let (content_type, body) = match self {
            Self::RestJson => ("application/json", members(refusal, json!({"message": refusal.message}))),
            Self::Lambda => {
                let side = if refusal.status < 500 { "User" } else { "Service" };
                let own = json!({"Type": side, "Message": refusal.message, "message": refusal.message});
                ("application/json", members(refusal, own))
            }
            Self::Json11(message) => {
                let own = json!({"__type": refusal.code, message: refusal.message});
                ("application/x-amz-json-1.1", members(refusal, own))
            }
            Self::Query(namespace) => ("text/xml", xml::refusal(refusal, namespace, id.as_str())),
        };
        let mut response = response(refusal.status, content_type, body.into(), id);
        if let Ok(code) = HeaderValue::from_str(&refusal.code) {
            response.headers_mut().insert("x-amzn-errortype", code);
        }
        response
    }
}

fn members(refusal: &Refusal, own: Value) -> String {
    let mut all: Map<String, Value> = refusal.fields.clone();
    if let Value::Object(own) = own {
        all.extend(own);
    }
    Value::Object(all).to_string()
}

fn response(status: u16, content_type: &'static str, body: Bytes, id: &RequestId) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    // A status outside 100 to 999 is a mistake in a handler.
    *response.status_mut() =
        hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if !content_type.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn text(response: Response<Full<Bytes>>) -> String {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn an_error_carries_its_name_where_each_protocol_looks_for_it() {
        let refusal = Refusal::new(409, "Conflict", "a < b").with("resourceId", "x");
        let id = RequestId::random();
        let response = Protocol::RestJson.refusal(&refusal, &id);
        assert_eq!(response.status(), 409);
        assert_eq!(response.headers()["x-amzn-errortype"], "Conflict");
        assert_eq!(text(response).await, r#"{"message":"a < b","resourceId":"x"}"#);
        let json = text(Protocol::Json11("message").refusal(&refusal, &id)).await;
        assert!(json.contains(r#""__type":"Conflict""#), "{json}");
        let xml = text(Protocol::Query("urn:x").refusal(&refusal, &id)).await;
        assert!(xml.contains("<Code>Conflict</Code><Message>a &lt; b</Message>"), "{xml}");
    }
}
