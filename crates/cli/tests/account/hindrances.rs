//! What keeps the controller from its work stands on the first page of its dashboard, and goes when that does.

use crate::cable::Cable;
use crate::pages::{Browser, shown};
use crate::process::Process;
use crate::proxy::Proxy;
use crate::serve::{Fleet, get, inventory_is_taken};
use crate::works::end;

/// While nothing is heard, nothing is all clear: the page says since when, in the words of `/readyz`. Of whom was not heard, it
/// does not say that they are not connected.
#[test]
fn a_controller_that_has_lost_the_broker_says_so_until_it_hears_again() {
    let mut fleet = Fleet::of_one();
    let cable = Cable::before(fleet.path());
    let mut process = Process::of(fleet.serve(fleet.core.url()));
    let url = process.event("serving")["url"].as_str().unwrap().to_owned();
    let browser = Browser::open(process.event("ready")["dashboard_url"].as_str().unwrap());
    inventory_is_taken(&url);
    browser.watch("/", &["all clear", "connected, none observed</dt><dd>–</dd>", "<h2 id=\"glance-head\">"]);
    assert!(browser.send("GET", "/devices").contains("not observed"), "as in the table");
    fleet.stop_agent();
    fleet.start_agent();
    browser.watch("/", &["all clear", "connected</dt><dd>1</dd>"]);

    cable.cut();
    let words = "not connected to the broker: nothing is heard, and nothing new is retired";
    let page = browser.watch("/", &[words, "critical", " ago</time>"]);
    assert!(!page.contains("all clear"), "{page}");
    let (status, body) = get(&url, "/readyz");
    assert!(status.contains("503") && body.contains(words), "{status} {body}");
    let page = browser.watch("/findings", &[words, "1 finding", "What to do", "Since"]);
    assert!(!page.contains("all clear"), "{page}");

    cable.mend();
    browser.watch("/", &["all clear"]);
    browser.watch("/findings", &["all clear"]);
    assert!(get(&url, "/readyz").0.contains("200"));
    end(&fleet, process);
}

/// What the account does not tell cannot be all clear; the next controller, which may list, has nothing to say.
#[test]
fn what_the_account_refuses_the_inventory_is_on_the_first_page() {
    let fleet = Fleet::of_one();
    let proxy = Proxy::refusing(fleet.core.address(), "GET /certificates", "iot:ListCertificates");
    let mut process = Process::of(fleet.serve(&proxy.url()));
    let browser = Browser::open(process.event("serving")["dashboard_url"].as_str().unwrap());
    process.event("ready");
    let refused = ["the account refuses: ListCertificates", "to perform: iot:ListCertificates", "critical"];
    let page = browser.watch("/", &refused);
    assert!(!page.contains("all clear"), "{page}");
    browser.watch("/findings", &["the account refuses: ListCertificates", "--print-iam"]);
    end(&fleet, process);

    let (process, browser) = shown(&fleet);
    browser.watch("/", &["all clear"]);
    end(&fleet, process);
}
