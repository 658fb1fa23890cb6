//! What a claim of CreateProvisioningClaim may do: provision by its one template, and nothing else.
//!
//! Source: Developer Guide, provision-wo-cert, "Provisioning by trusted user". AWS attaches no policy that one could
//! see; the rights that its claims have in effect are written here as one.

use std::sync::Arc;

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{PolicyName, TemplateName};
use fleetkey_model::time::Timestamp;
use fleetkey_model::topic::{Format, Leg, ReservedTopic};
use fleetkey_policy::PolicyDocument;
use serde_json::json;

use super::{Change, Draft, NewCertificate, Plan, Registry, RegistryError};

/// The name under which explanations cite the rights.
const NAME: &str = "ProvisioningClaim";

impl Registry {
    /// CreateProvisioningClaim: registers a certificate that may use one template until it expires.
    ///
    /// # Errors
    /// When the template does not exist, or as [`Registry::plan_register_certificate`].
    pub fn plan_register_claim(
        &self,
        new: NewCertificate,
        template: &TemplateName,
        now: Timestamp,
    ) -> Result<Plan<CertificateId>, RegistryError> {
        self.require_template(template)?;
        let plan = self.plan_register_certificate(new, now)?;
        let id = plan.output;
        let mut draft = Draft::new(self);
        for change in plan.changes {
            match change {
                Change::PutCertificate(record) if record.id == id => {
                    let mut record = Arc::unwrap_or_clone(record);
                    record.claim_for = Some(template.clone());
                    draft.put_certificate(record);
                }
                other => draft.write(other),
            }
        }
        Ok(draft.plan(id))
    }

    /// The rights of a temporary provisioning claim; `None` for any other certificate.
    pub(super) fn claim_rights(&self, id: &CertificateId) -> Option<(PolicyName, Arc<PolicyDocument>)> {
        let template = self.certificate(id)?.claim_for.as_ref()?;
        let document = PolicyDocument::parse(&rights(template)).ok()?;
        Some((PolicyName::new(NAME).ok()?, document.into()))
    }
}

fn rights(template: &TemplateName) -> String {
    let arns = |kind: &str| -> Vec<String> {
        topics(template).into_iter().map(|topics| format!("arn:*:iot:*:*:{kind}/{topics}")).collect()
    };
    let statement = |action: &[&str], resource: Vec<String>| json!({"Effect": "Allow", "Action": action, "Resource": resource});
    json!({"Version": "2012-10-17", "Statement": [
        statement(&["iot:Connect"], vec!["*".to_owned()]),
        statement(&["iot:Publish", "iot:Receive"], arns("topic")),
        statement(&["iot:Subscribe"], arns("topicfilter")),
    ]})
    .to_string()
}

/// The request topics with all that is below them, and in every format: `…/create/*` for `…/create/json`.
fn topics(template: &TemplateName) -> Vec<String> {
    [
        ReservedTopic::CreateKeys(Format::Json, Leg::Request),
        ReservedTopic::CreateFromCsr(Format::Json, Leg::Request),
        ReservedTopic::RegisterThing(template.clone(), Format::Json, Leg::Request),
    ]
    .iter()
    .filter_map(|topic| topic.to_string().rsplit_once('/').map(|(above, _)| format!("{above}/*")))
    .collect()
}

#[cfg(test)]
mod tests {
    use fleetkey_model::arn::Scope;
    use fleetkey_policy::{Action, Context, Request, allows};

    use super::*;

    #[test]
    fn a_claim_provisions_by_its_own_template_only() {
        let (own, other) = (TemplateName::new("own").unwrap(), TemplateName::new("other").unwrap());
        let document = PolicyDocument::parse(&rights(&own)).unwrap();
        let scope = Scope::local();
        let may = |action, template: &TemplateName| {
            let topic = ReservedTopic::RegisterThing(template.clone(), Format::Json, Leg::Request);
            let resource = scope.topic(&topic.to_string());
            allows([&document], &Request { action, resource: &resource, context: &Context::new() })
        };
        assert!(may(Action::Publish, &own) && may(Action::Receive, &own));
        assert!(!may(Action::Publish, &other) && !may(Action::RetainPublish, &own));
    }
}
