//! `fleetkey panic`: stops what has leaked at once, says how many seconds that took and what is left to do; and the way
//! back.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use fleetkey_aws::Aws;
use fleetkey_aws::permit::Command;
use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::{ClientId, PolicyName};
use fleetkey_operator::documents::Names;
use fleetkey_operator::plan::{Cut, Ending, Operator, PanicStep, Seen, Stopped};
use serde_json::json;

use super::{Desk, print_iam, revoke};
use crate::args::{PanicClaimArgs, PanicCommand, PanicPolicyArgs, PanicUndoArgs};
use crate::confirm;
use crate::datadir::DataDir;

/// Runs one of them.
pub(crate) async fn run(command: PanicCommand) -> Result<ExitCode> {
    match command {
        PanicCommand::Claim(args) => claim(*args).await,
        PanicCommand::Policy(args) => policy(*args).await,
        PanicCommand::Undo(args) => undo(*args).await,
    }
}

/// Refuses while something is stopped: set-up and windows would set it going again.
pub(super) fn none(directory: &Path) -> Result<()> {
    let stopped = Stopped::read(directory)?;
    ensure!(
        stopped.is_empty(),
        "a panic stands ({}): fleetkey panic undo restores what it has stopped, then go on",
        stopped.why
    );
    Ok(())
}

async fn claim(args: PanicClaimArgs) -> Result<ExitCode> {
    if args.account.print_iam {
        return print_iam(&[Command::PanicClaim], &args.account, |settings| settings).await;
    }
    let data = DataDir::existing(&args.account.fleet_dir)?;
    let desk = Desk::open(&args.account, |settings| settings).await?;
    let mut operator = desk.operator(false).await?;
    let wanted = desk.wanted(&operator)?;
    let mut claims = operator.claims(&wanted.fleet, &args.certificates).await?;
    let ids: Vec<CertificateId> = claims.certificates.iter().map(|(id, _)| *id).collect();
    let clients = clients(&data, &ids, args.clients);
    for (id, status) in &claims.certificates {
        let act = if *status == CertificateStatus::Active { "deactivate" } else { "keep" };
        desk.tell(
            "plan",
            &json!({ "action": act, "what": format!("certificate {id}"), "status": status }),
            &format!("{act:>10}  claim certificate {id} ({status})"),
        );
    }
    for (name, enabled) in &claims.templates {
        let act = if *enabled { "disable" } else { "keep" };
        desk.tell(
            "plan",
            &json!({ "action": act, "what": format!("provisioning template {name}") }),
            &format!("{act:>10}  provisioning template {name}"),
        );
    }
    for client in &clients {
        desk.tell(
            "plan",
            &json!({ "action": "disconnect", "what": format!("client {client}") }),
            &format!("disconnect  client {client}"),
        );
    }
    if args.meant.plan {
        return Ok(ExitCode::SUCCESS);
    }
    if confirmed(&mut operator, "claim", args.meant.yes).await? {
        claims = operator.claims(&wanted.fleet, &args.certificates).await?;
    }
    let why = args.meant.why.unwrap_or_default();
    let ending = Ending {
        status: CertificateStatus::Inactive,
        why,
        cut: true,
        patience: args.within,
        seen: Seen::new(),
    };
    let (steps, cuts) = operator.stop_claims(&claims, &clients, &ending).await?;
    tell(&desk, &steps);
    for cut in &cuts {
        desk.tell("connection", &revoke::cut_fields(cut), &revoke::cut_words(cut));
    }
    let left = [
        "a connection that no controller has told of is cut by the account within minutes",
        "give the fleet another claim: fleetkey rotate-claim; then fleetkey panic undo enables the templates again",
        "look at what was provisioned meanwhile (fleetkey inventory), and end what is not yours: fleetkey revoke",
    ];
    conclude(&desk, &steps, &left, &cuts)
}

/// Those that a controller has seen connected with these certificates, and those that are named.
fn clients(data: &DataDir, certificates: &[CertificateId], named: Vec<ClientId>) -> Vec<ClientId> {
    let known = revoke::seen(data, certificates).into_values().flatten();
    let mut clients: Vec<_> = known.chain(named).collect();
    clients.sort();
    clients.dedup();
    clients
}

async fn policy(args: PanicPolicyArgs) -> Result<ExitCode> {
    if args.account.print_iam {
        return print_iam(&[Command::PanicPolicy], &args.account, |settings| settings).await;
    }
    let policy = args.policy.context("which policy?")?;
    DataDir::existing(&args.account.fleet_dir)?;
    let desk = Desk::open(&args.account, |settings| settings).await?;
    let mut operator = desk.operator(false).await?;
    is_of(&desk.wanted(&operator)?.fleet.names, &policy)?;
    let mut denial = operator.denial(&policy).await?;
    let act = if denial.is_denied { "keep" } else { "deny all" };
    let room = denial.makes_room.as_ref().filter(|_| !denial.is_denied);
    let words = match room {
        Some(version) => format!(
            "{act:>10}  policy {policy} (version {} counts now; version {version} makes room)",
            denial.version
        ),
        None => format!("{act:>10}  policy {policy} (version {} counts now)", denial.version),
    };
    desk.tell("plan", &json!({ "action": act, "what": format!("policy {policy}"), "version": denial.version, "makes_room": room }), &words);
    if args.meant.plan {
        return Ok(ExitCode::SUCCESS);
    }
    if confirmed(&mut operator, policy.as_str(), args.meant.yes).await? {
        denial = operator.denial(&policy).await?;
    }
    let steps = operator.stop_policy(&denial, &args.meant.why.unwrap_or_default()).await?;
    tell(&desk, &steps);
    let left = [
        "the account spreads a policy within minutes; a connection that is open is cut when it is next refused",
        "end the certificates that have leaked, for good: fleetkey revoke",
        "every other device is stopped, too, until fleetkey panic undo; none of them loses its identity",
    ];
    conclude(&desk, &steps, &left, &[])
}

/// Has a person confirm what was shown, while others have the directory. Whether that took its time: what was found before is to
/// be looked at again then.
async fn confirmed(operator: &mut Operator<'_, Aws>, word: &str, yes: bool) -> Result<bool> {
    if yes {
        return Ok(false);
    }
    operator.pause();
    confirm::typed(word, yes)?;
    operator.resume().await?;
    Ok(true)
}

/// Refuses a policy that is not the fleet's own.
pub(super) fn is_of(names: &Names, policy: &PolicyName) -> Result<()> {
    let ours = [&names.device_policy, &names.claim_policy, &names.observer_policy, &names.controller_policy];
    ensure!(
        ours.contains(&policy),
        "{policy} is none of this fleet's policies: {}",
        ours.map(ToString::to_string).join(", ")
    );
    Ok(())
}

async fn undo(args: PanicUndoArgs) -> Result<ExitCode> {
    if args.account.print_iam {
        return print_iam(&[Command::PanicUndo], &args.account, |settings| settings).await;
    }
    let data = DataDir::existing(&args.account.fleet_dir)?;
    let desk = Desk::open(&args.account, |settings| settings).await?;
    let mut operator = desk.operator(false).await?;
    let stopped = Stopped::read(&data.operator())?;
    for (policy, version) in &stopped.policies {
        desk.tell(
            "plan",
            &json!({ "action": "allow again", "what": format!("policy {policy}"), "version": version }),
            &format!("allow again  policy {policy}, version {version}"),
        );
    }
    for id in stopped.claims.keys() {
        desk.tell(
            "plan",
            &json!({ "action": "reactivate", "what": format!("certificate {id}") }),
            &format!(" reactivate  claim certificate {id}"),
        );
    }
    for name in &stopped.templates {
        desk.tell(
            "plan",
            &json!({ "action": "enable", "what": format!("provisioning template {name}") }),
            &format!("     enable  provisioning template {name}"),
        );
    }
    if args.meant.plan {
        return Ok(ExitCode::SUCCESS);
    }
    if stopped.is_empty() {
        desk.conclude("restored", &json!({ "restored": 0 }), "nothing is stopped");
        return Ok(ExitCode::SUCCESS);
    }
    // What stands then in the file is read anew by the way back itself.
    confirmed(&mut operator, "undo", args.meant.yes).await?;
    let recovery = desk.wanted(&operator)?.fleet.names.recovery_template;
    let restored = operator.restart(&recovery, &args.meant.why.unwrap_or_default()).await?;
    for one in &restored {
        desk.tell(
            "restored",
            &json!({ "what": one.what, "outcome": one.outcome }),
            &format!("{}: {}", one.what, one.outcome),
        );
    }
    let words = format!("{} restored", restored.len());
    desk.conclude("undone", &json!({ "restored": restored.len() }), &words);
    Ok(ExitCode::SUCCESS)
}

fn tell(desk: &Desk, steps: &[PanicStep]) {
    for step in steps {
        let seconds = step.after.as_secs_f64();
        desk.tell(
            "stopped",
            &json!({ "what": step.did, "seconds": seconds }),
            &format!("{}, after {seconds:.2} s", step.did),
        );
    }
}

/// Fails when a connection has not ended.
fn conclude(desk: &Desk, steps: &[PanicStep], left: &[&str], cuts: &[Cut]) -> Result<ExitCode> {
    let seconds = steps.iter().map(|step| step.after.as_secs_f64()).fold(0.0, f64::max);
    let did = match steps.len() {
        0 => "it was stopped already".to_owned(),
        n => format!("{n} stopped within {seconds:.2} s"),
    };
    let words = format!("{did}; what is left to do:\n- {}", left.join("\n- "));
    let stays = cuts.iter().filter(|cut| cut.may_be_open()).count();
    let fields =
        json!({ "stopped": steps.len(), "seconds": seconds, "left_to_do": left, "still_open": stays });
    desk.conclude("panic", &fields, &words);
    Ok(if stays == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
