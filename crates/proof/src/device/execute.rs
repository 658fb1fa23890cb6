//! How each action is done: the twin of `agent::driver::execute`, synchronous and with a power cut anywhere.

use fleetkey_agent::store::{FaultKind, SlotIdentity, StoreFault};
use fleetkey_lifecycle::event::{FailureKind, Tier};
use fleetkey_lifecycle::record::{Authority, Record, Stage};
use fleetkey_lifecycle::{Action, Event, SlotId};
use fleetkey_model::name::{ClientId, TemplateName};
use fleetkey_model::provisioning::Rejection;
use fleetkey_model::retirement::{ControllerAnswer, DeviceRequest, RequestOp, RetireStatus};
use fleetkey_model::secret::OwnershipToken;
use fleetkey_model::topic::TopicRoot;
use fleetkey_policy::Action as Right;

use super::{Home, Ship};
use crate::cloud::{Answer, Asked, NotConnected};
use crate::director::{Dark, Place};
use crate::env::{Env, PATIENCE};
use crate::invariants;
use crate::mint;
use crate::schedule::Fault;

impl Ship {
    /// Runs one action to its end.
    pub(super) fn execute(&mut self, env: &mut Env, home: &Home, action: Action) -> Result<Event, Dark> {
        match action {
            Action::Persist(record) => {
                self.judge_retired(env, &record);
                let written = self.store.write_record(&record);
                stored(env, written, |()| Event::Persisted)
            }
            Action::Preflight => {
                let fits = self.store.preflight();
                stored(env, fits, |()| Event::Ready)
            }
            Action::MakeKey { slot } => {
                let made = self.store.make_key(slot);
                stored(env, made, |public_key| Event::KeyMade { slot, public_key })
            }
            Action::RequestCertificate { slot, authority } => self.request(env, home, slot, authority),
            Action::StoreCertificate { slot, issued } => {
                let kept = self.store.store_certificate(slot, &issued, env.clock());
                stored(env, kept, |facts| Event::CertificateStored { slot, certificate: (&facts).into() })
            }
            Action::RegisterThing { slot, authority } => self.register(env, home, slot, authority),
            Action::Verify { slot, .. } if env.schedule.takeover => self.verify_by_takeover(env, home, slot),
            Action::Verify { slot, .. } => self.verify_beside(env, home, slot),
            Action::Export { slot } => {
                let exported = self.store.export(slot);
                let exported = exported.and_then(|facts| self.store.drop_token(slot).map(|()| facts));
                match exported {
                    Err(fault) if fault.kind == FaultKind::Content => {
                        self.facts.unreadable |= self.machine.record().current == Some(slot);
                        let why = fault.to_string();
                        stored(env, Ok(()), |()| Event::SlotDamaged { slot, why })
                    }
                    exported => {
                        stored(env, exported, |facts| Event::Exported { certificate: (&facts).into() })
                    }
                }
            }
            Action::GoLive { slot } => self.go_live(env, home, slot),
            Action::RequestRetire { id } => self.request_retire(env, home, &id),
            Action::TellStaged { id } => self.tell_staged(env, home, &id),
            Action::DestroySlot { slot } => {
                let destroyed = self.store.destroy(slot);
                stored(env, destroyed, |()| Event::Destroyed { slot })
            }
        }
    }

    fn request(
        &mut self,
        env: &mut Env,
        home: &Home,
        slot: SlotId,
        authority: Authority,
    ) -> Result<Event, Dark> {
        let read = self.store.signing_request(slot).and_then(|csr| Ok((csr, self.store.public_key(slot)?)));
        env.director.powered()?;
        let (csr, public_key) = match read {
            Ok(read) => read,
            Err(fault) => return Ok(no_answer(&fault)),
        };
        let Some((client, number)) = self.connection(env, home, authority)? else {
            return Ok(Event::NoAnswer { why: "no connection to ask over".into() });
        };
        invariants::i2_certificate_asked_for(slot, home, &mut env.watch);
        let answer = env.ask(home.number, &client, number, &Asked::Certificate { csr })?;
        if !matches!(answer, Some(Answer::Issued(_))) {
            self.leave_claim(env, home, authority);
        }
        Ok(match answer {
            Some(Answer::Issued(issued)) => {
                // An answer counts by its content: one for another key is late, or somebody else's.
                match mint::is_for(&issued.certificate_pem, &public_key) {
                    true => Event::Issued { slot, issued },
                    false => Event::NoAnswer { why: "only an answer that is not ours".into() },
                }
            }
            other => unserved(other),
        })
    }

    fn register(
        &mut self,
        env: &mut Env,
        home: &Home,
        slot: SlotId,
        authority: Authority,
    ) -> Result<Event, Dark> {
        let token = self.store.token(slot);
        env.director.powered()?;
        let token = match token {
            Ok(Some((token, _))) => token,
            Ok(None) => return Ok(Event::Rejected(no_token())),
            Err(fault) => return Ok(no_answer(&fault)),
        };
        let Some((client, number)) = self.connection(env, home, authority)? else {
            return Ok(Event::NoAnswer { why: "no connection to ask over".into() });
        };
        invariants::i2_registration_asked_for(slot, home, &mut env.watch);
        let asked = registration(env, home, authority, token);
        let answer = env.ask(home.number, &client, number, &asked)?;
        self.leave_claim(env, home, authority);
        Ok(match answer {
            Some(Answer::Registered(thing)) => Event::Registered { slot, thing },
            other => unserved(other),
        })
    }

    /// The connection to ask over: the live session, or one with the claim certificate.
    fn connection(
        &mut self,
        env: &mut Env,
        home: &Home,
        authority: Authority,
    ) -> Result<Option<(ClientId, u64)>, Dark> {
        if let Authority::Current(_) = authority {
            return Ok(self.link.up.map(|number| (home.live(), number)));
        }
        let Ok(client) = ClientId::new(format!("claim~{}", home.serial)) else {
            return Ok(None);
        };
        if let Some(number) = self.claim.filter(|number| env.cloud.is_open(&client, *number)) {
            return Ok(Some((client, number)));
        }
        let claim = env.cloud.stage().claim;
        self.claim = env.connect(home.number, &client, claim)?.ok();
        Ok(self.claim.map(|number| (client, number)))
    }

    fn leave_claim(&mut self, env: &mut Env, home: &Home, authority: Authority) {
        if let (Authority::Claim | Authority::Recovery, Some(number)) = (authority, self.claim.take())
            && let Ok(client) = ClientId::new(format!("claim~{}", home.serial))
        {
            env.cloud.disconnect(env.now, &client, number);
        }
    }

    fn verify_beside(&mut self, env: &mut Env, home: &Home, slot: SlotId) -> Result<Event, Dark> {
        let identity = match self.identity(env, slot)? {
            Ok(identity) => identity,
            Err((kind, why)) => return Ok(failed(slot, Tier::Tls, kind, why)),
        };
        let client = ClientId::verify(&home.thing);
        let number = match env.connect(home.number, &client, identity.certificate.id)? {
            Ok(number) => number,
            Err(why) => return Ok(not_connected(slot, Tier::Connack, why)),
        };
        let proved = self.tiers(env, home, slot, &client, &identity)?;
        env.cloud.disconnect(env.now, &client, number);
        Ok(proved)
    }

    /// On the live session's own client id: after a pass the session is on that identity, after a failure it is
    /// back on what it was on.
    fn verify_by_takeover(&mut self, env: &mut Env, home: &Home, slot: SlotId) -> Result<Event, Dark> {
        let identity = match self.identity(env, slot)? {
            Ok(identity) => identity,
            Err((kind, why)) => return Ok(failed(slot, Tier::Tls, kind, why)),
        };
        let before = self.link.target;
        invariants::i4_traffic_only_with_a_durable_slot(slot, false, home, &self.facts, &mut env.watch);
        let number = match env.connect(home.number, &home.live(), identity.certificate.id)? {
            Ok(number) => number,
            // A refusal leaves the old session alone.
            Err(why) => return Ok(not_connected(slot, Tier::Connack, why)),
        };
        self.link.up = Some(number);
        let proved = self.tiers(env, home, slot, &home.live(), &identity)?;
        if matches!(proved, Event::Verified { .. }) {
            self.link.target = Some((slot, identity.certificate.id));
            self.handle(env, Event::LinkUp { slot });
            return Ok(proved);
        }
        env.cloud.disconnect(env.now, &home.live(), number);
        self.link.up = None;
        self.link.retry_at = env.now;
        if before.is_some() {
            self.handle(env, Event::LinkDown);
        }
        Ok(proved)
    }

    fn tiers(
        &self,
        env: &mut Env,
        home: &Home,
        slot: SlotId,
        client: &ClientId,
        identity: &SlotIdentity,
    ) -> Result<Event, Dark> {
        let topic = TopicRoot::default().verification(&home.thing);
        let id = identity.certificate.id;
        let subscribes = env.cloud.allows(id, client, Right::Subscribe, &topic);
        if let Err(why) = env.tier(subscribes)? {
            return Ok(not_connected(slot, Tier::Suback, why));
        }
        let echoes =
            [Right::Publish, Right::Receive].map(|right| env.cloud.allows(id, client, right, &topic));
        if let Err(why) = env.tier(echoes == [true, true])? {
            return Ok(not_connected(slot, Tier::Echo, why));
        }
        Ok(Event::Verified { slot })
    }

    fn go_live(&mut self, env: &mut Env, home: &Home, slot: SlotId) -> Result<Event, Dark> {
        let identity = match self.identity(env, slot)? {
            Ok(identity) => identity,
            Err((kind, why)) => return Ok(Event::LiveFailed { slot, kind, why }),
        };
        let target = (slot, identity.certificate.id);
        if self.link.up.is_some() && self.link.target == Some(target) {
            return Ok(Event::Live { slot });
        }
        invariants::i4_traffic_only_with_a_durable_slot(slot, true, home, &self.facts, &mut env.watch);
        match env.connect(home.number, &home.live(), identity.certificate.id)? {
            Ok(number) => {
                if self.link.target.is_some_and(|before| before != target) {
                    env.forget_mail(home.number);
                }
                self.link.up = Some(number);
                self.link.target = Some(target);
                self.handle(env, Event::LinkUp { slot });
                Ok(Event::Live { slot })
            }
            Err(why) => {
                // There is nothing to fall back to, so there is nothing to lose by going on trying.
                self.link.target.get_or_insert(target);
                let (kind, why) = judge(why);
                Ok(Event::LiveFailed { slot, kind, why })
            }
        }
    }

    fn request_retire(&mut self, env: &mut Env, home: &Home, id: &str) -> Result<Event, Dark> {
        let no = |why: &str| Ok(Event::NoAnswer { why: why.to_owned() });
        let Some(committed) = self.machine.record().current else { return no("no identity is committed") };
        match self.identity(env, committed)? {
            Ok(_) => {}
            Err((FailureKind::Refused, why)) => return Ok(Event::SlotDamaged { slot: committed, why }),
            Err((_, why)) => return no(&why),
        }
        let fault = env.director.powered_step(Place::Ask)?;
        let Some(number) = self.link.up else {
            fault.iter().for_each(|_| env.director.was_idle());
            return no("not connected");
        };
        if fault == Some(Fault::Beside) {
            if let Some(answer) = self.answer_beside(id) {
                return Ok(Event::RetireAnswered(answer));
            }
            env.director.was_idle();
        }
        invariants::i4_retire_only_after_a_durable_commit(self.link.target, home, &mut env.watch);
        if let Some((_, certificate)) = self.link.target {
            env.cloud.is_asked_to_retire(certificate);
        }
        let request = DeviceRequest { op: RequestOp::Retire, id: id.to_owned(), audit: None };
        let times = match fault {
            Some(Fault::Lost | Fault::Reject(_)) => 0,
            Some(Fault::Twice(_)) => 2,
            _ => 1,
        };
        for _ in 0..times {
            env.cloud.publish_request(env.now, &home.live(), number, &home.thing, request.clone());
        }
        env.controller_round();
        match env.retire_answer(home.number, id, fault) {
            Some(answer) => Ok(Event::RetireAnswered(answer)),
            None => {
                // A broker that will not have a PUBLISH, or fails over it, closes the connection.
                if matches!(fault, Some(Fault::Reject(_) | Fault::RejectDone(_))) {
                    env.cloud.drop_session(env.now, &home.live());
                }
                env.spend(PATIENCE);
                no("no answer from the controller")
            }
        }
    }

    /// The device is about to take its predecessor for retired.
    fn judge_retired(&self, env: &mut Env, record: &Record) {
        let is_retired =
            |record: &Record| record.aftermath.as_ref().is_some_and(|it| it.stage == Stage::Retired);
        let is_news = !self.facts.confirmed.as_ref().is_some_and(is_retired);
        let before = record.previous.and_then(|slot| self.machine.slot(slot)?.certificate.as_ref());
        if let Some(before) = before.filter(|_| is_news && is_retired(record)) {
            let current = record.current.and_then(|slot| self.machine.slot(slot)?.certificate.as_ref());
            invariants::i4_retired_is_out_of_use(
                &before.id,
                current.map(|current| &current.id),
                &env.cloud,
                &mut env.watch,
            );
        }
    }

    /// What the controller says to a program that asks on the certificate before: to that one nothing is older.
    fn answer_beside(&self, id: &str) -> Option<ControllerAnswer> {
        let before =
            self.machine.record().previous.and_then(|slot| self.machine.slot(slot)?.certificate.as_ref())?;
        Some(ControllerAnswer {
            op: RequestOp::Retire,
            id: id.to_owned(),
            status: RetireStatus::Retired,
            witness: Some(before.id),
            retired: Vec::new(),
            message: None,
        })
    }

    fn tell_staged(&mut self, env: &mut Env, home: &Home, id: &str) -> Result<Event, Dark> {
        let fault = env.director.powered_step(Place::Ask)?;
        fault.filter(|fault| *fault == Fault::Beside).iter().for_each(|_| env.director.was_idle());
        let no = |why: &str| Ok(Event::NoAnswer { why: why.to_owned() });
        let Some(number) = self.link.up else {
            fault.iter().for_each(|_| env.director.was_idle());
            return no("not connected");
        };
        let request = DeviceRequest { op: RequestOp::Stage, id: id.to_owned(), audit: None };
        let times = match fault {
            Some(Fault::Lost | Fault::Reject(_)) => 0,
            Some(Fault::Twice(_)) => 2,
            _ => 1,
        };
        for _ in 0..times {
            env.cloud.publish_request(env.now, &home.live(), number, &home.thing, request.clone());
        }
        env.controller_round();
        match fault {
            None => Ok(Event::Told),
            Some(_) => {
                env.spend(PATIENCE);
                no("not acknowledged")
            }
        }
    }

    /// A disk that cannot be read is no refusal by the broker. A slot that reads and is no identity any more is as
    /// good as refused.
    fn identity(
        &mut self,
        env: &Env,
        slot: SlotId,
    ) -> Result<Result<SlotIdentity, (FailureKind, String)>, Dark> {
        let read = self.store.identity(slot);
        env.director.powered()?;
        if self.machine.record().current == Some(slot) {
            self.facts.unreadable = match &read {
                Ok(_) => false,
                // A disk that fails now does not bring back what was seen to be gone.
                Err(fault) => self.facts.unreadable || fault.kind == FaultKind::Content,
            };
        }
        Ok(read.map_err(|fault| match fault.kind {
            FaultKind::Content => (FailureKind::Refused, fault.to_string()),
            FaultKind::Full | FaultKind::ReadOnly | FaultKind::Io => {
                (FailureKind::Unreadable, fault.to_string())
            }
        }))
    }
}

fn registration(env: &Env, home: &Home, authority: Authority, token: OwnershipToken) -> Asked {
    let names = &env.cloud.stage().fleet.names;
    let template: &TemplateName = match authority {
        Authority::Claim => &names.claim_template,
        Authority::Recovery => &names.recovery_template,
        Authority::Current(_) => &names.rotation_template,
    };
    Asked::Registration { template: template.clone(), token, serial: home.serial.clone() }
}

fn stored<T>(
    env: &Env,
    result: Result<T, StoreFault>,
    event: impl FnOnce(T) -> Event,
) -> Result<Event, Dark> {
    env.director.powered()?;
    Ok(match result {
        Ok(value) => event(value),
        Err(fault) => Event::StorageFailed(Ship::storage_fault(fault.kind)),
    })
}

fn unserved(answer: Option<Answer>) -> Event {
    match answer {
        Some(Answer::Rejected(rejection)) => Event::Rejected(rejection),
        _ => Event::NoAnswer { why: "no answer within the limit".into() },
    }
}

fn no_answer(fault: &StoreFault) -> Event {
    Event::NoAnswer { why: fault.to_string() }
}

fn judge(why: NotConnected) -> (FailureKind, String) {
    match why {
        NotConnected::Unreachable => (FailureKind::Unreachable, "unreachable".into()),
        NotConnected::Refused(why) => (FailureKind::Refused, why.into()),
    }
}

fn not_connected(slot: SlotId, tier: Tier, why: NotConnected) -> Event {
    let (kind, why) = judge(why);
    failed(slot, tier, kind, why)
}

fn failed(slot: SlotId, tier: Tier, kind: FailureKind, why: String) -> Event {
    Event::VerifyFailed { slot, tier, kind, why }
}

/// What AWS would say to a token that we do not have.
fn no_token() -> Rejection {
    Rejection {
        status_code: 400,
        error_code: "InvalidCertificateOwnershipToken".into(),
        error_message: "the slot holds no ownership token of its certificate".into(),
    }
}
