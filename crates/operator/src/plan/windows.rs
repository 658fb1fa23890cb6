//! Brings the account into line with the recovery windows: the hook knows whom they name and when they end, and the
//! recovery template is enabled only while there is one.
//!
//! Nothing else of function and template is touched: that is set-up's business.

use std::future::Future;

use fleetkey_model::name::TemplateName;
use serde_json::json;

use super::apply::waiting;
use super::{Change, Operator, PlanError, Stopped, Tools, Wanted};
use crate::cloud::{Cloud, Found, FunctionSpec, Key, Kind, Resource, Spec};
use crate::control_plane::{ControlPlane, Done};
use crate::hook_code;

/// Opens and shuts templates.
pub trait Doors: ControlPlane {
    /// UpdateProvisioningTemplate, of `enabled` alone.
    fn switch_template(&self, name: &TemplateName, enabled: bool) -> impl Future<Output = Done> + Send;
}

impl<C: Cloud + Doors> Operator<'_, C> {
    /// Makes hook and recovery template what the windows of `wanted` ask for; what was changed, in words. Run again, it
    /// changes nothing. While a panic holds the template it stays shut.
    ///
    /// # Errors
    /// When set-up has not made them, somebody else has, or a call fails; the next run goes on from there.
    pub async fn keep_windows(&mut self, wanted: &Wanted, why: &str) -> Result<Vec<String>, PlanError> {
        let template = &wanted.fleet.names.recovery_template;
        let held = Stopped::read(&self.directory)?.holds_template(template);
        let open = !wanted.windows.is_empty() && !held;
        let mut done = Vec::new();
        // Shut first and opened last: an open template never has a hook that does not know the windows.
        if !open {
            done.extend(self.switch(template, false, why).await?);
        }
        done.extend(self.teach(wanted, why).await?);
        if open {
            done.extend(self.switch(template, true, why).await?);
        }
        Ok(done)
    }

    /// Enables a template or disables it; in words, if it was not so before.
    pub(super) async fn switch(
        &mut self,
        name: &TemplateName,
        enabled: bool,
        why: &str,
    ) -> Result<Option<String>, PlanError> {
        let key = Key::new(Kind::Template, name.as_str());
        let Spec::Template { enabled: before, .. } = self.expect(&key).await?.spec else {
            return Err(PlanError::Missing(key));
        };
        if before == enabled {
            return Ok(None);
        }
        let what = key.to_string();
        let action = if enabled { "enable" } else { "disable" };
        let change = Change {
            action,
            what: what.clone(),
            why: Some(why.to_owned()),
            before: Some(json!({ "enabled": before })),
            after: Some(json!({ "enabled": enabled })),
        };
        self.journaled(change, async |tools: &Tools<'_, C>| {
            tools.making.call(waiting(tools, &what), || tools.cloud.switch_template(name, enabled)).await
        })
        .await?;
        Ok(Some(format!("{action} {what}")))
    }

    /// Gives the hook the code that knows the windows; in words, if it had another.
    async fn teach(&mut self, wanted: &Wanted, why: &str) -> Result<Option<String>, PlanError> {
        let key = Key::new(Kind::Function, &wanted.names.hook);
        let found = self.expect(&key).await?;
        let Spec::Function(function) = &found.spec else {
            return Err(PlanError::Missing(key));
        };
        let archive = hook_code::archive(&wanted.fleet.names, &wanted.serials, &wanted.windows);
        if function.archive.digest() == archive.digest() {
            return Ok(None);
        }
        let spec = Spec::Function(FunctionSpec { archive, ..function.clone() });
        let what = key.to_string();
        let mut change = Change::of("change", &what, Some(&found.spec), Some(&spec));
        change.why = Some(why.to_owned());
        let resource = Resource { key, spec };
        self.journaled(change, async |tools: &Tools<'_, C>| {
            tools.making.call(waiting(tools, &what), || tools.cloud.change(&resource, &found)).await
        })
        .await?;
        Ok(Some(format!("change {what}")))
    }

    /// What set-up has made under this key.
    async fn expect(&self, key: &Key) -> Result<Found, PlanError> {
        match self.look(key).await? {
            None => Err(PlanError::Missing(key.clone())),
            Some(found) if !self.force && !self.is_ours(key, &found) => {
                Err(PlanError::Foreign(vec![key.clone()]))
            }
            Some(found) => Ok(found),
        }
    }
}
