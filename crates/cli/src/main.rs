//! `fleetkey`: the operator's binary, a shell around the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    fleetkey_cli::run()
}
