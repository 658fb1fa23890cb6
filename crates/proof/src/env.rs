//! What surrounds the devices of a run: true time, the cloud and the ways to it, and what waits to be heard.
//!
//! Every way is a step of the [`Director`], which may let a fault strike there; what the fault does stands here.
//! Not here: the devices themselves ([`crate::device`]), and what strikes between their steps ([`crate::world`]).

use std::collections::VecDeque;
use std::time::Duration;

use fleetkey_lifecycle::event::Offline;
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{ClientId, ThingName};
use fleetkey_model::provisioning::Rejection;
use fleetkey_model::retirement::{ControllerAnswer, DeviceCommand};
use fleetkey_model::time::Timestamp;

use crate::cloud::{Answer, Asked, Cloud, NotConnected, Party};
use crate::director::{Dark, Director, Place};
use crate::schedule::{Fault, Said, Schedule};
use crate::storm::Quota;
use crate::watch::Watch;

mod controller;

/// How long a device waits for an answer or a connection.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How long a client that died stays connected for the broker: keep-alive 30 s and a half.
const KEEP_ALIVE: Duration = Duration::from_secs(45);

/// Something that a device hears by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A connection ended.
    Ended {
        /// Which.
        number: u64,
        /// Whether somebody else took its client id over.
        taken: bool,
    },
    /// The controller's answer.
    Controller(ControllerAnswer),
    /// An answer of the cloud's that nobody waits for any more.
    Late(Answer),
    /// A command on the command topic.
    Command(DeviceCommand),
    /// Somebody says that the key may be known to others.
    Compromised,
    /// An operator's order at the device.
    Offline(Offline),
    /// The clock was set.
    ClockSet,
}

/// Who waits for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Certificate,
    Registration,
}

#[derive(Debug)]
struct Mail {
    to: usize,
    due: u64,
    news: News,
}

/// The surroundings.
#[derive(Debug)]
pub struct Env {
    /// The account.
    pub cloud: Cloud,
    /// Says what goes wrong.
    pub director: Director,
    /// True time.
    pub now: Timestamp,
    /// How far the devices' clocks are behind or ahead, as (behind, ahead).
    skew: (Duration, Duration),
    /// What the invariants remember.
    pub watch: Watch,
    /// How the world is set.
    pub schedule: Schedule,
    /// Identities are judged only after a power cut and at the end, for controls whose every run would break I1.
    pub patient: bool,
    /// Controls make each write and each rename durable.
    pub syncs: bool,
    /// What the cloud takes of this and of other worlds together.
    pub quota: Option<Quota>,
    /// The window over which rotations are spread, if not the shipping one.
    pub window: Option<Duration>,
    news: Vec<VecDeque<News>>,
    mail: Vec<Mail>,
    stale: Vec<(usize, Kind, Answer)>,
    /// Answers of the controller that come as those to the next request.
    stale_retired: Vec<(usize, ControllerAnswer)>,
    /// Connections of dead clients: until when, which.
    ghosts: Vec<(Timestamp, ClientId, u64)>,
}

impl Env {
    /// The surroundings of a run that begins at `now`.
    pub fn new(cloud: Cloud, schedule: Schedule, now: Timestamp) -> Self {
        let director = Director::new(&schedule);
        Self {
            cloud,
            director,
            now,
            skew: (Duration::ZERO, Duration::ZERO),
            watch: Watch::default(),
            schedule,
            patient: false,
            syncs: false,
            quota: None,
            window: None,
            news: Vec::new(),
            mail: Vec::new(),
            stale: Vec::new(),
            stale_retired: Vec::new(),
            ghosts: Vec::new(),
        }
    }

    /// What the devices' clocks say.
    pub fn clock(&self) -> Timestamp {
        self.now - self.skew.0 + self.skew.1
    }

    /// Sets the devices' clocks.
    pub fn set_clock(&mut self, to: Option<Timestamp>) {
        let to = to.unwrap_or(self.now);
        self.skew = (self.now.since(to), to.since(self.now));
    }

    /// Lets time pass.
    pub fn spend(&mut self, span: Duration) {
        self.now = self.now + span;
    }

    /// Hands something to a device, which hears it at its next step.
    pub fn tell(&mut self, device: usize, news: News) {
        if self.news.len() <= device {
            self.news.resize_with(device + 1, VecDeque::new);
        }
        if let Some(queue) = self.news.get_mut(device) {
            queue.push_back(news);
        }
    }

    /// The next thing that a device is to hear.
    pub fn next_news(&mut self, device: usize) -> Option<News> {
        self.collect_ended();
        self.news.get_mut(device)?.pop_front()
    }

    /// Whether something waits to be heard.
    pub fn has_news(&mut self, device: usize) -> bool {
        self.collect_ended();
        self.news.get(device).is_some_and(|queue| !queue.is_empty())
    }

    /// The controller's answer to this request as the device hears it: whoever waits for it hears it first.
    pub fn retire_answer(
        &mut self,
        device: usize,
        id: &str,
        fault: Option<Fault>,
    ) -> Option<ControllerAnswer> {
        let own = self.take_answer(device, id);
        let late = self.stale_retired.iter().position(|(to, _)| *to == device);
        let held = late.map(|index| self.stale_retired.remove(index).1);
        let due = |steps: u32| self.director.ordinal() + u64::from(steps);
        match (fault, own) {
            (Some(Fault::Mute | Fault::Reject(_) | Fault::RejectDone(_)), _) => held,
            (Some(Fault::Late(steps)), Some(own)) => {
                self.mail.push(Mail { to: device, due: due(steps), news: News::Controller(own) });
                held
            }
            (Some(Fault::Stale), Some(own)) => {
                self.stale_retired.push((device, own));
                held
            }
            (Some(Fault::Late(_) | Fault::Stale), None) => {
                self.director.was_idle();
                held
            }
            (_, own) => match held {
                None => own,
                Some(held) => {
                    let news = own.map(News::Controller);
                    self.mail.extend(news.map(|news| Mail { to: device, due: 0, news }));
                    Some(held)
                }
            },
        }
    }

    fn take_answer(&mut self, device: usize, id: &str) -> Option<ControllerAnswer> {
        let queue = self.news.get_mut(device)?;
        let ours = |news: &News| matches!(news, News::Controller(answer) if answer.id == id);
        match queue.remove(queue.iter().position(ours)?)? {
            News::Controller(answer) => Some(answer),
            _ => None,
        }
    }

    /// The process is gone: nobody hears what it was to hear, and its connection is gone when its keep-alive is.
    pub fn died(&mut self, device: usize, live: &ClientId) {
        if let Some(queue) = self.news.get_mut(device) {
            queue.clear();
        }
        if let Some(session) =
            self.cloud.session(live).filter(|session| session.party == Party::Device(device))
        {
            self.ghosts.push((self.now + KEEP_ALIVE, live.clone(), session.number));
        }
    }

    /// What the broker kept for a session is lost, where it does not survive a change of certificate.
    pub fn forget_mail(&mut self, device: usize) {
        if self.schedule.forget {
            self.mail.retain(|mail| mail.to != device);
            self.stale.retain(|(to, ..)| *to != device);
            self.stale_retired.retain(|(to, _)| *to != device);
        }
    }

    /// Hands over what is due by step or time.
    pub fn deliver(&mut self) {
        let ordinal = self.director.ordinal();
        let (due, later) = core::mem::take(&mut self.mail).into_iter().partition(|mail| mail.due <= ordinal);
        self.mail = later;
        let due: Vec<Mail> = due;
        due.into_iter().for_each(|mail| self.tell(mail.to, mail.news));
        let now = self.now;
        let (over, left) = core::mem::take(&mut self.ghosts).into_iter().partition(|(at, ..)| *at <= now);
        self.ghosts = left;
        let over: Vec<(Timestamp, ClientId, u64)> = over;
        over.iter().for_each(|(_, client, number)| self.cloud.disconnect(now, client, *number));
    }

    /// Nothing more comes of what was asked before.
    pub fn flush_mail(&mut self) {
        self.mail.iter_mut().for_each(|mail| mail.due = 0);
        self.stale.clear();
        self.stale_retired.clear();
        self.deliver();
    }

    /// When something happens by itself next.
    pub fn deadline(&self) -> Option<Timestamp> {
        let down = Some(self.cloud.down_until).filter(|at| *at > self.now);
        let ghost = self.ghosts.iter().map(|(at, ..)| *at).min();
        [down, ghost, self.cloud.controller.deadline()].into_iter().flatten().min()
    }

    /// CONNECT by a device.
    ///
    /// # Errors
    /// When the power goes; the inner result is the broker's.
    pub fn connect(
        &mut self,
        device: usize,
        client: &ClientId,
        principal: CertificateId,
    ) -> Result<Result<u64, NotConnected>, Dark> {
        let fault = self.director.powered_step(Place::Connect)?;
        self.spend(Duration::from_millis(200));
        let connected = match fault {
            Some(Fault::NoRoute) => Err(NotConnected::Unreachable),
            Some(Fault::Refuse) => Err(NotConnected::Refused("for no reason")),
            Some(Fault::Mute) => {
                let _ = self.cloud.connect(self.now, Party::Device(device), client, principal);
                self.cloud.drop_session(self.now, client);
                Err(NotConnected::Unreachable)
            }
            _ => self.cloud.connect(self.now, Party::Device(device), client, principal),
        };
        if connected == Err(NotConnected::Unreachable) {
            self.spend(PATIENCE);
        }
        self.director.note(|| format!("CONNECT {client} with {}: {connected:?}", principal.short()));
        Ok(connected)
    }

    /// SUBACK or echo of a connection that stands.
    ///
    /// # Errors
    /// When the power goes; the inner result is the broker's.
    pub fn tier(&mut self, allowed: bool) -> Result<Result<(), NotConnected>, Dark> {
        let fault = self.director.powered_step(Place::Tier)?;
        self.spend(Duration::from_millis(50));
        Ok(match fault {
            Some(Fault::NoRoute) => Err(NotConnected::Unreachable),
            Some(Fault::Refuse) => Err(NotConnected::Refused("for no reason")),
            _ if self.now < self.cloud.down_until => Err(NotConnected::Unreachable),
            _ if allowed => Ok(()),
            _ => Err(NotConnected::Refused("not allowed")),
        })
    }

    /// A request to Fleet Provisioning and what the device hears of its answer: `None` when nothing comes in time.
    ///
    /// # Errors
    /// When the power goes.
    pub fn ask(
        &mut self,
        device: usize,
        client: &ClientId,
        number: u64,
        asked: &Asked,
    ) -> Result<Option<Answer>, Dark> {
        let kind = match asked {
            Asked::Certificate { .. } => Kind::Certificate,
            Asked::Registration { .. } => Kind::Registration,
        };
        let fault = self.director.powered_step(Place::Ask)?;
        fault.filter(|fault| *fault == Fault::Beside).iter().for_each(|_| self.director.was_idle());
        self.spend(Duration::from_millis(300));
        self.watch.asked(self.now);
        let answer = match fault {
            Some(Fault::Lost) => None,
            Some(Fault::Reject(said)) => Some(reject(said)),
            _ if self.quota.as_ref().is_some_and(|quota| !quota.admits(self.now)) => {
                Some(reject(Said::Throttled))
            }
            _ => self.serve(device, client, number, asked, kind, fault),
        };
        let late = self.stale.iter().position(|(to, of, _)| (*to, *of) == (device, kind));
        let answer = match late.filter(|_| fault != Some(Fault::Stale)) {
            // There is no correlation: what was late counts as the answer to this, and this one's comes later.
            Some(late) => {
                let (_, _, stale) = self.stale.remove(late);
                if let Some(own) = answer {
                    self.mail.push(Mail { to: device, due: 0, news: News::Late(own) });
                }
                Some(stale)
            }
            None => answer,
        };
        if answer.is_none() {
            self.spend(PATIENCE);
        }
        self.director.note(|| format!("{kind:?} asked for by {client}: {}", heard(answer.as_ref())));
        Ok(answer)
    }

    fn serve(
        &mut self,
        device: usize,
        client: &ClientId,
        number: u64,
        asked: &Asked,
        kind: Kind,
        fault: Option<Fault>,
    ) -> Option<Answer> {
        let answer = self.cloud.ask(self.now, client, number, asked)?;
        let due = |steps: u32| self.director.ordinal() + u64::from(steps);
        match fault {
            Some(Fault::Mute) => None,
            Some(Fault::RejectDone(said)) => Some(reject(said)),
            Some(Fault::Late(steps)) => {
                self.mail.push(Mail { to: device, due: due(steps), news: News::Late(answer) });
                None
            }
            Some(Fault::Twice(steps)) => {
                self.mail.push(Mail { to: device, due: due(steps), news: News::Late(answer.clone()) });
                Some(answer)
            }
            Some(Fault::Stale) => {
                self.stale.push((device, kind, answer));
                None
            }
            _ => Some(answer),
        }
    }

    fn collect_ended(&mut self) {
        for ended in self.cloud.take_ended() {
            let Party::Device(device) = ended.party else { continue };
            let taken = ended.taken_by.is_some_and(|by| by != ended.party);
            self.tell(device, News::Ended { number: ended.number, taken });
        }
    }

    /// The device that is connected as a thing, if one is.
    fn connected_device(&self, thing: &ThingName) -> Option<usize> {
        match self.cloud.session(&ClientId::live(thing))?.party {
            Party::Device(device) => Some(device),
            Party::Thief => None,
        }
    }
}

fn heard(answer: Option<&Answer>) -> String {
    match answer {
        None => "nothing".into(),
        Some(Answer::Issued(issued)) => format!("issued {}", issued.certificate_id.short()),
        Some(Answer::Registered(_)) => "registered".into(),
        Some(Answer::Rejected(no)) => format!("{} {}", no.status_code, no.error_code),
    }
}

fn reject(said: Said) -> Answer {
    let (status_code, code) = match said {
        Said::Throttled => (429, "Throttled"),
        Said::Denied => (403, "AccessDenied"),
        Said::Bad => (400, "ProvisioningFailed"),
        Said::Token => (400, "InvalidCertificateOwnershipToken"),
        Said::NotFound => (404, "InvalidTemplate"),
        Said::Conflict => (409, "ResourceConflict"),
        Said::Server => (500, "InternalError"),
    };
    Answer::Rejected(Rejection {
        status_code,
        error_code: code.into(),
        error_message: "by the schedule".into(),
    })
}
