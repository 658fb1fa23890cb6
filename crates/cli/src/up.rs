//! `fleetkey up`: the whole of it in one process, and a verdict at the end.
//!
//! A local IoT Core, set-up, controller, a fleet under load, and a counter that is a client of its own. Nothing is
//! short-circuited: devices, counter and controller reach the broker over mutual TLS like anybody else.

mod board;
mod counter;
mod fleet;
mod load;
mod panel;
mod report;
mod summary;
mod tally;
mod workbench;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use fleetkey_iotcore::limits::{Limits, Switches};
use fleetkey_iotcore::server::Handle;
use fleetkey_model::certificate::CertificateStatus;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::args::UpArgs;
use crate::core;
use crate::datadir::DataDir;
use crate::interrupt::Interrupt;
use crate::output::Audience;
use crate::stage::Stage;

use counter::Counter;
use fleet::Fleet;
use load::Load;
use panel::Panel;
use report::Reporter;
use summary::{Summary, certificates_of};

/// How long each step of the end may take: the rotations under way, their retirements, the last messages.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the fleet may take to be provisioned, and how much longer each device makes it.
const PROVISIONING: Duration = Duration::from_secs(60);
const A_DEVICE: Duration = Duration::from_millis(500);

/// Runs until the time is over or somebody interrupts; a second interrupt cuts the end short.
pub(crate) async fn run(args: UpArgs) -> Result<ExitCode> {
    let mut interrupt = Interrupt::new()?;
    let data = DataDir::open(&args.data.data_dir)?;
    let _lock = data.lock()?;
    let reporter = Arc::new(Reporter::new(Audience::of(args.json), &args));
    let rest = core::Rest { address: args.rest, ..core::Rest::default() };
    let core =
        core::start(&data, &args.listen, args.names.scope()?, rest, Limits::default(), Switches::default())
            .await?;
    let panel = match Panel::open(&core, &args).await {
        Ok(panel) => panel,
        Err(error) => {
            core.shutdown().await;
            return Err(error);
        }
    };
    reporter.ready(&core, panel.url());
    let outcome = trial(&core, &data, &args, &mut interrupt, &reporter, panel).await;
    core.shutdown().await;
    let summary = outcome?;
    reporter.summary(&summary);
    Ok(summary.exit_code())
}

/// Everything between a running server and its end.
async fn trial(
    core: &Handle,
    data: &DataDir,
    args: &UpArgs,
    interrupt: &mut Interrupt,
    reporter: &Arc<Reporter>,
    panel: Panel,
) -> Result<Summary> {
    let stage = Stage::set_up(core, data, args.grace, &args.names).await?;
    reporter.set_up(stage.report());
    let run = stage.now().as_millis();
    let counter = Counter::start(&stage, run).await?;
    panel.set_up(data, &stage);
    panel.board().starting("The devices get their first certificates.");
    let fleet = Fleet::start(&stage, data, args, reporter, panel.board()).await?;
    if let Some(why) = not_provisioned(&fleet, args, interrupt).await {
        panel.close().await;
        fleet.stop().await;
        stage.end().await;
        bail!("{why}; the next start goes on from here");
    }
    let load = Load::start(&fleet, stage.root(), run);
    panel.board().running(load.counting(), counter.received());
    let parting = panel.board().parting();
    tokio::select! {
        () = over(args.run_for) => {}
        () = interrupt.asked() => {}
        () = parting.cancelled() => {}
        () = reporter.progress(&fleet, &load, &counter) => {}
    }
    reporter.winding_down();
    let hurry = CancellationToken::new();
    let summary = {
        let end = wind_down(core, &stage, &fleet, load, counter, &hurry);
        tokio::pin!(end);
        tokio::select! {
            summary = &mut end => summary,
            () = interrupt.asked() => {
                hurry.cancel();
                end.await
            }
        }
    };
    if parting.is_cancelled() {
        // Nobody may hold on to what goes. The pages stay: somebody wants to see that it has gone.
        panel.rest().await;
        fleet.stop().await;
        stage.end().await;
        panel.board().clean_up().await;
        tokio::select! {
            () = over(args.run_for) => {}
            () = interrupt.asked() => {}
        }
        panel.close().await;
        return Ok(summary);
    }
    // Before the agents: a page must not hold one back.
    panel.close().await;
    fleet.stop().await;
    stage.end().await;
    Ok(summary)
}

/// Waits until every device has an identity and is connected; if that does not come about, the reason.
async fn not_provisioned(fleet: &Fleet, args: &UpArgs, interrupt: &mut Interrupt) -> Option<String> {
    let limit = args.provision_within.unwrap_or_else(|| PROVISIONING + A_DEVICE * args.devices);
    let there = tokio::select! {
        there = tokio::time::timeout(limit, fleet.provisioned()) => there,
        () = interrupt.asked() => Ok(false),
    };
    match there {
        Ok(true) => None,
        Ok(false) => Some("the end came before the fleet was provisioned".to_owned()),
        Err(_) => {
            let missing = fleet.missing();
            let example = missing.first().map_or(String::new(), |example| format!(", for example {example}"));
            Some(format!(
                "{} of {} devices are not provisioned after {}{example}; --provision-within gives them longer, \
                 --log-level info tells what they try",
                missing.len(),
                fleet.size(),
                humantime::format_duration(limit),
            ))
        }
    }
}

/// Lets what is under way come to its end, in the order in which nothing is lost; `hurry` cuts each wait short.
async fn wind_down(
    core: &Handle,
    stage: &Stage,
    fleet: &Fleet,
    mut load: Load,
    mut counter: Counter,
    hurry: &CancellationToken,
) -> Summary {
    fleet.hold().await;
    let settle = async {
        fleet.settled().await;
        only_current_certificates_connect(core, fleet).await;
    };
    within(hurry, settle).await;
    load.stop();
    counter.close();
    within(hurry, load.acknowledged()).await;
    let sent = load.sent();
    within(hurry, counter.wait_for(sent)).await;
    let summary = Summary::new(core, fleet, sent, &counter, stage.grace());
    counter.stop().await;
    summary
}

/// Waits until each device of this run has one certificate that is ACTIVE and none that is INACTIVE. Other devices of
/// the directory are not waited for: nobody serves them.
async fn only_current_certificates_connect(core: &Handle, fleet: &Fleet) {
    let mut changes = core.account().store().subscribe();
    loop {
        let counts = certificates_of(core, fleet.things());
        let count = |status| counts.get(&status).copied().unwrap_or(0);
        if count(CertificateStatus::Active) <= fleet.size() && count(CertificateStatus::Inactive) == 0 {
            return;
        }
        if let Err(RecvError::Closed) = changes.recv().await {
            return;
        }
    }
}

/// Waits for `step`, but no longer than is reasonable, or than the user will.
async fn within(hurry: &CancellationToken, step: impl Future<Output = ()>) {
    let _ = tokio::time::timeout(PATIENCE, hurry.run_until_cancelled(step)).await;
}

async fn over(run_for: Option<Duration>) {
    match run_for {
        Some(span) => tokio::time::sleep(span).await,
        None => std::future::pending().await,
    }
}
