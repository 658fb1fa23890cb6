//! `fleetkey token`: who may use the controller's API. A token is shown once; a hash of it is kept.

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use fleetkey_iotcore::clock::{Clock, SystemClock};
use serde_json::json;

use crate::args::TokenCommand;
use crate::datadir::DataDir;
use crate::output::{self, Audience};
use crate::tokens;

/// Runs one of them.
pub(super) fn run(command: &TokenCommand) -> Result<ExitCode> {
    match command {
        TokenCommand::Create { name, role, expires, tokens: args } => {
            let directory = DataDir::existing(&args.fleet_dir)?.operator();
            let mut tokens = tokens::read(&directory)?;
            ensure!(
                tokens.tokens.iter().all(|record| record.name != *name),
                "there is a token {name:?}; revoke it first, or choose another --name"
            );
            let mut random = [0; 32];
            getrandom::fill(&mut random).context("the system has no random numbers")?;
            let now = SystemClock.now();
            let secret = tokens.issue(name, (*role).into(), &random, now, now + *expires);
            tokens::write(&directory, &tokens)?;
            let until = now + *expires;
            match Audience::of(args.json) {
                Audience::Person => output::line(&format!(
                    "{}\nshown this once; good until {until}: curl -H \"Authorization: Bearer …\"",
                    secret.expose()
                )),
                Audience::Program => output::json(&json!({
                    "event": "token", "name": name, "role": role.as_str(), "expires_at": until, "token": secret.expose(),
                })),
            }
        }
        TokenCommand::List { tokens: args } => {
            let tokens = tokens::read(&DataDir::existing(&args.fleet_dir)?.operator())?;
            for record in tokens.tokens {
                let (name, role) = (&record.name, record.role.as_str());
                match Audience::of(args.json) {
                    Audience::Person => {
                        output::line(&format!("{name:<24} {role:<9} until {}", record.expires_at));
                    }
                    Audience::Program => output::json(&json!({
                        "event": "token", "name": name, "role": role, "created_at": record.created_at,
                        "expires_at": record.expires_at,
                    })),
                }
            }
        }
        TokenCommand::Revoke { name, tokens: args } => {
            let directory = DataDir::existing(&args.fleet_dir)?.operator();
            let mut tokens = tokens::read(&directory)?;
            ensure!(tokens.revoke(name), "there is no token {name:?}");
            tokens::write(&directory, &tokens)?;
            output::line(&format!("{name} is no token any more"));
        }
    }
    Ok(ExitCode::SUCCESS)
}
