//! CreateFunction.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::record::{CodeRef, Function, Variables};
use super::runtime::Family;
use super::{FunctionError, Functions, check};

/// Functions of an account; Lambda limits their bytes, we their number.
const MAX_FUNCTIONS: usize = 1000;

/// CreateFunction's input; what is `None` gets Lambda's default.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewFunction {
    pub(crate) name: String,
    pub(crate) runtime: String,
    pub(crate) handler: String,
    pub(crate) role: String,
    /// The zip file.
    pub(crate) zip: Vec<u8>,
    pub(crate) description: Option<String>,
    /// Seconds.
    pub(crate) timeout: Option<u32>,
    /// MB.
    pub(crate) memory: Option<u32>,
    /// MB.
    pub(crate) storage: Option<u32>,
    pub(crate) architecture: Option<String>,
    pub(crate) environment: Variables,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) log_group: Option<String>,
}

impl Functions {
    /// CreateFunction: returns when everything is durable and the function can be invoked.
    ///
    /// # Errors
    /// When the name is taken, the role is not for Lambda, the code cannot be used, a parameter is wrong, or the
    /// interpreter is missing.
    pub(crate) async fn create(&self, new: NewFunction) -> Result<Arc<Function>, FunctionError> {
        let _turn = self.0.turn.lock().await;
        let name = check::new_name(&new.name, &self.0.scope)?;
        let family = Family::of(&new.runtime)?;
        check::handler(&new.handler, family)?;
        check::environment(&new.environment.0)?;
        check::tags(&new.tags)?;
        check::description(new.description.as_deref().unwrap_or_default())?;
        {
            let state = self.0.state.read();
            if state.functions.contains_key(&name) {
                return Err(FunctionError::Exists(name));
            }
            if state.functions.len() >= MAX_FUNCTIONS {
                return Err(FunctionError::InvalidParameter(format!(
                    "There are {MAX_FUNCTIONS} functions already."
                )));
            }
        }
        self.check_role(&new.role)?;
        self.check_interpreter(family).await?;
        let timeout = check::within("timeout", new.timeout.unwrap_or(3), &check::TIMEOUT)?;
        let memory = check::within("memorySize", new.memory.unwrap_or(128), &check::MEMORY)?;
        let storage = check::within("ephemeralStorage.size", new.storage.unwrap_or(512), &check::STORAGE)?;
        let architecture = architecture(new.architecture)?;
        let code = self.0.code.put(new.zip).await?;
        let function = Arc::new(Function {
            name: name.clone(),
            version: None,
            runtime: new.runtime,
            handler: new.handler,
            role: new.role,
            description: new.description.unwrap_or_default(),
            timeout,
            memory,
            storage,
            architecture,
            environment: new.environment,
            tags: new.tags,
            code,
            log_group: new.log_group,
            permissions: Vec::new(),
            revision: revision()?,
            last_modified: self.0.clock.now(),
        });
        let made = function.clone();
        self.0
            .state
            .change(|state| {
                state.functions.insert(name, made);
                Ok::<_, FunctionError>(())
            })
            .await?;
        Ok(function)
    }

    /// Lambda must be able to take the role.
    pub(super) fn check_role(&self, arn: &str) -> Result<(), FunctionError> {
        if self.0.iam.role_can_be_assumed_by(arn, "lambda.amazonaws.com") {
            return Ok(());
        }
        let message = "The role defined for the function cannot be assumed by Lambda.";
        Err(FunctionError::InvalidParameter(message.to_owned()))
    }

    /// The interpreter must be there, unless no code runs anyway.
    pub(super) async fn check_interpreter(&self, family: Family) -> Result<(), FunctionError> {
        if self.0.allow_code {
            self.0.interpreters.find(family).await.map_err(FunctionError::InvalidParameter)?;
        }
        Ok(())
    }

    /// Unpacks and keeps new code.
    pub(super) async fn put_code(&self, zip: Vec<u8>) -> Result<CodeRef, FunctionError> {
        self.0.code.put(zip).await
    }
}

/// The name of an architecture; the default is Lambda's.
pub(super) fn architecture(name: Option<String>) -> Result<String, FunctionError> {
    match name {
        None => Ok("x86_64".to_owned()),
        Some(name) if name == "x86_64" || name == "arm64" => Ok(name),
        Some(name) => Err(check::violation(
            "architectures",
            &name,
            "Member must satisfy enum value set: [x86_64, arm64]",
        )),
    }
}

/// A new revision's id: a UUID by chance.
pub(super) fn revision() -> Result<String, FunctionError> {
    uuid().map_err(|error| FunctionError::Failure(error.to_string()))
}

/// A random UUID (version 4).
pub(super) fn uuid() -> Result<String, getrandom::Error> {
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random)?;
    let number = u128::from_be_bytes(random) & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{number:032x}");
    let part = |range| hex.get(range).unwrap_or_default();
    Ok(format!("{}-{}-{}-{}-{}", part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)))
}
