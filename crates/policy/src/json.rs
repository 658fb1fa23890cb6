//! JSON whose objects keep their order and refuse a key given twice.
//!
//! `serde_json` alone keeps the last of two equal keys, which hides a statement's second `Resource` from its author.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    /// `true`, `false`, a number or a string, as text.
    Scalar {
        text: String,
        is_string: bool,
    },
    Null,
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Node {
    fn plain(value: &impl ToString) -> Self {
        Self::Scalar { text: value.to_string(), is_string: false }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::plain(&value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::plain(&value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::plain(&value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::plain(&value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar { text: value.into(), is_string: true })
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut object: Vec<(String, Node)> = Vec::new();
        while let Some((key, value)) = entries.next_entry::<String, Node>()? {
            if object.iter().any(|(known, _)| *known == key) {
                return Err(A::Error::custom(format!("the key {key:?} is given twice")));
            }
            object.push((key, value));
        }
        Ok(Node::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_given_twice_is_refused_by_name() {
        let error = serde_json::from_str::<Node>(r#"{"a":1,"b":{"c":1,"c":2}}"#).unwrap_err();
        assert!(error.to_string().contains("\"c\" is given twice"), "{error}");
    }

    #[test]
    fn deep_nesting_is_refused_and_not_followed() {
        assert!(serde_json::from_str::<Node>(&"[".repeat(100_000)).is_err());
    }
}
