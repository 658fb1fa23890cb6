//! A slice of the proof on the real process; `killpoints --all` goes through the whole (CONTRIBUTING.md).
//!
//! Needs Linux on x86_64 and ptrace. Where ptrace is not to be had these tests fail and say so, unless
//! `FLEETKEY_WITHOUT_PTRACE` is set: then they print that they were not run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and shows its table; clippy's own exception covers only #[test] functions"
)]

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod slice;

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
#[test]
#[ignore = "the supervisor needs ptrace as Linux has it on x86_64"]
fn a_slice_of_the_proof_on_the_real_process() {}
