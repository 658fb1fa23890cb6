//! `fleetkey`, the operator's command line, as a library: arguments in, one command, output out.
//!
//! The binary is a shell around [`run`]. Of the rest only what scenario tests share is public.

#![forbid(unsafe_code)]

mod args;
mod cited;
mod commands;
#[cfg(feature = "aws")]
mod confirm;
pub mod control;
mod core;
mod datadir;
pub mod diagnosis;
mod fleet_file;
mod front;
mod ignore;
mod interrupt;
mod logging;
mod messages;
mod output;
mod retirement;
mod stage;
mod tokens;
mod up;
mod windows;
mod works;

use std::process::ExitCode;

use clap::Parser;

/// Reads the command line, runs the command to its end, and gives the exit code: 0 done; 1 it failed, or messages
/// were lost; 2 the command line is wrong.
pub fn run() -> ExitCode {
    let cli = args::Cli::parse();
    let outcome = logging::init(&cli.log_level, cli.log_format).and_then(|()| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(commands::run(cli.command))
    });
    match outcome {
        Ok(code) => code,
        Err(error) => {
            output::warn(&format!("fleetkey: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
