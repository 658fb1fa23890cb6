//! Orders that pages give, carried out.

use std::sync::Arc;

use fleetkey_agent::AgentHandle;
use fleetkey_dashboard::fleet::{Done, Fate, Outlook, Refused, Tone};
use fleetkey_lifecycle::status::Alarm;
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ThingName;

use super::{Board, Change, Entry, Standing};
use crate::works::devices;

impl Board {
    /// Tells the agents of these devices to rotate, once all of them are found.
    pub(super) async fn rotate(&self, things: Vec<ThingName>, by: &str) -> Result<Done, Refused> {
        let agents: Vec<_> = things.iter().map(|thing| self.agent(thing)).collect::<Result<_, _>>()?;
        for (thing, agent) in things.iter().zip(agents) {
            agent.rotate().await;
            tracing::info!(%thing, by, "a rotation was ordered");
            let now = self.account.now();
            self.state().note(thing, now, Tone::Busy, format!("rotation ordered by {by}"), true);
            self.hub.tell("rotation", Some(thing.clone()));
            let what = "its certificate in use".to_owned();
            self.enter(Change {
                who: by,
                action: "rotate",
                what,
                why: "",
                thing: Some(thing),
                failed: false,
            });
        }
        Ok(Done { words: format!("{} told to rotate.", devices(things.len())) })
    }

    fn agent(&self, thing: &ThingName) -> Result<Arc<AgentHandle>, Refused> {
        let agent = self.state().members.get(thing).and_then(|entry| entry.agent.upgrade());
        agent.ok_or_else(|| {
            Refused(format!("{thing} is not served by this process: its own agent must be told; nobody was"))
        })
    }

    /// What an order to rotate would come to for a device.
    pub(super) fn foreseen(&self, thing: &ThingName) -> Outlook {
        let standing = self.state().members.get(thing).map(Entry::standing);
        let Some(Standing { status, .. }) = standing.filter(|standing| standing.runs) else {
            let is_there = self.account.store().read().thing(thing).is_some();
            return if is_there { Outlook::Unreachable } else { Outlook::Unknown };
        };
        match () {
            () if status.alarms.contains(&Alarm::Frozen) => Outlook::Frozen,
            () if status.rotation.is_some() => Outlook::UnderWay,
            () => Outlook::Rotates,
        }
    }

    /// Changes a certificate's status in the registry, which ends its connections.
    pub(super) async fn decide_fate(
        &self,
        thing: ThingName,
        certificate: CertificateId,
        fate: Fate,
        (by, why): (&str, &str),
    ) -> Result<Done, Refused> {
        if !self.account.store().read().principals_of(&thing).contains(&certificate) {
            return Err(Refused(format!("{} is no certificate of {thing}", certificate.short())));
        }
        let changed = self.account.update_certificate(&certificate, fate.status()).await;
        let what = format!("certificate {certificate}");
        let failed = changed.is_err();
        self.enter(Change { who: by, action: fate.verb(), what, why, thing: Some(&thing), failed });
        changed.map_err(|error| Refused(error.to_string()))?;
        tracing::info!(%thing, %certificate, by, verb = fate.verb(), "a certificate's fate was ordered");
        let words = format!("certificate {} was made {} by {by}", certificate.short(), fate.status());
        let now = self.account.now();
        self.state().note(&thing, now, Tone::Warn, words.clone(), true);
        self.hub.tell("certificate", Some(thing));
        Ok(Done { words })
    }
}
