//! The tiers after CONNACK, on a scripted connection. TLS and CONNACK are tried with whole agents.

use fleetkey_lifecycle::event::FailureKind;
use fleetkey_mqtt::ReasonCode;

use super::*;
use crate::testing::{Script, Scripted};

const LIMIT: Duration = Duration::from_millis(50);

async fn failure(requests: &Scripted, mut script: Script) -> (Tier, FailureKind) {
    let verdict = listen_and_echo(requests, &mut script, "device/dev-1/verify", LIMIT).await;
    let failure = verdict.unwrap_err();
    (failure.tier, failure.kind)
}

#[tokio::test]
async fn a_subscription_that_is_refused_is_a_refusal_at_suback() {
    let deaf = Scripted { granted: ReasonCode::NOT_AUTHORIZED, ..Scripted::willing() };
    let failed = failure(&deaf, Script::of([])).await;
    assert_eq!(failed, (Tier::Suback, FailureKind::Refused));
}

#[tokio::test]
async fn a_publish_that_is_refused_is_a_refusal_at_the_echo() {
    let mute =
        Scripted { published: Err(Broken::Refused(ReasonCode::NOT_AUTHORIZED)), ..Scripted::willing() };
    let failed = failure(&mute, Script::of([])).await;
    assert_eq!(failed, (Tier::Echo, FailureKind::Refused));
}

#[tokio::test]
async fn a_throttle_is_no_refusal() {
    let busy = ReasonCode::QUOTA_EXCEEDED;
    let deaf = Scripted { granted: busy, ..Scripted::willing() };
    assert_eq!(failure(&deaf, Script::of([])).await, (Tier::Suback, FailureKind::Unreachable));
    let mute = Scripted { published: Err(Broken::Refused(busy)), ..Scripted::willing() };
    assert_eq!(failure(&mute, Script::of([])).await, (Tier::Echo, FailureKind::Unreachable));
}

#[tokio::test]
async fn a_broker_that_takes_the_message_and_delivers_none_or_another_does_not_serve_us() {
    let old = ("device/dev-1/verify".to_owned(), b"an old nonce".to_vec());
    for script in [Script::of([]), Script::of([old])] {
        let failed = failure(&Scripted::willing(), script).await;
        assert_eq!(failed, (Tier::Echo, FailureKind::Refused));
    }
}

#[tokio::test]
async fn a_broker_that_does_not_even_acknowledge_was_not_reached() {
    let silent = Scripted { acknowledges: false, ..Scripted::willing() };
    let failed = failure(&silent, Script::of([])).await;
    assert_eq!(failed, (Tier::Echo, FailureKind::Unreachable));
}

#[test]
fn no_two_nonces_are_equal() {
    assert_ne!(nonce().unwrap(), nonce().unwrap());
}
