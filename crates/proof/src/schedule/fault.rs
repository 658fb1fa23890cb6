//! What can strike, and where: every fault names the places that it fits.

use core::fmt;
use core::str::FromStr;

use fleetkey_lifecycle::event::Offline;

use crate::cloud::ControllerFault;
use crate::director::Place;
use crate::disk::{Crash, Errno, Op};

/// One thing that goes wrong, or that somebody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The power fails; of what was not synced this survives.
    Cut(Crash),
    /// The power fails with everything written, and comes back so many seconds later.
    Off(u32),
    /// This call of the disk fails, and so many in all that it fits.
    Disk(Errno, u32),
    /// The request is lost.
    Lost,
    /// The request is carried out, the answer is lost.
    Mute,
    /// The answer comes by itself, so many steps later.
    Late(u32),
    /// The answer comes as the answer to the next request of its kind.
    Stale,
    /// The answer comes, and once more so many steps later.
    Twice(u32),
    /// Instead of the device another program with the thing's session asks for the retirement, still on the certificate
    /// before, and the answer to that is what the device hears.
    Beside,
    /// The cloud says no.
    Reject(Said),
    /// The cloud does it and says no.
    RejectDone(Said),
    /// The broker refuses a connection or a subscription for no reason.
    Refuse,
    /// One attempt to reach the broker fails.
    NoRoute,
    /// Nobody is reached for so many seconds.
    Down(u32),
    /// Every connection is refused for so many seconds, whosever it is.
    Closed(u32),
    /// The live session is dropped.
    Drop,
    /// A stranger takes the live session's client id over, and goes.
    Taken,
    /// The device's clock is set.
    Clock(ClockTo),
    /// From now on registrations take so many seconds to become effective.
    Delay(u32),
    /// An operator makes a certificate INACTIVE.
    Deactivate(Whose),
    /// An operator revokes a certificate.
    Revoke(Whose),
    /// An operator makes the claim certificate INACTIVE.
    ClaimOff,
    /// The disk itself loses a file.
    Wipe(Wiped),
    /// An operator orders a rotation.
    Rotate,
    /// An operator takes a rotation one step further, or back.
    Step(Offline),
    /// The device is told that its key may be known to others.
    Compromise,
    /// One thing that the controller was to hear, or said, is lost.
    Hush,
    /// It comes twice.
    Echo,
    /// It comes after the next.
    Swap,
    /// The controller fails.
    Controller(ControllerFault),
    /// The disk is copied, and a second device starts with the copy.
    Clone,
    /// Somebody with the key of the first identity does something.
    Thief(Theft),
}

/// A word of the cloud's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Said {
    /// 429.
    Throttled,
    /// 403: the hook.
    Denied,
    /// 400: a request that is malformed.
    Bad,
    /// 400: the ownership token.
    Token,
    /// 404: the template.
    NotFound,
    /// 409: the thing.
    Conflict,
    /// 500.
    Server,
}

/// What the device's clock is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClockTo {
    /// The epoch.
    Past,
    /// Beyond every certificate.
    Future,
    /// As it should be.
    True,
}

/// A certificate by the part it plays for the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Whose {
    /// The committed one.
    Current,
    /// The one under way.
    Candidate,
    /// The one before.
    Previous,
}

/// What the disk loses by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wiped {
    /// The certificate of a slot, while the device runs.
    Slot(Whose),
    /// The record, which is found at a start.
    Record,
}

/// A step of a thief.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Theft {
    /// Connects as the thing with the newest identity it has.
    Connect,
    /// Asks for a certificate of its own and registers it.
    Rotate,
    /// The same, and keeps it for later.
    Keep,
    /// Asks the controller to retire what is older.
    Retire,
}

/// Faults without a number, and their words.
const WORDS: [(Fault, &str); 44] = [
    (Fault::Lost, "lost"),
    (Fault::Mute, "mute"),
    (Fault::Stale, "stale"),
    (Fault::Beside, "beside"),
    (Fault::Reject(Said::Throttled), "429"),
    (Fault::Reject(Said::Denied), "403"),
    (Fault::Reject(Said::Bad), "400"),
    (Fault::Reject(Said::Token), "token"),
    (Fault::Reject(Said::NotFound), "404"),
    (Fault::Reject(Said::Conflict), "409"),
    (Fault::Reject(Said::Server), "500"),
    (Fault::RejectDone(Said::Server), "500!"),
    (Fault::Refuse, "refuse"),
    (Fault::NoRoute, "noroute"),
    (Fault::Drop, "drop"),
    (Fault::Taken, "taken"),
    (Fault::Clock(ClockTo::Past), "clock=1970"),
    (Fault::Clock(ClockTo::Future), "clock=2099"),
    (Fault::Clock(ClockTo::True), "clock=true"),
    (Fault::Deactivate(Whose::Current), "deactivate=current"),
    (Fault::Deactivate(Whose::Candidate), "deactivate=candidate"),
    (Fault::Deactivate(Whose::Previous), "deactivate=previous"),
    (Fault::Revoke(Whose::Current), "revoke=current"),
    (Fault::Revoke(Whose::Candidate), "revoke=candidate"),
    (Fault::Revoke(Whose::Previous), "revoke=previous"),
    (Fault::Rotate, "rotate"),
    (Fault::Step(Offline::Stage), "stage"),
    (Fault::Step(Offline::Switch), "switch"),
    (Fault::Step(Offline::Retire), "retire"),
    (Fault::Step(Offline::Rollback), "rollback"),
    (Fault::Compromise, "compromise"),
    (Fault::Hush, "hush"),
    (Fault::Echo, "echo"),
    (Fault::Swap, "swap"),
    (Fault::Controller(ControllerFault::Dies), "ctl=dies"),
    (Fault::Controller(ControllerFault::Fails), "ctl=fails"),
    (Fault::Controller(ControllerFault::Throttled), "ctl=throttled"),
    (Fault::Controller(ControllerFault::Unheard), "ctl=unheard"),
    (Fault::Clone, "clone"),
    (Fault::ClaimOff, "claim=off"),
    (Fault::Wipe(Wiped::Slot(Whose::Current)), "wipe=current"),
    (Fault::Wipe(Wiped::Slot(Whose::Candidate)), "wipe=candidate"),
    (Fault::Wipe(Wiped::Slot(Whose::Previous)), "wipe=previous"),
    (Fault::Wipe(Wiped::Record), "wipe=record"),
];

const THEFTS: [(Theft, &str); 4] = [
    (Theft::Connect, "thief=connect"),
    (Theft::Rotate, "thief=rotate"),
    (Theft::Keep, "thief=keep"),
    (Theft::Retire, "thief=retire"),
];

impl Fault {
    /// Whether it can strike at this place.
    pub fn fits(self, place: Place) -> bool {
        match self {
            Self::Cut(_) => !matches!(place, Place::Tell | Place::Control),
            Self::Disk(errno, _) => match place {
                // On a full disk names can still be removed and directories synced.
                Place::Disk(Op::SyncDir | Op::RemoveFile | Op::RemoveDir) => errno != Errno::NoSpace,
                Place::Disk(op) => op.changes() || errno == Errno::Io,
                _ => false,
            },
            Self::Lost | Self::Late(_) | Self::Stale | Self::Twice(_) => place == Place::Ask,
            Self::Beside | Self::Reject(_) | Self::RejectDone(_) => place == Place::Ask,
            Self::Mute => matches!(place, Place::Ask | Place::Connect),
            Self::Refuse | Self::NoRoute => matches!(place, Place::Connect | Place::Tier),
            Self::Hush | Self::Echo | Self::Swap => place == Place::Tell,
            Self::Controller(_) => place == Place::Control,
            Self::Off(_)
            | Self::Down(_)
            | Self::Closed(_)
            | Self::Drop
            | Self::Taken
            | Self::Clock(_)
            | Self::Delay(_)
            | Self::Deactivate(_)
            | Self::Revoke(_)
            | Self::ClaimOff
            | Self::Wipe(_)
            | Self::Rotate
            | Self::Step(_)
            | Self::Compromise
            | Self::Clone
            | Self::Thief(_) => place == Place::Between,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(crash) => write!(f, "cut={crash}"),
            Self::Off(seconds) => write!(f, "off={seconds}"),
            Self::Disk(errno, 1) => write!(f, "{errno}"),
            Self::Disk(errno, calls) => write!(f, "{errno}*{calls}"),
            Self::Late(steps) => write!(f, "late={steps}"),
            Self::Twice(steps) => write!(f, "twice={steps}"),
            Self::Down(seconds) => write!(f, "down={seconds}"),
            Self::Closed(seconds) => write!(f, "refuse={seconds}"),
            Self::Delay(seconds) => write!(f, "delay={seconds}"),
            Self::Thief(theft) => f.write_str(word(&THEFTS, theft)),
            Self::RejectDone(said) => write!(f, "{}!", Self::Reject(*said)),
            fault => f.write_str(word(&WORDS, fault)),
        }
    }
}

fn word<T: PartialEq>(words: &[(T, &'static str)], wanted: &T) -> &'static str {
    words.iter().find(|(listed, _)| listed == wanted).map_or("?", |(_, word)| word)
}

/// Text that is no fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownFault;

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        if let Some((fault, _)) = WORDS.iter().find(|(_, word)| *word == text) {
            return Ok(*fault);
        }
        if let Some((theft, _)) = THEFTS.iter().find(|(_, word)| *word == text) {
            return Ok(Self::Thief(*theft));
        }
        if let Some(Ok(Self::Reject(said))) = text.strip_suffix('!').map(str::parse) {
            return Ok(Self::RejectDone(said));
        }
        match text.split_once('=') {
            Some((name, value)) => valued(name, value).ok_or(UnknownFault),
            None => disk(text).ok_or(UnknownFault),
        }
    }
}

fn valued(name: &str, value: &str) -> Option<Fault> {
    let number = || value.parse().ok();
    match name {
        "cut" => value.parse().ok().map(Fault::Cut),
        "off" => number().map(Fault::Off),
        "late" => number().map(Fault::Late),
        "twice" => number().map(Fault::Twice),
        "down" => number().map(Fault::Down),
        "refuse" => number().map(Fault::Closed),
        "delay" => number().map(Fault::Delay),
        _ => None,
    }
}

fn disk(text: &str) -> Option<Fault> {
    let (errno, calls) = text.split_once('*').unwrap_or((text, "1"));
    Some(Fault::Disk(errno.parse().ok()?, calls.parse().ok()?))
}
