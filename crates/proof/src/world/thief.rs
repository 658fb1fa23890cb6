//! Somebody who has a copy of the device's first key: what the account lets such a one do.

use std::sync::Arc;

use fleetkey_agent::keys::Keys;
use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::retirement::{DeviceRequest, RequestOp};

use crate::cloud::{Answer, Asked, Party};
use crate::device::Home;
use crate::disk::Side;
use crate::env::Env;
use crate::image::Image;
use crate::mint::PoolKeys;
use crate::schedule::Theft;

/// Where the numbers of the thief's own keys begin.
const KEYS: u64 = 1 << 30;

/// The thief.
#[derive(Debug, Default)]
pub(super) struct Thief {
    /// The newest identity that it holds.
    identity: Option<CertificateId>,
    /// The one that it has registered last and uses.
    registered: Option<CertificateId>,
    keys: Option<Arc<PoolKeys>>,
}

impl Thief {
    /// Whether it has done anything yet.
    pub(super) const fn is_at_work(&self) -> bool {
        self.identity.is_some()
    }

    /// Does one thing, connecting as the thing for it.
    pub(super) fn act(&mut self, theft: Theft, env: &mut Env, home: &Home) {
        let stolen = Image::of(&home.disk.view(Side::Seen)).pairs.first().map(|pair| pair.certificate);
        let Some(identity) = self.identity.or(stolen) else { return env.director.was_idle() };
        let connected = env.cloud.connect(env.now, Party::Thief, &home.live(), identity);
        env.director.note(|| format!("the thief connects with {}: {connected:?}", identity.short()));
        let Ok(session) = connected else { return env.director.was_idle() };
        self.identity = Some(identity);
        match theft {
            Theft::Connect => {}
            Theft::Rotate => {
                self.registered = self.rotate(session, env, home);
                self.identity = self.registered.or(self.identity);
            }
            Theft::Keep => {
                self.rotate(session, env, home);
            }
            Theft::Retire => {
                let request = DeviceRequest { op: RequestOp::Retire, id: "theft".into(), audit: None };
                let thing = &home.thing;
                if env.cloud.publish_request(env.now, &home.live(), session, thing, request) {
                    env.watch.theft_attested = Some(env.now);
                }
            }
        }
    }

    /// What it holds is revoked, save the rightful device's own: for that there is the next rotation.
    pub(super) fn is_caught(&mut self, env: &mut Env) {
        self.identity = None;
        if let Some(identity) = self.registered.take() {
            let _ = env.cloud.set_status(env.now, &identity, CertificateStatus::Revoked);
        }
    }

    /// A certificate of its own, registered over this session.
    fn rotate(&mut self, session: u64, env: &mut Env, home: &Home) -> Option<CertificateId> {
        let keys = self.keys.get_or_insert_with(|| Arc::new(PoolKeys::from(KEYS)));
        let csr = keys.generate().and_then(|key| keys.request(&key, &home.serial)).ok()?;
        let live = home.live();
        let answer = env.cloud.ask(env.now, &live, session, &Asked::Certificate { csr });
        let Some(Answer::Issued(issued)) = answer else { return None };
        let asked = Asked::Registration {
            template: env.cloud.stage().fleet.names.rotation_template.clone(),
            token: issued.certificate_ownership_token,
            serial: home.serial.clone(),
        };
        match env.cloud.ask(env.now, &live, session, &asked) {
            Some(Answer::Registered(_)) => {
                env.director.note(|| format!("the thief has {}", issued.certificate_id.short()));
                Some(issued.certificate_id)
            }
            _ => None,
        }
    }
}
