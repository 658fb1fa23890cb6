//! The flags of `fleetkey token`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use fleetkey_api::token::Role;

/// Whose tokens.
#[derive(Debug, Clone, Args)]
pub(crate) struct TokenArgs {
    /// Directory of the fleet.
    #[arg(long, value_name = "DIR", default_value = "fleetkey-data", env = "FLEETKEY_DATA_DIR")]
    pub(crate) fleet_dir: PathBuf,
    /// As one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a token lets its holder do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenRole {
    /// Read.
    Auditor,
    /// Release what is frozen, have devices rotate, and run campaigns, too.
    Operator,
    /// End certificates, and bring them back, too.
    Admin,
}

impl TokenRole {
    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        Role::from(self).as_str()
    }
}

impl From<TokenRole> for Role {
    fn from(role: TokenRole) -> Self {
        match role {
            TokenRole::Auditor => Self::Auditor,
            TokenRole::Operator => Self::Operator,
            TokenRole::Admin => Self::Admin,
        }
    }
}

/// `fleetkey token …`.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and print it, once.
    Create {
        /// What it is called, in lists and in the journal.
        #[arg(long, value_name = "NAME")]
        name: String,
        /// What it lets its holder do.
        #[arg(long, value_enum)]
        role: TokenRole,
        /// How long it is good.
        #[arg(long, value_name = "DURATION", default_value = "90days", value_parser = super::duration)]
        expires: Duration,
        #[command(flatten)]
        tokens: TokenArgs,
    },
    /// Print what tokens there are; not the tokens.
    List {
        #[command(flatten)]
        tokens: TokenArgs,
    },
    /// Take a token out of service; a running controller knows at once.
    Revoke {
        /// What it is called.
        name: String,
        #[command(flatten)]
        tokens: TokenArgs,
    },
}
