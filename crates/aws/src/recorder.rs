//! What was called: an interceptor of the SDK that writes down service, operation, request id and outcome.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_iot::config::interceptors::FinalizerInterceptorContextRef;
use aws_sdk_iot::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_iot::error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use fleetkey_operator::cloud::CallRecord;

use crate::permit::action;

/// Headers that carry the service's id of a request: all but CloudFront-like edges use the first.
const REQUEST_IDS: [&str; 2] = ["x-amzn-requestid", "x-amz-request-id"];

/// How many calls wait for [`Recorder::take`]; one change makes a handful.
const MOST_KEPT: usize = 10_000;

/// The calls of all clients that share it, in order.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Mutex<Calls>>);

#[derive(Debug, Default)]
struct Calls {
    latest: Vec<CallRecord>,
    /// Every call that was ever made, once.
    seen: BTreeSet<String>,
    /// How often each, by the HTTP status of the answer.
    tallies: BTreeMap<(String, u16), u64>,
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

    /// How often each call was made, by the HTTP status of its answer; 0 is no answer.
    pub fn tallies(&self) -> BTreeMap<(String, u16), u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).tallies.clone()
    }

    fn enter(&self, record: CallRecord, status: u16) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *calls.tallies.entry((record.call.clone(), status)).or_default() += 1;
        // Whoever runs for years and takes nothing must not fill the memory.
        if calls.latest.len() >= MOST_KEPT {
            calls.latest.clear();
        }
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
            Some(metadata) => action(&service(metadata.service()), metadata.name()),
            None => return Ok(()),
        };
        let headers = context.response().map(|response| response.headers());
        let id = headers.and_then(|headers| REQUEST_IDS.iter().find_map(|name| headers.get(*name)));
        let succeeded = context.output_or_error().is_some_and(|outcome| outcome.is_ok());
        let status = context.response().map_or(0, |response| response.status().as_u16());
        self.enter(CallRecord { call, request: id.map(str::to_owned), succeeded }, status);
        Ok(())
    }
}

/// The prefix of a service's actions in IAM, by what the SDK calls the service.
fn service(name: &str) -> String {
    match name {
        "CloudWatch Logs" => "logs".to_owned(),
        "IoT Data Plane" => "iot".to_owned(),
        "Service Quotas" => "servicequotas".to_owned(),
        other => other.to_ascii_lowercase(),
    }
}
