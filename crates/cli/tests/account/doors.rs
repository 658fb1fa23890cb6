//! Recovery windows and the panic path over the controller's API: what the commands do, in the name of a token.

use std::panic::AssertUnwindSafe;

use serde_json::{Value, json};

use crate::api::{Api, journal, serving};
use crate::process::{PATIENCE, Process};
use crate::proxy::Proxy;
use crate::serve::{Fleet, inventory_is_taken};
use crate::works::end;

const CLAIM: &str = "CertRotationTemplate";
const RECOVERY: &str = "CertRotationTemplate-recover";

fn is_enabled(fleet: &Fleet, template: &str) -> bool {
    let clients = fleet.clients();
    let found = clients.iot.describe_provisioning_template().template_name(template).send();
    clients.wait(found).unwrap().enabled().unwrap()
}

/// A window opened by a script lets its devices in until it is closed, and stands with all others in the answer; while a
/// panic stands none is opened.
#[test]
fn an_admin_opens_and_closes_a_recovery_window_and_the_journal_names_the_token() {
    let fleet = Fleet::of_one();
    let (process, url) = serving(&fleet);
    let (operator, admin) = (Api::of(&url, fleet.path(), "operator"), Api::of(&url, fleet.path(), "admin"));
    let opening = json!({ "serials": ["press-8", "press-9"], "for": 3600, "why": "a flood in hall 3" });
    assert_eq!(operator.ask("POST", "/recovery", &opening).0, 403);
    assert!(!is_enabled(&fleet, RECOVERY));
    let (status, opened) = admin.ask("POST", "/recovery", &opening);
    assert_eq!((status, &opened["devices"], &opened["open"]), (200, &2.into(), &1.into()), "{opened}");
    assert!(is_enabled(&fleet, RECOVERY));
    let windows = operator.get("/recovery");
    let window = &windows["windows"][0];
    assert_eq!((&window["serials"], &window["open"]), (&json!(["press-8", "press-9"]), &true.into()));
    assert_eq!(
        admin.ask("POST", "/recovery", &opening).1["window"],
        opened["window"],
        "prolonged, not doubled"
    );

    assert!(admin.refused("/recovery/7/close", 404).contains('7'));
    let place = format!("/recovery/{}/close", opened["window"]);
    assert_eq!(operator.ask("POST", &place, &json!({ "why": "x" })).0, 403);
    let closed = admin.order(&place, "the water is out");
    assert_eq!((&closed["closed"], &closed["open"]), (&true.into(), &0.into()), "{closed}");
    assert!(!is_enabled(&fleet, RECOVERY));
    assert_eq!(admin.order(&place, "once more")["closed"], false);

    admin.order("/panic/claims", "an image on a forum");
    let (status, told) = admin.ask("POST", "/recovery", &opening);
    assert!(status == 409 && told["message"].as_str().unwrap().contains("a panic stands"), "{told}");
    admin.order("/panic/undo", "another claim");
    end(&fleet, process);
    let told = journal(&fleet, RECOVERY);
    for words in ["a flood in hall 3, says admin (admin) of the API", "the water is out, says admin"] {
        assert!(told.contains(words), "{words}: {told}");
    }
}

/// What has leaked is counted, stopped and restored by a script; a device notices nothing of a claim that is stopped, and
/// is refused while its policy denies everything.
#[test]
fn an_admin_stops_what_has_leaked_and_restores_it_and_the_journal_names_the_token() {
    let fleet = Fleet::of_one();
    let (process, url) = serving(&fleet);
    let (operator, admin) = (Api::of(&url, fleet.path(), "operator"), Api::of(&url, fleet.path(), "admin"));
    let nothing = |told: &Value| {
        ["claims", "templates", "policies"].iter().all(|what| told[what].as_array().unwrap().is_empty())
    };
    assert!(nothing(&operator.get("/panic")));
    operator.refused("/panic/claims", 403);
    let (status, foreseen) = admin.ask("POST", "/panic/claims", &json!({ "why": "x", "dry_run": true }));
    assert_eq!((status, foreseen["certificates"].as_array().unwrap().len()), (200, 1), "{foreseen}");
    assert!(nothing(&operator.get("/panic")) && is_enabled(&fleet, CLAIM), "it was only counted");

    let stopped = admin.order("/panic/claims", "an image on a forum");
    assert_eq!(stopped["stopped"].as_array().unwrap().len(), 2, "{stopped}");
    assert!(stopped["stopped"].as_array().unwrap().iter().all(|step| step["seconds"].is_number()));
    assert!(!is_enabled(&fleet, CLAIM));
    let standing = operator.get("/panic");
    assert_eq!((&standing["templates"], standing["claims"].as_array().unwrap().len()), (&json!([CLAIM]), 1));
    fleet.can_speak(true);
    assert!(admin.refused("/panic/policies/Administrators", 404).contains("none of this fleet's"));
    let stopped = admin.order("/panic/policies/DevicePolicy", "keys on a forum");
    assert!(stopped["stopped"][0]["did"].as_str().unwrap().contains("denies everything"), "{stopped}");
    fleet.can_speak(false);
    assert_eq!(admin.order("/panic/policies/DevicePolicy", "again")["stopped"], json!([]));

    let restored = admin.order("/panic/undo", "they were revoked");
    assert_eq!(restored["restored"].as_array().unwrap().len(), 3, "{restored}");
    assert!(nothing(&operator.get("/panic")) && is_enabled(&fleet, CLAIM));
    fleet.can_speak(true);
    end(&fleet, process);
    assert!(journal(&fleet, "DevicePolicy").contains("keys on a forum, says admin (admin) of the API"));
    assert!(journal(&fleet, CLAIM).contains("an image on a forum, says admin"));
}

/// The account takes its time with an order, and more of them wait: a panic comes next, before all of those, and they find it
/// standing.
#[test]
fn a_panic_comes_before_every_order_that_waits() {
    let fleet = Fleet::of_one();
    let proxy = Proxy::delaying(fleet.core.address(), "/provisioning-templates/CertRotationTemplate-recover");
    let mut process = Process::of(fleet.serve(&proxy.url()));
    let url = process.event("serving")["url"].as_str().unwrap().to_owned();
    process.event("ready");
    inventory_is_taken(&url);
    let admin = Api::of(&url, fleet.path(), "admin");
    let open = |serial: usize| {
        let body = json!({ "serials": [format!("press-{serial}")], "for": 3600, "why": "a flood" });
        admin.ask("POST", "/recovery", &body)
    };
    let body = json!({ "why": "an image on a forum" });
    std::thread::scope(|scope| {
        let first = scope.spawn(|| open(1));
        proxy.held().recv_timeout(PATIENCE).unwrap();
        let waiting: Vec<_> = (2..12).map(|serial| scope.spawn(move || open(serial))).collect();
        let panic = scope.spawn(|| admin.ask("POST", "/panic/claims", &body));
        let next = fleet.path().join("operator/.lock.next");
        let is_next = || std::fs::File::open(&next).is_ok_and(|file| file.try_lock().is_err());
        let waited = std::panic::catch_unwind(AssertUnwindSafe(|| {
            fleet.wait("the panic to be next at the fleet directory", is_next);
        }));
        // Whatever came of it: those who wait are waited for.
        proxy.release();
        waited.unwrap();
        let (status, opened) = first.join().unwrap();
        assert_eq!(status, 200, "{opened}");
        let (status, stopped) = panic.join().unwrap();
        assert_eq!((status, stopped["stopped"].as_array().unwrap().len()), (200, 3), "{stopped}");
        for order in waiting {
            let (status, told) = order.join().unwrap();
            assert!(status >= 400 && told["message"].as_str().unwrap().contains("a panic stands"), "{told}");
        }
    });
    end(&fleet, process);
}
