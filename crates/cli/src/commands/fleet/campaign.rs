//! `fleetkey campaign`: who is to rotate, in which waves; kept in the fleet directory, where `fleetkey serve` finds it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fleetkey_aws::Aws;
use fleetkey_aws::permit::Command;
use fleetkey_model::name::ThingName;
use fleetkey_operator::campaign::{self, Campaign, Ceiling, Left, Log, Mode, Order, Plan, Turn};
use fleetkey_operator::controller::Journal;
use fleetkey_operator::inventory::{Crawl, Own, Snapshot, Watch};
use serde_json::{Value, json};

use super::due::Rhythm;
use super::selection::{Selected, Selection, members};
use super::{now, options, print_iam};
use crate::args::{CampaignCommand, OrderArgs, PlaceArgs, StartArgs};
use crate::datadir::DataDir;
use crate::output;
use crate::retirement::LEDGER;

mod by;

/// Runs one of them.
pub(crate) async fn run(command: CampaignCommand) -> Result<ExitCode> {
    match command {
        CampaignCommand::Start(args) if args.account.print_iam => {
            return print_iam(&[Command::Campaign], &args.account, |settings| settings).await;
        }
        CampaignCommand::Start(args) => start(&args).await?,
        CampaignCommand::List { place } => {
            let operator = operator(&place)?;
            for name in campaign::names(&operator)? {
                output::json(&standing(&campaign::read(&operator, &name)?));
            }
        }
        CampaignCommand::Show { name, place } => show(&campaign::read(&operator(&place)?, &name)?),
        CampaignCommand::Pause(args) => order(&args, Order::Pause { why: args.why.clone() })?,
        CampaignCommand::Resume(args) => order(&args, Order::Resume)?,
        CampaignCommand::Abort(args) => order(&args, Order::Abort { why: args.why.clone() })?,
        CampaignCommand::Rollback(args) => order(&args, Order::Rollback { why: args.why.clone() })?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn start(args: &StartArgs) -> Result<()> {
    let operator = DataDir::existing(&args.account.fleet_dir)?.operator();
    let known = Snapshot::at(&operator).read(Own::new()).context("what things there are cannot be read")?;
    let (store, _) = known.context("there is no inventory yet: run fleetkey inventory, or fleetkey serve")?;
    let watch = Watch::new(store, Crawl::default());
    let mut calls = BTreeSet::new();
    let Selected { things, left_out } = match &args.list {
        Some(path) => Selected { things: listed(path, &watch)?, ..Selected::default() },
        None => selected(args, &watch, &mut calls).await?,
    };
    let plan = plan(args);
    ensure!(!things.is_empty(), "no device was selected{left_out}");
    plan.check(things.len())?;
    let waves = plan.waves(things.len());
    let by = if args.plan { None } else { Some(by::by(&plan.why)?) };
    let ceiling = Ceiling::read(&operator);
    if let Some(slower) = ceiling.below(plan.rate) {
        output::warn(&slower_words(plan.rate, slower, ceiling.is_told));
    }
    let mut told = json!({
        "event": if args.plan { "plan" } else { "started" }, "campaign": plan.name, "devices": things.len(), "waves": waves,
        "rate": plan.rate, "account_rate": ceiling.a_minute, "account_rate_told": ceiling.is_told,
        "left_out": left_out.json(), "served": Journal::is_in_use(&operator.join(LEDGER)), "calls": calls,
    });
    if let Some(by) = by {
        told.as_object_mut().into_iter().for_each(|told| {
            told.insert("id".to_owned(), by.id.as_str().into());
        });
        Log::create(&operator, plan, things.into_iter().collect(), Some(by))?;
    }
    output::json(&told);
    Ok(())
}

/// That a campaign will be slower than it was asked to be.
fn slower_words(asked: u32, slower: u32, is_told: bool) -> String {
    let by = match is_told {
        true => "by the quotas that Service Quotas tells of the account",
        false => "by AWS's default quotas, as the account has not told its own",
    };
    format!(
        "{by} all campaigns together tell {slower} devices a minute, so this one is not as fast as --rate {asked}; a higher \
         quota for RegisterThing and CreateCertificateFromCsr over MQTT raises that"
    )
}

fn plan(args: &StartArgs) -> Plan {
    Plan {
        name: args.name.clone().unwrap_or_default(),
        why: args.why.clone().unwrap_or_default(),
        created_at: now(),
        canary: args.canary,
        growth: args.growth,
        rate: args.rate,
        at_once: args.at_once,
        window: args.window,
        patience: args.patience,
        tries: args.tries,
        threshold: args.threshold,
    }
}

/// The things of the current certificates that fit. Only for a group the account is asked, and its calls are noted.
async fn selected(args: &StartArgs, watch: &Watch, calls: &mut BTreeSet<String>) -> Result<Selected> {
    let members = match &args.group {
        None => None,
        Some(group) => {
            let aws = Aws::new(&options(&args.account)).await;
            let found = members(&aws, group).await?;
            *calls = aws.calls();
            Some(found)
        }
    };
    let among = args.finding.map(|rule| {
        // When each device is due is not asked here.
        let rhythm = Rhythm::new(args.rotate_every, Duration::ZERO);
        watch.found_by(rule, now(), &rhythm.thresholds())
    });
    let selection = Selection { thing: args.thing.clone(), older_than: args.older_than, among, members };
    Ok(selection.of(watch, now()))
}

fn listed(path: &Path, watch: &Watch) -> Result<BTreeSet<ThingName>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let things = lines.map(|line| {
        let thing = ThingName::new(line).with_context(|| format!("{line:?} is no name of a thing"))?;
        ensure!(watch.look(|store, _| store.thing(&thing).is_some()), "the inventory knows no thing {thing}");
        Ok(thing)
    });
    things.collect()
}

/// Leaves an order; whoever takes it puts it on record before it is carried out.
fn order(args: &OrderArgs, order: Order) -> Result<()> {
    let operator = operator(&args.place)?;
    let by = by::by(&args.why)?;
    let told = json!({
        "event": "ordered", "campaign": args.name, "order": order, "id": by.id,
        "served": Journal::is_in_use(&operator.join(LEDGER)),
    });
    campaign::order(&operator, &args.name, &Left { order, by: Some(by) })?;
    output::json(&told);
    Ok(())
}

fn show(campaign: &Campaign) {
    output::json(&standing(campaign));
    for (thing, turn) in campaign.turns() {
        let told = match turn {
            Turn::Failed { at } => json!({ "event": "failed", "thing": thing, "at": at }),
            Turn::Left { at, .. } => json!({ "event": "left", "thing": thing, "at": at }),
            Turn::Returning { at, .. } | Turn::Keeping { at } => {
                json!({ "event": "returning", "thing": thing, "at": at })
            }
            Turn::Returned { at, how } => {
                json!({ "event": "returned", "thing": thing, "at": at, "how": how })
            }
            Turn::Waiting | Turn::Told { .. } | Turn::Soaking { .. } | Turn::Rotated { .. } => continue,
        };
        output::json(&told);
    }
}

fn standing(campaign: &Campaign) -> Value {
    let (mode, why) = match campaign.mode() {
        Mode::Running => ("running", None),
        Mode::Paused { why } => ("paused", Some(why)),
        Mode::Aborted { why } => ("aborted", Some(why)),
        Mode::Done => ("done", None),
        Mode::RolledBack { why } => ("rolled back", Some(why)),
    };
    let (plan, (wave, waves)) = (campaign.plan(), campaign.wave());
    json!({
        "event": "campaign", "campaign": plan.name, "for": plan.why, "created_at": plan.created_at, "mode": mode,
        "why": why, "wave": wave, "waves": waves, "counts": campaign.counts(),
    })
}

fn operator(place: &PlaceArgs) -> Result<std::path::PathBuf> {
    Ok(DataDir::existing(&place.fleet_dir)?.operator())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command as Line};
    use clap::Parser;
    use fleetkey_model::certificate::{CertificateId, CertificateStatus};
    use fleetkey_model::time::Timestamp;
    use fleetkey_operator::control_plane::CertificateSummary;
    use fleetkey_operator::inventory::{ListedThing, Store};

    fn start_args(more: &[&str]) -> StartArgs {
        let line =
            ["fleetkey", "campaign", "start", "--name", "autumn", "--why", "late", "--finding", "aged"];
        match Cli::try_parse_from(line.iter().chain(more)).unwrap().command {
            Line::Campaign(CampaignCommand::Start(args)) => *args,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn who_is_aged_is_told_by_the_age_at_which_the_fleet_rotates() {
        let (thing, id) = (ThingName::new("press-1").unwrap(), CertificateId::of_der(b"x"));
        let created_at = Timestamp::from_secs(now().as_secs() - 20 * 86_400);
        let (mut store, status) = (Store::default(), CertificateStatus::Active);
        store.listed(now(), &thing, &[CertificateSummary { id, status, created_at }]);
        store.listed_things(now(), &[ListedThing { name: thing.clone(), newest: Some(id), recovered: None }]);
        let (watch, mut calls) = (Watch::new(store, Crawl::default()), BTreeSet::new());
        for (more, found) in [
            (["--rotate-every", "7days"].as_slice(), true),
            (&["--rotate-every", "11days"], false),
            (&[], false),
        ] {
            let found_now = selected(&start_args(more), &watch, &mut calls).await.unwrap();
            assert_eq!(found_now.things.contains(&thing), found, "{more:?}");
        }
    }
}
