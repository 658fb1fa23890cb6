//! An account made ready for a fleet: the shipping policies and templates, the built-in hooks, one claim.

use std::time::Duration;

use anyhow::{Context as _, Result};
use fleetkey_agent::keys::Keys;
use fleetkey_iotcore::hook::{BuiltinHook, SerialPattern};
use fleetkey_iotcore::registry::{NewCertificate, Plan, Registry, Source};
use fleetkey_model::arn::Scope;
use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::{SerialNumber, TemplateName};
use fleetkey_model::topic::TopicRoot;
use fleetkey_operator::controller::Config as Patience;
use fleetkey_operator::documents::{Fleet, Names};

use crate::mint::{self, ISSUED_AT, PoolKeys};

/// Where the numbers of claims' keys begin.
pub const CLAIM_KEYS: u64 = 1 << 40;

/// What every run begins with.
#[derive(Debug)]
pub struct Stage {
    /// The names and documents.
    pub fleet: Fleet,
    /// The account with them in it.
    pub registry: Registry,
    /// The claim certificate, which every device has.
    pub claim: CertificateId,
    /// The controller's spans.
    pub patience: Patience,
}

impl Stage {
    /// Sets an account up.
    ///
    /// # Errors
    /// When a document or the claim cannot be made; then the product's own set-up is broken.
    pub fn new() -> Result<Self> {
        let fleet = Fleet { scope: Scope::local(), root: TopicRoot::default(), names: Names::new("")? };
        let mut registry = Registry::new();
        let names = fleet.names.clone();
        commit(&mut registry, |plan: &Registry| plan.plan_create_group(&names.group, None, ISSUED_AT))?;
        for (name, document) in
            [(&names.device_policy, fleet.device_policy()?), (&names.claim_policy, fleet.claim_policy()?)]
        {
            commit(&mut registry, |plan: &Registry| plan.plan_create_policy(name, &document, ISSUED_AT))?;
        }
        let any = || Some(BuiltinHook::Serials { allow: vec![SerialPattern("*".into())] });
        let own = Some(BuiltinHook::OwnThing);
        template(&mut registry, &names.claim_template, &fleet.claim_template(), true, any())?;
        template(&mut registry, &names.rotation_template, &fleet.rotation_template(), true, own)?;
        template(&mut registry, &names.recovery_template, &fleet.recovery_template(), false, any())?;
        let claim = claim(&mut registry, &fleet)?;
        Ok(Self { fleet, registry, claim, patience: patience() })
    }
}

/// Spans of minutes instead of hours and days: virtual time costs nothing, but requests that are repeated do.
fn patience() -> Patience {
    Patience {
        soak: Duration::from_secs(100),
        grace: Duration::from_secs(200),
        delete_after: Duration::from_secs(1000),
        outlast: Duration::from_secs(300),
        // Longer than two activations: a compromise may end the soak of a rotation before it has asked.
        ask_within: Duration::from_secs(1800),
        leftover_after: Duration::from_secs(30 * 3600),
        // Longer than an operator waits before looking at a device again.
        staged_for: Duration::from_secs(72 * 3600),
        ..Patience::default()
    }
}

fn commit<T, E: core::error::Error + Send + Sync + 'static>(
    registry: &mut Registry,
    plan: impl FnOnce(&Registry) -> Result<Plan<T>, E>,
) -> Result<T> {
    let plan = plan(registry)?;
    plan.changes.iter().for_each(|change| registry.apply(change));
    Ok(plan.output)
}

fn template(
    registry: &mut Registry,
    name: &TemplateName,
    body: &str,
    enabled: bool,
    hook: Option<BuiltinHook>,
) -> Result<()> {
    commit(registry, |registry: &Registry| {
        registry.plan_create_template(name, body, enabled, hook, ISSUED_AT)
    })
}

fn claim(registry: &mut Registry, fleet: &Fleet) -> Result<CertificateId> {
    let keys = PoolKeys::from(CLAIM_KEYS);
    let request = keys.request(&keys.generate()?, &SerialNumber::new("claim")?)?;
    let minted = mint::certificate(&request, 0).context("the claim cannot be minted")?;
    let new = NewCertificate {
        pem: minted.pem.clone(),
        facts: minted.facts.clone(),
        status: CertificateStatus::Active,
        source: Source::Claim,
    };
    let id = commit(registry, |registry: &Registry| registry.plan_register_certificate(new, ISSUED_AT))?;
    commit(registry, |registry: &Registry| registry.plan_attach_policy(&fleet.names.claim_policy, &id))?;
    Ok(id)
}
