//! Orders that pages give, carried out.

use fleetkey_dashboard::fleet::{Done, Fate, Refused, Tone};
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ThingName;

use super::{Board, Change};

impl Board {
    /// Tells the agents of these devices to rotate.
    pub(super) async fn rotate(&self, things: Vec<ThingName>, by: &str) -> Result<Done, Refused> {
        for thing in &things {
            let agent = self.state().members.get(thing).and_then(|entry| entry.agent.upgrade());
            let Some(agent) = agent else {
                return Err(Refused(format!(
                    "{thing} is not served by this process: its own agent must be told"
                )));
            };
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
        Ok(Done { words: format!("{} devices were told to rotate.", things.len()) })
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
