//! The walk over the account, with a bar or a line a page, kept every so often.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use fleetkey_aws::Aws;
use fleetkey_model::time::Timestamp;
use fleetkey_operator::inventory::{Course, Crawl, Ledgered, Progress, Snapshot, Watch, crawl};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::super::rates::Rates;
use super::now;
use crate::args::InventoryArgs;
use crate::interrupt::Interrupt;
use crate::output::{self, Audience};

/// What is drawn of a stage whose end is known, and of one whose end is not.
const MEASURED: &str = "{spinner} {elapsed} {bar:24} {percent}% {wide_msg}";
const UNMEASURED: &str = "{spinner} {elapsed} {wide_msg}";

/// How often what was learned is kept.
const KEEP_EVERY: Duration = Duration::from_secs(30);

/// Asks the account to the end, or until somebody interrupts; what was learned is kept.
pub(super) async fn walk(
    aws: &Aws,
    watch: &Watch,
    (snapshot, directory): (&Snapshot, &Path),
    args: &InventoryArgs,
) -> Result<()> {
    let mut interrupt = Interrupt::new()?;
    let mut place = watch.clone();
    place.with(|_, crawl| {
        if crawl.is_done() {
            *crawl = Crawl::default();
        }
    });
    let bar = bar(Audience::of(args.account.json));
    let mut kept = now();
    let told = |progress: &Progress| {
        draw(&bar, progress);
        keep_now_and_then(watch, snapshot, &mut kept);
    };
    let course = Course { deep: args.deep, anew: args.max_age };
    let mut rates = Rates::of(args.budget);
    let walking = async {
        rates.learn(aws, directory).await;
        crawl(aws, &mut place, &mut rates.budget, &now, course, told).await
    };
    let outcome = tokio::select! {
        outcome = walking => outcome,
        () = interrupt.asked() => {
            output::warn("interrupted: the next run goes on from here; what follows is not all");
            Ok(())
        }
    };
    bar.finish_and_clear();
    snapshot.write(watch).context("the inventory cannot be kept")?;
    outcome.context("the account cannot be listed")
}

/// A bar where the end is known, and a sign of life where it is not.
fn draw(bar: &ProgressBar, progress: &Progress) {
    let Progress { stage, certificates, things, thousandths } = progress;
    bar.set_message(format!("{stage}: {certificates} certificates, {things} things"));
    let template = if thousandths.is_some() { MEASURED } else { UNMEASURED };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    if let Some(thousandths) = thousandths {
        bar.set_length(1000);
        bar.set_position(*thousandths);
    }
    bar.tick();
}

/// A failure is told at the end, when it is tried once more.
fn keep_now_and_then(watch: &Watch, snapshot: &Snapshot, kept: &mut Timestamp) {
    if now().since(*kept) >= KEEP_EVERY {
        *kept = now();
        let _later = snapshot.write(watch);
    }
}

fn bar(audience: Audience) -> ProgressBar {
    if audience == Audience::Program {
        output::json(&json!({ "event": "walking" }));
        return ProgressBar::hidden();
    }
    ProgressBar::no_length()
}
