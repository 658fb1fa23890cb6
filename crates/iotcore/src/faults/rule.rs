//! What a fault rule says: operation, owner, which calls, effect. Plain values.

use std::time::Duration;

use fleetkey_model::name::{ClientId, ThingName};
use fleetkey_model::provisioning::Rejection;
use fleetkey_model::topic::{Matching, TopicFilter};

/// The operations that faults can be put on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// All of them.
    Any,
    /// An MQTT CONNECT of a client that would be let in; its answer is the CONNACK.
    Connect,
    /// A PUBLISH of a client to a topic that this filter matches, provisioning excepted; its answer is the PUBACK.
    Publish(TopicFilter),
    /// Any Fleet Provisioning request; its answer is the message on `…/accepted` or `…/rejected`.
    Provisioning,
    /// CreateKeysAndCertificate.
    CreateKeys,
    /// CreateCertificateFromCsr.
    CreateFromCsr,
    /// RegisterThing.
    RegisterThing,
}

/// Which of the calls that match; they are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// Every one.
    All,
    /// The `k`-th alone.
    Only(u64),
    /// The first `n`.
    First(u64),
    /// The `k`-th and all later ones.
    From(u64),
}

impl Calls {
    pub(super) const fn includes(self, ordinal: u64) -> bool {
        match self {
            Self::All => true,
            Self::Only(k) => ordinal == k,
            Self::First(n) => ordinal <= n,
            Self::From(k) => ordinal >= k,
        }
    }
}

/// Where in an operation a delay, hold or cut strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// Before the operation has any effect.
    Request,
    /// After it has taken effect and is durable, before its answer leaves.
    Answer,
}

/// What happens to the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// It takes this much longer.
    Delay(Duration),
    /// It is as if it had never arrived: no effect, no answer. A CONNECT is closed.
    DropRequest,
    /// It takes effect; nobody is told.
    DropAnswer,
    /// It takes effect once; the answer comes twice.
    DuplicateAnswer,
    /// It has no effect and is rejected so. A CONNECT or PUBLISH turns the status into the nearest MQTT reason
    /// (401 and 403: not authorised, 429: quota exceeded, else unspecified); MQTT 3.1.1 can only be disconnected.
    Reject(Rejection),
    /// More than so many a second are rejected with 429.
    Throttle {
        /// Calls admitted each second, those of all clients that the rule covers together.
        per_second: u32,
    },
    /// The connection is cut without a word.
    Cut,
    /// It waits until [`super::Faults::release`].
    Hold,
}

/// A fault rule; [`Rule::on`] makes one for every call of every client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub(super) operation: Operation,
    pub(super) client: Option<ClientId>,
    pub(super) thing: Option<ThingName>,
    pub(super) calls: Calls,
    pub(super) point: Point,
    pub(super) effect: Effect,
}

impl Rule {
    /// `effect` on every call of `operation`; delay, hold and cut strike after it took effect.
    pub const fn on(operation: Operation, effect: Effect) -> Self {
        Self { operation, client: None, thing: None, calls: Calls::All, point: Point::Answer, effect }
    }

    /// Only calls on connections with this client id.
    pub fn client(mut self, client: ClientId) -> Self {
        self.client = Some(client);
        self
    }

    /// Only calls on connections of this thing: it is the certificate's exclusive thing, or its name is the
    /// client id.
    pub fn thing(mut self, thing: ThingName) -> Self {
        self.thing = Some(thing);
        self
    }

    /// Only these of the matching calls.
    pub const fn calls(mut self, calls: Calls) -> Self {
        self.calls = calls;
        self
    }

    /// Only the `k`-th matching call, counted from 1.
    pub const fn only(self, k: u64) -> Self {
        self.calls(Calls::Only(k))
    }

    /// Only the first `n` matching calls.
    pub const fn first(self, n: u64) -> Self {
        self.calls(Calls::First(n))
    }

    /// Delay, hold or cut before the operation takes effect.
    pub const fn before(mut self) -> Self {
        self.point = Point::Request;
        self
    }

    pub(super) fn covers(&self, call: &Call<'_>) -> bool {
        self.operation.covers(call.kind)
            && self.client.as_ref().is_none_or(|client| client == call.client)
            && self.thing.as_ref().is_none_or(|thing| call.thing.is_some_and(|name| name == thing))
    }
}

impl Operation {
    fn covers(&self, kind: CallKind<'_>) -> bool {
        match (self, kind) {
            (Self::Any, _)
            | (Self::Connect, CallKind::Connect)
            | (Self::CreateKeys, CallKind::CreateKeys)
            | (Self::CreateFromCsr, CallKind::CreateFromCsr)
            | (Self::RegisterThing, CallKind::RegisterThing) => true,
            (Self::Provisioning, kind) => kind.is_provisioning(),
            (Self::Publish(filter), CallKind::Publish(topic)) => filter.matches(topic, Matching::Aws),
            _ => false,
        }
    }
}

/// One call, as the broker describes it to the rules.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) kind: CallKind<'a>,
    pub(crate) client: &'a ClientId,
    pub(crate) thing: Option<&'a ThingName>,
}

/// The operation of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallKind<'a> {
    Connect,
    Publish(&'a str),
    CreateKeys,
    CreateFromCsr,
    RegisterThing,
}

impl CallKind<'_> {
    const fn is_provisioning(self) -> bool {
        matches!(self, Self::CreateKeys | Self::CreateFromCsr | Self::RegisterThing)
    }
}
