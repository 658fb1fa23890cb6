//! The binary `fleetkey-agent`: a thin shell around the library.
//!
//! Exit codes: 0 all went well · 1 it failed · 2 the command line or the configuration does not fit · 3 the
//! device has no identity and nothing to get one with · 4 another agent holds the state directory, or none runs
//! to be asked. `doctor` has codes of its own: 3 it cannot be told · 10 and on, the first tier that fails.

mod cli;

use clap::Parser;

fn main() -> std::process::ExitCode {
    cli::run(cli::Cli::parse())
}
