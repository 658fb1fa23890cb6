//! Templates, claims and the recovery window as the registry has them.

use std::path::Path;

use fleetkey_dashboard::fleet::{Claim, Provisioning, Recovery, Template};
use fleetkey_iotcore::clock::{Clock, SystemClock};
use fleetkey_iotcore::registry::{BuiltinHook, CertificateRecord, Registry, SerialPattern, TemplateRecord};
use fleetkey_operator::documents::Names;
use fleetkey_operator::recovery::Windows;

use super::{Board, SetUp};
use crate::stage::Stage;
use crate::windows::whom;

impl Board {
    /// The account is set up.
    pub(crate) fn set_up(&self, stage: &Stage) {
        self.enter_all("set-up", "", &stage.report().steps);
        // There is one set-up a process.
        let (control, settings) = stage.tools();
        let file = stage.file().clone();
        let _ = self.set_up.set(SetUp { names: stage.names().clone(), control, settings, file });
        self.hub.tell("fleet", None);
    }

    /// How devices come in.
    pub(super) fn doors(&self) -> Provisioning {
        let Some(SetUp { names, settings, .. }) = self.set_up.get() else {
            return Provisioning::default();
        };
        let registry = self.account.store().read();
        Provisioning {
            templates: registry.templates().map(|record| template(names, record)).collect(),
            claims: registry.certificates().filter_map(|record| claim(names, record)).collect(),
            recovery: Some(recovery(names, &registry, &settings.directory)),
        }
    }
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
