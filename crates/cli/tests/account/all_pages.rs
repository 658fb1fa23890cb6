//! All that pages and API of the controller can have done to an account, by one controller, against what
//! `--print-iam --pages` prints.

use aws_sdk_lambda::primitives::Blob;
use fleetkey_operator::archive::zip;
use serde_json::json;

use crate::api::{Api, recovered};
use crate::drift::{change_everything, cut_the_claim_short};
use crate::inventory::{Clients, THEIRS};
use crate::least_privilege::{exact, hang_more_on_it};
use crate::pages::Browser;
use crate::process::Process;
use crate::serve::{Fleet, inventory_is_taken};
use crate::works::{carry_out, ended};

const ROTATION: &str = "CertRotationTemplate-rotate";
const DONE: &[&str] = &["The set-up that session", "done"];

/// Each page and each order of the API, and an account on which set-up finds everything to do: what is printed is what is called.
#[test]
fn what_is_printed_for_all_pages_is_what_they_call() {
    let mut fleet = Fleet::of_one();
    let mut process = Process::of(fleet.serve(fleet.core.url()));
    let serving = process.event("serving");
    let word = |name: &str| serving[name].as_str().unwrap().to_owned();
    let (browser, admin) =
        (Browser::open(&word("dashboard_url")), Api::of(&word("url"), fleet.path(), "admin"));
    process.event("ready");
    inventory_is_taken(&word("url"));

    // A template of another name, which this controller's set-up knows nothing of.
    fleet.core.set_up(&["--template-name", "Other"], fleet.path()).good();
    browser.watch("/setup", &["provisioning template Other", "Carry it out …"]);
    carry_out(&browser, "/setup", "its+name");
    browser.watch("/setup", DONE);
    ask_about_everything(&fleet, &browser);
    decide_everything(&mut fleet, &admin);
    campaign_over_a_group(&fleet, &admin);

    upset(fleet.clients(), &fleet);
    admin.order("/panic/claims", "an image on a forum");
    admin.order("/panic/policies/DevicePolicy", "keys on a forum");
    admin.order("/panic/undo", "they were revoked");
    browser.watch("/setup", &["it differs in body", "Carry it out …"]);
    carry_out(&browser, "/setup", "somebody+changed+it");
    browser.watch("/setup", DONE);

    hang_more_on_it(fleet.clients(), ROTATION);
    browser.watch("/cleanup", &["thing press-1", "Carry it out …"]);
    carry_out(&browser, "/cleanup", "the+end");
    browser.watch("/cleanup", &["looked again: nothing of the fleet is left"]);
    browser.watch("/setup", &["policy ClaimPolicy", "create", "Carry it out …"]);
    carry_out(&browser, "/setup", "a+new+beginning");
    browser.watch("/setup", &["the controller takes up its new identity by itself"]);
    exact(&fleet.core, &["serve", "--pages"], &[ended(process)]);
}

/// What pages ask and change nothing by.
fn ask_about_everything(fleet: &Fleet, browser: &Browser) {
    let id = fleet.certificates().remove(0).0;
    browser.watch("/devices/press-1", &["DevicePolicy", &id]);
    browser.watch("/policies", &["DevicePolicy", "Versions of DevicePolicy"]);
    browser.watch("/policies?thing=press-1&action=iot:Connect", &["Allowed by statement"]);
    browser.watch("/policies/DevicePolicy", &["in effect"]);
    browser.order("/provisioning/hook", "");
    browser.watch("/provisioning", &["as it is to be"]);
}

/// Certificates, recovery windows, and what came of recoveries.
fn decide_everything(fleet: &mut Fleet, admin: &Api) {
    let own = fleet.certificates().remove(0).0;
    // One that is connected: its connection is ended.
    admin.order(&format!("/certificates/{own}/deactivate"), "it was stolen");
    admin.order(&format!("/certificates/{own}/reactivate"), "it was found");
    let opening = json!({ "serials": ["press-9"], "for": 3600, "why": "a flood" });
    let (status, opened) = admin.ask("POST", "/recovery", &opening);
    assert_eq!(status, 200, "{opened}");
    admin.order(&format!("/recovery/{}/close", opened["window"]), "the water is out");
    fleet.stop_agent();
    for verdict in ["approve", "reject"] {
        let id = recovered(fleet.clients());
        let body = json!({ "why": "seen there", "certificate": id });
        let (status, told) = admin.ask("POST", &format!("/things/press-1/{verdict}"), &body);
        assert_eq!(status, 200, "{told}");
    }
}

fn campaign_over_a_group(fleet: &Fleet, admin: &Api) {
    let clients = fleet.clients();
    clients.wait(clients.iot.create_thing_group().thing_group_name("plant").send()).unwrap();
    let join = clients.iot.add_thing_to_thing_group().thing_group_name("plant").thing_name("press-1");
    clients.wait(join.send()).unwrap();
    let draft = json!({ "name": "spring", "why": "yearly", "group": "plant" });
    let (status, told) = admin.ask("POST", "/campaigns", &draft);
    assert_eq!((status, &told["devices"]), (200, &1.into()), "{told}");
    admin.order("/campaigns/spring/abort", "enough");
}

/// Everything that set-up puts right is otherwise than it made it.
fn upset(clients: &Clients, fleet: &Fleet) {
    // The fourth of the five that there is room for.
    let version = clients.iot.create_policy_version().policy_name("DevicePolicy").policy_document(THEIRS);
    clients.wait(version.send()).unwrap();
    change_everything(clients);
    cut_the_claim_short(clients, fleet.path());
    let open = b"def handler(event, context):\n    return {'allowProvisioning': True}\n";
    let code = Blob::new(zip(&[("fleetkey_hook.py", open)]));
    let update = clients.lambda.update_function_code().function_name("fleetkey-hook").zip_file(code);
    clients.wait(update.send()).unwrap();
}
