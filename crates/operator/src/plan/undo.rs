//! Removes a fleet from an account and proves it.

use std::collections::{BTreeMap, BTreeSet};

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{PolicyName, ThingName};

use super::apply::waiting;
use super::{Change, Event, FLEET_TAG, Operator, PlanError, Tools, Wanted, credential};
use crate::cloud::{Cloud, Found, Key, Kind, Spec};
use crate::files;

/// What a clean-up would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doomed {
    /// The resources that would go.
    pub resources: Vec<Key>,
    /// The certificates that would go beside those of devices, in words: our own, and what hangs on our policies alone.
    pub certificates: Vec<String>,
    /// The devices that would go, with all their certificates.
    pub things: Vec<ThingName>,
    /// What has one of our names and was made by somebody else: it would stay.
    pub foreign: Vec<Key>,
}

/// What a clean-up did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// What was removed, in order, for people.
    pub removed: Vec<String>,
    /// What has one of our names and was made by somebody else: left alone.
    pub foreign: Vec<Key>,
    /// What is left although it should be gone; empty unless something is wrong.
    pub remains: Remains,
}

/// What is left of a fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remains {
    /// In words, one each.
    pub found: Vec<String>,
}

impl<C: Cloud> Operator<'_, C> {
    /// What [`Self::cleanup`] would remove, devices and certificates included, and what it would leave alone. Reads only.
    ///
    /// # Errors
    /// When a call fails.
    pub async fn doomed(&self, wanted: &Wanted) -> Result<Doomed, PlanError> {
        let (ours, foreign) = self.sort_out(wanted).await?;
        let ours: BTreeSet<Key> = ours.into_iter().map(|(key, _)| key).collect();
        let mut certificates = BTreeMap::new();
        for (role, _) in credential::roles(&wanted.fleet) {
            for id in self.credential_ids(role).await? {
                certificates.insert(id, own_words(role, &id));
            }
        }
        for id in &self.state.leaving {
            certificates.entry(*id).or_insert_with(|| leaving_words(id));
        }
        let things = self.devices(&wanted.fleet, &ours).await?.into_keys().collect();
        for (id, policy) in self.bereft(&ours).await? {
            certificates.entry(id).or_insert_with(|| bereft_words(&id, &policy));
        }
        let certificates = certificates.into_values().collect();
        Ok(Doomed { resources: ours.into_iter().collect(), certificates, things, foreign })
    }

    /// Removes everything of the fleet, devices included, and looks again.
    ///
    /// # Errors
    /// When something can neither be removed nor waited for; a later run goes on from there.
    pub async fn cleanup(&mut self, wanted: &Wanted) -> Result<Removed, PlanError> {
        let (ours, foreign) = self.sort_out(wanted).await?;
        let progress = self.tools.progress;
        progress.tell(Event::Begin { steps: ours.len() + 4 });
        let mut removed = Vec::new();
        self.finish_leaving().await?;
        self.deprecate(&ours).await?;
        // Nothing makes devices any more; then nothing of ours connects; then the devices go, and what they named.
        let makers = |kind: Kind| kind <= Kind::Rule;
        for (key, found) in ours.iter().filter(|(key, _)| makers(key.kind)) {
            removed.push(self.drop_resource(key, found).await?);
        }
        for (role, _) in credential::roles(&wanted.fleet) {
            removed.extend(self.remove_credential(role).await?);
        }
        let keys: BTreeSet<_> = ours.iter().map(|(key, _)| key.clone()).collect();
        removed.extend(self.remove_devices(&wanted.fleet, &keys).await?);
        removed.extend(self.remove_bereft(&keys).await?);
        for (key, found) in ours.iter().filter(|(key, _)| !makers(key.kind)) {
            removed.push(self.drop_resource(key, found).await?);
        }
        let remains = self.prove(wanted).await?;
        if remains.found.is_empty() {
            self.state.resources.clear();
            files::remove(&self.directory.join(super::STATE_FILE))?;
        }
        Ok(Removed { removed, foreign, remains })
    }

    /// What of the fleet's names is ours and what somebody else's, in the order of removal.
    pub(super) async fn sort_out(&self, wanted: &Wanted) -> Result<(Vec<(Key, Found)>, Vec<Key>), PlanError> {
        let named = wanted.nodes()?.into_iter().map(|node| node.resource.key);
        let keys: BTreeSet<Key> = named.chain(self.state.resources.iter().cloned()).collect();
        let (mut ours, mut foreign) = (Vec::new(), Vec::new());
        for key in keys {
            match self.look(&key).await? {
                None => {}
                Some(found) if self.force || self.is_ours(&key, &found) => ours.push((key, found)),
                Some(_) => foreign.push(key),
            }
        }
        Ok((ours, foreign))
    }

    /// A thing type goes five minutes after its deprecation: it is deprecated first, so that the rest is done
    /// meanwhile. That it does not go yet is no error; what else may be wrong shows when it is to go.
    async fn deprecate(&mut self, ours: &[(Key, Found)]) -> Result<(), PlanError> {
        for (key, found) in ours.iter().filter(|(key, _)| key.kind == Kind::ThingType) {
            let after = Spec::ThingType { deprecated: true };
            let change = Change::of("deprecate", key, Some(&found.spec), Some(&after));
            let attempt = async |tools: &Tools<'_, C>| Ok(tools.cloud.delete(key).await);
            drop(self.journaled(change, attempt).await?);
        }
        Ok(())
    }

    async fn drop_resource(&mut self, key: &Key, found: &Found) -> Result<String, PlanError> {
        let what = key.to_string();
        self.tools.progress.tell(Event::Start { action: "delete", what: &what });
        self.remove(key, Some(found)).await?;
        self.tools.progress.tell(Event::Done { action: "delete", what: &what });
        Ok(what)
    }

    /// Deletes a resource, waits as long as it takes, and forgets it.
    pub(super) async fn remove(&mut self, key: &Key, found: Option<&Found>) -> Result<(), PlanError> {
        let what = key.to_string();
        let change = Change::of("delete", &what, found.map(|found| &found.spec), None);
        self.journaled(change, async |tools: &Tools<'_, C>| {
            tools.deleting.call(waiting(tools, &what), || tools.cloud.delete(key)).await
        })
        .await?;
        if self.state.resources.remove(key) { self.save() } else { Ok(()) }
    }

    /// Looks at everything again.
    async fn prove(&self, wanted: &Wanted) -> Result<Remains, PlanError> {
        let mut found = Vec::new();
        for node in wanted.nodes()? {
            let key = node.resource.key;
            if let Some(left) = self.look(&key).await?
                && (self.is_ours(&key, &left) || left.tags.contains_key(FLEET_TAG) && self.force)
            {
                found.push(key.to_string());
            }
        }
        found.extend(self.state.certificates.keys().map(|role| format!("{role} certificate")));
        found.extend(self.state.leaving.iter().map(|id| format!("certificate {}", id.short())));
        found.extend(self.returned().await?);
        Ok(Remains { found })
    }
}

/// One of our own, as [`Doomed::certificates`] names it.
pub(super) fn own_words(role: &str, id: &CertificateId) -> String {
    format!("{role} certificate {}", id.short())
}

/// The same of one that an earlier run has left half removed.
pub(super) fn leaving_words(id: &CertificateId) -> String {
    format!("certificate {}, half removed", id.short())
}

/// The same of one that is on no thing and holds nothing but policies of this fleet, such as this.
pub(super) fn bereft_words(id: &CertificateId, policy: &PolicyName) -> String {
    format!("certificate {} with {policy}", id.short())
}
