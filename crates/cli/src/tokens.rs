//! `operator/tokens.json`: who may use the controller's API, as hashes; mode 0600.

use std::path::Path;

use anyhow::{Context, Result};
use fleetkey_api::token::Tokens;
use fleetkey_operator::files;

const FILE: &str = "tokens.json";

/// What is kept; nothing when there never was a token.
pub(crate) fn read(directory: &Path) -> Result<Tokens> {
    let path = directory.join(FILE);
    match files::read(&path)? {
        None => Ok(Tokens::default()),
        Some(text) => serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display())),
    }
}

/// Keeps them, durably.
pub(crate) fn write(directory: &Path, tokens: &Tokens) -> Result<()> {
    let text = serde_json::to_vec_pretty(tokens).context("tokens.json cannot be written")?;
    Ok(files::write(&directory.join(FILE), &text, files::PRIVATE)?)
}
