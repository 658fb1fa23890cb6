//! Sessions of browsers: a signed cookie that says since when and for what, and a list of those that were ended.
//!
//! The cookie is `payload.mac`, both base64url; the payload is 16 random bytes, the second of issue, the scope, and by which
//! token it was opened. A session is never taken from the client: each login makes a new one, so none can be fixed beforehand.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac;
use base64ct::{Base64UrlUnpadded, Encoding};
use fleetkey_model::time::Timestamp;
use tokio::sync::watch;

use super::ticket::Grant;
use super::{Actor, Hash, NoRandomness, Scope, SessionKey, Via, secret};

/// However busy: then one logs in again.
const LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// Without a request: then, too.
const IDLE: Duration = Duration::from_secs(2 * 3600);
/// How long after a login somebody need not show again that they are themselves.
const PROVEN: Duration = Duration::from_secs(600);
const PAYLOAD: usize = 33;

type Id = [u8; 16];

/// Which token a session was opened with. Made with the key that signs sessions: who has a cookie cannot try tokens by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bearer([u8; 8]);

impl Bearer {
    /// Stands in a cookie for none.
    const NONE: [u8; 8] = [0; 8];
}

pub(super) struct Sessions {
    key: hmac::Key,
    /// When a session was last used; `None` for one that was ended.
    used: Mutex<BTreeMap<Id, Use>>,
    /// How many were ended.
    ended: watch::Sender<u64>,
}

/// What a cookie says that was signed here.
struct Cookie {
    id: Id,
    issued: Timestamp,
    scope: Scope,
    bearer: Option<Bearer>,
}

struct Use {
    issued: Timestamp,
    last: Option<Timestamp>,
    /// Whether it began with a login. Not of an earlier run: nobody remembers then.
    login: bool,
}

/// Why a cookie is no session (any more).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionRefused {
    /// It is none of ours.
    Unknown,
    /// It was one, and is over.
    Over,
}

impl Sessions {
    pub(super) fn new(key: Option<&SessionKey>) -> Result<Self, NoRandomness> {
        let key = match key {
            Some(key) => hmac::Key::new(hmac::HMAC_SHA256, &key.0),
            None => hmac::Key::new(hmac::HMAC_SHA256, secret()?.as_bytes()),
        };
        Ok(Self { key, used: Mutex::default(), ended: watch::Sender::new(0) })
    }

    /// Stands for a token in sessions.
    pub(super) fn bearer(&self, token: &Hash) -> Bearer {
        let tag = hmac::sign(&self.key, &[b"token ".as_slice(), &token.0].concat());
        Bearer(tag.as_ref().first_chunk().copied().unwrap_or(Bearer::NONE))
    }

    /// The cookie's value of a new session.
    pub(super) fn open(&self, grant: Grant, now: Timestamp) -> Result<String, NoRandomness> {
        let mut id = Id::default();
        aws_lc_rs::rand::fill(&mut id).map_err(|_| NoRandomness)?;
        let mut used = self.used();
        // What would be refused by its age needs no remembering.
        used.retain(|_, entry| now.since(entry.issued) < LIFETIME);
        used.insert(id, Use { issued: now, last: Some(now), login: grant.proves });
        let bearer = grant.bearer.map_or(Bearer::NONE, |bearer| bearer.0);
        let payload = [id.as_slice(), &now.as_secs().to_be_bytes(), &[grant.scope.code()], &bearer].concat();
        let mac = hmac::sign(&self.key, &payload);
        let text = Base64UrlUnpadded::encode_string;
        Ok(format!("{}.{}", text(&payload), text(mac.as_ref())))
    }

    /// Who has this cookie.
    ///
    /// # Errors
    /// See [`SessionRefused`].
    pub(super) fn admit(&self, cookie: &str, now: Timestamp) -> Result<Actor, SessionRefused> {
        self.look(cookie, now, true)
    }

    /// The same, where nobody has done anything: a page that is open reads itself again.
    ///
    /// # Errors
    /// See [`SessionRefused`].
    pub(super) fn admit_page(&self, cookie: &str, now: Timestamp) -> Result<Actor, SessionRefused> {
        self.look(cookie, now, false)
    }

    fn look(&self, cookie: &str, now: Timestamp, is_use: bool) -> Result<Actor, SessionRefused> {
        let Cookie { id, issued, scope, bearer } = self.read(cookie).ok_or(SessionRefused::Unknown)?;
        if now.since(issued) >= LIFETIME {
            return Err(SessionRefused::Over);
        }
        let mut used = self.used();
        // One of an earlier run with the same key counts as used when it was issued.
        let entry = used.entry(id).or_insert(Use { issued, last: Some(issued), login: false });
        match entry.last {
            Some(last) if now.since(last) < IDLE => {
                entry.last = Some(if is_use { last.max(now) } else { last });
            }
            _ => return Err(SessionRefused::Over),
        }
        let proven = entry.login && now.since(issued) < PROVEN;
        Ok(Actor { name: format!("session {}", name(&id)), bearer, scope, via: Via::Cookie, proven })
    }

    /// The token that a session was opened with, if it is one and was; it is not used by asking.
    ///
    /// # Errors
    /// See [`SessionRefused`].
    pub(super) fn opened_by(&self, cookie: &str, now: Timestamp) -> Result<Option<Bearer>, SessionRefused> {
        let Cookie { id, issued, bearer, .. } = self.read(cookie).ok_or(SessionRefused::Unknown)?;
        let last = self.used().get(&id).map_or(Some(issued), |entry| entry.last);
        let is_open = now.since(issued) < LIFETIME && last.is_some_and(|last| now.since(last) < IDLE);
        if is_open { Ok(bearer) } else { Err(SessionRefused::Over) }
    }

    /// Ends a session, if it is one.
    pub(super) fn end(&self, cookie: &str) {
        if let Some(Cookie { id, issued, .. }) = self.read(cookie) {
            self.used().insert(id, Use { issued, last: None, login: false });
            self.ended.send_modify(|ended| *ended += 1);
        }
    }

    /// Changes whenever one was ended.
    pub(super) fn endings(&self) -> watch::Receiver<u64> {
        self.ended.subscribe()
    }

    fn read(&self, cookie: &str) -> Option<Cookie> {
        let (payload, mac) = cookie.split_once('.')?;
        let mut room = [0; 64];
        let payload = Base64UrlUnpadded::decode(payload, &mut room).ok()?;
        let mut room = [0; 64];
        let mac = Base64UrlUnpadded::decode(mac, &mut room).ok()?;
        hmac::verify(&self.key, payload, mac).ok()?;
        let payload: &[u8; PAYLOAD] = payload.try_into().ok()?;
        let (id, rest) = payload.split_first_chunk::<16>()?;
        let (issued, rest) = rest.split_first_chunk::<8>()?;
        let (scope, bearer) = rest.split_first()?;
        let bearer: [u8; 8] = bearer.try_into().ok()?;
        Some(Cookie {
            id: *id,
            issued: Timestamp::from_secs(u64::from_be_bytes(*issued)),
            scope: Scope::of_code(*scope)?,
            bearer: Some(Bearer(bearer)).filter(|bearer| bearer.0 != Bearer::NONE),
        })
    }

    fn used(&self) -> MutexGuard<'_, BTreeMap<Id, Use>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first digits, which identify a session and open none.
fn name(id: &Id) -> String {
    id.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn login(scope: Scope) -> Grant {
        Grant { scope, proves: true, bearer: None }
    }

    #[test]
    fn a_session_is_known_until_it_is_ended_idle_or_old() {
        let sessions = Sessions::new(None).unwrap();
        let cookie = sessions.open(login(Scope::Operator), START).unwrap();
        let mut now = START;
        while now.since(START) + IDLE / 2 < LIFETIME {
            assert_eq!(sessions.admit(&cookie, now).map(|actor| actor.scope), Ok(Scope::Operator));
            now = now + IDLE / 2;
        }
        assert_eq!(sessions.admit(&cookie, START + LIFETIME), Err(SessionRefused::Over));
        let idle = sessions.open(login(Scope::Operator), START).unwrap();
        assert_eq!(sessions.admit(&idle, START + IDLE), Err(SessionRefused::Over));
        let ended = sessions.open(login(Scope::Operator), START).unwrap();
        sessions.end(&ended);
        assert_eq!(sessions.admit(&ended, START), Err(SessionRefused::Over));
    }

    #[test]
    fn what_was_not_signed_here_is_no_session() {
        let (ours, theirs) = (Sessions::new(None).unwrap(), Sessions::new(None).unwrap());
        let cookie = ours.open(login(Scope::Auditor), START).unwrap();
        assert_eq!(theirs.admit(&cookie, START), Err(SessionRefused::Unknown));
        let (payload, mac) = cookie.split_once('.').unwrap();
        let mut raw = Base64UrlUnpadded::decode_vec(payload).unwrap();
        raw[24] = Scope::Admin.code();
        let raised = format!("{}.{mac}", Base64UrlUnpadded::encode_string(&raw));
        for forged in [raised.as_str(), "", ".", "a.b", payload, &"A".repeat(10_000), "é.é"] {
            assert_eq!(ours.admit(forged, START), Err(SessionRefused::Unknown), "{forged:.20}");
        }
    }

    #[test]
    fn a_page_that_is_only_open_keeps_no_session() {
        let sessions = Sessions::new(None).unwrap();
        let cookie = sessions.open(login(Scope::Operator), START).unwrap();
        let [soon, later] = [IDLE / 2, IDLE].map(|span| START + span);
        assert!(sessions.admit_page(&cookie, soon).is_ok());
        assert_eq!(sessions.admit_page(&cookie, later), Err(SessionRefused::Over));
        assert_eq!(sessions.admit(&cookie, later), Err(SessionRefused::Over));
    }

    #[test]
    fn with_a_given_key_sessions_outlive_the_process() {
        let key = SessionKey::new("kept in the environment");
        let cookie = Sessions::new(Some(&key)).unwrap().open(login(Scope::Admin), START).unwrap();
        let later = Sessions::new(Some(&key)).unwrap();
        let carried = later.admit(&cookie, START + Duration::from_secs(60)).unwrap();
        assert!(!carried.proven, "who remembers only the cookie has not seen the login");
    }

    #[test]
    fn a_login_proves_for_a_while_and_a_carried_link_never() {
        let sessions = Sessions::new(None).unwrap();
        let proven = |cookie: &str, now| sessions.admit(cookie, now).unwrap().proven;
        let cookie = sessions.open(login(Scope::Admin), START).unwrap();
        assert!(proven(&cookie, START + PROVEN - Duration::from_secs(1)));
        assert!(!proven(&cookie, START + PROVEN));
        let carried =
            sessions.open(Grant { scope: Scope::Admin, proves: false, bearer: None }, START).unwrap();
        assert!(!proven(&carried, START));
    }
}
