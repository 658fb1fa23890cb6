//! `fleetkey local`: the local IoT Core by itself, until it is interrupted; and how to reach it.

use anyhow::Result;
use fleetkey_iotcore::server::Handle;

use crate::args::{LocalArgs, LocalCommand};
use crate::core;
use crate::datadir::DataDir;
use crate::interrupt::Interrupt;
use crate::output::{self, Audience};
use crate::stage::Stage;

mod env;

/// Serves until the process is asked to stop, or does what a command below says.
pub(super) async fn run(args: LocalArgs) -> Result<()> {
    if let Some(LocalCommand::Env { data }) = &args.command {
        return env::run(data);
    }
    let mut interrupt = Interrupt::new()?;
    let data = DataDir::open(&args.data.data_dir)?;
    let _lock = data.lock()?;
    let (limits, switches) = (core::limits(&args.limits), core::switches(&args.switches));
    let core =
        core::start(&data, &args.listen, args.names.scope()?, core::Rest::of(&args.rest), limits, switches)
            .await?;
    let outcome = serve(&core, &data, &args, &mut interrupt).await;
    core.shutdown().await;
    outcome
}

async fn serve(core: &Handle, data: &DataDir, args: &LocalArgs, interrupt: &mut Interrupt) -> Result<()> {
    env::remember(core, data)?;
    let stage = match args.setup {
        true => Some(Stage::set_up(core, data, args.grace, &args.names).await?),
        false => None,
    };
    match Audience::of(args.json) {
        Audience::Program => output::json(&core::ready_line(core)),
        Audience::Person => output::line(&words(core, args.setup)),
    }
    interrupt.asked().await;
    if let Some(stage) = stage {
        stage.end().await;
    }
    Ok(())
}

fn words(core: &Handle, set_up: bool) -> String {
    let ports = core.ports();
    let next = if set_up {
        "provision a device with: fleetkey device provision --serial NAME"
    } else {
        "it is empty; --setup makes the shipped policies, templates and claim"
    };
    let api = core::api_url(core).unwrap_or_default();
    format!(
        "local IoT Core on {}: MQTT over mutual TLS on {}, by ALPN on {}\nREST APIs on {api}: eval \"$(fleetkey local env)\"\n\
         root CA {}\n{next}\nCtrl-C ends it",
        core.endpoint(),
        ports.mqtt,
        ports.alpn,
        core.root_ca_path().display(),
    )
}
