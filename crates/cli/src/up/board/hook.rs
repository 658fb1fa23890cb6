//! The templates' own hooks, asked about requests that nobody has made.

use std::sync::PoisonError;

use fleetkey_dashboard::fleet::{Done, HookTest, Probe, Refused};
use fleetkey_iotcore::provisioning::Caller;
use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::{ClientId, TemplateName, ThingName};
use tokio::time::Instant;

use super::{Board, SetUp};

/// A serial that no device of a trial has, and one that is too long for any.
const NEW: &str = "self-test";
const TOO_LONG: usize = 122;

/// A request that nobody has made.
struct Made<'a> {
    template: &'a TemplateName,
    caller: Caller,
    serial: String,
    expected: bool,
    words: String,
}

impl Board {
    /// Asks, and keeps what was said for the page.
    pub(super) fn test_hook(&self) -> Result<Done, Refused> {
        let set_up = self.set_up.get();
        let set_up = set_up.ok_or_else(|| Refused("the account is still being set up; try again".into()))?;
        let probes: Vec<Probe> = self.made_up(set_up).into_iter().map(|made| self.judged(made)).collect();
        let words = format!("{} requests were made up and judged", probes.len());
        let test = HookTest { at: self.account.now(), probes };
        *self.tested.lock().unwrap_or_else(PoisonError::into_inner) = Some(test);
        self.hub.tell("account", None);
        Ok(Done { words })
    }

    pub(super) fn tested(&self) -> Option<HookTest> {
        self.tested.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn made_up<'a>(&self, SetUp { names, .. }: &'a SetUp) -> Vec<Made<'a>> {
        let nobody = CertificateId::of_der(NEW.as_bytes());
        let stranger = &names.observer_client;
        let claim = |serial: String, expected, words: &str| Made {
            template: &names.claim_template,
            caller: Caller { principal: nobody, client_id: stranger.clone() },
            serial,
            expected,
            words: words.to_owned(),
        };
        let mut made = vec![
            claim(NEW.to_owned(), true, "a new device with the serial self-test"),
            claim("0".repeat(TOO_LONG), false, "a new device with a serial of 122 characters, one too many"),
        ];
        // The rotation's hook looks at who holds what, so it is asked about a device that there is.
        if let Some((thing, principal)) = self.somebody() {
            let own = |serial: &str, expected, words: String| Made {
                template: &names.rotation_template,
                caller: Caller { principal, client_id: ClientId::live(&thing) },
                serial: serial.to_owned(),
                expected,
                words,
            };
            made.push(own(thing.as_str(), true, format!("{thing}, which asks for its own thing")));
            made.push(own(NEW, false, format!("{thing}, which asks for another's thing")));
        }
        made
    }

    fn judged(&self, made: Made<'_>) -> Probe {
        let begun = Instant::now();
        let decided = self.account.hook_decision(made.template, &made.caller, &made.serial);
        let nobody =
            || "nobody decides here: the template is gone, has no hook, or names a function".to_owned();
        Probe {
            template: made.template.to_string(),
            asked: made.words,
            expected: made.expected,
            answer: decided.ok_or_else(nobody),
            took: begun.elapsed(),
        }
    }

    /// A thing with a certificate that is ACTIVE.
    fn somebody(&self) -> Option<(ThingName, CertificateId)> {
        let registry = self.account.store().read();
        let active = |id: &&CertificateId| {
            registry.certificate(id).is_some_and(|record| record.status == CertificateStatus::Active)
        };
        let mut things = registry.things();
        things.find_map(|thing| {
            let id = registry.principals_of(&thing.name).iter().find(active)?;
            Some((thing.name.clone(), *id))
        })
    }
}
