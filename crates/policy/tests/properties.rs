//! Properties over random policies: the matcher agrees with a naive reference, a Deny never allows more, nothing
//! panics, the fast path decides alike.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's helpers may fail the test")]

use fleetkey_policy::{Action, Context, PolicyDocument, Request, allows, evaluate};
use proptest::prelude::*;

/// Tries every way; exponential, and plainly right.
fn reference(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['*', rest @ ..] => (0..=text.len()).any(|skip| reference(rest, &text[skip..])),
        ['?', rest @ ..] => !text.is_empty() && reference(rest, &text[1..]),
        [c, rest @ ..] => text.first() == Some(c) && reference(rest, &text[1..]),
    }
}

fn statement() -> impl Strategy<Value = String> {
    let effect = prop_oneof![Just("Allow"), Just("Deny")];
    let action = prop_oneof![Just("*"), Just("iot:Publish"), Just("iot:*"), Just("iot:Rec*")];
    let field = prop_oneof![Just("Resource"), Just("NotResource")];
    let condition = prop_oneof![
        Just(String::new()),
        "[ab*?]{0,3}".prop_map(|v| format!(r#","Condition":{{"StringLike":{{"iot:ClientId":"{v}"}}}}"#)),
        "[ab]{0,2}".prop_map(|v| format!(r#","Condition":{{"StringNotEquals":{{"k":["{v}","${{x}}"]}}}}"#)),
    ];
    let resource = prop_oneof!["[ab/*?]{1,6}", Just("a${iot:ClientId}*".to_owned()), Just("${x}".to_owned())];
    (effect, action, field, resource, condition).prop_map(|(effect, action, field, resource, condition)| {
        format!(r#"{{"Effect":"{effect}","Action":"{action}","{field}":"{resource}"{condition}}}"#)
    })
}

fn policy(statements: &[String]) -> PolicyDocument {
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","));
    PolicyDocument::parse(&text).unwrap()
}

fn context() -> impl Strategy<Value = Context> {
    let client = proptest::option::of("[ab*]{0,2}");
    let x = proptest::option::of("[ab]{0,2}");
    (client, x).prop_map(|(client, x)| {
        let mut context = Context::new();
        context.set_many("iot:ClientId", client);
        context.set_many("x", x);
        context
    })
}

proptest! {
    #[test]
    fn matching_agrees_with_the_reference(pattern in "[ab/é*?]{1,8}", text in "[ab/é]{0,10}") {
        let policy = policy(&[format!(r#"{{"Effect":"Allow","Action":"*","Resource":"{pattern}"}}"#)]);
        let request = Request { action: Action::Publish, resource: &text, context: &Context::new() };
        let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
        prop_assert_eq!(evaluate([("P", &policy)], &request).allowed(), reference(&pattern, &text));
    }

    #[test]
    fn one_deny_more_never_allows_more(
        statements in prop::collection::vec(statement(), 1..4),
        deny in statement(),
        resource in "[ab/]{0,5}",
        context in context(),
    ) {
        let deny = deny.replace("\"Allow\"", "\"Deny\"");
        let (before, deny) = (policy(&statements), policy(&[deny]));
        for action in Action::ALL {
            let request = Request { action, resource: &resource, context: &context };
            let with = evaluate([("P", &before), ("D", &deny)], &request).allowed();
            prop_assert!(!with || evaluate([("P", &before)], &request).allowed());
        }
    }

    #[test]
    fn the_fast_path_decides_alike(
        statements in prop::collection::vec(statement(), 1..4),
        resource in "[ab/]{0,5}",
        context in context(),
    ) {
        let policy = policy(&statements);
        for action in Action::ALL {
            let request = Request { action, resource: &resource, context: &context };
            prop_assert_eq!(allows([&policy], &request), evaluate([("P", &policy)], &request).allowed());
        }
    }

    #[test]
    fn no_text_makes_parse_or_evaluate_panic(
        mutilated in prop::collection::vec((any::<prop::sample::Index>(), any::<char>()), 0..4),
        statements in prop::collection::vec(statement(), 1..3),
        resource in ".{0,20}",
        context in context(),
    ) {
        let text = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","));
        let mut text: Vec<char> = text.chars().collect();
        for (at, replacement) in mutilated {
            let at = at.index(text.len());
            text[at] = replacement;
        }
        let text: String = text.into_iter().collect();
        if let Ok(policy) = PolicyDocument::parse(&text) {
            for action in Action::ALL {
                evaluate([("P", &policy)], &Request { action, resource: &resource, context: &context });
            }
        }
    }
}
