//! What the machine waits for: one outcome at a time, of the action that it handed out last.

use super::verify;
use crate::event::Event;
use crate::record::Reason;
use crate::slot::SlotId;

/// The action that runs, as far as its outcome needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaiting {
    Persist,
    Preflight(Reason),
    MakeKey,
    Request,
    Store,
    Register,
    Verify(verify::Purpose),
    Export(SlotId),
    GoLive(SlotId),
    Retire,
    Tell,
    Destroy(SlotId),
}

impl Awaiting {
    /// Whether `event` is an outcome of this action. Anything else is late or a duplicate.
    pub(super) fn takes(self, event: &Event) -> bool {
        let wrote = matches!(event, Event::StorageFailed(_));
        let answered = matches!(event, Event::Rejected(_) | Event::NoAnswer { .. });
        match self {
            Self::Persist => wrote || matches!(event, Event::Persisted),
            Self::Preflight(_) => wrote || matches!(event, Event::Ready),
            Self::MakeKey => wrote || matches!(event, Event::KeyMade { .. }),
            Self::Request => answered || matches!(event, Event::Issued { .. }),
            Self::Store => wrote || matches!(event, Event::CertificateStored { .. }),
            Self::Register => answered || matches!(event, Event::Registered { .. }),
            Self::Verify(_) => matches!(event, Event::Verified { .. } | Event::VerifyFailed { .. }),
            Self::Export(_) => wrote || matches!(event, Event::Exported { .. } | Event::SlotDamaged { .. }),
            Self::GoLive(slot) => match event {
                Event::Live { slot: live } | Event::LiveFailed { slot: live, .. } => *live == slot,
                _ => false,
            },
            Self::Retire => matches!(event, Event::NoAnswer { .. } | Event::SlotDamaged { .. }),
            Self::Tell => matches!(event, Event::Told | Event::NoAnswer { .. }),
            Self::Destroy(_) => wrote || matches!(event, Event::Destroyed { .. }),
        }
    }
}
