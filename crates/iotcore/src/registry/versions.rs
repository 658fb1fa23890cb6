//! The numbered versions of a text, of which one is the default: what policies and templates have in common.
//!
//! The text of the default stands with its owner, parsed; the others are kept here as they were written. Numbers
//! rise and are never given twice (Developer Guide, iot-policies; API Reference, CreatePolicyVersion and
//! CreateProvisioningTemplateVersion).

use std::collections::BTreeMap;

use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::quota::MAX_VERSIONS;

/// The versions of a text beside the text itself, which is the default one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// The number of the default version.
    pub default: u32,
    /// When the default version was made.
    pub created_at: Timestamp,
    /// The highest number ever given.
    pub highest: u32,
    /// All versions but the default.
    pub others: BTreeMap<u32, OtherVersion>,
}

/// A version that is not the default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherVersion {
    /// The text as it was written.
    pub text: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// One version, the default or another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionRef<'a> {
    /// Its number, from 1.
    pub id: u32,
    /// Its text.
    pub text: &'a str,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether it is in effect.
    pub is_default: bool,
}

/// Five versions exist already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

/// No version has the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unknown;

impl Versions {
    /// Of a new text: version 1.
    pub(super) const fn first(created_at: Timestamp) -> Self {
        Self { default: 1, created_at, highest: 1, others: BTreeMap::new() }
    }

    /// All versions in the order of their numbers; `text` is the default's.
    pub(super) fn all<'a>(&'a self, text: &'a str) -> Vec<VersionRef<'a>> {
        let mut all: Vec<_> = self.others.iter().map(|(id, other)| other.as_ref(*id)).collect();
        all.push(VersionRef { id: self.default, text, created_at: self.created_at, is_default: true });
        all.sort_unstable_by_key(|version| version.id);
        all
    }

    /// One version; `text` is the default's.
    pub(super) fn get<'a>(&'a self, text: &'a str, id: u32) -> Option<VersionRef<'a>> {
        if id == self.default {
            return Some(VersionRef { id, text, created_at: self.created_at, is_default: true });
        }
        self.others.get(&id).map(|other| other.as_ref(id))
    }

    /// Adds a version that is not the default and gives it a number.
    pub(super) fn add(&mut self, text: String, now: Timestamp) -> Result<u32, Full> {
        if self.others.len() + 1 >= MAX_VERSIONS {
            return Err(Full);
        }
        self.highest = self.highest.checked_add(1).ok_or(Full)?;
        self.others.insert(self.highest, OtherVersion { text, created_at: now });
        Ok(self.highest)
    }

    /// Makes `id` the default and exchanges its text with `text`, the default's so far.
    pub(super) fn set_default(&mut self, id: u32, text: &mut String) -> Result<(), Unknown> {
        if id == self.default {
            return Ok(());
        }
        let next = self.others.remove(&id).ok_or(Unknown)?;
        let before = OtherVersion { text: std::mem::replace(text, next.text), created_at: self.created_at };
        self.others.insert(self.default, before);
        (self.default, self.created_at) = (id, next.created_at);
        Ok(())
    }

    /// Removes a version that is not the default.
    pub(super) fn remove(&mut self, id: u32) -> Result<(), Unknown> {
        self.others.remove(&id).map(drop).ok_or(Unknown)
    }
}

impl OtherVersion {
    fn as_ref(&self, id: u32) -> VersionRef<'_> {
        VersionRef { id, text: &self.text, created_at: self.created_at, is_default: false }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fixtures::NOW;

    fn numbers(versions: &Versions, text: &str) -> Vec<(u32, String, bool)> {
        versions.all(text).iter().map(|one| (one.id, one.text.to_owned(), one.is_default)).collect()
    }

    #[test]
    fn the_default_moves_and_every_text_keeps_its_number() {
        let (mut versions, mut text) = (Versions::first(NOW), "one".to_owned());
        let later = NOW + Duration::from_secs(1);
        assert_eq!(versions.add("two".to_owned(), later), Ok(2));
        versions.set_default(2, &mut text).unwrap();
        assert_eq!(numbers(&versions, &text), [(1, "one".into(), false), (2, "two".into(), true)]);
        assert_eq!(versions.get(&text, 2).unwrap().created_at, later);
        versions.set_default(1, &mut text).unwrap();
        assert_eq!(numbers(&versions, &text), [(1, "one".into(), true), (2, "two".into(), false)]);
        assert_eq!(versions.set_default(3, &mut text), Err(Unknown));
        assert_eq!(versions.get(&text, 1).unwrap().created_at, NOW);
    }

    #[test]
    fn there_are_five_at_most_and_a_number_is_not_given_twice() {
        let mut versions = Versions::first(NOW);
        for n in 2..=5 {
            assert_eq!(versions.add(format!("{n}"), NOW), Ok(n));
        }
        assert_eq!(versions.add("6".to_owned(), NOW), Err(Full));
        versions.remove(5).unwrap();
        assert_eq!((versions.remove(5), versions.remove(1)), (Err(Unknown), Err(Unknown)));
        assert_eq!(versions.add("6".to_owned(), NOW), Ok(6));
    }
}
