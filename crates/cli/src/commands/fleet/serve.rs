//! `fleetkey serve`: the controller as a process of its own, against AWS or a local IoT Core, until it is asked to stop.
//!
//! Its own identity over MQTT, the ledger and the journal in the fleet directory, health and metrics on loopback. It can
//! be killed anywhere and started again: what it may not forget is durable before it acts on it.

mod board;
mod campaigns;
mod line;
mod pages;
mod registry;
mod shown;
mod tend;
mod told;
mod windows;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use fleetkey_api::feed::Feed;
use fleetkey_api::{Server, ServerConfig};
use fleetkey_aws::permit::{Command, SERVING, WITH_PAGES};
use fleetkey_aws::{Aws, Options};
use fleetkey_dashboard::fleet::Site;
use fleetkey_model::arn::Scope;
use fleetkey_operator::chain::{CONTROLLER_JOURNAL_FILE, Chain};
use fleetkey_operator::cloud::{Cloud, Identity};
use fleetkey_operator::controller::{
    Config, Connection, Connections, Controller, Engine, Journal, Ledger, Metrics,
};
use fleetkey_operator::inventory::{Snapshot, Watch};
use fleetkey_operator::plan::{CloudNames, Patience, State, scope_of};
use serde_json::json;
use tokio::net::TcpListener;

use super::due::Rhythm;
use super::settings::Settings;
use super::setup::Ground;
use super::{inventory, now, options, print_iam};
use crate::args::ServeArgs;
use crate::datadir::DataDir;
use crate::fleet_file::FleetFile;
use crate::interrupt::Interrupt;
use crate::output::{self, Audience};
use crate::retirement::LEDGER;
use crate::stage;

use board::{Board, Office, Reading, Turns};
use campaigns::Campaigns;
use line::Line;
use pages::Pages;
use shown::Shown;
use tend::Tended;
use told::Told;
use windows::WindowKeeper;

/// Serves until it is interrupted.
pub(crate) async fn run(args: ServeArgs) -> Result<ExitCode> {
    if args.account.print_iam {
        let serving = if args.pages { WITH_PAGES.as_slice() } else { &SERVING };
        let more = args.registry_events.then_some(Command::RegistryEvents);
        let commands: Vec<_> = serving.iter().copied().chain(more).collect();
        return print_iam(&commands, &args.account, |settings| settings).await;
    }
    let address = args.listen;
    ensure!(
        address.ip().is_loopback(),
        "--listen {address}: nobody has to say who they are there, so it is served on loopback only"
    );
    let mut interrupt = Interrupt::new()?;
    let post = Post::open(&args).await?;
    let audience = Audience::of(args.account.json);
    // Before anything else: whoever asks for its health is told from the first moment.
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("--listen {address} is not to be had"))?;
    let (metrics, feed) = (Arc::new(Metrics::default()), Arc::new(Feed::default()));
    let (mut controller, board, watch) = post.controller(&args, metrics.clone(), feed.clone())?;
    board.opened(controller.reception(), metrics.clone());
    let preparing = board.clone();
    // Nobody waits for it: a page that needs some of it does.
    drop(tokio::task::spawn_blocking(move || preparing.prepare()));
    let campaigns = Campaigns::start(campaigns::Tools {
        directory: post.data.operator(),
        board: board.clone(),
        reception: controller.reception(),
        feed: feed.clone(),
        aws: post.asking.clone(),
    });
    let keeper = WindowKeeper::start(board.office().clone());
    let registry = registry::see_to(post.asking.clone(), controller.reception(), args.registry_events);
    let registry = tokio::spawn(registry);
    let pages = Pages::open(board.clone(), &args.panel).await?;
    let kept = (Snapshot::at(&post.data.operator()), post.data.operator());
    let pace = (args.inventory_every, args.budget);
    let asked = (post.asking.clone(), board.hindrances().clone());
    let tended = Tended::start(asked, watch.clone(), kept, controller.reception(), pace);
    let shown = Shown {
        reception: controller.reception(),
        metrics,
        watch,
        accounts: [post.aws.clone(), post.asking.clone()],
        feed,
        board: board.clone(),
        directory: post.data.operator(),
        soonest: args.soonest,
        rhythm: rhythm(&args),
    };
    let server = Server::start(listener, Arc::new(shown), &ServerConfig { hosts: args.hosts.clone() })?;
    tell(audience, "serving", &post.words(&server, pages.url()), &post.fields(&server, pages.url()));
    let ready = tokio::select! {
        ready = controller.ready() => ready,
        () = interrupt.asked() => false,
    };
    if ready {
        let Connections { hearing, wanted } = controller.reception().connections();
        let heard =
            format!("the controller hears requests and presence by {hearing} of {wanted} connections");
        let fields = json!({ "dashboard_url": pages.url(), "connections": hearing });
        tell(audience, "ready", &heard, &fields);
        interrupt.asked().await;
    }
    // It may be in the middle of its one change, which can be made again.
    registry.abort();
    campaigns.stop().await;
    keeper.stop().await;
    pages.close().await;
    tended.stop().await;
    controller.stop().await;
    server.stop().await;
    let calls: BTreeSet<_> =
        [post.aws.calls(), post.asking.calls(), board.calls()].into_iter().flatten().collect();
    tell(audience, "stopped", "stopped", &json!({ "calls": calls }));
    Ok(ExitCode::SUCCESS)
}

/// All that the controller stands on.
struct Post {
    data: DataDir,
    file: FleetFile,
    /// The controller's alone: what is called between two entries of its journal belongs to the change.
    aws: Arc<Aws>,
    /// For whoever else looks at the account meanwhile.
    asking: Arc<Aws>,
    who: Identity,
    settings: Settings,
}

impl Post {
    async fn open(args: &ServeArgs) -> Result<Self> {
        let data = DataDir::existing(&args.account.fleet_dir)?;
        let settings = Settings::read(&data)?.with(&args.account);
        let file = FleetFile::read(&data)?;
        let options = Options { data_host: Some(file.endpoint.clone()), ..options(&args.account) };
        let (aws, asking) = (Arc::new(Aws::new(&options).await), Arc::new(Aws::new(&options).await));
        let asked = Patience::ASKING.call(|_| {}, || aws.identity()).await;
        let who = asked.context("the account does not say who we are")?;
        if let Some(state) = State::read(&data.operator())? {
            state.belongs(&CloudNames::new(&settings.name_prefix, "").fleet, &who)?;
        }
        Ok(Self { data, file, aws, asking, who, settings })
    }

    /// Starts the controller; it connects by and by.
    fn controller(
        &self,
        args: &ServeArgs,
        metrics: Arc<Metrics>,
        feed: Arc<Feed>,
    ) -> Result<(Controller, Arc<Board>, Watch)> {
        let directory = self.data.operator();
        let unusable = "the controller's ledger cannot be used";
        let (journal, records) = Journal::open(&directory.join(LEDGER)).context(unusable)?;
        let watch = inventory::opened(&self.data, &self.file, &Snapshot::at(&directory));
        let records = records.map(|record| record.map(|record| watch.named(record)));
        let ledger = Ledger::read(config(args), records).context(unusable)?;
        watch.recall(ledger.records());
        let chain = Chain::open(&directory.join(CONTROLLER_JOURNAL_FILE))
            .context("the controller's journal cannot be used")?;
        let account = (self.asking.clone(), self.office(args)?);
        let board = Board::new(watch.clone(), account, self.site(), rhythm(args), ledger.records());
        let board = Arc::new(board);
        let engine = Engine::new(ledger, journal, self.aws.clone(), Arc::new(now))
            .with_chain(chain, self.who.arn.clone())
            .observed_by(metrics)
            .observed_by(Arc::new(Told(feed)))
            .observed_by(board.clone());
        let pair = self.file.controller.clone();
        let line = Line::new(stage::dialer(&self.file), pair, !args.panel.no_dashboard)?;
        let client = self.settings.wanted(self.scope())?.fleet.names.controller_client;
        let connection = Connection::new(client).shared_by(args.connections);
        Ok((Controller::start(engine, line, connection), board, watch))
    }

    /// What orders of pages are carried out with.
    fn office(&self, args: &ServeArgs) -> Result<Office> {
        let options = Options { data_host: Some(self.file.endpoint.clone()), ..options(&args.account) };
        let FleetFile { mqtt_port, alpn_port, root_ca, .. } = &self.file;
        // Read now: a clean-up that a page orders takes the file away, and a set-up after it needs what was in it.
        let roots = std::fs::read_to_string(root_ca)
            .with_context(|| format!("the root certificates {} cannot be read", root_ca.display()))?;
        Ok(Office {
            options,
            directory: self.data.operator(),
            settings: self.settings.clone(),
            ground: Ground { mqtt_port: *mqtt_port, alpn_port: *alpn_port, roots },
            turns: Turns::default(),
            reading: Reading::default(),
            calls: Arc::default(),
        })
    }

    fn site(&self) -> Site {
        let Identity { account, region, .. } = &self.who;
        Site {
            name: "controller".to_owned(),
            endpoint: format!("{}:{}", self.file.endpoint, self.file.mqtt_port),
            account: account.clone(),
            region: region.clone(),
        }
    }

    fn scope(&self) -> Scope {
        scope_of(&self.who)
    }

    /// The link is told at once: whoever has to see why the controller does not get ready needs it most.
    fn words(&self, server: &Server, link: Option<&str>) -> String {
        let Identity { account, region, arn } = &self.who;
        let pages = link.map(|link| format!("\ndashboard, by this link once: {link}")).unwrap_or_default();
        format!(
            "controller of account {account} in {region}, as {arn}\nhttp://{address}/metrics, /healthz, /readyz{pages}\nCtrl-C ends it",
            address = server.address()
        )
    }

    fn fields(&self, server: &Server, link: Option<&str>) -> serde_json::Value {
        json!({
            "url": format!("http://{}", server.address()), "dashboard_url": link,
            "account": self.who.account, "region": self.who.region, "who": self.who.arn,
        })
    }
}

fn config(args: &ServeArgs) -> Config {
    let ServeArgs { soak, grace, delete_after, leftover_after, .. } = *args;
    Config { soak, grace, delete_after, leftover_after, ..Config::default() }
}

/// What metrics, API and pages go by alike.
fn rhythm(args: &ServeArgs) -> Rhythm {
    Rhythm::new(args.rotate_every, args.rotation_jitter).season_over(args.season_over)
}

fn tell(audience: Audience, event: &str, words: &str, fields: &serde_json::Value) {
    match audience {
        Audience::Person => output::line(words),
        Audience::Program => {
            let mut line = json!({ "event": event });
            if let (Some(line), Some(fields)) = (line.as_object_mut(), fields.as_object()) {
                line.extend(fields.clone());
            }
            output::json(&line);
        }
    }
}
