//! What is ours and not AWS's: coverage, reset, management events.

use std::collections::BTreeSet;
use std::sync::Arc;

use fleetkey_iotcore::clock::SystemClock;
use fleetkey_iotcore::config::{Config, RestOptions};
use fleetkey_iotcore::server::{Listeners, start};
use fleetkey_model::name::PolicyName;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::lambda::{FUNCTIONS, lambda};
use crate::support::zip::python;
use crate::support::{Request, World, page};

const POLICY: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]}"#;

/// `GET /_fleetkey/coverage` counts what was called and how it was refused, and names what was called and is missing.
#[tokio::test]
async fn coverage_counts_what_was_called() {
    let world = World::start().await;
    for _ in 0..2 {
        world.iot("GET", "/endpoint", Value::Null).await.ok();
    }
    world.iot("POST", "/certificate-providers/a", Value::Null).await;
    world.iot("GET", "/policies/none", Value::Null).await;
    let answer = world.send(Request::new("GET", "/_fleetkey/coverage").host(world.port())).await.ok();
    let iot = &answer.json()["services"]["iot"];
    assert_eq!(iot["implemented"]["DescribeEndpoint"], 2);
    assert_eq!(iot["implemented"]["GetPolicy"], 1);
    assert_eq!(iot["refused"]["GetPolicy"]["ResourceNotFoundException"], 1);
    assert_eq!(iot["notImplemented"]["CreateCertificateProvider"], 1);
    assert_eq!(iot["modelled"], 272);
}

/// The tables above name every operation that is served, and no other.
#[tokio::test]
async fn the_page_lists_what_is_served() {
    let world = World::start().await;
    let answer = world.send(Request::new("GET", "/_fleetkey/coverage").host(world.port())).await.ok();
    let served: BTreeSet<page::Operation> = answer.json()["services"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(service, report)| {
            let names = report["implemented"].as_object().unwrap().keys();
            names.map(|name| (service.clone(), name.clone())).collect::<Vec<_>>()
        })
        .collect();
    let listed: BTreeSet<page::Operation> = page::operations().into_keys().collect();
    assert_eq!(listed.symmetric_difference(&served).collect::<Vec<_>>(), Vec::<&page::Operation>::new());
}

/// `POST /_fleetkey/reset` empties the account, and a restart does not bring it back.
#[tokio::test]
async fn reset_empties_the_account_for_good() {
    let world = World::with(|config| config.rest.allow_reset = true).await;
    let account = world.handle.account();
    account.create_policy(&PolicyName::new("p").unwrap(), POLICY).await.unwrap();
    account.create_keys_and_certificate(true).await.unwrap();
    world.send(Request::new("POST", "/_fleetkey/reset").host(world.port())).await.ok();
    assert!(account.describe_policy(&PolicyName::new("p").unwrap()).is_err());
    assert!(account.count_by_status().is_empty());
    account.create_policy(&PolicyName::new("q").unwrap(), POLICY).await.unwrap();
    let config = Config::new(world.dir.path().join("data"));
    world.handle.shutdown().await;
    let listeners = Listeners::loopback().await.unwrap();
    let again = start(config, listeners, world.clock).await.unwrap();
    assert!(again.account().describe_policy(&PolicyName::new("p").unwrap()).is_err());
    assert!(again.account().describe_policy(&PolicyName::new("q").unwrap()).is_ok());
    again.shutdown().await;
}

/// What is refused of a function's environment or code is not in the events either: it may hold a secret.
#[tokio::test]
async fn a_refused_secret_is_not_in_the_events() {
    let world = World::start().await;
    let variables = json!({"TOKEN": "s3cr3t", "N": 1});
    let mut new = python("hook", "");
    new["Environment"] = json!({"Variables": variables});
    let answer = lambda(&world, "POST", FUNCTIONS, new).await;
    assert_eq!((answer.status, answer.error()), (400, "ValidationException"), "{}", answer.text());
    let mut new = python("hook", "");
    new["Code"] = json!({"ZipFile": "s3cr3t in the code"});
    assert_eq!(lambda(&world, "POST", FUNCTIONS, new).await.status, 400);
    let change = json!({"Environment": "s3cr3t"});
    assert_eq!(lambda(&world, "PUT", &format!("{FUNCTIONS}/hook/configuration"), change).await.status, 400);
    let events = world.call("iot", Request::new("GET", "/_fleetkey/events")).await.ok();
    assert_eq!(events.json()["Records"].as_array().unwrap().len(), 3);
    assert!(events.text().contains("at 'Environment'"), "{}", events.text());
    assert!(!events.text().contains("s3cr3t"), "{}", events.text());
}

/// What needs no signature is served on loopback only: a reset, and everything under `--any-credentials`.
#[tokio::test]
async fn what_needs_no_signature_is_refused_off_loopback() {
    for (any_credentials, allow_reset) in [(true, false), (false, true)] {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::new(dir.path());
        config.rest = RestOptions { any_credentials, allow_reset, ..RestOptions::default() };
        let mut listeners = Listeners::loopback().await.unwrap();
        listeners.rest = Some(TcpListener::bind("0.0.0.0:0").await.unwrap());
        let Err(refused) = start(config, listeners, Arc::new(SystemClock)).await else {
            panic!("started with any_credentials {any_credentials}, allow_reset {allow_reset}");
        };
        assert!(refused.to_string().contains("loopback addresses only"), "{refused}");
    }
}

/// Without `--allow-reset` there is no reset.
#[tokio::test]
async fn reset_is_off_unless_allowed() {
    let world = World::start().await;
    let answer = world.send(Request::new("POST", "/_fleetkey/reset").host(world.port())).await;
    assert_eq!((answer.status, answer.error()), (403, "AccessDeniedException"));
    assert!(answer.message().contains("--allow-reset"), "{}", answer.message());
}

/// `GET /_fleetkey/events` needs a signature: what was done is not for everybody on the computer to read.
#[tokio::test]
async fn events_are_for_who_has_the_key() {
    let world = World::start().await;
    let request = Request::new("GET", "/_fleetkey/events?count=5");
    assert_eq!(world.send(request.clone().host(world.port())).await.status, 403);
    let answer = world.call("iot", request).await.ok();
    assert!(answer.json()["Records"].is_array());
    let answer = world.call("iot", Request::new("GET", "/_fleetkey/events?count=many")).await;
    assert_eq!((answer.status, answer.error()), (400, "InvalidRequestException"));
}

/// A path of ours that there is not is named.
#[tokio::test]
async fn an_unknown_path_of_ours_is_named() {
    let world = World::start().await;
    let answer = world.send(Request::new("GET", "/_fleetkey/nothing").host(world.port())).await;
    assert_eq!(answer.status, 404);
    assert!(answer.message().contains("GET /_fleetkey/nothing"), "{}", answer.message());
}
