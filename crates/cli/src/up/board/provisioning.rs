//! Templates, claims and the recovery window as the registry has them; what set-up found, what clean-up would remove.

use std::path::{Path, PathBuf};

use fleetkey_dashboard::fleet::{Act, Claim, Direction, Plan, PlanStep, Provisioning, Recovery, Template};
use fleetkey_iotcore::clock::{Clock, SystemClock};
use fleetkey_iotcore::registry::{BuiltinHook, CertificateRecord, Registry, SerialPattern, TemplateRecord};
use fleetkey_operator::documents::Names;
use fleetkey_operator::recovery::Windows;
use fleetkey_operator::setup::Outcome;

use super::journal::Change;
use super::{Board, SetUp};
use crate::stage::Stage;
use crate::windows::whom;

impl Board {
    /// The account is set up.
    pub(crate) fn set_up(&self, stage: &Stage, directory: PathBuf) {
        let report = stage.report();
        let steps: Vec<(String, Outcome)> =
            report.steps.iter().map(|step| (step.resource.clone(), step.outcome)).collect();
        for (resource, outcome) in &steps {
            let action = match outcome {
                Outcome::Created => "create",
                Outcome::Changed => "change",
                Outcome::Kept => continue,
            };
            self.enter(Change {
                who: "set-up",
                action,
                what: resource.clone(),
                why: "",
                thing: None,
                failed: false,
            });
        }
        // There is one set-up a process.
        let _ = self.set_up.set(SetUp { names: stage.names().clone(), directory, steps });
        self.hub.tell("fleet", None);
    }

    /// How devices come in.
    pub(super) fn doors(&self) -> Provisioning {
        let Some(SetUp { names, directory, .. }) = self.set_up.get() else {
            return Provisioning::default();
        };
        let registry = self.account.store().read();
        Provisioning {
            templates: registry.templates().map(|record| template(names, record)).collect(),
            claims: registry.certificates().filter_map(|record| claim(names, record)).collect(),
            recovery: Some(recovery(names, &registry, directory)),
        }
    }

    /// What set-up found, or clean-up would find.
    pub(super) fn planned(&self, direction: Direction) -> Plan {
        let Some(set_up) = self.set_up.get() else {
            return Plan::default();
        };
        match direction {
            Direction::SetUp => Plan {
                steps: set_up.steps.iter().map(|(what, outcome)| found(what, *outcome)).collect(),
                command: "fleetkey setup --plan".to_owned(),
                note: "This is what set-up found when this process started. In an account of AWS the command plans the same."
                    .to_owned(),
            },
            Direction::CleanUp => self.removal(set_up),
        }
    }

    fn removal(&self, set_up: &SetUp) -> Plan {
        let registry = self.account.store().read();
        let delete = |what: String, words: String| PlanStep { act: Act::Delete, what, words };
        let mut steps: Vec<PlanStep> = registry
            .things()
            .map(|thing| {
                let certificates = registry.principals_of(&thing.name).len();
                delete(format!("thing {}", thing.name), format!("and {certificates} certificates"))
            })
            .take(MOST)
            .collect();
        let more = registry.things().count().saturating_sub(steps.len());
        if more > 0 {
            steps.push(delete(format!("{more} more things"), "and their certificates".to_owned()));
        }
        steps.extend(set_up.steps.iter().rev().map(|(what, _)| delete(what.clone(), String::new())));
        Plan {
            steps,
            command: "fleetkey cleanup --plan".to_owned(),
            note: "A trial's account is its data directory: removing the directory removes all of it. In an account of AWS the \
                   command plans the same."
                .to_owned(),
        }
    }
}

/// Things that a plan names one by one.
const MOST: usize = 200;

fn found(what: &str, outcome: Outcome) -> PlanStep {
    let (act, words) = match outcome {
        Outcome::Created => (Act::Create, "it was missing"),
        Outcome::Changed => (Act::Change, "it was different"),
        Outcome::Kept => (Act::Keep, "it was as wanted"),
    };
    PlanStep { act, what: what.to_owned(), words: words.to_owned() }
}

fn template(names: &Names, record: &TemplateRecord) -> Template {
    let purpose = if record.name == names.claim_template {
        "first provisioning"
    } else if record.name == names.rotation_template {
        "rotation"
    } else if record.name == names.recovery_template {
        "recovery"
    } else {
        "not this fleet's"
    };
    Template {
        name: record.name.to_string(),
        purpose: purpose.to_owned(),
        enabled: record.enabled,
        hook: record.hook.as_ref().map(hook),
        version: Some(record.versions.default),
        modified: Some(record.last_modified),
    }
}

fn hook(hook: &BuiltinHook) -> String {
    match hook {
        BuiltinHook::Serials { allow } => {
            let patterns: Vec<&str> = allow.iter().map(|SerialPattern(pattern)| pattern.as_str()).collect();
            format!("serials that match {}", patterns.join(", "))
        }
        BuiltinHook::OwnThing => "whoever holds the thing already".to_owned(),
        BuiltinHook::Function { arn } => format!("the function {arn}"),
    }
}

fn claim(names: &Names, record: &CertificateRecord) -> Option<Claim> {
    let may = match &record.claim_for {
        Some(template) => format!("use the template {template}"),
        None if record.policies.contains(&names.claim_policy) => {
            format!("what {} allows", names.claim_policy)
        }
        None => return None,
    };
    Some(Claim {
        certificate: record.id,
        status: record.status,
        created: record.created_at,
        not_after: record.not_after,
        may,
    })
}

fn recovery(names: &Names, registry: &Registry, directory: &Path) -> Recovery {
    match registry.template(&names.recovery_template) {
        Some(record) if record.enabled => {
            let windows = Windows::read(directory).map(|windows| windows.open_at(SystemClock.now()));
            let windows = windows.unwrap_or_default();
            let by_hook = || record.hook.as_ref().map_or_else(|| "everybody".to_owned(), hook);
            let until = windows.iter().map(|window| window.until).max();
            Recovery::Open { whom: whom(&windows).unwrap_or_else(by_hook), until }
        }
        _ => Recovery::Closed,
    }
}
