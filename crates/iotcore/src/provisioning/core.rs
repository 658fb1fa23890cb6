//! What Fleet Provisioning decides: (registry, caller, operation, moment, randomness, minted certificate) → a plan
//! and its answer, or a refusal.
//!
//! Pure: no I/O, no clock, no randomness of its own, so that a model of the rotation can drive it. The order of
//! RegisterThing is AWS's: parameters, hook, thing under its override settings, policies, attachment, status; all
//! of it is one plan, so that nothing of a refused request remains (AWS leaves that open).

use std::collections::BTreeMap;

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::TemplateName;
use fleetkey_model::provisioning::{CertificateIssued, ThingRegistered};
use fleetkey_model::secret::OwnershipToken;
use fleetkey_model::template::{
    Override, ResolvedCertificate, ResolvedPolicy, ResolvedTemplate, ResolvedThing,
};
use fleetkey_model::time::Timestamp;

use super::{Caller, Refusal};
use crate::ca::Minted;
use crate::hook;
use crate::registry::{
    CertificateRecord, Draft, NewCertificate, Plan, Registry, Source, Tags, TemplateRecord, Thing,
    merge_attributes,
};

/// A RegisterThing request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    /// From the topic.
    pub template: TemplateName,
    /// Proves who owns the certificate.
    pub token: OwnershipToken,
    /// What the device sent, and what an external hook put over it.
    pub parameters: BTreeMap<String, String>,
    /// The ARN of the function that was asked about this very request and allowed it.
    pub allowed_by: Option<String>,
}

/// Registers a minted certificate as PENDING_ACTIVATION and answers with its ownership token, which is made of
/// `random`. For CreateKeysAndCertificate and CreateCertificateFromCsr.
///
/// # Errors
/// When the certificate or the token exist already: then `random` was not random.
pub fn issue(
    registry: &Registry,
    minted: &Minted,
    source: Source,
    random: &[u8; 32],
    now: Timestamp,
) -> Result<Plan<CertificateIssued>, Refusal> {
    let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let token = OwnershipToken::new(token);
    let new = NewCertificate {
        pem: minted.pem.clone(),
        facts: minted.facts.clone(),
        status: CertificateStatus::PendingActivation,
        source,
    };
    let plan = registry
        .plan_pending_certificate(new, &token, now)
        .map_err(|error| Refusal::Internal(error.to_string()))?;
    Ok(plan.map(|certificate_id| CertificateIssued {
        certificate_id,
        certificate_pem: minted.pem.clone(),
        private_key: minted.private_key.clone(),
        certificate_ownership_token: token,
    }))
}

/// RegisterThing, the template's built-in hook included; where the hook is a function, its word must be that of the
/// function which the template names at this moment. The same token for the same thing again is answered as
/// before and changes nothing: a device whose answer was lost may simply repeat.
///
/// # Errors
/// See [`Refusal`].
pub fn register(
    registry: &Registry,
    caller: &Caller,
    request: &Register,
    now: Timestamp,
) -> Result<Plan<ThingRegistered>, Refusal> {
    let template = enabled_template(registry, &request.template)?;
    let certificate = owned_certificate(registry, request, now)?;
    let resolved =
        template.template.resolve(&request.parameters, &certificate.id).map_err(Refusal::Template)?;
    let thing = &resolved.thing.name;
    if let Some(hook) = &template.hook
        && !hook::allows(hook, registry, caller, thing, request)
    {
        return Err(Refusal::AccessDenied);
    }
    let answer = ThingRegistered {
        device_configuration: resolved.device_configuration.clone(),
        thing_name: Some(thing.clone()),
    };
    let draft = Draft::new(registry);
    match certificate.ownership.as_ref().and_then(|own| own.registered_as.as_ref()) {
        None => Ok(provision(draft, certificate.id, &resolved, now)?.plan(answer)),
        Some(done) if done == thing && certificate.things.contains_key(thing) => Ok(draft.plan(answer)),
        Some(_) => Err(Refusal::InvalidToken),
    }
}

/// The template, if it may be used.
pub(super) fn enabled_template<'a>(
    registry: &'a Registry,
    name: &TemplateName,
) -> Result<&'a TemplateRecord, Refusal> {
    registry
        .template(name)
        .filter(|template| template.enabled)
        .ok_or_else(|| Refusal::NoTemplate(name.clone()))
}

/// The certificate that the request's token owns.
pub(super) fn owned_certificate<'a>(
    registry: &'a Registry,
    request: &Register,
    now: Timestamp,
) -> Result<&'a CertificateRecord, Refusal> {
    if request.token.expose().is_empty() {
        return Err(Refusal::EmptyToken);
    }
    registry.owned_by(&request.token, now).ok_or(Refusal::InvalidToken)
}

fn provision<'a>(
    mut draft: Draft<'a>,
    id: CertificateId,
    resolved: &ResolvedTemplate,
    now: Timestamp,
) -> Result<Draft<'a>, Refusal> {
    let thing = &resolved.thing.name;
    save_thing(&mut draft, &resolved.thing, now)?;
    for policy in &resolved.policies {
        attach_policy(&mut draft, policy, &id, now)?;
    }
    draft.attach_thing(thing, &id, resolved.certificate.principal_type)?;
    set_status(&mut draft, &id, &resolved.certificate, now)?;
    draft.mark_registered(&id, thing)?;
    Ok(draft)
}

fn save_thing(draft: &mut Draft<'_>, wanted: &ResolvedThing, now: Timestamp) -> Result<(), Refusal> {
    let thing = match draft.find_thing(&wanted.name) {
        Some(existing) => changed_thing(existing, wanted)?,
        None => new_thing(wanted, now),
    };
    Ok(draft.save_thing(thing)?)
}

fn new_thing(wanted: &ResolvedThing, now: Timestamp) -> Thing {
    let mut thing = Thing::new(wanted.name.clone(), now);
    thing.type_name.clone_from(&wanted.type_name);
    thing.groups = wanted.groups.clone().unwrap_or_default();
    merge_attributes(&mut thing.attributes, &wanted.attributes);
    thing
}

/// What the override settings make of a thing that exists. FAIL refuses where the template's value is not what
/// is there already; what AWS compares is not documented, and a template that is safe under this reading is safe
/// under the stricter one.
fn changed_thing(existing: &Thing, wanted: &ResolvedThing) -> Result<Thing, Refusal> {
    let mut thing = existing.clone();
    let conflict = |property: &'static str| Refusal::Conflict { thing: existing.name.clone(), property };
    match wanted.overrides.attributes {
        Override::DoNothing => {}
        Override::Merge => merge_attributes(&mut thing.attributes, &wanted.attributes),
        Override::Replace => {
            thing.attributes.clear();
            merge_attributes(&mut thing.attributes, &wanted.attributes);
        }
        Override::Fail => {
            let same = |(name, value)| existing.attributes.get(name) == Some(value);
            if !wanted.attributes.iter().all(same) {
                return Err(conflict("AttributePayload"));
            }
        }
    }
    match (wanted.overrides.type_name, &wanted.type_name) {
        (Override::Replace, Some(type_name)) => thing.type_name = Some(type_name.clone()),
        (Override::Fail, Some(_)) if existing.type_name != wanted.type_name => {
            return Err(conflict("ThingTypeName"));
        }
        _ => {}
    }
    match (wanted.overrides.groups, &wanted.groups) {
        (Override::Replace, Some(groups)) => thing.groups.clone_from(groups),
        (Override::Merge, Some(groups)) => thing.groups.extend(groups.iter().cloned()),
        (Override::Fail, Some(groups)) if existing.groups != *groups => return Err(conflict("ThingGroups")),
        _ => {}
    }
    Ok(thing)
}

fn attach_policy(
    draft: &mut Draft<'_>,
    policy: &ResolvedPolicy,
    id: &CertificateId,
    now: Timestamp,
) -> Result<(), Refusal> {
    let name = match policy {
        ResolvedPolicy::Named(name) => name,
        ResolvedPolicy::Document { name, text } => {
            if draft.find_policy(name).is_none() {
                draft.create_policy(name, text, Tags::default(), now)?;
            }
            name
        }
    };
    Ok(draft.attach_policy(name, id)?)
}

/// A certificate that is no longer PENDING_ACTIVATION has a status of its own: the override settings decide.
fn set_status(
    draft: &mut Draft<'_>,
    id: &CertificateId,
    wanted: &ResolvedCertificate,
    now: Timestamp,
) -> Result<(), Refusal> {
    let record = draft.certificate(id)?;
    let pending = record.status == CertificateStatus::PendingActivation;
    if pending || wanted.on_status == Override::Replace {
        return Ok(draft.set_status(id, wanted.status, now)?);
    }
    if wanted.on_status == Override::Fail && record.status != wanted.status {
        return Err(Refusal::StatusConflict(*id));
    }
    Ok(())
}
