//! The dashboard as the flags say: its listener, its certificate, who may come in.
//!
//! Of the demo that many come from, the environment is honoured: `API_TOKEN` is a token with all rights,
//! `FLASK_SECRET` signs sessions so that they outlive a restart, `SKIP_AUTH=1` lets everybody in.

use std::env;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use fleetkey_dashboard::access::{Access, Roster, Scope, SessionKey, Token};
use fleetkey_dashboard::server::{Dashboard, Parts, Tls};
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use crate::args::DashboardArgs;

/// The fewest characters of what signs sessions: whoever guesses it makes sessions of admins, and a session that they have
/// lets them try guesses without asking anybody.
const LEAST_SECRET: usize = 32;

/// Serves the dashboard, unless none is wanted; `roster` are tokens besides the environment's.
///
/// # Errors
/// When the environment's secret is too short, the port is taken, the certificate cannot serve, or the address is not loopback and there is none.
pub(crate) async fn open(
    args: &DashboardArgs,
    parts: Parts,
    roster: Option<Roster>,
) -> Result<Option<Dashboard>> {
    if args.no_dashboard {
        return Ok(None);
    }
    let (address, tls) = (args.dashboard, tls(args)?);
    let access = Access { roster, ..access(|name| env::var(name).ok())? };
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; choose another with --dashboard (port 0 takes any free one)")
    })?;
    let dashboard = match tls {
        Some(tls) => Dashboard::start_tls(listener, tls, parts, access),
        None => Dashboard::start(listener, parts, access),
    }?;
    Ok(Some(dashboard))
}

/// The certificate that the flags name.
fn tls(args: &DashboardArgs) -> Result<Option<Tls>> {
    let (Some(chain), Some(key)) = (&args.dashboard_certificate, &args.dashboard_key) else {
        return Ok(None);
    };
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let (chain, key) = (read(chain)?, Zeroizing::new(read(key)?));
    Ok(Some(Tls::from_pem(&chain, &key)?))
}

/// Who may come in, besides by the link. An empty variable counts as none.
fn access(variable: impl Fn(&str) -> Option<String>) -> Result<Access> {
    let given = |name: &str| variable(name).filter(|value| !value.is_empty());
    let secret = given("FLASK_SECRET").map(Zeroizing::new);
    if let Some(secret) = &secret {
        let length = secret.chars().count();
        ensure!(
            length >= LEAST_SECRET,
            "FLASK_SECRET has {length} characters: whoever guesses it can come in as an admin; give it at least {LEAST_SECRET}, \
             for example of `openssl rand -hex 32`, or none"
        );
    }
    Ok(Access {
        tokens: given("API_TOKEN")
            .map(|text| Token::new("API_TOKEN", Scope::Admin, &text))
            .into_iter()
            .collect(),
        session_key: secret.map(|text| SessionKey::new(&text)),
        open: given("SKIP_AUTH").is_some_and(|value| value == "1" || value == "true"),
        roster: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demos_environment_is_honoured_and_an_empty_variable_is_none() {
        let none = access(|_| Some(String::new())).unwrap();
        assert!(none.tokens.is_empty() && none.session_key.is_none() && !none.open);
        let value = |name: &str| if name == "SKIP_AUTH" { "1".to_owned() } else { "s".repeat(32) };
        let all = access(|name| Some(value(name))).unwrap();
        assert!(all.tokens.len() == 1 && all.session_key.is_some() && all.open);
        let closed = access(|name| (name == "SKIP_AUTH").then(|| "0".to_owned()));
        assert!(!closed.unwrap().open);
    }

    #[test]
    fn a_secret_that_can_be_guessed_is_refused_and_not_repeated() {
        let error = access(|name| (name == "FLASK_SECRET").then(|| "hunter2".to_owned())).unwrap_err();
        let words = error.to_string();
        assert!(words.contains("7 characters") && words.contains("openssl rand"), "{words}");
        assert!(!words.contains("hunter2"));
    }
}
