//! Decisions, as tables: action, resource, context.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's helpers may fail the test")]

use fleetkey_policy::{Action, Context, Decision, Outcome, PolicyDocument, Request, evaluate};

const SCOPE: &str = "arn:aws:iot:us-east-1:123456789012:";

fn policy(statements: &str) -> PolicyDocument {
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
    PolicyDocument::parse(&text.replace("ARN:", SCOPE)).unwrap()
}

fn decide(policy: &PolicyDocument, action: Action, tail: &str, context: &Context) -> Decision {
    let resource = format!("{SCOPE}{tail}");
    evaluate([("P", policy)], &Request { action, resource: &resource, context })
}

fn allowed(statements: &str, action: Action, tail: &str, context: &Context) -> bool {
    decide(&policy(statements), action, tail, context).allowed()
}

/// Whether a statement with this condition applies.
fn holds(condition: &str, context: &Context) -> bool {
    let statement = format!(r#"{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{condition}}}"#);
    allowed(&statement, Action::Connect, "client/a", context)
}

fn thing(name: &str, attached: bool) -> Context {
    let mut context = Context::new();
    context.set("iot:ClientId", name);
    context.set("iot:Connection.Thing.ThingName", name);
    context.set("iot:Connection.Thing.IsAttached", if attached { "true" } else { "false" });
    context
}

#[test]
fn nothing_is_allowed_by_default() {
    let decision =
        evaluate([], &Request { action: Action::Connect, resource: "x", context: &Context::new() });
    assert_eq!((decision.outcome, decision.by.len()), (Outcome::ImplicitDeny, 0));
}

#[test]
fn an_explicit_deny_wins_in_whatever_policy_and_order_it_stands() {
    let allow = policy(r#"{"Sid":"Open","Effect":"Allow","Action":"iot:*","Resource":"*"}"#);
    let deny = policy(r#"{"Sid":"Shut","Effect":"Deny","Action":"iot:Publish","Resource":"ARN:topic/a"}"#);
    let resource = format!("{SCOPE}topic/a");
    let context = Context::new();
    let request = Request { action: Action::Publish, resource: &resource, context: &context };
    for policies in [[("A", &allow), ("D", &deny)], [("D", &deny), ("A", &allow)]] {
        let decision = evaluate(policies, &request);
        assert_eq!(decision.outcome, Outcome::ExplicitDeny);
        let by: Vec<_> = decision.by.iter().map(|by| (by.policy.as_str(), by.sid.as_deref())).collect();
        assert_eq!(by, [("D", Some("Shut"))]);
    }
}

#[test]
fn the_decision_names_each_statement_that_allowed() {
    let two = policy(
        r#"{"Effect":"Allow","Action":"iot:Connect","Resource":"*"},{"Effect":"Allow","Action":"iot:Publish","Resource":"*"},
           {"Sid":"S","Effect":"Allow","Action":"iot:*","Resource":"ARN:topic/*"}"#,
    );
    let decision = decide(&two, Action::Publish, "topic/a", &Context::new());
    let by: Vec<_> = decision.by.iter().map(|by| (by.statement, by.sid.as_deref())).collect();
    assert_eq!(by, [(1, None), (2, Some("S"))]);
}

/// `topic/$aws/certificates/create/*` does not match `create-from-csr`: the claim policy of AWS's documentation
/// allows only keys that the service makes.
#[test]
fn create_does_not_cover_create_from_csr() {
    let statement =
        r#"{"Effect":"Allow","Action":["iot:Publish"],"Resource":"ARN:topic/$aws/certificates/create/*"}"#;
    for (topic, expected) in [
        ("$aws/certificates/create/json", true),
        ("$aws/certificates/create/cbor/accepted", true),
        ("$aws/certificates/create-from-csr/json", false),
        ("$aws/certificates/create", false),
    ] {
        let found = allowed(statement, Action::Publish, &format!("topic/{topic}"), &Context::new());
        assert_eq!(found, expected, "{topic}");
    }
}

/// Wildcards of MQTT are ordinary characters: `topicfilter/building/*` covers the filter `building/#`, and a Deny on
/// a narrower filter does not stop it; a Deny of `iot:Receive` does.
#[test]
fn filters_are_compared_as_strings() {
    let statements = r#"{"Effect":"Allow","Action":["iot:Subscribe","iot:Receive"],"Resource":["ARN:topicfilter/building/*","ARN:topic/building/*"]},
        {"Effect":"Deny","Action":"iot:Subscribe","Resource":"ARN:topicfilter/building/control_room/*"},
        {"Effect":"Deny","Action":"iot:Receive","Resource":"ARN:topic/building/control_room/*"}"#;
    let building = policy(statements);
    let outcome = |action, tail| decide(&building, action, tail, &Context::new()).outcome;
    assert_eq!(outcome(Action::Subscribe, "topicfilter/building/#"), Outcome::Allowed);
    assert_eq!(outcome(Action::Subscribe, "topicfilter/building/control_room/#"), Outcome::ExplicitDeny);
    assert_eq!(outcome(Action::Receive, "topic/building/control_room/1"), Outcome::ExplicitDeny);
    assert_eq!(outcome(Action::Receive, "topic/building/lobby"), Outcome::Allowed);
    assert_eq!(outcome(Action::Subscribe, "topicfilter/Building/#"), Outcome::ImplicitDeny);
}

#[test]
fn one_may_connect_only_as_the_thing_one_is_attached_to() {
    let statement = r#"{"Effect":"Allow","Action":"iot:Connect","Resource":"ARN:client/${iot:Connection.Thing.ThingName}",
        "Condition":{"Bool":{"iot:Connection.Thing.IsAttached":"true"}}}"#;
    assert!(allowed(statement, Action::Connect, "client/a", &thing("a", true)));
    assert!(!allowed(statement, Action::Connect, "client/a", &thing("a", false)));
    assert!(!allowed(statement, Action::Connect, "client/b", &thing("a", true)));
    assert!(!allowed(statement, Action::Connect, "client/a", &Context::new()));
}

#[test]
fn an_unresolved_variable_disables_its_statement_and_is_reported() {
    let statements = r#"{"Effect":"Allow","Action":"iot:*","Resource":"*"},
        {"Effect":"Deny","Action":"iot:Publish","Resource":["ARN:topic/${iot:Connection.Thing.ThingName}","ARN:topic/x"]},
        {"Effect":"Deny","Action":"iot:Publish","NotResource":"ARN:topic/${iot:DomainName}"},
        {"Effect":"Deny","Action":"iot:Publish","Resource":"*","Condition":{"StringNotLike":{"iot:ClientId":"${aws:SourceIp}*"}}},
        {"Effect":"Deny","Action":"iot:Connect","Resource":"ARN:client/${iot:Unrelated}"}"#;
    let decision = decide(&policy(statements), Action::Publish, "topic/x", &Context::new());
    assert_eq!(decision.outcome, Outcome::Allowed);
    assert_eq!(decision.unresolved, ["aws:SourceIp", "iot:Connection.Thing.ThingName", "iot:DomainName"]);
}

#[test]
fn a_wildcard_in_a_variables_value_matches_only_itself() {
    let statement = r#"{"Effect":"Allow","Action":"iot:*","Resource":"ARN:topic/${iot:ClientId}/x"}"#;
    let star = thing("*", true);
    assert!(!allowed(statement, Action::Publish, "topic/a/x", &star));
    assert!(allowed(statement, Action::Publish, "topic/*/x", &star));
    let like = r#"{"StringLike":{"k":"${iot:ClientId}"}}"#;
    assert!(!holds(like, thing("*", true).set("k", "a")) && holds(like, thing("*", true).set("k", "*")));
}

#[test]
fn a_variable_in_a_value_is_not_expanded_again() {
    let statement = r#"{"Effect":"Allow","Action":"iot:*","Resource":"ARN:topic/${iot:ClientId}"}"#;
    let nested = thing("${iot:Connection.Thing.IsAttached}", true);
    assert!(!allowed(statement, Action::Publish, "topic/true", &nested));
}

#[test]
fn not_action_and_not_resource_select_the_rest() {
    let statement =
        r#"{"Effect":"Allow","NotAction":["iot:Publish","iot:Receive"],"NotResource":"ARN:client/root"}"#;
    assert!(allowed(statement, Action::Connect, "client/a", &Context::new()));
    assert!(!allowed(statement, Action::Connect, "client/root", &Context::new()));
    assert!(!allowed(statement, Action::Publish, "topic/a", &Context::new()));
}

#[test]
fn operators_follow_the_table() {
    let mut context = Context::new();
    context.set("s", "Abc").set("b", "True").set("ip", "192.0.2.9").set("six", "2001:db8::1");
    context.set("arn", "arn:aws:iot:us-east-1:123456789012:topic/a/will").set("bad", "no address");
    for (condition, expected) in [
        (r#"{"StringEquals":{"s":["x","Abc"]}}"#, true),
        (r#"{"StringEquals":{"s":"abc"}}"#, false),
        (r#"{"StringEquals":{"s":"A*"}}"#, false),
        (r#"{"StringNotEquals":{"s":["x","Abc"]}}"#, false),
        (r#"{"StringNotEquals":{"s":["x","y"]}}"#, true),
        (r#"{"StringEqualsIgnoreCase":{"s":"aBC"}}"#, true),
        (r#"{"StringNotEqualsIgnoreCase":{"s":"aBC"}}"#, false),
        (r#"{"StringLike":{"s":"A?c"}}"#, true),
        (r#"{"StringLike":{"S":"a*"}}"#, false),
        (r#"{"StringNotLike":{"s":"A*"}}"#, false),
        (r#"{"StringLike":{"s":"${s}"}}"#, true),
        (r#"{"Bool":{"b":"true"}}"#, true),
        (r#"{"Bool":{"b":false}}"#, false),
        (r#"{"Bool":{"s":"false"}}"#, false),
        (r#"{"IpAddress":{"ip":["10.0.0.0/8","192.0.2.0/24"]}}"#, true),
        (r#"{"IpAddress":{"six":"2001:db8::/32"}}"#, true),
        (r#"{"NotIpAddress":{"ip":"192.0.2.0/24"}}"#, false),
        (r#"{"NotIpAddress":{"ip":"10.0.0.0/8"}}"#, true),
        (r#"{"IpAddress":{"bad":"0.0.0.0/0"}}"#, false),
        (r#"{"ArnEquals":{"arn":"arn:aws:iot:*:123456789012:topic/*/will"}}"#, true),
        (r#"{"ArnLike":{"arn":"arn:aws:iot:us-east-1:123456789012:topic/b"}}"#, false),
        (r#"{"ArnNotLike":{"arn":"arn:aws:iot:us-east-1:123456789012:topic/b"}}"#, true),
        (r#"{"ArnNotEquals":{"arn":"arn:aws:iot:us-east-1:123456789012:topic/a/*"}}"#, false),
        (r#"{"Null":{"s":"false","none":"true"}}"#, true),
        (r#"{"Null":{"s":true}}"#, false),
        (r#"{"StringEquals":{"s":"Abc"},"Bool":{"b":"false"}}"#, false),
        (r#"{"StringEquals":{"s":"Abc","b":"x"}}"#, false),
        (r#"{}"#, true),
    ] {
        assert_eq!(holds(condition, &context), expected, "{condition}");
    }
}

#[test]
fn an_absent_key_means_what_it_means_in_iam() {
    for (condition, expected) in [
        (r#"{"StringEquals":{"k":"a"}}"#, false),
        (r#"{"StringNotEquals":{"k":"a"}}"#, true),
        (r#"{"StringNotLike":{"k":"*"}}"#, true),
        (r#"{"NotIpAddress":{"k":"0.0.0.0/0"}}"#, true),
        (r#"{"Bool":{"k":"false"}}"#, false),
        (r#"{"StringEqualsIfExists":{"k":"a"}}"#, true),
        (r#"{"BoolIfExists":{"k":"true"}}"#, true),
        (r#"{"ForAllValues:StringEquals":{"k":"a"}}"#, true),
        (r#"{"ForAnyValue:StringEquals":{"k":"a"}}"#, false),
        (r#"{"ForAnyValue:StringNotEquals":{"k":"a"}}"#, false),
        (r#"{"ForAnyValue:StringEqualsIfExists":{"k":"a"}}"#, true),
        (r#"{"Null":{"k":"true"}}"#, true),
    ] {
        assert_eq!(holds(condition, &Context::new()), expected, "{condition}");
    }
}

#[test]
fn sets_are_tested_value_by_value() {
    let mut context = Context::new();
    context.set_many("iot:ConnectAttributes", ["PersistentConnect", "LastWill"]);
    for (condition, expected) in [
        (r#"{"ForAllValues:StringEquals":{"iot:ConnectAttributes":["PersistentConnect","LastWill"]}}"#, true),
        (r#"{"ForAllValues:StringEquals":{"iot:ConnectAttributes":"LastWill"}}"#, false),
        (r#"{"ForAnyValue:StringEquals":{"iot:ConnectAttributes":"LastWill"}}"#, true),
        (r#"{"ForAllValues:StringNotEquals":{"iot:ConnectAttributes":"LastWill"}}"#, false),
        (r#"{"ForAnyValue:StringNotEquals":{"iot:ConnectAttributes":"LastWill"}}"#, true),
        (r#"{"StringEquals":{"iot:ConnectAttributes":"LastWill"}}"#, true),
        (r#"{"StringNotEquals":{"iot:ConnectAttributes":"LastWill"}}"#, false),
    ] {
        assert_eq!(holds(condition, &context), expected, "{condition}");
    }
}
