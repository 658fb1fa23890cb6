//! The command line of `fleetkey-agent`: arguments in, exit code out.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use fleetkey_agent::config::ConfigError;
use fleetkey_agent::import::ImportError;
use fleetkey_agent::offline::OfflineError;
use fleetkey_agent::status::client::AskError;
use fleetkey_agent::store::LockError;
use fleetkey_agent::{AgentConfig, StartError};
use fleetkey_lifecycle::event::Offline;

mod ask;
mod doctor;
mod export;
mod import;
mod run;
mod step;
mod user;

/// Keeps one device's AWS IoT certificate fresh.
#[derive(Debug, Parser)]
#[command(name = "fleetkey-agent", version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Provision the device if need be, connect it, and rotate its certificate; until a signal ends it.
    Run(ConfigArgs),
    /// Show the state of the device, whether or not its agent runs.
    Status(ConfigArgs),
    /// Check the state directory without touching it: permissions, record, slots, export, audit log. Exit code 1
    /// if anything is wrong.
    Verify {
        #[command(flatten)]
        config: ConfigArgs,
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Print what the audit log holds, one JSON object a line.
    Events {
        #[command(flatten)]
        config: ConfigArgs,
        /// Print what the running agent tells from now on instead.
        #[arg(long)]
        follow: bool,
    },
    /// Make a user of the sidecar: its line for the users file on standard output, its password on standard error.
    User {
        /// The user name.
        name: String,
    },
    /// Take over a certificate and its key that another program has got: they become the device's first identity.
    Import {
        #[command(flatten)]
        config: ConfigArgs,
        #[command(flatten)]
        files: import::ImportArgs,
    },
    /// Write the certificate and key in use for another program: its file names, permissions, and what to configure.
    Export(export::ExportArgs),
    /// Find out why the device cannot connect: files, clock, network, TLS, certificate, policy, topics; what to do. The
    /// exit code is that of the first tier that fails, 10 and on.
    Doctor {
        #[command(flatten)]
        config: ConfigArgs,
        /// Connect with the thing's own client id too, which throws a connected client off line for a moment.
        #[arg(long)]
        take_over: bool,
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Prepare a rotation up to its commit, which waits for `switch`: key, certificate, registration, proof.
    Stage(step::StepArgs),
    /// Make what is staged the certificate in use, after one more proof: in the maintenance window.
    Switch(step::StepArgs),
    /// End the soak: have the certificate before the one in use retired now.
    Retire(step::StepArgs),
    /// Give up what is staged; or, until `retire` or the end of the soak, go back to the certificate before.
    Rollback(step::StepArgs),
    /// Order the running agent to rotate now.
    Rotate {
        #[command(flatten)]
        config: ConfigArgs,
        /// The key may be known to others: wait for nothing.
        #[arg(long)]
        compromised: bool,
    },
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Debug, Args)]
struct LogArgs {
    /// What to log: error, warn, info, debug, trace, or a filter such as fleetkey_agent=debug.
    #[arg(long, global = true, default_value = "info", env = "FLEETKEY_LOG")]
    log_level: String,
    /// How to log, on standard error.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// The exit code of a command line or configuration that does not fit.
const USAGE: u8 = 2;
/// The exit code of a device without an identity or a way to one.
const NO_IDENTITY: u8 = 3;
/// The exit code of a state directory that another agent holds, or that none serves.
const AGENT: u8 = 4;

/// Runs the command and turns its error into a message on standard error and an exit code.
pub(crate) fn run(cli: Cli) -> ExitCode {
    match start_log(&cli.log).and_then(|()| carry_out(cli.command)) {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            ExitCode::from(exit_code(&error))
        }
    }
}

fn carry_out(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(args) => run::run(load(&args)?)?,
        Command::Status(args) => ask::status(&load(&args)?)?,
        Command::Verify { config, json } => ask::verify(load(&config)?, json)?,
        Command::Events { config, follow } => ask::events(&load(&config)?, follow)?,
        Command::User { name } => user::make(&name)?,
        Command::Import { config, files } => import::run(&load(&config)?, &files)?,
        Command::Export(args) => export::run(&load(&args.config)?, &args)?,
        Command::Stage(args) => step::run(load(&args.config)?, Offline::Stage, args.timeout)?,
        Command::Switch(args) => step::run(load(&args.config)?, Offline::Switch, args.timeout)?,
        Command::Retire(args) => step::run(load(&args.config)?, Offline::Retire, args.timeout)?,
        Command::Rollback(args) => step::run(load(&args.config)?, Offline::Rollback, args.timeout)?,
        Command::Rotate { config, compromised } => ask::rotate(&load(&config)?, compromised)?,
        Command::Doctor { config, take_over, json } => return doctor::run(&load(&config)?, take_over, json),
    }
    Ok(ExitCode::SUCCESS)
}

fn load(args: &ConfigArgs) -> anyhow::Result<AgentConfig> {
    Ok(AgentConfig::load(&args.config)?)
}

fn start_log(args: &LogArgs) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(&args.log_level)
        .map_err(|error| anyhow::Error::new(BadFilter(error.to_string())))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Json => log.json().init(),
        LogFormat::Text => log.with_ansi(colours()).init(),
    }
    Ok(())
}

/// NO_COLOR (no-color.org), or standard error that is no terminal.
fn colours() -> bool {
    use std::io::IsTerminal;
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && std::io::stderr().is_terminal()
}

#[derive(Debug, thiserror::Error)]
#[error("--log-level does not read: {0}")]
struct BadFilter(String);

#[allow(clippy::print_stderr, reason = "the last words of a command line program")]
fn complain(error: &anyhow::Error) {
    eprintln!("fleetkey-agent: {error:#}");
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<ConfigError>() || error.is::<BadFilter>() {
        return USAGE;
    }
    let start = match error.downcast_ref() {
        Some(OfflineError::Start(start)) => Some(start),
        _ => error.downcast_ref(),
    };
    match start {
        Some(StartError::NoIdentity(_)) => return NO_IDENTITY,
        Some(StartError::Lock(LockError::InUse(_))) => return AGENT,
        Some(StartError::Roots(_) | StartError::Claim(_)) => return USAGE,
        _ => {}
    }
    if let Some(ImportError::Lock(LockError::InUse(_))) = error.downcast_ref() {
        return AGENT;
    }
    match error.downcast_ref() {
        Some(AskError::NotRunning(_)) => AGENT,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_script_can_tell_failures_apart() {
        let code = |error: anyhow::Error| exit_code(&error);
        assert_eq!(code(StartError::NoIdentity("/s".into()).into()), 3);
        assert_eq!(code(StartError::Lock(LockError::InUse("/s".into())).into()), 4);
        assert_eq!(code(AskError::NotRunning("/s".into()).into()), 4);
        assert_eq!(code(AskError::Refused("no".into()).into()), 1);
        let config = AgentConfig::load(std::path::Path::new("/nonexistent")).unwrap_err();
        assert_eq!(code(config.into()), 2);
    }
}
