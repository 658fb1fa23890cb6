//! One module a command; each takes its arguments whole and gives an exit code.

mod device;
mod doctor;
mod export;
#[cfg(feature = "aws")]
mod fleet;
mod journal;
mod local;
mod token;

use std::process::ExitCode;

use anyhow::Result;

use crate::args::Command;
use crate::up;

/// Runs the command to its end.
pub(crate) async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Up(args) => up::run(args).await,
        Command::Local(args) => local::run(args).await.map(|()| ExitCode::SUCCESS),
        #[cfg(feature = "aws")]
        Command::Setup(args) => fleet::setup::run(args).await,
        #[cfg(feature = "aws")]
        Command::Cleanup(args) => fleet::cleanup::run(args).await,
        #[cfg(feature = "aws")]
        Command::Status(args) => fleet::status::run(args).await,
        #[cfg(feature = "aws")]
        Command::Decommission(args) => fleet::decommission::run(args).await,
        #[cfg(feature = "aws")]
        Command::RotateClaim(args) => fleet::claim::rotate(args).await,
        #[cfg(feature = "aws")]
        Command::TemporaryClaim(args) => fleet::claim::temporary(args).await,
        Command::Export(args) => export::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Doctor(args) => doctor::run(&args).await,
        #[cfg(feature = "aws")]
        Command::SignRequest(args) => fleet::sign_request::run(args).await,
        #[cfg(feature = "aws")]
        Command::Serve(args) => fleet::serve::run(args).await,
        #[cfg(feature = "aws")]
        Command::Inventory(args) => fleet::inventory::run(args).await,
        #[cfg(feature = "aws")]
        Command::Revoke(args) => fleet::revoke::run(args).await,
        #[cfg(feature = "aws")]
        Command::Recovery(command) => fleet::recovery::run(command).await,
        #[cfg(feature = "aws")]
        Command::Panic(command) => fleet::panic::run(command).await,
        #[cfg(feature = "aws")]
        Command::Campaign(command) => fleet::campaign::run(command).await,
        Command::Journal(command) => journal::run(&command),
        Command::Token(command) => token::run(&command),
        Command::Device(command) => device::run(command).await.map(|()| ExitCode::SUCCESS),
    }
}
