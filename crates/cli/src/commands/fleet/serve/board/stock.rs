//! The inventory as a page and a file show it: what the account was last heard to have, and who was seen with it.

use fleetkey_dashboard::fleet::{InventoryPage, InventoryQuery, InventoryRow};
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;
use fleetkey_operator::inventory::{Ages, Query, Row, State, Store};

use super::super::super::now;
use super::Board;
use super::sums::short;

impl Board {
    /// One page of certificates.
    pub(super) fn stock(&self, query: &InventoryQuery) -> InventoryPage {
        let now = now();
        let wanted = Query {
            status: query.status,
            older_than: query.older_than,
            named: Some(query.text.clone()).filter(|text| !text.is_empty()),
            state: query.state.and_then(|state| state.parse().ok()),
            ends_by: query.ends_within.map(|span| now + span),
            ..Query::default()
        };
        let due = |thing: &ThingName, created, end| self.rhythm.due(thing, created, end);
        let mut page = self.watch.look(|store, _| {
            let page = wanted.page(store, now, Some(&due), query.after, query.limit);
            let rows = page.rows.into_iter().map(|row| shown(store, row)).collect();
            InventoryPage { rows, next: page.next, total: 0, told: told(store.ages(), now) }
        });
        // The only page has all of them.
        let is_whole = query.after.is_none() && page.next.is_none();
        page.total = match query.count {
            true if is_whole => page.rows.len(),
            true => self.watch.count(&wanted, now),
            false => 0,
        };
        page
    }
}

fn shown(store: &Store, row: Row) -> InventoryRow {
    let role = || store.own().get(&row.certificate).map(|role| format!("the operator's, {role}"));
    let part = match row.part {
        Some("own") => role(),
        Some("current") => Some("in use".to_owned()),
        Some("older") => Some("former".to_owned()),
        part => part.map(str::to_owned),
    };
    // Only who was heard to come can be known to have gone.
    let heard = |since: Timestamp| row.connected_at.is_some_and(|at| at >= since);
    let connected = match store.ages().watching_since {
        _ if !row.connections.is_empty() => Some(true),
        Some(since) if heard(since) => Some(false),
        _ => None,
    };
    InventoryRow {
        certificate: row.certificate,
        thing: row.thing,
        status: row.status,
        part,
        state: row.state.map(State::as_str),
        created: row.created_at,
        not_after: row.not_after,
        due: row.rotation_due,
        connected,
        seen: row.seen_at,
    }
}

fn told(ages: Ages, now: Timestamp) -> String {
    match ages.certificates.min(ages.attachments) {
        Some(at) => {
            format!("The account was listed {} ago; what happens since is heard.", short(now.since(at)))
        }
        None => "The account is being listed: this is what is known so far.".to_owned(),
    }
}
