//! Decisions on recoveries, as `fleetkey recovery approve` and `reject` make them.

use fleetkey_dashboard::fleet::Refused;
use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::ThingName;
use fleetkey_operator::plan::{Ending, Seen};

use super::super::super::now;
use super::Board;
use super::office::{CUT_WITHIN, Manner, Office};
use super::turns::Urgency;

/// What is decided on what came of a recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Verdict {
    /// It is the device's: it rotates, and what is older goes.
    Approve,
    /// It is revoked, with all that was registered since the window was opened.
    Reject,
}

/// What came of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Decided {
    /// Nothing of the thing waits for one.
    Nothing,
    /// What waits is this, of which whoever decided did not know: nothing was done.
    Another(CertificateId),
    /// It is carried out.
    Done {
        /// How many certificates were revoked.
        revoked: usize,
    },
}

impl Office {
    async fn decide(
        self,
        thing: ThingName,
        (verdict, certificate): (Verdict, CertificateId),
        (why, seen): (String, Seen),
    ) -> anyhow::Result<Decided> {
        let aws = self.account().await;
        let mut operator = self.operator(&aws, Manner::brief(false)).await?;
        let Some(recovery) = operator.recovery(&thing).await? else {
            return Ok(Decided::Nothing);
        };
        if recovery.certificate != certificate {
            return Ok(Decided::Another(recovery.certificate));
        }
        let ended = match verdict {
            Verdict::Approve => {
                operator.approve(&recovery, &why).await?;
                Vec::new()
            }
            Verdict::Reject => {
                let status = CertificateStatus::Revoked;
                let ending = Ending { status, why, cut: true, patience: CUT_WITHIN, seen };
                operator.reject(&recovery, &[], &ending).await?
            }
        };
        Ok(Decided::Done { revoked: ended.len() })
    }
}

impl Board {
    /// Decides on what came of a thing's recovery, by the certificate that whoever decides has seen.
    ///
    /// # Errors
    /// In words, when the account or the fleet directory is not to be had.
    pub(in super::super) async fn decide_recovery(
        &self,
        thing: ThingName,
        (verdict, certificate): (Verdict, CertificateId),
        (by, why): (&str, String),
    ) -> Result<Decided, Refused> {
        self.works.expect_rest()?;
        let (of, why) = (thing.clone(), format!("{why}, says {by}"));
        let watch = self.watch.clone();
        let work = move |office: Office| {
            // Now, not when the order came: it may have waited.
            let seen = watch
                .look(|store, _| store.seen_with(store.certificates_of(&of).into_iter().map(|(id, _)| id)));
            office.decide(of, (verdict, certificate), (why, seen))
        };
        let urgency = match verdict {
            Verdict::Approve => Urgency::Usual,
            Verdict::Reject => Urgency::Ending,
        };
        let decided = self.office.work_as(urgency, &self.closed, work).await?;
        if let Decided::Done { .. } = decided {
            let word = match verdict {
                Verdict::Approve => "approved",
                Verdict::Reject => "rejected",
            };
            let words = format!("the recovery by {} was {word} by {by}", certificate.short());
            self.notes().decided(&thing, now(), words);
            self.hub.tell("certificate", Some(thing));
        }
        Ok(decided)
    }
}
