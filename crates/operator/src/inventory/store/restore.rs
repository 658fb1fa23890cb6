//! Rows taken in as they were kept, trees built of them at once: those have no empty places. What a row was read into and does
//! not keep is given back before the next is read, or the memory of a large fleet would be full of holes.

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{ClientId, ThingName};

use super::{Ages, Certificate, Marks, Own, Store, Thing};
use crate::few;

/// A store that is being read: things come before certificates, whose names are those of the things.
#[derive(Debug, Default)]
pub(in crate::inventory) struct Restoring {
    store: Store,
    things: Vec<(ThingName, Box<Thing>)>,
    certificates: Vec<(CertificateId, Box<Certificate>)>,
}

impl Restoring {
    /// One that knows which certificates are the operator's own.
    pub(in crate::inventory) fn new(own: Own) -> Self {
        Self { store: Store::new(own), ..Self::default() }
    }

    /// A thing as it was kept.
    ///
    /// # Errors
    /// When it comes after a certificate, which would be on no thing then.
    pub(in crate::inventory) fn thing(&mut self, name: ThingName, row: Thing) -> Result<(), String> {
        if !self.certificates.is_empty() {
            return Err("a thing after certificates".to_owned());
        }
        self.store.index.connects(&name, 0, row.connects.1);
        self.things.push((name, Box::new(row)));
        Ok(())
    }

    /// A certificate as it was kept.
    pub(in crate::inventory) fn certificate(&mut self, id: CertificateId, mut row: Certificate) {
        self.settle_things();
        self.store.restore(id, &mut row);
        self.certificates.push((id, Box::new(row)));
    }

    /// The store.
    pub(in crate::inventory) fn done(mut self, ages: Ages) -> Store {
        self.settle_things();
        let Self { mut store, certificates, .. } = self;
        store.certificates = certificates.into_iter().collect();
        store.index.pack();
        let names: Vec<_> = store.things.keys().cloned().collect();
        names.iter().for_each(|name| store.weigh(name));
        Store { ages, ..store }
    }

    fn settle_things(&mut self) {
        if !self.things.is_empty() {
            self.store.things = core::mem::take(&mut self.things).into_iter().collect();
        }
    }
}

impl Store {
    /// What else is known by a row that was read; its names become those of the things.
    fn restore(&mut self, id: CertificateId, row: &mut Certificate) {
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
