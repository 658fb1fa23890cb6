//! `fleetkey local env`: what AWS's clients need to use the local IoT Core, as lines for a shell.
//!
//! The access key comes from its own file, the rest from what `fleetkey local` wrote when it was last ready.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use fleetkey_iotcore::access_key::AccessKey;
use fleetkey_iotcore::server::Handle;
use serde::{Deserialize, Serialize};

use crate::args::DataArgs;
use crate::core;
use crate::datadir::DataDir;
use crate::output;

/// Where clients find the local IoT Core; nothing of it is secret.
#[derive(Debug, Serialize, Deserialize)]
struct Reach {
    api_url: Option<String>,
    region: String,
    endpoint: String,
    mqtt_port: u16,
    alpn_port: u16,
    root_ca: PathBuf,
}

/// Writes down where clients find `core`, for [`run`] of another process.
pub(super) fn remember(core: &Handle, data: &DataDir) -> Result<()> {
    let reach = Reach {
        api_url: core::api_url(core),
        region: core.account().scope().region.clone(),
        endpoint: core.endpoint().to_owned(),
        mqtt_port: core.ports().mqtt,
        alpn_port: core.ports().alpn,
        root_ca: core.root_ca_path().to_owned(),
    };
    let path = file(data);
    let draft = path.with_extension("json.new");
    std::fs::write(&draft, serde_json::to_vec_pretty(&reach)?)
        .and_then(|()| std::fs::rename(&draft, &path))
        .with_context(|| format!("{} cannot be written", path.display()))
}

/// Prints the lines.
pub(super) fn run(args: &DataArgs) -> Result<()> {
    let data = DataDir::existing(&args.data_dir)?;
    let (Some(reach), Some(key)) = (read(&data)?, AccessKey::read(&data.iotcore())?) else {
        bail!("no local IoT Core has run on {} yet; start it with: fleetkey local", args.data_dir.display());
    };
    output::line(&lines(&reach, &key));
    Ok(())
}

fn read(data: &DataDir) -> Result<Option<Reach>> {
    let path = file(data);
    match std::fs::read(&path) {
        Ok(text) => {
            let reach = serde_json::from_slice(&text);
            reach.map(Some).with_context(|| format!("{} is damaged; the next start mends it", path.display()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

fn file(data: &DataDir) -> PathBuf {
    data.iotcore().join("reach.json")
}

fn lines(reach: &Reach, key: &AccessKey) -> String {
    // A token or profile of another account would be sent along.
    let mut lines = vec!["unset AWS_SESSION_TOKEN AWS_PROFILE".to_owned()];
    let mut export = |name: &str, value: &str| lines.push(format!("export {name}={}", quoted(value)));
    if let Some(url) = &reach.api_url {
        export("AWS_ENDPOINT_URL", url);
    }
    export("AWS_ACCESS_KEY_ID", &key.access_key_id);
    export("AWS_SECRET_ACCESS_KEY", key.secret_access_key.expose());
    export("AWS_REGION", &reach.region);
    export("AWS_DEFAULT_REGION", &reach.region);
    export("FLEETKEY_ENDPOINT", &reach.endpoint);
    export("FLEETKEY_MQTT_PORT", &reach.mqtt_port.to_string());
    export("FLEETKEY_ALPN_PORT", &reach.alpn_port.to_string());
    export("FLEETKEY_ROOT_CA", &reach.root_ca.to_string_lossy());
    lines.join("\n")
}

/// A word that a POSIX shell takes as it stands.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_leave_its_quotes() {
        assert_eq!(quoted("a$(b)'c"), r"'a$(b)'\''c'");
    }
}
