//! The pages: one module each, drawn whole on the server. maud escapes every text; nothing here opts out.

use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;
use serde_json::json;

use crate::access::Actor;
use crate::fleet::Site;
use crate::http::Answer;

pub(crate) use bench::{bench, bench_device, bench_path};
pub(crate) use campaign_form::{confirm_new_campaign, draft as campaign_draft, new_campaign};
pub(crate) use campaigns::{Asked, Verb, campaign, campaign_path, campaigns, confirm_campaign};
pub(crate) use device::device;
pub(crate) use devices::{confirm_rotation, devices, left_out};
pub(crate) use effective::effective;
pub(crate) use fate::{Attempt, confirm_fate};
pub(crate) use findings::findings;
pub(crate) use inventory::{INVENTORY_HEAD, inventory, inventory_lines, inventory_query};
pub(crate) use journal::journal;
pub(crate) use overview::overview;
pub(crate) use policies::policies;
pub(crate) use policy::policy;
pub(crate) use proof::NO_PROOF;
pub(crate) use provisioning::provisioning;
pub(crate) use rotation::{rotation, rotations};
pub(crate) use settings::settings;
pub(crate) use small::{login, message, plain, stranger, welcome};
pub(crate) use works::{Undertaking, confirm_work, plan, work_path};

mod bench;
mod campaign_form;
mod campaigns;
mod chain;
mod chart;
mod device;
mod devices;
mod diff;
mod effective;
mod fate;
mod findings;
mod frame;
mod inventory;
mod journal;
mod overview;
mod parts;
mod policies;
mod policy;
mod proof;
mod provisioning;
mod rotation;
mod settings;
mod small;
mod strip;
mod words;
mod works;

/// What every page knows.
pub(crate) struct View<'a> {
    pub(crate) site: Site,
    pub(crate) actor: &'a Actor,
    /// Whether everybody is let in.
    pub(crate) open: bool,
    /// Whether certificates can be decided of from here.
    pub(crate) decides: bool,
    /// Whether there are devices to try things with.
    pub(crate) bench: bool,
    pub(crate) now: Timestamp,
    /// The last notice before the page was drawn.
    pub(crate) last: u64,
    /// The first part of the path.
    pub(crate) area: String,
}

/// Where a device's page is.
pub(crate) fn device_path(thing: &ThingName) -> String {
    format!("/devices/{}", crate::http::text::encode(thing.as_str()))
}

/// Where its rotation is followed.
pub(crate) fn rotation_path(thing: &ThingName) -> String {
    format!("{}/rotation", device_path(thing))
}

/// An error for a program.
pub(crate) fn error_json(status: u16, words: &str) -> Answer {
    Answer::json(status, &json!({ "error": words }))
}
