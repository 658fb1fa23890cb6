//! `fleetkey journal`: what was done to the account, by whom and why, and that nobody has changed the record of it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use fleetkey_operator::chain::{self, Broken, CONTROLLER_JOURNAL_FILE, JOURNAL_FILE};
use serde_json::{Value, json};

use crate::args::{JournalArgs, JournalCommand};
use crate::datadir::DataDir;
use crate::output;

/// Runs one of them.
pub(super) fn run(command: &JournalCommand) -> Result<ExitCode> {
    match command {
        JournalCommand::Verify { journals } => verify(&found(journals)?),
        JournalCommand::Show { about, journals } => show(&found(journals)?, about.as_deref()),
        JournalCommand::Export { journals } => export(&found(journals)?),
    }
}

/// The journals that there are.
fn found(args: &JournalArgs) -> Result<Vec<PathBuf>> {
    let directory = DataDir::existing(&args.fleet_dir)?.operator();
    let all = [JOURNAL_FILE, CONTROLLER_JOURNAL_FILE].map(|name| directory.join(name));
    let found: Vec<_> = all.into_iter().filter(|path| chain::is_there(path)).collect();
    ensure!(!found.is_empty(), "there is no journal in {}", directory.display());
    Ok(found)
}

fn verify(journals: &[PathBuf]) -> Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for path in journals {
        let journal = name(path);
        match chain::verify(path) {
            Ok(head) => output::json(&json!({
                "journal": journal, "holds": true, "lines": head.lines, "head": head.hash,
            })),
            Err(Broken::File(error)) => return Err(error.into()),
            Err(error) => {
                output::json(&json!({ "journal": journal, "holds": false, "why": error.to_string() }));
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

fn show(journals: &[PathBuf], about: Option<&str>) -> Result<ExitCode> {
    let (mut entries, mut code) = (Vec::new(), ExitCode::SUCCESS);
    for path in journals {
        let lines = match text(path) {
            Ok(lines) => lines,
            Err(error) => {
                output::warn(&format!("{error:#}; `journal verify` tells more"));
                code = ExitCode::FAILURE;
                continue;
            }
        };
        let about = |line: &&str| about.is_none_or(|word| line.contains(word));
        entries
            .extend(lines.lines().filter(about).filter_map(|line| serde_json::from_str::<Value>(line).ok()));
    }
    entries.sort_by_key(|entry| entry["at"].as_u64());
    for entry in &entries {
        output::line(&words(entry));
    }
    Ok(code)
}

/// Time, how far, what, who, why, and the ids of the requests.
fn words(entry: &Value) -> String {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let calls = entry.get("calls").and_then(Value::as_array).cloned().unwrap_or_default();
    let requests = calls.iter().filter_map(|call| {
        Some(format!("{} {}", call.get("call")?.as_str()?, call.get("request")?.as_str()?))
    });
    let requests = requests.collect::<Vec<_>>().join(", ");
    let mut line = format!(
        "{} {:<6} {} {} by {}",
        text("time"),
        text("phase"),
        text("action"),
        text("what"),
        text("who")
    );
    for (why, words) in [(text("why"), "because"), (requests, "in")] {
        if !why.is_empty() {
            line.push_str(&format!(", {words} {why}"));
        }
    }
    line
}

fn export(journals: &[PathBuf]) -> Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for path in journals {
        match chain::verify(path) {
            Ok(_) => {}
            // Its lines hold, as far as they go: an archive is what they can be compared with.
            Err(error @ (Broken::Headless { .. } | Broken::Resumed { .. })) => {
                output::warn(&format!("{}: {error}", path.display()));
                code = ExitCode::FAILURE;
            }
            Err(error) => return Err(error).with_context(|| format!("{} does not hold", path.display())),
        }
        let journal = name(path);
        for line in text(path)?.lines() {
            // As it stands, so that whoever gets it can follow the chain.
            output::json(&json!({ "journal": journal, "line": line }));
        }
    }
    Ok(code)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}
