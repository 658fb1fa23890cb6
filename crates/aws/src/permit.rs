//! What the calls need of IAM: one table, written beside the calls, from which the least policy of a command is made.

use std::collections::{BTreeMap, BTreeSet};

use fleetkey_model::arn::Scope;
use fleetkey_operator::plan::Wanted;
use serde_json::{Value, json};

/// A command that makes calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `fleetkey setup`.
    Setup,
    /// `fleetkey cleanup`.
    Cleanup,
    /// `fleetkey status`, and `--plan`.
    Status,
    /// `fleetkey decommission`.
    Decommission,
    /// `fleetkey rotate-claim`.
    RotateClaim,
    /// `fleetkey temporary-claim`.
    TemporaryClaim,
    /// `fleetkey doctor`.
    Doctor,
    /// `fleetkey serve`.
    Serve,
    /// What `fleetkey serve --registry-events` does besides.
    RegistryEvents,
    /// What the pages of `fleetkey serve` ask besides what other commands do.
    Pages,
    /// `fleetkey inventory`.
    Inventory,
    /// `fleetkey revoke`.
    Revoke,
    /// `fleetkey sign-request`.
    SignRequest,
    /// `fleetkey recovery open` and `close`; a running `serve` closes with it, too.
    RecoveryWindow,
    /// `fleetkey recovery show`.
    RecoveryShow,
    /// `fleetkey recovery approve`.
    RecoveryApprove,
    /// `fleetkey recovery reject`.
    RecoveryReject,
    /// `fleetkey panic claim`.
    PanicClaim,
    /// `fleetkey panic policy`.
    PanicPolicy,
    /// `fleetkey panic undo`.
    PanicUndo,
    /// `fleetkey campaign start`.
    Campaign,
}

/// What a call acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum On {
    /// The action knows no resources, or what it acts on is not known beforehand.
    Anything,
    /// The fleet's policies.
    Policies,
    /// Every certificate: their ids are not known beforehand.
    Certificates,
    /// Whatever a policy may be attached to: every certificate and every group.
    Targets,
    /// Every thing: likewise.
    Things,
    /// Every connection: likewise.
    Clients,
    /// The command topic of every thing.
    Commands,
    /// Every resource of AWS IoT that the fleet has by name.
    Named,
    /// The fleet's group.
    Group,
    /// Every group: a campaign may be about any.
    Groups,
    /// The fleet's thing type.
    ThingType,
    /// The fleet's templates.
    Templates,
    /// The attesting rule.
    Rule,
    /// The fleet's roles.
    Roles,
    /// The hook.
    Function,
    /// The hook's log group.
    LogGroup,
}

/// What one call needs.
#[derive(Debug, Clone, Copy)]
pub struct Permit {
    /// The action's name in IAM, as the recorder writes it, but for what `also` says.
    pub call: &'static str,
    /// Further actions that IAM asks for: tags at creation, passing a role.
    pub also: &'static [&'static str],
    /// On what.
    pub on: On,
    /// Who calls it.
    pub by: &'static [Command],
}

/// Every call that this crate makes.
pub fn all() -> Vec<Permit> {
    [
        crate::cloud::PERMITS,
        crate::census::PERMITS,
        crate::certificate::PERMITS,
        crate::connection::PERMITS,
        crate::event::PERMITS,
        crate::function::PERMITS,
        crate::group::PERMITS,
        crate::log_group::PERMITS,
        crate::policy::PERMITS,
        crate::quotas::PERMITS,
        crate::role::PERMITS,
        crate::rule::PERMITS,
        crate::standing::PERMITS,
        crate::tags::PERMITS,
        crate::template::PERMITS,
        crate::thing::PERMITS,
        crate::thing_type::PERMITS,
    ]
    .concat()
}

/// Whose calls `fleetkey serve` makes by itself: it closes recovery windows when their time is over.
pub const SERVING: [Command; 2] = [Command::Serve, Command::RecoveryWindow];

/// Whose calls it makes when its pages and its API are used, too, all of them.
pub const WITH_PAGES: [Command; 14] = [
    Command::Serve,
    Command::RecoveryWindow,
    Command::RecoveryApprove,
    Command::RecoveryReject,
    Command::PanicClaim,
    Command::PanicPolicy,
    Command::PanicUndo,
    Command::Pages,
    Command::Campaign,
    Command::Doctor,
    Command::Status,
    Command::Revoke,
    Command::Setup,
    Command::Cleanup,
];

/// What IAM calls an operation of the SDK's: Lambda's `Invoke` is `InvokeFunction` (Service Authorization Reference, AWS
/// Lambda).
pub(crate) fn action(service: &str, operation: &str) -> String {
    match (service, operation) {
        ("lambda", "Invoke") => "lambda:InvokeFunction".to_owned(),
        _ => format!("{service}:{operation}"),
    }
}

/// The least policy with which `commands` can do their work on a fleet; of one that changes its names, as it was and as it
/// is to be.
pub fn policy(commands: &[Command], fleets: &[Wanted]) -> Value {
    let mut by_resource: BTreeMap<On, BTreeSet<&'static str>> = BTreeMap::new();
    let asked = |permit: &&Permit| permit.by.iter().any(|command| commands.contains(command));
    for permit in all().iter().filter(asked) {
        by_resource.entry(permit.on).or_default().insert(permit.call);
        for also in permit.also {
            // Passing a role is asked of the role, whatever the call is about.
            let on = if *also == "iam:PassRole" { On::Roles } else { permit.on };
            by_resource.entry(on).or_default().insert(also);
        }
    }
    let statements: Vec<_> = by_resource
        .into_iter()
        .map(|(on, actions)| {
            let resources: BTreeSet<_> = fleets.iter().flat_map(|wanted| resources(on, wanted)).collect();
            json!({ "Effect": "Allow", "Action": actions, "Resource": resources })
        })
        .collect();
    json!({ "Version": "2012-10-17", "Statement": statements })
}

fn resources(on: On, wanted: &Wanted) -> Vec<String> {
    let scope = &wanted.fleet.scope;
    let names = &wanted.fleet.names;
    let cloud = &wanted.names;
    let Scope { partition, region, account } = scope;
    match on {
        On::Anything => vec!["*".to_owned()],
        On::Policies => {
            [&names.device_policy, &names.claim_policy, &names.observer_policy, &names.controller_policy]
                .map(|name| scope.policy(name))
                .into()
        }
        On::Certificates => vec![scope.arn("cert/*")],
        On::Targets => vec![scope.arn("cert/*"), scope.arn("thinggroup/*")],
        On::Things => vec![scope.arn("thing/*")],
        On::Clients => vec![scope.arn("client/*")],
        On::Commands => vec![scope.topic("fleetkey/things/*/commands")],
        On::Named => [On::Policies, On::Group, On::ThingType, On::Templates, On::Rule]
            .into_iter()
            .flat_map(|on| resources(on, wanted))
            .collect(),
        On::Group => vec![scope.group(&names.group)],
        On::Groups => vec![scope.arn("thinggroup/*")],
        On::ThingType => vec![scope.arn(&format!("thingtype/{}", cloud.thing_type))],
        On::Templates => [&names.claim_template, &names.rotation_template, &names.recovery_template]
            .map(|name| scope.template(name))
            .into(),
        On::Rule => vec![scope.arn(&format!("rule/{}", cloud.rule))],
        On::Roles => [&cloud.provisioning_role, &cloud.hook_role, &cloud.rule_role]
            .map(|role| format!("arn:{partition}:iam::{account}:role/{role}"))
            .into(),
        On::Function => {
            vec![format!("arn:{partition}:lambda:{region}:{account}:function:{}", cloud.hook)]
        }
        On::LogGroup => {
            let group = format!("arn:{partition}:logs:{region}:{account}:log-group:{}", cloud.log_group);
            vec![format!("{group}:*"), group]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every file with calls, and its table.
    const FILES: &[(&str, &[Permit])] = &[
        (include_str!("census.rs"), crate::census::PERMITS),
        (include_str!("certificate.rs"), crate::certificate::PERMITS),
        (include_str!("connection.rs"), crate::connection::PERMITS),
        (include_str!("event.rs"), crate::event::PERMITS),
        (include_str!("function.rs"), crate::function::PERMITS),
        (include_str!("group.rs"), crate::group::PERMITS),
        (include_str!("log_group.rs"), crate::log_group::PERMITS),
        (include_str!("policy.rs"), crate::policy::PERMITS),
        (include_str!("quotas.rs"), crate::quotas::PERMITS),
        (include_str!("role.rs"), crate::role::PERMITS),
        (include_str!("rule.rs"), crate::rule::PERMITS),
        (include_str!("tags.rs"), crate::tags::PERMITS),
        (include_str!("template.rs"), crate::template::PERMITS),
        (include_str!("thing.rs"), crate::thing::PERMITS),
        (include_str!("thing_type.rs"), crate::thing_type::PERMITS),
    ];

    /// The operations that a file's code calls: `self.iot.get_policy()` is `iot:GetPolicy`.
    fn called(source: &str) -> BTreeSet<String> {
        let code: String = source.split_whitespace().collect();
        let clients = [
            ("iot", "iot"),
            ("data", "iot"),
            ("iam", "iam"),
            ("lambda", "lambda"),
            ("logs", "logs"),
            ("quotas", "servicequotas"),
        ];
        clients
            .iter()
            .flat_map(|(field, service)| {
                let client = format!("self.{field}.");
                let calls = code.split(&client).skip(1).filter_map(|rest| rest.split_once("()"));
                calls.map(|(operation, _)| action(service, &camel(operation))).collect::<Vec<_>>()
            })
            .collect()
    }

    fn camel(operation: &str) -> String {
        let word = |word: &str| match word {
            // An acronym in AWS's names.
            "ca" => "CA".to_owned(),
            word => word[..1].to_uppercase() + &word[1..],
        };
        operation.split('_').map(word).collect()
    }

    /// Makes certificates with keys of the service's: the controller's side only, no command of ours.
    const NO_COMMAND: &[&str] = &["iot:CreateKeysAndCertificate"];

    #[test]
    fn every_call_has_its_permit_beside_it_and_every_permit_its_call() {
        for (source, permits) in FILES {
            let called = called(source);
            let permitted: BTreeSet<_> = permits.iter().map(|permit| permit.call.to_owned()).collect();
            let missing: Vec<_> = called.difference(&permitted).map(String::as_str).collect();
            assert!(missing.iter().all(|call| NO_COMMAND.contains(call)), "{missing:?}");
            assert_eq!(permitted.difference(&called).collect::<Vec<_>>(), Vec::<&String>::new());
        }
        assert_eq!(FILES.len() + 1, 16, "the last is cloud.rs, whose calls go through two clients");
    }

    #[test]
    fn no_command_may_do_everything() {
        use fleetkey_model::topic::TopicRoot;
        use fleetkey_operator::documents::{Fleet, Names};
        use fleetkey_operator::plan::CloudNames;
        let scope = Scope::local();
        let names = CloudNames::new("", &scope.region);
        let fleet = Fleet { scope, root: TopicRoot::default(), names: Names::new("").unwrap() };
        let wanted = Wanted { fleet, names, serials: Vec::new(), windows: Vec::new(), retention_days: 30 };
        let status = policy(&[Command::Status], std::slice::from_ref(&wanted)).to_string();
        assert!(!status.contains("Create") && !status.contains("Delete") && !status.contains("PassRole"));
        let setup = policy(&[Command::Setup], std::slice::from_ref(&wanted));
        let pass = setup["Statement"]
            .as_array()
            .unwrap()
            .iter()
            .find(|s| s["Action"].to_string().contains("iam:PassRole"));
        assert_eq!(pass.unwrap()["Resource"].as_array().unwrap().len(), 3, "only our own roles are passed");
        for command in [
            Command::Setup,
            Command::Cleanup,
            Command::Decommission,
            Command::RotateClaim,
            Command::TemporaryClaim,
            Command::Serve,
            Command::RegistryEvents,
            Command::Pages,
            Command::Inventory,
            Command::Revoke,
            Command::SignRequest,
            Command::RecoveryWindow,
            Command::RecoveryShow,
            Command::RecoveryApprove,
            Command::RecoveryReject,
            Command::PanicClaim,
            Command::PanicPolicy,
            Command::PanicUndo,
            Command::Campaign,
        ] {
            let policy = policy(&[command], std::slice::from_ref(&wanted));
            let statements = policy["Statement"].as_array().unwrap();
            let actions = statements.iter().flat_map(|statement| statement["Action"].as_array().unwrap());
            assert!(actions.into_iter().all(|action| !action.as_str().unwrap().contains('*')), "{command:?}");
        }
    }
}
