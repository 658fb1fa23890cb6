//! What a certificate is worth to a thing: which would do, and which stand in for what was taken.

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ThingName;

use super::Cloud;

impl Cloud {
    /// A certificate that was all that a device had counts as accepted from now on.
    pub fn waive(&mut self, ids: impl IntoIterator<Item = CertificateId>) {
        self.waived.extend(ids);
        self.tell_account();
    }

    /// What an operator took from a device stands in for nothing any more: it was given back.
    pub fn forget_waived(&mut self, id: &CertificateId) {
        if self.waived.remove(id) {
            self.tell_account();
        }
    }

    /// The same, of all of them: there is another identity.
    pub fn forget_all_waived(&mut self) {
        if !self.waived.is_empty() {
            self.waived.clear();
            self.tell_account();
        }
    }

    /// The certificates that would do for a thing: ACTIVE and attached, accepted from a device before, and not asked
    /// to be retired. The first that is registered cannot have been accepted yet.
    pub fn rightful(&self, thing: &ThingName) -> Vec<CertificateId> {
        let is_rightful =
            |id: &&CertificateId| self.would_do(id) || (self.waived.contains(*id) && !self.is_given_up(id));
        let attached = self.registry.principals_of(thing);
        // What an operator took and the controller then detached and deleted is no less taken.
        let deleted = self.waived.iter().filter(|id| !attached.contains(id));
        attached.iter().filter(is_rightful).chain(deleted).copied().collect()
    }

    /// Whether it is such a one, and nobody took it.
    pub fn would_do(&self, id: &CertificateId) -> bool {
        let proven = self.proven.is_empty() || self.proven.contains(id);
        self.is_active(id) && proven && !self.is_given_up(id)
    }

    /// Whether the device has asked for what is older than one of its identities to be retired, and this is.
    fn is_given_up(&self, id: &CertificateId) -> bool {
        let created = |id: &CertificateId| self.registry.certificate(id).map(|record| record.created_at);
        self.retired_by.iter().any(|by| created(by) > created(id))
    }
}
