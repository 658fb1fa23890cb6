//! A handler's input out of one JSON object, with the member's name in every complaint.
//!
//! Serde loses the name of the member whose value it refuses; AWS's answer begins with it. So the outermost level
//! is walked here, and what serde says of a member is put into AWS's words.

use std::cell::RefCell;

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

use super::refusal::Refusal;
use super::trail::is_secret;

/// Reads `I` from the members of a request.
///
/// # Errors
/// `InvalidRequestException` in the words of AWS's request validation, for the first member that is missing or
/// that `I` refuses.
pub(super) fn read<I: DeserializeOwned>(members: &Map<String, Value>) -> Result<I, Refusal> {
    let last = RefCell::new(None);
    I::deserialize(Members { members, last: &last }).map_err(|error| {
        // An input that is flattened is looked at after its last member: whose value was refused is not known then.
        let secret = || members.keys().find(|name| is_secret(name)).map(|name| (name.clone(), String::new()));
        refusal(&error, last.into_inner().or_else(secret))
    })
}

fn refusal(error: &serde_json::Error, last: Option<(String, String)>) -> Refusal {
    let why = error.to_string();
    if let Some(member) = missing(&why) {
        return Refusal::constraint(None, member, "Member must not be null");
    }
    match last {
        // Serde's own words repeat the value, and what is refused here ends up in logs.
        Some((member, _)) if is_secret(&member) => Refusal::secret_constraint(&member),
        Some((member, value)) => {
            Refusal::constraint(Some(&value), &member, &format!("Member must satisfy: {why}"))
        }
        None => Refusal::invalid(why),
    }
}

/// The member of "missing field `x`".
fn missing(why: &str) -> Option<&str> {
    why.strip_prefix("missing field `")?.split('`').next()
}

struct Members<'a> {
    members: &'a Map<String, Value>,
    last: &'a RefCell<Option<(String, String)>>,
}

impl<'de> Deserializer<'de> for Members<'_> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_map(Walk { rest: self.members.iter(), value: None, last: self.last })
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier
    }
}

struct Walk<'a> {
    rest: serde_json::map::Iter<'a>,
    value: Option<&'a Value>,
    last: &'a RefCell<Option<(String, String)>>,
}

impl<'de> MapAccess<'de> for Walk<'_> {
    type Error = serde_json::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Self::Error> {
        *self.last.borrow_mut() = None;
        // A null member counts as absent, as with AWS: clients write both.
        let Some((name, value)) = self.rest.by_ref().find(|(_, value)| !value.is_null()) else {
            return Ok(None);
        };
        self.value = Some(value);
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        *self.last.borrow_mut() = Some((name.clone(), text));
        seed.deserialize(StrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Self::Error> {
        seed.deserialize(self.value.take().cloned().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetkey_model::name::ThingName;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "camelCase")]
    struct Input {
        thing_name: ThingName,
        #[serde(default, deserialize_with = "crate::rest::text::optional_number")]
        max_results: Option<u32>,
    }

    fn input(members: &Value) -> Result<Input, String> {
        read(members.as_object().unwrap()).map_err(|refusal| refusal.message)
    }

    #[test]
    fn numbers_come_as_text_or_as_numbers_and_unknown_members_are_ignored() {
        let expected = Input { thing_name: ThingName::new("a").unwrap(), max_results: Some(5) };
        for five in [json!(5), json!("5")] {
            let read = input(&json!({"thingName": "a", "maxResults": five, "other": {"b": 1}}));
            assert_eq!(read.unwrap(), expected);
        }
        assert_eq!(input(&json!({"thingName": "a", "maxResults": null})).unwrap().max_results, None);
    }

    #[test]
    fn a_refused_member_is_named_with_its_value() {
        let why = input(&json!({"thingName": "a b"})).unwrap_err();
        assert!(
            why.starts_with(
                "1 validation error detected: Value 'a b' at 'thingName' failed to satisfy constraint: "
            ),
            "{why}"
        );
        let why = input(&json!({"thingName": "a", "maxResults": "many"})).unwrap_err();
        assert!(why.contains("Value 'many' at 'maxResults'"), "{why}");
    }

    #[test]
    fn a_refused_member_that_holds_a_secret_is_named_without_it() {
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Function {
            #[allow(dead_code, reason = "only its reading is tested")]
            environment: std::collections::BTreeMap<String, std::collections::BTreeMap<String, String>>,
        }
        for environment in [
            json!({"Variables": {"TOKEN": "s3cr3t", "N": 1}}),
            json!({"Variables": "s3cr3t"}),
            json!("s3cr3t"),
            json!(["s3cr3t"]),
        ] {
            let members = json!({"Environment": environment});
            let why = read::<Function>(members.as_object().unwrap()).unwrap_err().message;
            assert!(why.contains("'Environment'") && !why.contains("s3cr3t"), "{why}");
        }
    }

    #[test]
    fn a_missing_member_is_named() {
        assert_eq!(
            input(&json!({"maxResults": 1})).unwrap_err(),
            "1 validation error detected: Value null at 'thingName' failed to satisfy constraint: \
             Member must not be null"
        );
    }
}
