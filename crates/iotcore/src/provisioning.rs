//! The Fleet Provisioning MQTT API: what the broker calls when a client publishes to a reserved request topic.
//!
//! This is the shell: it reads payloads, mints, asks the external hook, commits, writes answers. What is decided
//! is decided in [`core`], which does no I/O. Source: Developer Guide, fleet-provision-api. The answer goes to
//! the asking connection only; that is the broker's part.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fleetkey_model::arn::Scope;
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{ClientId, TemplateName};
use fleetkey_model::topic::{Format, Leg, ReservedTopic};

use crate::ca::{DeviceAuthority, Minted, SigningRequest, Term};
use crate::clock::Clock;
use crate::hook::{BuiltinHook, FunctionHooks, HookEvent, HookFuture, PreProvisioningHook, TIMEOUT};
use crate::registry::Source;
use crate::seams::Roles;
use crate::store::{CommitError, StorageError, Store};

pub use self::core::Register;
pub use refusal::Refusal;
pub use throttle::Rates;

use payload::Output;
use throttle::Throttle;

mod cbor;
pub mod core;
mod payload;
mod refusal;
mod throttle;

/// How long a function may wait for one of this computer's processes before its five seconds begin. At AWS there is no
/// such queue: devices that come all at once would be denied for it. Agents wait ten seconds for an answer.
const QUEUE: Duration = Duration::from_secs(4);

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The certificate of the connection.
    pub principal: CertificateId,
    /// The client id of the connection.
    pub client_id: ClientId,
}

/// What is sent back on the asking connection.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// The request's topic with `/accepted` or `/rejected`.
    pub topic: ReservedTopic,
    /// JSON or CBOR, as the topic says. May contain a private key: never log it.
    pub payload: Bytes,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("topic", &self.topic)
            .field("payload", &format_args!("({} bytes)", self.payload.len()))
            .finish()
    }
}

/// Switches of the API.
#[derive(Clone, Default)]
pub struct ProvisioningConfig {
    /// Quotas that are to be kept, for example AWS's ([`Rates::AWS`]); none by default.
    pub rates: Option<Rates>,
    /// A hook asked before the templates' own.
    pub hook: Option<Arc<dyn PreProvisioningHook>>,
    /// The functions that templates may name; without them, such a template denies access.
    pub functions: Option<Arc<dyn FunctionHooks>>,
    /// Who knows whether AWS IoT may assume a template's role; without them, it may.
    pub roles: Option<Arc<dyn Roles>>,
}

/// The API. Clones share the throttle.
#[derive(Clone)]
pub struct ProvisioningApi {
    store: Store,
    devices: Arc<DeviceAuthority>,
    clock: Arc<dyn Clock>,
    scope: Scope,
    hook: Option<Arc<dyn PreProvisioningHook>>,
    functions: Option<Arc<dyn FunctionHooks>>,
    roles: Option<Arc<dyn Roles>>,
    throttle: Arc<Throttle>,
}

impl ProvisioningApi {
    /// The API over a registry and a device CA.
    pub fn new(
        store: Store,
        devices: Arc<DeviceAuthority>,
        clock: Arc<dyn Clock>,
        scope: Scope,
        config: ProvisioningConfig,
    ) -> Self {
        Self {
            store,
            devices,
            clock,
            scope,
            hook: config.hook,
            functions: config.functions,
            roles: config.roles,
            throttle: Arc::new(Throttle::new(config.rates)),
        }
    }

    /// Carries out one request. `topic` is a request topic of Fleet Provisioning; any other is answered with a
    /// rejection on the same topic. Returns after everything is durable.
    pub async fn handle(&self, caller: Caller, topic: &ReservedTopic, payload: &[u8]) -> Answer {
        let result = self.run(&caller, topic, payload).await;
        match &result {
            Ok(_) => tracing::info!(client = %caller.client_id, %topic, "provisioning accepted"),
            Err(refusal) => {
                tracing::warn!(client = %caller.client_id, %topic, %refusal, "provisioning rejected");
            }
        }
        let leg = if result.is_ok() { Leg::Accepted } else { Leg::Rejected };
        let output = result.unwrap_or_else(|refusal| Output::Rejected(refusal.rejection()));
        let (topic, format) = answer_topic(topic, leg);
        Answer { topic, payload: payload::write(&output, format) }
    }

    /// Deletes the certificates whose hour is over and that nobody registered. Call it from time to time;
    /// [`crate::registry::Registry::next_expiry`] tells when it is worth it.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn expire(&self) -> Result<Vec<CertificateId>, StorageError> {
        let now = self.clock.now();
        let mut deleted = Vec::new();
        while self.store.read().next_expiry().is_some_and(|at| at <= now) {
            let plan = |registry: &crate::registry::Registry| Ok(registry.plan_expire(now));
            match self.store.commit::<_, std::convert::Infallible>(plan).await {
                Ok(batch) => deleted.extend(batch),
                Err(CommitError::Storage(error)) => return Err(error),
                Err(CommitError::Refused(never)) => match never {},
            }
        }
        Ok(deleted)
    }

    async fn run(&self, caller: &Caller, topic: &ReservedTopic, payload: &[u8]) -> Result<Output, Refusal> {
        let now = self.clock.now();
        match topic {
            ReservedTopic::CreateKeys(_, Leg::Request) => {
                self.throttle.create_keys(now)?;
                let minted = self.devices.create_keys(Term::Trial, now).await?;
                self.issue(minted, Source::Keys).await
            }
            ReservedTopic::CreateFromCsr(format, Leg::Request) => {
                self.throttle.create_from_csr(now)?;
                let pem = payload::read_csr(payload, *format)?;
                let minted = self.devices.issue(SigningRequest::parse(&pem)?, Term::Trial, now).await?;
                self.issue(minted, Source::Csr).await
            }
            ReservedTopic::RegisterThing(template, format, Leg::Request) => {
                self.throttle.register(now)?;
                let request = payload::read_register(payload, *format, template)?;
                self.register(caller, request).await
            }
            ReservedTopic::CreateKeys(..)
            | ReservedTopic::CreateFromCsr(..)
            | ReservedTopic::RegisterThing(..)
            | ReservedTopic::Presence(..)
            | ReservedTopic::Subscription(..) => {
                Err(Refusal::InvalidPayload("this topic takes no requests".into()))
            }
        }
    }

    async fn issue(&self, minted: Minted, source: Source) -> Result<Output, Refusal> {
        let random = crate::ca::random()?;
        let now = self.clock.now();
        let plan = |registry: &_| core::issue(registry, &minted, source, &random, now);
        Ok(Output::Issued(self.store.commit(plan).await?))
    }

    async fn register(&self, caller: &Caller, mut request: Register) -> Result<Output, Refusal> {
        self.check_role(&request.template)?;
        self.ask_hooks(caller, &mut request).await?;
        let now = self.clock.now();
        let plan = |registry: &_| core::register(registry, caller, &request, now);
        Ok(Output::Registered(self.store.commit(plan).await?))
    }

    /// AWS provisions as the template's role, so a role that is gone lets nobody in. A template that was made in
    /// process has none.
    fn check_role(&self, template: &TemplateName) -> Result<(), Refusal> {
        let registry = self.store.read();
        let role = core::enabled_template(&registry, template)?.role_arn.as_deref();
        match (role, &self.roles) {
            (Some(arn), Some(roles)) if !roles.role_can_be_assumed_by(arn, "iot.amazonaws.com") => {
                tracing::warn!(arn, %template, "AWS IoT cannot assume the template's role: denying access");
                Err(Refusal::AccessDenied)
            }
            _ => Ok(()),
        }
    }

    /// Asks the hooks outside the registry, and takes their parameters over.
    async fn ask_hooks(&self, caller: &Caller, request: &mut Register) -> Result<(), Refusal> {
        if let Some(hook) = &self.hook {
            let event = self.hook_event(caller, request)?;
            ask(hook.call(event), TIMEOUT, request).await?;
        }
        if let Some(arn) = self.function_of(&request.template)? {
            let Some(functions) = &self.functions else {
                tracing::warn!(arn, template = %request.template, "no functions run here: denying access");
                return Err(Refusal::AccessDenied);
            };
            let event = self.hook_event(caller, request)?;
            ask(functions.call(&arn, event), QUEUE + TIMEOUT, request).await?;
            request.allowed_by = Some(arn);
        }
        Ok(())
    }

    /// The function that is the template's hook, if it is one.
    fn function_of(&self, template: &TemplateName) -> Result<Option<String>, Refusal> {
        match &core::enabled_template(&self.store.read(), template)?.hook {
            Some(BuiltinHook::Function { arn }) => Ok(Some(arn.clone())),
            Some(BuiltinHook::Serials { .. } | BuiltinHook::OwnThing) | None => Ok(None),
        }
    }

    fn hook_event(&self, caller: &Caller, request: &Register) -> Result<HookEvent, Refusal> {
        let registry = self.store.read();
        core::enabled_template(&registry, &request.template)?;
        let certificate = core::owned_certificate(&registry, request, self.clock.now())?;
        Ok(HookEvent {
            claim_certificate_id: caller.principal,
            certificate_id: certificate.id,
            certificate_pem: certificate.pem.clone(),
            template_arn: self.template_arn(&request.template),
            client_id: caller.client_id.clone(),
            parameters: request.parameters.clone(),
        })
    }

    fn template_arn(&self, template: &TemplateName) -> String {
        self.scope.template(template)
    }
}

/// Waits for a hook's decision, and takes its parameters over.
async fn ask(decision: HookFuture, longest: Duration, request: &mut Register) -> Result<(), Refusal> {
    let template = &request.template;
    match tokio::time::timeout(longest, decision).await {
        Ok(Ok(decision)) if decision.allow_provisioning => {
            request.parameters.extend(decision.parameter_overrides);
            return Ok(());
        }
        Ok(Ok(_)) => tracing::info!(%template, "the hook does not allow it: denying access"),
        Ok(Err(failure)) => tracing::warn!(%failure, %template, "denying access"),
        Err(_) => tracing::warn!(%template, "the hook took more than {longest:?}: denying access"),
    }
    Err(Refusal::AccessDenied)
}

/// The topic of the answer, and the format of its payload.
fn answer_topic(topic: &ReservedTopic, leg: Leg) -> (ReservedTopic, Format) {
    match topic {
        ReservedTopic::CreateKeys(format, _) => (ReservedTopic::CreateKeys(*format, leg), *format),
        ReservedTopic::CreateFromCsr(format, _) => (ReservedTopic::CreateFromCsr(*format, leg), *format),
        ReservedTopic::RegisterThing(template, format, _) => {
            (ReservedTopic::RegisterThing(template.clone(), *format, leg), *format)
        }
        ReservedTopic::Presence(..) | ReservedTopic::Subscription(..) => (topic.clone(), Format::Json),
    }
}

#[cfg(test)]
mod tests;
