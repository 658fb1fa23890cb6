//! Shared subscriptions: `$share/NAME/FILTER`. Each message goes to one of those who have subscribed to the same.
//!
//! Source: Developer Guide, mqtt, shared subscriptions: in both versions of MQTT, to a random one, and kept while any of
//! them has a persistent session; AWS IoT Core quotas for how many. Subscribing asks for `topicfilter/$share/NAME/FILTER`
//! and receiving for `topic/$share/NAME/TOPIC`, as the policies of AWS's own device SDK samples have it; the guide
//! does not say. Not here: who a message reaches ([`super::route`]).

use std::collections::HashMap;
use std::sync::Arc;

use fleetkey_model::topic::TopicFilter;

use crate::limits::Limits;

const PREFIX: &str = "$share/";
/// Bytes of a share's name (Developer Guide, mqtt).
const LONGEST_NAME: usize = 128;

/// What several sessions have together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Share {
    /// Its name.
    pub(crate) name: Arc<str>,
    filter: Arc<str>,
}

/// A topic filter as it stands on the wire, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// With whom, if not alone.
    pub(crate) share: Option<Share>,
    /// The topics.
    pub(crate) filter: TopicFilter,
}

/// How many shared subscriptions there are of each name.
#[derive(Debug, Default)]
pub(crate) struct Shares(HashMap<Arc<str>, usize>);

impl Wanted {
    /// Reads it; `None` when nobody can subscribe to that.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let Some(shared) = text.strip_prefix(PREFIX) else {
            return Some(Self { share: None, filter: TopicFilter::new(text).ok()? });
        };
        let (name, topics) = shared.split_once('/')?;
        let is_name = (1..=LONGEST_NAME).contains(&name.len()) && !name.contains(['+', '#']);
        let filter = TopicFilter::new(topics).ok().filter(|_| is_name)?;
        Some(Self { share: Some(Share { name: name.into(), filter: topics.into() }), filter })
    }
}

impl Share {
    /// What a policy calls a message that came by it.
    pub(crate) fn topic(&self, topic: &str) -> String {
        format!("{PREFIX}{}/{topic}", self.name)
    }
}

impl Shares {
    /// Another subscription by this name; `false` when there are too many.
    pub(crate) fn join(&mut self, share: &Share, limits: &Limits) -> bool {
        let full = self.0.len() >= limits.share_groups;
        match self.0.get_mut(&share.name) {
            Some(members) if *members >= limits.share_members => false,
            Some(members) => {
                *members += 1;
                true
            }
            None if full => false,
            None => self.0.insert(share.name.clone(), 1).is_none(),
        }
    }

    /// One that was there before a restart: it stays, however many there may be.
    pub(crate) fn rejoin(&mut self, share: &Share) {
        *self.0.entry(share.name.clone()).or_default() += 1;
    }

    /// One less.
    pub(crate) fn leave(&mut self, share: &Share) {
        if let Some(members) = self.0.get_mut(&share.name) {
            *members = members.saturating_sub(1);
            if *members == 0 {
                self.0.remove(&share.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(text: &str) -> Share {
        Wanted::parse(text).unwrap().share.unwrap()
    }

    #[test]
    fn a_share_has_a_name_and_a_filter() {
        let wanted = Wanted::parse("$share/g/a/+").unwrap();
        assert_eq!((wanted.filter.as_str(), &*wanted.share.unwrap().name), ("a/+", "g"));
        assert_eq!(Wanted::parse("$shared/g").unwrap().share, None);
        let long = format!("$share/{}/a", "x".repeat(129));
        for bad in ["$share/g", "$share//a", "$share/g/", "$share/+/a", "$share/g#/a", "$share/g/a#", &long] {
            assert_eq!(Wanted::parse(bad), None, "{bad}");
        }
        assert_eq!(share("$share/g/a").topic("a"), "$share/g/a");
    }

    #[test]
    fn names_and_members_are_counted() {
        let limits = Limits { share_groups: 2, share_members: 2, ..Limits::default() };
        let mut shares = Shares::default();
        let [a, b, c] = ["a", "b", "c"].map(|name| share(&format!("$share/{name}/t")));
        assert!(shares.join(&a, &limits) && shares.join(&a, &limits) && !shares.join(&a, &limits));
        assert!(shares.join(&b, &limits) && !shares.join(&c, &limits));
        shares.leave(&b);
        assert!(shares.join(&c, &limits));
        shares.rejoin(&b);
        assert_eq!(shares.0.len(), 3);
    }
}
