//! How each action of the machine is done. Every action ends in exactly one of the outcomes that it names.

use std::sync::Arc;

use bytes::Bytes;
use fleetkey_lifecycle::event::{StorageFault, Tier};
use fleetkey_lifecycle::record::Authority;
use fleetkey_lifecycle::{Action, Event, SlotId};
use fleetkey_model::certificate::CertificateFacts;
use fleetkey_model::name::{ClientId, TemplateName, ThingName};
use fleetkey_model::provisioning::{CertificateIssued, Rejection};
use fleetkey_model::retirement::{DeviceRequest, RequestOp};
use fleetkey_model::secret::OwnershipToken;
use fleetkey_model::topic::FleetTopic;

use super::claim::ClaimDesk;
use crate::carrier::{Answers, Broken, Requests};
use crate::clock::Clock;
use crate::config::{AgentConfig, ClaimConfig, KeySource, Verification};
use crate::connect::Connector;
use crate::disk::Disk;
use crate::live::{LiveHandle, Moved, Proof};
use crate::provision::{self, Unserved};
use crate::sidecar::SidecarHandle;
use crate::store::{FaultKind, SlotIdentity, Store, StoreFault};
use crate::tls::Failure;
use crate::verify;

/// Everything that touches the world.
#[derive(Debug, Clone)]
pub(crate) struct Executor {
    pub(crate) config: Arc<AgentConfig>,
    pub(crate) disk: Disk,
    pub(crate) connector: Connector,
    pub(crate) claim: ClaimDesk,
    pub(crate) live: LiveHandle,
    /// The data session, where local clients have it.
    pub(crate) sidecar: Option<SidecarHandle>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Executor {
    /// Runs one action to its end; `committed` is the slot that the durable record names as current.
    pub(crate) async fn execute(self, action: Action, committed: Option<SlotId>) -> Event {
        match action {
            Action::Persist(record) => {
                let written = self.on_disk(move |store| store.write_record(&record)).await;
                storage(written, |()| Event::Persisted)
            }
            Action::Preflight => {
                let fits = self.on_disk(|store| store.preflight()).await;
                storage(fits, |()| Event::Ready)
            }
            Action::MakeKey { slot } => self.make_key(slot).await,
            Action::RequestCertificate { slot, authority } => self.request_certificate(slot, authority).await,
            Action::StoreCertificate { slot, issued } => self.store_certificate(slot, issued).await,
            Action::RegisterThing { slot, authority } => self.register_thing(slot, authority).await,
            Action::Verify { slot, thing } => self.verify(slot, &thing).await,
            Action::Export { slot } => self.export(slot).await,
            Action::GoLive { slot } => self.go_live(slot).await,
            Action::RequestRetire { id } => self.request_retire(id, committed).await,
            Action::TellStaged { id } => self.tell_staged(id, committed).await,
            Action::DestroySlot { slot } => {
                let destroyed = self.on_disk(move |store| store.destroy(slot)).await;
                storage(destroyed, |()| Event::Destroyed { slot })
            }
        }
    }

    /// One call of the store. The driver awaits it before the next action, so that the machine's calls never
    /// overlap.
    pub(super) async fn on_disk<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Store) -> Result<T, StoreFault> + Send + 'static,
    ) -> Result<T, StoreFault> {
        self.disk.run(move |files| call(&files.store)).await
    }

    async fn make_key(&self, slot: SlotId) -> Event {
        let made = match self.config.key_source {
            KeySource::Csr => self.on_disk(move |store| store.make_key(slot)).await,
            // The service makes the key; the machine takes an empty one as "not ours to make".
            KeySource::Service => self.on_disk(move |store| store.reserve(slot).map(|()| Vec::new())).await,
        };
        storage(made, |public_key| Event::KeyMade { slot, public_key })
    }

    async fn store_certificate(&self, slot: SlotId, issued: CertificateIssued) -> Event {
        let now = self.clock.now();
        let stored = self.on_disk(move |store| store.store_certificate(slot, &issued, now)).await;
        storage(stored, |facts: CertificateFacts| Event::CertificateStored {
            slot,
            certificate: (&facts).into(),
        })
    }

    /// Exports, and forgets the token of what is committed: without a record, a slot with a token would count
    /// as never registered.
    async fn export(&self, slot: SlotId) -> Event {
        let exported = self
            .on_disk(move |store| store.export(slot).and_then(|facts| store.drop_token(slot).map(|()| facts)))
            .await;
        match exported {
            Err(fault) if fault.kind == FaultKind::Content => {
                Event::SlotDamaged { slot, why: fault.to_string() }
            }
            exported => storage(exported, |facts| Event::Exported { certificate: (&facts).into() }),
        }
    }

    async fn request_certificate(&self, slot: SlotId, authority: Authority) -> Event {
        let served = match authority {
            Authority::Current(current) => {
                let mut answers = self.live.listen(provision::certificate_answers()).await;
                self.ask_for_certificate(slot, &self.live.on(current), &mut answers).await
            }
            Authority::Claim | Authority::Recovery => self.request_by_claim(slot).await,
        };
        served.map_or_else(unserved, |issued| Event::Issued { slot, issued })
    }

    /// With a certificate in hand the connection stays for RegisterThing.
    async fn request_by_claim(&self, slot: SlotId) -> Result<CertificateIssued, Unserved> {
        let connected = self.claim.take(&self.connector, &self.config, &self.disk).await;
        let mut claim = connected.map_err(Unserved::NoAnswer)?;
        let served = self.ask_for_certificate(slot, &claim.client, &mut claim.messages).await;
        match &served {
            Ok(_) => self.claim.leave(claim).await,
            Err(_) => claim.client.disconnect().await,
        }
        served
    }

    async fn ask_for_certificate(
        &self,
        slot: SlotId,
        requests: &impl Requests,
        answers: &mut impl Answers,
    ) -> Result<CertificateIssued, Unserved> {
        let limit = self.config.timeouts.answer;
        if self.config.key_source == KeySource::Service {
            return provision::certificate_and_key(requests, answers, limit).await;
        }
        let read =
            self.on_disk(move |store| Ok((store.signing_request(slot)?, store.public_key(slot)?))).await;
        let (csr, public_key) = read.map_err(|fault| Unserved::NoAnswer(fault.to_string()))?;
        provision::certificate_for_csr(requests, answers, csr, &public_key, limit).await
    }

    async fn register_thing(&self, slot: SlotId, authority: Authority) -> Event {
        let token = match self.on_disk(move |store| store.token(slot)).await {
            Ok(Some((token, _))) => token,
            Ok(None) => return Event::Rejected(no_token()),
            Err(fault) => {
                return Event::NoAnswer { why: fault.to_string() };
            }
        };
        let served = match authority {
            Authority::Current(current) => self.register_on_live(current, token).await,
            Authority::Claim => self.register_by_claim(token, |claim| Some(&claim.template)).await,
            Authority::Recovery => {
                self.register_by_claim(token, |claim| claim.recovery_template.as_ref()).await
            }
        };
        served.map_or_else(unserved, |thing| Event::Registered { slot, thing })
    }

    async fn register_on_live(
        &self,
        current: SlotId,
        token: OwnershipToken,
    ) -> Result<Option<ThingName>, Unserved> {
        let template = &self.config.rotation_template;
        let mut answers = self.live.listen(provision::registration_answers(template)).await;
        let (serial, limit) = (&self.config.serial, self.config.timeouts.answer);
        let requests = self.live.on(current);
        provision::register_thing(&requests, &mut answers, template, token, serial, limit).await
    }

    async fn register_by_claim(
        &self,
        token: OwnershipToken,
        template: impl Fn(&ClaimConfig) -> Option<&TemplateName>,
    ) -> Result<Option<ThingName>, Unserved> {
        let template = self.config.claim.as_ref().and_then(template);
        let template = template
            .ok_or_else(|| Unserved::NoAnswer("no claim, or no template of it, is configured".into()))?;
        let connected = self.claim.take(&self.connector, &self.config, &self.disk).await;
        let mut claim = connected.map_err(Unserved::NoAnswer)?;
        let (serial, limit) = (&self.config.serial, self.config.timeouts.answer);
        let messages = &mut claim.messages;
        let served = provision::register_thing(&claim.client, messages, template, token, serial, limit).await;
        claim.client.disconnect().await;
        served
    }

    async fn verify(&self, slot: SlotId, thing: &ThingName) -> Event {
        let verdict = match (self.identity(slot).await, self.config.rotation.verification) {
            (Ok(identity), Verification::Beside) => self.verify_beside(&identity, thing).await,
            (Ok(identity), Verification::Takeover) => self.verify_by_takeover(identity, thing).await,
            (Err(failure), _) => Err(failure),
        };
        match verdict {
            Ok(()) => Event::Verified { slot },
            Err(Failure { tier, kind, why }) => Event::VerifyFailed { slot, tier, kind, why },
        }
    }

    async fn verify_beside(&self, identity: &SlotIdentity, thing: &ThingName) -> Result<(), Failure> {
        let topic = self.config.topic_root.verification(thing);
        let limit = self.config.timeouts.answer;
        let client = ClientId::verify(thing);
        verify::verify(&self.connector, &identity.into(), &client, &topic, limit).await
    }

    /// The live session moves to the identity if that passes. The one it runs on already is proved where it is.
    async fn verify_by_takeover(&self, identity: SlotIdentity, thing: &ThingName) -> Result<(), Failure> {
        let topic = self.config.topic_root.verification(thing);
        let limit = self.config.timeouts.answer;
        let proof = Proof { topic: topic.clone(), limit };
        match self.live.prove(Arc::new(identity), proof).await? {
            Moved::Now => Ok(()),
            Moved::Already => verify::verify_live(&self.live, &topic, limit).await,
        }
    }

    async fn go_live(&self, slot: SlotId) -> Event {
        let moved = match self.identity(slot).await {
            Ok(identity) => self.move_to(Arc::new(identity)).await,
            Err(failure) => Err(failure),
        };
        match moved {
            Ok(()) => Event::Live { slot },
            Err(Failure { kind, why, .. }) => Event::LiveFailed { slot, kind, why },
        }
    }

    /// The client's link first: it is the one that counts, and what it is refused the agent's own need not try.
    async fn move_to(&self, identity: Arc<SlotIdentity>) -> Result<(), Failure> {
        if let Some(sidecar) = &self.sidecar {
            sidecar.switch(identity.clone()).await?;
        }
        self.live.switch(identity).await
    }

    /// Whether the thing's own session is another program's.
    pub(crate) fn is_without_session(&self) -> bool {
        !self.config.session.live && self.sidecar.is_none()
    }

    /// As the thing itself: on the live session, or on that of the sidecar's client.
    async fn publish_as_thing(&self, on: SlotId, topic: &str, payload: Bytes) -> Result<(), Broken> {
        match &self.sidecar {
            Some(sidecar) => sidecar.publish(on, topic, payload).await,
            None => self.live.on(on).publish(topic, payload).await,
        }
    }

    /// A disk that cannot be read is no refusal by the broker. A slot that reads and is no identity any more is as
    /// good as refused: the machine then looks for another.
    async fn identity(&self, slot: SlotId) -> Result<SlotIdentity, Failure> {
        let read = self.on_disk(move |store| store.identity(slot)).await;
        read.map_err(|fault| match fault.kind {
            FaultKind::Content => Failure::refused(Tier::Tls, fault.to_string()),
            FaultKind::Full | FaultKind::ReadOnly | FaultKind::Io => Failure::unreadable(fault.to_string()),
        })
    }

    /// Publishes the request and waits. The answer comes over the live session to the driver, which then gives
    /// this up; reaching the end means that there was none. What the broker attests is the identity of the
    /// connection, so the request goes out on the committed one's or not at all; and not before that one was read
    /// back: what is older is the last resort of a device whose newest files are damaged.
    async fn request_retire(&self, id: String, committed: Option<SlotId>) -> Event {
        let Some(committed) = committed else {
            return Event::NoAnswer { why: "no identity is committed".into() };
        };
        if let Err(fault) = self.on_disk(move |store| store.identity(committed)).await {
            return unusable(committed, &fault);
        }
        let limit = self.config.timeouts.answer;
        match self.tell_controller(committed, RequestOp::Retire, id).await {
            Ok(true) => tokio::time::sleep(limit).await,
            Ok(false) => {}
            Err(why) => return Event::NoAnswer { why },
        }
        Event::NoAnswer { why: format!("no answer from the controller within {limit:?}") }
    }

    /// The broker's acknowledgement is all that comes of it.
    async fn tell_staged(&self, id: String, committed: Option<SlotId>) -> Event {
        let Some(committed) = committed else {
            return Event::NoAnswer { why: "no identity is committed".into() };
        };
        match self.tell_controller(committed, RequestOp::Stage, id).await {
            Ok(true) => Event::Told,
            Ok(false) => Event::NoAnswer { why: "the broker has not taken it".into() },
            Err(why) => Event::NoAnswer { why },
        }
    }

    /// Whether the broker has acknowledged in time.
    async fn tell_controller(&self, on: SlotId, op: RequestOp, id: String) -> Result<bool, String> {
        let topic = FleetTopic::Requests(self.config.thing()).to_string();
        // Whoever changes the log on the device from now on contradicts what the controller has noted.
        let audit = self.disk.view().borrow().audit.as_ref().map(|head| head.hash.clone());
        let request = DeviceRequest { op, id, audit };
        let payload = Bytes::from(serde_json::to_vec(&request).map_err(|error| error.to_string())?);
        let published = self.publish_as_thing(on, &topic, payload);
        match tokio::time::timeout(self.config.timeouts.answer, published).await {
            Ok(Ok(())) => Ok(true),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Ok(false),
        }
    }
}

fn unserved(unserved: Unserved) -> Event {
    match unserved {
        Unserved::Rejected(rejection) => Event::Rejected(rejection),
        Unserved::NoAnswer(why) => Event::NoAnswer { why },
    }
}

/// A slot that reads and is no identity is damaged; one that does not read may be another time.
fn unusable(slot: SlotId, fault: &StoreFault) -> Event {
    match fault.kind {
        FaultKind::Content => Event::SlotDamaged { slot, why: fault.to_string() },
        FaultKind::Full | FaultKind::ReadOnly | FaultKind::Io => Event::NoAnswer { why: fault.to_string() },
    }
}

/// What AWS would say to a token that we do not have.
fn no_token() -> Rejection {
    Rejection {
        status_code: 400,
        error_code: "InvalidCertificateOwnershipToken".into(),
        error_message: "the slot holds no ownership token of its certificate".into(),
    }
}

fn storage<T>(result: Result<T, StoreFault>, event: impl FnOnce(T) -> Event) -> Event {
    match result {
        Ok(value) => event(value),
        Err(fault) => {
            tracing::error!(%fault, "the state directory");
            Event::StorageFailed(match fault.kind {
                FaultKind::Full => StorageFault::Full,
                FaultKind::ReadOnly => StorageFault::ReadOnly,
                FaultKind::Io | FaultKind::Content => StorageFault::Io,
            })
        }
    }
}
