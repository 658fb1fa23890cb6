//! Builds the resources of a fleet and takes them down again: plan, apply, undo.
//!
//! [`Operator::plan`] looks at the account and says what would be done; [`Operator::apply`] does it, and can be cut
//! short at any call: the next run looks again and goes on. [`Operator::cleanup`] removes what tags and `state.json`
//! say is ours, from any half-built state, and looks once more to prove it; [`Operator::decommission`] does so for one
//! device. Whose a resource is, its tags say; what was made by somebody else is refused unless the operator insists.
//!
//! Not here: the calls themselves ([`Cloud`]), and what a terminal shows ([`Progress`]).

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use fleetkey_model::arn::Scope;
use fleetkey_model::secret::PrivateKeyPem;
use fleetkey_model::time::Timestamp;

use crate::chain::{Broken, Chain, JOURNAL_FILE};
use crate::cloud::{Cloud, Found, Identity, Key, Resource, Tags};
use crate::control_plane::ApiError;
use crate::documents::DocumentError;
use crate::files::{self, FileError, Lock};
use crate::recovery::WindowError;

pub use admit::{Admission, Registrar};
pub use apply::Applied;
pub use claim::Rotated;
pub use credential::CredentialFault;
pub use graph::{Node, Wanted};
pub use names::{CloudNames, with_template};
pub use onlooker::{Onlooker, Sight};
pub use panic::{
    Claims, DENY_ALL, Denial, PANIC_FILE, PolicyVersion, Restored, Step as PanicStep, Stopped, StoppedError,
    Versions,
};
pub use patience::Patience;
pub use quarantine::{Mark, Marks, Recovery};
pub use report::{Event, Progress, Silent};
pub use revoke::{Begun, Cut, Cutter, Ended, Ending, Outcome, Seen};
pub use state::{OwnCertificate, STATE_FILE, State, StateError};
pub use undo::{Doomed, Remains, Removed};
pub use windows::Doors;

use change::Change;
use devices::Trace;

mod admit;
mod apply;
mod change;
mod claim;
mod credential;
mod cuts;
mod devices;
mod graph;
mod names;
mod onlooker;
mod panic;
mod patience;
mod quarantine;
mod report;
mod revoke;
mod state;
mod turn;
mod undo;
mod windows;

/// The tag that names the fleet.
pub const FLEET_TAG: &str = "fleetkey:fleet";
/// The tag that says that fleetkey made a resource and may change or remove it.
pub const MANAGED_TAG: &str = "fleetkey:managed";

/// What is to be done with a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It is missing.
    Create,
    /// It is as wanted.
    Keep,
    /// It differs in these fields.
    Change(Vec<&'static str>),
    /// It was made by somebody else, and is to become ours; these fields differ.
    Adopt(Vec<&'static str>),
    /// An earlier set-up made it, and it is wanted no more.
    Delete,
}

impl Action {
    /// One word for it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Keep => "keep",
            Self::Change(_) => "change",
            Self::Adopt(_) => "adopt",
            Self::Delete => "delete",
        }
    }

    /// The fields that differ.
    pub fn fields(&self) -> &[&'static str] {
        match self {
            Self::Change(fields) | Self::Adopt(fields) => fields,
            Self::Create | Self::Keep | Self::Delete => &[],
        }
    }
}

/// One resource of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which.
    pub key: Key,
    /// What is to be done.
    pub action: Action,
    found: Option<Found>,
    wanted: Option<Resource>,
}

/// What would be done, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Resources: what is deleted comes last.
    pub steps: Vec<Step>,
    /// Our own certificates by role, whether each is to be made.
    pub certificates: Vec<(&'static str, Action)>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_settled(&self) -> bool {
        let actions = self.steps.iter().map(|step| &step.action);
        actions
            .chain(self.certificates.iter().map(|(_, action)| action))
            .all(|action| *action == Action::Keep)
    }
}

/// Why a run did not come to its end. A later run goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A document that AWS would refuse.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A call that failed, waits included.
    #[error("{what}: {error}")]
    Call {
        /// What was done to which resource, for people.
        what: String,
        /// What the account answered last.
        error: ApiError,
    },
    /// Resources of the same name that somebody else has made.
    #[error(
        "not made by fleetkey for this fleet: {}; give this fleet a --name-prefix of its own, or --force to take them over",
        list(.0)
    )]
    Foreign(Vec<Key>),
    /// A thing that no fleet of ours has provisioned.
    #[error(
        "the thing {0} was not provisioned by fleetkey (it has no certificateId attribute); --force removes it nevertheless"
    )]
    ForeignThing(String),
    /// There is no such thing for a certificate to be attached to.
    #[error(
        "there is no thing {0}: its device is provisioned first, which makes it (`fleetkey device provision --serial {0}`)"
    )]
    NoThing(String),
    /// What set-up makes is not there.
    #[error("there is no {0}: fleetkey setup makes it")]
    Missing(Key),
    /// The state file.
    #[error(transparent)]
    State(#[from] StateError),
    /// The recovery windows.
    #[error(transparent)]
    Windows(#[from] WindowError),
    /// What a panic has stopped.
    #[error(transparent)]
    Stopped(#[from] StoppedError),
    /// A certificate of ours on disk that cannot be used.
    #[error(transparent)]
    Credential(#[from] CredentialFault),
    /// A file that cannot be written or read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The journal is not what it was.
    #[error(transparent)]
    Journal(#[from] Broken),
}

impl PlanError {
    /// Whether somebody has the fleet directory: nothing was done.
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::File(error) if error.cause.kind() == ErrorKind::WouldBlock)
    }

    /// Whether that is this very process, in another piece of its work.
    pub fn is_taken_by_us(&self) -> bool {
        matches!(self, Self::File(error) if Lock::is_ours(error))
    }
}

/// Makes keys and signing requests; the binary lends the agent's.
pub trait KeyMaker: Send + Sync {
    /// Makes a private key.
    ///
    /// # Errors
    /// In words.
    fn generate(&self) -> Result<PrivateKeyPem, String>;

    /// The SubjectPublicKeyInfo of a key, DER.
    ///
    /// # Errors
    /// When it cannot be read.
    fn public_key(&self, key: &PrivateKeyPem) -> Result<Vec<u8>, String>;

    /// A PKCS#10 request in PEM whose common name is `name`.
    ///
    /// # Errors
    /// When the key cannot be read.
    fn request(&self, key: &PrivateKeyPem, name: &str) -> Result<String, String>;
}

/// What an operator works with.
pub struct Tools<'a, C> {
    /// The account.
    pub cloud: &'a C,
    /// Makes our own keys.
    pub keys: &'a dyn KeyMaker,
    /// Tells the time, for journal and state.
    pub clock: &'a (dyn Fn() -> Timestamp + Send + Sync),
    /// Is told how it goes.
    pub progress: &'a dyn Progress,
    /// How long to wait for what is being made.
    pub making: Patience,
    /// How long to wait for what cannot go yet.
    pub deleting: Patience,
}

/// One operator at work in a fleet directory, alone there except while it pauses.
pub struct Operator<'a, C> {
    tools: Tools<'a, C>,
    directory: PathBuf,
    identity: Identity,
    tags: Tags,
    state: State,
    hold: Hold,
    /// What this run has removed of devices and certificates, to be looked at again.
    traces: Vec<Trace>,
    force: bool,
    /// On whose word, for the journal, where it is more than the command.
    order: Option<String>,
    /// Whether the data plane did not answer when it was last asked: then nothing waits for it.
    is_blind: bool,
}

/// What an operator has of the fleet directory.
enum Hold {
    /// It only looks, and never takes it.
    Looks,
    /// Others may have it, until the next change.
    Pauses,
    /// It is taken.
    Taken(Box<Held>),
}

/// A fleet directory that one operator has for itself.
struct Held {
    journal: Chain,
    _lock: Lock,
}

impl Hold {
    fn taken(directory: &Path, lock: Lock) -> Result<Self, PlanError> {
        let journal = Chain::open(&directory.join(JOURNAL_FILE))?;
        Ok(Self::Taken(Box::new(Held { journal, _lock: lock })))
    }
}

impl<'a, C: Cloud> Operator<'a, C> {
    /// Takes the fleet directory, made with mode 0700 if need be, and makes sure that it belongs to this account,
    /// region and fleet. With `force`, what somebody else has made is taken over or removed too. Whoever has the directory is
    /// waited for for half a minute, and named to `progress`.
    ///
    /// # Errors
    /// When the directory is another's, or still in use then, or the account does not say who we are.
    pub async fn open(
        tools: Tools<'a, C>,
        directory: &Path,
        fleet: &str,
        force: bool,
    ) -> Result<Self, PlanError> {
        files::make_directory(directory)?;
        let lock = turn::taken(directory, turn::FIRST, tools.progress).await?;
        let operator = Self::at(tools, directory, fleet, force).await?;
        Ok(Self { hold: Hold::taken(directory, lock)?, ..operator })
    }

    /// The same without taking the directory: for looks alone.
    async fn at(tools: Tools<'a, C>, directory: &Path, fleet: &str, force: bool) -> Result<Self, PlanError> {
        let identity = Patience::ASKING.call(|_| {}, || tools.cloud.identity()).await;
        let identity = identity.map_err(|error| PlanError::Call { what: "who we are".into(), error })?;
        let state = match State::read(directory)? {
            Some(state) => state,
            None => State::new(fleet, &identity),
        };
        state.belongs(fleet, &identity)?;
        let tags = Tags::from([
            (FLEET_TAG.to_owned(), fleet.to_owned()),
            (MANAGED_TAG.to_owned(), "true".to_owned()),
        ]);
        let directory = directory.to_owned();
        let (hold, traces, order, is_blind) = (Hold::Looks, Vec::new(), None, false);
        Ok(Self { tools, directory, identity, tags, state, hold, traces, force, order, is_blind })
    }

    /// The same, on this word: it stands with every change in the journal that has no reason of its own.
    #[must_use]
    pub fn on_order(self, order: String) -> Self {
        Self { order: Some(order), ..self }
    }

    /// Says what [`Self::apply`] would do. Reads only.
    ///
    /// # Errors
    /// When a call fails, or a name is taken by somebody else and `force` was not given.
    pub async fn plan(&self, wanted: &Wanted) -> Result<Plan, PlanError> {
        let nodes = wanted.nodes()?;
        let mut steps = Vec::with_capacity(nodes.len());
        for Node { resource, .. } in nodes {
            steps.push(self.step(resource).await?);
        }
        let foreign: Vec<_> = steps
            .iter()
            .filter(|step| matches!(step.action, Action::Adopt(_)))
            .map(|step| step.key.clone())
            .collect();
        if !foreign.is_empty() && !self.force {
            return Err(PlanError::Foreign(foreign));
        }
        let known: Vec<_> = steps.iter().map(|step| step.key.clone()).collect();
        for key in self.state.resources.iter().filter(|key| !known.contains(key)) {
            let found = self.look(key).await?;
            // Whoever has made another of that name meanwhile keeps it.
            if found.as_ref().is_none_or(|found| self.is_ours(key, found)) {
                steps.push(Step { key: key.clone(), action: Action::Delete, found, wanted: None });
            }
        }
        let mut certificates = Vec::new();
        for (role, policy) in credential::roles(&wanted.fleet) {
            certificates.push((role, self.credential_action(role, policy).await?));
        }
        Ok(Plan { steps, certificates })
    }

    /// Where everything stands.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Who we are.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Where the fleet lives, as ARNs name it.
    pub fn scope(&self) -> Scope {
        scope_of(&self.identity)
    }

    async fn step(&self, wanted: Resource) -> Result<Step, PlanError> {
        let key = wanted.key.clone();
        let found = self.look(&key).await?;
        let action = match &found {
            None => Action::Create,
            Some(found) if !self.is_ours(&key, found) => Action::Adopt(found.spec.differences(&wanted.spec)),
            Some(found) => match found.spec.differences(&wanted.spec) {
                fields if fields.is_empty() => Action::Keep,
                fields => Action::Change(fields),
            },
        };
        Ok(Step { key, action, found, wanted: Some(wanted) })
    }

    /// Whose a resource is: its tag says, and where it has none, what we have recorded.
    fn is_ours(&self, key: &Key, found: &Found) -> bool {
        match found.tags.get(FLEET_TAG) {
            Some(fleet) => *fleet == self.state.fleet,
            None => self.state.resources.contains(key),
        }
    }

    async fn look(&self, key: &Key) -> Result<Option<Found>, PlanError> {
        let cloud = self.tools.cloud;
        let what = format!("look at {key}");
        let found = self.tools.making.call(apply::waiting(&self.tools, &what), || cloud.look(key)).await;
        found.map_err(|error| PlanError::Call { what, error })
    }

    fn save(&self) -> Result<(), PlanError> {
        Ok(self.state.write(&self.directory)?)
    }

    fn now(&self) -> Timestamp {
        (self.tools.clock)()
    }
}

/// The scope that an identity acts in; the partition is the second part of its ARN.
pub fn scope_of(identity: &Identity) -> Scope {
    Scope {
        partition: identity.arn.split(':').nth(1).filter(|part| !part.is_empty()).unwrap_or("aws").to_owned(),
        region: identity.region.clone(),
        account: identity.account.clone(),
    }
}

fn list(keys: &[Key]) -> String {
    keys.iter().map(Key::to_string).collect::<Vec<_>>().join(", ")
}
