//! Functions with real processes: Python, Node and a runtime of the package's own.
//!
//! They need `python3`, `node` and `/bin/sh` and fail without them. Where a process must be gone, its own lock on a
//! file tells: nothing here waits for a fixed time.

use std::fs::File;
use std::io::{Cursor, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::invoke::Invocation;
use super::*;
use crate::clock::SystemClock;
use crate::iam::NewRole;

mod hook;
mod kept;
mod limits;
mod node;
mod provided;
mod python;

const ROLE: &str = "arn:aws:iam::123456789012:role/Hook";

struct Bench {
    functions: Functions,
    directory: TempDir,
}

impl Bench {
    async fn new() -> Self {
        Self::with(FunctionsConfig::default()).await
    }

    async fn with(config: FunctionsConfig) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let functions = open_in(directory.path(), config);
        let trust = json!({"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole",
            "Principal": {"Service": "lambda.amazonaws.com"}}});
        let role = NewRole { name: "Hook".into(), trust: trust.to_string(), ..NewRole::default() };
        functions.0.iam.create_role(role).await.unwrap();
        Self { functions, directory }
    }

    /// Stops everything and opens it again.
    async fn restart(self) -> Self {
        self.functions.stop().await;
        let functions = open_in(self.directory.path(), FunctionsConfig::default());
        Self { functions, directory: self.directory }
    }

    async fn create(&self, new: NewFunction) -> Arc<Function> {
        self.functions.create(new).await.unwrap()
    }

    async fn invoke(&self, event: &Value) -> Invocation {
        self.functions.invoke("hook", event.to_string().into()).await.unwrap()
    }

    /// Makes a function of `new` and invokes it once.
    async fn once(new: NewFunction, event: Value) -> Invocation {
        let bench = Self::new().await;
        bench.create(new).await;
        bench.invoke(&event).await
    }

    /// What is left of runs: nothing, once they have ended.
    fn homes(&self) -> usize {
        std::fs::read_dir(self.directory.path().join("functions/run")).unwrap().count()
    }
}

impl Invocation {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.payload).unwrap()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.log).into_owned()
    }

    fn answer(&self) -> Value {
        assert_eq!(self.error, None, "{}", self.text());
        self.json()
    }

    /// The type and the message of an error.
    fn failure(&self) -> (String, String) {
        assert_eq!(self.error, Some("Unhandled"), "{}", self.text());
        let report = self.json();
        let part = |name: &str| report[name].as_str().unwrap().to_owned();
        (part("errorType"), part("errorMessage"))
    }
}

fn open_in(directory: &Path, config: FunctionsConfig) -> Functions {
    let clock = Arc::new(SystemClock);
    let iam = Iam::open(directory, clock.clone(), Scope::local()).unwrap();
    Functions::open(directory, config, iam, clock).unwrap()
}

fn zip(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        writer.start_file(*name, SimpleFileOptions::default().unix_permissions(0o755)).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn function(runtime: &str, handler: &str, file: &str, code: &str) -> NewFunction {
    NewFunction {
        name: "hook".into(),
        runtime: runtime.into(),
        handler: handler.into(),
        role: ROLE.into(),
        zip: zip(&[(file, code)]),
        timeout: Some(30),
        ..NewFunction::default()
    }
}

fn python(code: &str) -> NewFunction {
    function("python3.12", "lambda_function.handler", "lambda_function.py", code)
}

/// Waits until nobody holds the lock that a process took on a file.
async fn unlocked(path: &Path) {
    let file = File::open(path).unwrap();
    let free = tokio::task::spawn_blocking(move || file.lock());
    tokio::time::timeout(Duration::from_secs(20), free)
        .await
        .expect("the process lives on")
        .unwrap()
        .unwrap();
}
