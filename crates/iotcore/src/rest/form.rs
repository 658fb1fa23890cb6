//! Parameters of the Query protocol as the structure that they spell: `Tags.member.2.Key` is the member `Key` of
//! the second item of the list `Tags`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::refusal::Refusal;

/// Deeper than any input of IAM or STS.
const MAX_DEPTH: usize = 16;

/// A structure under construction.
#[derive(Debug)]
enum Node {
    Text(String),
    Members(BTreeMap<String, Self>),
}

/// The structure that the pairs spell.
///
/// # Errors
/// `MalformedInput` when one parameter says that another is text and a structure at once, or nests too deep.
pub(super) fn nest(pairs: impl Iterator<Item = (String, String)>) -> Result<Map<String, Value>, Refusal> {
    let mut root = BTreeMap::new();
    for (name, value) in pairs {
        let parts: Vec<&str> = name.split('.').collect();
        if parts.len() > MAX_DEPTH || !insert(&mut root, &parts, value) {
            let name: String = name.chars().take(256).collect();
            return Err(Refusal::new(400, "MalformedInput", format!("The parameter {name} makes no sense")));
        }
    }
    Ok(root.into_iter().map(|(name, node)| (name, node.into_value())).collect())
}

fn insert(members: &mut BTreeMap<String, Node>, parts: &[&str], value: String) -> bool {
    let Some((first, rest)) = parts.split_first() else {
        return false;
    };
    if rest.is_empty() {
        return match members.insert((*first).to_owned(), Node::Text(value)) {
            None | Some(Node::Text(_)) => true,
            Some(Node::Members(_)) => false,
        };
    }
    let inner = members.entry((*first).to_owned()).or_insert_with(|| Node::Members(BTreeMap::new()));
    match inner {
        Node::Members(inner) => insert(inner, rest, value),
        Node::Text(_) => false,
    }
}

impl Node {
    fn into_value(self) -> Value {
        let mut members = match self {
            Self::Text(text) => return Value::String(text),
            Self::Members(members) => members,
        };
        match members.remove("member") {
            Some(Self::Members(items)) if members.is_empty() => list(items),
            Some(other) => {
                members.insert("member".to_owned(), other);
                object(members)
            }
            None => object(members),
        }
    }
}

fn object(members: BTreeMap<String, Node>) -> Value {
    Value::Object(members.into_iter().map(|(name, node)| (name, node.into_value())).collect())
}

/// Items in the order of their numbers; what has no number comes last.
fn list(items: BTreeMap<String, Node>) -> Value {
    let mut items: Vec<(u64, Node)> =
        items.into_iter().map(|(number, node)| (number.parse().unwrap_or(u64::MAX), node)).collect();
    items.sort_by_key(|(number, _)| *number);
    items.into_iter().map(|(_, node)| node.into_value()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn nested(pairs: &[(&str, &str)]) -> Result<Value, Refusal> {
        nest(pairs.iter().map(|(name, value)| ((*name).into(), (*value).into()))).map(Value::Object)
    }

    #[test]
    fn lists_of_structures_are_spelled_by_dots() {
        let pairs = [
            ("RoleName", "r"),
            ("Tags.member.10.Key", "b"),
            ("Tags.member.2.Key", "a"),
            ("Tags.member.2.Value", ""),
        ];
        let expected = json!({"RoleName": "r", "Tags": [{"Key": "a", "Value": ""}, {"Key": "b"}]});
        assert_eq!(nested(&pairs), Ok(expected));
    }

    #[test]
    fn text_that_is_also_a_structure_is_refused() {
        for pairs in [[("a", "1"), ("a.b", "2")], [("a.b", "2"), ("a", "1")]] {
            assert_eq!(nested(&pairs).unwrap_err().code, "MalformedInput");
        }
        assert!(nested(&[(&"a.".repeat(10_000), "1")]).is_err());
    }
}
