//! `fleetkey setup`: makes in an account all that a fleet needs, and writes what its devices must know.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use fleetkey_aws::Aws;
use fleetkey_aws::permit::Command;
use fleetkey_operator::files;
use fleetkey_operator::plan::{Action, Applied, Operator, Plan, Wanted};
use fleetkey_operator::roots;
use serde_json::{Value, json};

use super::settings::Settings;
use super::{Desk, panic, print_iam};
use crate::args::SetupArgs;
use crate::fleet_file::{FleetFile, Place};
use crate::output::{self, Audience};

/// The roots by which devices know the endpoint.
pub(super) const ROOTS_FILE: &str = "root-ca.pem";

/// Plans, and unless only a plan was asked for, applies.
pub(crate) async fn run(args: SetupArgs) -> Result<ExitCode> {
    let chosen = |settings| choose(settings, &args);
    if args.account.print_iam {
        return print_iam(&[Command::Setup], &args.account, chosen).await;
    }
    let desk = Desk::open(&args.account, chosen).await?;
    let mut operator = desk.operator(args.force).await?;
    if !args.plan {
        panic::none(&desk.data.operator())?;
    }
    let wanted = desk.wanted_now(&operator)?;
    let plan = operator.plan(&wanted).await?;
    if args.plan {
        show(&plan, desk.audience);
        return Ok(ExitCode::SUCCESS);
    }
    let roots = match &args.root_ca {
        Some(path) => std::fs::read_to_string(path)
            .with_context(|| format!("the root certificates {} cannot be read", path.display()))?,
        None => roots::amazon()?,
    };
    let ground = Ground { mqtt_port: args.mqtt_port, alpn_port: args.alpn_port, roots };
    let directory = desk.data.operator();
    let applied = carry_out(&mut operator, (&wanted, plan), &desk.settings, &ground, &directory).await?;
    let changed = applied.steps.iter().filter(|(action, _)| *action != "keep").count();
    let words = words(&wanted, &applied.endpoint, changed, &args);
    let fields =
        json!({ "endpoint": applied.endpoint, "changed": changed, "kept": applied.steps.len() - changed });
    desk.conclude("ready", &fields, &words);
    Ok(ExitCode::SUCCESS)
}

/// What the account does not tell of where devices find their broker.
#[derive(Debug, Clone)]
pub(super) struct Ground {
    pub(super) mqtt_port: u16,
    pub(super) alpn_port: u16,
    /// The roots by which they know it, PEM.
    pub(super) roots: String,
}

/// Applies a plan and writes down what the next commands and the devices must know.
///
/// # Errors
/// When the account refuses or a file cannot be written; the next run goes on from there.
pub(super) async fn carry_out(
    operator: &mut Operator<'_, Aws>,
    (wanted, plan): (&Wanted, Plan),
    settings: &Settings,
    ground: &Ground,
    directory: &Path,
) -> Result<Applied> {
    settings.write(directory)?;
    let applied = operator.apply(wanted, plan).await?;
    let root_ca = directory.join(ROOTS_FILE);
    files::write(&root_ca, ground.roots.as_bytes(), files::PUBLIC)?;
    let endpoint = applied.endpoint.clone();
    let place = Place { endpoint, mqtt_port: ground.mqtt_port, alpn_port: ground.alpn_port, root_ca };
    let credentials = [&applied.claim, &applied.observer, &applied.controller];
    FleetFile::new(place, &wanted.fleet, credentials).write(directory)?;
    Ok(applied)
}

fn choose(mut settings: Settings, args: &SetupArgs) -> Settings {
    if let Some(root) = &args.topic_root {
        root.as_str().clone_into(&mut settings.topic_root);
    }
    if !args.serials.is_empty() {
        settings.serials.clone_from(&args.serials);
    }
    if let Some(days) = args.log_days {
        settings.log_days = days;
    }
    settings
}

fn words(wanted: &Wanted, endpoint: &str, changed: usize, args: &SetupArgs) -> String {
    let done =
        if changed == 0 { "nothing to change".to_owned() } else { format!("{changed} made or changed") };
    let open = if wanted.serials.iter().any(|pattern| pattern == "*") {
        "\nwhoever holds the claim may provision any new serial; --allow-serial PATTERN names the ones you expect"
    } else {
        ""
    };
    let local = args.account.endpoint_url.as_ref().is_some_and(|url| !url.is_empty());
    let roots = if local && args.root_ca.is_none() {
        "\ndevices will know the endpoint by Amazon's roots; --root-ca names others"
    } else {
        ""
    };
    format!(
        "{done}; devices dial {endpoint}{open}{roots}\nprovision a device with: fleetkey device provision --serial NAME --data-dir {}",
        args.account.fleet_dir.display()
    )
}

/// A plan, line by line.
pub(super) fn show(plan: &Plan, audience: Audience) {
    let resources = plan.steps.iter().map(|step| (step.key.to_string(), &step.action));
    let certificates = plan.certificates.iter().map(|(role, action)| (format!("{role} certificate"), action));
    for (what, action) in resources.chain(certificates) {
        match audience {
            Audience::Person => output::line(&format!("{:>8}  {what}{}", action.as_str(), fields(action))),
            Audience::Program => output::json(&line(&what, action)),
        }
    }
}

fn fields(action: &Action) -> String {
    match action.fields() {
        [] => String::new(),
        fields => format!(" ({})", fields.join(", ")),
    }
}

fn line(what: &str, action: &Action) -> Value {
    json!({ "event": "plan", "action": action.as_str(), "what": what, "fields": action.fields() })
}
