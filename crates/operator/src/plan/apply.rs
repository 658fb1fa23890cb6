//! Does what a plan says. Cut short at any call, the next run's plan begins where this one ended.

use super::{Action, Change, Event, Operator, Plan, PlanError, Step, Tools, Wanted, credential};
use crate::cloud::{Cloud, Found, Key, Resource};
use crate::control_plane::ApiError;
use crate::setup::Credential;

/// A fleet that is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// What was done to each resource and certificate, in order: action and name.
    pub steps: Vec<(&'static str, String)>,
    /// The host that devices dial.
    pub endpoint: String,
    /// What devices are provisioned with.
    pub claim: Credential,
    /// What telemetry is counted with.
    pub observer: Credential,
    /// What the controller connects with.
    pub controller: Credential,
}

impl<C: Cloud> Operator<'_, C> {
    /// Makes the account as `wanted`, which `plan` was made from.
    ///
    /// # Errors
    /// At the first resource that can neither be made nor changed.
    pub async fn apply(&mut self, wanted: &Wanted, plan: Plan) -> Result<Applied, PlanError> {
        let progress = self.tools.progress;
        progress.tell(Event::Begin { steps: plan.steps.len() + plan.certificates.len() });
        // From here on the directory is this fleet's, whatever happens.
        self.save()?;
        let mut steps = Vec::new();
        for step in plan.steps {
            let (action, what) = (step.action.as_str(), step.key.to_string());
            progress.tell(Event::Start { action, what: &what });
            self.take(step).await?;
            progress.tell(Event::Done { action, what: &what });
            steps.push((action, what));
        }
        let mut credentials = Vec::new();
        for ((role, policy), (_, action)) in
            credential::roles(&wanted.fleet).into_iter().zip(plan.certificates)
        {
            let (action, what) = (action.as_str(), format!("{role} certificate"));
            progress.tell(Event::Start { action, what: &what });
            credentials.push(self.ensure_credential(role, policy).await?);
            progress.tell(Event::Done { action, what: &what });
            steps.push((action, what));
        }
        let cloud = self.tools.cloud;
        let endpoint = self.tools.making.call(|_| {}, || cloud.endpoint()).await;
        let endpoint = endpoint.map_err(|error| PlanError::Call { what: "the endpoint".into(), error })?;
        let Ok([claim, observer, controller]) = <[Credential; 3]>::try_from(credentials) else {
            let error = ApiError::Other("set-up did not make its three certificates".into());
            return Err(PlanError::Call { what: "certificates".into(), error });
        };
        Ok(Applied { steps, endpoint, claim, observer, controller })
    }

    async fn take(&mut self, step: Step) -> Result<(), PlanError> {
        let Step { key, action, found, wanted } = step;
        match (action, found, wanted) {
            (Action::Create, _, Some(wanted)) => self.create(&wanted).await,
            (Action::Change(_), Some(found), Some(wanted)) => self.change("change", &wanted, &found).await,
            (Action::Adopt(_), Some(found), Some(wanted)) => self.adopt(&wanted, &found).await,
            (Action::Delete, found, _) => self.remove(&key, found.as_ref()).await,
            _ => self.record(&key),
        }
    }

    async fn create(&mut self, wanted: &Resource) -> Result<(), PlanError> {
        // The intention first: a kill between the call and its answer must not leave what nobody remembers.
        self.record(&wanted.key)?;
        let what = wanted.key.to_string();
        let change = Change::of("create", &what, None, Some(&wanted.spec));
        let tags = self.tags.clone();
        let made = self
            .journaled(change, async |tools: &Tools<'_, C>| {
                let make = || tools.cloud.create(wanted, &tags);
                match tools.making.call(waiting(tools, &what), make).await {
                    // An answer that was lost, or somebody who was quicker: the look below tells which.
                    Err(ApiError::AlreadyExists(_)) => Ok(false),
                    Err(error) => Err(error),
                    Ok(()) => Ok(true),
                }
            })
            .await;
        match made {
            Ok(true) => Ok(()),
            Ok(false) => self.reconcile(wanted).await,
            Err(error) => {
                self.forget_the_refused(&wanted.key, &error).await?;
                Err(error)
            }
        }
    }

    /// A creation that was refused, and of which nothing is there, is no intention any more: on record it would make
    /// whatever somebody else gives that name look like ours.
    async fn forget_the_refused(&mut self, key: &Key, refusal: &PlanError) -> Result<(), PlanError> {
        let refused = matches!(refusal, PlanError::Call { error, .. } if !error.retryable());
        if refused && matches!(self.look(key).await, Ok(None)) && self.state.resources.remove(key) {
            self.save()?;
        }
        Ok(())
    }

    /// What exists although it was not there: ours is made as wanted, another's is refused.
    async fn reconcile(&mut self, wanted: &Resource) -> Result<(), PlanError> {
        let key = &wanted.key;
        let Some(found) = self.look(key).await? else {
            let error = ApiError::Conflict("it exists and does not; run again".into());
            return Err(PlanError::Call { what: format!("create {key}"), error });
        };
        // That it is on record says nothing here: it was recorded a moment ago.
        let ours = found.tags.contains_key(super::FLEET_TAG) && self.is_ours(key, &found);
        if !ours && !self.force {
            self.state.resources.remove(key);
            self.save()?;
            return Err(PlanError::Foreign(vec![key.clone()]));
        }
        if found.spec.differences(&wanted.spec).is_empty() {
            return Ok(());
        }
        self.change("change", wanted, &found).await
    }

    async fn change(
        &mut self,
        action: &'static str,
        wanted: &Resource,
        found: &Found,
    ) -> Result<(), PlanError> {
        self.record(&wanted.key)?;
        let what = wanted.key.to_string();
        let change = Change::of(action, &what, Some(&found.spec), Some(&wanted.spec));
        self.journaled(change, async |tools: &Tools<'_, C>| {
            tools.making.call(waiting(tools, &what), || tools.cloud.change(wanted, found)).await
        })
        .await
    }

    async fn adopt(&mut self, wanted: &Resource, found: &Found) -> Result<(), PlanError> {
        let what = wanted.key.to_string();
        let tags = self.tags.clone();
        let key = &wanted.key;
        let change = Change::of("adopt", &what, Some(&found.spec), None);
        self.journaled(change, async |tools: &Tools<'_, C>| {
            tools.making.call(waiting(tools, &what), || tools.cloud.tag(key, &tags)).await
        })
        .await?;
        if found.spec.differences(&wanted.spec).is_empty() {
            return self.record(key);
        }
        self.change("change", wanted, found).await
    }

    /// Notes durably that a resource is ours, or is about to be.
    fn record(&mut self, key: &Key) -> Result<(), PlanError> {
        if self.state.resources.insert(key.clone()) { self.save() } else { Ok(()) }
    }
}

/// Tells whoever watches what is waited for.
pub(super) fn waiting<'t, C>(tools: &'t Tools<'_, C>, what: &'t str) -> impl Fn(&ApiError) + Send + 't
where
    C: Sync,
{
    let progress = tools.progress;
    move |error| progress.tell(Event::Waiting { what, reason: &error.to_string() })
}
