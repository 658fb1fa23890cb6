//! What goes into the ledger and what comes out.
//!
//! Every [`Action::Persist`], [`Action::Forget`], [`Action::List`], [`Action::Ask`] and [`Action::Change`] is answered by exactly one
//! event before the ledger is polled again. Persist and forget are barriers: what follows may rely on the disk.

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{ClientId, ThingName};
use fleetkey_model::retirement::{Attested, ControllerAnswer};
use fleetkey_model::time::Timestamp;
use fleetkey_model::topic::{PresenceKind, RecordChange};

use super::presence::PresenceEvent;
use super::record::{FreezeReason, Record};
use crate::control_plane::{ApiError, CertificateSummary, Connected};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A request that the broker has attested.
    Attested {
        /// Whose topic it came on.
        topic: ThingName,
        /// The request with the broker's word on it.
        attested: Attested,
    },
    /// A client came or went.
    Presence {
        /// Which of the two.
        kind: PresenceKind,
        /// The client.
        client: ClientId,
        /// When, and by which certificate.
        event: PresenceEvent,
    },
    /// The account tells that a thing is new, changed or gone: reason to look, and no more.
    Registry {
        /// Which.
        thing: ThingName,
        /// What is said to have become of it.
        change: RecordChange,
    },
    /// [`Action::Persist`] or [`Action::Forget`] is durable.
    Persisted(ThingName),
    /// It is not; it will be asked for again.
    StorageFailed(ThingName),
    /// Evidence was heard that did not reach the disk before the last controller ended.
    EvidenceLost,
    /// What the account says of a thing's recovery, before each answer to [`Action::List`]: the certificate that came of
    /// it, while nobody has decided on it.
    Recovered {
        /// Whose.
        thing: ThingName,
        /// Which; `None` when nothing waits for a decision.
        certificate: Option<CertificateId>,
    },
    /// The answer to [`Action::List`].
    Listed {
        /// Whose certificates.
        thing: ThingName,
        /// All that are attached, whatever their status.
        answer: Result<Vec<CertificateSummary>, ApiError>,
    },
    /// The answer to [`Action::Ask`].
    Asked {
        /// Whose live client id.
        thing: ThingName,
        /// Whether it is connected, and since when.
        answer: Result<Connected, ApiError>,
    },
    /// The answer to [`Action::Change`].
    Changed {
        /// Whose certificate.
        thing: ThingName,
        /// Which.
        certificate: CertificateId,
        /// What was to become of it.
        change: Change,
        /// Whether it did.
        answer: Result<(), ApiError>,
    },
    /// Presence may have been missed: the broker did not keep the controller's session over a pause.
    PresenceMissed,
    /// An operator has looked at a frozen thing and put it right: the next attested request is a first one.
    Release(ThingName),
    /// An operator has taken back what superseded a certificate of this thing: nothing of it is retired until it is
    /// released.
    Hold(ThingName),
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make the record durable in the place of the thing's last.
    Persist(Box<Record>),
    /// Remove the thing's record for good.
    Forget(ThingName),
    /// List the thing's certificates.
    List(ThingName),
    /// Ask whether the thing's live client id is connected, and since when: before a certificate is made INACTIVE, so
    /// that a connection whose presence event was lost holds it.
    Ask(ThingName),
    /// Change a certificate.
    Change {
        /// Whose.
        thing: ThingName,
        /// Which.
        certificate: CertificateId,
        /// How.
        change: Change,
    },
    /// Publish an answer to the device. It may get lost: the device repeats its request.
    Answer {
        /// To whom.
        thing: ThingName,
        /// What.
        answer: ControllerAnswer,
    },
    /// Tell people.
    Report(Report),
}

/// A step towards the end of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Make it INACTIVE.
    Deactivate,
    /// Make it REVOKED.
    Revoke,
    /// Detach it from policies and thing, and delete it.
    Delete,
}

/// Something that people may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// A request that counts for nothing.
    Ignored {
        /// On whose topic.
        thing: ThingName,
        /// Who asked.
        client: ClientId,
        /// With which certificate.
        principal: CertificateId,
        /// Why it does not count.
        why: Ignored,
    },
    /// A certificate was attested for the first time.
    Witnessed {
        /// Whose.
        thing: ThingName,
        /// Which.
        certificate: CertificateId,
    },
    /// A certificate was changed.
    Changed {
        /// Whose.
        thing: ThingName,
        /// Which.
        certificate: CertificateId,
        /// How.
        change: Change,
    },
    /// A certificate that a rotation registered and never used, because it was given up: its retirement begins.
    Leftover {
        /// Whose.
        thing: ThingName,
        /// Which.
        certificate: CertificateId,
    },
    /// A leftover was changed.
    LeftoverChanged {
        /// Whose.
        thing: ThingName,
        /// Which.
        certificate: CertificateId,
        /// How.
        change: Change,
    },
    /// A newer certificate was in use, and the attested one came back: a rotation that was rolled back, or somebody
    /// who tried.
    Contested {
        /// Whose.
        thing: ThingName,
        /// Which.
        certificate: CertificateId,
    },
    /// Somebody is connected as the thing whom no presence event told of: nothing is made INACTIVE until it is known
    /// by which certificate.
    Unheard {
        /// Which thing.
        thing: ThingName,
        /// Since when, by the broker's clock.
        since: Timestamp,
    },
    /// An alarm: nothing of this thing is retired until an operator releases it.
    Frozen {
        /// Which thing.
        thing: ThingName,
        /// What was seen.
        reason: FreezeReason,
    },
    /// A call that fails and that waiting alone may not mend.
    Failing {
        /// For which thing.
        thing: ThingName,
        /// What the account says.
        error: ApiError,
    },
}

/// Why a request counts for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// Its client id is not the thing's name.
    OtherClient,
    /// Its body names another thing than its topic.
    OtherTopic,
    /// Its principal is not attached to the thing.
    NotAttached,
    /// Its principal is not ACTIVE.
    NotActive,
    /// It is older than the newest attested one.
    Superseded,
}
