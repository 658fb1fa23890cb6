//! `fleetkey doctor node-red`: what in a Node-RED's settings loses its certificate, its key or its messages. Reads only.

mod admin;
mod connections;
mod flows;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::finding::{self, Finding};
use crate::args::NodeRedArgs;

use admin::{Admin, Answer};

/// As for the tool that deploys: a token on the command line would be seen by everybody on the machine.
const TOKEN_FILE: &str = "FLEETKEY_NODE_RED_TOKEN_FILE";

/// Prints every finding; the exit code tells whether one is a fault.
pub(super) async fn run(args: &NodeRedArgs) -> Result<ExitCode> {
    let mut findings = Vec::new();
    let (nodes, report) = match &args.flows {
        Some(path) => (read_flows(path)?, None),
        None => ask(args, &mut findings).await?,
    };
    if !nodes.iter().any(|node| flows::text(node, "type") == "mqtt-broker") {
        let looked_at =
            args.flows.as_ref().map_or_else(|| args.url.clone(), |path| path.display().to_string());
        findings.push(no_broker(looked_at));
    }
    findings.extend(flows::judge(&nodes, args.thing.as_ref()));
    findings.extend(connections::judge(&nodes, report.as_ref(), args.principal));
    Ok(finding::conclude(&findings, "nodes", nodes.len(), args.json))
}

/// The flows, and the plugin's report if there is one.
async fn ask(args: &NodeRedArgs, findings: &mut Vec<Finding>) -> Result<(Vec<Value>, Option<Value>)> {
    let admin = Admin::new(&args.url, token()?)?.patient(args.timeout);
    match admin.get("auth/login").await? {
        Answer::Json(Value::Object(login)) if login.is_empty() => findings.push(open_api(&args.url)),
        Answer::Json(_) => {}
        Answer::Refused(status) => bail!(
            "{} answers auth/login with {status}: is the Admin API switched off? --flows FILE reads the flows themselves",
            args.url
        ),
    }
    let nodes = match admin.get("flows").await? {
        Answer::Json(Value::Array(nodes)) => nodes,
        Answer::Json(Value::Object(mut answer)) => match answer.remove("flows") {
            Some(Value::Array(nodes)) => nodes,
            _ => bail!("{} answers with no flows", args.url),
        },
        Answer::Json(_) => bail!("{} answers with no flows", args.url),
        Answer::Refused(401) => {
            bail!("Node-RED wants a token that may read flows (flows.read): name its file in {TOKEN_FILE}")
        }
        Answer::Refused(status) => bail!("{} answers with {status}", args.url),
    };
    let report = match admin.get("fleetkey/connections").await? {
        Answer::Json(report) => Some(report),
        Answer::Refused(_) => None,
    };
    Ok((nodes, report))
}

fn no_broker(at: String) -> Finding {
    Finding::note("no_broker", at, "no node here is an MQTT broker")
        .why("nothing was judged, and that is no good word for anything")
        .todo("look whether these are the flows that run: Node-RED's log names its flow file at the start")
}

fn open_api(url: &str) -> Finding {
    Finding::fault("admin_open", url, "the Admin API is open to whoever reaches it")
        .why("who may deploy flows runs code as Node-RED's user, and GET /credentials/tls-config/ID hands out uploaded keys")
        .todo("set adminAuth in settings.js, and uiHost: '127.0.0.1', or httpAdminRoot: false where nobody edits")
}

fn token() -> Result<Option<String>> {
    let Some(path) = std::env::var_os(TOKEN_FILE).filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("{TOKEN_FILE} names a file that cannot be read"))?;
    Ok(Some(text.trim().to_owned()))
}

fn read_flows(path: &std::path::Path) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("{} is no flow file: an array of nodes", path.display()))
}
