//! What a run tells of itself while it goes.

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// A run of so many steps begins.
    Begin {
        /// How many.
        steps: usize,
    },
    /// A step begins.
    Start {
        /// `create`, `keep`, `change`, `adopt`, `delete`.
        action: &'a str,
        /// The resource, for people.
        what: &'a str,
    },
    /// The account is not ready; the step is tried again.
    Waiting {
        /// The resource, for people.
        what: &'a str,
        /// What the account says.
        reason: &'a str,
    },
    /// A step is done.
    Done {
        /// As it began.
        action: &'a str,
        /// As it began.
        what: &'a str,
    },
}

/// Is told how a run goes.
pub trait Progress: Send + Sync {
    /// Something happened. Must not block.
    fn tell(&self, event: Event<'_>);
}

/// Nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn tell(&self, _event: Event<'_>) {}
}
