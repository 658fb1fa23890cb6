//! A device that is taken over from another program, rotations in an operator's steps, and hooks.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use fleetkey_agent::clock::{Clock, SystemClock};
use fleetkey_agent::config::hooks::{Hook, Target};
use fleetkey_agent::config::{AgentConfig, KeySource, Verification};
use fleetkey_agent::import::{Pair, import};
use fleetkey_agent::offline::{Done, OfflineError, perform};
use fleetkey_agent::sidecar::{Listen, SidecarSettings};
use fleetkey_agent::{AgentEvent, AgentHandle};
use fleetkey_iotcore::faults::{Effect, Operation, Rule};
use fleetkey_lifecycle::Status;
use fleetkey_lifecycle::event::Offline;
use fleetkey_lifecycle::status::StateName;
use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_operator::controller::{Config, Controller};
use fleetkey_testkit::Bench;
use fleetkey_testkit::wait::within;

const PATIENCE: Duration = Duration::from_secs(60);

fn status(bench: &Bench, certificate: &CertificateId) -> CertificateStatus {
    bench.core.account().describe_certificate(certificate).unwrap().status
}

/// The pair of a device whose agent has gone, in the names of the demo, and nothing else of it.
fn abandoned(bench: &Bench, serial: &str) -> PathBuf {
    let (home, certs) = (bench.path("devices").join(serial), bench.path("certs"));
    let to = certs.join(format!("device_{serial}"));
    std::fs::create_dir_all(&to).unwrap();
    for name in ["device.cert.pem", "device.key.pem"] {
        std::fs::copy(home.join("export").join(name), to.join(name)).unwrap();
    }
    std::fs::remove_dir_all(home).unwrap();
    certs
}

async fn retired(agent: &AgentHandle) -> Vec<CertificateId> {
    let mut events = agent.events();
    agent.rotate().await;
    within("the retirement", async {
        loop {
            if let AgentEvent::Retired { certificates, .. } = events.recv().await.unwrap() {
                return certificates;
            }
        }
    })
    .await
}

async fn done(config: &AgentConfig, step: Offline) -> Done {
    perform(config.clone(), step, PATIENCE).await.unwrap_or_else(|error| panic!("{step:?}: {error}"))
}

/// A device with an identity and no agent.
async fn at_rest(bench: &Bench, config: &AgentConfig) -> CertificateId {
    let agent = bench.running(config.clone()).await;
    let certificate = agent.status().certificate.unwrap();
    agent.stop().await;
    certificate
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_of_another_program_is_taken_over_and_rotates() {
    let bench = Bench::start().await;
    let controller = bench.controller(Duration::from_secs(3600)).await;
    for (serial, source) in [("device-1", KeySource::Csr), ("device-2", KeySource::Service)] {
        let first = at_rest(&bench, &AgentConfig { key_source: source, ..bench.device(serial) }).await;
        let certs = abandoned(&bench, serial);
        let config = AgentConfig { claim: None, ..bench.device(serial) };
        let pair = Pair::find(&certs, &config.serial).unwrap();
        for again in [false, true] {
            let now = SystemClock.now();
            let imported = import(&config.state_dir, &config.serial, &pair, false, now).unwrap();
            assert_eq!((imported.certificate, imported.already), (first, again));
            assert_eq!(imported.nameless, source == KeySource::Service, "AWS's own subject names nobody");
        }
        let agent = bench.running(config).await;
        assert_eq!(agent.status().certificate, Some(first), "it connects with what it was given");
        assert_eq!(retired(&agent).await, [first]);
        assert_eq!(status(&bench, &first), CertificateStatus::Inactive);
        agent.stop().await;
        assert!(pair.key.exists() && pair.certificate.exists());
    }
    controller.stop().await;
    bench.core.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_goes_step_by_step_with_no_agent_between_the_steps() {
    let bench = Bench::start().await;
    let controller = bench.controller(Duration::from_secs(3600)).await;
    let config = AgentConfig { claim: None, ..bench.device("device-1") };
    let first = at_rest(&bench, &bench.device("device-1")).await;
    let mut slow = config.clone();
    slow.rotation.soak = Duration::from_secs(24 * 3600);

    let staged = done(&slow, Offline::Stage).await;
    let Done::Staged { certificate, verified: Some(_) } = staged else { panic!("{staged:?}") };
    assert_eq!(done(&slow, Offline::Stage).await, staged, "the same again is done");
    let exported = bench.exported("device-1");
    assert_eq!(
        (status(&bench, &first), status(&bench, &certificate)),
        (CertificateStatus::Active, CertificateStatus::Active)
    );
    for _ in 0..2 {
        assert_eq!(done(&slow, Offline::Switch).await, Done::Switched(certificate));
    }
    assert_ne!(bench.exported("device-1"), exported, "other programs have the files of the new one");
    assert_eq!(status(&bench, &first), CertificateStatus::Active, "a day of soak, unless somebody ends it");
    for _ in 0..2 {
        assert_eq!(done(&slow, Offline::Retire).await, Done::Retired);
    }
    assert_eq!(
        (status(&bench, &first), status(&bench, &certificate)),
        (CertificateStatus::Inactive, CertificateStatus::Active)
    );
    let senseless = perform(slow, Offline::Rollback, PATIENCE).await.unwrap_err();
    assert!(
        matches!(&senseless, OfflineError::Senseless(why) if why.contains("nothing to go back")),
        "{senseless}"
    );
    controller.stop().await;
    bench.core.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_running_agent_takes_the_steps_and_goes_back_while_its_session_stays() {
    for verification in [Verification::Beside, Verification::Takeover] {
        let bench = Bench::start().await;
        let mut config = bench.device("device-1");
        config.rotation.soak = Duration::from_secs(24 * 3600);
        config.rotation.verification = verification;
        let agent = bench.running(config.clone()).await;
        let first = agent.status().certificate.unwrap();
        let mut events = agent.events();
        let before = bench.exported("device-1");

        let staged = done(&config, Offline::Stage).await;
        let Done::Staged { certificate, verified } = staged else { panic!("{staged:?}") };
        assert_eq!(verified.is_some(), verification == Verification::Beside);
        while let Ok(event) = events.try_recv() {
            assert!(!matches!(event, AgentEvent::LinkDown { .. } | AgentEvent::WentLive { .. }), "{event:?}");
        }
        assert_eq!(done(&config, Offline::Switch).await, Done::Switched(certificate));
        assert_eq!(agent.status().certificate, Some(certificate));
        for _ in 0..2 {
            assert_eq!(done(&config, Offline::Rollback).await, Done::RolledBack(first));
        }
        assert_eq!((agent.status().certificate, bench.exported("device-1")), (Some(first), before));
        within("the old identity to be in use", agent.until(|status| status.connected)).await.unwrap();
        agent.publish("device/device-1/telemetry", "still here").await.unwrap();

        let Done::Staged { certificate: second, .. } = done(&config, Offline::Stage).await else { panic!() };
        assert_ne!(second, certificate, "what was gone back from is not tried again");
        assert_eq!(done(&config, Offline::Rollback).await, Done::RolledBack(first));
        assert!(agent.status().staged.is_none());
        let senseless = perform(config, Offline::Switch, PATIENCE).await.unwrap_err();
        assert!(matches!(senseless, OfflineError::Senseless(_)), "{senseless}");
        agent.stop().await;
        bench.core.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_that_was_met_is_told_as_done_while_a_rotation_is_under_way_that_nobody_staged() {
    let bench = Bench::start().await;
    let controller = bench.controller(Duration::from_secs(3600)).await;
    let config = bench.device("device-1");
    let agent = bench.running(config.clone()).await;
    let Done::Staged { certificate, .. } = done(&config, Offline::Stage).await else { panic!() };
    for step in [Offline::Switch, Offline::Retire] {
        done(&config, step).await;
    }
    let faults = bench.core.faults();
    let registering = faults.add(Rule::on(Operation::RegisterThing, Effect::Hold));
    agent.rotate().await;
    within("the next rotation", faults.held(registering)).await;
    assert_eq!(done(&config, Offline::Switch).await, Done::Switched(certificate));
    faults.release(registering);
    agent.stop().await;
    controller.stop().await;
    bench.core.shutdown().await;
}

/// Of these words an operator decides whether the superseded certificate may be taken out of use at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_retirement_says_whether_the_controller_was_asked_and_what_stands_in_the_way_if_not() {
    let bench = Bench::start().await;
    let controller = bench.controller_with(Config::default()).await;
    let listen = vec![Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))];
    let beneath = AgentConfig { sidecar: Some(SidecarSettings::new(listen)), ..bench.device("device-1") };
    for (config, why) in [(beneath, "no client is connected"), (bench.device("device-2"), "has the request")]
    {
        let agent = bench.running(config.clone()).await;
        for step in [Offline::Stage, Offline::Switch] {
            done(&config, step).await;
        }
        let told = |status: &Status| status.blocked.as_ref().is_some_and(|blocked| blocked.contains(why));
        let asked = perform(config, Offline::Retire, Duration::from_millis(1)).await.unwrap_err();
        assert!(matches!(asked, OfflineError::NotYet { .. }), "{asked}");
        let shown = within("what stands in the way", agent.until(told)).await.unwrap();
        assert_eq!(shown.state, StateName::Retiring);
        agent.stop().await;
    }
    controller.stop().await;
    bench.core.shutdown().await;
}

/// Waits until the controller has it attested that this certificate is in use.
async fn attested(controller: &Controller, certificate: CertificateId) {
    within("the request", async {
        while !controller.records().await.iter().any(|record| record.witness.certificate == certificate) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// The controller waits before it takes the certificate before out of use, whatever the device says: what the device may
/// say, whoever has its key may say. The operator need not wait.
#[tokio::test(flavor = "multi_thread")]
async fn the_operator_takes_the_superseded_certificate_out_of_use_at_once_and_the_controller_finds_it_done() {
    let bench = Bench::start().await;
    let mut config = bench.device("device-1");
    config.rotation.soak = Duration::from_secs(24 * 3600);
    let agent = bench.running(config.clone()).await;
    // The second time there is a record of the device, and something on its way out.
    for _ in 0..2 {
        let controller = bench.controller_with(Config::default()).await;
        let (old, before) = (agent.status().certificate.unwrap(), bench.exported("device-1"));
        let Done::Staged { certificate: new, .. } = done(&config, Offline::Stage).await else { panic!() };
        assert_eq!(done(&config, Offline::Switch).await, Done::Switched(new));
        let waits = perform(config.clone(), Offline::Retire, Duration::from_millis(1)).await.unwrap_err();
        assert!(matches!(waits, OfflineError::NotYet { .. }), "{waits}");
        attested(&controller, new).await;
        assert_eq!(status(&bench, &old), CertificateStatus::Active, "the controller soaks for an hour");

        bench.core.account().update_certificate(&old, CertificateStatus::Inactive).await.unwrap();
        assert!(bench.connect(&before, "device-1~agent").await.is_err(), "it is of no use now");
        controller.stop().await;

        let controller = bench.controller(Duration::from_secs(3600)).await;
        assert_eq!(done(&config, Offline::Retire).await, Done::Retired, "the hour is over");
        assert!(controller.records().await.iter().all(|record| record.frozen.is_none()));
        let now = [old, new].map(|certificate| status(&bench, &certificate));
        assert_eq!(now, [CertificateStatus::Inactive, CertificateStatus::Active]);
        controller.stop().await;
    }
    agent.stop().await;
    bench.core.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_run_after_the_commit_with_the_new_files_in_place_and_after_the_retirement() {
    let bench = Bench::start().await;
    let controller = bench.controller(Duration::from_secs(3600)).await;
    let log = bench.path("hooks.log");
    let script = bench.path("hook");
    // The exported certificate is the one that the hook is told of.
    let text = format!(
        "#!/bin/sh\nset -e\ntest -s \"$FLEETKEY_EXPORT/bundle.pem\"\n\
         echo $FLEETKEY_EVENT $FLEETKEY_THING $FLEETKEY_CERTIFICATE >> {}\n",
        log.display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
    let hook = Hook { target: Target::Exec { program: script, arguments: Vec::new() }, timeout: PATIENCE };
    let mut config = bench.device("device-1");
    config.hooks.after_commit.push(hook.clone());
    config.hooks.after_retire.push(hook);
    let agent = bench.running(config).await;
    let first = agent.status().certificate.unwrap();
    within("the hook of the first commit", async {
        while !log.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut events = agent.events();
    agent.rotate().await;
    let mut ran = 0;
    within("the hooks of a rotation", async {
        while !std::fs::read_to_string(&log).unwrap_or_default().contains("retire") {
            ran += usize::from(matches!(events.recv().await.unwrap(), AgentEvent::HookRan { .. }));
        }
    })
    .await;
    assert!(ran > 0);
    let second = agent.status().certificate.unwrap();
    let told = std::fs::read_to_string(&log).unwrap();
    let lines = [("commit", first), ("commit", second), ("retire", second)]
        .map(|(what, certificate)| format!("{what} device-1 {certificate}"));
    assert_eq!(told.lines().collect::<Vec<_>>(), lines);
    agent.stop().await;
    controller.stop().await;
    bench.core.shutdown().await;
}
