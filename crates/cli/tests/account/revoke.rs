//! `fleetkey revoke` on a device that is connected.

use serde_json::Value;
use tempfile::TempDir;

use crate::api::Api;
use crate::core::{Core, Outcome, a_directory};
use crate::crowd::{Crowd, listener};
use crate::inventory::Clients;
use crate::process::{PATIENCE, Process};
use crate::proxy::Proxy;
use crate::serve::{Fleet, HASTE, inventory_is_taken, until};

/// The certificate in use is revoked: the connection is cut, which is measured, and the device does not come back; the
/// journal says who, why and by which calls, and they are those of `--print-iam`.
#[test]
fn a_revoked_certificate_ends_with_its_connection() {
    let mut fleet = Fleet::of_one();
    let id = fleet.certificates().remove(0).0;
    let listed = fleet.core.run(&["revoke", "--thing", "press-1", "--inactive"], fleet.path()).good();
    let ended = listed.lines.iter().find(|line| line["event"] == "certificate").unwrap();
    assert_eq!((&ended["certificate"], &ended["before"]), (&id.clone().into(), &"ACTIVE".into()));
    let [cut] = ended["connections"].as_array().unwrap().as_slice() else { panic!("{ended}") };
    assert_eq!((&cut["client"], &cut["outcome"]), (&"press-1".into(), &"gone".into()), "{ended}");
    assert!(cut["seconds"].as_f64().is_some() && ended["seconds"].as_f64().is_some());
    fleet.refused();

    let again = fleet.core.run(&["revoke", &id, "--why", "a stolen laptop"], fleet.path()).good();
    let ended = again.lines.iter().find(|line| line["event"] == "certificate").unwrap();
    assert_eq!((&ended["before"], &ended["status"]), (&"INACTIVE".into(), &"REVOKED".into()));
    assert_eq!(fleet.certificates(), [(id.clone(), "REVOKED".to_owned())]);
    // What is revoked stays so, whatever less is asked for.
    let less = fleet.core.run(&["revoke", &id, "--inactive"], fleet.path()).good();
    let ended = less.lines.iter().find(|line| line["event"] == "certificate").unwrap();
    assert_eq!((&ended["status"], &ended["seconds"]), (&"REVOKED".into(), &Value::Null));
    assert_eq!(fleet.certificates(), [(id.clone(), "REVOKED".to_owned())]);
    assert!(!less.calls().contains("iot:UpdateCertificate"), "{:?}", less.calls());
    crate::least_privilege::exact(&fleet.core, &["revoke"], &[listed, again]);
    let directory = fleet.path().to_str().unwrap();
    let shown = crate::process::run(&["journal", "show", "--about", &id, "--fleet-dir", directory]).1;
    assert!(shown.contains("a stolen laptop") && shown.contains("revoke"), "{shown}");
    let missing = fleet.core.run(&["revoke", &"0".repeat(64)], fleet.path());
    assert!(missing.code == 1 && missing.errors.contains("certificate 0000"), "{}", missing.errors);
}

/// A list is read whole before anything is ended; what is not there any more stops nobody; and run again, it finds its work
/// done.
#[test]
fn a_list_is_ended_to_its_end_and_may_be_run_again() {
    let (core, fleet) = (Core::empty(), a_directory());
    core.set_up(&[], fleet.path()).good();
    let clients = Clients::of(&core);
    let made = || clients.wait(clients.iot.create_keys_and_certificate().set_as_active(true).send()).unwrap();
    let ids = [made(), made()].map(|made| made.certificate_id().unwrap().to_owned());
    let list = fleet.path().join("leaked");
    let revoke = |text: &str| {
        std::fs::write(&list, text).unwrap();
        core.run(&["revoke", "--list", list.to_str().unwrap(), "--why", "a laptop"], fleet.path())
    };
    let wrong = revoke(&format!("{}\nnot one\n", ids[0]));
    assert!(wrong.code == 1 && wrong.errors.contains("line 2 of"), "{}", wrong.errors);
    let status = |id: &str| {
        let found = clients.wait(clients.iot.describe_certificate().certificate_id(id).send()).unwrap();
        found.certificate_description().unwrap().status().unwrap().to_string()
    };
    assert_eq!(ids.each_ref().map(|id| status(id)), ["ACTIVE", "ACTIVE"], "nothing was begun");

    let unknown = "0".repeat(64);
    let text = format!("{}\n\n{unknown}\n{}\n", ids[0], ids[1]);
    let first = revoke(&text);
    let of = |run: &Outcome, name: &str| run.last()[name].as_u64().unwrap();
    assert_eq!(
        (first.code, of(&first, "certificates"), of(&first, "missing")),
        (1, 2, 1),
        "{}",
        first.errors
    );
    assert!(first.errors.contains(&unknown), "{}", first.errors);
    assert_eq!(ids.each_ref().map(|id| status(id)), ["REVOKED", "REVOKED"]);
    let ended = |run: &Outcome| {
        let lines = run.lines.iter().filter(|line| line["event"] == "certificate");
        lines.filter(|line| line["seconds"].is_number()).count()
    };
    assert_eq!(ended(&first), 2, "each is measured: {:#?}", first.lines);
    let again = revoke(&text.replace(&unknown, "")).good();
    assert_eq!((of(&again, "certificates"), ended(&again)), (2, 0), "{:#?}", again.lines);
    let directory = fleet.path().to_str().unwrap();
    for id in ids {
        let shown = crate::process::run(&["journal", "show", "--about", &id, "--fleet-dir", directory]).1;
        assert_eq!(shown.matches("because a laptop").count(), 2, "begun and done, once: {shown}");
    }
}

/// A fleet with certificates that are on no thing, and a list of them.
struct Leak {
    core: Core,
    clients: Clients,
    fleet: TempDir,
    ids: Vec<String>,
}

impl Leak {
    fn of(certificates: usize) -> Self {
        let (core, fleet) = (Core::empty(), a_directory());
        core.set_up(&[], fleet.path()).good();
        let clients = Clients::of(&core);
        let made = |_| {
            let made = clients.iot.create_keys_and_certificate().set_as_active(true).send();
            clients.wait(made).unwrap().certificate_id().unwrap().to_owned()
        };
        let ids: Vec<_> = (0..certificates).map(made).collect();
        std::fs::write(fleet.path().join("leaked"), ids.join("\n")).unwrap();
        Self { core, clients, fleet, ids }
    }

    fn statuses(&self) -> Vec<String> {
        let status = |id: &String| {
            let found = self.clients.iot.describe_certificate().certificate_id(id).send();
            let found = self.clients.wait(found).unwrap();
            found.certificate_description().unwrap().status().unwrap().to_string()
        };
        self.ids.iter().map(status).collect()
    }

    /// `revoke --list` by way of `url`.
    fn revoke(&self, url: &str) -> Process {
        let list = self.fleet.path().join("leaked");
        let words = ["revoke", "--list", list.to_str().unwrap(), "--why", "a backup"];
        Process::of(self.core.command(url, &words, self.fleet.path()).spawn().unwrap())
    }

    /// What was entered in set-up's journal as done, in order.
    fn done(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.fleet.path().join("operator/journal.jsonl")).unwrap();
        let entries = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let done = entries.filter(|entry| entry["phase"] == "done");
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        done.map(|entry| format!("{} {}", word(&entry["action"]), word(&entry["what"]))).collect()
    }
}

/// The path of UpdateCertificate for one certificate, for a proxy that lives as long as the test.
fn update_of(id: &str) -> &'static str {
    Box::leak(format!("PUT /certificates/{id}").into_boxed_str())
}

/// One that the account refuses to end, as it does for a certificate in transfer, keeps nobody from ending the others: it is
/// told, it is in the command's last word, and the command fails.
#[test]
fn a_certificate_that_cannot_be_ended_keeps_no_other_from_its_end() {
    let leak = Leak::of(3);
    let proxy = Proxy::refusing(leak.core.address(), update_of(&leak.ids[1]), "iot:UpdateCertificate");
    let (status, lines, errors) = leak.revoke(&proxy.url()).end();
    let last: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    assert!(status.code() == Some(1) && errors.contains(&leak.ids[1]), "{errors}");
    assert_eq!((&last["certificates"], &last["failed"]), (&2.into(), &serde_json::json!([leak.ids[1]])));
    assert_eq!(leak.statuses(), ["REVOKED", "ACTIVE", "REVOKED"]);
    let (status, ..) = leak.revoke(leak.core.url()).end();
    assert!(status.success());
    assert_eq!(leak.statuses(), ["REVOKED"; 3]);
}

/// The data plane takes each question and never answers: the status is changed after the first, and what is not known of
/// the connection is told.
#[test]
fn a_silent_data_plane_does_not_keep_a_status_from_being_changed() {
    let fleet = Fleet::of_one();
    let proxy = Proxy::holding(fleet.core.address(), "/connections/");
    let words = ["revoke", "--thing", "press-1", "--why", "a stolen laptop"];
    let revoke = Process::of(fleet.core.command(&proxy.url(), &words, fleet.path()).spawn().unwrap());
    fleet.wait("the status", || fleet.certificates().iter().all(|(_, status)| status == "REVOKED"));
    let calls = proxy.calls();
    let changed = calls.iter().position(|call| call.what.starts_with("PUT /certificates/")).unwrap();
    let asked = calls[..changed].iter().filter(|call| call.what.contains("/connections/")).count();
    assert!(asked <= 1, "{calls:?}");
    let (status, lines, errors) = revoke.end();
    let last: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    assert!(status.code() == Some(1) && last["still_open"].as_u64() > Some(0), "{last}\n{errors}");
}

/// Whoever stops a leak need not wait for a long list: he waits for the certificate that is being ended, is told for whom,
/// and comes before the next one.
#[test]
fn a_panic_goes_through_while_a_list_is_ended() {
    let leak = Leak::of(3);
    let proxy = Proxy::delaying(leak.core.address(), update_of(&leak.ids[0]));
    let revoke = leak.revoke(&proxy.url());
    proxy.held().recv_timeout(PATIENCE).unwrap();
    let words = ["panic", "claim", "--yes", "--why", "an image on a forum"];
    let panic = leak.core.command(leak.core.url(), &words, leak.fleet.path()).spawn().unwrap();
    let mut panic = Process::of(panic);
    let waiting = panic.event("waiting");
    assert!(waiting["reason"].as_str().unwrap().contains("fleetkey revoke"), "{waiting}");
    proxy.release();
    let (status, _, errors) = panic.end();
    assert!(status.success(), "{errors}");
    let (status, _, errors) = revoke.end();
    assert!(status.success(), "{errors}");
    assert_eq!(leak.statuses(), ["REVOKED"; 3]);
    let done = leak.done();
    let at = |what: &str| done.iter().position(|entry| entry.contains(what)).unwrap();
    let ends = leak.ids.iter().map(|id| at(&format!("revoke certificate {id}"))).collect::<Vec<_>>();
    let stopped = at("disable provisioning template");
    assert!(ends[0] < stopped && stopped < ends[1], "{done:#?}");
}

/// A policy that allows everything.
fn allow_anything(clients: &Clients) {
    let document =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;
    let made = clients.iot.create_policy().policy_name("anything").policy_document(document);
    clients.wait(made.send()).unwrap();
}

/// A certificate of no thing that may connect under any name, in files of the crowd's.
fn of_no_thing(crowd: &Crowd, clients: &Clients, name: &str) -> (String, [std::path::PathBuf; 2]) {
    let made = clients.iot.create_keys_and_certificate().set_as_active(true).send();
    let made = clients.wait(made).unwrap();
    let attach = clients.iot.attach_policy().policy_name("anything").target(made.certificate_arn().unwrap());
    clients.wait(attach.send()).unwrap();
    let keys = made.key_pair().unwrap();
    let files = [made.certificate_pem().unwrap(), keys.private_key().unwrap()];
    let paths = ["cert", "key"].map(|kind| crowd.path().join(format!("{name}.{kind}")));
    paths.iter().zip(files).for_each(|(path, text)| std::fs::write(path, text).unwrap());
    (made.certificate_id().unwrap().to_owned(), paths)
}

/// Under which name a certificate of no thing is in use only the controller has heard: that connection is ended, too, by the
/// order over the API and, from the inventory that it leaves, by the command.
#[test]
fn whoever_was_seen_with_a_certificate_is_cut_whatever_its_name() {
    let crowd = Crowd::none();
    let clients = Clients::of(&crowd.core);
    allow_anything(&clients);
    let made = ["laptop-1", "laptop-2"].map(|name| (name, of_no_thing(&crowd, &clients, name)));
    let serving = || {
        let started = crowd.core.command(crowd.core.url(), &HASTE, crowd.path()).spawn();
        let mut controller = Process::of(started.unwrap());
        let url = controller.event("serving")["url"].as_str().unwrap().to_owned();
        controller.event("ready");
        (controller, url)
    };
    let end = |controller: Process| {
        controller.signal("TERM");
        assert!(controller.end().0.success());
    };
    let (controller, url) = serving();
    inventory_is_taken(&url);
    let api = Api::of(&url, crowd.path(), "admin");

    let open = made.map(|(name, (id, files))| {
        let connection = crowd.runtime.block_on(listener(&crowd, &files, name, "news"));
        until("the controller to hear of it", || {
            api.get(&format!("/certificates/{id}")).to_string().contains(name)
        });
        (id, connection)
    });
    let [(first, _), (second, _)] = &open;
    api.order(&format!("/certificates/{first}/revoke"), "a lost laptop");
    let directory = crowd.path().to_str().unwrap();
    let told = crate::process::run(&["journal", "show", "--about", "laptop-1", "--fleet-dir", directory]).1;
    assert!(told.contains("disconnect") && told.contains("a lost laptop"), "{told}");

    // The next controller has heard of nobody; and what it leaves still tells who was there.
    end(controller);
    end(serving().0);
    let ended = crowd.core.run(&["revoke", second, "--why", "another"], crowd.path()).good();
    let line = ended.lines.iter().find(|line| line["event"] == "certificate").unwrap();
    let [cut] = line["connections"].as_array().unwrap().as_slice() else { panic!("{line}") };
    assert_eq!((&cut["client"], &cut["outcome"]), (&"laptop-2".into(), &"gone".into()), "{line}");
}

/// Nobody is connected when it is looked, and somebody is when the status has changed.
#[test]
fn whoever_connects_while_the_status_changes_is_cut() {
    let crowd = Crowd::none_at(Core::that_cuts_late());
    let clients = Clients::of(&crowd.core);
    allow_anything(&clients);
    let (id, files) = of_no_thing(&crowd, &clients, "press-1");
    clients.wait(clients.iot.create_thing().thing_name("press-1").send()).unwrap();
    let found = clients.wait(clients.iot.describe_certificate().certificate_id(&id).send()).unwrap();
    let arn = found.certificate_description().unwrap().certificate_arn().unwrap();
    clients.wait(clients.iot.attach_thing_principal().thing_name("press-1").principal(arn).send()).unwrap();

    let proxy = Proxy::delaying(crowd.core.address(), update_of(&id));
    let words = ["revoke", &id, "--why", "a stolen laptop"];
    let revoke = Process::of(crowd.core.command(&proxy.url(), &words, crowd.path()).spawn().unwrap());
    proxy.held().recv_timeout(PATIENCE).unwrap();
    let _connection = crowd.runtime.block_on(listener(&crowd, &files, "press-1", "news"));
    proxy.release();
    let (status, lines, errors) = revoke.end();
    assert!(status.success(), "{errors}");
    let mut lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let line = lines.find(|line| line["event"] == "certificate").unwrap();
    let [cut] = line["connections"].as_array().unwrap().as_slice() else { panic!("{line}") };
    assert_eq!((&cut["client"], &cut["outcome"]), (&"press-1".into(), &"gone".into()), "{line}");
}
