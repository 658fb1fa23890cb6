//! The dashboard as the flags say: its listener, its certificate, who may come in.
//!
//! Of the demo that many come from, the environment is honoured: `API_TOKEN` is a token with all rights,
//! `FLASK_SECRET` signs sessions so that they outlive a restart, `SKIP_AUTH=1` lets everybody in.

use std::env;
use std::path::Path;

use anyhow::{Context, Result};
use fleetkey_dashboard::access::{Access, Scope, SessionKey, Token};
use fleetkey_dashboard::server::{Dashboard, Parts, Tls};
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use crate::args::DashboardArgs;

/// Serves the dashboard, unless none is wanted.
///
/// # Errors
/// When the port is taken, the certificate cannot serve, or the address is not loopback and there is none.
pub(crate) async fn open(args: &DashboardArgs, parts: Parts) -> Result<Option<Dashboard>> {
    if args.no_dashboard {
        return Ok(None);
    }
    let (address, tls) = (args.dashboard, tls(args)?);
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; choose another with --dashboard (port 0 takes any free one)")
    })?;
    let access = access(|name| env::var(name).ok());
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
fn access(variable: impl Fn(&str) -> Option<String>) -> Access {
    let given = |name: &str| variable(name).filter(|value| !value.is_empty());
    Access {
        tokens: given("API_TOKEN")
            .map(|text| Token::new("API_TOKEN", Scope::Admin, &text))
            .into_iter()
            .collect(),
        session_key: given("FLASK_SECRET").map(|text| SessionKey::new(&text)),
        open: given("SKIP_AUTH").is_some_and(|value| value == "1" || value == "true"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demos_environment_is_honoured_and_an_empty_variable_is_none() {
        let none = access(|_| Some(String::new()));
        assert!(none.tokens.is_empty() && none.session_key.is_none() && !none.open);
        let all = access(|name| Some(if name == "SKIP_AUTH" { "1" } else { "secret" }.to_owned()));
        assert!(all.tokens.len() == 1 && all.session_key.is_some() && all.open);
        assert!(!access(|_| Some("0".to_owned())).open);
    }
}
