//! Things, a page at a time.

use fleetkey_api::backend::{ThingSelection, Trouble};
use fleetkey_dashboard::fleet::Connection;
use fleetkey_model::name::ThingName;
use fleetkey_operator::inventory::{self, State, Store, Thing, Watch, like};
use serde_json::{Value, json};

use super::super::super::now;
use super::super::board::connection;

/// The things that fit, by name. Blocking: where few fit, it looks at all of them.
pub(super) fn page(watch: &Watch, selection: ThingSelection) -> Result<Value, Trouble> {
    let ThingSelection { thing, state, connected, after, limit } = selection;
    let state: Option<State> = state.as_deref().map(str::parse).transpose().map_err(Trouble::Bad)?;
    let fits = |store: &Store, name: &ThingName, row: &Thing| {
        thing.as_ref().is_none_or(|pattern| like(pattern, name.as_str()))
            && connected.is_none_or(|wanted| is_connected(store, name, row) == Some(wanted))
            && state.is_none_or(|wanted| {
                inventory::condition(store, name, now()).is_some_and(|known| known.state == wanted)
            })
    };
    let (mut rows, mut next) = (Vec::new(), None);
    watch.each_thing(|store, name, row| {
        let further = after.as_ref().is_none_or(|after| name > after) && next.is_none();
        match further && fits(store, name, row) {
            true if rows.len() < limit => rows.push((name.clone(), shown(store, name, row))),
            true => next = rows.last().map(|(name, _)| name.clone()),
            false => {}
        }
    });
    let rows: Vec<_> = rows.into_iter().map(|(_, row)| row).collect();
    Ok(json!({ "rows": rows, "next": next, "ages": watch.look(|store, _| store.ages()) }))
}

fn shown(store: &Store, name: &ThingName, row: &Thing) -> Value {
    let condition = inventory::condition(store, name, now());
    json!({
        "thing": name, "state": condition.map(|known| known.state), "state_why": condition.and_then(|known| known.why),
        "frozen": row.frozen, "connected": is_connected(store, name, row), "in_use": store.live(name).map(|(id, ..)| id),
        "attested": row.attested.map(|(id, _)| id), "attested_at": row.attested.map(|(_, at)| at),
        "recovered": row.recovered, "certificates": row.certificates.len(),
    })
}

/// `None` where nothing was heard.
fn is_connected(store: &Store, name: &ThingName, row: &Thing) -> Option<bool> {
    match connection(store, name, row) {
        Connection::Up => Some(true),
        Connection::Down => Some(false),
        Connection::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetkey_model::certificate::{CertificateId, CertificateStatus};
    use fleetkey_model::time::Timestamp;
    use fleetkey_operator::inventory::{Crawl, ListedCertificate, ListedThing};

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn watch() -> Watch {
        let mut store = Store::default();
        for n in 0..20u8 {
            let (id, status) = (CertificateId::of_der(&[n]), CertificateStatus::Active);
            let name = ThingName::new(format!("press-{n:02}")).unwrap();
            store.listed_certificates(NOW, &[ListedCertificate { id, status, created_at: NOW }]);
            store
                .listed_things(NOW, &[ListedThing { name: name.clone(), newest: Some(id), recovered: None }]);
            if n % 5 == 0 {
                store.frozen(&name, Some("two take turns".to_owned()));
            }
        }
        Watch::new(store, Crawl::default())
    }

    fn names(selection: &ThingSelection) -> Vec<String> {
        let (watch, mut after, mut all) = (watch(), None, Vec::new());
        loop {
            let page = page(&watch, ThingSelection { after, ..selection.clone() }).unwrap();
            let rows = page["rows"].as_array().unwrap();
            assert!(rows.len() <= selection.limit && all.len() < 100, "{page}");
            all.extend(rows.iter().map(|row| row["thing"].as_str().unwrap().to_owned()));
            after = page["next"].as_str().map(|name| ThingName::new(name).unwrap());
            if after.is_none() {
                return all;
            }
            assert_eq!(all.last().map(String::as_str), page["next"].as_str());
        }
    }

    #[test]
    fn pages_of_things_join_without_gap_or_repetition() {
        for limit in [1, 2, 7, 10, 20, 21] {
            let all = names(&ThingSelection { limit, ..ThingSelection::default() });
            assert!(all.len() == 20 && all.is_sorted(), "{limit}: {all:?}");
            let thing = Some("press-1*".to_owned());
            assert_eq!(names(&ThingSelection { limit, thing, ..ThingSelection::default() }).len(), 10);
            let state = Some("degraded".to_owned());
            let frozen = names(&ThingSelection { limit, state, ..ThingSelection::default() });
            assert_eq!(frozen, ["press-00", "press-05", "press-10", "press-15"], "{limit}");
            let connected = Some(true);
            assert!(names(&ThingSelection { limit, connected, ..ThingSelection::default() }).is_empty());
        }
    }

    #[test]
    fn a_state_that_is_none_is_refused() {
        let state = Some("asleep".to_owned());
        let refused = page(&watch(), ThingSelection { limit: 1, state, ..ThingSelection::default() });
        assert!(matches!(refused, Err(Trouble::Bad(why)) if why.contains("no state")));
    }
}
