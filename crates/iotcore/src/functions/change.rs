//! UpdateFunctionCode, UpdateFunctionConfiguration, and tags.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::create::{architecture, revision};
use super::record::{Function, Variables};
use super::runtime::Family;
use super::{FunctionError, Functions, check};

/// UpdateFunctionCode's input.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewCode {
    /// The zip file.
    pub(crate) zip: Vec<u8>,
    pub(crate) architecture: Option<String>,
    /// Check only.
    pub(crate) dry_run: bool,
    /// The revision that the caller has seen.
    pub(crate) revision: Option<String>,
}

/// UpdateFunctionConfiguration's input; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConfigurationChange {
    pub(crate) runtime: Option<String>,
    pub(crate) handler: Option<String>,
    pub(crate) role: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) timeout: Option<u32>,
    pub(crate) memory: Option<u32>,
    pub(crate) storage: Option<u32>,
    pub(crate) environment: Option<Variables>,
    pub(crate) log_group: Option<String>,
    /// The revision that the caller has seen.
    pub(crate) revision: Option<String>,
}

impl Functions {
    /// UpdateFunctionCode. Invocations that run go on with the old code.
    ///
    /// # Errors
    /// When there is no such function, it has changed since, or the code cannot be used.
    pub(crate) async fn update_code(&self, name: &str, new: NewCode) -> Result<Arc<Function>, FunctionError> {
        let _turn = self.0.turn.lock().await;
        let seen = new.revision;
        seen_is(&*self.function(name)?, seen.as_deref())?;
        let architecture = new.architecture.map(|name| architecture(Some(name))).transpose()?;
        let code = self.put_code(new.zip).await?;
        let (revision, now) = (revision()?, self.0.clock.now());
        let change = |function: &mut Function| {
            seen_is(function, seen.as_deref())?;
            function.code = code;
            function.architecture = architecture.unwrap_or_else(|| function.architecture.clone());
            function.revision = revision;
            function.last_modified = now;
            Ok(Arc::new(function.clone()))
        };
        let result = if new.dry_run {
            change(&mut self.function(name)?.as_ref().clone())
        } else {
            self.edit(name, change).await
        };
        self.sweep().await;
        result
    }

    /// UpdateFunctionConfiguration.
    ///
    /// # Errors
    /// When there is no such function, it has changed since, or a parameter is wrong.
    pub(crate) async fn update_configuration(
        &self,
        name: &str,
        new: ConfigurationChange,
    ) -> Result<Arc<Function>, FunctionError> {
        let _turn = self.0.turn.lock().await;
        let before = self.function(name)?;
        self.check_change(&before, &new).await?;
        let (revision, now) = (revision()?, self.0.clock.now());
        self.edit(name, |function| {
            seen_is(function, new.revision.as_deref())?;
            put(&mut function.runtime, new.runtime);
            put(&mut function.handler, new.handler);
            put(&mut function.role, new.role);
            put(&mut function.description, new.description);
            put(&mut function.timeout, new.timeout);
            put(&mut function.memory, new.memory);
            put(&mut function.storage, new.storage);
            put(&mut function.environment, new.environment);
            function.log_group = new.log_group.or_else(|| function.log_group.take());
            function.revision = revision;
            function.last_modified = now;
            Ok(Arc::new(function.clone()))
        })
        .await
    }

    /// TagResource: adds tags, or changes their values.
    ///
    /// # Errors
    /// When there is no such function, or a tag is wrong.
    pub(crate) async fn tag(&self, name: &str, tags: BTreeMap<String, String>) -> Result<(), FunctionError> {
        self.edit(name, |function| {
            function.tags.extend(tags);
            check::tags(&function.tags)
        })
        .await
    }

    /// UntagResource. A tag that is not there is no error.
    ///
    /// # Errors
    /// When there is no such function.
    pub(crate) async fn untag(&self, name: &str, keys: &[String]) -> Result<(), FunctionError> {
        self.edit(name, |function| {
            function.tags.retain(|key, _| !keys.contains(key));
            Ok(())
        })
        .await
    }

    async fn check_change(&self, before: &Function, new: &ConfigurationChange) -> Result<(), FunctionError> {
        let family = Family::of(new.runtime.as_deref().unwrap_or(&before.runtime))?;
        check::handler(new.handler.as_deref().unwrap_or(&before.handler), family)?;
        check::description(new.description.as_deref().unwrap_or_default())?;
        if let Some(environment) = &new.environment {
            check::environment(&environment.0)?;
        }
        let numbers = [
            ("timeout", new.timeout, &check::TIMEOUT),
            ("memorySize", new.memory, &check::MEMORY),
            ("ephemeralStorage.size", new.storage, &check::STORAGE),
        ];
        for (member, value, bounds) in numbers {
            value.map(|value| check::within(member, value, bounds)).transpose()?;
        }
        if let Some(role) = &new.role {
            self.check_role(role)?;
        }
        if new.runtime.is_some() {
            self.check_interpreter(family).await?;
        }
        Ok(())
    }
}

fn put<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// The caller has seen the function as it is.
pub(super) fn seen_is(function: &Function, seen: Option<&str>) -> Result<(), FunctionError> {
    match seen {
        Some(seen) if seen != function.revision => Err(FunctionError::Revision),
        _ => Ok(()),
    }
}
