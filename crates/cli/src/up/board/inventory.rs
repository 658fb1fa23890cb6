//! The inventory of the trial: the registry for what is registered, the agents for what is in use.

use std::collections::BTreeMap;

use fleetkey_dashboard::fleet::{InventoryPage, InventoryQuery, InventoryRow};
use fleetkey_iotcore::registry::CertificateRecord;
use fleetkey_lifecycle::Status;
use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;
use fleetkey_operator::inventory::State;

use super::{Board, Standing};

impl Board {
    /// One page of certificates.
    pub(super) fn stock(&self, query: &InventoryQuery) -> InventoryPage {
        let now = self.account.now();
        let statuses = self.statuses();
        let in_use: BTreeMap<CertificateId, (&ThingName, &Status)> = statuses
            .iter()
            .filter_map(|(thing, Standing { status, .. })| Some((status.certificate?, (thing, status))))
            .collect();
        let claim_policy = self.set_up.get().map(|set_up| &set_up.names.claim_policy);
        let registry = self.account.store().read();
        let of = |record: &CertificateRecord| {
            let standing = record.things.keys().next().and_then(|thing| statuses.get(thing));
            standing.map(|standing| &standing.status)
        };
        let found = |record: &&CertificateRecord| {
            let is_in = |wanted| of(record).map(state) == Some(wanted);
            query.state.is_none_or(is_in) && fits(query, record, now)
        };
        let total = if query.count { registry.certificates().filter(found).count() } else { 0 };
        let mut rest = registry.certificates_after(query.after.as_ref()).filter(found);
        let rows: Vec<InventoryRow> = rest
            .by_ref()
            .take(query.limit)
            .map(|record| {
                let user = in_use.get(&record.id);
                let claim = claim_policy.is_some_and(|policy| record.policies.contains(policy));
                let row = row(record, user.map(|(_, status)| *status), claim);
                InventoryRow { state: of(record).map(state), ..row }
            })
            .collect();
        let more = rest.next().is_some();
        let next = rows.last().filter(|_| more).map(|row| row.certificate);
        InventoryPage { rows, next, total, told: String::new() }
    }
}

fn fits(query: &InventoryQuery, record: &CertificateRecord, now: Timestamp) -> bool {
    query.status.is_none_or(|status| record.status == status)
        && query.older_than.is_none_or(|age| now.since(record.created_at) >= age)
        && query.ends_within.is_none_or(|span| record.not_after <= now + span)
        && (query.text.is_empty() || record.things.keys().any(|thing| contains(thing.as_str(), &query.text)))
}

fn row(record: &CertificateRecord, user: Option<&Status>, claim: bool) -> InventoryRow {
    let part = match (user, claim || record.claim_for.is_some(), record.things.is_empty()) {
        (Some(_), _, _) => Some("in use"),
        (None, true, _) => Some("claim"),
        (None, false, true) => Some("on no thing"),
        (None, false, false) if record.status != CertificateStatus::Active => Some("former"),
        (None, false, false) => None,
    };
    InventoryRow {
        certificate: record.id,
        thing: record.things.keys().next().cloned(),
        status: Some(record.status),
        part: part.map(str::to_owned),
        state: None,
        created: Some(record.created_at),
        not_after: Some(record.not_after),
        due: user.and_then(|status| status.due),
        connected: user.map(|status| status.connected),
        seen: None,
    }
}

/// The state of a device, by its own word, as the controller has it by the broker's.
fn state(status: &Status) -> &'static str {
    let state = if !status.alarms.is_empty() {
        State::Degraded
    } else if status.rotation.is_some() {
        State::Rotating
    } else if status.failures > 0 {
        State::BackOff
    } else {
        State::Ready
    };
    state.as_str()
}

/// Whether `text` contains `part`, any case, without a copy: it is asked of every row.
pub(super) fn contains(text: &str, part: &str) -> bool {
    part.is_empty()
        || text.as_bytes().windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_found_in_any_case() {
        for (text, part, found) in
            [("Pump-1", "pUMP", true), ("a", "ab", false), ("a", "", true), ("xay", "A", true)]
        {
            assert_eq!(contains(text, part), found, "{text} {part}");
        }
    }
}
