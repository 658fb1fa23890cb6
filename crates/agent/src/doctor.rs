//! Why a device cannot connect: its files, the way to the broker, and the broker's word, tier by tier.
//!
//! What was seen and what it means are kept apart: [`Examination::run`] looks, and pure functions judge. Nothing is
//! changed, no key is printed, and the live session is left alone unless [`Target::take_over`] says otherwise: trials run
//! on `<thing>~verify` and `<thing>~agent`. Not here: the account ([`Account`] carries its word), and the state
//! directory, which `verify` checks (`crate::store::check`).

use std::sync::Arc;

use fleetkey_model::certificate::CertificateFacts;
use fleetkey_model::name::ClientId;
use fleetkey_model::time::Timestamp;

use crate::pace::{Pacer, SPACING};
use crate::tls::{ClientIdentity, Dialer, Roots};

use clock::{At, Evidence};
use files::Files;
use judge::Tried;
use network::Network;
use server::Server;
use trial::{Reached, Trial, Trials};

pub use report::{Check, Report, UNDECIDED, Verdict};
pub use target::{Account, Target, Word, busy, previous};
pub use tier::Tier;

mod clock;
mod files;
mod judge;
mod network;
mod report;
mod server;
mod subject;
mod target;
mod tier;
mod trial;
mod trust;

/// One look at one device. The files are read first, so that the account can be asked about the certificate.
#[derive(Debug)]
pub struct Examination {
    target: Target,
    now: Timestamp,
    files: Files,
}

impl Examination {
    /// Reads the files. `now` is what the device's clock shows.
    pub fn begin(target: Target, now: Timestamp) -> Self {
        let files = Files::read(&target);
        Self { target, now, files }
    }

    /// The device's certificate, where it reads.
    pub fn certificate(&self) -> Option<&CertificateFacts> {
        self.files.certificate.as_ref()
    }

    /// Goes through the tiers until one fails; what can be told all the same is told.
    pub async fn run(self, account: &Account) -> Report {
        let Self { target, now, mut files } = self;
        let mut report = Report { checks: std::mem::take(&mut files.checks) };
        let network = Network::explore(&target).await;
        report.checks.extend(network.checks);
        let server = match network.open {
            Some(address) => Some(Server::look(&target, address, now).await),
            None => None,
        };
        if let Some(server) = &server {
            report.checks.extend(server.checks.iter().cloned());
        }
        judge_times(&target, now, &files, server.as_ref(), &mut report).await;
        let checks = match (obstacle(&target, &report), &files.identity) {
            (None, Some(identity)) => {
                judge::findings(&target, account, &try_everything(&target, now, identity).await)
            }
            (None, None) => judge::by_account_alone(&target, account, "there is no identity to connect with"),
            (Some(why), _) => judge::by_account_alone(&target, account, &why),
        };
        report.checks.extend(checks);
        report.checks.sort_by_key(|check| check.tier);
        report
    }
}

/// Clock, and then what depends on it.
async fn judge_times(
    target: &Target,
    now: Timestamp,
    files: &Files,
    server: Option<&Server>,
    report: &mut Report,
) {
    let validity = server.and_then(|server| server.validity);
    let date = match (&files.identity, server, validity) {
        (Some(identity), Some(server), Some((not_before, not_after))) if server.trusted => {
            clock::server_date(target, identity, now.max(not_before).min(not_after)).await
        }
        _ => None,
    };
    let evidence = Evidence { date, server: validity, own: files.certificate.as_ref() };
    let clock = clock::judge(now, &evidence);
    let is_right = clock.verdict == Verdict::Ok;
    report.checks.push(clock);
    match date.or_else(|| is_right.then_some(now)) {
        Some(time) => {
            report.checks.extend(files.validity(time));
            report.checks.extend(server.and_then(|server| server.expired(time)));
        }
        None => {
            report.checks.push(Check::not_checked(Tier::Files, "validity", "nobody knows what time it is"));
        }
    }
}

/// Why the broker is not to be spoken to.
fn obstacle(target: &Target, report: &Report) -> Option<String> {
    if let Some(busy) = &target.busy {
        return Some(busy.clone());
    }
    let stops = |check: &&Check| {
        check.verdict == Verdict::Failed && check.tier < Tier::ClientTls && check.tier != Tier::Identity
    };
    report
        .checks
        .iter()
        .filter(stops)
        .min_by_key(|check| check.tier)
        .map(|check| format!("{} fails before", check.tier))
}

/// The trials: the ids that disturb nobody, or the live one if that was allowed; then the controls.
async fn try_everything(target: &Target, now: Timestamp, identity: &ClientIdentity) -> Tried {
    let dialer = Dialer::new(
        target.endpoint.clone(),
        Arc::new(Roots::new(target.roots.clone())),
        Arc::new(At(now)),
        target.limit,
    );
    let dialer = if target.sni { dialer } else { dialer.without_sni() };
    let trials =
        Trials { dialer, pacer: Pacer::new(SPACING), topic: target.topic.clone(), limit: target.limit };
    let mut tried = Tried::default();
    for client in ids(target) {
        let live = client == target.client;
        let trial = trials.run(identity, &client, live).await;
        let goes_on = matches!(trial.reached, Reached::Refused(_));
        tried.own.push(trial);
        if !goes_on {
            return tried;
        }
    }
    tried.nobody = nobody(&trials, identity).await;
    tried.previous = with_previous(target, &trials).await;
    tried
}

fn ids(target: &Target) -> Vec<ClientId> {
    let live = target.take_over.then(|| target.client.clone());
    let mut ids: Vec<_> = live.into_iter().collect();
    ids.extend([ClientId::verify(&target.thing), ClientId::agent(&target.thing)]);
    // A client that uses one of these is not disturbed either.
    ids.retain(|id| target.take_over || *id != target.client);
    ids.dedup();
    ids
}

/// A client id that is nobody's: only a policy that allows any lets it in.
async fn nobody(trials: &Trials, identity: &ClientIdentity) -> Option<Trial> {
    let nonce = crate::verify::nonce().ok()?;
    let id = ClientId::new(format!("doctor~{}", String::from_utf8_lossy(&nonce))).ok()?;
    Some(trials.run(identity, &id, false).await)
}

/// The identity before this one, under an id that disturbs nobody.
async fn with_previous(target: &Target, trials: &Trials) -> Option<Trial> {
    let identity = target.previous.as_ref()?;
    Some(trials.run(identity, &ClientId::verify(&target.thing), false).await)
}
