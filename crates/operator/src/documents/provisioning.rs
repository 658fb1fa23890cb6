//! The reserved topics of Fleet Provisioning as policy resources.
//!
//! A policy has 2048 characters, so formats and answers share patterns. `????` is `json` or `cbor`, the only formats
//! there are. Answers go to the asking connection alone, whoever may receive them (Developer Guide, reserved-topics),
//! so one wildcard over both ways to a certificate grants no more there than the full list.

use fleetkey_model::name::TemplateName;
use fleetkey_model::topic::{Format, Leg, ReservedTopic};

use super::Fleet;

/// The request topics of both ways to a certificate and of these templates.
pub(super) fn requests(fleet: &Fleet, templates: &[&TemplateName]) -> Vec<String> {
    let mut operations = vec![
        ReservedTopic::CreateKeys(Format::Json, Leg::Request),
        ReservedTopic::CreateFromCsr(Format::Json, Leg::Request),
    ];
    operations.extend(templates.iter().map(|template| register(template)));
    operations.iter().map(|topic| fleet.scope.topic(&format!("{}????", stem(topic)))).collect()
}

/// The topics of the answers, for `iot:Receive`.
pub(super) fn answers(fleet: &Fleet, templates: &[&TemplateName]) -> Vec<String> {
    answer_patterns(templates).iter().map(|pattern| fleet.scope.topic(pattern)).collect()
}

/// The filters of the answers, for `iot:Subscribe`.
pub(super) fn answer_filters(fleet: &Fleet, templates: &[&TemplateName]) -> Vec<String> {
    answer_patterns(templates).iter().map(|pattern| fleet.scope.topic_filter(pattern)).collect()
}

/// `…/create*`, which covers `create/` and `create-from-csr/`, and everything of the templates.
fn answer_patterns(templates: &[&TemplateName]) -> Vec<String> {
    let create = stem(&ReservedTopic::CreateKeys(Format::Json, Leg::Request));
    let mut patterns = vec![format!("{}*", create.trim_end_matches('/'))];
    patterns.extend(templates.iter().map(|template| format!("{}*", stem(&register(template)))));
    patterns
}

fn register(template: &TemplateName) -> ReservedTopic {
    ReservedTopic::RegisterThing(template.clone(), Format::Json, Leg::Request)
}

/// A request topic up to its format.
fn stem(topic: &ReservedTopic) -> String {
    topic.to_string().trim_end_matches(&Format::Json.to_string()).to_owned()
}
