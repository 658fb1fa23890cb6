//! Which devices a campaign is about: what the inventory knows at this moment, and of a group what the account does.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use fleetkey_aws::Aws;
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{GroupName, ThingName};
use fleetkey_model::time::Timestamp;
use fleetkey_operator::inventory::{Listing, Query, Store, Thing, Watch, like};
use fleetkey_operator::plan::Patience;

/// How many certificates are taken from the store at once.
pub(super) const PAGE: usize = 1000;

/// What a device has to be; what is not said does not matter.
#[derive(Debug, Clone, Default)]
pub(super) struct Selection {
    /// Its name matches (`*` any run of characters, `?` any one).
    pub(super) thing: Option<String>,
    /// Its current certificate was registered at least so long ago.
    pub(super) older_than: Option<Duration>,
    /// Its current certificate is one of these: what a rule has found.
    pub(super) among: Option<BTreeSet<CertificateId>>,
    /// It is one of these: who is in a group.
    pub(super) members: Option<BTreeSet<ThingName>>,
}

impl Selection {
    /// The things whose current certificate fits. `page` answers a query from after a certificate on.
    pub(super) fn things(
        self,
        mut page: impl FnMut(&Query, Option<CertificateId>) -> Listing,
    ) -> BTreeSet<ThingName> {
        let Self { thing, older_than, among, members } = self;
        let query = Query { thing, older_than, among, ..Query::default() };
        let (mut things, mut after) = (BTreeSet::new(), None);
        loop {
            let page = page(&query, after);
            let current = page.rows.into_iter().filter(|row| row.part == Some("current"));
            let named = current.filter_map(|row| row.thing);
            things.extend(named.filter(|thing| members.as_ref().is_none_or(|known| known.contains(thing))));
            after = page.next;
            if after.is_none() {
                return things;
            }
        }
    }
}

impl Selection {
    /// The same, of a store that is watched: looked for by its things, which is quick where many fit.
    pub(super) fn things_of(self, watch: &Watch, now: Timestamp) -> BTreeSet<ThingName> {
        if self.among.is_some() {
            // Part by part: whoever looks holds the controller up.
            return self
                .things(|query, after| watch.look(|store, _| query.page(store, now, None, after, PAGE)));
        }
        let mut things = Vec::new();
        watch.each_thing(|store, name, thing| {
            let fits = self.is_named(name)
                && candidate(store, name, thing).is_some_and(|registered| self.is_of_age(registered, now));
            if fits {
                things.push(name.clone());
            }
        });
        things.into_iter().collect()
    }

    /// How many of these it selects; `None` where that is not to be told from them, because a rule chooses.
    pub(super) fn count_of(&self, candidates: &[Candidate], now: Timestamp) -> Option<usize> {
        let fits = |(name, registered): &&Candidate| self.is_named(name) && self.is_of_age(*registered, now);
        self.among.is_none().then(|| candidates.iter().filter(fits).count())
    }

    fn is_named(&self, name: &ThingName) -> bool {
        self.thing.as_ref().is_none_or(|pattern| like(pattern, name.as_str()))
            && self.members.as_ref().is_none_or(|known| known.contains(name))
    }

    fn is_of_age(&self, registered: Option<Timestamp>, now: Timestamp) -> bool {
        self.older_than.is_none_or(|span| registered.is_some_and(|at| now.since(at) >= span))
    }
}

/// A device that can be selected, and since when it has its current certificate, as far as that is known.
pub(super) type Candidate = (ThingName, Option<Timestamp>);

/// All of them, by name.
pub(super) fn candidates(watch: &Watch) -> Vec<Candidate> {
    let mut found = Vec::new();
    watch.each_thing(|store, name, thing| {
        found.extend(candidate(store, name, thing).map(|registered| (name.clone(), registered)));
    });
    found
}

/// Since when a device has its current certificate; `None` of one that has none of its own.
fn candidate(store: &Store, name: &ThingName, thing: &Thing) -> Option<Option<Timestamp>> {
    let current = thing.attested.map(|(id, _)| id).or(thing.newest)?;
    let row = store.certificate(&current).filter(|row| row.thing.as_ref() == Some(name))?;
    (!store.own().contains_key(&current)).then_some(row.created_at)
}

/// Who is in a thing group or in one below it, as the account tells at this moment.
///
/// # Errors
/// When there is no such group, or the account does not tell.
pub(super) async fn members(aws: &Aws, group: &GroupName) -> Result<BTreeSet<ThingName>> {
    let listed = Patience::ASKING.call(|_| {}, || aws.things_below(group)).await;
    Ok(listed
        .with_context(|| format!("who is in the thing group {group} cannot be told"))?
        .into_iter()
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetkey_model::certificate::CertificateStatus;
    use fleetkey_operator::control_plane::CertificateSummary;

    fn thing(name: &str) -> ThingName {
        ThingName::new(name).unwrap()
    }

    #[test]
    fn who_is_in_a_group_and_fits_the_rest_is_selected() {
        let now = Timestamp::from_secs(1000);
        let mut store = Store::new(Default::default());
        for (name, created) in [("press-1", 1), ("press-2", 900), ("press-3", 1), ("oven-1", 1)] {
            let (name, id) = (thing(name), CertificateId::of_der(name.as_bytes()));
            let created_at = Timestamp::from_secs(created);
            store.listed(
                now,
                &name,
                &[CertificateSummary { id, status: CertificateStatus::Active, created_at }],
            );
            store.witnessed(&name, id, now);
        }
        let watch = Watch::new(store.clone(), Default::default(), []);
        let of = |selection: Selection| {
            let found = selection.clone().things(|query, after| query.page(&store, now, None, after, 1));
            let counted = selection.count_of(&candidates(&watch), now);
            assert!(counted.is_none_or(|count| count == found.len()), "counted alike: {counted:?}");
            assert_eq!(selection.things_of(&watch, now), found, "either way");
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(of(Selection::default()), ["oven-1", "press-1", "press-2", "press-3"]);
        let members = Some(["press-1", "press-2", "gone"].map(thing).into());
        assert_eq!(
            of(Selection { members: members.clone(), ..Selection::default() }),
            ["press-1", "press-2"]
        );
        let aged = Selection { members, older_than: Some(Duration::from_secs(500)), ..Selection::default() };
        assert_eq!(of(aged), ["press-1"]);
        let named = Selection { thing: Some("press-*".to_owned()), ..Selection::default() };
        assert_eq!(of(named), ["press-1", "press-2", "press-3"]);
        let among = Some([CertificateId::of_der(b"oven-1")].into());
        assert_eq!(of(Selection { among, ..Selection::default() }), ["oven-1"]);
        assert_eq!(of(Selection { members: Some(BTreeSet::new()), ..Selection::default() }), [""; 0]);
    }
}
