//! Tags: what an operator notes of a resource, and how TagResource and UntagResource change it.
//!
//! Source: Developer Guide, tagging-iot (50 tags; keys of 1–128 characters that do not begin with `aws:`, values
//! up to 256); API Reference, TagResource.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::quota::MAX_TAGS;
use super::{Change, Draft, Plan, Registry, RegistryError, Taggable};

const LONGEST_KEY: usize = 128;
const LONGEST_VALUE: usize = 256;
/// Keys that are AWS's own.
const RESERVED: &str = "aws:";

/// The tags of one resource, checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tags(BTreeMap<String, String>);

impl Tags {
    /// Tags as a request has them.
    ///
    /// # Errors
    /// When a key occurs twice, a key or value breaks its rule, or there are more than [`MAX_TAGS`].
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, RegistryError> {
        let mut tags = Self::default();
        for (key, value) in pairs {
            check(&key, &value)?;
            if tags.0.contains_key(&key) {
                return Err(RegistryError::BadTag(format!("the key {key:?} occurs twice")));
            }
            tags.0.insert(key, value);
        }
        tags.limited()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keys and values, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// These tags with `new` over them.
    ///
    /// # Errors
    /// When there would be more than [`MAX_TAGS`].
    pub fn merged(&self, new: Self) -> Result<Self, RegistryError> {
        let mut tags = self.clone();
        tags.0.extend(new.0);
        tags.limited()
    }

    /// These tags without some.
    #[must_use]
    pub fn without(&self, keys: &[String]) -> Self {
        Self(
            self.0
                .iter()
                .filter(|(key, _)| !keys.contains(key))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
        )
    }

    fn limited(self) -> Result<Self, RegistryError> {
        if self.0.len() > MAX_TAGS {
            return Err(RegistryError::TooManyTags(MAX_TAGS));
        }
        Ok(self)
    }
}

fn check(key: &str, value: &str) -> Result<(), RegistryError> {
    let short: String = key.chars().take(LONGEST_KEY).collect();
    let why = if key.is_empty() || key.chars().count() > LONGEST_KEY {
        format!("a key has 1-{LONGEST_KEY} characters, not as {short:?}")
    } else if key.get(..RESERVED.len()).is_some_and(|head| head.eq_ignore_ascii_case(RESERVED)) {
        format!("the key {short:?} begins with {RESERVED}, which is reserved")
    } else if value.chars().count() > LONGEST_VALUE {
        format!("the value of {short:?} has more than {LONGEST_VALUE} characters")
    } else if !is_plain(key) || !is_plain(value) {
        format!("{short:?} holds a character that is no letter, digit, white space or one of _.:/=+-@")
    } else {
        return Ok(());
    };
    Err(RegistryError::BadTag(why))
}

/// API Reference, Tag: letters, white space, digits and `_ . : / = + - @`.
fn is_plain(text: &str) -> bool {
    text.chars().all(|c| c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c))
}

impl Registry {
    /// ListTagsForResource.
    ///
    /// # Errors
    /// When the resource does not exist.
    pub fn tags(&self, resource: &Taggable) -> Result<&Tags, RegistryError> {
        Ok(match resource {
            Taggable::Policy(name) => &self.require_policy(name)?.tags,
            Taggable::ThingType(name) => &self.require_thing_type(name)?.tags,
            Taggable::Group(name) => &self.require_group(name)?.tags,
            Taggable::Template(name) => &self.require_template(name)?.tags,
            Taggable::Rule(name) => match self.rule(name) {
                Some(rule) => &rule.tags,
                None => return Err(RegistryError::NoTaggedRule(name.clone())),
            },
        })
    }

    /// TagResource: adds tags, or gives those that exist another value.
    ///
    /// # Errors
    /// When the resource does not exist or would have more than [`MAX_TAGS`].
    pub fn plan_tag(&self, resource: &Taggable, tags: Tags) -> Result<Plan<()>, RegistryError> {
        let tags = self.tags(resource)?.merged(tags)?;
        self.plan_set_tags(resource, tags)
    }

    /// UntagResource; a key that is not there changes nothing.
    ///
    /// # Errors
    /// When the resource does not exist.
    pub fn plan_untag(&self, resource: &Taggable, keys: &[String]) -> Result<Plan<()>, RegistryError> {
        let tags = self.tags(resource)?.without(keys);
        self.plan_set_tags(resource, tags)
    }

    fn plan_set_tags(&self, resource: &Taggable, tags: Tags) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        if *self.tags(resource)? == tags {
            return Ok(draft.plan(()));
        }
        /// The same record with other tags.
        macro_rules! retagged {
            ($put:ident, $record:expr) => {{
                let mut record = $record.clone();
                record.tags = tags;
                Change::$put(record.into())
            }};
        }
        draft.write(match resource {
            Taggable::Policy(name) => retagged!(PutPolicy, self.require_policy(name)?),
            Taggable::ThingType(name) => retagged!(PutThingType, self.require_thing_type(name)?),
            Taggable::Group(name) => retagged!(PutGroup, self.require_group(name)?),
            Taggable::Template(name) => retagged!(PutTemplate, self.require_template(name)?),
            Taggable::Rule(name) => retagged!(PutRule, self.require_rule(name)?),
        });
        Ok(draft.plan(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Result<Tags, RegistryError> {
        Tags::new(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn keys_and_values_are_checked() {
        assert!(tags(&[("Team", "fleet @ home"), ("k", "")]).is_ok());
        let long = "k".repeat(129);
        let bad = [[("", "v"), ("a", "b")], [("aws:x", "v"), ("a", "b")], [("AWS:x", "v"), ("a", "b")]];
        for pairs in bad.into_iter().chain([
            [("a", "b"), ("a", "c")],
            [(&long, "v"), ("a", "b")],
            [("a", "*"), ("b", "")],
        ]) {
            assert!(matches!(tags(&pairs), Err(RegistryError::BadTag(_))), "{pairs:?}");
        }
    }

    #[test]
    fn there_are_fifty_at_most() {
        let many = |count: usize| Tags::new((0..count).map(|n| (format!("k{n}"), String::new())));
        let full = many(MAX_TAGS).unwrap();
        assert_eq!(many(MAX_TAGS + 1), Err(RegistryError::TooManyTags(MAX_TAGS)));
        assert_eq!(full.merged(tags(&[("k1", "x")]).unwrap()).unwrap().iter().count(), MAX_TAGS);
        assert!(full.merged(tags(&[("other", "x")]).unwrap()).is_err());
        assert_eq!(full.without(&["k0".to_owned(), "none".to_owned()]).iter().count(), MAX_TAGS - 1);
    }
}
