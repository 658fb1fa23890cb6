//! The desired resources of a fleet, each after what it needs.

use std::collections::{BTreeMap, BTreeSet};

use fleetkey_model::retirement::ATTESTING_RULE_SQL;

use super::names::CloudNames;
use crate::cloud::{FunctionSpec, Key, Kind, Resource, Spec};
use crate::documents::{DocumentError, Fleet};
use crate::hook_code;
use crate::recovery::Window;

/// What set-up is to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Where, under which topics, by which names.
    pub fleet: Fleet,
    /// The names of the rest.
    pub names: CloudNames,
    /// Which serials may be provisioned, as patterns.
    pub serials: Vec<String>,
    /// The recovery windows that are open; without one the recovery template is closed.
    pub windows: Vec<Window>,
    /// How long the hook's log is kept; one of the numbers that CloudWatch takes.
    pub retention_days: i32,
}

/// A resource and what must be there before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The resource.
    pub resource: Resource,
    /// What it names.
    pub after: Vec<Key>,
}

impl Wanted {
    /// Every resource, each after what it needs.
    ///
    /// # Errors
    /// When a policy would be refused.
    pub fn nodes(&self) -> Result<Vec<Node>, DocumentError> {
        let mut nodes = self.policies()?;
        nodes.push(node(Kind::Group, self.fleet.names.group.as_str(), Spec::Group, &[]));
        nodes.push(node(Kind::ThingType, &self.names.thing_type, Spec::ThingType { deprecated: false }, &[]));
        nodes.extend(self.hook());
        nodes.extend(self.templates());
        nodes.extend(self.rule());
        Ok(in_order(nodes))
    }

    /// The ARN of a role of this fleet.
    fn role(&self, name: &str) -> String {
        CloudNames::role_arn(&self.fleet.scope, name)
    }

    fn policies(&self) -> Result<Vec<Node>, DocumentError> {
        let (fleet, names) = (&self.fleet, &self.fleet.names);
        let documents = [
            (&names.device_policy, fleet.device_policy()?),
            (&names.claim_policy, fleet.claim_policy()?),
            (&names.observer_policy, fleet.observer_policy()?),
            (&names.controller_policy, fleet.controller_policy()?),
        ];
        let spec = |document| Spec::Policy { document };
        Ok(documents
            .into_iter()
            .map(|(name, document)| node(Kind::Policy, name.as_str(), spec(document), &[]))
            .collect())
    }

    fn hook(&self) -> [Node; 3] {
        let (fleet, names) = (&self.fleet, &self.names);
        let templates = [
            ("claim", &fleet.names.claim_template),
            ("rotation", &fleet.names.rotation_template),
            ("recovery", &fleet.names.recovery_template),
        ];
        let callers = templates.map(|(role, name)| (format!("fleetkey-{role}"), fleet.scope.template(name)));
        let function = Spec::Function(FunctionSpec {
            archive: hook_code::archive(&fleet.names, &self.serials, &self.windows),
            runtime: hook_code::RUNTIME.to_owned(),
            handler: hook_code::HANDLER.to_owned(),
            role: self.role(&names.hook_role),
            timeout: hook_code::TIMEOUT,
            callers: BTreeMap::from(callers),
        });
        let role =
            Spec::Role { trust: fleet.hook_trust(), permissions: fleet.hook_permissions(&names.log_group) };
        let log = Spec::LogGroup { retention_days: Some(self.retention_days) };
        let needs = [Key::new(Kind::Role, &names.hook_role), Key::new(Kind::LogGroup, &names.log_group)];
        [
            node(Kind::Role, &names.hook_role, role, &[]),
            node(Kind::LogGroup, &names.log_group, log, &[]),
            node(Kind::Function, &names.hook, function, &needs),
        ]
    }

    fn templates(&self) -> Vec<Node> {
        let (fleet, names) = (&self.fleet, &self.names);
        let role = Spec::Role {
            trust: fleet.provisioning_trust(),
            permissions: fleet.provisioning_permissions(&names.thing_type),
        };
        let needs = [
            Key::new(Kind::Role, &names.provisioning_role),
            Key::new(Kind::Function, &names.hook),
            Key::new(Kind::Policy, fleet.names.device_policy.as_str()),
            Key::new(Kind::Group, fleet.names.group.as_str()),
            Key::new(Kind::ThingType, &names.thing_type),
        ];
        let mut nodes = vec![node(Kind::Role, &names.provisioning_role, role, &[])];
        // Recovery is made closed: opening it is an operator's decision, for named serials and a time. What was opened
        // stays open.
        for (name, body, enabled) in [
            (&fleet.names.claim_template, fleet.typed_claim_template(&names.thing_type), true),
            (&fleet.names.rotation_template, fleet.rotation_template(), true),
            (&fleet.names.recovery_template, fleet.recovery_template(), !self.windows.is_empty()),
        ] {
            let hook = Some(CloudNames::function_arn(&fleet.scope, &names.hook));
            let spec = Spec::Template { body, enabled, hook, role: self.role(&names.provisioning_role) };
            nodes.push(node(Kind::Template, name.as_str(), spec, &needs));
        }
        nodes
    }

    fn rule(&self) -> [Node; 2] {
        let (fleet, names) = (&self.fleet, &self.names);
        let role = Spec::Role { trust: fleet.rule_trust(&names.rule), permissions: fleet.rule_permissions() };
        let spec = Spec::Rule {
            sql: ATTESTING_RULE_SQL.to_owned(),
            topic: Fleet::ATTESTED_BY_RULE.to_owned(),
            role: self.role(&names.rule_role),
        };
        [
            node(Kind::Role, &names.rule_role, role, &[]),
            node(Kind::Rule, &names.rule, spec, &[Key::new(Kind::Role, &names.rule_role)]),
        ]
    }
}

fn node(kind: Kind, name: &str, spec: Spec, after: &[Key]) -> Node {
    Node { resource: Resource { key: Key::new(kind, name), spec }, after: after.to_vec() }
}

/// Sorts so that each node comes after what it needs, and otherwise as given. What needs itself in a circle would
/// never be made: it is left at the end, where its own creation says what is missing.
fn in_order(mut nodes: Vec<Node>) -> Vec<Node> {
    let mut placed: BTreeSet<Key> = BTreeSet::new();
    let mut ordered = Vec::with_capacity(nodes.len());
    while !nodes.is_empty() {
        let ready = nodes.iter().position(|node| node.after.iter().all(|key| placed.contains(key)));
        let next = nodes.remove(ready.unwrap_or(0));
        placed.insert(next.resource.key.clone());
        ordered.push(next);
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::Names;
    use fleetkey_model::arn::Scope;
    use fleetkey_model::topic::TopicRoot;

    fn wanted() -> Wanted {
        let scope = Scope::local();
        let names = CloudNames::new("", &scope.region);
        let fleet = Fleet { scope, root: TopicRoot::default(), names: Names::new("").unwrap() };
        Wanted { fleet, names, serials: vec!["*".into()], windows: Vec::new(), retention_days: 30 }
    }

    #[test]
    fn everything_comes_after_what_it_needs_and_is_taken_down_before_it() {
        let nodes = wanted().nodes().unwrap();
        let mut seen = BTreeSet::new();
        for node in &nodes {
            for needed in &node.after {
                assert!(seen.contains(needed), "{} before {needed}", node.resource.key);
                assert!(node.resource.key.kind < needed.kind, "{} outlives {needed}", node.resource.key);
            }
            assert!(seen.insert(node.resource.key.clone()), "{} twice", node.resource.key);
        }
        assert_eq!(nodes.len(), 4 + 2 + 3 + 4 + 2);
    }

    #[test]
    fn documents_fit_their_services() {
        for node in wanted().nodes().unwrap() {
            if let Spec::Role { trust, permissions } = &node.resource.spec {
                // IAM: 2048 characters of trust, 10240 of inline policies, white space not counted.
                assert!(trust.len() <= 2048 && permissions.len() <= 10_240);
            }
            if let Spec::Template { body, .. } = &node.resource.spec {
                assert!(body.len() <= 10_240);
                fleetkey_model::template::Template::parse(body).unwrap();
            }
        }
    }
}
