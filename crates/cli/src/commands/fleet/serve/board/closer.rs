//! A closer look at single certificates, asked of the account when a page shows them: the PEM, the validity, the
//! policies. A million of them would fill the memory, so the inventory does not keep them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fleetkey_aws::Aws;
use fleetkey_dashboard::hub::Hub;
use fleetkey_model::certificate::{CertificateFacts, CertificateId};
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;
use fleetkey_operator::control_plane::{ApiError, ControlPlane};
use fleetkey_operator::inventory::{Described, Ledgered, Watch};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// How many are kept.
const KEPT: usize = 512;
/// How many are asked for at once.
const AT_ONCE: usize = 4;

/// What a certificate says of itself.
#[derive(Debug, Clone)]
pub(super) struct Closely {
    pub(super) pem: String,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    pub(super) modified: Timestamp,
    pub(super) policies: BTreeSet<String>,
}

/// Certificates that were looked at; `None` while the account is asked.
type Looks = Arc<Mutex<BTreeMap<CertificateId, Option<Closely>>>>;

/// Asks, and remembers.
pub(super) struct Closer {
    aws: Arc<Aws>,
    watch: Watch,
    hub: Arc<Hub>,
    closed: CancellationToken,
    room: Arc<Semaphore>,
    looks: Looks,
}

impl Closer {
    pub(super) fn new(aws: Arc<Aws>, watch: Watch, hub: Arc<Hub>, closed: CancellationToken) -> Self {
        Self { aws, watch, hub, closed, room: Arc::new(Semaphore::new(AT_ONCE)), looks: Looks::default() }
    }

    /// What is known; otherwise it is asked for, and open pages are told when it has come.
    pub(super) fn look(&self, thing: &ThingName, id: CertificateId) -> Option<Closely> {
        let mut looks = lock(&self.looks);
        if let Some(known) = looks.get(&id) {
            return known.clone();
        }
        if looks.len() >= KEPT {
            looks.retain(|_, known| known.is_none());
        }
        looks.insert(id, None);
        drop(looks);
        self.ask(thing.clone(), id);
        None
    }

    /// What was known of a certificate may have changed.
    pub(super) fn forget(&self, id: &CertificateId) {
        lock(&self.looks).remove(id);
    }

    fn ask(&self, thing: ThingName, id: CertificateId) {
        let (aws, hub, room) = (self.aws.clone(), self.hub.clone(), self.room.clone());
        let (looks, closed) = (self.looks.clone(), self.closed.clone());
        let mut watch = self.watch.clone();
        let asking = async move {
            let _room = room.acquire().await;
            match described(&aws, &id).await {
                Ok(found) => {
                    let told = Described { not_after: found.not_after };
                    watch.with(|store, _| store.described(id, &told));
                    lock(&looks).insert(id, Some(found));
                    hub.tell("certificate", Some(thing));
                }
                // Asked again when somebody looks again.
                Err(error) => {
                    lock(&looks).remove(&id);
                    tracing::warn!(certificate = id.short(), %error, "a certificate cannot be looked at");
                }
            }
        };
        tokio::spawn(async move { closed.run_until_cancelled(asking).await });
    }
}

async fn described(aws: &Aws, id: &CertificateId) -> Result<Closely, ApiError> {
    let (pem, modified) = aws.certificate_text(id).await?;
    let facts = CertificateFacts::from_pem(&pem).map_err(|error| ApiError::Other(error.to_string()))?;
    let policies = aws.attached_policies(id).await?;
    Ok(Closely {
        pem,
        not_before: facts.not_before,
        not_after: facts.not_after,
        modified,
        policies: policies.iter().map(ToString::to_string).collect(),
    })
}

fn lock(looks: &Looks) -> MutexGuard<'_, BTreeMap<CertificateId, Option<Closely>>> {
    looks.lock().unwrap_or_else(PoisonError::into_inner)
}
