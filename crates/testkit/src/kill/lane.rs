//! One device that is struck again and again, and looked after in between: the process that came back from one kill
//! is the one that the next kill finds.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fleetkey_agent::store::{CERTIFICATE_FILE, EXPORT_LINK, KEY_FILE};
use fleetkey_lifecycle::Status;
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ClientId;
use tokio::time::timeout;

use super::device::{Agent, Course, Home, Unsettled};
use super::eye::{Aim, Seen};
use super::point::{IDLE, Point, durable_state};
use crate::bench::{Bench, Identity};
use crate::trace::TraceError;

/// How long the broker may take to hold the right connection, and the sweep to clean the registry.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the broker's connections are looked at: it tells no news of them.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A device and its running agent.
pub(super) struct Lane {
    bench: Arc<Bench>,
    home: Home,
    agent: Agent,
    /// The certificate that the device had when it was last at rest.
    certificate: Option<CertificateId>,
    /// The controller has the broker's word on a certificate of this device: only then does it sweep.
    attested: bool,
}

/// How a run went whose device is well afterwards.
#[derive(Debug)]
pub(super) struct Hit {
    /// Where it was struck; `None` when it came to its end before.
    pub(super) struck: Option<Point>,
    /// What it passed.
    pub(super) passed: Vec<Point>,
    /// What that took.
    pub(super) came_back: CameBack,
}

/// A run, if the device is well afterwards.
pub(super) type Ran = Result<Hit, Box<Lost>>;

/// A device that did not come back, or not as it should.
#[derive(Debug)]
pub(super) struct Lost {
    /// Where it was struck, if it was.
    pub(super) struck: Option<Point>,
    /// What is wrong since.
    pub(super) why: Unsettled,
}

impl Lost {
    fn at(struck: Option<Point>, why: Unsettled) -> Box<Self> {
        Box::new(Self { struck, why })
    }
}

/// What a device needed besides time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CameBack {
    /// The rotation had begun and was given up: the device is well with the identity that it had.
    pub gave_up: bool,
    /// The sweep had to clean the registry (for a device that was never attested, one more rotation).
    pub swept: bool,
    /// It was killed once more, and started again, after it had dealt with a fault.
    pub restarted: bool,
}

impl Lane {
    /// Provisions a new device, lets it rotate once, and waits until it is at rest.
    pub(super) async fn open(bench: Arc<Bench>, binary: &Path, serial: &str) -> Result<Self, TraceError> {
        let home = Home::new(&bench, binary, serial);
        let mut agent = home.start(None).await?;
        let status = agent.at_rest().await.unwrap_or_else(|error| panic!("a new device: {error}"));
        let certificate = status.certificate;
        let mut lane = Self { bench, home, agent, certificate, attested: false };
        lane.undisturbed().await.unwrap_or_else(|error| panic!("a first rotation: {error}"));
        lane.attested = true;
        Ok(lane)
    }

    /// A new device whose first start, with nothing but a claim, is struck.
    pub(super) async fn born(
        bench: Arc<Bench>,
        binary: &Path,
        serial: &str,
        aim: Aim,
    ) -> Result<(Self, Ran), TraceError> {
        let home = Home::new(&bench, binary, serial);
        let agent = home.start(Some(aim)).await?;
        let mut lane = Self { bench, home, agent, certificate: None, attested: false };
        let ran = lane.struck_at_start().await;
        Ok((lane, ran))
    }

    /// Stops the agent in good order.
    pub(super) async fn close(self) {
        self.agent.stop().await.unwrap_or_else(|error| panic!("{error}"));
    }

    /// A rotation that nothing happens to.
    pub(super) async fn undisturbed(&mut self) -> Result<Vec<Seen>, Unsettled> {
        self.rotate(Aim::Nothing).await?;
        let seen = self.agent.eye.seen();
        self.well().await?;
        Ok(seen)
    }

    /// A rotation that is struck, and everything that has to be true afterwards.
    pub(super) async fn run(&mut self, aim: Aim) -> Ran {
        let course = match aim {
            Aim::Count(0) => return self.kill_before_all().await,
            aim => self.rotate(aim).await,
        };
        let struck = self.agent.eye.struck();
        match course {
            Ok(course) => self.hit(course, struck, course == Course::Over).await,
            Err(error) => Err(Lost::at(struck, error)),
        }
    }

    /// Kills at `first` in a rotation and then, while the device comes back, after `second` more calls; `None` when
    /// the rotation did not pass `first` this time.
    pub(super) async fn run_twice(&mut self, first: &Point, second: u64) -> Option<Ran> {
        let ran =
            self.run_to_second(first, second).await.map_err(|error| Lost::at(Some(first.clone()), error));
        match ran {
            Ok(Course::Over) => None,
            Ok(Course::Killed) => Some(self.struck_at_start().await),
            Err(error) => Some(Err(error)),
        }
    }

    async fn run_to_second(&mut self, first: &Point, second: u64) -> Result<Course, Unsettled> {
        let course = self.rotate(Aim::At(first.clone())).await?;
        if course == Course::Over {
            self.well().await?;
        } else {
            self.find_dead(Some(&first.state))?;
            self.start_again(Some(Aim::Count(second))).await?;
        }
        Ok(course)
    }

    async fn kill_before_all(&mut self) -> Ran {
        let point = Point::before_all(durable_state(&self.home.state_dir));
        self.agent.kill().await;
        self.hit(Course::Killed, Some(point), false).await
    }

    /// The process has been started under an aim: it comes to rest, or is killed before and comes back.
    async fn struck_at_start(&mut self) -> Ran {
        let struck = self.agent.at_rest_or_struck().await;
        let struck = struck.map_err(|error| Lost::at(self.agent.eye.struck(), error))?;
        let course = if struck.is_some() { Course::Killed } else { Course::Over };
        self.hit(course, struck, false).await
    }

    /// What became of a run: the device well again, after a new start if it was killed.
    async fn hit(&mut self, course: Course, struck: Option<Point>, begun: bool) -> Ran {
        let passed = self.agent.eye.seen().into_iter().map(|seen| seen.point).collect();
        let begun = begun || struck.as_ref().is_some_and(|point| point.state != IDLE);
        match self.come_back(course, struck.as_ref(), begun).await {
            Ok(came_back) => Ok(Hit { struck, passed, came_back }),
            Err(error) => Err(Lost::at(struck, error)),
        }
    }

    async fn come_back(
        &mut self,
        course: Course,
        struck: Option<&Point>,
        begun: bool,
    ) -> Result<CameBack, Unsettled> {
        if course == Course::Killed {
            self.find_dead(struck.map(|point| point.state.as_str()))?;
            self.start_again(None).await?;
        }
        let restarted = course == Course::Over && struck.is_some();
        if restarted {
            // What the process has in memory may have carried it over a fault that the disk did not survive.
            self.agent.kill().await;
            self.start_again(None).await?;
        }
        let before = self.certificate;
        let swept = self.well().await?;
        Ok(CameBack { gave_up: begun && self.certificate == before, swept, restarted })
    }

    async fn rotate(&mut self, aim: Aim) -> Result<Course, Unsettled> {
        self.agent.strike(aim).await
    }

    /// Nothing of the process is left, and what is on disk is what the eye saw last.
    fn find_dead(&self, state: Option<&str>) -> Result<(), Unsettled> {
        let found = durable_state(&self.home.state_dir);
        if !self.agent.is_gone() {
            return Err(self.agent.unsettled("the process was killed and is still there".into(), found));
        }
        if state != Some(found.as_str()) {
            return Err(self.agent.unsettled(format!("the eye saw {state:?} last"), found));
        }
        Ok(())
    }

    async fn start_again(&mut self, aim: Option<Aim>) -> Result<(), Unsettled> {
        let started = self.home.start(aim).await;
        let agent = started.map_err(|error| self.agent.unsettled("start again".into(), error.to_string()))?;
        self.agent = agent;
        Ok(())
    }

    /// The device at rest, its identity accepted by the broker, nothing else of it ACTIVE; whether that took the sweep.
    async fn well(&mut self) -> Result<bool, Unsettled> {
        let status = self.rested().await?;
        if self.is_clean(&status) {
            return Ok(false);
        }
        if !self.attested {
            // Nothing is swept without a witness: whatever is older goes with the first rotation.
            self.rotate(Aim::Nothing).await?;
            let status = self.rested().await?;
            self.becomes_clean(&status).await?;
            return Ok(true);
        }
        self.becomes_clean(&status).await?;
        self.accepted(&status).await?;
        Ok(true)
    }

    async fn rested(&mut self) -> Result<Status, Unsettled> {
        let status = self.agent.at_rest().await?;
        self.accepted(&status).await?;
        self.certificate = status.certificate;
        Ok(status)
    }

    /// The broker's word, not the device's: the certificate that the device says it has is ACTIVE and attached, holds
    /// the one connection of the thing, and connects with the files that other programs are given.
    async fn accepted(&self, status: &Status) -> Result<(), Unsettled> {
        let active = self.home.active(&self.bench);
        let Some(current) = status.certificate.filter(|current| active.contains(current)) else {
            let last = format!("{:?}; ACTIVE and attached: {active:?}", status.certificate);
            let what = "the device's certificate is none that the account accepts";
            return Err(self.agent.unsettled(what.into(), last));
        };
        self.holds(self.home.thing.as_str(), current).await?;
        self.exported_pair_connects(current).await
    }

    /// Waits until the broker has exactly one connection of this client id, with this certificate.
    async fn holds(&self, client: &str, certificate: CertificateId) -> Result<(), Unsettled> {
        let held = || -> Vec<CertificateId> {
            let all = self.bench.core.connections().into_iter();
            all.filter(|held| held.client_id.as_str() == client).map(|held| held.certificate).collect()
        };
        let right = async {
            while held() != [certificate] {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        if timeout(PATIENCE, right).await.is_ok() {
            return Ok(());
        }
        let last = format!("{certificate}, the broker has {:?}", held());
        Err(self
            .agent
            .unsettled(format!("the broker does not hold {client} with the device's certificate"), last))
    }

    async fn exported_pair_connects(&self, current: CertificateId) -> Result<(), Unsettled> {
        let wrong = |why: String| self.agent.unsettled("the exported pair does not connect".into(), why);
        let export = self.home.state_dir.join(EXPORT_LINK);
        let pair = Identity::from_files(&export.join(CERTIFICATE_FILE), &export.join(KEY_FILE));
        let pair = pair.map_err(|error| wrong(error.to_string()))?;
        let client = ClientId::verify(&self.home.thing);
        let (connection, _messages) =
            self.bench.connect(&pair, client.as_str()).await.map_err(|error| wrong(error.to_string()))?;
        let as_current = self.holds(client.as_str(), current).await;
        connection.disconnect().await;
        as_current
    }

    fn is_clean(&self, status: &Status) -> bool {
        let active = self.home.active(&self.bench);
        status.certificate.is_some_and(|current| active == [current])
    }

    async fn becomes_clean(&self, status: &Status) -> Result<(), Unsettled> {
        let mut changes = self.bench.core.account().store().subscribe();
        let clean = async {
            while !self.is_clean(status) {
                if changes.recv().await.is_err() {
                    break;
                }
            }
        };
        if timeout(PATIENCE, clean).await.is_ok() && self.is_clean(status) {
            return Ok(());
        }
        let active = format!("{:?}, now {:?}", self.home.active(&self.bench), status.certificate);
        Err(self.agent.unsettled("certificates stay ACTIVE that nobody uses".into(), active))
    }
}
