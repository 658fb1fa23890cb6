//! The clean-up as a page shows it: drawn from the account's lists and from what the inventory knows, so that a look at it
//! costs no calls for each device. When it is ordered, each device is looked at, and what would go must be among what was
//! shown.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use fleetkey_dashboard::fleet::{Act, Plan, PlanStep};
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{PolicyName, ThingName};
use fleetkey_model::time::Timestamp;
use fleetkey_operator::cloud::{Cloud, Key};
use fleetkey_operator::inventory::Watch;
use fleetkey_operator::plan::{Doomed, Onlooker, Sight, Wanted};

/// After so many certificates of which the inventory does not know on which thing they are the account is asked one by one.
/// Of more of them the plan says that they would go: some of them may be on a thing of somebody else's, and stay.
const ASKED: usize = 100;
const NOTE: &str = "From the account's lists and the inventory. When it is carried out, each device is looked at first; if anything would go \
     that does not stand here, nothing is done and the plan is shown anew.";

/// Draws it.
///
/// # Errors
/// When a call fails.
pub(super) async fn drawn<C: Cloud>(
    onlooker: &Onlooker<'_, C>,
    wanted: &Wanted,
    watch: &Watch,
) -> Result<Plan> {
    let sight = onlooker.sight(wanted).await?;
    let known = |id: &CertificateId| watch.look(|store, _| store.certificate(id)?.thing.clone());
    let others = sight.holders.keys().filter(|id| !sight.own.contains_key(*id));
    let lost: Vec<_> = others.filter(|id| known(id).is_none()).take(ASKED).copied().collect();
    let mut asked = BTreeMap::new();
    for id in lost {
        asked.insert(id, onlooker.things_of(&id).await?);
    }
    let on = |id: &CertificateId| match asked.get(id) {
        Some(things) => things.clone(),
        None => known(id).into_iter().collect(),
    };
    // One that was never listed is newer than the last list.
    let is_device = |thing: &ThingName| {
        let row = |row: &_| is_marked(row);
        watch.look(|store, _| store.thing(thing).is_none_or(row))
    };
    let doomed = doomed(sight, &wanted.fleet.names.device_policy, on, is_device);
    Ok(Plan { note: NOTE.to_owned(), ..exact(doomed) })
}

/// Whether a thing bears the mark of a device that a fleet of ours has provisioned, or may.
fn is_marked(row: &fleetkey_operator::inventory::Thing) -> bool {
    row.told_at == Timestamp::default() || row.newest.is_some()
}

/// What would go, by where certificates are and which things are devices.
fn doomed(
    sight: Sight,
    device_policy: &PolicyName,
    on: impl Fn(&CertificateId) -> Vec<ThingName>,
    is_device: impl Fn(&ThingName) -> bool,
) -> Doomed {
    let mut things: BTreeSet<_> = sight.members.iter().filter(|thing| is_device(thing)).cloned().collect();
    let mut certificates = sight.own.clone();
    for (id, policies) in sight.holders.iter().filter(|(id, _)| !sight.own.contains_key(*id)) {
        let on = on(id);
        if on.is_empty() {
            certificates.extend(sight.bereft(id).map(|words| (*id, words)));
        } else if policies.contains(device_policy) {
            things.extend(on.into_iter().filter(|thing| is_device(thing)));
        }
    }
    Doomed {
        resources: sight.resources,
        certificates: certificates.into_values().collect(),
        things: things.into_iter().collect(),
        foreign: sight.foreign,
    }
}

/// What goes and what stays, step by step.
pub(super) fn exact(doomed: Doomed) -> Plan {
    let delete = |what: String, words: &str| PlanStep { act: Act::Delete, what, words: words.to_owned() };
    let things = doomed.things.iter();
    let mut steps: Vec<_> =
        things.map(|thing| delete(format!("thing {thing}"), "with its certificates")).collect();
    steps.extend(doomed.resources.iter().map(|key| delete(key.to_string(), "")));
    steps.extend(doomed.certificates.into_iter().map(|certificate| delete(certificate, "")));
    let words = "somebody else has made it; --force removes it, too".to_owned();
    let kept = |key: &Key| PlanStep { act: Act::Keep, what: key.to_string(), words: words.clone() };
    steps.extend(doomed.foreign.iter().map(kept));
    Plan { steps, command: "fleetkey cleanup".to_owned(), note: String::new() }
}

/// Whether all that `plan` removes was to go by what somebody has seen: what is gone or has become somebody else's
/// meanwhile changes nothing of what they agreed to.
pub(super) fn is_within(plan: &Plan, seen: &Plan) -> bool {
    let goes = |plan: &Plan| -> BTreeSet<String> {
        let gone = plan.steps.iter().filter(|step| step.act == Act::Delete);
        gone.map(|step| step.what.clone()).collect()
    };
    goes(plan).is_subset(&goes(seen))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetkey_operator::cloud::Kind;

    fn thing(name: &str) -> ThingName {
        ThingName::new(name).unwrap()
    }

    fn policy(name: &str) -> PolicyName {
        PolicyName::new(name).unwrap()
    }

    fn id(n: u8) -> CertificateId {
        CertificateId::of_der(&[n])
    }

    fn whats(plan: &Plan, act: Act) -> Vec<String> {
        plan.steps.iter().filter(|step| step.act == act).map(|step| step.what.clone()).collect()
    }

    #[test]
    fn a_plan_names_members_and_holders_and_leaves_out_what_bears_no_mark() {
        let holds = |names: &[&str]| names.iter().map(|name| policy(name)).collect();
        let sight = Sight {
            resources: vec![Key::new(Kind::Policy, "DevicePolicy")],
            foreign: vec![Key::new(Kind::Policy, "ClaimPolicy")],
            own: [(id(9), "observer certificate".to_owned())].into(),
            members: [thing("press-1"), thing("strangers")].into(),
            holders: [
                (id(1), holds(&["DevicePolicy"])),
                (id(2), holds(&["DevicePolicy"])),
                (id(3), holds(&["DevicePolicy", "ObserverPolicy"])),
                (id(4), holds(&["ObserverPolicy"])),
                (id(5), holds(&["DevicePolicy"])),
                (id(9), holds(&["ObserverPolicy"])),
            ]
            .into(),
        };
        let on = |asked: &CertificateId| match asked {
            _ if *asked == id(1) => vec![thing("press-1")],
            _ if *asked == id(2) => vec![thing("press-2")],
            // With no policy of devices, a thing of somebody else's keeps it.
            _ if *asked == id(4) => vec![thing("press-4")],
            _ if *asked == id(5) => vec![thing("strangers")],
            _ => Vec::new(),
        };
        let is_device = |thing: &ThingName| thing.as_str().starts_with("press");
        let plan = exact(doomed(sight, &policy("DevicePolicy"), on, is_device));
        let bereft = format!("certificate {} with ObserverPolicy", id(3).short());
        let gone: BTreeSet<_> = whats(&plan, Act::Delete).into_iter().collect();
        let all = ["thing press-1", "thing press-2", "policy DevicePolicy", "observer certificate", &bereft];
        assert_eq!(gone, all.map(str::to_owned).into());
        assert_eq!(whats(&plan, Act::Keep), ["policy ClaimPolicy"]);
    }

    #[test]
    fn less_than_was_seen_is_agreed_to_and_more_is_not() {
        let step = |act, what: &str| PlanStep { act, what: what.to_owned(), words: String::new() };
        let plan = |steps: &[PlanStep]| Plan { steps: steps.to_vec(), ..Plan::default() };
        let (one, two) = (step(Act::Delete, "thing 1"), step(Act::Delete, "thing 2"));
        let kept = step(Act::Keep, "policy a");
        let seen = plan(&[one.clone(), two.clone(), kept.clone()]);
        for less in [plan(&[]), plan(std::slice::from_ref(&two)), seen.clone(), plan(&[one.clone(), kept])] {
            assert!(is_within(&less, &seen), "{less:?}");
        }
        let ours_by_now = step(Act::Delete, "policy a");
        for more in [step(Act::Delete, "thing 3"), ours_by_now] {
            assert!(!is_within(&plan(&[one.clone(), more.clone()]), &seen), "{more:?}");
        }
    }
}
