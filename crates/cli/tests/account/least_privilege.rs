//! What `--print-iam` prints against the calls that the commands really make.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::core::{Core, Outcome, a_directory};
use crate::drift::{change_everything, cut_the_claim_short};
use crate::inventory::Clients;

/// Asked for by IAM besides the operation of the call, or instead of it: nothing is called by that name.
const NO_OPERATIONS: [&str; 5] =
    ["iam:PassRole", "lambda:ListTags", "iot:TagResource", "iam:TagRole", "lambda:TagResource"];
/// Operations that answer for several: CloudWatch Logs has one name for tags at creation and later.
const TAGGING: &str = "logs:TagResource";

/// The actions of the policy that a command prints.
fn printed(core: &Core, command: &[&str]) -> BTreeSet<String> {
    let arguments: Vec<_> = command.iter().chain(&["--print-iam"]).copied().collect();
    let output = core.command(core.url(), &arguments, Path::new("unused")).output().unwrap();
    let policy: Value = serde_json::from_slice(&output.stdout).unwrap();
    let statements = policy["Statement"].as_array().unwrap().iter();
    let actions = statements.flat_map(|statement| statement["Action"].as_array().unwrap().clone());
    actions.map(|action| action.as_str().unwrap().to_owned()).collect()
}

/// Runs of one command: whether each asks for nothing that is not printed, and all of them together for all of it.
#[track_caller]
pub(crate) fn exact(core: &Core, command: &[&str], runs: &[Outcome]) {
    let printed = printed(core, command);
    let mut called = BTreeSet::new();
    for run in runs {
        called.extend(run.calls());
    }
    let beyond: Vec<_> = called.difference(&printed).collect();
    assert!(beyond.is_empty(), "{command:?} calls what it has not asked for: {beyond:?}");
    let named = |action: &&String| !NO_OPERATIONS.contains(&action.as_str()) && *action != TAGGING;
    let unused: Vec<_> = printed.difference(&called).filter(named).collect();
    assert!(unused.is_empty(), "{command:?} asks for what it does not call: {unused:?}");
}

/// A run with a flag: whether it asks for nothing that is not printed, and for all that is printed with the flag alone; of what
/// is printed without it, another test says whether that is called.
#[track_caller]
pub(crate) fn exact_beside(core: &Core, (command, without): (&[&str], &[&str]), run: &Outcome) {
    within(core, command, run);
    let more: BTreeSet<_> = printed(core, command).difference(&printed(core, without)).cloned().collect();
    let unused: Vec<_> = more.difference(&run.calls()).cloned().collect();
    assert!(!more.is_empty() && unused.is_empty(), "{command:?} asks for what it does not call: {unused:?}");
}

/// A run that asks for nothing that is not printed.
#[track_caller]
pub(crate) fn within(core: &Core, command: &[&str], run: &Outcome) {
    let (printed, called) = (printed(core, command), run.calls());
    let beyond: Vec<_> = called.difference(&printed).collect();
    assert!(beyond.is_empty(), "{command:?} calls what it has not asked for: {beyond:?}");
}

/// The pages of `serve` need what the commands need that they stand for, show policies' versions, and may ask the hook; each of those commands is held
/// to its calls by a test of its own.
#[test]
fn what_all_pages_need_is_what_their_commands_need_and_the_versions_and_the_hook() {
    let core = Core::empty();
    let commands: [&[&str]; 11] = [
        &["serve"],
        &["campaign", "start"],
        &["status"],
        &["revoke"],
        &["recovery", "approve"],
        &["recovery", "reject"],
        &["panic", "claim"],
        &["panic", "policy"],
        &["panic", "undo"],
        &["setup"],
        &["cleanup"],
    ];
    let mut sum: BTreeSet<_> = commands.iter().flat_map(|command| printed(&core, command)).collect();
    // What `doctor` asks for a verdict, and nobody else does; it prints no policy of its own.
    let verdicts = ["iot:GetEffectivePolicies", "iot:ListPrincipalThingsV2"];
    let pages = ["iot:GetPolicyVersion", "lambda:InvokeFunction"];
    sum.extend(verdicts.iter().chain(&pages).map(|call| (*call).to_owned()));
    assert_eq!(printed(&core, &["serve", "--pages"]), sum);
    assert!(!printed(&core, &["serve"]).contains("iot:CreatePolicy"), "without the flag it stays small");
}

/// What a command asks for is what it calls: each of its runs keeps to it, and all of it is needed by one of them.
#[test]
fn the_printed_policy_is_what_was_called() {
    let (core, fleet) = (Core::empty(), a_directory());
    let clients = Clients::of(&core);
    let set_up = |more: &[&str]| core.set_up(more, fleet.path()).good();
    // On nothing: what is not there is looked for in another way.
    let mut statuses = vec![core.run(&["status"], a_directory().path())];
    let theirs = crate::inventory::THEIRS;
    clients
        .wait(clients.iot.create_policy().policy_name("DevicePolicy").policy_document(theirs).send())
        .unwrap();

    let mut setups = vec![set_up(&["--force"])];
    change_everything(&clients);
    cut_the_claim_short(&clients, fleet.path());
    setups.push(set_up(&[]));
    core.provision("press-1", fleet.path());
    core.provision("press-2", fleet.path());
    // Six times another policy: there is room for five versions.
    for root in ["a", "b", "c", "d", "e", "f"] {
        setups.push(set_up(&["--topic-root", root, "--allow-serial", root, "--log-days", "7"]));
    }
    statuses.push(core.run(&["status"], fleet.path()).good());
    exact(&core, &["status"], &statuses);
    let rotated = core.run(&["rotate-claim"], fleet.path()).good();
    exact(&core, &["rotate-claim"], &[rotated]);
    let out = fleet.path().join("temporary");
    let temporary = ["temporary-claim", "--out", out.to_str().unwrap()];
    exact(&core, &temporary, &[core.run(&temporary, fleet.path()).good()]);
    let decommission = ["decommission", "press-1"];
    exact(&core, &decommission, &[core.run(&decommission, fleet.path()).good()]);
    // Of another name, the template goes and comes: what set-up deletes.
    setups.push(set_up(&["--template-name", "Other"]));
    exact(&core, &["setup"], &setups);
    hang_more_on_it(&clients, "Other");
    exact(&core, &["cleanup"], &[core.run(&["cleanup"], fleet.path()).good()]);
}

/// What only a clean-up has to do with: somebody has attached a policy to a role of ours, and made a version of a template.
pub(crate) fn hang_more_on_it(clients: &Clients, template: &str) {
    clients.wait(async {
        let policy = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole";
        let attach = clients.iam.attach_role_policy().role_name("fleetkey-hook-us-east-1").policy_arn(policy);
        attach.send().await.unwrap();
        let found =
            clients.iot.describe_provisioning_template().template_name(template).send().await.unwrap();
        let version = clients.iot.create_provisioning_template_version().template_name(template);
        version.template_body(found.template_body().unwrap()).send().await.unwrap();
    });
}
