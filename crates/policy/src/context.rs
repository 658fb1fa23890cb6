//! What is known of a request: the values behind policy variables and condition keys.
//!
//! Not here: where they come from (certificate, registry, connection). Names compare without regard to case, as
//! in IAM, except between brackets: thing attribute names are case-sensitive.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Characters that keep a certificate's attribute from being substituted (Developer Guide, cert-policy-variables).
const UNSAFE_IN_CERTIFICATES: [char; 5] = ['*', '$', '+', '?', '#'];

/// The names and values of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    values: BTreeMap<String, Vec<String>>,
}

impl Context {
    /// A context in which nothing is known.
    pub const fn new() -> Self {
        Self { values: BTreeMap::new() }
    }

    /// Sets the one value of a key, for example `iot:Connection.Thing.ThingName`.
    pub fn set(&mut self, key: &str, value: impl Into<String>) -> &mut Self {
        self.values.insert(fold(key), alloc::vec![value.into()]);
        self
    }

    /// Sets a key that holds a set, for example `iot:ConnectAttributes`. An empty set is an absent key.
    pub fn set_many<V: Into<String>>(&mut self, key: &str, values: impl IntoIterator<Item = V>) -> &mut Self {
        let values: Vec<String> = values.into_iter().map(Into::into).collect();
        if values.is_empty() {
            self.values.remove(&fold(key));
        } else {
            self.values.insert(fold(key), values);
        }
        self
    }

    /// Sets a certificate attribute that may occur more than once: `KEY` is the first value, `KEY.1` the second and
    /// so on, `KEY.List` all of them (Developer Guide, cert-policy-variables).
    pub fn set_indexed<V: Into<String>>(
        &mut self,
        key: &str,
        values: impl IntoIterator<Item = V>,
    ) -> &mut Self {
        let values: Vec<String> = values.into_iter().map(Into::into).collect();
        for (index, value) in values.iter().enumerate() {
            match index {
                0 => self.set(key, value.as_str()),
                _ => self.set(&format!("{key}.{index}"), value.as_str()),
            };
        }
        self.set_many(&format!("{key}.List"), values)
    }

    /// The values of a key; empty when it is absent.
    pub fn get(&self, key: &str) -> &[String] {
        self.folded(&fold(key))
    }

    /// The values of a key that is already folded.
    pub(crate) fn folded(&self, key: &str) -> &[String] {
        self.values.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// What `${…}` is replaced by: the first value, unless it is a certificate's and could widen a pattern.
    pub(crate) fn variable(&self, folded: &str) -> Option<&str> {
        let value = self.folded(folded).first()?;
        let from_certificate = folded.starts_with("iot:certificate.");
        if from_certificate && value.contains(UNSAFE_IN_CERTIFICATES) {
            return None;
        }
        Some(value)
    }
}

/// The form in which names are compared: lower case outside brackets.
pub(crate) fn fold(name: &str) -> String {
    match name.split_once('[') {
        Some((head, attribute)) => format!("{}[{attribute}", head.to_ascii_lowercase()),
        None => name.to_owned().to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_ignore_case_but_thing_attributes_do_not() {
        let mut context = Context::new();
        context.set("iot:ClientId", "a").set("iot:Connection.Thing.Attributes[Site]", "x");
        assert_eq!(context.get("IOT:clientid"), ["a"]);
        assert_eq!(context.get("iot:connection.thing.attributes[Site]"), ["x"]);
        assert!(context.get("iot:Connection.Thing.Attributes[site]").is_empty());
    }

    #[test]
    fn a_repeated_attribute_is_reached_by_index_and_as_a_list() {
        let mut context = Context::new();
        context.set_indexed("iot:Certificate.Subject.Organization", ["a", "b"]);
        assert_eq!(context.get("iot:Certificate.Subject.Organization"), ["a"]);
        assert_eq!(context.get("iot:Certificate.Subject.Organization.1"), ["b"]);
        assert_eq!(context.get("iot:Certificate.Subject.Organization.List"), ["a", "b"]);
        assert!(context.get("iot:Certificate.Subject.Organization.2").is_empty());
    }

    #[test]
    fn a_certificate_attribute_with_a_wildcard_is_not_substituted() {
        let mut context = Context::new();
        context.set("iot:Certificate.Subject.CommonName", "a*").set("iot:ClientId", "a*");
        assert_eq!(context.variable("iot:certificate.subject.commonname"), None);
        assert_eq!(context.variable("iot:clientid"), Some("a*"));
    }

    #[test]
    fn an_empty_set_is_an_absent_key() {
        let mut context = Context::new();
        context.set("iot:ConnectAttributes", "LastWill");
        context.set_many("iot:ConnectAttributes", Vec::<String>::new());
        assert_eq!(context, Context::new());
    }
}
