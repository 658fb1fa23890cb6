//! Attributes of things and thing groups: what may stand in them, and how new ones are merged.
//!
//! Source: API Reference, AttributePayload. How many there may be is the thing's and the group's.

use std::collections::BTreeMap;

use super::RegistryError;
use super::quota::MAX_ATTRIBUTE_CHARACTERS;

const LONGEST_NAME: usize = 128;
const LONGEST_VALUE: usize = 800;

/// Adds `new` to `attributes`; an empty value removes the attribute (API Reference, AttributePayload).
pub(crate) fn merge_attributes(attributes: &mut BTreeMap<String, String>, new: &BTreeMap<String, String>) {
    for (name, value) in new {
        if value.is_empty() {
            attributes.remove(name);
        } else {
            attributes.insert(name.clone(), value.clone());
        }
    }
}

/// Whether every name and value is allowed, and all together are not too long.
pub(super) fn check(attributes: &BTreeMap<String, String>) -> Result<(), RegistryError> {
    if let Some((name, _)) = attributes.iter().find(|(name, value)| !is_allowed(name, value)) {
        return Err(RegistryError::BadAttribute(name.chars().take(LONGEST_NAME).collect()));
    }
    let total: usize = attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
    if total > MAX_ATTRIBUTE_CHARACTERS {
        return Err(RegistryError::AttributesTooLong(MAX_ATTRIBUTE_CHARACTERS));
    }
    Ok(())
}

fn is_allowed(name: &str, value: &str) -> bool {
    !name.is_empty()
        && name.len() <= LONGEST_NAME
        && value.len() <= LONGEST_VALUE
        && is_plain(name)
        && is_plain(value)
}

/// The characters of attribute names and values.
fn is_plain(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || "_.,@/:#=[]-".contains(c))
}
