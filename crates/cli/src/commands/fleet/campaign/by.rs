//! In whose name an order of the command line stands in the journal.

use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result};
use fleetkey_operator::campaign::By;

/// Random bytes of an order's id.
const ID_BYTES: usize = 8;

/// Who gives an order now, with an id of its own. Only who may write to the fleet directory can leave one, so that is who
/// it was; the name beside the user's number is what their environment says.
///
/// # Errors
/// When the system has no random numbers.
pub(super) fn by(why: &str) -> Result<By> {
    let mut random = [0; ID_BYTES];
    getrandom::fill(&mut random).context("the system has no random numbers")?;
    let id = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let name = ["LOGNAME", "USER"].iter().find_map(|name| std::env::var(name).ok());
    let number = std::fs::metadata("/proc/self").map(|found| found.uid()).ok();
    Ok(By { who: words(name.as_deref(), number), why: why.to_owned(), id })
}

fn words(name: Option<&str>, number: Option<u32>) -> String {
    let plain = |name: &&str| !name.is_empty() && !name.chars().any(char::is_control);
    match (name.filter(plain), number) {
        (Some(name), Some(number)) => format!("{name} (user {number})"),
        (Some(name), None) => name.to_owned(),
        (None, Some(number)) => format!("user {number}"),
        (None, None) => "somebody who may write to the fleet directory".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_orders_is_named_as_well_as_is_known() {
        assert_eq!(words(Some("ann"), Some(7)), "ann (user 7)");
        assert_eq!(words(Some("a\nb"), Some(7)), "user 7");
        assert!(words(None, None).starts_with("somebody"));
        let (one, other) = (by("rain").unwrap(), by("rain").unwrap());
        assert!(one.id != other.id && one.id.len() == 16 && one.why == "rain");
    }
}
