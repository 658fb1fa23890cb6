//! What there is: certificates and things, who was seen with which, and what about it deserves attention.
//!
//! [`Store`] takes facts in from two sources, the account's lists ([`Crawl`]) and the controller's events ([`Watch`]),
//! and answers questions ([`Query`], [`findings()`]); it does no I/O and reads no clock. All of it is a cache: lost, it comes
//! back from the account, but for who was seen when, which only events tell; so [`Snapshot`] keeps it.
//!
//! Every fact carries the moment it was learned ([`Ages`]): an inventory that does not say how old it is lies.
//!
//! Not here: retiring anything, which rests on the ledger's own durable facts alone ([`crate::controller`]).

pub use budget::{Budget, Quotas};
pub use census::{Census, Described, ListedCertificate, ListedThing, Page};
pub use crawl::{Ask, Course, Crawl, CrawlError, Ledgered, Progress, Told, crawl};
pub use findings::{Finding, Rule, Severity, Thresholds, certificates_of, findings, findings_of};
pub use history::{Happening, History};
pub use query::{Due, Listing, Query, Row, condition, contains, like};
pub use snapshot::{Snapshot, SnapshotError};
pub use soonest::{End, render_soonest};
pub use state::{Condition, State, current};
pub use store::{Ages, Certificate, Ids, Open, Own, Past, Store, Thing};
pub use survey::Survey;
pub use tally::{Tally, render};
pub use watch::Watch;

mod budget;
mod census;
mod crawl;
mod findings;
mod history;
mod index;
mod query;
mod rules;
mod snapshot;
mod soonest;
mod state;
mod store;
mod survey;
mod tally;
mod watch;
