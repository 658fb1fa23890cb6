//! Faults on the wire: what a test, or a person who wants to see a fleet suffer, can make the local IoT Core do.
//!
//! A [`Rule`] names an operation, whose it is, which of its calls, and an [`Effect`]; the broker asks for a plan
//! before each operation and carries it out, so that every client sees the fault, foreign ones too. Nothing here
//! touches the registry or the network.
//!
//! ```text
//! let id = handle.faults().add(Rule::on(Operation::RegisterThing, Effect::Hold).only(1));
//! handle.faults().held(id).await;     // the call is in, its effect durable, its answer kept back
//! handle.faults().release(id);
//! ```

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use fleetkey_model::provisioning::Rejection;
use tokio::sync::watch;

pub use rule::{Calls, Effect, Operation, Point, Rule};

pub(crate) use plan::{Flow, Plan};
pub(crate) use rule::{Call, CallKind};

use crate::limits::Rate;

mod plan;
mod rule;

/// Names a rule that was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FaultId(u64);

/// The fault switchboard; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Lets the broker skip everything else when there is no rule.
    active: AtomicBool,
    next: AtomicU64,
    rules: Mutex<BTreeMap<FaultId, Entry>>,
}

#[derive(Debug)]
struct Entry {
    rule: Rule,
    seen: u64,
    rate: Option<Rate>,
    gate: watch::Sender<Gate>,
}

/// How many calls a hold rule has in its hand, and whether it has let go.
#[derive(Debug, Clone, Copy, Default)]
struct Gate {
    held: u64,
    released: bool,
}

impl Faults {
    /// Puts a rule in force.
    pub fn add(&self, rule: Rule) -> FaultId {
        let id = FaultId(self.inner.next.fetch_add(1, Ordering::Relaxed));
        let entry = Entry { rule, seen: 0, rate: None, gate: watch::Sender::new(Gate::default()) };
        let mut rules = self.rules();
        rules.insert(id, entry);
        self.inner.active.store(true, Ordering::Release);
        id
    }

    /// Takes a rule out of force; calls that it holds go on.
    pub fn remove(&self, id: FaultId) {
        let mut rules = self.rules();
        rules.remove(&id);
        self.inner.active.store(!rules.is_empty(), Ordering::Release);
    }

    /// Takes every rule out of force.
    pub fn clear(&self) {
        let mut rules = self.rules();
        rules.clear();
        self.inner.active.store(false, Ordering::Release);
    }

    /// How many calls have matched the rule's operation and owner so far, whether its effect applied or not.
    pub fn seen(&self, id: FaultId) -> u64 {
        self.rules().get(&id).map_or(0, |entry| entry.seen)
    }

    /// Waits until the rule, whose effect is [`Effect::Hold`], holds a call; returns at once when it has been
    /// released or removed.
    pub async fn held(&self, id: FaultId) {
        let Some(mut gate) = self.gate(id) else { return };
        // An error means that the rule was removed, which ends the wait too.
        let _ = gate.wait_for(|gate| gate.held > 0 || gate.released).await;
    }

    /// Lets go of the calls that the rule holds; it holds no more from now on.
    pub fn release(&self, id: FaultId) {
        if let Some(entry) = self.rules().get(&id) {
            entry.gate.send_modify(|gate| gate.released = true);
        }
    }

    fn gate(&self, id: FaultId) -> Option<watch::Receiver<Gate>> {
        self.rules().get(&id).map(|entry| entry.gate.subscribe())
    }

    /// What is to be done to this call; `None`, which is the usual answer, costs one atomic load.
    pub(crate) fn plan(&self, call: &Call<'_>) -> Option<Plan> {
        if !self.inner.active.load(Ordering::Acquire) {
            return None;
        }
        let now = tokio::time::Instant::now();
        let mut plan = Plan::default();
        for (&id, entry) in self.rules().iter_mut() {
            if !entry.rule.covers(call) {
                continue;
            }
            entry.seen += 1;
            if entry.rule.calls.includes(entry.seen) {
                entry.apply(id, now, &mut plan);
            }
        }
        (!plan.is_empty()).then_some(plan)
    }

    /// Holds the caller until the rule lets go.
    pub(crate) async fn hold(&self, id: FaultId) {
        let Some(mut gate) = self.enter(id) else { return };
        let _ = gate.wait_for(|gate| gate.released).await;
    }

    fn enter(&self, id: FaultId) -> Option<watch::Receiver<Gate>> {
        let rules = self.rules();
        let entry = rules.get(&id)?;
        entry.gate.send_modify(|gate| gate.held += 1);
        Some(entry.gate.subscribe())
    }

    fn rules(&self) -> std::sync::MutexGuard<'_, BTreeMap<FaultId, Entry>> {
        self.inner.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn apply(&mut self, id: FaultId, now: tokio::time::Instant, plan: &mut Plan) {
        let point = self.rule.point;
        match &self.rule.effect {
            Effect::Delay(span) => plan.push(point, plan::Step::Delay(*span)),
            Effect::Hold => plan.push(point, plan::Step::Hold(id)),
            Effect::Cut => plan.push(point, plan::Step::Cut),
            Effect::DropRequest => plan.lost = true,
            Effect::DropAnswer => plan.answers = 0,
            Effect::DuplicateAnswer => plan.answers *= 2,
            Effect::Reject(rejection) => plan.reject = Some(rejection.clone()),
            Effect::Throttle { per_second } => {
                let rate = self.rate.get_or_insert_with(|| Rate::new(now));
                if !rate.admit(now, Some(*per_second)) {
                    plan.reject = Some(throttled());
                }
            }
        }
    }
}

fn throttled() -> Rejection {
    Rejection {
        status_code: 429,
        error_code: "ThrottlingException".into(),
        error_message: "Rate exceeded".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetkey_model::name::ClientId;
    use fleetkey_model::topic::TopicFilter;
    use std::time::Duration;

    fn call(client: &ClientId) -> Call<'_> {
        Call { kind: CallKind::RegisterThing, client, thing: None }
    }

    #[tokio::test]
    async fn a_rule_touches_only_the_call_that_it_names() {
        let faults = Faults::default();
        let client = ClientId::new("a").unwrap();
        assert!(faults.plan(&call(&client)).is_none());
        let id = faults.add(Rule::on(Operation::RegisterThing, Effect::DropAnswer).only(2));
        assert!(faults.plan(&call(&client)).is_none());
        assert_eq!(faults.plan(&call(&client)).unwrap().answers, 0);
        assert!(faults.plan(&call(&client)).is_none());
        assert_eq!(faults.seen(id), 3);
    }

    #[tokio::test]
    async fn a_rule_for_one_client_spares_the_others() {
        let faults = Faults::default();
        let (one, other) = (ClientId::new("a").unwrap(), ClientId::new("b").unwrap());
        faults.add(Rule::on(Operation::Any, Effect::Cut).client(one.clone()));
        assert!(faults.plan(&call(&one)).is_some() && faults.plan(&call(&other)).is_none());
    }

    #[tokio::test]
    async fn a_publish_rule_matches_by_filter() {
        let faults = Faults::default();
        let client = ClientId::new("a").unwrap();
        let filter = TopicFilter::new("a/+").unwrap();
        faults.add(Rule::on(Operation::Publish(filter), Effect::DuplicateAnswer));
        let publish = |topic| Call { kind: CallKind::Publish(topic), client: &client, thing: None };
        assert_eq!(faults.plan(&publish("a/b")).unwrap().answers, 2);
        assert!(faults.plan(&publish("b/b")).is_none());
    }

    #[tokio::test]
    async fn a_held_call_can_be_awaited_and_released() {
        let faults = Faults::default();
        let client = ClientId::new("a").unwrap();
        let id = faults.add(Rule::on(Operation::RegisterThing, Effect::Hold));
        let plan = faults.plan(&call(&client)).unwrap();
        let holder = tokio::spawn({
            let faults = faults.clone();
            async move { plan.at(Point::Answer, &faults).await }
        });
        faults.held(id).await;
        assert!(!holder.is_finished());
        faults.release(id);
        assert_eq!(holder.await.unwrap(), Flow::Continue);
    }

    #[tokio::test]
    async fn a_removed_rule_lets_go() {
        let faults = Faults::default();
        let client = ClientId::new("a").unwrap();
        let id = faults.add(Rule::on(Operation::Any, Effect::Hold));
        let plan = faults.plan(&call(&client)).unwrap();
        let holder = tokio::spawn({
            let faults = faults.clone();
            async move { plan.at(Point::Answer, &faults).await }
        });
        faults.held(id).await;
        faults.clear();
        assert_eq!(holder.await.unwrap(), Flow::Continue);
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttle_rejects_the_excess_of_each_second() {
        let faults = Faults::default();
        let client = ClientId::new("a").unwrap();
        faults.add(Rule::on(Operation::Any, Effect::Throttle { per_second: 1 }));
        assert!(faults.plan(&call(&client)).is_none());
        assert_eq!(faults.plan(&call(&client)).unwrap().reject, Some(throttled()));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(faults.plan(&call(&client)).is_none());
    }
}
