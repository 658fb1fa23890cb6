//! The rules, one file each: a function from the repository to what breaks it.
//!
//! A rule states in its message what to do instead, and an exception stands in the rule's own list with its
//! reason; an exception that no longer applies is itself a violation.

mod agent_tree;
mod aws_topics;
mod behaviour_page;
mod crate_direction;
mod file_size;
mod machine_paths;
mod module_doc;
mod pure_crates;
mod pure_mqtt;
mod sdk_profile;
mod workspace_lints;

use crate::repo::Repo;
use crate::violation::Violation;

/// A rule looks at the whole repository and reports what it finds.
pub(crate) type Rule = fn(&Repo) -> Vec<Violation>;

/// Every rule, in the order of their files.
pub(crate) const ALL: &[Rule] = &[
    agent_tree::check,
    aws_topics::check,
    behaviour_page::check,
    crate_direction::check,
    file_size::check,
    machine_paths::check,
    module_doc::check,
    pure_crates::check,
    pure_mqtt::check,
    sdk_profile::check,
    workspace_lints::check,
];
