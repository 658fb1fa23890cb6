//! Who is connected: by connection and by certificate.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ClientId;
use fleetkey_model::time::Timestamp;

use super::link::Link;
use super::{Broker, Close, lock};
use crate::rules::Sender;

/// A live connection, as [`crate::server::Handle::connections`] shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// Its client id.
    pub client_id: ClientId,
    /// The certificate that it authenticated with.
    pub certificate: CertificateId,
    /// `sessionIdentifier` of its presence events.
    pub session_identifier: String,
    /// When its CONNECT was accepted.
    pub since: Timestamp,
    /// Where it comes from.
    pub ip: IpAddr,
}

impl ConnectionInfo {
    /// Who it is, for rules.
    pub(super) const fn sender(&self) -> Sender<'_> {
        Sender::Device {
            client: Some(&self.client_id),
            certificate: &self.certificate,
            source: Some(self.ip),
        }
    }
}

/// All live connections.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: HashMap<u64, Entry>,
    by_certificate: HashMap<CertificateId, BTreeSet<u64>>,
}

#[derive(Debug)]
struct Entry {
    info: Arc<ConnectionInfo>,
    link: Arc<Link>,
    not_after: Timestamp,
}

impl Broker {
    /// Enters a connection. From now on it hears of changes to its certificate.
    pub(super) fn enter(&self, link: Arc<Link>, info: Arc<ConnectionInfo>, not_after: Timestamp) {
        let mut table = lock(&self.table);
        table.by_certificate.entry(info.certificate).or_default().insert(link.id);
        let entry = Entry { info, link, not_after };
        table.entries.insert(entry.link.id, entry);
    }

    /// Strikes a connection out.
    pub(super) fn leave(&self, link: &Link) {
        let mut table = lock(&self.table);
        let Some(entry) = table.entries.remove(&link.id) else {
            return;
        };
        let certificate = entry.info.certificate;
        if let Some(ids) = table.by_certificate.get_mut(&certificate) {
            ids.remove(&link.id);
            if ids.is_empty() {
                table.by_certificate.remove(&certificate);
            }
        }
    }

    /// A snapshot of all live connections, by client id.
    pub(crate) fn connections(&self) -> Vec<ConnectionInfo> {
        let table = lock(&self.table);
        let mut all: Vec<_> = table.entries.values().map(|entry| (*entry.info).clone()).collect();
        all.sort_by(|one, other| one.client_id.cmp(&other.client_id));
        all
    }

    /// The connections that authenticated with a certificate.
    pub(super) fn links_of(&self, certificate: &CertificateId) -> Vec<Arc<Link>> {
        let table = lock(&self.table);
        let ids = table.by_certificate.get(certificate);
        ids.into_iter()
            .flatten()
            .filter_map(|id| table.entries.get(id))
            .map(|entry| entry.link.clone())
            .collect()
    }

    /// The connections whose certificate has expired at `now`.
    pub(super) fn expired_links(&self, now: Timestamp) -> Vec<Arc<Link>> {
        let table = lock(&self.table);
        let expired = table.entries.values().filter(|entry| entry.not_after < now);
        expired.map(|entry| entry.link.clone()).collect()
    }

    /// Every connection.
    pub(super) fn links(&self) -> Vec<Arc<Link>> {
        let table = lock(&self.table);
        table.entries.values().map(|entry| entry.link.clone()).collect()
    }

    /// Orders every connection to close.
    pub(crate) fn close_all(&self, close: Close) {
        self.links().iter().for_each(|link| link.close(close));
    }
}
