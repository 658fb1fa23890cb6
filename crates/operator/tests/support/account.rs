//! An account in memory that keeps AWS's rules of status and deletion, counts its calls, and fails on demand.
//!
//! A double of the trait, not of AWS: the local IoT Core is the one imitation of the service, and the scenario tests
//! run against that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use fleetkey_model::certificate::{CertificateFacts, CertificateId, CertificateStatus};
use fleetkey_model::name::{GroupName, PolicyName, TemplateName, ThingName};
use fleetkey_model::secret::PrivateKeyPem;
use fleetkey_model::time::Timestamp;
use fleetkey_operator::control_plane::{
    ApiError, CertificateSummary, ControlPlane, CreatedCertificate, Done, TemplateSpec,
};

/// What is in the account.
#[derive(Default)]
pub struct State {
    pub policies: BTreeMap<PolicyName, String>,
    pub groups: BTreeSet<GroupName>,
    pub templates: BTreeMap<TemplateName, TemplateSpec>,
    pub certificates: BTreeMap<CertificateId, CertificateSummary>,
    pub attached: BTreeSet<(CertificateId, PolicyName)>,
    pub things: BTreeMap<ThingName, BTreeSet<CertificateId>>,
    /// Every call, in order, as `operation target`.
    pub calls: Vec<String>,
    /// The call with this index fails.
    pub fail: Option<Failure>,
    made: usize,
}

/// A call that goes wrong.
#[derive(Clone)]
pub struct Failure {
    /// Counted from 0.
    pub at: usize,
    /// How many calls from there on.
    pub times: usize,
    /// Whether the call takes effect and only its answer is lost.
    pub after_effect: bool,
    /// What the caller sees.
    pub error: ApiError,
}

#[derive(Default)]
pub struct Account(Mutex<State>);

impl Account {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Registers an ACTIVE certificate for a thing.
    pub fn provision(&self, thing: &ThingName, id: CertificateId, created_at: Timestamp) {
        let mut state = self.state();
        let summary = CertificateSummary { id, status: CertificateStatus::Active, created_at };
        state.certificates.insert(id, summary);
        state.things.entry(thing.clone()).or_default().insert(id);
    }

    pub fn status(&self, id: &CertificateId) -> Option<CertificateStatus> {
        self.state().certificates.get(id).map(|found| found.status)
    }

    /// Records a call, and decides whether it fails before or after `effect`.
    fn call<T>(
        &self,
        name: String,
        effect: impl FnOnce(&mut State) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let mut state = self.state();
        let index = state.calls.len();
        state.calls.push(name);
        let failure = state.fail.clone().filter(|fail| (fail.at..fail.at + fail.times).contains(&index));
        match failure {
            Some(fail) if !fail.after_effect => Err(fail.error),
            Some(fail) => effect(&mut state).and(Err(fail.error)),
            None => effect(&mut state),
        }
    }
}

fn missing(what: &impl ToString) -> ApiError {
    ApiError::NotFound(what.to_string())
}

/// The `index`th certificate of the test file.
fn pem(index: usize) -> String {
    const ALL: &str = include_str!("certificates.pem");
    let end = "-----END CERTIFICATE-----\n";
    ALL.split_inclusive(end).nth(index).unwrap().to_owned()
}

impl ControlPlane for Account {
    async fn create_policy(&self, name: &PolicyName, document: &str) -> Done {
        self.call(format!("create_policy {name}"), |state| {
            if state.policies.contains_key(name) {
                return Err(ApiError::AlreadyExists(name.to_string()));
            }
            state.policies.insert(name.clone(), document.to_owned());
            Ok(())
        })
    }

    async fn policy(&self, name: &PolicyName) -> Result<String, ApiError> {
        self.call(format!("policy {name}"), |state| {
            state.policies.get(name).cloned().ok_or_else(|| missing(name))
        })
    }

    async fn replace_policy(&self, name: &PolicyName, document: &str) -> Done {
        self.call(format!("replace_policy {name}"), |state| {
            *state.policies.get_mut(name).ok_or_else(|| missing(name))? = document.to_owned();
            Ok(())
        })
    }

    async fn describe_thing_group(&self, name: &GroupName) -> Done {
        self.call(format!("describe_thing_group {name}"), |state| {
            state.groups.get(name).map(drop).ok_or_else(|| missing(name))
        })
    }

    async fn create_thing_group(&self, name: &GroupName) -> Done {
        self.call(format!("create_thing_group {name}"), |state| {
            state.groups.insert(name.clone());
            Ok(())
        })
    }

    async fn template(&self, name: &TemplateName) -> Result<TemplateSpec, ApiError> {
        self.call(format!("template {name}"), |state| {
            state.templates.get(name).cloned().ok_or_else(|| missing(name))
        })
    }

    async fn create_template(&self, template: &TemplateSpec) -> Done {
        self.call(format!("create_template {}", template.name), |state| {
            match state.templates.insert(template.name.clone(), template.clone()) {
                Some(_) => Err(ApiError::AlreadyExists(template.name.to_string())),
                None => Ok(()),
            }
        })
    }

    async fn replace_template(&self, template: &TemplateSpec) -> Done {
        self.call(format!("replace_template {}", template.name), |state| {
            state.templates.insert(template.name.clone(), template.clone());
            Ok(())
        })
    }

    async fn create_keys_and_certificate(&self, set_active: bool) -> Result<CreatedCertificate, ApiError> {
        self.call("create_keys_and_certificate".into(), |state| {
            let pem = pem(state.made);
            state.made += 1;
            let id = CertificateFacts::from_pem(&pem).unwrap().id;
            let status = if set_active { CertificateStatus::Active } else { CertificateStatus::Inactive };
            let created_at = Timestamp::from_secs(state.made as u64);
            state.certificates.insert(id, CertificateSummary { id, status, created_at });
            Ok(CreatedCertificate { id, pem, private_key: PrivateKeyPem::new("the key") })
        })
    }

    async fn attach_policy(&self, policy: &PolicyName, certificate: &CertificateId) -> Done {
        self.call(format!("attach_policy {policy}"), |state| {
            if !state.certificates.contains_key(certificate) {
                return Err(missing(certificate));
            }
            state.attached.insert((*certificate, policy.clone()));
            Ok(())
        })
    }

    async fn attached_policies(&self, certificate: &CertificateId) -> Result<Vec<PolicyName>, ApiError> {
        self.call("attached_policies".into(), |state| {
            let attached = state.attached.iter().filter(|(id, _)| id == certificate);
            Ok(attached.map(|(_, policy)| policy.clone()).collect())
        })
    }

    async fn detach_policy(&self, policy: &PolicyName, certificate: &CertificateId) -> Done {
        self.call(format!("detach_policy {policy}"), |state| {
            state.attached.remove(&(*certificate, policy.clone()));
            Ok(())
        })
    }

    async fn describe_certificate(
        &self,
        certificate: &CertificateId,
    ) -> Result<CertificateSummary, ApiError> {
        self.call("describe_certificate".into(), |state| {
            state.certificates.get(certificate).copied().ok_or_else(|| missing(certificate))
        })
    }

    async fn thing_certificates(&self, thing: &ThingName) -> Result<Vec<CertificateSummary>, ApiError> {
        self.call(format!("thing_certificates {thing}"), |state| {
            let ids = state.things.get(thing).ok_or_else(|| missing(thing))?;
            Ok(ids.iter().filter_map(|id| state.certificates.get(id)).copied().collect())
        })
    }

    async fn update_certificate(&self, certificate: &CertificateId, status: CertificateStatus) -> Done {
        self.call(format!("update_certificate {} {status}", certificate.short()), |state| {
            let found = state.certificates.get_mut(certificate).ok_or_else(|| missing(certificate))?;
            if !found.status.may_become(status) {
                return Err(ApiError::Other(format!("{} cannot become {status}", found.status)));
            }
            found.status = status;
            Ok(())
        })
    }

    async fn detach_thing_principal(&self, thing: &ThingName, certificate: &CertificateId) -> Done {
        self.call(format!("detach_thing_principal {thing}"), |state| {
            state.things.get_mut(thing).ok_or_else(|| missing(thing))?.remove(certificate);
            Ok(())
        })
    }

    async fn delete_certificate(&self, certificate: &CertificateId) -> Done {
        self.call(format!("delete_certificate {}", certificate.short()), |state| {
            let found = state.certificates.get(certificate).ok_or_else(|| missing(certificate))?;
            let attached = state.attached.iter().any(|(id, _)| id == certificate)
                || state.things.values().any(|ids| ids.contains(certificate));
            if found.status == CertificateStatus::Active || attached {
                return Err(ApiError::Conflict("still active or attached".into()));
            }
            state.certificates.remove(certificate);
            Ok(())
        })
    }
}
