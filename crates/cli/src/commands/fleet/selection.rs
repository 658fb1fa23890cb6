//! Which devices a campaign is about: what the inventory knows at this moment, and of a group what the account does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result};
use fleetkey_aws::Aws;
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{GroupName, ThingName};
use fleetkey_model::time::Timestamp;
use fleetkey_operator::inventory::{self, Store, Thing, Watch, like};

pub(super) use left_out::{LeftOut, Why};

mod left_out;

/// How many certificates are looked up at once: whoever looks holds the controller up.
const PAGE: usize = 1000;

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

/// What a selection comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Selected {
    /// The devices that are selected.
    pub(super) things: BTreeSet<ThingName>,
    /// Those that were meant and cannot be.
    pub(super) left_out: LeftOut,
}

/// Since when a device has its current certificate, as far as that is known; or why it can be in no campaign.
type Standing = Result<Option<Timestamp>, Why>;

/// A device of the inventory, as campaigns see it.
pub(super) type Candidate = (ThingName, Standing);

impl Selection {
    /// What it comes to at this moment.
    pub(super) fn of(&self, watch: &Watch, now: Timestamp) -> Selected {
        let (mut count, mut things) = (Count::new(self, now), Vec::new());
        let mut see = |name: &ThingName, standing: &dyn Fn() -> Standing| {
            if count.takes(name, standing) {
                things.push(name.clone());
            }
        };
        match &self.among {
            None => watch.each_thing(|store, name, thing| see(name, &|| standing(store, name, thing))),
            Some(found) => {
                for (name, standing) in &by_certificate(found, watch) {
                    see(name, &|| *standing);
                }
            }
        }
        let (_, left_out) = count.end();
        Selected { things: things.into_iter().collect(), left_out }
    }

    /// How many of these it selects, and who is left out; `None` where they do not tell, because a rule chooses.
    pub(super) fn count_of(&self, candidates: &[Candidate], now: Timestamp) -> Option<(usize, LeftOut)> {
        let mut count = self.among.is_none().then(|| Count::new(self, now))?;
        for (name, standing) in candidates {
            count.takes(name, &|| *standing);
        }
        Some(count.end())
    }

    fn is_meant(&self, name: &ThingName) -> bool {
        self.is_named(name) && self.members.as_ref().is_none_or(|known| known.contains(name))
    }

    fn is_named(&self, name: &ThingName) -> bool {
        self.thing.as_ref().is_none_or(|pattern| like(pattern, name.as_str()))
    }
}

/// A selection that is being counted.
struct Count<'a> {
    selection: &'a Selection,
    now: Timestamp,
    /// Devices that are meant.
    seen: usize,
    devices: usize,
    left_out: LeftOut,
}

impl<'a> Count<'a> {
    fn new(selection: &'a Selection, now: Timestamp) -> Self {
        Self { selection, now, seen: 0, devices: 0, left_out: LeftOut::default() }
    }

    /// Whether the selection takes a device that stands so.
    fn takes(&mut self, name: &ThingName, standing: &dyn Fn() -> Standing) -> bool {
        if !self.selection.is_meant(name) {
            return false;
        }
        self.seen += 1;
        let takes = match (standing(), self.selection.older_than) {
            (Ok(_), None) => true,
            (Ok(Some(registered)), Some(span)) => self.now.since(registered) >= span,
            (Ok(None), Some(_)) => self.leaves(Why::Undated),
            (Err(why), _) => self.leaves(why),
        };
        self.devices += usize::from(takes);
        takes
    }

    fn leaves(&mut self, why: Why) -> bool {
        self.left_out.add(why, 1);
        false
    }

    /// Who of a group was not among all that were seen, the inventory does not know.
    fn end(mut self) -> (usize, LeftOut) {
        let Selection { members, among, .. } = self.selection;
        if let Some(members) = members.as_ref().filter(|_| among.is_none()) {
            let meant = members.iter().filter(|name| self.selection.is_named(name)).count();
            self.left_out.add(Why::Unlisted, meant.saturating_sub(self.seen));
        }
        (self.devices, self.left_out)
    }
}

/// The devices that have these certificates. One that has several stands by the current one of them.
fn by_certificate(found: &BTreeSet<CertificateId>, watch: &Watch) -> BTreeMap<ThingName, Standing> {
    let mut devices = BTreeMap::<ThingName, Standing>::new();
    let ids: Vec<_> = found.iter().collect();
    for part in ids.chunks(PAGE) {
        watch.look(|store, _| {
            for id in part {
                let name = store.certificate(id).and_then(|row| row.thing.as_ref());
                let Some((name, thing)) = name.and_then(|name| Some((name, store.thing(name)?))) else {
                    continue;
                };
                let is_it = |(current, at)| if current == **id { Ok(at) } else { Err(Why::Other) };
                let standing = current(store, name, thing).and_then(is_it);
                let known = devices.entry(name.clone()).or_insert(standing);
                *known = known.or(standing);
            }
        });
    }
    devices
}

/// All devices of the inventory, by name.
pub(super) fn candidates(watch: &Watch) -> Vec<Candidate> {
    let mut found = Vec::new();
    watch.each_thing(|store, name, thing| found.push((name.clone(), standing(store, name, thing))));
    found
}

fn standing(store: &Store, name: &ThingName, thing: &Thing) -> Standing {
    current(store, name, thing).map(|(_, registered)| registered)
}

/// A device's current certificate, and since when it has that.
fn current(
    store: &Store,
    name: &ThingName,
    thing: &Thing,
) -> Result<(CertificateId, Option<Timestamp>), Why> {
    let current = inventory::current(store, thing).ok_or(Why::Bare)?;
    let row = store.certificate(&current).filter(|row| row.thing.as_ref() == Some(name));
    let row = row.ok_or(Why::Detached)?;
    match store.own().contains_key(&current) {
        true => Err(Why::Own),
        false => Ok((current, row.created_at)),
    }
}

/// Who is in a thing group or in one below it, as the account tells at this moment.
///
/// # Errors
/// When there is no such group, or the account does not tell.
pub(super) async fn members(aws: &Aws, group: &GroupName) -> Result<BTreeSet<ThingName>> {
    let listed = aws.things_below(group).await;
    Ok(listed
        .with_context(|| format!("who is in the thing group {group} cannot be told"))?
        .into_iter()
        .collect())
}

#[cfg(test)]
mod tests;
