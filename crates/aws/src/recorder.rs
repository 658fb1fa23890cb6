//! What was called: an interceptor of the SDK that writes down service, operation, request id and outcome.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_iot::config::interceptors::FinalizerInterceptorContextRef;
use aws_sdk_iot::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_iot::error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use fleetkey_operator::cloud::CallRecord;

/// Headers that carry the service's id of a request: all but CloudFront-like edges use the first.
const REQUEST_IDS: [&str; 2] = ["x-amzn-requestid", "x-amz-request-id"];

/// The calls of all clients that share it, in order.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Mutex<Calls>>);

#[derive(Debug, Default)]
struct Calls {
    latest: Vec<CallRecord>,
    /// Every call that was ever made, once.
    seen: BTreeSet<String>,
}

impl Recorder {
    /// The calls since this was asked last.
    pub fn take(&self) -> Vec<CallRecord> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).latest)
    }

    /// Every call that was made since the start, once: what IAM was asked for.
    pub fn seen(&self) -> BTreeSet<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).seen.clone()
    }

    fn enter(&self, record: CallRecord) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.seen.insert(record.call.clone());
        calls.latest.push(record);
    }
}

impl Intercept for Recorder {
    fn name(&self) -> &'static str {
        "fleetkey-recorder"
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let call = match bag.load::<Metadata>() {
            Some(metadata) => format!("{}:{}", service(metadata.service()), metadata.name()),
            None => return Ok(()),
        };
        let headers = context.response().map(|response| response.headers());
        let id = headers.and_then(|headers| REQUEST_IDS.iter().find_map(|name| headers.get(*name)));
        let succeeded = context.output_or_error().is_some_and(|outcome| outcome.is_ok());
        self.enter(CallRecord { call, request: id.map(str::to_owned), succeeded });
        Ok(())
    }
}

/// The prefix of a service's actions in IAM, by what the SDK calls the service.
fn service(name: &str) -> String {
    match name {
        "CloudWatch Logs" => "logs".to_owned(),
        other => other.to_ascii_lowercase(),
    }
}
