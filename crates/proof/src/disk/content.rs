//! The bytes of a file, shared between copies of a disk until one of them changes them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};

/// Bytes and, once it was asked for, their hash: images are compared far more often than changed.
#[derive(Debug, Clone, Default)]
pub(super) struct Content(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    bytes: Vec<u8>,
    hash: OnceLock<u64>,
}

impl Clone for Shared {
    /// For a change that is about to be made: the hash is not taken along.
    fn clone(&self) -> Self {
        Self { bytes: self.bytes.clone(), hash: OnceLock::new() }
    }
}

impl Content {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.0.bytes.len()
    }

    /// A number that tells contents apart.
    pub(super) fn digest(&self) -> u64 {
        *self.0.hash.get_or_init(|| {
            let mut hasher = DefaultHasher::new();
            self.0.bytes.hash(&mut hasher);
            hasher.finish()
        })
    }

    /// The bytes, to be changed here and in no copy.
    pub(super) fn edit(&mut self) -> &mut Vec<u8> {
        let shared = Arc::make_mut(&mut self.0);
        shared.hash.take();
        &mut shared.bytes
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.bytes == other.0.bytes
    }
}

impl Hash for Content {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_reaches_no_copy_and_changes_the_hash() {
        let hash = |content: &Content| {
            let mut hasher = DefaultHasher::new();
            content.hash(&mut hasher);
            hasher.finish()
        };
        let mut content = Content::default();
        content.edit().extend(b"one");
        let copy = content.clone();
        assert_eq!(hash(&content), hash(&copy));
        content.edit().extend(b" two");
        assert_eq!((copy.bytes(), content.bytes()), (&b"one"[..], &b"one two"[..]));
        assert_ne!(hash(&content), hash(&copy));
    }
}
