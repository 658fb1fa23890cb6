//! Set-up and clean-up that are ordered from a page of the controller's dashboard, and the hook's test.

use std::collections::BTreeSet;

use fleetkey_operator::archive::zip;

use crate::core::Outcome;
use crate::least_privilege::within;
use crate::pages::{Browser, shown};
use crate::process::{PATIENCE, Process};
use crate::proxy::Proxy;
use crate::serve::Fleet;

const TEMPLATE: &str = "CertRotationTemplate";

/// The page before the order, with the plan that it shows.
fn mark(browser: &Browser, path: &str) -> String {
    let asked = browser.send("POST", path);
    let value = asked.split("name=\"plan\" value=\"").nth(1).unwrap_or_else(|| panic!("{asked}"));
    value.split('"').next().unwrap().to_owned()
}

pub(crate) fn carry_out(browser: &Browser, path: &str, why: &str) {
    let mark = mark(browser, path);
    browser.order(path, &format!("confirm=yes&plan={mark}&why={why}&fleet=default"));
}

/// A controller behind a proxy, and a browser that its link has let in, whether the controller gets ready or not.
pub(crate) fn behind(fleet: &Fleet, url: &str) -> (Process, Browser) {
    let mut process = Process::of(fleet.serve(url));
    let link = process.event("serving")["dashboard_url"].as_str().unwrap().to_owned();
    (process, Browser::open(&link))
}

/// Closes or opens a template behind our back.
fn set_template(fleet: &Fleet, name: &str, enabled: bool) {
    let update = fleet.clients().iot.update_provisioning_template().template_name(name).enabled(enabled);
    fleet.clients().wait(update.send()).unwrap();
}

fn is_open(fleet: &Fleet) -> bool {
    let template = fleet.clients().iot.describe_provisioning_template().template_name(TEMPLATE);
    fleet.clients().wait(template.send()).unwrap().enabled().unwrap()
}

/// Ends a controller; what it has said.
pub(crate) fn ended(process: Process) -> Outcome {
    process.signal("TERM");
    let (status, lines, errors) = process.end();
    assert!(status.success(), "{errors}");
    let lines = lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    Outcome { code: 0, lines, errors }
}

/// Ends a controller; what it has called, which is no more than all pages together may call.
pub(crate) fn end(fleet: &Fleet, process: Process) -> BTreeSet<String> {
    let run = ended(process);
    within(&fleet.core, &["serve", "--pages"], &run);
    run.calls()
}

/// What differs is put right as the plan says, in the name of whoever ordered it; where the account has changed since the plan
/// was made, nothing is done.
#[test]
fn an_operator_sets_the_fleet_up_again_from_the_page() {
    let fleet = Fleet::of_one();
    set_template(&fleet, TEMPLATE, false);
    let (process, browser) = shown(&fleet);
    browser.watch("/setup", &["it differs in enabled", "Carry it out …"]);
    let stale = mark(&browser, "/setup");
    set_template(&fleet, "CertRotationTemplate-recover", true);
    browser.order("/setup", &format!("confirm=yes&plan={stale}&why=it+was+closed"));
    browser.watch("/setup", &["not finished", "the account has changed since the plan was made"]);
    assert!(!is_open(&fleet), "nothing was done");

    browser.watch("/setup", &["2 steps change", "Carry it out …"]);
    carry_out(&browser, "/setup", "it+was+closed");
    browser.watch("/setup", &["The set-up that session", "done", "2 made or changed", "steps keep"]);
    assert!(is_open(&fleet));
    let entry = "because it was closed, says session";
    browser.watch("/journal", &["provisioning template CertRotationTemplate", "change", entry]);
    let settled = browser.send("POST", "/setup");
    assert!(settled.contains("There is nothing to do"), "{settled}");
    end(&fleet, process);
    fleet.core.run(&["status"], fleet.path()).good();
}

/// Pages go on while a fleet is removed, and nothing else is changed meanwhile. Killed in the middle, the next controller plans
/// what is left, and the same page brings it to its end, and back.
#[test]
fn a_clean_up_that_was_killed_halfway_is_planned_again_and_finished() {
    let fleet = Fleet::of_one();
    let proxy = Proxy::holding(fleet.core.address(), "DELETE /policies/ClaimPolicy");
    let (process, browser) = behind(&fleet, &proxy.url());
    browser.watch("/cleanup", &["thing press-1", "Carry it out …"]);
    let mark = mark(&browser, "/cleanup");
    let form = format!("confirm=yes&plan={mark}&why=the+end&fleet=Default");
    let refused = browser.send_form("POST", "/cleanup", &form);
    assert!(refused.starts_with("HTTP/1.1 400") && refused.contains("Type the name"), "{refused}");
    carry_out(&browser, "/cleanup", "the+end");
    proxy.held().recv_timeout(PATIENCE).unwrap();
    let page = browser.watch("/cleanup", &["under way", "Now: ", "ClaimPolicy"]);
    assert!(!page.contains("Carry it out"), "{page}");
    let other = browser.send("POST", "/provisioning/hook");
    assert!(other.starts_with("HTTP/1.1 409") && other.contains("a clean-up is under way"), "{other}");
    process.signal("KILL");
    assert!(!process.end().0.success());

    let (mut process, browser) = behind(&fleet, fleet.core.url());
    let left = browser.watch("/cleanup", &["policy ClaimPolicy", "role fleetkey-hook", "Carry it out …"]);
    assert!(!left.contains("thing press-1") && !left.contains("topic rule"), "{left}");
    carry_out(&browser, "/cleanup", "the+end");
    browser.watch(
        "/cleanup",
        &["looked again: nothing of the fleet is left", "has no identity of its own any more"],
    );
    let clients = fleet.clients();
    let (policies, things) = clients.wait(async {
        let policies = clients.iot.list_policies().send().await.unwrap();
        (policies.policies().len(), clients.iot.list_things().send().await.unwrap().things().len())
    });
    assert_eq!((policies, things), (0, 0));

    browser.watch("/setup", &["policy ClaimPolicy", "create", "Carry it out …"]);
    carry_out(&browser, "/setup", "a+new+beginning");
    browser.watch("/setup", &["the controller takes up its new identity by itself"]);
    process.event("ready");
    end(&fleet, process);
    fleet.core.run(&["status"], fleet.path()).good();
}

/// A tab that is closed while the account takes its time: the order comes to its end, with its place in the journal and on the
/// pages, and nothing else is done to the fleet before.
#[test]
fn an_order_is_finished_and_told_of_although_its_tab_was_closed() {
    let fleet = Fleet::of_one();
    let proxy = Proxy::delaying(fleet.core.address(), "PUT /certificates/");
    let (process, browser) = behind(&fleet, &proxy.url());
    let id = fleet.certificates().remove(0).0;
    browser.watch("/devices/press-1", &["Deactivate …", "DevicePolicy"]);
    let place = format!("/devices/press-1/certificates/{id}");
    let form = "confirm=yes&why=it+was+stolen";
    let tab = browser.begin("POST", &format!("{place}/deactivate"), form);
    proxy.held().recv_timeout(PATIENCE).unwrap();
    drop(tab);
    // It waits for its turn: two at once would find the fleet's directory taken.
    let next = browser.begin("POST", &format!("{place}/revoke"), "confirm=yes&why=for+good");
    assert_eq!(fleet.certificates(), [(id.clone(), "ACTIVE".to_owned())]);
    proxy.release();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut { next }, &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
    browser.watch("/devices/press-1", &["was made INACTIVE by session", "was made REVOKED by session"]);
    browser.watch("/journal", &["because it was stolen, says session", "because for good, says session"]);
    assert_eq!(fleet.certificates(), [(id, "REVOKED".to_owned())]);
    end(&fleet, process);
}

/// The account takes its time with what a page wants to know: a certificate is decided of meanwhile, from a page and by the
/// command, and a panic needs no turn either.
#[test]
fn an_order_does_not_wait_for_what_a_page_reads() {
    let fleet = Fleet::of_one();
    let id = fleet.certificates().remove(0).0;
    let question = "/policies?thing=press-1&action=iot:Connect";
    for ((first, there), page, line, told) in [
        (("/devices", "press-1"), "/cleanup", "GET /thing-groups/", "thing press-1"),
        (("/devices", "press-1"), "/setup", "GET /policies/ClaimPolicy", "policy DevicePolicy"),
        // Asked once the policies are there.
        (("/policies", "DevicePolicy"), question, "POST /effective-policies", "Allowed by statement"),
    ] {
        let proxy = Proxy::delaying(fleet.core.address(), line);
        let (process, browser) = behind(&fleet, &proxy.url());
        browser.watch("/devices", &["press-1", "1 device"]);
        browser.watch(first, &[there]);
        let asked = browser.send("GET", page);
        proxy.held().recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("{page}: {error}: {asked}"));
        for (verb, status) in [("deactivate", "INACTIVE"), ("reactivate", "ACTIVE")] {
            let place = format!("/devices/press-1/certificates/{id}/{verb}");
            browser.order(&place, "confirm=yes&why=it+was+stolen");
            assert_eq!(fleet.certificates(), [(id.clone(), status.to_owned())], "{page}");
        }
        fleet.core.run(&["panic", "claim", "--yes", "--why", "an image"], fleet.path()).good();
        fleet.core.run(&["panic", "undo", "--yes", "--why", "revoked"], fleet.path()).good();
        proxy.release();
        browser.watch(page, &[told]);
        end(&fleet, process);
    }
}

/// A look at the clean-up asks nothing about a single device. What has come in since is found when it is carried out: nothing is
/// done then, and the page shows what would go.
#[test]
fn a_clean_up_removes_no_more_than_its_page_has_shown() {
    let fleet = Fleet::of_one();
    let proxy = Proxy::refusing(fleet.core.address(), "GET /things/press-1", "iot:DescribeThing");
    let (process, browser) = behind(&fleet, &proxy.url());
    browser.watch("/cleanup", &["thing press-1", "Carry it out …"]);
    end(&fleet, process);

    let (process, browser) = behind(&fleet, fleet.core.url());
    browser.watch("/cleanup", &["thing press-1", "Carry it out …", "each device is looked at first"]);
    let mark = mark(&browser, "/cleanup");
    fleet.core.provision("press-2", fleet.path());
    browser.order("/cleanup", &format!("confirm=yes&plan={mark}&why=the+end&fleet=default"));
    let page = browser.watch("/cleanup", &["not finished", "the account has changed", "thing press-2"]);
    assert!(page.contains("thing press-1"), "{page}");
    let clients = fleet.clients();
    let things = clients.wait(clients.iot.list_things().send()).unwrap().things().len();
    assert_eq!(things, 2, "nothing was done");
    fleet.can_speak(true);
    end(&fleet, process);
}

/// Who is in a group is a list of many pages: where the account is throttled, whoever asks waits for it, and nobody is told that
/// something is missing of IAM.
#[test]
fn a_list_that_is_throttled_is_waited_for() {
    let fleet = Fleet::of_one();
    let proxy = Proxy::throttling(fleet.core.address(), "recursive=", 4);
    let (process, browser) = behind(&fleet, &proxy.url());
    let draft = "name=spring&why=yearly&group=fleet-devices";
    let asked = browser.send_form("POST", "/campaigns", draft);
    assert!(asked.contains("1 device would be told to rotate"), "{asked}");
    let lists = || proxy.calls().iter().filter(|call| call.what.contains("recursive=")).count();
    assert_eq!(lists(), 5, "{:?}", proxy.calls());
    browser.watch("/cleanup", &["thing press-1", "Look again"]);
    assert_eq!(lists(), 6);
    browser.send("GET", "/cleanup");
    browser.order("/cleanup", "look=anew");
    assert_eq!(lists(), 6, "it is kept, and one of just now is not drawn again");
    end(&fleet, process);
}

/// Two requests that it must allow and two that it must refuse; a function that somebody has put in its place is found out.
#[test]
fn an_operator_puts_the_hook_to_the_test() {
    let fleet = Fleet::of_one();
    let (process, browser) = shown(&fleet);
    browser.order("/provisioning/hook", "");
    let page = browser.send("GET", "/provisioning");
    for words in
        ["as it is to be", "which is on the list", "122 characters", "another&#39;s thing", "refused"]
    {
        assert!(page.contains(words) || page.contains(&words.replace("&#39;", "'")), "{words}: {page}");
    }
    let open = b"def handler(event, context):\n    return {'allowProvisioning': True}\n";
    let code = aws_sdk_lambda::primitives::Blob::new(zip(&[("fleetkey_hook.py", open)]));
    let update = fleet.clients().lambda.update_function_code().function_name("fleetkey-hook").zip_file(code);
    fleet.clients().wait(update.send()).unwrap();
    browser.order("/provisioning/hook", "");
    browser.watch("/provisioning", &["not as it is to be"]);
    end(&fleet, process);
}

/// "Why was it denied?" is answered from the account, by the statement that decides or nearly does.
#[test]
fn an_operator_asks_why_something_was_denied() {
    let fleet = Fleet::of_one();
    let (process, browser) = shown(&fleet);
    browser.watch("/policies", &["DevicePolicy", "ClaimPolicy", "iot:Connection.Thing.IsAttached"]);
    let ask = "/policies?thing=press-1&action=iot:";
    browser.watch(&format!("{ask}Connect"), &["allowed", "Allowed by statement", "client/press-1"]);
    let elsewhere = format!("{ask}Publish&topic=device/press-2/x");
    browser.watch(&elsewhere, &["denied implicitly", "Closest", "1 document looked at"]);
    browser.watch("/devices/press-1/policies", &["1 policy document counted", "DevicePolicy", "press-1"]);
    let nobody = browser.send("GET", "/policies?thing=press-9&action=iot:Connect");
    assert!(nobody.starts_with("HTTP/1.1 400") && nobody.contains("there is no device press-9"), "{nobody}");
    end(&fleet, process);
}

/// Every version of the fleet's own policies, and what changed from one to another; nobody else's.
#[test]
fn an_operator_looks_at_the_versions_of_a_policy() {
    let fleet = Fleet::of_one();
    let (process, browser) = shown(&fleet);
    let clients = fleet.clients();
    let current = clients.wait(clients.iot.get_policy().policy_name("DevicePolicy").send()).unwrap();
    let changed = current.policy_document().unwrap().replace("device/", "elsewhere/");
    let version = clients.iot.create_policy_version().policy_name("DevicePolicy").policy_document(changed);
    clients.wait(version.set_as_default(true).send()).unwrap();
    let theirs = clients.iot.create_policy().policy_name("Theirs");
    let theirs = theirs.policy_document(current.policy_document().unwrap()).send();
    clients.wait(theirs).unwrap();

    browser.watch("/policies", &["DevicePolicy", "2 versions", "Versions of DevicePolicy"]);
    let page =
        browser.watch("/policies/DevicePolicy", &["Version 2, in effect", "elsewhere/", "not in effect"]);
    assert!(page.contains("new, ") && page.contains("+ ") && page.contains("ago"), "{page}");
    let page = browser.send("GET", "/policies/DevicePolicy?to=1");
    assert!(page.contains("There is no version before it") && !page.contains("elsewhere/"), "{page}");
    for name in ["Theirs", "Nobodys"] {
        let page = browser.send("GET", &format!("/policies/{name}"));
        assert!(page.starts_with("HTTP/1.1 404"), "{page}");
    }
    let calls = end(&fleet, process);
    assert!(calls.contains("iot:GetPolicyVersion"), "{calls:?}");
}

/// Whoever may not is told which action of IAM is missing, and where to get all of them.
#[test]
fn what_the_account_does_not_allow_is_told_with_the_action_that_is_missing() {
    let fleet = Fleet::of_one();
    let proxy = Proxy::refusing(fleet.core.address(), "/invocations", "lambda:InvokeFunction");
    let (process, browser) = behind(&fleet, &proxy.url());
    browser.order("/provisioning/hook", "");
    let missing = ["no verdict", "not authorized to perform: lambda:InvokeFunction", "--print-iam --pages"];
    browser.watch("/provisioning", &missing);
    end(&fleet, process);

    set_template(&fleet, TEMPLATE, false);
    let proxy = Proxy::refusing(
        fleet.core.address(),
        "PATCH /provisioning-templates/CertRotationTemplate",
        "iot:UpdateProvisioningTemplate",
    );
    let (process, browser) = behind(&fleet, &proxy.url());
    browser.watch("/setup", &["it differs in enabled", "Carry it out …"]);
    carry_out(&browser, "/setup", "it+was+closed");
    let missing = ["not finished", "to perform: iot:UpdateProvisioningTemplate", "--print-iam --pages"];
    browser.watch("/setup", &missing);
    assert!(!is_open(&fleet));
    end(&fleet, process);
}

/// A device's page says why it cannot show what its certificate says of itself, and is not left waiting; its file is no empty one.
#[test]
fn a_certificate_that_may_not_be_looked_at_is_told_with_the_action_that_is_missing() {
    let fleet = Fleet::of_one();
    let proxy = Proxy::refusing(fleet.core.address(), "POST /attached-policies/", "iot:ListAttachedPolicies");
    let (process, browser) = behind(&fleet, &proxy.url());
    let missing =
        ["the account does not tell", "not authorized to perform: iot:ListAttachedPolicies", "--print-iam"];
    let page = browser.watch("/devices/press-1", &missing);
    assert!(!page.contains("being asked") && page.contains("not told yet"), "{page}");
    let id = fleet.certificates().remove(0).0;
    let file = browser.send("GET", &format!("/devices/press-1/certificates/{id}"));
    assert!(file.starts_with("HTTP/1.1 503") && file.contains("ListAttachedPolicies"), "{file}");
    end(&fleet, process);

    let (process, browser) = behind(&fleet, fleet.core.url());
    browser.watch("/devices/press-1", &["The account told it", "DevicePolicy", "Serial number"]);
    end(&fleet, process);
}
