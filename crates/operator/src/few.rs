//! Maps of an entry or two, of which a large fleet has many.

use litemap::LiteMap;

/// The same, with no more room than it needs: what was read has taken some in reserve.
pub(crate) fn shrunk<K: Ord, V>(few: LiteMap<K, V>) -> LiteMap<K, V> {
    let mut entries = few.into_tuple_vec();
    entries.shrink_to_fit();
    LiteMap::from_iter(entries)
}
