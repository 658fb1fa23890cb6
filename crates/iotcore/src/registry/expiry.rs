//! What becomes of ownership tokens when their hour is over, and of provisioning claims after their five minutes.
//!
//! Source: Developer Guide, fleet-provision-api: a certificate not activated within the hour is deleted. That an
//! expired claim of CreateProvisioningClaim is deleted is our reading: nobody could use it for anything.

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::time::Timestamp;

use super::{Change, Draft, Plan, Registry};

/// Tokens handled in one plan, so that a commit stays short.
const BATCH: usize = 256;

impl Registry {
    /// Forgets tokens that expired by `now` and deletes the certificates that are still PENDING_ACTIVATION, and
    /// the provisioning claims that expired.
    /// The output is the deleted certificates. One plan handles a batch; plan again until
    /// [`Registry::next_expiry`] is in the future.
    pub fn plan_expire(&self, now: Timestamp) -> Plan<Vec<CertificateId>> {
        let mut draft = Draft::new(self);
        let mut deleted = Vec::new();
        let due = self.expiries.iter().take_while(|(at, _)| *at <= now).take(BATCH);
        for record in due.filter_map(|(_, id)| self.certificate(id)) {
            let claim = record.claim_for.is_some() && record.not_after <= now;
            if claim || record.status == CertificateStatus::PendingActivation {
                draft.write(Change::DeleteCertificate(record.id));
                deleted.push(record.id);
            } else {
                let mut record = record.clone();
                record.ownership = None;
                draft.put_certificate(record);
            }
        }
        draft.plan(deleted)
    }
}
