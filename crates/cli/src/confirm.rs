//! Whether somebody means it: asked at a terminal, or said with `--yes`.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Result, ensure};

/// Has `word` typed at the terminal before something is done that hurts, unless `yes` was given.
///
/// # Errors
/// When something else is typed, or nobody is there to be asked.
pub(crate) fn typed(word: &str, yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    let there = io::stdin().is_terminal() && io::stderr().is_terminal();
    ensure!(there, "nobody is there to be asked: --yes says that it is meant, --plan shows what it would do");
    let mut errors = io::stderr().lock();
    let _ = write!(errors, "Type {word} to go on: ").and_then(|()| errors.flush());
    let mut answer = String::new();
    let _read = io::stdin().lock().read_line(&mut answer);
    ensure!(answer.trim() == word, "not confirmed: nothing was changed");
    Ok(())
}
