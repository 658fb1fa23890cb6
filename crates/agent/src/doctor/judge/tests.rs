//! Who is told to be at fault, by what was let in and what the account says.

use std::time::Duration;

use fleetkey_model::name::ThingName;

use super::*;
use crate::doctor::{Report, Verdict};
use crate::tls::Endpoint;

fn target() -> Target {
    let endpoint = Endpoint { host: "localhost".into(), port: 8883, alpn: None, server_name: None };
    let thing = ThingName::new("pump-1").unwrap();
    Target {
        endpoint,
        sni: true,
        alpn_port: 443,
        certificate: "c".into(),
        key: "k".into(),
        roots: Vec::new(),
        known_roots: None,
        previous: None,
        client: ClientId::live(&thing),
        thing,
        topic: "device/pump-1/verify".into(),
        take_over: false,
        busy: None,
        limit: Duration::from_secs(1),
    }
}

fn id(text: &str) -> ClientId {
    ClientId::new(text).unwrap()
}

fn trial(client: &str, reached: Reached) -> Trial {
    Trial { client: id(client), reached }
}

fn no(client: &str) -> Trial {
    trial(client, Reached::Refused("closed".into()))
}

fn all_done() -> Use {
    Use { subscribe: Step::Done, publish: Step::Done, receive: Step::Done }
}

fn denied_word(why: &str) -> Word {
    Word::No { why: why.into(), todo: "allow it".into() }
}

fn report(account: &Account, tried: &Tried) -> Report {
    Report { checks: findings(&target(), account, tried) }
}

fn tier(account: &Account, tried: &Tried) -> Option<Tier> {
    report(account, tried).failed().map(|check| check.tier)
}

fn refused_everywhere() -> Tried {
    Tried { own: vec![no("pump-1~verify"), no("pump-1~agent")], ..Tried::default() }
}

/// Active, and this said of the client's own id and of `~verify`.
fn active(own: Word, verify: Word) -> Account {
    Account {
        certificate: Word::Yes("ACTIVE".into()),
        clients: vec![(id("pump-1"), own), (id("pump-1~verify"), verify)],
        topics: Vec::new(),
    }
}

#[test]
fn an_echo_beside_the_live_session_leaves_the_clients_own_id_unchecked_without_the_account() {
    let tried = Tried { own: vec![trial("pump-1~verify", Reached::In(all_done()))], ..Tried::default() };
    let report = report(&Account::silent("no credentials"), &tried);
    assert_eq!(report.exit_code(), 0);
    let connect = report.checks.iter().find(|check| check.tier == Tier::Connect).unwrap();
    assert_eq!(connect.verdict, Verdict::NotChecked);
    assert!(connect.what.contains("no credentials"), "{connect}");
}

#[test]
fn a_policy_that_forgets_the_clients_own_id_is_found_though_another_is_let_in() {
    let tried = Tried { own: vec![trial("pump-1~verify", Reached::In(all_done()))], ..Tried::default() };
    let account = active(denied_word("nothing allows client/pump-1"), Word::Yes("allowed".into()));
    assert_eq!(tier(&account, &tried), Some(Tier::Connect));
    let taken_over = Tried { own: vec![no("pump-1"), tried.own[0].clone()], ..Tried::default() };
    assert_eq!(tier(&Account::default(), &taken_over), Some(Tier::Connect));
}

#[test]
fn refused_under_every_id_is_undecided_without_a_further_witness() {
    let report = report(&Account::default(), &refused_everywhere());
    assert_eq!((report.failed(), report.unknown().unwrap().tier), (None, Tier::Certificate));
}

#[test]
fn the_certificate_before_or_an_id_that_is_nobodys_decides() {
    let before =
        Tried { previous: Some(trial("pump-1~verify", Reached::In(all_done()))), ..refused_everywhere() };
    assert_eq!(tier(&Account::default(), &before), Some(Tier::Certificate));
    let nobody = Tried { nobody: Some(trial("doctor~1", Reached::In(all_done()))), ..refused_everywhere() };
    assert_eq!(tier(&Account::default(), &nobody), Some(Tier::Connect));
}

#[test]
fn the_account_decides_for_certain() {
    let inactive = Account { certificate: denied_word("it is INACTIVE"), ..Account::default() };
    assert_eq!(tier(&inactive, &refused_everywhere()), Some(Tier::Certificate));
    let shut = active(denied_word("no policy"), denied_word("no policy"));
    assert_eq!(tier(&shut, &refused_everywhere()), Some(Tier::Connect));
}

#[test]
fn a_policy_that_allows_the_clients_own_id_alone_is_as_it_must_be() {
    let account = active(Word::Yes("statement 0".into()), denied_word("nothing allows it"));
    assert_eq!(report(&account, &refused_everywhere()).exit_code(), 0);
}

#[test]
fn an_account_that_says_yes_to_what_the_broker_refuses_is_another_account_or_too_fresh() {
    let account = active(Word::Yes("statement 0".into()), Word::Yes("statement 0".into()));
    let report = report(&account, &refused_everywhere());
    let failed = report.failed().unwrap();
    assert_eq!(failed.tier, Tier::Certificate);
    assert!(failed.todo.as_ref().unwrap().contains("region"), "{failed}");
}

#[test]
fn each_step_of_use_has_its_own_tier() {
    let refused = || Step::Refused("0x87".into());
    let skipped = || Step::Skipped("nothing");
    let table = [
        (Tier::Subscribe, Use { subscribe: refused(), publish: Step::Done, receive: skipped() }),
        (Tier::Publish, Use { subscribe: Step::Done, publish: refused(), receive: skipped() }),
        (Tier::Receive, Use { subscribe: Step::Done, publish: Step::Done, receive: refused() }),
    ];
    for (expected, used) in table {
        let tried = Tried { own: vec![trial("pump-1~verify", Reached::In(used))], ..Tried::default() };
        assert_eq!(tier(&Account::default(), &tried), Some(expected));
    }
}

#[test]
fn what_ends_before_connect_is_no_matter_of_policies() {
    let table = [
        (Some(Tier::ClientTls), Reached::Tls("bad certificate".into())),
        (Some(Tier::ServerTls), Reached::NoMqtt("HTTP".into())),
        (None, Reached::Throttled("busy".into())),
    ];
    for (expected, reached) in table {
        let tried = Tried { own: vec![trial("pump-1~verify", reached)], ..Tried::default() };
        assert_eq!(tier(&Account::default(), &tried), expected);
    }
}
