//! `fleetkey-agent user NAME`: a user of the sidecar, with a password of our making.

use fleetkey_agent::sidecar::new_user;

/// The line goes where it can be appended to the file, the password where it is read once.
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "the output of the command")]
pub(super) fn make(name: &str) -> anyhow::Result<()> {
    let (user, password) = new_user(name)?;
    println!("{user}");
    eprintln!("the password of {name}, which is kept nowhere: {}", password.as_str());
    Ok(())
}
