//! What parses, and what the error says when a text does not: statement, field and problem.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's helpers may fail the test")]

use fleetkey_policy::{MAX_CHARACTERS, ParseError, PatternError, PolicyDocument, Problem};

fn error(text: &str) -> ParseError {
    PolicyDocument::parse(text).unwrap_err()
}

/// A policy whose second statement has `fields` besides a valid first one.
fn second(fields: &str) -> String {
    let valid = r#"{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}"#;
    format!(r#"{{"Version":"2012-10-17","Statement":[{valid},{{{fields}}}]}}"#)
}

fn condition(block: &str) -> String {
    second(&format!(r#""Effect":"Allow","Action":"iot:Connect","Resource":"*","Condition":{block}"#))
}

#[test]
fn one_or_a_list_is_accepted_everywhere() {
    let one = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:*","Resource":"*"}}"#;
    let list =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iot:*"],"Resource":["*"]}]}"#;
    assert_eq!(PolicyDocument::parse(one), PolicyDocument::parse(list));
    assert_eq!(PolicyDocument::parse(one).map(|policy| policy.len()), Ok(1));
}

#[test]
fn every_field_of_a_statement_parses() {
    let text = second(
        r#""Sid":"all","Effect":"Deny","NotAction":["iot:Publish"],"NotResource":"arn:aws:iot:r:1:topic/${iot:ClientId}",
           "Condition":{"Bool":{"iot:Connection.Thing.IsAttached":["true"]},"Null":{"iot:DomainName":true},
           "ForAllValues:StringEqualsIfExists":{"iot:ConnectAttributes":["LastWill"]},"IpAddress":{"aws:SourceIp":"::1/64"}}"#,
    );
    assert_eq!(PolicyDocument::parse(&text).map(|policy| policy.len()), Ok(2));
}

#[test]
fn the_limit_counts_characters_without_white_space() {
    let policy = |filler: usize, blanks: usize| {
        let blanks = " \n".repeat(blanks);
        let text = format!(
            r#"{{"Version":"2012-10-17",{blanks}"Id":"ID","Statement":[{{"Effect":"Allow","Action":"iot:*","Resource":"*"}}]}}"#
        );
        text.replace("ID", &"é".repeat(filler))
    };
    let rest = policy(0, 0).chars().count();
    assert!(PolicyDocument::parse(&policy(MAX_CHARACTERS - rest, 1000)).is_ok());
    let over = error(&policy(MAX_CHARACTERS - rest + 1, 0));
    assert_eq!(over.problem, Problem::TooLong(MAX_CHARACTERS + 1));
}

#[test]
fn an_error_names_statement_and_field() {
    let table = [
        (second(""), "statement 1, Effect: missing"),
        (second(r#""Effect":"Allow","Resource":"*""#), "statement 1, Action: missing"),
        (second(r#""Effect":"Allow","Action":"iot:*""#), "statement 1, Resource: missing"),
        (
            second(r#""Effect":"Alow","Action":"iot:*","Resource":"*""#),
            r#"statement 1, Effect: "Alow" is neither"#,
        ),
        (second(r#""Effect":"Allow","Action":[],"Resource":"*""#), "statement 1, Action: empty"),
        (second(r#""Effect":"Allow","Action":[1],"Resource":"*""#), "statement 1, Action: expected a string"),
        (
            second(r#""Effect":"Allow","Action":"Publish","Resource":"*""#),
            r#"statement 1, Action: "Publish" is no action"#,
        ),
        (second(r#""Effect":"Allow","Action":"iot:*","Resource":"""#), "statement 1, Resource: empty"),
        (
            second(r#""Effect":"Allow","Action":"iot:*","Resource":"${a""#),
            "statement 1, Resource: \"${\" is not closed",
        ),
        (
            second(r#""Effect":"Allow","Action":"iot:*","Resource":"*","Principal":"*""#),
            "statement 1, Principal: not allowed",
        ),
        (
            second(r#""Effect":"Allow","Action":"iot:*","Resource":"*","Resorce":"*""#),
            "statement 1, Resorce: unknown field",
        ),
        (
            second(r#""Effect":"Allow","Action":"iot:*","NotAction":"iot:*","Resource":"*""#),
            "statement 1, NotAction: stands beside Action",
        ),
        (
            condition(r#"{"StringEqual":{"a":"b"}}"#),
            r#"statement 1, Condition.StringEqual: "StringEqual" is no condition operator"#,
        ),
        (
            condition(r#"{"Bool":{"a":"yes"}}"#),
            r#"statement 1, Condition.Bool.a: "yes" is neither true nor false"#,
        ),
        (
            condition(r#"{"IpAddress":{"a":"1.2.3"}}"#),
            "statement 1, Condition.IpAddress.a: \"1.2.3\" is neither an IP address",
        ),
        (
            condition(r#"{"ArnLike":{"a":"topic/x"}}"#),
            "statement 1, Condition.ArnLike.a: \"topic/x\" is no ARN",
        ),
        (condition(r#"{"StringLike":{"a":[]}}"#), "statement 1, Condition.StringLike.a: empty"),
        (condition(r#"{"StringLike":"a"}"#), "statement 1, Condition.StringLike: expected an object"),
        (r#"{"Statement":[]}"#.into(), "policy, Version: missing"),
        (r#"{"Version":"2012-10-17"}"#.into(), "policy, Statement: missing"),
        (r#"{"Version":"2012-10-17","Statement":[]}"#.into(), "policy, Statement: empty"),
        (r#"{"Version":"2012-10-17","Statement":[1]}"#.into(), "statement 0: expected an object"),
        (
            r#"{"Version":"2020-01-01","Statement":[]}"#.into(),
            r#"policy, Version: "2020-01-01" is no policy version"#,
        ),
        (r#"{"Version":2012,"Statement":[]}"#.into(), "policy, Version: expected a string"),
        (
            r#"{"Version":"2012-10-17","Version":"2012-10-17"}"#.into(),
            "policy: not valid JSON: the key \"Version\" is given twice",
        ),
        ("[]".into(), "policy: expected an object"),
        ("{".into(), "policy: not valid JSON"),
        (String::new(), "policy: not valid JSON"),
    ];
    for (text, expected) in table {
        let found = error(&text).to_string();
        assert!(found.starts_with(expected), "{text}\n  found    {found}\n  expected {expected}");
    }
}

#[test]
fn unknown_and_unsupported_operators_are_told_apart() {
    for unknown in
        ["stringequals", "ForSomeValues:StringLike", "NullIfExists", "ForAllValues:Null", "NumericLike", ""]
    {
        let problem = error(&condition(&format!(r#"{{"{unknown}":{{"a":"b"}}}}"#))).problem;
        assert_eq!(problem, Problem::UnknownOperator(unknown.into()));
    }
    for unsupported in ["NumericLessThan", "DateGreaterThanEquals", "BinaryEquals", "NumericEqualsIfExists"] {
        let problem = error(&condition(&format!(r#"{{"{unsupported}":{{"a":"1"}}}}"#))).problem;
        assert_eq!(problem, Problem::UnsupportedOperator(unsupported.into()));
    }
}

#[test]
fn variables_exist_only_since_2012() {
    let statement = r#"{"Effect":"Allow","Action":"iot:*","Resource":"a${"}"#;
    let policy = |version| format!(r#"{{"Version":"{version}","Statement":{statement}}}"#);
    assert!(PolicyDocument::parse(&policy("2008-10-17")).is_ok());
    assert_eq!(error(&policy("2012-10-17")).problem, Problem::Pattern(PatternError::Unclosed));
}
