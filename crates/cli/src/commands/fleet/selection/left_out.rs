//! Who is in no campaign although the selection means them, and why: said beside every count, so that nobody is missed
//! silently.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

/// Why a device is left out although its name and its group are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Why {
    /// It is in the group, and in no list that the inventory has read.
    Unlisted,
    /// No certificate counts as its current one.
    Bare,
    /// The one that does is not on it, by the account's lists.
    Detached,
    /// The one that does is the operator's.
    Own,
    /// What the rule has found is another one.
    Other,
    /// An age is asked for, and nobody has told that of its certificate.
    Undated,
}

impl Why {
    const fn words(self) -> &'static str {
        match self {
            Self::Unlisted => "in the group, and not in the inventory",
            Self::Bare => "no ACTIVE certificate is known to be theirs",
            Self::Detached => {
                "the account has not told that the certificate which counts as theirs is on them"
            }
            Self::Own => "the certificate that counts as theirs is fleetkey's own",
            Self::Other => "the rule has found another certificate of theirs than the current one",
            Self::Undated => "the age of their certificate is not known",
        }
    }
}

/// How many devices are left out, by the reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct LeftOut(BTreeMap<Why, usize>);

impl LeftOut {
    /// So many more.
    pub(super) fn add(&mut self, why: Why, devices: usize) {
        if devices > 0 {
            *self.0.entry(why).or_default() += devices;
        }
    }

    /// How many, and why, in words.
    pub(in super::super) fn told(&self) -> impl Iterator<Item = (usize, &'static str)> {
        self.0.iter().map(|(why, devices)| (*devices, why.words()))
    }

    /// How many, by the reason.
    #[cfg(test)]
    pub(super) fn by_reason(&self) -> impl Iterator<Item = (Why, usize)> {
        self.0.iter().map(|(why, devices)| (*why, *devices))
    }

    /// As programs are told.
    pub(in super::super) fn json(&self) -> Value {
        self.told().map(|(devices, why)| json!({ "devices": devices, "why": why })).collect()
    }
}

/// After "no device was selected"; nothing where nobody was left out.
impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = ": ";
        for (devices, why) in self.told() {
            write!(f, "{words}{devices} left out ({why})")?;
            words = ", ";
        }
        Ok(())
    }
}
