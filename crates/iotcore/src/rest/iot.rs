//! The operations of AWS IoT's control plane (signed as `iot`), one file a family.

use super::Route;

mod attachments;
mod authorization;
mod certificates;
mod endpoint;
mod events;
mod groups;
mod membership;
mod parts;
mod policies;
mod principals;
mod rules;
mod tagging;
mod template_versions;
mod templates;
mod thing_types;
mod things;

/// All of them.
pub(super) fn routes() -> Vec<Route> {
    [
        endpoint::routes(),
        policies::routes(),
        attachments::routes(),
        authorization::routes(),
        certificates::routes(),
        things::routes(),
        principals::routes(),
        thing_types::routes(),
        groups::routes(),
        membership::routes(),
        templates::routes(),
        template_versions::routes(),
        events::routes(),
        tagging::routes(),
        rules::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
