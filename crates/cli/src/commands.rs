//! One module a command; each takes its arguments whole and gives an exit code.

mod device;
mod local;

use std::process::ExitCode;

use anyhow::Result;

use crate::args::Command;
use crate::up;

/// Runs the command to its end.
pub(crate) async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Up(args) => up::run(args).await,
        Command::Local(args) => local::run(args).await.map(|()| ExitCode::SUCCESS),
        Command::Device(command) => device::run(command).await.map(|()| ExitCode::SUCCESS),
    }
}
