//! `killpoints`: the whole proof on the real process. Kills the shipping agent at every call between "rotation due" and
//! "retired", lets every write, fsync and rename fail, and prints a table by state.
//!
//! Exit code 0: from every point recovered · 1: not · 2: the command line does not fit, or ptrace is not to be had.

use std::process::ExitCode;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn main() -> ExitCode {
    run::run()
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
#[allow(clippy::print_stderr, reason = "the last words of a command line program")]
fn main() -> ExitCode {
    eprintln!("killpoints: needs ptrace as Linux has it on x86_64");
    ExitCode::from(2)
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod run {
    use std::path::PathBuf;
    use std::process::ExitCode;

    use clap::{Parser, ValueEnum};
    use fleetkey_testkit::kill::eye::Seen;
    use fleetkey_testkit::kill::{Enumeration, Extent, Tally, binary, order};
    use fleetkey_testkit::trace::{Errno, TraceError};

    /// Kills the shipping agent at every call on a file or a socket of a rotation, and lets its disk fail.
    #[derive(Debug, Parser)]
    #[command(name = "killpoints")]
    struct Cli {
        /// Every point.
        #[arg(long, conflicts_with = "every")]
        all: bool,
        /// Of each state the first point and every N-th after it.
        #[arg(long, value_name = "N", default_value_t = 10)]
        every: usize,
        /// Only this; may be given several times. Without it: kills, faults, births.
        #[arg(long, value_enum)]
        only: Vec<Part>,
        /// Of `twice`: of each state the first point and every N-th, and from each every N-th call of the way back.
        #[arg(long, value_name = "N", default_value_t = 8)]
        twice_every: usize,
        /// Devices at a time.
        #[arg(long, default_value_t = 3)]
        lanes: u32,
        /// The agent; otherwise the one beside this program.
        #[arg(long, value_name = "FILE")]
        agent: Option<PathBuf>,
    }

    /// A part of the proof.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
    enum Part {
        /// Print the points that an undisturbed rotation passes, and strike nowhere.
        Trace,
        /// SIGKILL in a rotation.
        Kills,
        /// ENOSPC and EIO at every write, fsync and rename.
        Faults,
        /// SIGKILL in the first start of a device, which provisions it.
        Births,
        /// SIGKILL on the way back from a SIGKILL.
        Twice,
    }

    #[allow(clippy::print_stdout, clippy::print_stderr, reason = "the output of the command")]
    pub(crate) fn run() -> ExitCode {
        let cli = Cli::parse();
        let runtime = match tokio::runtime::Runtime::new() {
            Ok(runtime) => runtime,
            Err(error) => {
                eprintln!("killpoints: {error}");
                return ExitCode::from(2);
            }
        };
        match runtime.block_on(proof(&cli)) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("killpoints: {error}");
                ExitCode::from(2)
            }
        }
    }

    async fn proof(cli: &Cli) -> Result<bool, TraceError> {
        let agent = cli.agent.clone().unwrap_or_else(binary);
        let enumeration = Enumeration::start(&agent, cli.lanes).await;
        let extent = if cli.all { Extent::All } else { Extent::Every(cli.every) };
        let usual = vec![Part::Kills, Part::Faults, Part::Births];
        let parts = if cli.only.is_empty() { &usual } else { &cli.only };
        let mut good = in_order(&enumeration.trace().await?, parts.contains(&Part::Trace));
        for part in parts {
            match part {
                Part::Trace => {}
                Part::Kills => good &= told("SIGKILL in a rotation", &enumeration.kills(extent).await?),
                Part::Faults => {
                    for errno in [Errno::ENOSPC, Errno::EIO] {
                        good &= told(
                            &format!("{errno:?} in a rotation"),
                            &enumeration.faults(errno, extent).await?,
                        );
                    }
                }
                Part::Births => good &= told("SIGKILL in a first start", &enumeration.births(extent).await?),
                Part::Twice => {
                    let tally = enumeration.kills_on_the_way_back(cli.twice_every).await?;
                    good &= told("SIGKILL on the way back from SIGKILL", &tally);
                }
            }
        }
        enumeration.stop().await;
        Ok(good)
    }

    #[allow(clippy::print_stdout, reason = "the output of the command")]
    fn in_order(trace: &[Seen], print: bool) -> bool {
        if print {
            trace.iter().for_each(|seen| println!("{} = {}", seen.point, seen.result));
        }
        let violations = order::violations(trace);
        violations.iter().for_each(|violation| println!("out of order: {violation}"));
        violations.is_empty()
    }

    #[allow(clippy::print_stdout, reason = "the output of the command")]
    fn told(what: &str, tally: &Tally) -> bool {
        println!("\n{what}\n{tally}");
        let shortcomings = tally.shortcomings();
        shortcomings.iter().for_each(|shortcoming| println!("{shortcoming}"));
        shortcomings.is_empty()
    }
}
