//! The controller's API as a script sees it: a token, JSON, and the journal that names the token.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::OnceLock;

use aws_sdk_iot::types::AttributePayload;
use fleetkey_operator::documents::RECOVERED_ATTRIBUTE;
use serde_json::{Value, json};

use crate::described::Description;
use crate::inventory::Clients;
use crate::process::Process;
use crate::proxy::Proxy;
use crate::serve::{Fleet, inventory_is_taken};

/// The API of a controller, with one token.
pub(crate) struct Api {
    address: String,
    token: String,
    /// What it says of its answers; all of them are held to it.
    described: OnceLock<Description>,
}

impl Api {
    /// With a new token of this role, which bears the role's name.
    pub(crate) fn of(url: &str, fleet: &Path, role: &str) -> Self {
        let made = ["token", "create", "--name", role, "--role", role, "--json", "--fleet-dir"];
        let (code, told, errors) =
            crate::process::run(&[made.as_slice(), &[fleet.to_str().unwrap()]].concat());
        assert_eq!(code, 0, "{errors}");
        let token = serde_json::from_str::<Value>(&told).unwrap()["token"].as_str().unwrap().to_owned();
        Self { address: url.trim_start_matches("http://").to_owned(), token, described: OnceLock::new() }
    }

    /// HTTP status and body.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let (status, told) = self.send(method, path, body);
        let described =
            self.described.get_or_init(|| Description::of(self.send("GET", "/openapi.json", &Value::Null).1));
        described.hold(method, path, status, &told);
        (status, told)
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        write!(
            stream,
            "{method} /api/v1{path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            self.address,
            self.token,
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, told) = self.ask("GET", path, &Value::Null);
        assert!(status == 200 || status == 404, "{path}: {status} {told}");
        told
    }

    /// Orders something, for a reason, and is obeyed.
    #[track_caller]
    pub(crate) fn order(&self, path: &str, why: &str) -> Value {
        let (status, told) = self.ask("POST", path, &json!({ "why": why }));
        assert_eq!(status, 200, "{path}: {told}");
        told
    }

    /// Orders something, for a reason, and is refused: in words.
    #[track_caller]
    pub(crate) fn refused(&self, path: &str, expected: u16) -> String {
        let (status, told) = self.ask("POST", path, &json!({ "why": "to try" }));
        assert_eq!(status, expected, "{path}: {told}");
        told["message"].as_str().unwrap().to_owned()
    }
}

pub(crate) fn journal(fleet: &Fleet, about: &str) -> String {
    let directory = fleet.path().to_str().unwrap();
    crate::process::run(&["journal", "show", "--about", about, "--fleet-dir", directory]).1
}

pub(crate) fn serving(fleet: &Fleet) -> (Process, String) {
    let mut process = Process::of(fleet.serve(fleet.core.url()));
    let url = process.event("serving")["url"].as_str().unwrap().to_owned();
    process.event("ready");
    inventory_is_taken(&url);
    (process, url)
}

/// A script counts a campaign, begins it, follows it to its end, pauses, resumes and aborts another, and has one device
/// rotate; the journal has each of it in the token's name.
#[test]
fn a_script_runs_campaigns_and_the_journal_names_its_token() {
    let mut fleet = Fleet::of_one();
    fleet.core.provision("press-2", fleet.path());
    let (process, url) = serving(&fleet);
    let (operator, auditor) =
        (Api::of(&url, fleet.path(), "operator"), Api::of(&url, fleet.path(), "auditor"));
    assert_eq!(auditor.get("/campaigns"), json!({ "campaigns": [] }));
    let first = auditor.get("/things?thing=press-*&limit=1");
    let second = auditor.get("/things?after=press-1");
    assert_eq!((&first["rows"][0]["thing"], &first["next"]), (&"press-1".into(), &"press-1".into()));
    assert_eq!((&second["rows"][0]["thing"], &second["next"]), (&"press-2".into(), &Value::Null));
    let start = |draft: &Value| operator.ask("POST", "/campaigns", draft);
    let spring = json!({ "name": "spring", "why": "yearly", "thing": "press-1" });
    let mut dry = spring.clone();
    dry["dry_run"] = true.into();
    let foreseen = json!({
        "campaign": "spring", "dry_run": true, "devices": 1, "waves": [1], "left_out": [],
        "rate": 60, "account_rate": 300, "account_rate_told": true,
    });
    assert_eq!(start(&dry), (200, foreseen));
    assert_eq!(auditor.get("/campaigns"), json!({ "campaigns": [] }), "nothing was begun");
    assert_eq!(auditor.ask("POST", "/campaigns", &spring).0, 403);
    for (draft, words) in [
        (json!({ "name": "x", "why": "y", "thing": "nobody" }), "no device was selected"),
        (json!({ "name": "x", "why": "y", "thing": "*", "window": "noon" }), "22:00-04:30"),
        (json!({ "name": "x", "why": "y", "thing": "*", "rate": 30_001 }), "commands a minute"),
        (json!({ "name": "x", "why": "y", "things": ["press-1", "press-7"] }), "press-7"),
        (json!({ "name": "x", "why": "y", "group": "nowhere" }), "nowhere"),
    ] {
        let (status, told) = start(&draft);
        assert!(status == 400 && told["message"].as_str().unwrap().contains(words), "{draft}: {told}");
    }

    assert_eq!(start(&spring).0, 200);
    let new = fleet.committed();
    fleet.wait("spring", || auditor.get("/campaigns/spring")["mode"] == "done");
    let stands = auditor.get("/campaigns/spring");
    assert_eq!((&stands["counts"]["rotated"], &stands["pace"]["tries"]), (&1.into(), &2.into()), "{stands}");
    fleet.only_is_left(&new);
    assert_eq!(start(&spring).0, 409, "its name is taken");
    fleet.wait("the state", || auditor.get("/things/press-1")["state"] == "Ready");
    let connected = auditor.get("/things?connected=true");
    let rows: Vec<_> = connected["rows"].as_array().unwrap().iter().collect();
    assert_eq!(rows.len(), 1, "of the other nothing was heard: {connected}");
    let told = ["thing", "in_use", "attested", "state"].map(|column| rows[0][column].as_str().unwrap());
    assert_eq!(told, ["press-1", &new, &new, "Ready"]);
    fleet.wait("the history", || {
        let history = auditor.get("/things/press-1/history");
        let steps = || history["history"].as_array().unwrap().iter().map(|step| &step["what"]);
        let whats = ["registered", "command rotate", "attested", "deactivate", "revoke", "delete"];
        whats.into_iter().all(|what| steps().any(|step| step == what))
    });
    assert_eq!(auditor.ask("GET", "/things/nobody/history", &Value::Null).0, 404);

    // Its agent does not run.
    assert_eq!(start(&json!({ "name": "winter", "why": "yearly", "things": ["press-2"] })).0, 200);
    assert!(operator.order("/campaigns/winter/pause", "rain")["done"].as_str().unwrap().contains("paused"));
    let paused = auditor.get("/campaigns/winter");
    assert_eq!(
        (&paused["mode"], &paused["why"]),
        (&"paused".into(), &"rain, says operator (operator) of the API".into())
    );
    assert!(operator.refused("/campaigns/winter/pause", 409).contains("paused"));
    operator.order("/campaigns/winter/resume", "sun");
    operator.order("/campaigns/winter/abort", "enough");
    assert!(operator.refused("/campaigns/winter/resume", 409).contains("aborted"));
    assert!(operator.refused("/campaigns/autumn/abort", 404).contains("autumn"));
    assert_eq!(auditor.get("/campaigns")["campaigns"][0]["campaign"], "winter", "the newest first");

    assert_eq!(operator.order("/things/press-1/rotate", "a test")["told"], true);
    let newer = fleet.committed();
    fleet.only_is_left(&newer);
    operator.refused("/things/nobody/rotate", 404);
    process.signal("TERM");
    assert!(process.end().0.success());
    let told = journal(&fleet, "winter");
    for action in ["campaign start", "campaign pause", "campaign resume", "campaign abort"] {
        assert!(told.contains(action), "{action}: {told}");
    }
    assert!(told.contains("sun, says operator (operator) of the API"), "{told}");
    assert!(journal(&fleet, "press-1").contains("a test, says operator (operator) of the API"));
}

/// An admin takes a certificate out of use, gives it back, and ends it; an operator may not. The account and the journal
/// have it at once, and what cannot be is refused.
#[test]
fn an_admin_ends_certificates_and_the_journal_names_the_token() {
    let fleet = Fleet::of_one();
    let (process, url) = serving(&fleet);
    let (operator, admin) = (Api::of(&url, fleet.path(), "operator"), Api::of(&url, fleet.path(), "admin"));
    let id = fleet.certificates().remove(0).0;
    let place = format!("/certificates/{id}");
    let stands = |status: &str| {
        assert_eq!(fleet.certificates(), [(id.clone(), status.to_owned())]);
        assert_eq!(admin.get(&place)["status"], status);
    };
    operator.refused(&format!("{place}/deactivate"), 403);
    stands("ACTIVE");
    let told = admin.order(&format!("{place}/deactivate"), "it was stolen");
    assert_eq!((&told["status"], &told["thing"]), (&"INACTIVE".into(), &"press-1".into()), "{told}");
    stands("INACTIVE");
    admin.order(&format!("{place}/deactivate"), "once more");
    admin.order(&format!("{place}/reactivate"), "it was found");
    stands("ACTIVE");
    admin.order(&format!("{place}/revoke"), "it was scrapped");
    stands("REVOKED");
    assert!(admin.refused(&format!("{place}/reactivate"), 409).contains("REVOKED"));
    admin.refused(&format!("/certificates/{}/revoke", "0".repeat(64)), 404);
    let own = admin.get("/certificates?status=ACTIVE&limit=10");
    let own = own["rows"].as_array().unwrap().iter().find(|row| row["part"] == "own").unwrap();
    let own = format!("/certificates/{}/revoke", own["certificate"].as_str().unwrap());
    assert!(admin.refused(&own, 409).contains("the operator's own"));

    let lines = |place: &str| {
        let told = admin.get(place);
        let lines = told["lines"].as_array().unwrap();
        lines.iter().map(|line| line.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let of_it =
        |line: &String| line.contains(&id) && line.contains("it was scrapped, says admin (admin) of the API");
    let all = lines("/journal?of=setup&limit=1000");
    let at = all.iter().position(of_it).expect("set-up's journal has what the API was ordered");
    assert_eq!(lines(&format!("/journal?of=setup&after={at}&limit=1")), all[at..=at]);
    assert!(!lines("/journal?limit=1000").iter().any(of_it), "the controller's has its own");

    process.signal("TERM");
    assert!(process.end().0.success());
    let told = journal(&fleet, &id);
    for words in ["deactivate", "reactivate", "revoke", "it was scrapped, says admin (admin) of the API"] {
        assert!(told.contains(words), "{words}: {told}");
    }
}

/// Somebody recovers as the device, as the account sees it: with which certificate.
pub(crate) fn recovered(clients: &Clients) -> String {
    let made = clients.iot.create_keys_and_certificate().set_as_active(true).send();
    let made = clients.wait(made).unwrap();
    let (id, arn) = (made.certificate_id().unwrap(), made.certificate_arn().unwrap());
    let attach = clients.iot.attach_thing_principal().thing_name("press-1").principal(arn);
    clients.wait(attach.send()).unwrap();
    let attributes = AttributePayload::builder().attributes(RECOVERED_ATTRIBUTE, id).merge(true).build();
    let mark = clients.iot.update_thing().thing_name("press-1").attribute_payload(attributes);
    clients.wait(mark.send()).unwrap();
    id.to_owned()
}

/// Somebody has recovered as a device, as the thing's mark says. An admin decides, on the very certificate that they have
/// seen: approved, the mark goes and nothing else; rejected, what came of it is revoked.
#[test]
fn an_admin_decides_on_recoveries_and_the_journal_names_the_token() {
    let mut fleet = Fleet::of_one();
    // Approved, it would rotate, and the controller retire what is older.
    fleet.stop_agent();
    let clients = fleet.clients();
    let own = fleet.certificates().remove(0).0;
    let marked = || {
        let thing = clients.wait(clients.iot.describe_thing().thing_name("press-1").send()).unwrap();
        thing.attributes().is_some_and(|all| all.contains_key(RECOVERED_ATTRIBUTE))
    };
    let first = recovered(clients);
    let (process, url) = serving(&fleet);
    let (operator, admin) = (Api::of(&url, fleet.path(), "operator"), Api::of(&url, fleet.path(), "admin"));
    let waits = |id: &str| json!([{ "thing": "press-1", "certificate": id }]);
    assert_eq!(operator.get("/recovery")["waiting"], waits(&first));
    let decide = |verdict: &str, id: &str| {
        let body = json!({ "why": "seen there", "certificate": id });
        admin.ask("POST", &format!("/things/press-1/{verdict}"), &body)
    };
    let other = decide("approve", &own);
    assert!(other.0 == 409 && other.1["message"].as_str().unwrap().contains(&first), "{other:?}");
    assert!(marked());
    let (status, told) = decide("approve", &first);
    assert_eq!((status, &told["certificate"], &told["revoked"]), (200, &first.clone().into(), &0.into()));
    assert!(!marked());
    assert_eq!(decide("approve", &first).0, 409, "nothing waits any more");

    let second = recovered(clients);
    let (status, told) = decide("reject", &second);
    assert_eq!((status, &told["certificate"]), (200, &second.clone().into()), "{told}");
    assert!(!marked() && fleet.certificates().contains(&(second.clone(), "REVOKED".to_owned())));
    assert!(fleet.certificates().contains(&(own, "ACTIVE".to_owned())));

    process.signal("TERM");
    assert!(process.end().0.success());
    for (id, word) in [(first, "approve"), (second, "reject")] {
        let told = journal(&fleet, &id);
        let words = [word, "seen there, says admin (admin) of the API"];
        assert!(words.iter().all(|words| told.contains(words)), "{told}");
    }
}

/// The account refuses to cut a connection: whoever ordered it reads that it may be open, and why, not that all is done.
#[test]
fn a_connection_that_cannot_be_cut_is_told_with_the_reason() {
    let fleet = Fleet::of_one();
    let proxy = Proxy::refusing(fleet.core.address(), "DELETE /connections/", "iot:DeleteConnection");
    let mut process = Process::of(fleet.serve(&proxy.url()));
    let url = process.event("serving")["url"].as_str().unwrap().to_owned();
    process.event("ready");
    inventory_is_taken(&url);
    let admin = Api::of(&url, fleet.path(), "admin");
    let reason = "not authorized to perform: iot:DeleteConnection";

    let body = json!({ "why": "an image", "clients": ["press-1"] });
    let (status, stopped) = admin.ask("POST", "/panic/claims", &body);
    assert_eq!(status, 200, "{stopped}");
    let cut = &stopped["connections"][0];
    assert_eq!((&cut["client"], &cut["outcome"]), (&"press-1".into(), &"uncut".into()), "{stopped}");
    assert!(cut["reason"].as_str().unwrap().contains(reason), "{stopped}");

    // The device is connected still: nobody has cut it.
    let id = fleet.certificates().remove(0).0;
    let told = admin.order(&format!("/certificates/{id}/deactivate"), "it was stolen");
    let done = told["done"].as_str().unwrap();
    assert!(done.contains("may still be open") && done.contains(reason), "{done}");
    process.signal("TERM");
    assert!(process.end().0.success());
}
