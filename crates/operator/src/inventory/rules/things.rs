//! What is seen of a thing as a whole.

use super::{View, finding};
use crate::controller::FreezeReason;
use crate::inventory::findings::{Finding, Rule};
use crate::inventory::store::Thing;
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ThingName;

pub(in crate::inventory) fn look(view: &View<'_>, name: &ThingName, thing: &Thing, found: &mut Vec<Finding>) {
    found.extend(frozen(name, thing));
    found.extend(recovered(view, name, thing));
    found.extend(superseded_in_use(view, name, thing));
    found.extend(flapping(view, name, thing));
}

fn frozen(name: &ThingName, thing: &Thing) -> Option<Finding> {
    // What waits for a decision on a recovery, and for nothing else, is a finding of its own.
    let quarantine =
        |why: &&String| thing.recovered.is_some() && **why == FreezeReason::Recovered.to_string();
    let why = thing.frozen.as_ref().filter(|why| !quarantine(why))?;
    let certificates: Vec<_> = thing.certificates.iter().map(|id| id.short()).collect();
    let saw = format!("{why}; its certificates are {}", certificates.join(", "));
    Some(finding(
        Rule::Frozen,
        Some(name),
        None,
        saw,
        (
            "whoever copied an old key can rotate first: the newest certificate is not by itself the rightful one",
            "find out which certificate the device itself holds (fleetkey device status there), revoke the other, then release the thing",
        ),
    ))
}

fn recovered(view: &View<'_>, name: &ThingName, thing: &Thing) -> Option<Finding> {
    let id = **thing.recovered.as_ref()?;
    let known = |id: &CertificateId| {
        let status = view.store.certificate(id).and_then(|row| row.status);
        format!(
            "{} ({})",
            id.short(),
            status.map_or_else(|| "unknown".to_owned(), |status| status.to_string())
        )
    };
    let others: Vec<_> = thing.certificates.iter().filter(|other| **other != id).map(known).collect();
    let others = if others.is_empty() { "no other".to_owned() } else { others.join(", ") };
    let saw = format!("{} came of a recovery by claim; beside it the thing has {others}", known(&id));
    let act = format!(
        "see which certificate the device itself holds (fleetkey device status there): if it is {}, fleetkey recovery \
         approve {name} --why …; if it is not, fleetkey recovery reject {name} --why …",
        id.short()
    );
    Some(finding(
        Rule::Recovered,
        Some(name),
        Some(&id),
        saw,
        (
            "whoever holds a leaked claim could recover as this device: until somebody decides, nothing of it is retired",
            &act,
        ),
    ))
}

fn superseded_in_use(view: &View<'_>, name: &ThingName, thing: &Thing) -> Option<Finding> {
    let (witness, at) = thing.attested?;
    let successor = view.store.certificate(&witness)?.created_at?;
    let older = thing.certificates.iter().find_map(|id| {
        let row = view.store.certificate(id)?;
        let older = *id != witness && row.created_at? < successor;
        // Of one that is ended another rule tells that it is connected still.
        (older && row.may_connect() && row.is_used_since(at)).then_some((id, row))
    })?;
    let (id, row) = older;
    let now = if row.open.is_empty() { "has connected" } else { "is connected" };
    let saw = format!("{} {now} although {} was attested at {at}", id.short(), witness.short());
    Some(finding(
        Rule::SupersededInUse,
        Some(name),
        Some(id),
        saw,
        (
            "a second program on the device still has the old files, or somebody has a copy of the old key",
            "have every client of the device load the current certificate; if none is left that should use the old one, revoke it",
        ),
    ))
}

fn flapping(view: &View<'_>, name: &ThingName, thing: &Thing) -> Option<Finding> {
    let (begun, count) = thing.connects;
    let recent = view.now.since(begun) < view.thresholds.idle_after;
    (recent && count > view.thresholds.connects).then(|| {
        finding(Rule::Flapping, Some(name), None, format!("{count} connections within ten minutes of {begun}"), (
            "two clients with one client id throw each other out without end, and each reconnect costs messages",
            "look for a second client with this client id: a copied disk, a second broker node, a test script",
        ))
    })
}
