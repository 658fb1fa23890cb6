//! The controller's dashboard, as a browser without scripts sees it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::keys::{every_page, no_key_is_shown};
use crate::process::{PATIENCE, Process};
use crate::serve::{Fleet, inventory_is_taken};

/// A browser with one cookie.
pub(crate) struct Browser {
    address: String,
    cookie: String,
}

impl Browser {
    /// Opens the one-time link.
    pub(crate) fn open(url: &str) -> Self {
        let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let mut browser = Self { address: address.to_owned(), cookie: String::new() };
        let answer = browser.send("GET", &format!("/{path}"));
        let set = answer.lines().find_map(|line| line.strip_prefix("set-cookie: "));
        browser.cookie = set.unwrap_or_else(|| panic!("{answer}")).split(';').next().unwrap().to_owned();
        browser
    }

    pub(crate) fn send(&self, method: &str, path: &str) -> String {
        self.send_form(method, path, "")
    }

    /// Sends a form, and expects to be led on.
    pub(crate) fn order(&self, path: &str, form: &str) {
        let answer = self.send_form("POST", path, form);
        assert!(answer.starts_with("HTTP/1.1 303"), "{path} {form}: {answer}");
    }

    pub(crate) fn send_form(&self, method: &str, path: &str, form: &str) -> String {
        let mut answer = String::new();
        self.begin(method, path, form).read_to_string(&mut answer).unwrap();
        answer
    }

    /// Sends a form. Whoever lets go of what comes back has closed the tab.
    pub(crate) fn begin(&self, method: &str, path: &str, form: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (address, cookie) = (&self.address, &self.cookie);
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncookie: {cookie}\r\nsec-fetch-site: same-origin\r\n\
             accept: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{form}",
            form.len()
        )
        .unwrap();
        stream
    }

    /// Reads a page until all of this is on it.
    pub(crate) fn watch(&self, path: &str, words: &[&str]) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let page = self.send("GET", path);
            if words.iter().all(|word| page.contains(word)) {
                return page;
            }
            assert!(Instant::now() < end, "never {words:?} on {path}: {page}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Whoever has the link sees the fleet as the controller knows it, has a device rotate, and follows it to the end of the
/// old certificate; the order is in the journal in their name.
#[test]
fn an_operator_sees_the_fleet_and_has_a_device_rotate() {
    let mut fleet = Fleet::of_one();
    let mut process = Process::of(fleet.serve(fleet.core.url()));
    process.event("serving");
    let url = process.event("ready")["dashboard_url"].as_str().unwrap().to_owned();
    let browser = Browser::open(&url);
    browser.watch("/devices", &["press-1", "1 device"]);
    let old = fleet.certificates().remove(0).0;
    let device = browser.watch("/devices/press-1", &["in use", "DevicePolicy", &old]);
    assert!(device.contains("ready"), "{device}");
    let pem = browser.send("GET", &format!("/devices/press-1/certificates/{old}"));
    assert!(pem.contains("BEGIN CERTIFICATE") && !pem.contains("PRIVATE KEY"), "{pem}");

    let several = "thing=press-1&thing=press-1&thing=never-was-one";
    let asked = browser.send_form("POST", "/devices/rotate", several);
    let one_and_none = ["Rotate 1 device?", "1 name left out: no such device", "never-was-one"];
    assert!(one_and_none.iter().all(|words| asked.contains(words)), "{asked}");
    let refused = browser.send_form("POST", "/devices/rotate", &format!("{several}&confirm=yes"));
    let nobody = "There is no device never-was-one. Nothing was sent";
    assert!(refused.starts_with("HTTP/1.1 409") && refused.contains(nobody), "{refused}");
    let feed = browser.send("GET", "/");
    assert!(!feed.contains("rotation ordered") && !feed.contains("never-was-one"), "{feed}");
    let done = browser.send_form("POST", "/devices/rotate", "thing=press-1&confirm=yes");
    assert!(done.starts_with("HTTP/1.1 200") && done.contains("1 device was told to rotate"), "{done}");
    let new = fleet.committed();
    fleet.only_is_left(&new);
    let page = browser.watch("/devices/press-1/rotation", &["done", "command", &new]);
    assert!(!page.contains("under way"), "{page}");
    browser
        .watch("/devices/press-1", &["can no longer connect", "rotation ordered by session", "is deleted"]);
    browser.watch("/findings", &["all clear"]);

    process.signal("TERM");
    assert!(process.end().0.success());
    assert!(TcpStream::connect(&browser.address).is_err(), "the dashboard is gone");
    let directory = fleet.path().to_str().unwrap();
    let shown = crate::process::run(&["journal", "show", "--about", "press-1", "--fleet-dir", directory]);
    assert!(shown.1.contains("command rotate") && shown.1.contains("of the dashboard"), "{shown:?}");
}

/// From the moment in which a device's process is killed, or says that it is connected, to the one in which its open page shows it:
/// over the broker, the controller and the stream of events. The figures are told, not asserted; `FLEETKEY_SHOWN` is how often.
#[test]
fn what_the_broker_sees_of_a_device_is_on_its_open_page() {
    let rounds = std::env::var("FLEETKEY_SHOWN").map_or(2, |text| text.parse().unwrap());
    let mut fleet = Fleet::of_one();
    let (process, browser) = shown(&fleet);
    // Only who was heard to come can be known to have gone.
    fleet.stop_agent();
    fleet.start_agent();
    browser.watch("/devices/press-1", &["</svg>connected</span>"]);
    let mut events = BufReader::new(browser.begin("GET", "/events?after=0", "")).lines();
    let mut spans: Vec<[Duration; 2]> = Vec::new();
    for _ in 0..rounds {
        let mut span = |word: &str, begun: Instant| {
            // Where it stands on the page of the device.
            let word = format!("</svg>{word}</span>");
            while !browser.send("GET", "/devices/press-1").contains(&word) {
                let told = events.by_ref().map(Result::unwrap).find(|line| line.starts_with("event: "));
                assert!(told.is_some(), "the events ended before {word} was shown");
            }
            begun.elapsed()
        };
        let begun = Instant::now();
        fleet.stop_agent();
        let killed = span("not connected", begun);
        fleet.start_agent();
        fleet.connected();
        spans.push([killed, span("connected", Instant::now())]);
    }
    for (what, at) in [("killed", 0), ("connected", 1)] {
        let mut spans: Vec<_> = spans.iter().map(|both| both[at].as_secs_f64() * 1000.0).collect();
        spans.sort_by(f64::total_cmp);
        let (median, worst) = (spans[rounds / 2], spans[rounds - 1]);
        println!("{what} to shown, {rounds} times: median {median:.1} ms, worst {worst:.1} ms");
    }
    process.signal("TERM");
    assert!(process.end().0.success());
}

/// A controller that serves, and a browser that its link has let in.
pub(crate) fn shown(fleet: &Fleet) -> (Process, Browser) {
    let mut process = Process::of(fleet.serve(fleet.core.url()));
    let url = process.event("serving")["url"].as_str().unwrap().to_owned();
    let link = process.event("ready")["dashboard_url"].as_str().unwrap().to_owned();
    inventory_is_taken(&url);
    (process, Browser::open(&link))
}

/// The whole stock and every change are on the pages; a certificate is decided of with a reason, in the account and in
/// the journal at once.
#[test]
fn an_operator_reads_inventory_and_journal_and_decides_of_a_certificate() {
    let fleet = Fleet::of_one();
    let (process, browser) = shown(&fleet);
    let id = fleet.certificates().remove(0).0;
    let stock =
        browser.watch("/inventory", &["5 certificates", "press-1", "the operator's, claim", "was listed"]);
    assert!(stock.contains("in use"), "{stock}");
    assert!(
        browser.send("GET", "/inventory?q=PRESS").contains("1 certificate"),
        "by a part of the name, any case"
    );
    assert!(browser.send("GET", "/inventory?status=REVOKED").contains("No certificate matches"));
    assert!(browser.send("GET", "/inventory?ends=1").contains("No certificate matches"), "no end is known");
    let file = browser.send("GET", "/inventory.csv?q=press-1");
    assert!(file.contains(&format!("\"{id}\",\"press-1\",\"ACTIVE\",\"in use\"")), "{file}");
    browser.watch("/journal", &["policy DevicePolicy", "create", "its chain holds", "user/fleetkey"]);

    browser.watch("/devices/press-1", &["Deactivate …", "DevicePolicy"]);
    let place = format!("/devices/press-1/certificates/{id}");
    let asked = browser.send("POST", &format!("{place}/deactivate"));
    assert!(asked.contains("This is the identity in use"), "{asked}");
    browser.order(&format!("{place}/deactivate"), "confirm=yes&why=it+was+stolen");
    assert_eq!(fleet.certificates(), [(id.clone(), "INACTIVE".to_owned())]);
    browser.watch("/devices/press-1", &["INACTIVE", "Reactivate …", "was made INACTIVE by session"]);
    let page = browser.watch("/journal", &["deactivate", "because it was stolen, says session", &id]);
    assert!(page.contains("client press-1"), "its connection was cut: {page}");
    browser.order(&format!("{place}/reactivate"), "confirm=yes&why=it+was+found");
    assert_eq!(fleet.certificates(), [(id, "ACTIVE".to_owned())]);
    browser.watch("/journal", &["reactivate", "it was found"]);

    process.signal("TERM");
    assert!(process.end().0.success());
    let directory = fleet.path().to_str().unwrap();
    assert_eq!(crate::process::run(&["journal", "verify", "--fleet-dir", directory]).0, 0);
}

/// Whoever ends the old certificate from its page has ended the rotation: the device may be told to rotate again.
#[test]
fn a_rotation_is_over_when_somebody_has_ended_its_old_certificate() {
    let mut fleet = Fleet::of_one();
    let mut process = Process::of(fleet.serve_patiently());
    let url = process.event("serving")["url"].as_str().unwrap().to_owned();
    let link = process.event("ready")["dashboard_url"].as_str().unwrap().to_owned();
    inventory_is_taken(&url);
    let browser = Browser::open(&link);
    let old = fleet.certificates().remove(0).0;
    fleet.rotate();
    browser.watch("/rotations", &["soak (7 of 8)", "1 under way"]);
    let several = "thing=press-1&thing=never-was-one";
    let left_out = browser.send_form("POST", "/devices/rotate", several);
    assert!(left_out.contains("under way already"), "{left_out}");
    browser.watch("/devices/press-1", &[&old]);
    let place = format!("/devices/press-1/certificates/{old}/deactivate");
    browser.order(&place, "confirm=yes&why=no+need+to+wait");
    browser.watch("/rotations", &["0 under way"]);
    let page = browser.watch("/devices/press-1/rotation", &["INACTIVE"]);
    assert!(!page.contains("under way"), "{page}");
    let again = browser.send_form("POST", "/devices/rotate", several);
    assert!(again.contains("Rotate 1 device?"), "{again}");
    process.signal("TERM");
    assert!(process.end().0.success());
}

/// What only the account knows is shown once it has answered.
#[test]
fn an_operator_reads_how_devices_come_in_and_what_set_up_would_do() {
    let fleet = Fleet::of_one();
    let (process, browser) = shown(&fleet);
    let doors =
        ["closed", "enabled", "disabled", "ACTIVE", "first provisioning", "serials that match *", "allows"];
    browser.watch("/provisioning", &doors);
    browser.watch("/setup", &["policy DevicePolicy", "claim certificate", "step", "keep", "fleetkey setup"]);
    let plan = browser
        .watch("/cleanup", &["thing press-1", "with its certificates", "policy DevicePolicy", "delete"]);
    assert!(plan.contains("controller certificate"), "{plan}");
    process.signal("TERM");
    assert!(process.end().0.success());
}

/// Of a device that has rotated, of the claim and of the controller itself: certificates are on the pages, keys are not.
#[test]
fn no_page_shows_a_line_of_any_key_that_lies_in_the_fleet_directory() {
    let mut fleet = Fleet::of_one();
    let (process, browser) = shown(&fleet);
    browser.order("/devices/press-1/rotate", "");
    let new = fleet.committed();
    browser.watch("/devices/press-1", &["in use", "DevicePolicy", &new]);
    // Each is asked of the account when it is looked at first.
    for (path, words) in [
        ("/provisioning", "first provisioning"),
        ("/setup", "claim certificate"),
        ("/cleanup", "controller certificate"),
        ("/policies", "DevicePolicy"),
        ("/policies/ClaimPolicy", "in effect"),
        ("/devices/press-1/policies", "counted for certificate"),
        ("/inventory", "The account was listed"),
    ] {
        browser.watch(path, &[words]);
    }
    let pages = every_page(&["/"], |path| browser.send("GET", path));
    assert!(pages.len() > 15, "{} pages", pages.len());
    no_key_is_shown(fleet.path(), &pages);
    process.signal("TERM");
    assert!(process.end().0.success());
}

/// A campaign is counted, begun, followed to its end, paused, resumed and aborted from the pages; the command line sees the
/// same one.
#[test]
fn an_operator_begins_a_campaign_and_decides_of_it() {
    let mut fleet = Fleet::of_one();
    fleet.core.provision("press-2", fleet.path());
    let (process, browser) = shown(&fleet);
    assert!(browser.send("GET", "/campaigns").contains("There was none yet"));
    let draft = "name=spring&why=yearly&things=press-1";
    let asked = browser.send_form("POST", "/campaigns", draft);
    assert!(asked.contains("1 device would be told to rotate, in 1 wave"), "{asked}");
    for (wrong, words) in [
        ("things=nobody", "no device was selected"),
        ("things=*&window=noon", "22:00-04:30"),
        ("things=*&rule=whatever", "whatever"),
        ("things=*&rate=30001", "commands a minute"),
        ("group=nowhere", "nowhere"),
    ] {
        let form = format!("name=spring&why=yearly&{wrong}&confirm=yes");
        let refused = browser.send_form("POST", "/campaigns", &form);
        assert!(refused.starts_with("HTTP/1.1 400") && refused.contains(words), "{wrong}: {refused}");
    }
    browser.order("/campaigns", &format!("{draft}&confirm=yes"));
    let new = fleet.committed();
    browser.watch("/campaigns/spring", &["done", "1 of 1 device", "says session"]);
    fleet.only_is_left(&new);
    let taken = browser.send_form("POST", "/campaigns", &format!("{draft}&confirm=yes"));
    assert!(
        taken.starts_with("HTTP/1.1 400") && taken.contains("there is a campaign spring already"),
        "{taken}"
    );

    // It is connected, and stands still.
    let deaf = fleet.agent_of("press-2");
    deaf.signal("STOP");
    browser.order("/campaigns", "name=winter&why=yearly&things=press-2&confirm=yes");
    browser.watch("/campaigns/winter", &["running", "Pause …"]);
    browser.order("/campaigns/winter/pause", "confirm=yes&why=rain");
    browser.watch("/campaigns/winter", &["paused", "rain, says session", "Resume …"]);
    browser.order("/campaigns/winter/resume", "confirm=yes&why=sun");
    browser.watch("/campaigns/winter", &["running"]);
    browser.order("/campaigns/winter/abort", "confirm=yes&why=enough");
    browser.watch("/campaigns", &["aborted", "done", "winter"]);
    let (_, told, _) = crate::campaign::campaign(fleet.path(), &["show", "winter"]);
    assert!(
        told["mode"] == "aborted" && told["why"].as_str().unwrap().contains("enough, says session"),
        "{told}"
    );
    // Of the one nothing is left to undo; of the other somebody may still be at it.
    let past = browser.send_form("POST", "/campaigns/spring/rollback", "");
    assert!(past.starts_with("HTTP/1.1 409") && past.contains("Nothing of it can be undone"), "{past}");
    let asked = browser.send_form("POST", "/campaigns/winter/rollback", "");
    assert!(asked.contains("if on a new certificate</dt><dd>1 device</dd>"), "{asked}");
    browser.order("/campaigns/winter/rollback", "confirm=yes&why=it+fails");
    browser.watch("/campaigns/winter", &["rolled back", "it fails, says session"]);
    drop(deaf);
    process.signal("TERM");
    assert!(process.end().0.success());
    let directory = fleet.path().to_str().unwrap();
    let journal = crate::process::run(&["journal", "show", "--about", "press-1", "--fleet-dir", directory]).1;
    assert!(journal.contains("campaign spring: yearly, says session"), "{journal}");
    let journal = crate::process::run(&["journal", "show", "--about", "winter", "--fleet-dir", directory]).1;
    assert_eq!(journal.matches("campaign rollback").count(), 1, "{journal}");
}
