//! `cargo xtask tidy`: the checks that keep the architecture true, run by `./test` and by hand.
//!
//! Not a build system: whatever cargo, clippy, rustfmt or cargo-deny already check is left to them.

mod metadata;
mod repo;
mod rules;
mod rust_source;
mod violation;

use std::process::ExitCode;

use anyhow::Result;

use crate::repo::Repo;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["tidy"] => report(tidy()),
        _ => {
            say("usage: cargo xtask tidy");
            ExitCode::from(2)
        }
    }
}

/// Runs every rule; the lines to print, one a violation.
fn tidy() -> Result<Vec<String>> {
    let repo = Repo::load()?;
    let mut violations: Vec<_> = rules::ALL.iter().flat_map(|rule| rule(&repo)).collect();
    violations.sort();
    Ok(violations.iter().map(ToString::to_string).collect())
}

fn report(outcome: Result<Vec<String>>) -> ExitCode {
    match outcome {
        Ok(lines) if lines.is_empty() => {
            say("tidy: clean");
            ExitCode::SUCCESS
        }
        Ok(lines) => {
            lines.iter().for_each(|line| say(line));
            say(&format!("tidy: {} to fix", lines.len()));
            ExitCode::FAILURE
        }
        Err(error) => {
            say(&format!("tidy could not run: {error:#}"));
            ExitCode::from(2)
        }
    }
}

#[allow(clippy::print_stdout, reason = "a development tool: its output is its only product")]
fn say(line: &str) {
    println!("{line}");
}
