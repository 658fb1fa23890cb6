//! Devices that have lost their disk and come back by their claim: only through a window that names them, and what comes of
//! it retires nothing until somebody has decided.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_iot::types::AttributePayload;
use fleetkey_agent::{AgentEvent, AgentHandle};
use fleetkey_lifecycle::config::Verdict;
use fleetkey_lifecycle::record::Reason;
use fleetkey_model::name::TemplateName;
use fleetkey_operator::documents::RECOVERED_ATTRIBUTE;
use fleetkey_operator::files::Lock;
use serde_json::Value;
use tokio::sync::broadcast::Receiver;

use crate::core::Outcome;
use crate::crowd::Crowd;
use crate::inventory::Clients;
use crate::least_privilege::exact;
use crate::process::{PATIENCE, Process};
use crate::proxy::Proxy;
use crate::serve::{Fleet, HASTE};

/// A device whose disk was wiped: it has its claim and nothing else.
struct Wiped {
    agent: std::sync::Arc<AgentHandle>,
    events: Receiver<AgentEvent>,
}

impl Crowd {
    /// The device of a serial with an empty disk, the so-manieth.
    fn wiped(&self, serial: &str, disk: u32) -> Wiped {
        let recovery = TemplateName::new(self.config["templates"]["recovery"].as_str().unwrap()).unwrap();
        let agent = self.join_with(serial, |config| {
            config.state_dir = self.path().join(format!("disks/{serial}-{disk}"));
            let claim = config.claim.as_mut().unwrap();
            claim.recovery_template = Some(recovery);
            claim.recovery_spacing = Duration::from_secs(1);
            // It asks two dozen times before it believes that its claim is refused, connecting anew each time; the account
            // takes one connection a second of a client id, and one too early is no answer.
            config.session.connect_spacing = Duration::from_millis(1100);
            config.rotation.backoff.base = Duration::from_millis(20);
            config.rotation.backoff.step_cap = Duration::from_millis(100);
            config.rotation.backoff.rotation_cap = Duration::from_secs(1);
            // A no is believed at once.
            config.rotation.verdict = Verdict { refusals: 2, over: Duration::from_millis(100) };
        });
        let events = agent.events();
        Wiped { agent, events }
    }

    /// The certificate that a device comes to by a recovery.
    fn recovers(&self, wiped: &mut Wiped) -> String {
        let recovered = async {
            loop {
                match wiped.events.recv().await.unwrap() {
                    AgentEvent::Committed { reason: Reason::Recovery, certificate, .. } => {
                        return certificate;
                    }
                    AgentEvent::Committed { reason, .. } => {
                        panic!("it was not to be provisioned: {reason:?}")
                    }
                    _ => {}
                }
            }
        };
        let recovered = self.runtime.block_on(async { tokio::time::timeout(PATIENCE * 2, recovered).await });
        recovered.unwrap_or_else(|_| panic!("{:?}", self.core.refusals())).to_string()
    }

    /// A device is refused when it tries to recover from now on, by the account's own word, and has no identity.
    fn is_refused(&self, wiped: &mut Wiped) {
        let template = self.config["templates"]["recovery"].as_str().unwrap();
        self.core.refusals_of(template);
        let refused = Cell::new(0);
        // One answer may have been on its way to an earlier question.
        self.wait("two refusals", || {
            refused.set(refused.get() + self.core.refusals_of(template));
            (refused.get() > 1).then_some(())
        });
        assert_eq!(wiped.agent.status().current, None, "nobody has let it in");
        wiped.events = wiped.agent.events();
    }

    fn gone(&self, wiped: Wiped) {
        drop(wiped.events);
        let agent = std::sync::Arc::into_inner(wiped.agent).unwrap();
        self.runtime.block_on(agent.stop());
    }

    fn recovery(&self, words: &[&str]) -> Outcome {
        let words: Vec<_> = ["recovery"].iter().chain(words).copied().collect();
        self.core.run(&words, self.path())
    }

    /// A device that was provisioned and has lost its disk since; its certificate.
    fn lost(&self, serial: &str) -> String {
        let agent = self.join_with(serial, |_| {});
        self.connects(&agent);
        let id = agent.status().certificate.unwrap().to_string();
        self.runtime.block_on(std::sync::Arc::into_inner(agent).unwrap().stop());
        // AWS dates certificates to the second.
        self.a_second_passes();
        id
    }

    /// The finding of a rule about a thing.
    fn finding(&self, rule: &str, thing: &str) -> Option<Value> {
        let found = self.core.run(&["inventory", "--findings"], self.path());
        found.lines.into_iter().find(|line| line["rule"] == rule && line["thing"] == thing)
    }
}

/// Every certificate of a thing with its status.
fn certificates(clients: &Clients, thing: &str) -> BTreeMap<String, String> {
    clients.wait(async {
        let listed = clients.iot.list_thing_principals().thing_name(thing).send().await.unwrap();
        let mut found = BTreeMap::new();
        for arn in listed.principals() {
            let id = arn.rsplit_once('/').unwrap().1;
            // One may go meanwhile.
            if let Ok(described) = clients.iot.describe_certificate().certificate_id(id).send().await {
                let status = described.certificate_description().unwrap().status().unwrap().to_string();
                found.insert(id.to_owned(), status);
            }
        }
        found
    })
}

/// Makes an ACTIVE certificate of a thing.
fn registered(clients: &Clients, thing: &str) -> String {
    let made = clients.iot.create_keys_and_certificate().set_as_active(true).send();
    let made = clients.wait(made).unwrap();
    let attach = clients.iot.attach_thing_principal().thing_name(thing);
    clients.wait(attach.principal(made.certificate_arn().unwrap()).send()).unwrap();
    made.certificate_id().unwrap().to_owned()
}

/// Marks a thing as the recovery template does.
fn mark(clients: &Clients, thing: &str, certificate: &str) {
    let attributes = AttributePayload::builder().attributes(RECOVERED_ATTRIBUTE, certificate).merge(true);
    let update = clients.iot.update_thing().thing_name(thing).attribute_payload(attributes.build());
    clients.wait(update.send()).unwrap();
}

fn is_marked(clients: &Clients, thing: &str) -> bool {
    let found = clients.wait(clients.iot.describe_thing().thing_name(thing).send()).unwrap();
    found.attributes().is_some_and(|all| all.contains_key(RECOVERED_ATTRIBUTE))
}

fn template_is_enabled(clients: &Clients, crowd: &Crowd) -> bool {
    let name = crowd.config["templates"]["recovery"].as_str().unwrap();
    let found = clients.wait(clients.iot.describe_provisioning_template().template_name(name).send());
    found.unwrap().enabled().unwrap()
}

fn journal(crowd: &Crowd, word: &str) -> String {
    let directory = crowd.path().to_str().unwrap();
    crate::process::run(&["journal", "show", "--about", word, "--fleet-dir", directory]).1
}

/// The journal's line of a quarantine's end.
fn quarantine_over(crowd: &Crowd) -> Option<Value> {
    let directory = crowd.path().to_str().unwrap();
    let exported = crate::process::run(&["journal", "export", "--fleet-dir", directory]).1;
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    let mut lines = exported.lines().filter_map(|line| read(read(line)?["line"].as_str()?));
    lines.find(|line| line["action"] == "quarantine over")
}

/// Wiped, the device is refused while everything is closed, and while a window is open for another; through its own it
/// recovers, and is in quarantine: it may rotate, and its older certificate stays. Approved, that one goes.
#[test]
fn a_wiped_device_recovers_through_its_window_and_retires_nothing_until_it_is_approved() {
    let crowd = Crowd::none();
    let clients = Clients::of(&crowd.core);
    let old = crowd.lost("press-1");
    let mut controller = crowd.serve_with(&[&HASTE[..], &["--inventory-every", "1s"]].concat());

    let mut wiped = crowd.wiped("press-1", 1);
    crowd.is_refused(&mut wiped);
    let other = crowd.recovery(&["open", "--serial", "press-2", "--for", "1h", "--why", "a flood"]).good();
    assert_eq!(other.last()["window"], 1);
    assert!(template_is_enabled(&clients, &crowd));
    crowd.is_refused(&mut wiped);

    let list = crowd.path().join("serials");
    std::fs::write(&list, "press-1\n\npress-3\n").unwrap();
    let list = list.to_str().unwrap();
    let own = crowd.recovery(&["open", "--list", list, "--for", "1h", "--why", "a flood"]).good();
    assert_eq!((&own.last()["window"], &own.last()["devices"]), (&2.into(), &2.into()));
    let again = crowd.recovery(&["open", "--list", list, "--for", "30m", "--why", "a flood"]).good();
    assert_eq!((&again.last()["window"], &again.last()["until"]), (&2.into(), &own.last()["until"]));
    let recovered = crowd.recovers(&mut wiped);
    let finding = crowd.wait("the finding", || crowd.finding("recovered", "press-1"));
    let words = [&finding["saw"], &finding["act"]].map(|words| words.as_str().unwrap().to_owned()).concat();
    assert!(
        finding["severity"] == "critical" && words.contains("fleetkey recovery approve press-1"),
        "{words}"
    );
    assert!([&old, &recovered].iter().all(|id| words.contains(&id[..8])), "{words}");

    // It rotates and asks for retirement as any device: it is told that nothing happens.
    crowd.a_second_passes();
    let agent = wiped.agent.clone();
    crowd.runtime.block_on(agent.rotate());
    crowd.wait("the quarantine", || {
        crowd.finding("recovered", "press-1").filter(|_| !agent.status().alarms.is_empty())
    });
    let there = certificates(&clients, "press-1");
    assert_eq!((there.len(), there.values().all(|status| status == "ACTIVE")), (3, true), "{there:?}");

    let shown = crowd.recovery(&["show", "2"]).good();
    let device = shown.lines.iter().find(|line| line["thing"] == "press-1").unwrap();
    assert_eq!((&device["state"], &device["certificate"]), (&"recovered".into(), &recovered.clone().into()));
    assert_eq!(shown.last()["waiting"], 1);
    let wrong = crowd.recovery(&["approve", "press-1", "--certificate", &old, "--why", "seen there"]);
    assert!(wrong.code == 1 && wrong.errors.contains("nothing was approved"), "{}", wrong.errors);
    let approved = crowd.recovery(&["approve", "press-1", "--why", "seen on its display"]).good();
    assert_eq!(approved.last()["certificate"], recovered);
    assert_eq!(
        crowd.recovery(&["approve", "press-1", "--why", "again"]).good().last()["certificate"],
        Value::Null
    );
    crowd.wait("the older certificates to go", || {
        let current = agent.status().certificate.unwrap().to_string();
        (certificates(&clients, "press-1") == BTreeMap::from([(current, "ACTIVE".to_owned())])).then_some(())
    });
    crowd.wait("no finding", || crowd.finding("recovered", "press-1").is_none().then_some(()));
    assert!(journal(&crowd, &recovered).contains("seen on its display"));
    let over = quarantine_over(&crowd).unwrap();
    assert_eq!(over["what"], "thing press-1");
    assert!(over["before"]["audit"]["last"].is_string(), "the head of the device's own log: {over}");

    exact(&crowd.core, &["recovery", "open"], &[other, own, again]);
    exact(&crowd.core, &["recovery", "show"], &[shown]);
    exact(&crowd.core, &["recovery", "approve"], &[approved]);
    let closed = crowd.recovery(&["close", "--why", "all are back"]).good();
    assert!(closed.last()["closed"] == true && !template_is_enabled(&clients, &crowd));
    let again = crowd.recovery(&["close"]).good();
    assert!(again.last()["closed"] == false && again.last()["still_open"] == 0);
    exact(&crowd.core, &["recovery", "close"], &[closed, again]);
    drop(agent);
    crowd.gone(wiped);
    controller.kill();
}

/// Somebody with the claim recovers as a device through its window, and rotates. Rejected, both certificates are revoked and
/// cut, and the device's own is as it was; then it rotates, and the controller does its work.
#[test]
fn what_is_rejected_is_revoked_with_all_that_came_of_it() {
    let crowd = Crowd::none();
    let clients = Clients::of(&crowd.core);
    let own = crowd.lost("press-1");
    let mut controller = crowd.serve_with(&HASTE);
    crowd.a_second_passes();
    crowd.recovery(&["open", "--serial", "press-1", "--why", "a call, they said"]).good();
    // The device itself is switched off meanwhile: the two would take the session from each other.
    let mut thief = crowd.wiped("press-1", 1);
    let recovered = crowd.recovers(&mut thief);
    crowd.a_second_passes();
    crowd.runtime.block_on(thief.agent.rotate());
    crowd.wait("its rotation", || (certificates(&clients, "press-1").len() == 3).then_some(()));

    let planned = crowd.recovery(&["reject", "press-1", "--plan"]).good();
    let revoked = planned.lines.iter().filter(|line| line["action"] == "revoke").count();
    assert_eq!((planned.lines.len(), revoked), (3, 2), "{:#?}", planned.lines);
    assert!(certificates(&clients, "press-1").values().all(|status| status == "ACTIVE"));
    let rejected = crowd.recovery(&["reject", "press-1", "--why", "nobody is there"]).good();
    assert_eq!((&rejected.last()["revoked"], &rejected.last()["left"]), (&2.into(), &1.into()));
    let there = certificates(&clients, "press-1");
    assert!(there.iter().all(|(id, status)| (*id == own) == (status == "ACTIVE")), "{there:?}");
    assert!(there[&recovered] == "REVOKED", "{there:?}");
    assert_eq!(
        crowd.recovery(&["reject", "press-1", "--why", "again"]).good().last()["certificate"],
        Value::Null
    );
    crowd.gone(thief);
    exact(&crowd.core, &["recovery", "reject"], &[rejected]);

    let device = crowd.join_with("press-1", |_| {});
    crowd.connects(&device);
    crowd.a_second_passes();
    crowd.runtime.block_on(device.rotate());
    crowd.wait("the old one to go", || {
        let found = certificates(&clients, "press-1");
        let current = device.status().certificate.unwrap().to_string();
        (current != own && found == BTreeMap::from([(current, "ACTIVE".to_owned())])).then_some(())
    });
    controller.kill();
}

/// Who holds the connection that is open still rotates again while the first certificate is being ended: the quarantine is not
/// lifted over a certificate that nobody has looked at.
#[test]
fn what_is_registered_while_a_rejection_is_at_work_is_revoked_with_the_rest() {
    let mut fleet = Fleet::of_one();
    // Cut, it would be back by its own certificate.
    fleet.stop_agent();
    let (clients, own) = (fleet.clients(), fleet.certificates().remove(0).0);
    fleet.a_second_passes();
    let recovered = registered(clients, "press-1");
    mark(clients, "press-1", &recovered);

    let proxy = Proxy::delaying(fleet.core.address(), "PUT /certificates/");
    let words = ["recovery", "reject", "press-1", "--why", "nobody is there"];
    let reject = Process::of(fleet.core.command(&proxy.url(), &words, fleet.path()).spawn().unwrap());
    proxy.held().recv_timeout(PATIENCE).unwrap();
    let third = registered(clients, "press-1");
    proxy.release();
    let (status, lines, errors) = reject.end();
    assert!(status.success(), "{errors}");
    let last: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    assert_eq!((&last["revoked"], &last["left"]), (&2.into(), &1.into()), "{last}");
    let stand = [(own, "ACTIVE"), (recovered, "REVOKED"), (third, "REVOKED")];
    let stand = stand.map(|(id, status)| (id, status.to_owned()));
    assert_eq!(certificates(clients, "press-1"), BTreeMap::from(stand));
    assert!(!is_marked(clients, "press-1"));
}

/// The data plane refuses to cut what came of a recovery: the certificates are revoked, the thing stays in quarantine, and run
/// again, the command cuts what is open and lifts it.
#[test]
fn a_quarantine_stays_while_a_connection_may_be_open() {
    let fleet = Fleet::of_one();
    let (clients, id) = (fleet.clients(), fleet.certificates().remove(0).0);
    mark(clients, "press-1", &id);
    let words = ["recovery", "reject", "press-1", "--why", "nobody is there"];
    let proxy = Proxy::refusing(fleet.core.address(), "DELETE /connections/", "iot:DeleteConnection");
    let reject = Process::of(fleet.core.command(&proxy.url(), &words, fleet.path()).spawn().unwrap());
    let (status, _, errors) = reject.end();
    assert!(status.code() == Some(1) && errors.contains("press-1 stays in quarantine"), "{errors}");
    assert!(errors.contains("not authorized to perform: iot:DeleteConnection"), "{errors}");
    assert!(is_marked(clients, "press-1"));
    assert_eq!(fleet.certificates(), [(id.clone(), "REVOKED".to_owned())]);

    let again = fleet.core.run(&words, fleet.path()).good();
    let cuts = again.lines.iter().find(|line| line["event"] == "certificate").unwrap();
    assert_eq!((&cuts["certificate"], &cuts["before"]), (&id.into(), &"REVOKED".into()), "{cuts}");
    assert!(!is_marked(clients, "press-1"));
}

/// When its time is over the controller closes it, also one that was not running then; and the hook has refused from that
/// very moment, with no controller at all.
#[test]
fn a_window_ends_without_anybody_and_is_closed_by_the_next_controller() {
    let crowd = Crowd::none();
    let clients = Clients::of(&crowd.core);
    crowd.lost("press-1");
    let opened = crowd.recovery(&["open", "--serial", "press-1", "--for", "2s", "--why", "x"]).good();
    assert_eq!(opened.last()["served"], false);
    crowd.wait("its end", || {
        let listed = crowd.recovery(&["list"]).good();
        (listed.last()["open"] == false).then_some(())
    });
    assert!(template_is_enabled(&clients, &crowd), "nobody has closed it");
    let mut wiped = crowd.wiped("press-1", 1);
    crowd.is_refused(&mut wiped);
    crowd.gone(wiped);

    let mut controller = crowd.serve_with(&HASTE);
    crowd.wait("the controller to close it", || (!template_is_enabled(&clients, &crowd)).then_some(()));
    crowd.wait("the file", || {
        let listed = crowd.recovery(&["list"]).good();
        (listed.last()["settled"] == true && listed.last()["closed_at"] != Value::Null).then_some(())
    });
    let opened = crowd.recovery(&["open", "--serial", "press-1", "--for", "1s", "--why", "x"]).good();
    assert!(opened.last()["served"] == true && template_is_enabled(&clients, &crowd));
    crowd.wait("the controller to close it", || (!template_is_enabled(&clients, &crowd)).then_some(()));
    // What was opened stays open over a set-up, and what is over stays closed.
    crowd.recovery(&["open", "--serial", "press-1", "--for", "1h", "--why", "x"]).good();
    assert_eq!(crowd.core.set_up(&[], crowd.path()).good().last()["changed"], 0);
    assert!(template_is_enabled(&clients, &crowd));
    controller.kill();
}

/// Beside `local --setup`, whose hook is built in, the process itself carries out what the command leaves.
#[test]
fn a_window_works_where_the_account_is_in_the_process() {
    let crowd = Crowd::beside_its_account();
    crowd.lost("press-1");
    let mut wiped = crowd.wiped("press-1", 1);
    crowd.is_refused(&mut wiped);
    let opened = crowd.recovery(&["open", "--serial", "press-1", "--for", "1h", "--why", "a flood"]).good();
    assert!(opened.last()["settled"] == true && opened.last()["served"] == true, "{:#}", opened.last());
    let recovered = crowd.recovers(&mut wiped);
    crowd.a_second_passes();
    crowd.runtime.block_on(wiped.agent.rotate());
    let held = wiped.agent.until(|status| !status.alarms.is_empty());
    crowd.runtime.block_on(async { tokio::time::timeout(PATIENCE, held).await }).unwrap();
    let approved = crowd.recovery(&["approve", "press-1", "--why", "seen"]).good();
    assert_eq!(approved.last()["certificate"], recovered);
    let clients = Clients::of(&crowd.core);
    crowd.wait("the older ones to be retired", || {
        let active = certificates(&clients, "press-1").into_values().filter(|status| status == "ACTIVE");
        (active.count() == 1).then_some(())
    });
    crowd.gone(wiped);

    let closed = crowd.recovery(&["close"]).good();
    assert!(closed.last()["settled"] == true && closed.last()["still_open"] == 0, "{:#}", closed.last());
    let mut wiped = crowd.wiped("press-1", 2);
    crowd.is_refused(&mut wiped);
    crowd.gone(wiped);
}

/// Works on a fleet directory as a long list does: lets go of it again and again, for no longer than others need who wait.
fn busy(directory: &Path, end: &AtomicBool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        while !end.load(Ordering::Relaxed) {
            let _lock = Lock::within(directory, PATIENCE, |_| {}).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

/// A window is opened, and closed in time, while somebody changes one certificate after the other, by the controller and by the
/// process that is the account.
#[test]
fn a_window_is_opened_and_closed_beside_a_long_piece_of_work() {
    for (crowd, is_served) in [(Crowd::none(), true), (Crowd::beside_its_account(), false)] {
        let clients = Clients::of(&crowd.core);
        let controller = is_served.then(|| crowd.serve_with(&HASTE));
        let (operator, end) = (crowd.path().join("operator"), AtomicBool::new(false));
        let is_taken = || std::fs::read(operator.join(".lock")).is_ok_and(|holder| !holder.is_empty());
        std::thread::scope(|scope| {
            scope.spawn(|| busy(&operator, &end));
            let closed = std::panic::catch_unwind(AssertUnwindSafe(|| {
                crowd.wait("the work", || is_taken().then_some(()));
                crowd.recovery(&["open", "--serial", "press-1", "--for", "2s", "--why", "x"]).good();
                crowd.wait("its end", || (!template_is_enabled(&clients, &crowd)).then_some(()));
            }));
            end.store(true, Ordering::Relaxed);
            closed.unwrap();
        });
        if let Some(mut controller) = controller {
            controller.kill();
        }
    }
}
