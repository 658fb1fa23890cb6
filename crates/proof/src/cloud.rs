//! The account as the model has it: the registry and provisioning core of the local IoT Core, the shipping
//! policies evaluated by the shipping evaluator, the shipping controller; connections and time are simulated.
//!
//! Nothing here decides what a certificate may do: status, attachment and policy do. What is simulated is only
//! who is connected, and what of it the controller hears. Not here: faults, which are drawn at the places where
//! the cloud is asked ([`crate::world`]).

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use fleetkey_iotcore::registry::{Plan, Registry};
use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::{ClientId, ThingName};
use fleetkey_model::retirement::{Attested, ControllerAnswer, DeviceRequest, RequestOp};
use fleetkey_model::time::Timestamp;
use fleetkey_model::topic::{FleetTopic, PresenceKind};
use fleetkey_operator::controller::{Event, PresenceEvent};
use fleetkey_policy::Action;

use crate::director::Director;
use crate::moment::Moment;

pub use controller::{Controller, ControllerFault, Done};
pub use provisioning::{Answer, Asked};
pub use stage::{CLAIM_KEYS, Stage};

mod controller;
mod provisioning;
mod rights;
mod stage;
mod worth;

/// Whose connection it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// The device of this number; 0 is the rightful one.
    Device(usize),
    /// Somebody who has the key of an old identity.
    Thief,
}

/// A connection that the broker has accepted.
#[derive(Debug, Clone)]
pub struct Session {
    /// One number a connection.
    pub number: u64,
    /// Its certificate.
    pub principal: CertificateId,
    /// Who is at the other end.
    pub party: Party,
    /// When it began.
    pub since: Timestamp,
}

/// A connection that ended other than by its client's wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Which.
    pub number: u64,
    /// Who was at the other end.
    pub party: Party,
    /// Who took its client id over, if somebody did.
    pub taken_by: Option<Party>,
}

/// Why a connection did not come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotConnected {
    /// Nobody answers.
    Unreachable,
    /// The broker says no.
    Refused(&'static str),
}

/// The cloud.
#[derive(Debug, Clone)]
pub struct Cloud {
    /// Things, certificates, policies, templates.
    pub registry: Registry,
    /// The controller and what it knows.
    pub controller: Controller,
    stage: Arc<Stage>,
    sessions: BTreeMap<ClientId, Session>,
    /// Ended since somebody last looked.
    ended: Vec<Ended>,
    next_session: u64,
    /// How many certificates were issued for each request.
    issued: HashMap<String, u32>,
    tokens: u64,
    told_tokens: Vec<String>,
    /// What the controller is still to hear.
    tidings: VecDeque<Event>,
    /// What the controller has said and nobody has taken yet.
    answers: VecDeque<(ThingName, ControllerAnswer)>,
    /// How long a registration takes to become effective.
    pub delay: Duration,
    effective: BTreeMap<CertificateId, Timestamp>,
    /// Nobody is reached before this moment.
    pub down_until: Timestamp,
    /// The broker, or what stands before it, closes every connection before this moment, whoever it is.
    pub refuses_until: Timestamp,
    /// Certificates that an operator killed.
    pub killed: BTreeSet<CertificateId>,
    /// Certificates that were out of use at some time, whoever did it.
    out_of_use: BTreeSet<CertificateId>,
    /// Those of them that count as accepted all the same: they were all that the device had, which no device can help.
    pub waived: BTreeSet<CertificateId>,
    /// Certificates with which the older ones were asked to be retired.
    pub retired_by: BTreeSet<CertificateId>,
    /// Certificates that the broker has accepted from a device.
    proven: BTreeSet<CertificateId>,
    /// When somebody first asked for retirement: from then on the controller knows of every use.
    pub first_attested: Option<Timestamp>,
    /// Certificates that were in use on the thing's own client id.
    pub lived: BTreeSet<CertificateId>,
    /// Who is told of changes, and whose certificates they are.
    watched: Option<(Director, ThingName)>,
    decided: HashMap<rights::Question, bool>,
    epoch: u64,
    /// A fault of the controller's, for a control: what is newer than its witness and was never in use is not listed.
    pub sees_no_leftovers: bool,
    /// A hasty rule, for a control: what is older is retired as soon as a newer certificate connects.
    pub retires_on_presence: bool,
}

impl Cloud {
    /// An account made ready for a fleet, with no thing in it.
    pub fn new(stage: Arc<Stage>) -> Self {
        Self {
            registry: stage.registry.clone(),
            controller: Controller::new(stage.patience.clone()),
            stage,
            sessions: BTreeMap::new(),
            ended: Vec::new(),
            next_session: 1,
            issued: HashMap::new(),
            tokens: 0,
            told_tokens: Vec::new(),
            tidings: VecDeque::new(),
            answers: VecDeque::new(),
            delay: Duration::ZERO,
            effective: BTreeMap::new(),
            down_until: Timestamp::default(),
            refuses_until: Timestamp::default(),
            killed: BTreeSet::new(),
            out_of_use: BTreeSet::new(),
            waived: BTreeSet::new(),
            retired_by: BTreeSet::new(),
            proven: BTreeSet::new(),
            first_attested: None,
            lived: BTreeSet::new(),
            watched: None,
            decided: HashMap::new(),
            epoch: 0,
            sees_no_leftovers: false,
            retires_on_presence: false,
        }
    }

    /// Policies, templates and names of the account.
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// CONNECT. A connection with the same client id is closed for it.
    ///
    /// # Errors
    /// When nobody is there, or the certificate or its policy does not allow it.
    pub fn connect(
        &mut self,
        now: Timestamp,
        party: Party,
        client: &ClientId,
        principal: CertificateId,
    ) -> Result<u64, NotConnected> {
        if now < self.down_until {
            return Err(NotConnected::Unreachable);
        }
        if now < self.refuses_until {
            return Err(NotConnected::Refused("whoever it is"));
        }
        self.admit(now, client, principal).map_err(NotConnected::Refused)?;
        if let Some(old) = self.sessions.remove(client) {
            self.ended.push(Ended { number: old.number, party: old.party, taken_by: Some(party) });
            self.present(now, PresenceKind::Disconnected, client, &old);
        }
        let session = Session { number: self.next_session, principal, party, since: now };
        self.next_session += 1;
        self.present(now, PresenceKind::Connected, client, &session);
        let number = session.number;
        self.sessions.insert(client.clone(), session);
        self.note_use(party, client, principal);
        if self.retires_on_presence {
            self.retire_older(now, principal);
        }
        Ok(number)
    }

    fn note_use(&mut self, party: Party, client: &ClientId, principal: CertificateId) {
        let of_thing = |watched: &(Director, ThingName)| self.registry.is_attached(&principal, &watched.1);
        if !self.watched.as_ref().is_some_and(of_thing) {
            return;
        }
        if self.watched.as_ref().is_some_and(|(_, thing)| *client == ClientId::live(thing)) {
            self.lived.insert(principal);
        }
        if matches!(party, Party::Device(_)) && self.proven.insert(principal) {
            self.tell_account();
        }
    }

    /// Tells this director of every change from now on that concerns the identities of `thing`.
    pub fn watch(&mut self, director: Director, thing: ThingName) {
        self.watched = Some((director, thing));
        self.tell_account();
    }

    fn tell_account(&self) {
        if let Some((director, thing)) = &self.watched {
            let would_do = self.rightful(thing);
            let active = would_do.iter().filter(|id| self.is_active(id)).copied().collect();
            director.happened(Moment::Account { would_do, active });
        }
    }

    /// The device asks on `by` for what is older to be retired.
    pub fn is_asked_to_retire(&mut self, by: CertificateId) {
        if self.retired_by.insert(by) {
            self.tell_account();
        }
    }

    fn retire_older(&mut self, now: Timestamp, principal: CertificateId) {
        let Some(thing) = self.registry.exclusive_thing(&principal).cloned() else { return };
        let created = |id: &CertificateId| self.registry.certificate(id).map(|record| record.created_at);
        let older: Vec<CertificateId> =
            self.active(&thing).into_iter().filter(|id| created(id) < created(&principal)).collect();
        for id in older {
            // An ACTIVE certificate can always become INACTIVE.
            let _ = self.set_status(now, &id, CertificateStatus::Inactive);
        }
    }

    /// Whether the broker would take a CONNECT with this certificate now.
    pub fn admit(
        &mut self,
        now: Timestamp,
        client: &ClientId,
        principal: CertificateId,
    ) -> Result<(), &'static str> {
        let Some(record) = self.registry.certificate(&principal) else {
            return Err("the certificate is not registered");
        };
        if !record.may_connect(now) {
            return Err("the certificate is not ACTIVE, or not within its validity");
        }
        if self.effective.get(&principal).is_some_and(|at| now < *at) {
            return Err("the registration is not effective yet");
        }
        match self.allows(principal, client, Action::Connect, client.as_str()) {
            true => Ok(()),
            false => Err("iot:Connect is not allowed"),
        }
    }

    /// Whether policies let this connection do something.
    pub fn allows(
        &mut self,
        principal: CertificateId,
        client: &ClientId,
        action: Action,
        name: &str,
    ) -> bool {
        let question = rights::Question { principal, client: client.clone(), action, name: name.to_owned() };
        if let Some(known) = self.decided.get(&question) {
            return *known;
        }
        let allowed = rights::allows(&self.registry, &self.stage.fleet.scope, &question);
        self.decided.insert(question, allowed);
        allowed
    }

    /// The connection with this client id, if there is one.
    pub fn session(&self, client: &ClientId) -> Option<&Session> {
        self.sessions.get(client)
    }

    /// Whether this connection is still there.
    pub fn is_open(&self, client: &ClientId, number: u64) -> bool {
        self.sessions.get(client).is_some_and(|session| session.number == number)
    }

    /// The client went, or its keep-alive ran out.
    pub fn disconnect(&mut self, now: Timestamp, client: &ClientId, number: u64) {
        if self.is_open(client, number)
            && let Some(session) = self.sessions.remove(client)
        {
            self.present(now, PresenceKind::Disconnected, client, &session);
        }
    }

    /// The broker, or the way to it, drops a connection.
    pub fn drop_session(&mut self, now: Timestamp, client: &ClientId) {
        if let Some(session) = self.sessions.remove(client) {
            self.ended.push(Ended { number: session.number, party: session.party, taken_by: None });
            self.present(now, PresenceKind::Disconnected, client, &session);
        }
    }

    /// A stranger takes a client id over, and goes again.
    pub fn take_over(&mut self, now: Timestamp, client: &ClientId) {
        if let Some(session) = self.sessions.remove(client) {
            let taken_by = Some(Party::Thief);
            self.ended.push(Ended { number: session.number, party: session.party, taken_by });
            self.present(now, PresenceKind::Disconnected, client, &session);
        }
    }

    /// An operator ends a certificate; no device can help that.
    pub fn kill(&mut self, now: Timestamp, id: &CertificateId, status: CertificateStatus) {
        if self.set_status(now, id, status).is_ok() {
            self.killed.insert(*id);
        }
    }

    /// Nobody is reached for a while, and every connection is lost.
    pub fn go_down(&mut self, now: Timestamp, span: Duration) {
        self.down_until = self.down_until.max(now + span);
        let clients: Vec<ClientId> = self.sessions.keys().cloned().collect();
        clients.iter().for_each(|client| self.drop_session(now, client));
    }

    /// What ended since the last call.
    pub fn take_ended(&mut self) -> Vec<Ended> {
        core::mem::take(&mut self.ended)
    }

    /// A request on `fleetkey/things/THING/requests`, attested as the broker's rule does; `false` when the
    /// publisher is not connected or not allowed.
    pub fn publish_request(
        &mut self,
        now: Timestamp,
        client: &ClientId,
        number: u64,
        thing: &ThingName,
        request: DeviceRequest,
    ) -> bool {
        let Some(principal) = self.open_principal(client, number) else {
            return false;
        };
        let topic = FleetTopic::Requests(thing.clone()).to_string();
        if !self.allows(principal, client, Action::Publish, &topic) {
            return false;
        }
        if request.op == RequestOp::Retire {
            self.first_attested.get_or_insert(now);
        }
        let attested =
            Attested { request, principal, clientid: client.clone(), thing: thing.clone(), at: now };
        self.tidings.push_back(Event::Attested { topic: thing.clone(), attested });
        true
    }

    fn open_principal(&self, client: &ClientId, number: u64) -> Option<CertificateId> {
        self.sessions.get(client).filter(|session| session.number == number).map(|session| session.principal)
    }

    /// The next thing that the controller is to hear.
    pub fn next_tiding(&mut self) -> Option<Event> {
        self.tidings.pop_front()
    }

    /// Whether the controller is still to hear something.
    pub fn has_tidings(&self) -> bool {
        !self.tidings.is_empty()
    }

    /// Puts something to hear at the end of the queue.
    pub fn tell_later(&mut self, event: Event) {
        self.tidings.push_back(event);
    }

    /// What the controller has said.
    pub fn next_answer(&mut self) -> Option<(ThingName, ControllerAnswer)> {
        self.answers.pop_front()
    }

    /// An operator, or the controller, changes a certificate's status; its connections end.
    ///
    /// # Errors
    /// The registry's name for why not.
    pub fn set_status(
        &mut self,
        now: Timestamp,
        id: &CertificateId,
        status: CertificateStatus,
    ) -> Result<(), &'static str> {
        let plan = self.registry.plan_update_certificate(id, status, now).map_err(|error| error.code())?;
        self.commit(plan);
        if status != CertificateStatus::Active {
            self.out_of_use.insert(*id);
            let of =
                |(client, session): (&ClientId, &Session)| (session.principal == *id).then(|| client.clone());
            let clients: Vec<ClientId> = self.sessions.iter().filter_map(of).collect();
            clients.iter().for_each(|client| self.drop_session(now, client));
        }
        Ok(())
    }

    /// The ACTIVE certificates attached to a thing.
    pub fn active(&self, thing: &ThingName) -> Vec<CertificateId> {
        self.registry.principals_of(thing).iter().filter(|id| self.is_active(id)).copied().collect()
    }

    /// Whether a certificate is ACTIVE.
    pub fn is_active(&self, id: &CertificateId) -> bool {
        self.registry.certificate(id).is_some_and(|record| record.status == CertificateStatus::Active)
    }

    /// Whether it was out of use at some time; people may have put it into use again.
    pub fn was_out_of_use(&self, id: &CertificateId) -> bool {
        self.out_of_use.contains(id)
    }

    /// The second in which a certificate was made.
    pub fn created_in(&self, id: &CertificateId) -> Option<u64> {
        self.registry.certificate(id).map(|record| record.created_at.as_secs())
    }

    /// A certificate for people.
    pub fn describe(&self, id: &CertificateId) -> String {
        let status = self.registry.certificate(id).map_or("unknown", |record| record.status.as_str());
        format!("{} {status}", id.short())
    }

    /// What a restart of everything would find besides disks and registry, as a number that tells it apart.
    pub fn pending_state(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash as _, Hasher as _};
        let mut hasher = DefaultHasher::new();
        let known = (&self.sessions, &self.tidings, &self.answers, &self.retired_by, &self.killed);
        format!("{known:?}").hash(&mut hasher);
        self.controller.journal_text().hash(&mut hasher);
        hasher.finish()
    }

    /// Rises with every change of the registry.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The ownership tokens that were given out, in hexadecimal.
    pub fn tokens(&self) -> &[String] {
        &self.told_tokens
    }

    fn commit<T>(&mut self, plan: Plan<T>) -> T {
        if !plan.changes.is_empty() {
            self.decided.clear();
            self.epoch += 1;
        }
        plan.changes.iter().for_each(|change| self.registry.apply(change));
        if !plan.changes.is_empty() {
            self.tell_account();
        }
        plan.output
    }

    fn present(&mut self, now: Timestamp, kind: PresenceKind, client: &ClientId, session: &Session) {
        let event = PresenceEvent {
            timestamp: now,
            principal_identifier: session.principal,
            session_identifier: Some(session.number.to_string().into()),
        };
        self.tidings.push_back(Event::Presence { kind, client: client.clone(), event });
    }
}
