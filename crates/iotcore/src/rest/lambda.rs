//! The operations of Lambda.
//!
//! Source: botocore 1.44.5, lambda/2015-03-31. Aliases, layers and images are not here.

use super::{Refusal, Reset, Resetting, Route};
use crate::functions::{FunctionError, Functions};

mod configuration;
mod functions;
mod invoke;
mod permission;
mod tags;
mod versions;

/// Lambda's table of operations.
pub(super) fn routes() -> Vec<Route> {
    let mut all = functions::routes();
    all.extend(invoke::routes());
    all.extend(permission::routes());
    all.extend(tags::routes());
    all.extend(versions::routes());
    all
}

impl From<FunctionError> for Refusal {
    fn from(error: FunctionError) -> Self {
        if error.status() >= 500 {
            tracing::error!(%error, "an operation of Lambda failed");
        }
        Self::new(error.status(), error.code(), error.to_string())
    }
}

impl Reset for Functions {
    fn reset(&self) -> Resetting<'_> {
        Box::pin(async { Self::reset(self).await.map_err(|error| error.to_string()) })
    }
}
