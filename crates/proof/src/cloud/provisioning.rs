//! Fleet Provisioning: the local IoT Core's own core decides, on the model's registry.

use std::collections::BTreeMap;

use fleetkey_iotcore::provisioning::core::{Register, issue, register};
use fleetkey_iotcore::provisioning::{Caller, Refusal};
use fleetkey_iotcore::registry::Source;
use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::{ClientId, SerialNumber, TemplateName, ThingName};
use fleetkey_model::provisioning::{CertificateIssued, Rejection, SERIAL_PARAMETER};
use fleetkey_model::secret::OwnershipToken;
use fleetkey_model::time::Timestamp;
use fleetkey_model::topic::{Format, Leg, ReservedTopic};
use fleetkey_policy::Action;

use super::Cloud;
use crate::mint;

/// What the cloud is asked.
#[derive(Debug, Clone)]
pub enum Asked {
    /// CreateCertificateFromCsr.
    Certificate {
        /// The request, PEM.
        csr: String,
    },
    /// RegisterThing.
    Registration {
        /// The template.
        template: TemplateName,
        /// The certificate's token.
        token: OwnershipToken,
        /// The serial that names the thing.
        serial: SerialNumber,
    },
}

/// What the cloud answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A certificate.
    Issued(CertificateIssued),
    /// A registration.
    Registered(Option<ThingName>),
    /// No.
    Rejected(Rejection),
}

impl Asked {
    fn topic(&self) -> ReservedTopic {
        match self {
            Self::Certificate { .. } => ReservedTopic::CreateFromCsr(Format::Json, Leg::Request),
            Self::Registration { template, .. } => {
                ReservedTopic::RegisterThing(template.clone(), Format::Json, Leg::Request)
            }
        }
    }
}

impl Cloud {
    /// Serves a request on a connection; `None` when the connection is gone or may not ask, which nobody answers.
    pub fn ask(&mut self, now: Timestamp, client: &ClientId, number: u64, asked: &Asked) -> Option<Answer> {
        let principal = self.open_principal(client, number)?;
        let topic = asked.topic().to_string();
        if !self.allows(principal, client, Action::Publish, &topic) {
            return None;
        }
        let caller = Caller { principal, client_id: client.clone() };
        let served = match asked {
            Asked::Certificate { csr } => self.issue(now, csr).map(Answer::Issued),
            Asked::Registration { template, token, serial } => {
                self.register(now, &caller, template, token, serial).map(Answer::Registered)
            }
        };
        Some(served.unwrap_or_else(|refusal| Answer::Rejected(refusal.rejection())))
    }

    /// Deletes what nobody registered within its hour.
    pub fn expire(&mut self, now: Timestamp) {
        while self.registry.next_expiry().is_some_and(|at| at <= now) {
            let plan = self.registry.plan_expire(now);
            self.commit(plan);
        }
    }

    /// Opens or closes the recovery template, as an operator does for a while.
    pub fn open_recovery(&mut self, now: Timestamp, open: bool) {
        let name = self.stage.fleet.names.recovery_template.clone();
        if let Ok(plan) = self.registry.plan_update_template(&name, now, |record| record.enabled = open) {
            self.commit(plan);
        }
    }

    /// An operator makes the claim certificate INACTIVE.
    pub fn deactivate_claim(&mut self, now: Timestamp) {
        let claim = self.stage.claim;
        let _ = self.set_status(now, &claim, CertificateStatus::Inactive);
    }

    /// And ACTIVE again.
    pub fn restore_claim(&mut self, now: Timestamp) {
        let claim = self.stage.claim;
        let _ = self.set_status(now, &claim, CertificateStatus::Active);
    }

    fn issue(&mut self, now: Timestamp, csr: &str) -> Result<CertificateIssued, Refusal> {
        let ordinal = self.issued.entry(csr.to_owned()).or_default();
        let unreadable = || Refusal::InvalidPayload("no certificate signing request".into());
        let minted = mint::certificate(csr, *ordinal).ok_or_else(unreadable)?;
        *ordinal += 1;
        self.tokens += 1;
        self.told_tokens.push(token_bytes(self.tokens).iter().map(|byte| format!("{byte:02x}")).collect());
        let plan = issue(&self.registry, &minted, Source::Csr, &token_bytes(self.tokens), now)?;
        Ok(self.commit(plan))
    }

    fn register(
        &mut self,
        now: Timestamp,
        caller: &Caller,
        template: &TemplateName,
        token: &OwnershipToken,
        serial: &SerialNumber,
    ) -> Result<Option<ThingName>, Refusal> {
        self.expire(now);
        let parameters = BTreeMap::from([(SERIAL_PARAMETER.to_owned(), serial.to_string())]);
        let request =
            Register { template: template.clone(), token: token.clone(), parameters, allowed_by: None };
        let certificate = self.registry.owned_by(token, now).map(|record| record.id);
        let plan = register(&self.registry, caller, &request, now)?;
        let is_news = !plan.changes.is_empty();
        let answer = self.commit(plan);
        if let Some(certificate) = certificate.filter(|_| is_news && !self.delay.is_zero()) {
            self.effective.insert(certificate, now + self.delay);
        }
        Ok(answer.thing_name)
    }
}

/// The randomness of the `number`th ownership token.
fn token_bytes(number: u64) -> [u8; 32] {
    *CertificateId::of_der(&number.to_be_bytes()).as_bytes()
}
