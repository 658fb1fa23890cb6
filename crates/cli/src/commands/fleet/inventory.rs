//! `fleetkey inventory`: what certificates there are, how old, whose, when seen, and what deserves attention.
//!
//! A running controller keeps the inventory fresh, and then it is only read. Without one the account is asked here, within
//! the budget; a run that is cut short goes on next time.

mod print;
mod walk;

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use fleetkey_aws::permit::Command;
use fleetkey_aws::{Aws, Options};
use fleetkey_model::certificate::CertificateFacts;
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;
use fleetkey_operator::controller::Journal;
use fleetkey_operator::inventory::{Crawl, Own, Query, Snapshot, Store, Watch, certificates_of, findings};

use super::due::Rhythm;
use super::{history, now, options, print_iam};
use crate::args::{InventoryArgs, InventoryFormat};
use crate::datadir::DataDir;
use crate::fleet_file::FleetFile;
use crate::output::Audience;
use crate::retirement::LEDGER;

use print::Printer;

/// How many rows are taken from the store at once.
const PAGE: usize = 1000;

/// Prints the inventory, taken anew if it is too old.
pub(crate) async fn run(args: InventoryArgs) -> Result<ExitCode> {
    if args.account.print_iam {
        return print_iam(&[Command::Inventory], &args.account, |settings| settings).await;
    }
    let data = DataDir::existing(&args.account.fleet_dir)?;
    let file = FleetFile::read(&data)?;
    let snapshot = Snapshot::at(&data.operator());
    let watch = opened(&data, &file, &snapshot);
    let aws = Aws::new(&Options { data_host: Some(file.endpoint.clone()), ..options(&args.account) }).await;
    if !args.offline && !is_fresh(&watch, &args, now()) && !is_served(&data) {
        walk::walk(&aws, &watch, (&snapshot, &data.operator()), &args).await?;
    }
    match &args.history {
        Some(thing) => show_history(&data, &watch, thing, &args, &aws)?,
        None => watch.look(|store, _| show(store, &args, &aws)),
    }
    Ok(ExitCode::SUCCESS)
}

/// What is kept; if that cannot be understood, nothing, which is said. Everything in it can be asked for again.
pub(super) fn opened(data: &DataDir, file: &FleetFile, snapshot: &Snapshot) -> Watch {
    let kept = snapshot.read(own(file)).unwrap_or_else(|error| {
        tracing::warn!(%error, directory = %data.operator().display(), "the inventory is begun anew");
        None
    });
    let (store, crawl) = kept.unwrap_or_else(|| (Store::new(own(file)), Crawl::default()));
    Watch::new(store, crawl)
}

/// The operator's own certificates, by what they are for.
fn own(file: &FleetFile) -> Own {
    let pairs = [("claim", &file.claim), ("observer", &file.observer), ("controller", &file.controller)];
    let known = pairs.into_iter().filter_map(|(role, pair)| {
        let pem = std::fs::read_to_string(&pair.certificate).ok()?;
        Some((CertificateFacts::from_pem(&pem).ok()?.id, role.to_owned()))
    });
    known.collect()
}

fn is_fresh(watch: &Watch, args: &InventoryArgs, now: Timestamp) -> bool {
    watch.look(|store, crawl| {
        let listed = store.ages().certificates;
        crawl.is_done() && listed.is_some_and(|at| now.since(at) < args.max_age)
    })
}

/// Whether a controller has the fleet directory: then it keeps the inventory.
fn is_served(data: &DataDir) -> bool {
    Journal::is_in_use(&data.operator().join(LEDGER))
}

fn format(args: &InventoryArgs) -> InventoryFormat {
    args.format.unwrap_or_else(|| match Audience::of(args.account.json) {
        Audience::Person => InventoryFormat::Table,
        Audience::Program => InventoryFormat::Json,
    })
}

fn show_history(
    data: &DataDir,
    watch: &Watch,
    thing: &ThingName,
    args: &InventoryArgs,
    aws: &Aws,
) -> Result<()> {
    let happened = history::of(watch, &data.operator(), thing).context("the journals cannot be read")?;
    ensure!(
        !happened.is_empty(),
        "nothing is known of a thing {thing}: neither the account nor a journal tells"
    );
    let mut printer = Printer::new(format(args), now());
    happened.iter().for_each(|happening| printer.happening(thing, happening));
    watch.look(|store, _| printer.end(store, &aws.calls()));
    Ok(())
}

fn show(store: &Store, args: &InventoryArgs, aws: &Aws) {
    let (now, format) = (now(), format(args));
    let rhythm = Rhythm::new(args.rotate_every, args.rotation_jitter).season_over(args.season_over);
    let found = findings(store, now, &rhythm.thresholds());
    let mut printer = Printer::new(format, now);
    if args.findings {
        found.iter().filter(|found| args.finding.is_none_or(|rule| found.rule == rule)).for_each(|finding| {
            printer.finding(finding);
        });
        return printer.end(store, &aws.calls());
    }
    let among = args.finding.map(|rule| certificates_of(store, rule, &found));
    let query = Query {
        status: args.status,
        thing: args.thing.clone(),
        older_than: args.older_than,
        unseen_for: args.unseen_for,
        connected: args.connected,
        state: args.state,
        among,
        ..Query::default()
    };
    let mut after = None;
    loop {
        let due = |thing: &ThingName, created, end| rhythm.due(thing, created, end);
        let page = query.page(store, now, Some(&due), after, PAGE);
        page.rows.iter().for_each(|row| printer.row(row));
        after = page.next;
        if after.is_none() {
            return printer.end(store, &aws.calls());
        }
    }
}
