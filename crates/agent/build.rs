//! Tells the program when it was built: the lowest time that a device without a clock goes by.
//!
//! `SOURCE_DATE_EPOCH` (reproducible-builds.org) where it is set, else now. No other input, so that a later build of
//! unchanged sources may keep the earlier time: it is a floor.
#![allow(clippy::print_stdout, reason = "how a build script answers cargo")]

use std::env::VarError;
use std::time::SystemTime;

const EPOCH: &str = "SOURCE_DATE_EPOCH";

fn main() -> Result<(), String> {
    println!("cargo::rerun-if-env-changed={EPOCH}");
    let seconds = match std::env::var(EPOCH) {
        Ok(text) => {
            text.parse().map_err(|error| format!("{EPOCH}={text:?} is no number of seconds: {error}"))?
        }
        Err(VarError::NotPresent) => now(),
        Err(error) => return Err(format!("{EPOCH}: {error}")),
    };
    println!("cargo::rustc-env=FLEETKEY_BUILD_SECONDS={seconds}");
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "the build time is the wall clock's")]
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
