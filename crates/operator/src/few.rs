//! Maps of an entry or two, of which a large fleet has many.

use litemap::LiteMap;
use serde::{Serialize, Serializer};

/// The same, with no more room than it needs: what was read has taken some in reserve.
pub(crate) fn shrunk<K: Ord, V>(few: LiteMap<K, V>) -> LiteMap<K, V> {
    let mut entries = few.into_tuple_vec();
    entries.shrink_to_fit();
    LiteMap::from_iter(entries)
}

/// Writes one as a map, also where it is empty: of itself it writes that as a sequence, which no other map can be read from.
pub(crate) fn as_map<K: Serialize, V: Serialize, S: Serializer>(
    few: &LiteMap<K, V>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(few.iter())
}
