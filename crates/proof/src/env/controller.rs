//! The controller's turn: it hears, decides and acts until nothing is left to do at this moment.

use fleetkey_model::topic::PresenceKind;
use fleetkey_operator::controller::Event;

use super::{Env, News};
use crate::director::Place;
use crate::schedule::Fault;

/// So many steps at one moment are no progress.
const MOST_STEPS: usize = 500;

impl Env {
    /// Lets the controller do all that it can do now.
    pub fn controller_round(&mut self) {
        for _ in 0..MOST_STEPS {
            if !self.hear() && !self.act() && !self.answer() {
                return;
            }
        }
        self.watch.fail("controller", || "the controller never comes to rest".into());
    }

    /// One thing on its way to the controller.
    fn hear(&mut self) -> bool {
        let Some(event) = self.cloud.next_tiding() else {
            return false;
        };
        let fault = self.director.step(Place::Tell);
        self.director.note(|| format!("the controller hears {}", show(&event)));
        self.note_presence(&event, fault == Some(Fault::Hush));
        match fault {
            Some(Fault::Hush) => {}
            Some(Fault::Swap) if self.cloud.has_tidings() => self.cloud.tell_later(event),
            Some(Fault::Echo) => {
                self.cloud.controller.hear(self.now, event.clone());
                self.cloud.controller.hear(self.now, event);
            }
            _ => self.cloud.controller.hear(self.now, event),
        }
        true
    }

    /// Of a connection that displaced another the controller hears twice: an end and a beginning.
    fn note_presence(&mut self, event: &Event, hushed: bool) {
        let Event::Presence { kind, client, .. } = event else { return };
        match (hushed, client.thing().is_some(), kind) {
            (true, true, _) => self.watch.unheard += 1,
            (false, true, PresenceKind::Connected) => self.watch.unheard = 0,
            _ => {}
        }
    }

    /// One step of it.
    fn act(&mut self) -> bool {
        let Some(action) = self.cloud.controller_polls(self.now) else {
            return false;
        };
        let fault = match self.director.step(Place::Control) {
            Some(Fault::Controller(fault)) => Some(fault),
            _ => None,
        };
        let done = self.cloud.controller_step(self.now, action, fault);
        self.director.note(|| format!("the controller: {}", done.0));
        true
    }

    /// One answer on its way to the device.
    fn answer(&mut self) -> bool {
        let Some((thing, answer)) = self.cloud.next_answer() else {
            return false;
        };
        let fault = self.director.step(Place::Tell);
        // Whoever is not connected misses it, and asks again.
        if let Some(device) = self.connected_device(&thing)
            && fault != Some(Fault::Hush)
        {
            if fault == Some(Fault::Echo) {
                self.tell(device, News::Controller(answer.clone()));
            }
            self.tell(device, News::Controller(answer));
        }
        true
    }
}

fn show(event: &Event) -> String {
    match event {
        Event::Attested { attested, .. } => {
            format!("{} ask for retirement as {}", attested.principal.short(), attested.clientid)
        }
        Event::Presence { kind, client, event } => {
            format!("{client} {kind:?} with {}", event.principal_identifier.short())
        }
        other => format!("{other:?}"),
    }
}
