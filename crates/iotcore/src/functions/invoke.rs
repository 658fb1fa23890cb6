//! Invoke: one invocation from its event to its answer, its limits and its log.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::create::uuid;
use super::log::stream;
use super::record::Function;
use super::runtime::{Family, Outcome, Run, run};
use super::{FunctionError, Functions};

/// Bytes of an event or an answer: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>.
pub(crate) const MAX_PAYLOAD: usize = 6_291_556;
/// Bytes of an event that nobody waits for.
const MAX_EVENT: usize = 1_048_576;
const DENIED: &str = "Functions' code does not run here: any credentials are accepted, so anybody could bring code. \
                      Start the local IoT Core with --allow-code, or without --any-credentials.";

/// An invocation that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invocation {
    /// What the function answered, or what went wrong: JSON.
    pub(crate) payload: Bytes,
    /// `X-Amz-Function-Error`, when something went wrong.
    pub(crate) error: Option<&'static str>,
    /// What it printed, between Lambda's own lines.
    pub(crate) log: Vec<u8>,
    /// `$LATEST`, or the number of a published version.
    pub(crate) version: String,
}

/// A function that can be run.
pub(super) struct Ready {
    pub(super) function: Arc<Function>,
    /// Its unpacked code, which stays as long as this does.
    code: Arc<TempDir>,
}

impl Ready {
    /// The function's own timeout.
    pub(super) fn limit(&self) -> Duration {
        Duration::from_secs(self.function.timeout.into())
    }
}

impl Functions {
    /// Invoke, waiting for the answer (`RequestResponse`). A caller that goes away does not end the invocation.
    ///
    /// # Errors
    /// When there is no such function, no code runs here, too many wait, or the event is no JSON. That the function
    /// fails is no error: see [`Invocation::error`].
    pub(crate) async fn invoke(&self, name: &str, event: Bytes) -> Result<Invocation, FunctionError> {
        let ready = self.ready(name).await?;
        let limit = ready.limit();
        self.run(ready, event, limit).await
    }

    /// Invoke without waiting (`Event`). A function that fails is not asked again.
    ///
    /// # Errors
    /// As [`Functions::invoke`].
    pub(crate) async fn invoke_later(&self, name: &str, event: Bytes) -> Result<(), FunctionError> {
        if event.len() > MAX_EVENT {
            return Err(FunctionError::TooLarge(MAX_EVENT));
        }
        let ready = self.ready(name).await?;
        let limit = ready.limit();
        self.start(ready, event, limit).map(drop)
    }

    /// Invoke, only checking (`DryRun`).
    ///
    /// # Errors
    /// As [`Functions::invoke`].
    pub(crate) fn invoke_never(&self, name: &str) -> Result<(), FunctionError> {
        self.function(name).map(drop)
    }

    /// A function as it is now, with its code: whatever becomes of it while the invocation waits for its turn, that is
    /// what runs.
    ///
    /// # Errors
    /// When there is no such function, no code runs here, or its code cannot be had.
    pub(super) async fn ready(&self, name: &str) -> Result<Ready, FunctionError> {
        loop {
            let function = self.function(name)?;
            if !self.0.allow_code {
                return Err(FunctionError::Denied(DENIED));
            }
            match self.0.code.directory(&function.code).await {
                Ok(code) => return Ok(Ready { function, code }),
                // Code that no function has any more is removed, which may have been just now: then there is other
                // code, or no function.
                Err(error) if self.function(name)?.code == function.code => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// Runs a function and waits for its end, no longer than `limit` from its start.
    pub(super) async fn run(
        &self,
        ready: Ready,
        event: Bytes,
        limit: Duration,
    ) -> Result<Invocation, FunctionError> {
        let done = self.start(ready, event, limit)?.await;
        done.unwrap_or_else(|died| Err(FunctionError::Failure(died.to_string())))
    }

    fn start(
        &self,
        ready: Ready,
        event: Bytes,
        limit: Duration,
    ) -> Result<JoinHandle<Result<Invocation, FunctionError>>, FunctionError> {
        let event = checked(event)?;
        let place = self.0.waiting.clone().try_acquire_owned().map_err(|_| FunctionError::TooMany)?;
        let this = self.clone();
        Ok(self.0.running.spawn(async move {
            let _place = place;
            tokio::select! {
                () = this.0.stop.cancelled() => Err(FunctionError::Failure("the local IoT Core stops".into())),
                result = this.execute(ready, event, limit) => result,
            }
        }))
    }

    async fn execute(
        &self,
        ready: Ready,
        event: Bytes,
        limit: Duration,
    ) -> Result<Invocation, FunctionError> {
        let Ready { function, code } = ready;
        let failed = |reason: String| FunctionError::Failure(reason);
        let _slot = self.0.slots.acquire().await.map_err(|closed| failed(closed.to_string()))?;
        let interpreter = self.0.interpreters.find(Family::of(&function.runtime)?).await.map_err(failed)?;
        let home = self.0.interpreters.home().map_err(|error| failed(error.to_string()))?;
        let request = uuid().map_err(|error| failed(error.to_string()))?;
        let version = function.version_name();
        let (now, begun) = (self.0.clock.now(), Instant::now());
        let stream = stream(now, &version);
        let ended = run(Run {
            function: &function,
            arn: &self.arn_of(&function),
            region: &self.0.scope.region,
            code: &code,
            interpreter,
            home: home.path().to_owned(),
            request: &request,
            stream: stream.clone(),
            event,
            limit,
            deadline: (now + limit).as_millis(),
        })
        .await
        .map_err(failed)?;
        let took = begun.elapsed();
        let (payload, error) = payload(ended.outcome, &request, limit);
        let frame = Frame { request: &request, version: &version, memory: function.memory, took };
        let log = frame.around(&ended.log, error.map(|_| &payload));
        self.0.logs.add(&function.log_group(), &stream, self.0.clock.now(), &log);
        // A function may have left much: not on a thread that others wait for.
        let _ = tokio::task::spawn_blocking(move || drop((home, code))).await;
        Ok(Invocation { payload, error, log, version })
    }
}

/// The event; an absent one is an empty object.
fn checked(event: Bytes) -> Result<Bytes, FunctionError> {
    if event.is_empty() {
        return Ok(Bytes::from_static(b"{}"));
    }
    if event.len() > MAX_PAYLOAD {
        return Err(FunctionError::TooLarge(MAX_PAYLOAD));
    }
    match serde_json::from_slice::<serde::de::IgnoredAny>(&event) {
        Ok(_) => Ok(event),
        Err(error) => Err(FunctionError::NoJson(error.to_string())),
    }
}

/// What the caller gets, and whether it is an error.
fn payload(outcome: Outcome, request: &str, limit: Duration) -> (Bytes, Option<&'static str>) {
    let error = |kind: &str, message: String| {
        let report: Value = json!({"errorType": kind, "errorMessage": message});
        (Bytes::from(report.to_string()), Some("Unhandled"))
    };
    match outcome {
        Outcome::Answer(payload) => (payload, None),
        Outcome::Failed(payload) => (payload, Some("Unhandled")),
        Outcome::Exited(how) => error("Runtime.ExitError", format!("RequestId: {request} Error: {how}")),
        Outcome::TimedOut => error(
            "Sandbox.Timedout",
            format!("RequestId: {request} Error: Task timed out after {:.2} seconds", limit.as_secs_f64()),
        ),
        Outcome::TooLarge => error(
            "Function.ResponseSizeTooLarge",
            format!("Response payload size exceeded maximum allowed payload size ({MAX_PAYLOAD} bytes)."),
        ),
    }
}

/// What Lambda says around what a function prints.
struct Frame<'a> {
    request: &'a str,
    version: &'a str,
    memory: u32,
    took: Duration,
}

impl Frame<'_> {
    fn around(&self, printed: &[u8], error: Option<&Bytes>) -> Vec<u8> {
        let Self { request, version, memory, took } = self;
        let mut log = format!("START RequestId: {request} Version: {version}\n").into_bytes();
        log.extend_from_slice(printed);
        if let Some(report) = error.and_then(|report| serde_json::from_slice::<Value>(report).ok()) {
            let part = |name: &str| report.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let (kind, message) = (part("errorType"), part("errorMessage"));
            let own = ["Sandbox.", "Runtime.ExitError", "Function."];
            if own.iter().any(|front| kind.starts_with(front)) {
                log.extend_from_slice(format!("{message} {kind}\n").as_bytes());
            }
        }
        let millis = took.as_secs_f64() * 1000.0;
        let end = format!(
            "END RequestId: {request}\nREPORT RequestId: {request}\tDuration: {millis:.2} ms\tBilled Duration: \
             {:.0} ms\tMemory Size: {memory} MB\n",
            millis.ceil()
        );
        log.extend_from_slice(end.as_bytes());
        log
    }
}
