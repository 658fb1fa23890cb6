//! Questions of the API, answered from the inventory and the journal.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use fleetkey_api::backend::{Journal, Selection, Trouble};
use fleetkey_dashboard::fleet::{Campaign, CampaignCounts, Pace};
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ThingName;
use fleetkey_operator::chain::{CONTROLLER_JOURNAL_FILE, JOURNAL_FILE};
use fleetkey_operator::inventory::{self, Ages, Finding, Query, Rule, Store, Thresholds, Watch};
use fleetkey_operator::recovery::{Window, Windows};
use serde_json::{Value, json};

use super::super::super::due::Rhythm;
use super::super::super::{history, now};

/// How the controller is.
pub(super) fn status(watch: &Watch, unready: Option<&str>) -> Value {
    watch.look(|store, crawl| {
        let progress = crawl.progress(store);
        json!({
            "ready": unready.is_none(), "why": unready, "version": env!("CARGO_PKG_VERSION"),
            "certificates": progress.certificates, "things": progress.things, "crawl": progress.stage,
            "ages": store.ages(),
        })
    })
}

/// A page of certificates.
pub(super) fn certificates(
    watch: &Watch,
    selection: Selection,
    thresholds: &Thresholds,
    rhythm: &Rhythm,
) -> Result<Value, Trouble> {
    let rule = selection.rule.as_deref().map(named).transpose()?;
    let state = selection.state.as_deref().map(str::parse).transpose().map_err(Trouble::Bad)?;
    let Selection { status, thing, older_than, unseen_for, connected, after, limit, .. } = selection;
    let among = rule.map(|rule| watch.found_by(rule, now(), thresholds));
    Ok(watch.look(|store, _| {
        let query =
            Query { status, thing, older_than, unseen_for, connected, state, among, ..Query::default() };
        let due = |thing: &ThingName, created, end| rhythm.due(thing, created, end);
        let page = query.page(store, now(), Some(&due), after, limit);
        json!({ "rows": page.rows, "next": page.next, "ages": store.ages() })
    }))
}

/// One certificate.
pub(super) fn certificate(watch: &Watch, id: CertificateId, rhythm: &Rhythm) -> Result<Value, Trouble> {
    let rows = watch.look(|store, _| only(store, BTreeSet::from([id]), rhythm));
    rows.into_iter().next().ok_or_else(|| Trouble::Missing(format!("no certificate {id} is known")))
}

/// One thing.
pub(super) fn thing(
    watch: &Watch,
    name: &ThingName,
    thresholds: &Thresholds,
    rhythm: &Rhythm,
) -> Result<Value, Trouble> {
    let missing = || Trouble::Missing(format!("no thing {name} is known"));
    watch.look(|store, _| {
        let row = store.thing(name).ok_or_else(missing)?;
        let found = inventory::findings_of(store, name, now(), thresholds);
        let condition = inventory::condition(store, name, now());
        Ok(json!({
            "thing": name, "attested": row.attested.map(|(id, _)| id), "attested_at": row.attested.map(|(_, at)| at),
            "state": condition.map(|known| known.state), "state_why": condition.and_then(|known| known.why),
            "frozen": row.frozen, "certificates": only(store, row.certificates.iter().copied().collect(), rhythm), "findings": found,
            "ages": store.ages(),
        }))
    })
}

/// What became of a thing's certificates.
pub(super) async fn history(watch: Watch, directory: PathBuf, thing: ThingName) -> Result<Value, Trouble> {
    let name = thing.clone();
    // Off the runtime's threads: it reads the journals.
    let read = tokio::task::spawn_blocking(move || (history::of(&watch, &directory, &thing), ages(&watch)));
    let (found, ages) = read.await.map_err(|error| Trouble::Unavailable(error.to_string()))?;
    let found = found.map_err(|error| Trouble::Unavailable(error.to_string()))?;
    if found.is_empty() {
        return Err(Trouble::Missing(format!("no thing {name} is known")));
    }
    Ok(json!({ "thing": name, "history": found, "ages": ages }))
}

fn ages(watch: &Watch) -> Ages {
    watch.look(|store, _| store.ages())
}

/// The recovery windows, the latest last, and what came of a recovery and waits for a decision.
pub(super) fn recovery(watch: &Watch, directory: &Path) -> Result<Value, Trouble> {
    let windows = Windows::read(directory).map_err(|error| Trouble::Unavailable(error.to_string()))?;
    let now = now();
    let window = |window: &Window| {
        json!({
            "window": window.number, "serials": window.serials, "opened_at": window.opened_at, "until": window.until,
            "closed_at": window.closed_at, "open": window.is_open(now), "why": window.why,
        })
    };
    let mut waiting = Vec::new();
    watch.each_thing(|_, name, row| {
        waiting.extend(row.recovered.as_ref().map(|id| json!({ "thing": name, "certificate": id })));
    });
    let windows: Vec<_> = windows.all().iter().map(window).collect();
    Ok(json!({ "windows": windows, "waiting": waiting, "ages": ages(watch) }))
}

/// What deserves attention.
pub(super) fn findings_of(
    watch: &Watch,
    rule: Option<&str>,
    thresholds: &Thresholds,
) -> Result<Value, Trouble> {
    let rule = rule.map(named).transpose()?;
    Ok(json!({ "findings": found(watch, rule, thresholds), "ages": ages(watch) }))
}

/// Lines of a journal, each as it stands.
pub(super) async fn journal(
    directory: PathBuf,
    of: Journal,
    (after, limit): (u64, usize),
) -> Result<Value, Trouble> {
    let path = directory.join(match of {
        Journal::Controller => CONTROLLER_JOURNAL_FILE,
        Journal::Setup => JOURNAL_FILE,
    });
    let read = tokio::task::spawn_blocking(move || {
        let file = match std::fs::File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            file => file?,
        };
        let skipped = usize::try_from(after).unwrap_or(usize::MAX);
        BufReader::new(file).lines().skip(skipped).take(limit).collect::<std::io::Result<Vec<_>>>()
    });
    let lines = read.await.map_err(|error| Trouble::Unavailable(error.to_string()))?;
    let lines =
        lines.map_err(|error| Trouble::Unavailable(format!("the journal cannot be read: {error}")))?;
    Ok(json!({ "next": after.saturating_add(lines.len() as u64), "lines": lines }))
}

/// All campaigns.
pub(super) fn campaigns(all: &[Campaign]) -> Value {
    json!({ "campaigns": all.iter().map(campaign).collect::<Vec<_>>() })
}

/// One campaign; the same words as `fleetkey campaign show`, and more of them.
pub(super) fn campaign(campaign: &Campaign) -> Value {
    let Pace { canary, growth, rate, at_once, window, patience, tries, threshold } = &campaign.pace;
    json!({
        "campaign": campaign.name, "for": campaign.why, "created_at": campaign.created,
        "mode": campaign.mode.word(), "why": campaign.mode.why(), "wave": campaign.wave,
        "waves": campaign.waves.iter().map(counts).collect::<Vec<_>>(), "counts": counts(&campaign.counts()),
        "failed": campaign.failed,
        "pace": {
            "canary": canary, "growth": growth, "rate": rate, "at_once": at_once,
            "window": Some(window).filter(|window| !window.is_empty()), "patience": patience.as_secs(),
            "tries": tries, "threshold": threshold,
        },
    })
}

fn counts(counts: &CampaignCounts) -> Value {
    let CampaignCounts { waiting, told, soaking, rotated, failed, left, returning, returned } = counts;
    json!({
        "waiting": waiting, "told": told, "soaking": soaking, "rotated": rotated, "failed": failed, "left": left,
        "returning": returning, "returned": returned,
    })
}

fn only(store: &Store, ids: BTreeSet<CertificateId>, rhythm: &Rhythm) -> Vec<Value> {
    let limit = ids.len();
    let due = |thing: &ThingName, created, end| rhythm.due(thing, created, end);
    let page = Query { among: Some(ids), ..Query::default() }.page(store, now(), Some(&due), None, limit);
    page.rows.into_iter().map(|row| json!(row)).collect()
}

fn found(watch: &Watch, rule: Option<Rule>, thresholds: &Thresholds) -> Vec<Finding> {
    let all = watch.findings(now(), thresholds);
    all.into_iter().filter(|found| rule.is_none_or(|rule| found.rule == rule)).collect()
}

fn named(rule: &str) -> Result<Rule, Trouble> {
    rule.parse().map_err(Trouble::Bad)
}
