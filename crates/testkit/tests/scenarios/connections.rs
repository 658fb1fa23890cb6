//! Several connections of one controller, with AWS's limit on what one connection is delivered.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fleetkey_iotcore::clock::SystemClock;
use fleetkey_iotcore::limits::Limits;
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ClientId;
use fleetkey_model::time::Timestamp;
use fleetkey_operator::controller::{Connections, Controller, Event, Observer, Report};
use fleetkey_testkit::Bench;
use fleetkey_testkit::wait::within;
use tokio::sync::watch;

/// More than twice what AWS delivers to one connection, and less than four are likely to miss: 60 ± 7 each.
const BURST: usize = 240;

/// Which devices the controller has heard of.
struct Heard(watch::Sender<BTreeSet<String>>);

impl Observer for Heard {
    fn heard(&self, _now: Timestamp, event: &Event) {
        if let Event::Presence { client, .. } = event
            && client.as_str().starts_with("press-")
        {
            self.0.send_modify(|heard| _ = heard.insert(client.to_string()));
        }
    }

    fn told(&self, _now: Timestamp, _report: &Report) {}
}

/// A controller of so many connections, and what it hears.
async fn listening(bench: &Bench, connections: usize) -> (Controller, watch::Receiver<BTreeSet<String>>) {
    let (sender, heard) = watch::channel(BTreeSet::new());
    let engine = bench.engine(Default::default()).observed_by(Arc::new(Heard(sender)));
    (bench.controller_of(connections, engine).await, heard)
}

/// Something connects.
fn connects(bench: &Bench, name: &str) {
    let client = ClientId::new(name).unwrap();
    bench.core.rehearse(&client, &CertificateId::of_der(name.as_bytes()), name, true);
}

async fn all_of(heard: &mut watch::Receiver<BTreeSet<String>>, number: usize) {
    within("every event", heard.wait_for(|heard| heard.len() == number)).await.unwrap();
}

#[tokio::test]
async fn what_one_connection_misses_of_a_burst_four_hear() {
    let limited =
        || Bench::start_with(Arc::new(SystemClock), |config| config.limits.deliveries_per_second = Some(100));
    let bench = limited().await;
    let (controller, mut heard) = listening(&bench, 1).await;
    (0..BURST).for_each(|n| connects(&bench, &format!("press-{n}")));
    // In order on one connection: once this is heard, nothing of the burst is still to come.
    let last = |heard: &BTreeSet<String>| heard.contains("press-last");
    let later = async {
        loop {
            connects(&bench, "press-last");
            if tokio::time::timeout(Duration::from_millis(100), heard.wait_for(last)).await.is_ok() {
                return;
            }
        }
    };
    within("the next second", later).await;
    let missed = BURST + 1 - heard.borrow().len();
    assert!(missed > 0, "one connection hears everything");
    controller.stop().await;

    let bench = limited().await;
    let (controller, mut heard) = listening(&bench, 4).await;
    assert_eq!(controller.reception().connections(), Connections { hearing: 4, wanted: 4 });
    (0..BURST).for_each(|n| connects(&bench, &format!("press-{n}")));
    all_of(&mut heard, BURST).await;
    controller.stop().await;
}

#[tokio::test]
async fn connections_that_are_cut_lose_nothing() {
    let bench =
        Bench::start_with(Arc::new(SystemClock), |config| config.limits = Limits::unthrottled()).await;
    let (controller, mut heard) = listening(&bench, 4).await;
    let ids = ["~controller", "~controller-2", "~controller-3", "~controller-4"];
    for (round, id) in ids.iter().cycle().take(20).enumerate() {
        (0..40).for_each(|n| connects(&bench, &format!("press-{}", round * 40 + n)));
        let client = ClientId::new(*id).unwrap();
        within("it to be there", async {
            while !bench.core.disconnect(&client) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        (20..40).for_each(|n| connects(&bench, &format!("press-{}", round * 40 + n)));
    }
    all_of(&mut heard, 20 * 40).await;
    controller.stop().await;
}

/// What set-up made before there were several connections: neither the shares nor the further client ids.
#[tokio::test]
async fn under_an_older_policy_one_connection_hears_alone() {
    let bench = Bench::start().await;
    let name = &bench.fleet.names.controller_policy;
    let mut policy: serde_json::Value =
        serde_json::from_str(&bench.fleet.controller_policy().unwrap()).unwrap();
    for statement in policy["Statement"].as_array_mut().unwrap() {
        let resources = statement["Resource"].as_array_mut().unwrap();
        resources.retain(|arn| {
            !arn.as_str().unwrap().contains("$share") && !arn.as_str().unwrap().ends_with("-*")
        });
    }
    bench.core.account().replace_policy(name, &policy.to_string()).await.unwrap();
    let (controller, mut heard) = listening(&bench, 4).await;
    assert_eq!(controller.reception().connections(), Connections { hearing: 1, wanted: 4 });
    connects(&bench, "press-1");
    all_of(&mut heard, 1).await;
    controller.stop().await;
}

/// One who has heard alone leaves a session that the next one shares, and the other way round: nothing is heard twice.
#[tokio::test]
async fn the_session_of_an_earlier_controller_is_brought_to_the_new_filters() {
    let bench =
        Bench::start_with(Arc::new(SystemClock), |config| config.limits = Limits::unthrottled()).await;
    let subscribed = |id: &str| {
        let all = bench.core.subscriptions(&ClientId::new(id).unwrap());
        all.map(|filters| {
            (filters.len(), filters.iter().filter(|filter| filter.starts_with("$share/")).count())
        })
    };
    for (connections, shared) in [(1, 0), (2, 4), (1, 0)] {
        let (controller, mut heard) = listening(&bench, connections).await;
        within("the old filters to go", async {
            while subscribed("~controller") != Some((4, shared)) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        connects(&bench, "press-1");
        all_of(&mut heard, 1).await;
        controller.stop().await;
    }
}
