//! What a connection may do: its policies and its context, decided once a resource and remembered until the
//! registry changes.
//!
//! Not here: the policy language (`fleetkey_policy`) and whether the certificate may connect at all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use fleetkey_model::arn::Scope;
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{ClientId, PolicyName, ThingName};
use fleetkey_policy::{Action, Context, PolicyDocument, Request, allows};

use crate::limits::Switches;
use crate::registry::Registry;
use crate::store::Store;

/// Decisions remembered for one connection; more than these start afresh.
const REMEMBERED: usize = 256;

/// The rights of every connection.
#[derive(Clone)]
pub(crate) struct Authority {
    pub(crate) store: Store,
    pub(crate) scope: Scope,
    pub(crate) switches: Switches,
}

/// Who is connected, as policies see it.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) certificate: CertificateId,
    pub(crate) client: ClientId,
    pub(crate) source: IpAddr,
    /// The server name of the handshake, `iot:DomainName`.
    pub(crate) server_name: Option<String>,
    /// Whether it asked for a persistent session, `PersistentConnect`.
    pub(crate) persistent: bool,
    /// The topic of its will, `LastWill` and `iot:LastWillTopic`.
    pub(crate) will_topic: Option<String>,
}

/// The rights of one connection.
pub(crate) struct Rights {
    pub(crate) identity: Identity,
    authority: Authority,
    epoch: u64,
    subject: Standing,
    decided: HashMap<Box<str>, [Option<bool>; ACTIONS]>,
}

/// What the registry says of an identity at one moment.
pub(crate) struct Standing {
    thing: Option<ThingName>,
    exclusive: bool,
    /// The policies in effect.
    pub(crate) policies: Vec<(PolicyName, Arc<PolicyDocument>)>,
    /// What is known of the identity, its thing included.
    pub(crate) context: Context,
}

const ACTIONS: usize = 5;

impl Rights {
    /// The rights of `identity` as the registry has them now.
    pub(crate) fn new(authority: Authority, identity: Identity) -> Self {
        // The epoch first: a change between the two reads makes the next decision look again.
        let epoch = authority.store.epoch();
        let subject = authority.subject(&identity);
        Self { identity, authority, epoch, subject, decided: HashMap::new() }
    }

    /// Whether the connection may do `action` to `name`: a client id, a topic or a topic filter, as `action` has it.
    pub(crate) fn allow(&mut self, action: Action, name: &str) -> bool {
        self.refresh();
        let index = slot(action);
        let known = self.decided.get(name).and_then(|row| *row.get(index)?);
        if let Some(allowed) = known {
            return allowed;
        }
        let allowed = self.decide(action, name);
        if self.decided.len() >= REMEMBERED {
            self.decided.clear();
        }
        let row = self.decided.entry(name.into()).or_default();
        if let Some(cell) = row.get_mut(index) {
            *cell = Some(allowed);
        }
        allowed
    }

    /// The thing that the connection stands for: the certificate's exclusive thing, else the one that the
    /// client id names, if it is registered.
    pub(crate) fn thing(&mut self) -> Option<&ThingName> {
        self.refresh();
        self.subject.thing.as_ref()
    }

    /// The same, only if the certificate belongs to it exclusively: what presence events carry.
    pub(crate) fn exclusive_thing(&mut self) -> Option<&ThingName> {
        self.refresh();
        self.subject.thing.as_ref().filter(|_| self.subject.exclusive)
    }

    fn refresh(&mut self) {
        let epoch = self.authority.store.epoch();
        if epoch != self.epoch {
            self.epoch = epoch;
            self.subject = self.authority.subject(&self.identity);
            self.decided = HashMap::new();
        }
    }

    fn decide(&self, action: Action, name: &str) -> bool {
        let kind = match action {
            Action::Connect => "client",
            Action::Subscribe => "topicfilter",
            Action::Publish | Action::Receive | Action::RetainPublish => "topic",
        };
        let resource = self.authority.scope.arn(&format!("{kind}/{name}"));
        let policies = self.subject.policies.iter().map(|(_, document)| document.as_ref());
        let request = Request { action, resource: &resource, context: &self.subject.context };
        let allowed = allows(policies, &request);
        if !allowed {
            tracing::info!(client = %self.identity.client, certificate = %self.identity.certificate.short(),
                action = action.as_str(), resource, "denied by policy");
        }
        allowed
    }
}

const fn slot(action: Action) -> usize {
    match action {
        Action::Connect => 0,
        Action::Publish => 1,
        Action::Subscribe => 2,
        Action::Receive => 3,
        Action::RetainPublish => 4,
    }
}

impl Standing {
    /// A certificate's standing under a client id, on top of what else is known of the connection. Without a client
    /// id only an exclusive thing counts.
    pub(crate) fn new(
        registry: &Registry,
        switches: &Switches,
        certificate: &CertificateId,
        client: Option<&ClientId>,
        mut context: Context,
    ) -> Self {
        let exclusive = registry.exclusive_thing(certificate).cloned();
        let named = client.and_then(ClientId::thing).filter(|name| registry.thing(name).is_some());
        let in_groups = if switches.group_policies_by_exclusive_thing {
            exclusive.as_ref().or(named.as_ref())
        } else {
            named.as_ref()
        };
        let policies = registry.policies_for(certificate, in_groups);
        let is_exclusive = exclusive.is_some();
        let thing = exclusive.or(named);
        if let Some(thing) = &thing {
            describe_thing(&mut context, registry, certificate, thing);
        }
        Self { thing, exclusive: is_exclusive, policies, context }
    }
}

impl Authority {
    fn subject(&self, identity: &Identity) -> Standing {
        let registry = self.store.read();
        let context = self.connection_context(identity);
        Standing::new(&registry, &self.switches, &identity.certificate, Some(&identity.client), context)
    }

    /// Developer Guide, basic-policy-variables, cert-policy-variables and connect-policy.
    fn connection_context(&self, identity: &Identity) -> Context {
        let mut context = Context::new();
        context
            .set("iot:ClientId", identity.client.as_str())
            .set("aws:SourceIp", identity.source.to_string())
            .set("iot:CertificateId", identity.certificate.to_string());
        if let Some(name) = &identity.server_name {
            context.set("iot:DomainName", name.as_str());
        }
        let mut attributes = Vec::new();
        if identity.persistent {
            attributes.push("PersistentConnect");
        }
        if let Some(topic) = &identity.will_topic {
            attributes.push("LastWill");
            context.set("iot:LastWillTopic", self.scope.topic(topic));
        }
        context.set_many("iot:ConnectAttributes", attributes);
        context
    }
}

/// Developer Guide, thing-policy-variables.
fn describe_thing(context: &mut Context, registry: &Registry, certificate: &CertificateId, name: &ThingName) {
    let attached = registry.is_attached(certificate, name);
    context
        .set("iot:Connection.Thing.ThingName", name.as_str())
        .set("iot:Connection.Thing.IsAttached", attached.to_string());
    let Some(thing) = registry.thing(name) else { return };
    if let Some(kind) = &thing.type_name {
        context.set("iot:Connection.Thing.ThingTypeName", kind.as_str());
    }
    for (attribute, value) in &thing.attributes {
        context.set(&format!("iot:Connection.Thing.Attributes[{attribute}]"), value.as_str());
    }
}

#[cfg(test)]
mod tests;
