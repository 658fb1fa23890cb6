//! The identity before the current one, while it is kept: read without owning the state directory, changing nothing.

use std::path::Path;
use std::sync::Arc;

use fleetkey_model::name::SerialNumber;

use super::{ReadOnly, RealFs, SlotIdentity, Store, read_record};
use crate::keys::P256Keys;

/// The key and certificate of the slot that the record calls the one before; `None` where there is none that reads.
pub fn read_previous(root: &Path, serial: SerialNumber) -> Option<SlotIdentity> {
    let slot = read_record(&RealFs, root).ok()??.previous?;
    let store = Store {
        fs: Arc::new(ReadOnly(Arc::new(RealFs))),
        keys: Arc::new(P256Keys),
        root: root.into(),
        serial,
        ballast: Arc::default(),
    };
    store.identity(slot).ok()
}
