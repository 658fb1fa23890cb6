//! What was asked of the account, in the text format of Prometheus. Writing to a String cannot fail.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use fleetkey_aws::Aws;

/// What the account says when its rate is used up.
const THROTTLED: u16 = 429;

/// Adds it to a page.
pub(super) fn render(page: &mut String, accounts: &[Arc<Aws>]) {
    let mut tallies = BTreeMap::new();
    for (call, n) in accounts.iter().flat_map(|aws| aws.tallies()) {
        *tallies.entry(call).or_insert(0u64) += n;
    }
    page.push_str(
        "# HELP fleetkey_aws_requests_total Calls to the account, by HTTP status; 0 is no answer.\n",
    );
    page.push_str("# TYPE fleetkey_aws_requests_total counter\n");
    for ((api, code), n) in &tallies {
        let _ = writeln!(page, "fleetkey_aws_requests_total{{api=\"{api}\",code=\"{code}\"}} {n}");
    }
    page.push_str("# HELP fleetkey_aws_throttled_total Calls that the account had no room for.\n");
    page.push_str("# TYPE fleetkey_aws_throttled_total counter\n");
    for ((api, _), n) in tallies.iter().filter(|((_, code), _)| *code == THROTTLED) {
        let _ = writeln!(page, "fleetkey_aws_throttled_total{{api=\"{api}\"}} {n}");
    }
    page.push_str("# HELP fleetkey_build_info The version that serves.\n# TYPE fleetkey_build_info gauge\n");
    let _ = writeln!(page, "fleetkey_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
}
