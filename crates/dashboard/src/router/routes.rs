//! Every address that is answered, as a pattern; `{…}` stands for any one part. The router answers no other, so whoever reads
//! this list knows all of them: the browser tests do, and look at every page.

use crate::http::Method;

/// What is read.
const READS: [&str; 27] = [
    "/",
    "/assets/{name}",
    "/start/{ticket}",
    "/login",
    "/devices",
    "/devices/{thing}",
    "/devices/{thing}/policies",
    "/devices/{thing}/rotation",
    "/devices/{thing}/certificates/{id}",
    "/rotations",
    "/findings",
    "/inventory",
    "/inventory.csv",
    "/campaigns",
    "/campaigns/{name}",
    "/policies",
    "/policies/{name}",
    "/provisioning",
    "/setup",
    "/cleanup",
    "/journal",
    "/settings",
    "/try",
    "/try/{serial}",
    "/events",
    "/api/devices",
    "/api/status",
];

/// What is ordered.
const ORDERS: [&str; 14] = [
    "/login",
    "/do_login",
    "/logout",
    "/devices/rotate",
    "/devices/{thing}/rotate",
    "/devices/{thing}/certificates/{id}/{verb}",
    "/campaigns",
    "/campaigns/{name}/{verb}",
    "/setup",
    "/cleanup",
    "/provisioning/hook",
    "/settings/link",
    "/try/{serial}/{verb}",
    "/api/{verb}",
];

/// Whether a request of this method to this path means something.
pub(super) fn known(method: Method, path: &[&str]) -> bool {
    let routes = match method {
        Method::Get => READS.as_slice(),
        Method::Post => ORDERS.as_slice(),
        Method::Other => &[],
    };
    routes.iter().any(|route| fits(route, path))
}

fn fits(route: &str, path: &[&str]) -> bool {
    let parts = route.split('/').filter(|part| !part.is_empty());
    parts.clone().count() == path.len()
        && parts.zip(path).all(|(part, given)| part.starts_with('{') || part == *given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_stands_for_any_one_part_and_no_more() {
        assert!(known(Method::Get, &[]));
        assert!(known(Method::Get, &["devices", "press-1", "policies"]));
        assert!(known(Method::Post, &["devices", "press-1", "rotate"]));
        for unknown in [&["devices", "press-1", "rotate"], &["devices", "a", "b"] as &[_], &["nothing"]] {
            assert!(!known(Method::Get, unknown), "{unknown:?}");
        }
        assert!(!known(Method::Post, &[]) && !known(Method::Other, &[]));
    }
}
