//! What a connection may do: its policies evaluated on what the registry says of it.
//!
//! The context is the broker's (`iotcore::broker::authority`), as far as the shipping policies look at it.

use fleetkey_iotcore::registry::Registry;
use fleetkey_model::arn::Scope;
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ClientId;
use fleetkey_policy::{Action, Context, Request, allows as evaluate};

/// Whether this connection may do this.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Question {
    pub(super) principal: CertificateId,
    pub(super) client: ClientId,
    pub(super) action: Action,
    pub(super) name: String,
}

pub(super) fn allows(registry: &Registry, scope: &Scope, question: &Question) -> bool {
    let Question { principal, client, action, name } = question;
    let named = client.thing().filter(|thing| registry.thing(thing).is_some());
    let policies = registry.policies_for(principal, named.as_ref());
    let thing = registry.exclusive_thing(principal).cloned().or(named);
    let mut context = Context::new();
    context.set("iot:ClientId", client.as_str()).set("iot:CertificateId", principal.to_string());
    if let Some(thing) = &thing {
        let attached = registry.is_attached(principal, thing);
        context
            .set("iot:Connection.Thing.ThingName", thing.as_str())
            .set("iot:Connection.Thing.IsAttached", attached.to_string());
    }
    let kind = match action {
        Action::Connect => "client",
        Action::Subscribe => "topicfilter",
        Action::Publish | Action::Receive | Action::RetainPublish => "topic",
    };
    let resource = scope.arn(&format!("{kind}/{name}"));
    let request = Request { action: *action, resource: &resource, context: &context };
    evaluate(policies.iter().map(|(_, document)| document.as_ref()), &request)
}
