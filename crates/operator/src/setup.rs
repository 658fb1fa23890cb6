//! Makes an account ready for a fleet: group, policies, templates, and the certificates of claim, observer and
//! controller.
//!
//! Idempotent and resumable: every step looks before it acts, so that a second run changes nothing and a run cut
//! short at any call is completed by the next. Not here: taking it all down again.

use std::path::PathBuf;

use crate::control_plane::{ControlPlane, Hook};
use crate::documents::{DocumentError, Fleet};
use crate::files::{self, FileError, Lock};

pub use credential::{Credential, CredentialError};
pub use outlook::{Present, foresee};
pub use report::{Outcome, Report, Step};

use credential::Keep;
use retry::Retry;

mod credential;
mod outlook;
mod report;
mod resources;
mod retry;

/// What setup is to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where, under which topics, by which names.
    pub fleet: Fleet,
    /// Decides on first provisioning.
    pub claim_hook: Option<Hook>,
    /// Decides on rotations; without one, any device can attach a certificate to any other thing.
    pub rotation_hook: Option<Hook>,
    /// Decides on recoveries while a window is open; without one nobody may recover.
    pub recovery_hook: Option<Hook>,
    /// Where the certificates and keys of claim, observer and controller are kept; made with mode 0700.
    pub directory: PathBuf,
}

/// Why an account could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A document that AWS would refuse.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A call that failed, retries included.
    #[error("{what}: {error}")]
    Call {
        /// The resource, for people.
        what: String,
        /// What the account answered last.
        error: crate::control_plane::ApiError,
    },
    /// A credential on disk that cannot be used or made.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// A file that cannot be written or read.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Makes whatever is missing or different, and reports what it found and did.
///
/// # Errors
/// At the first resource that can neither be found nor made; a later run goes on from there.
pub async fn setup<C: ControlPlane>(control: &C, settings: &Settings) -> Result<Report, SetupError> {
    files::make_directory(&settings.directory)?;
    let _lock = Lock::take(&settings.directory)?;
    let retry = Retry::default();
    let fleet = &settings.fleet;
    let names = &fleet.names;
    let mut steps = vec![resources::group(control, retry, &names.group).await?];
    for (name, document) in resources::policies(fleet)? {
        steps.push(resources::policy(control, retry, name, &document).await?);
    }
    for template in resources::templates(settings) {
        steps.push(resources::template(control, retry, &template).await?);
    }
    let keep = Keep { control, retry, directory: &settings.directory };
    let (claim_step, claim) = keep.ensure("claim", &names.claim_policy).await?;
    let (observer_step, observer) = keep.ensure("observer", &names.observer_policy).await?;
    let (controller_step, controller) = keep.ensure("controller", &names.controller_policy).await?;
    steps.extend([claim_step, observer_step, controller_step]);
    Ok(Report { steps, claim, observer, controller })
}
