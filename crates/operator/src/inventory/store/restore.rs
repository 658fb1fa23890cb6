//! Rows taken in as they were kept, all at once: trees that are built of what is there have no empty places.

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{ClientId, ThingName};

use super::{Certificate, Marks, Store, Thing};
use crate::few;

/// Rows as they were kept.
#[derive(Debug, Default)]
pub(in crate::inventory) struct Kept {
    pub(in crate::inventory) things: Vec<(ThingName, Box<Thing>)>,
    pub(in crate::inventory) certificates: Vec<(CertificateId, Box<Certificate>)>,
}

impl Store {
    /// Takes them in; an empty store does.
    pub(in crate::inventory) fn restore(&mut self, Kept { things, mut certificates }: Kept) {
        for (name, row) in &things {
            self.index.connects(name, 0, row.connects.1);
        }
        self.things = things.into_iter().collect();
        for (id, row) in &mut certificates {
            self.restore_certificate(*id, row);
        }
        self.certificates = certificates.into_iter().collect();
        let names: Vec<_> = self.things.keys().cloned().collect();
        names.iter().for_each(|name| self.weigh(name));
    }

    fn restore_certificate(&mut self, id: CertificateId, row: &mut Certificate) {
        for name in [row.thing.as_mut(), row.was_of.as_deref_mut()].into_iter().flatten() {
            *name = self.known(name.clone());
        }
        let holders = few::shrunk(core::mem::take(&mut row.holders)).into_iter();
        row.holders = holders.map(|(client, at)| (self.known_client(client), at)).collect();
        for open in &row.open {
            self.clients.insert(open.client.clone(), id);
        }
        if let Some(thing) = row.was_of.as_deref().and_then(|thing| self.things.get_mut(thing)) {
            thing.former.insert(id);
        }
        if let Some(thing) = &row.thing {
            self.things.entry(thing.clone()).or_default().certificates.insert(id);
        }
        self.index.certificate(id, Marks::default(), Marks::of(row));
    }

    /// The client id, its text shared with the thing of that name where there is one.
    pub(super) fn known_client(&self, client: ClientId) -> ClientId {
        let thing = client.thing().map(|thing| self.known(thing));
        thing.map_or(client, |thing| ClientId::live(&thing))
    }
}
