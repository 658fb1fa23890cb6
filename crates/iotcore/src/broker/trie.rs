//! The subscription tree: which subscribers does a message on this topic reach?
//!
//! One node a topic level; `+` and `#` are levels of their own. Not here: what a subscriber is, and whether it
//! may receive the message.

use std::collections::HashMap;

use fleetkey_model::topic::Matching;

/// Subscribers by topic filter; `K` names one, `V` is how it wants its messages.
#[derive(Debug)]
pub(crate) struct Trie<K, V> {
    root: Node<K, V>,
    matching: Matching,
}

#[derive(Debug)]
struct Node<K, V> {
    children: HashMap<Box<str>, Self>,
    subscribers: Vec<(K, V)>,
}

impl<K, V> Default for Node<K, V> {
    fn default() -> Self {
        Self { children: HashMap::new(), subscribers: Vec::new() }
    }
}

impl<K: Eq, V> Trie<K, V> {
    /// An empty tree that treats `#` as `matching` says.
    pub(crate) fn new(matching: Matching) -> Self {
        Self { root: Node::default(), matching }
    }

    /// Adds a subscriber; returns its former value when it had subscribed to this filter before.
    pub(crate) fn insert(&mut self, filter: &str, key: K, value: V) -> Option<V> {
        let node = filter
            .split('/')
            .fold(&mut self.root, |node, level| node.children.entry(level.into()).or_default());
        match node.subscribers.iter_mut().find(|(other, _)| *other == key) {
            Some((_, old)) => Some(std::mem::replace(old, value)),
            None => {
                node.subscribers.push((key, value));
                None
            }
        }
    }

    /// Removes a subscriber; returns its value when it had subscribed to this filter.
    pub(crate) fn remove(&mut self, filter: &str, key: &K) -> Option<V> {
        self.root.remove(filter.split('/'), key)
    }

    /// Calls `found` for every subscription that `topic` reaches; a subscriber with several matching filters
    /// is found once for each.
    pub(crate) fn for_each(&self, topic: &str, mut found: impl FnMut(&K, &V)) {
        let reserved = topic.starts_with('$');
        self.root.visit(Some(topic), self.matching, reserved, &mut found);
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.root.is_empty()
    }
}

impl<K: Eq, V> Node<K, V> {
    fn is_empty(&self) -> bool {
        self.children.is_empty() && self.subscribers.is_empty()
    }

    /// Empty nodes are taken out on the way back, so that the tree does not grow with the fleet's history.
    fn remove<'a>(&mut self, mut levels: impl Iterator<Item = &'a str>, key: &K) -> Option<V> {
        let Some(level) = levels.next() else {
            let index = self.subscribers.iter().position(|(other, _)| other == key)?;
            let (_, value) = self.subscribers.swap_remove(index);
            self.subscribers.shrink_to_fit();
            return Some(value);
        };
        let child = self.children.get_mut(level)?;
        let removed = child.remove(levels, key);
        if child.is_empty() {
            self.children.remove(level);
        }
        removed
    }

    /// `rest` is what is left of the topic, `None` when every level is used up; `reserved` says that a
    /// leading wildcard may not match because the topic begins with `$`.
    fn visit(&self, rest: Option<&str>, matching: Matching, reserved: bool, found: &mut impl FnMut(&K, &V)) {
        let all_match = !reserved && (rest.is_some() || matching == Matching::Spec);
        if let Some(all) = self.children.get("#").filter(|_| all_match) {
            all.report(found);
        }
        let Some(rest) = rest else {
            return self.report(found);
        };
        let (level, rest) = match rest.split_once('/') {
            Some((level, rest)) => (level, Some(rest)),
            None => (rest, None),
        };
        if let Some(child) = self.children.get(level) {
            child.visit(rest, matching, false, found);
        }
        if let Some(any) = self.children.get("+").filter(|_| !reserved) {
            any.visit(rest, matching, false, found);
        }
    }

    fn report(&self, found: &mut impl FnMut(&K, &V)) {
        for (key, value) in &self.subscribers {
            found(key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetkey_model::topic::{TopicFilter, TopicName};
    use proptest::prelude::*;

    fn found(trie: &Trie<u32, ()>, topic: &str) -> Vec<u32> {
        let mut keys = Vec::new();
        trie.for_each(topic, |key, ()| keys.push(*key));
        keys.sort_unstable();
        keys
    }

    #[test]
    fn a_subscriber_is_replaced_by_filter_and_removed_without_a_trace() {
        let mut trie = Trie::new(Matching::Aws);
        assert_eq!(trie.insert("a/+/c", 1, 'x'), None);
        assert_eq!(trie.insert("a/+/c", 1, 'y'), Some('x'));
        assert_eq!(trie.remove("a/+/c", &2), None);
        assert_eq!(trie.remove("a/+/c", &1), Some('y'));
        assert!(trie.is_empty());
    }

    #[test]
    fn the_parent_level_follows_the_profile() {
        let mut aws = Trie::new(Matching::Aws);
        aws.insert("a/#", 1, ());
        assert!(found(&aws, "a").is_empty());
        assert_eq!(found(&aws, "a/"), [1]);
        let mut spec = Trie::new(Matching::Spec);
        spec.insert("a/#", 1, ());
        assert_eq!(found(&spec, "a"), [1]);
    }

    const LEVEL: &str = "(\\$aws|a|b|)";
    const PATTERN: &str = "(\\$aws|a|b||\\+)";

    proptest! {
        #[test]
        fn the_tree_agrees_with_matching_filter_by_filter(
            filters in prop::collection::vec((prop::collection::vec(PATTERN, 1..4), any::<bool>()), 1..12),
            topic in prop::collection::vec(LEVEL, 1..4),
            spec in any::<bool>(),
        ) {
            let matching = if spec { Matching::Spec } else { Matching::Aws };
            let Ok(topic) = TopicName::new(topic.join("/")) else { return Ok(()) };
            let mut trie = Trie::new(matching);
            let mut expected = Vec::new();
            for (key, (levels, tail)) in (0u32..).zip(filters) {
                let text = levels.join("/") + if tail { "/#" } else { "" };
                let Ok(filter) = TopicFilter::new(text) else { continue };
                trie.insert(filter.as_str(), key, ());
                if filter.matches(topic.as_str(), matching) {
                    expected.push(key);
                }
            }
            prop_assert_eq!(found(&trie, topic.as_str()), expected);
        }
    }
}
