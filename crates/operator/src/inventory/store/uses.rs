//! Which certificates a thing has, and which of them it is on.

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{ClientId, ThingName};
use fleetkey_model::time::Timestamp;

use super::{Certificate, Store};
use crate::plan::Seen;

impl Store {
    /// The certificate that a thing's own session is on, as far as was heard, and since when, by the broker's clock.
    pub fn live(&self, name: &ThingName) -> Option<(CertificateId, &Certificate, Timestamp)> {
        let client = ClientId::live(name);
        let id = self.clients.get(&client)?;
        Some((*id, self.certificates.get(id)?, self.open_of(&client)?.since))
    }

    /// Who is, or was, connected with these certificates, as far as was heard.
    pub fn seen_with(&self, certificates: impl IntoIterator<Item = CertificateId>) -> Seen {
        let of = |id| Some((id, self.certificates.get(&id)?.clients()));
        certificates.into_iter().filter_map(of).collect()
    }

    /// The certificates that a thing has or uses, as far as is known, with when they were registered.
    pub fn certificates_of(&self, name: &ThingName) -> Vec<(CertificateId, Option<Timestamp>)> {
        let row = self.things.get(name);
        let listed = row.into_iter().flat_map(|row| row.certificates.iter().copied());
        let attested = row.and_then(|row| Some(row.attested?.0));
        let all = listed.chain(attested).chain(self.live(name).map(|(id, ..)| id));
        all.map(|id| (id, self.certificates.get(&id).and_then(|row| row.created_at))).collect()
    }
}
