//! The whole account in memory, as set-up and clean-up see it: refuses what AWS refuses, is not ready when AWS is not,
//! and lets its caller die at any call, before the effect or after it.
//!
//! A double of the trait, not of AWS: what the calls really do is the SDK's and the local IoT Core's to show.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fleetkey_model::certificate::{CertificateFacts, CertificateId, CertificateStatus};
use fleetkey_model::name::{GroupName, PolicyName, TemplateName, ThingName};
use fleetkey_model::secret::PrivateKeyPem;
use fleetkey_model::time::Timestamp;
use fleetkey_operator::cloud::{
    CallRecord, Cloud, Found, Identity, Issued, Key, Kind, Resource, Spec, Tags, TemporaryClaim,
};
use fleetkey_operator::control_plane::{
    ApiError, CertificateSummary, ControlPlane, CreatedCertificate, Done, TemplateSpec,
};
use fleetkey_operator::plan::{KeyMaker, Registrar};

/// What the caller dies of; not a test's failure.
pub struct Killed;

/// A certificate of the account.
pub struct Certificate {
    pub pem: String,
    pub key: Vec<u8>,
    pub status: CertificateStatus,
    pub policies: BTreeSet<PolicyName>,
    pub things: BTreeSet<ThingName>,
}

/// A death at a call.
#[derive(Debug, Clone, Copy)]
pub struct Death {
    /// Counted from 0.
    pub at: usize,
    pub after_effect: bool,
}

#[derive(Default)]
pub struct State {
    pub resources: BTreeMap<Key, (Spec, Tags)>,
    pub certificates: BTreeMap<CertificateId, Certificate>,
    pub things: BTreeMap<ThingName, Tags>,
    pub calls: Vec<String>,
    pub death: Option<Death>,
    /// How often a new role is refused before it can be assumed.
    pub role_lag: usize,
    /// How often a deprecated thing type is refused before it can go.
    pub type_lag: usize,
    /// The next answer of this call is lost although it took effect.
    pub lose: Option<&'static str>,
    /// Nobody may make this one.
    pub denied: Option<Key>,
    /// Deleted, it says, and it stays.
    pub stubborn: Option<CertificateId>,
    records: Vec<CallRecord>,
    issued: usize,
}

#[derive(Default)]
pub struct FakeCloud(Mutex<State>);

/// Keys that are their own public keys.
#[derive(Default)]
pub struct FakeKeys(AtomicUsize);

impl KeyMaker for FakeKeys {
    fn generate(&self) -> Result<PrivateKeyPem, String> {
        // Unique across runs: a second run has a key maker of its own.
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(PrivateKeyPem::new(format!("secret-{}", NEXT.fetch_add(1, Ordering::Relaxed))))
    }

    fn public_key(&self, key: &PrivateKeyPem) -> Result<Vec<u8>, String> {
        Ok(key.expose().as_bytes().to_vec())
    }

    fn request(&self, key: &PrivateKeyPem, _name: &str) -> Result<String, String> {
        Ok(key.expose().to_owned())
    }
}

impl FakeCloud {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a device as the claim template would.
    pub fn provision(&self, thing: &str, policy: &str, group_mark: bool) -> CertificateId {
        let mut state = self.state();
        let id = state.issue(thing.as_bytes().to_vec());
        let name = ThingName::new(thing).unwrap();
        let found = state.certificates.get_mut(&id).unwrap();
        found.status = CertificateStatus::Active;
        found.policies.insert(PolicyName::new(policy).unwrap());
        found.things.insert(name.clone());
        let mark = group_mark.then(|| ("certificateId".to_owned(), id.to_string()));
        state.things.insert(name, mark.into_iter().collect());
        id
    }

    fn call<T>(
        &self,
        name: String,
        effect: impl FnOnce(&mut State) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let mut state = self.state();
        let index = state.calls.len();
        let operation = name.split(' ').next().unwrap().to_owned();
        state.calls.push(name);
        let death = state.death.filter(|death| death.at == index);
        if death.is_some_and(|death| !death.after_effect) {
            drop(state);
            resume_unwind(Box::new(Killed));
        }
        let outcome = effect(&mut state);
        if death.is_some() {
            drop(state);
            resume_unwind(Box::new(Killed));
        }
        let lost = state.lose.take_if(|lose| *lose == operation).is_some();
        let request = Some(format!("request-{index}"));
        state.records.push(CallRecord { call: operation, request, succeeded: outcome.is_ok() && !lost });
        if lost { Err(ApiError::Unavailable("no answer".into())) } else { outcome }
    }

    fn certificate<T>(
        &self,
        operation: &str,
        id: &CertificateId,
        effect: impl FnOnce(&mut Certificate) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        self.call(format!("{operation} {}", id.short()), |state| {
            effect(state.certificates.get_mut(id).ok_or_else(|| missing(&id.short()))?)
        })
    }
}

impl State {
    fn issue(&mut self, key: Vec<u8>) -> CertificateId {
        const ALL: &str = include_str!("certificates.pem");
        let end = "-----END CERTIFICATE-----\n";
        let pem = ALL.split_inclusive(end).nth(self.issued).unwrap().to_owned();
        self.issued += 1;
        let id = CertificateFacts::from_pem(&pem).unwrap().id;
        let certificate = Certificate {
            pem,
            key,
            status: CertificateStatus::Inactive,
            policies: BTreeSet::new(),
            things: BTreeSet::new(),
        };
        self.certificates.insert(id, certificate);
        id
    }

    /// A role that is there and has spread.
    fn assume(&mut self, arn: &str) -> Done {
        let name = arn.rsplit('/').next().unwrap_or_default();
        if !self.resources.contains_key(&Key::new(Kind::Role, name)) {
            return Err(ApiError::Other(format!("there is no role {name}")));
        }
        if self.role_lag > 0 {
            self.role_lag -= 1;
            return Err(ApiError::Conflict("the role cannot be assumed".into()));
        }
        Ok(())
    }

    fn check(&mut self, resource: &Resource) -> Done {
        match &resource.spec {
            Spec::Function(function) => self.assume(&function.role),
            Spec::Rule { role, .. } => self.assume(role),
            Spec::Template { role, hook, .. } => {
                let hook = hook.as_deref().and_then(|arn| arn.rsplit(':').next()).unwrap_or_default();
                if !self.resources.contains_key(&Key::new(Kind::Function, hook)) {
                    return Err(ApiError::Other("there is no such function".into()));
                }
                self.assume(role)
            }
            _ => Ok(()),
        }
    }

    /// What must go first.
    fn names(&self, key: &Key) -> bool {
        let ends = |text: &str| {
            text.ends_with(&format!("/{}", key.name)) || text.ends_with(&format!(":{}", key.name))
        };
        self.resources.values().any(|(spec, _)| match spec {
            Spec::Function(function) => key.kind == Kind::Role && ends(&function.role),
            Spec::Rule { role, .. } => key.kind == Kind::Role && ends(role),
            Spec::Template { role, hook, .. } => {
                key.kind == Kind::Role && ends(role)
                    || key.kind == Kind::Function && hook.as_deref().is_some_and(ends)
            }
            _ => false,
        })
    }
}

fn missing(what: &impl ToString) -> ApiError {
    ApiError::NotFound(what.to_string())
}

fn unused<T>() -> Result<T, ApiError> {
    Err(ApiError::Other("the plan does not make it this way".into()))
}

impl Cloud for FakeCloud {
    async fn identity(&self) -> Result<Identity, ApiError> {
        self.call("identity".into(), |_| {
            Ok(Identity {
                account: "123456789012".into(),
                arn: "arn:aws:iam::123456789012:user/olga".into(),
                region: "us-east-1".into(),
            })
        })
    }

    async fn endpoint(&self) -> Result<String, ApiError> {
        self.call("endpoint".into(), |_| Ok("localhost".into()))
    }

    async fn look(&self, key: &Key) -> Result<Option<Found>, ApiError> {
        self.call(format!("look {key}"), |state| {
            Ok(state.resources.get(key).map(|(spec, tags)| Found { spec: spec.clone(), tags: tags.clone() }))
        })
    }

    async fn create(&self, resource: &Resource, tags: &Tags) -> Done {
        self.call(format!("create {}", resource.key), |state| {
            if state.resources.contains_key(&resource.key) {
                return Err(ApiError::AlreadyExists(resource.key.to_string()));
            }
            if state.denied.as_ref() == Some(&resource.key) {
                return Err(ApiError::Other("AccessDeniedException: not authorized".into()));
            }
            state.check(resource)?;
            state.resources.insert(resource.key.clone(), (resource.spec.clone(), tags.clone()));
            Ok(())
        })
    }

    async fn change(&self, resource: &Resource, _found: &Found) -> Done {
        self.call(format!("change {}", resource.key), |state| {
            state.check(resource)?;
            state.resources.get_mut(&resource.key).ok_or_else(|| missing(&resource.key))?.0 =
                resource.spec.clone();
            Ok(())
        })
    }

    async fn tag(&self, key: &Key, tags: &Tags) -> Done {
        self.call(format!("tag {key}"), |state| {
            let found = state.resources.get_mut(key).ok_or_else(|| missing(key))?;
            found.1.extend(tags.clone());
            Ok(())
        })
    }

    async fn delete(&self, key: &Key) -> Done {
        self.call(format!("delete {key}"), |state| {
            if state.names(key) {
                return Err(ApiError::Conflict("something still names it".into()));
            }
            match state.resources.get_mut(key) {
                Some((Spec::ThingType { deprecated }, _)) if !*deprecated || state.type_lag > 0 => {
                    state.type_lag = if *deprecated { state.type_lag - 1 } else { state.type_lag };
                    *deprecated = true;
                    return Err(ApiError::Conflict("deprecated less than five minutes ago".into()));
                }
                _ => {}
            }
            if key.kind == Kind::Policy {
                let name = PolicyName::new(key.name.as_str()).unwrap();
                for found in state.certificates.values_mut() {
                    found.policies.remove(&name);
                }
            }
            state.resources.remove(key);
            Ok(())
        })
    }

    async fn certificate_from_csr(&self, csr: &str) -> Result<Issued, ApiError> {
        self.call("certificate_from_csr".into(), |state| {
            let id = state.issue(csr.as_bytes().to_vec());
            let found = state.certificates.get(&id).ok_or_else(|| missing(&id.short()))?;
            Ok(Issued { id, pem: found.pem.clone(), status: found.status })
        })
    }

    async fn certificates_for_key(
        &self,
        public_key: &[u8],
        _since: Timestamp,
    ) -> Result<Vec<Issued>, ApiError> {
        self.call("certificates_for_key".into(), |state| {
            let ours = state.certificates.iter().filter(|(_, found)| found.key == public_key);
            Ok(ours
                .map(|(id, found)| Issued { id: *id, pem: found.pem.clone(), status: found.status })
                .collect())
        })
    }

    async fn policy_certificates(&self, policy: &PolicyName) -> Result<Vec<CertificateId>, ApiError> {
        self.call(format!("policy_certificates {policy}"), |state| {
            let with = state.certificates.iter().filter(|(_, found)| found.policies.contains(policy));
            Ok(with.map(|(id, _)| *id).collect())
        })
    }

    async fn certificate_things(&self, certificate: &CertificateId) -> Result<Vec<ThingName>, ApiError> {
        self.certificate("certificate_things", certificate, |found| {
            Ok(found.things.iter().cloned().collect())
        })
    }

    async fn thing(&self, name: &ThingName) -> Result<Option<Tags>, ApiError> {
        self.call(format!("thing {name}"), |state| Ok(state.things.get(name).cloned()))
    }

    async fn group_things(&self, _group: &GroupName) -> Result<Vec<ThingName>, ApiError> {
        self.call("group_things".into(), |state| Ok(state.things.keys().cloned().collect()))
    }

    async fn delete_thing(&self, name: &ThingName) -> Done {
        self.call(format!("delete_thing {name}"), |state| {
            if state.certificates.values().any(|found| found.things.contains(name)) {
                return Err(ApiError::Conflict("still attached to one or more principals".into()));
            }
            state.things.remove(name);
            Ok(())
        })
    }

    async fn provisioning_claim(&self, template: &TemplateName) -> Result<TemporaryClaim, ApiError> {
        self.call(format!("provisioning_claim {template}"), |state| {
            let id = state.issue(b"temporary".to_vec());
            let found = state.certificates.remove(&id).unwrap();
            let private_key = PrivateKeyPem::new("temporary");
            Ok(TemporaryClaim { id, pem: found.pem, private_key, expires: Timestamp::from_secs(300) })
        })
    }
}

impl Registrar for FakeCloud {
    async fn register(&self, pem: &str) -> Done {
        self.call("register".into(), |state| {
            let facts =
                CertificateFacts::from_pem(pem).map_err(|error| ApiError::Other(error.to_string()))?;
            if state.certificates.contains_key(&facts.id) {
                return Err(ApiError::AlreadyExists(facts.id.short()));
            }
            let certificate = Certificate {
                pem: pem.to_owned(),
                key: facts.public_key,
                status: CertificateStatus::Inactive,
                policies: BTreeSet::new(),
                things: BTreeSet::new(),
            };
            state.certificates.insert(facts.id, certificate);
            Ok(())
        })
    }

    async fn attach_thing(&self, thing: &ThingName, certificate: &CertificateId) -> Done {
        self.certificate("attach_thing", certificate, |found| {
            found.things.insert(thing.clone());
            Ok(())
        })
    }
}

impl ControlPlane for FakeCloud {
    fn take_calls(&self) -> Vec<CallRecord> {
        std::mem::take(&mut self.state().records)
    }

    async fn create_policy(&self, _: &PolicyName, _: &str) -> Done {
        unused()
    }

    async fn policy(&self, _: &PolicyName) -> Result<String, ApiError> {
        unused()
    }

    async fn replace_policy(&self, _: &PolicyName, _: &str) -> Done {
        unused()
    }

    async fn describe_thing_group(&self, _: &GroupName) -> Done {
        unused()
    }

    async fn create_thing_group(&self, _: &GroupName) -> Done {
        unused()
    }

    async fn template(&self, _: &TemplateName) -> Result<TemplateSpec, ApiError> {
        unused()
    }

    async fn create_template(&self, _: &TemplateSpec) -> Done {
        unused()
    }

    async fn replace_template(&self, _: &TemplateSpec) -> Done {
        unused()
    }

    async fn create_keys_and_certificate(&self, _: bool) -> Result<CreatedCertificate, ApiError> {
        unused()
    }

    async fn attach_policy(&self, policy: &PolicyName, certificate: &CertificateId) -> Done {
        self.certificate("attach_policy", certificate, |found| {
            found.policies.insert(policy.clone());
            Ok(())
        })
    }

    async fn attached_policies(&self, certificate: &CertificateId) -> Result<Vec<PolicyName>, ApiError> {
        self.certificate("attached_policies", certificate, |found| {
            Ok(found.policies.iter().cloned().collect())
        })
    }

    async fn detach_policy(&self, policy: &PolicyName, certificate: &CertificateId) -> Done {
        self.certificate("detach_policy", certificate, |found| {
            found.policies.remove(policy);
            Ok(())
        })
    }

    async fn describe_certificate(
        &self,
        certificate: &CertificateId,
    ) -> Result<CertificateSummary, ApiError> {
        let id = *certificate;
        self.certificate("describe_certificate", certificate, |found| {
            Ok(CertificateSummary { id, status: found.status, created_at: Timestamp::default() })
        })
    }

    async fn thing_certificates(&self, thing: &ThingName) -> Result<Vec<CertificateSummary>, ApiError> {
        self.call(format!("thing_certificates {thing}"), |state| {
            let with = state.certificates.iter().filter(|(_, found)| found.things.contains(thing));
            let summary = |(id, found): (&CertificateId, &Certificate)| CertificateSummary {
                id: *id,
                status: found.status,
                created_at: Timestamp::default(),
            };
            Ok(with.map(summary).collect())
        })
    }

    async fn update_certificate(&self, certificate: &CertificateId, status: CertificateStatus) -> Done {
        self.certificate("update_certificate", certificate, |found| {
            found.status = status;
            Ok(())
        })
    }

    async fn detach_thing_principal(&self, thing: &ThingName, certificate: &CertificateId) -> Done {
        self.certificate("detach_thing_principal", certificate, |found| {
            found.things.remove(thing);
            Ok(())
        })
    }

    async fn delete_certificate(&self, certificate: &CertificateId) -> Done {
        self.call(format!("delete_certificate {}", certificate.short()), |state| {
            let found = state.certificates.get(certificate).ok_or_else(|| missing(&certificate.short()))?;
            if found.status == CertificateStatus::Active
                || !found.policies.is_empty()
                || !found.things.is_empty()
            {
                return Err(ApiError::Conflict("still active or attached".into()));
            }
            if state.stubborn != Some(*certificate) {
                state.certificates.remove(certificate);
            }
            Ok(())
        })
    }
}
