//! What is known of a certificate, of a thing, and how old that is.

use std::time::Duration;

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::{ClientId, ROLE_SEPARATOR, ThingName};
use fleetkey_model::time::Timestamp;
use litemap::LiteMap;
use serde::{Deserialize, Serialize};

use super::ids::Ids;
use crate::controller::SessionId;
use crate::few;

/// How many things' names one certificate is remembered to have connected under.
const MOST_HOLDERS: usize = 4;
/// How many deleted certificates of a thing are remembered: a device that rotates without end must not fill the memory.
const MOST_PAST: usize = 12;

/// What is known of a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Its status, as the account last told; `None` while only events have told of it.
    pub status: Option<CertificateStatus>,
    /// Since when it is known to have that status, by our clock.
    pub status_since: Timestamp,
    /// When the account last told of it, by our clock.
    pub told_at: Timestamp,
    /// When it was registered.
    pub created_at: Option<Timestamp>,
    /// Its end, once it was described.
    pub not_after: Option<Timestamp>,
    /// The thing that it is attached to, as far as is known.
    pub thing: Option<ThingName>,
    /// The thing that it was attached to before it was detached: whose history it belongs to. Boxed: most were never.
    #[serde(default)]
    pub was_of: Option<Box<ThingName>>,
    /// When the broker first attested it, by its clock.
    #[serde(default)]
    pub attested_at: Option<Timestamp>,
    /// When a newer one of its thing was attested.
    #[serde(default)]
    pub superseded_at: Option<Timestamp>,
    /// When it last connected, by the broker's clock.
    pub connected_at: Option<Timestamp>,
    /// The last sign of it, by the broker's clock.
    pub seen_at: Option<Timestamp>,
    /// Its connections now.
    pub open: Vec<Open>,
    /// The names that it has connected under, roles left out: more than one is one too many. `NAME~` stands for ids of other
    /// roles, of which no more is kept: those of a claim end in serial numbers.
    #[serde(serialize_with = "few::as_map")]
    pub holders: LiteMap<ClientId, Timestamp>,
}

/// A connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Under which client id.
    pub client: ClientId,
    /// Since when, by the broker's clock.
    pub since: Timestamp,
    /// Its session, where the broker names it.
    pub session: Option<SessionId>,
}

/// What is known of a thing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thing {
    /// When the account last listed it, by our clock.
    pub told_at: Timestamp,
    /// The certificate that its attribute names: the newest that was registered for it.
    pub newest: Option<CertificateId>,
    /// The certificate that came of a recovery on which nobody has decided. Boxed: most things have none.
    #[serde(default)]
    pub recovered: Option<Box<CertificateId>>,
    /// The certificate that the broker attested last, and when first.
    pub attested: Option<(CertificateId, Timestamp)>,
    /// Why nothing of it is retired, in words.
    pub frozen: Option<String>,
    /// When the present window of connections began, by the broker's clock, and how many it has.
    pub connects: (Timestamp, u32),
    /// Its certificates, as far as is known.
    pub certificates: Ids,
    /// Those that were detached from it, are on no other thing and still there.
    #[serde(default)]
    pub former: Ids,
    /// Those that it had and that the account has no more, the newest last: the last few.
    #[serde(default)]
    pub past: Vec<Past>,
}

/// What stays of a certificate that is deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// Its id.
    pub certificate: CertificateId,
    /// When it was registered.
    pub created_at: Option<Timestamp>,
    /// When the broker first attested it, by its clock.
    pub attested_at: Option<Timestamp>,
    /// When a newer one was attested.
    pub superseded_at: Option<Timestamp>,
    /// The last sign of it, by the broker's clock.
    pub seen_at: Option<Timestamp>,
    /// When it was found to be gone, by our clock.
    pub gone_at: Timestamp,
}

/// How old the knowledge is: when each kind of it was last complete, by our clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ages {
    /// Every certificate was listed.
    pub certificates: Option<Timestamp>,
    /// Every thing was listed.
    pub things: Option<Timestamp>,
    /// Of every certificate that was there then, the thing was asked for.
    pub attachments: Option<Timestamp>,
    /// The last event that was heard.
    pub events: Option<Timestamp>,
    /// Since when this process hears events without a gap that is known of: who is connected now is known from then on.
    pub watching_since: Option<Timestamp>,
    /// Since when a controller has listened without a gap that is known of, across restarts over which the broker kept
    /// its session.
    #[serde(default)]
    pub listened_since: Option<Timestamp>,
    /// Until when: what happened later nobody was there to hear.
    #[serde(default)]
    pub listened_until: Option<Timestamp>,
}

impl Ages {
    /// For how long after `moment` a controller has listened: so long, and no longer, silence says something.
    pub fn listened_after(&self, moment: Timestamp) -> Duration {
        let span = self.listened_since.zip(self.listened_until);
        span.map_or(Duration::ZERO, |(since, until)| until.since(since.max(moment)))
    }

    /// A controller listens now.
    pub(super) fn listen(&mut self, now: Timestamp) {
        self.listened_since.get_or_insert(now);
        self.listened_until = self.listened_until.max(Some(now));
    }

    /// Something may have been missed before now.
    pub(super) fn missed(&mut self, now: Timestamp) {
        self.watching_since = Some(now);
        (self.listened_since, self.listened_until) = (Some(now), Some(now));
    }
}

impl Thing {
    /// One of its certificates is gone.
    pub(super) fn remember(&mut self, now: Timestamp, certificate: CertificateId, row: &Certificate) {
        let Certificate { created_at, attested_at, superseded_at, seen_at, .. } = *row;
        self.past.push(Past { certificate, created_at, attested_at, superseded_at, seen_at, gone_at: now });
        let surplus = self.past.len().saturating_sub(MOST_PAST);
        self.past.drain(..surplus);
    }
}

impl Certificate {
    /// Whether it is ACTIVE, as far as is known.
    pub(in crate::inventory) fn may_connect(&self) -> bool {
        self.status.is_none_or(|status| status == CertificateStatus::Active)
    }

    /// Whether it is connected, or has been since.
    pub(in crate::inventory) fn is_used_since(&self, moment: Timestamp) -> bool {
        !self.open.is_empty() || self.connected_at > Some(moment)
    }

    /// It has connected.
    pub(super) fn connect(&mut self, open: Open) {
        let at = open.since;
        self.connected_at = self.connected_at.max(Some(at));
        self.seen_at = self.seen_at.max(Some(at));
        if self.holders.is_empty() {
            // One is the rule: no more room than is needed. So below.
            self.holders = LiteMap::with_capacity(1);
        }
        self.holders.insert(holder(&open.client), at);
        if self.holders.len() > MOST_HOLDERS {
            let oldest = self.holders.iter().min_by_key(|(_, at)| **at).map(|(name, _)| name.clone());
            if let Some(name) = oldest {
                self.holders.remove(&name);
            }
        }
        self.open.reserve_exact(1);
        self.open.push(open);
    }

    /// Whether it has connected under more than one name.
    pub(in crate::inventory) fn is_shared(&self) -> bool {
        let mut names = self.holders.keys().map(|name| name.as_str().trim_end_matches(ROLE_SEPARATOR));
        let first = names.next();
        names.any(|name| Some(name) != first)
    }

    /// Who is connected with it, and who was, as far as is known: a name that was forgotten as gone, after a gap or a restart, may
    /// not be. A thing's name stands for all that its certificates may use. Names of which only the beginning is known are left
    /// out, and those that the broker makes up (`$GEN/…`), which no operation takes, once they were forgotten as gone.
    pub(in crate::inventory) fn clients(&self) -> Vec<ClientId> {
        let mut clients: Vec<_> = self.open.iter().map(|open| open.client.clone()).collect();
        let is_whole =
            |name: &&ClientId| !name.as_str().ends_with(ROLE_SEPARATOR) && !name.as_str().starts_with('$');
        for holder in self.holders.keys().filter(is_whole) {
            match holder.thing() {
                Some(thing) => {
                    clients.extend([
                        ClientId::live(&thing),
                        ClientId::agent(&thing),
                        ClientId::verify(&thing),
                    ]);
                }
                None => clients.push(holder.clone()),
            }
        }
        clients.sort();
        clients.dedup();
        clients
    }

    /// The account tells its status.
    pub(super) fn set_status(&mut self, now: Timestamp, status: CertificateStatus) {
        if self.status != Some(status) {
            (self.status, self.status_since) = (Some(status), now);
        }
    }
}

/// The name that a client id speaks for: what stands before a role, or before the number of a further connection of the
/// operator's own, which begin with its separator.
fn holder(client: &ClientId) -> ClientId {
    let name = match client.as_str().split_once(ROLE_SEPARATOR) {
        None => return client.clone(),
        Some(("", _)) => ClientId::new(unnumbered(client.as_str())),
        Some((name, role)) if matches!(unnumbered(role), "agent" | "verify") => ClientId::new(name),
        Some((name, _)) => ClientId::new(format!("{name}{ROLE_SEPARATOR}")),
    };
    name.unwrap_or_else(|_| client.clone())
}

/// Without the number of a further connection.
fn unnumbered(text: &str) -> &str {
    match text.rsplit_once('-') {
        Some((name, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> ClientId {
        ClientId::new(text).unwrap()
    }

    #[test]
    fn roles_of_a_thing_are_one_holder() {
        assert_eq!(holder(&client("press-1~verify")).as_str(), "press-1");
        assert_eq!(holder(&client("press-1")).as_str(), "press-1");
        for own in ["~controller", "~controller-2", "~controller-33"] {
            assert_eq!(holder(&client(own)).as_str(), "~controller");
        }
        assert_eq!(holder(&client("press-1~agent-2")).as_str(), "press-1");
    }

    /// Who cuts them is not to cut, or be shown, ids that nobody has used.
    #[test]
    fn only_whole_names_are_told_after_a_restart() {
        let at = |text: &str, secs| Open {
            client: client(text),
            since: Timestamp::from_secs(secs),
            session: None,
        };
        let mut row = Certificate::default();
        for (seconds, text) in (1..).zip(["claim~press-9", "claim~press-8", "$GEN/0a1b"]) {
            row.connect(at(text, seconds));
        }
        assert_eq!(row.clients(), ["$GEN/0a1b", "claim~press-8", "claim~press-9"].map(client));
        row.open.clear();
        assert_eq!(row.clients(), []);
        row.connect(at("press-1~verify", 9));
        row.open.clear();
        assert_eq!(row.clients(), ["press-1", "press-1~agent", "press-1~verify"].map(client));
    }

    #[test]
    fn other_roles_of_one_name_are_no_second_name() {
        let mut row = Certificate::default();
        for text in ["press-1", "press-1~odd", "press-1~odder"] {
            row.connect(Open { client: client(text), since: Timestamp::from_secs(1), session: None });
        }
        assert!(!row.is_shared());
        row.connect(Open { client: client("press-2~odd"), since: Timestamp::from_secs(1), session: None });
        assert!(row.is_shared());
    }
}
