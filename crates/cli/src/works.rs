//! The set-up or clean-up that a page of the dashboard has ordered: one at a time, told as it goes. Not the work itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fleetkey_dashboard::fleet::{Act, Direction, Refused, Taken, Work, WorkEnd};
use fleetkey_dashboard::hub::Hub;
use fleetkey_iotcore::clock::{Clock, SystemClock};
use fleetkey_operator::plan::{Event, Progress};

/// So many devices, as the subject of what was done to them.
pub(crate) fn devices(count: usize) -> String {
    if count == 1 { "1 device was".to_owned() } else { format!("{count} devices were") }
}

/// How many of the last steps are told one by one.
const LAST: usize = 50;

/// What is told of it.
#[derive(Debug)]
pub(crate) struct Works {
    hub: Arc<Hub>,
    last: Mutex<Option<Work>>,
}

impl Works {
    /// Nothing was ordered yet; `hub` is told of every step.
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        Self { hub, last: Mutex::default() }
    }

    /// Begins.
    ///
    /// # Errors
    /// When another is under way.
    pub(crate) fn begin(&self, direction: Direction, by: &str) -> Result<(), Refused> {
        let mut last = self.lock();
        rests(last.as_ref())?;
        *last = Some(Work {
            direction,
            by: by.to_owned(),
            begun: SystemClock.now(),
            steps: 0,
            done: 0,
            last: Vec::new(),
            at: Some("look at what there is".to_owned()),
            end: None,
        });
        drop(last);
        self.news();
        Ok(())
    }

    /// That none is under way.
    ///
    /// # Errors
    /// In words for whoever ordered something else meanwhile.
    pub(crate) fn expect_rest(&self) -> Result<(), Refused> {
        rests(self.lock().as_ref())
    }

    /// Whether one is under way.
    pub(crate) fn is_under_way(&self) -> bool {
        self.expect_rest().is_err()
    }

    /// It has ended: what came of it, or why it stopped.
    pub(crate) fn end(&self, outcome: Result<String, String>) {
        if let Some(work) = self.lock().as_mut() {
            work.at = None;
            work.end = Some(WorkEnd { at: SystemClock.now(), outcome });
        }
        self.news();
    }

    /// The last one.
    pub(crate) fn last(&self) -> Option<Work> {
        self.lock().clone()
    }

    fn news(&self) {
        self.hub.tell("work", None);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Work>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Works {
    fn tell(&self, event: Event<'_>) {
        if let Some(work) = self.lock().as_mut() {
            match event {
                Event::Begin { steps } => work.steps = steps,
                Event::Start { action, what } => work.at = Some(format!("{action} {what}")),
                Event::Waiting { what, reason } => work.at = Some(format!("{what}: waiting ({reason})")),
                Event::Done { action, what } => done(work, act(action), what),
            }
        }
        self.news();
    }
}

fn rests(last: Option<&Work>) -> Result<(), Refused> {
    match last.filter(|work| work.end.is_none()) {
        None => Ok(()),
        Some(Work { direction, by, .. }) => Err(Refused(format!(
            "a {} is under way, which {by} began; try again when it has ended",
            direction.word()
        ))),
    }
}

fn done(work: &mut Work, act: Act, what: &str) {
    work.done += 1;
    work.at = None;
    if act != Act::Keep {
        work.last.insert(0, Taken { act, what: what.to_owned() });
        work.last.truncate(LAST);
    }
}

fn act(action: &str) -> Act {
    match action {
        "create" => Act::Create,
        "keep" => Act::Keep,
        "delete" => Act::Delete,
        _ => Act::Change,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_carried_out_at_a_time_and_told_as_it_goes() {
        let works = Works::new(Arc::default());
        assert!(works.last().is_none() && !works.is_under_way());
        works.begin(Direction::SetUp, "session 1").unwrap();
        let refused = works.begin(Direction::CleanUp, "session 2").unwrap_err();
        assert!(refused.to_string().contains("a set-up is under way, which session 1 began"), "{refused}");
        works.tell(Event::Begin { steps: 3 });
        for (action, what) in [("keep", "policy a"), ("create", "policy b"), ("change", "policy c")] {
            works.tell(Event::Start { action, what });
            works.tell(Event::Done { action, what });
        }
        let work = works.last().unwrap();
        let told: Vec<_> = work.last.iter().map(|taken| (taken.act, taken.what.as_str())).collect();
        assert_eq!(told, [(Act::Change, "policy c"), (Act::Create, "policy b")]);
        assert_eq!((work.steps, work.done, &work.by), (3, 3, &"session 1".to_owned()));
        works.end(Ok("done".to_owned()));
        assert!(works.begin(Direction::CleanUp, "session 2").is_ok());
    }
}
