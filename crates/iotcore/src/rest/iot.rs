//! The operations of AWS IoT's control plane (signed as `iot`), one file a family.

use super::Route;

mod endpoint;

/// All of them.
pub(super) fn routes() -> Vec<Route> {
    [endpoint::routes()].into_iter().flatten().collect()
}
