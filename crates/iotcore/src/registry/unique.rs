//! The identifiers that AWS makes up: `thingId`, `thingGroupId`, `thingTypeId`, `generationId`.
//!
//! Derived, not stored: the registry has no randomness, and a record's name with the moment it was made is as
//! unique as AWS's promise needs; what is deleted and made again has another one.

use fleetkey_model::time::Timestamp;
use sha2::{Digest, Sha256};

/// A UUID (RFC 9562 §5.8, version 8) of a kind of record, its name and when it was made.
pub(super) fn uuid(kind: &str, name: &str, made: Timestamp) -> String {
    let hex = digest(kind, name, made);
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-8{}-a{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}

/// A UUID of the same form for a thing's being in a group, of the identifiers of both.
pub(crate) fn membership_id(group: &str, thing: &str) -> String {
    uuid("membership", &format!("{group} {thing}"), Timestamp::default())
}

/// Sixty-four hex digits of the same, as a `generationId` is written.
pub(super) fn generation(kind: &str, name: &str, made: Timestamp) -> String {
    digest(kind, name, made)
}

fn digest(kind: &str, name: &str, made: Timestamp) -> String {
    let text = format!("{kind}\0{name}\0{}", made.as_millis());
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::NOW;

    #[test]
    fn an_identifier_has_the_form_of_a_uuid_and_differs_by_kind_name_and_moment() {
        let id = uuid("thing", "a", NOW);
        let lengths: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(id, uuid("thing", "a", NOW));
        let later = NOW + std::time::Duration::from_millis(1);
        for other in [uuid("group", "a", NOW), uuid("thing", "b", NOW), uuid("thing", "a", later)] {
            assert_ne!(id, other);
        }
        assert_eq!(generation("policy", "a", NOW).len(), 64);
    }
}
