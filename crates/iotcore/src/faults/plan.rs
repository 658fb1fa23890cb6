//! What the rules together do to one call, in the order in which it happens.

use std::time::Duration;

use fleetkey_model::provisioning::Rejection;

use super::{FaultId, Faults, Point};

/// One thing to do before or after the operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Delay(Duration),
    Hold(FaultId),
    Cut,
}

/// Whether the call goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Continue,
    Cut,
}

/// The sum of all rules on one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    before: Vec<Step>,
    after: Vec<Step>,
    /// The operation is not carried out; this is its answer.
    pub(crate) reject: Option<Rejection>,
    /// The operation is forgotten.
    pub(crate) lost: bool,
    /// How often the answer is sent.
    pub(crate) answers: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self { before: Vec::new(), after: Vec::new(), reject: None, lost: false, answers: 1 }
    }
}

impl Plan {
    pub(super) fn push(&mut self, point: Point, step: Step) {
        match point {
            Point::Request => self.before.push(step),
            Point::Answer => self.after.push(step),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Carries out the steps of one point.
    pub(crate) async fn at(&self, point: Point, faults: &Faults) -> Flow {
        let steps = match point {
            Point::Request => &self.before,
            Point::Answer => &self.after,
        };
        for step in steps {
            match *step {
                Step::Delay(span) => tokio::time::sleep(span).await,
                Step::Hold(id) => faults.hold(id).await,
                Step::Cut => return Flow::Cut,
            }
        }
        Flow::Continue
    }
}
