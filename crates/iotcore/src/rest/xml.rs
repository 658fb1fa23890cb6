//! XML of the Query protocol (IAM, STS): an operation's output, or a refusal, as elements.
//!
//! Members are elements, items of a list are `<member>` elements; botocore's `QueryParser` reads it back.

use std::fmt::Write;

use serde_json::Value;

use super::refusal::Refusal;

/// The answer of the operation `name`.
pub(super) fn reply(name: &str, namespace: &str, output: &Value, id: &str) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(text, "<{name}Response xmlns=\"{namespace}\">");
    match output {
        Value::Object(members) if members.is_empty() => {}
        output => element(&mut text, &format!("{name}Result"), output),
    }
    let _ = write!(text, "<ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></{name}Response>");
    text
}

/// A refusal.
pub(super) fn refusal(refusal: &Refusal, namespace: &str, id: &str) -> String {
    let side = if refusal.status < 500 { "Sender" } else { "Receiver" };
    let (code, message) = (escape(&refusal.code), escape(&refusal.message));
    format!(
        "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>{side}</Type><Code>{code}</Code>\
         <Message>{message}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>"
    )
}

fn element(text: &mut String, name: &str, value: &Value) {
    let _ = write!(text, "<{name}>");
    match value {
        Value::Null => {}
        Value::Bool(value) => {
            let _ = write!(text, "{value}");
        }
        Value::Number(value) => {
            let _ = write!(text, "{value}");
        }
        Value::String(value) => text.push_str(&escape(value)),
        Value::Array(items) => items.iter().for_each(|item| element(text, "member", item)),
        Value::Object(members) => members.iter().for_each(|(name, value)| element(text, name, value)),
    }
    let _ = write!(text, "</{name}>");
}

/// Text as it may stand in an element. What XML 1.0 has no way to write becomes U+FFFD.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // A parser would make a line feed of it.
            '\r' => out.push_str("&#13;"),
            '\t' | '\n' => out.push(c),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_and_structures_nest() {
        let output = json!({"Roles": [{"Name": "a&b"}, {"Name": "c"}], "IsTruncated": false});
        let text = reply("ListRoles", "urn:x", &output, "id");
        let inner = "<IsTruncated>false</IsTruncated><Roles><member><Name>a&amp;b</Name></member>\
                     <member><Name>c</Name></member></Roles>";
        assert!(text.contains(&format!("<ListRolesResult>{inner}</ListRolesResult>")), "{text}");
    }

    #[test]
    fn control_characters_do_not_break_the_document() {
        assert_eq!(escape("a\u{0}b\r\n\u{1b}"), "a\u{fffd}b&#13;\n\u{fffd}");
    }
}
