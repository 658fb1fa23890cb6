//! One change, one row: which table, which key, which JSON.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::StorageError;
use crate::registry::Change;

/// The tables of records. Their names are the file's format: renaming one is a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Certificates,
    Things,
    ThingTypes,
    Groups,
    Policies,
    Templates,
    Rules,
    EventSettings,
}

/// The one row of its table.
const EVENT_SETTINGS: &str = "account";

impl Table {
    pub(super) const ALL: [Self; 8] = [
        Self::Certificates,
        Self::Things,
        Self::ThingTypes,
        Self::Groups,
        Self::Policies,
        Self::Templates,
        Self::Rules,
        Self::EventSettings,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Certificates => "certificates",
            Self::Things => "things",
            Self::ThingTypes => "thing-types",
            Self::Groups => "groups",
            Self::Policies => "policies",
            Self::Templates => "templates",
            Self::Rules => "rules",
            Self::EventSettings => "event-settings",
        }
    }

    /// The change that makes the record that `json` is.
    pub(super) fn read(self, json: &[u8]) -> Result<Change, serde_json::Error> {
        Ok(match self {
            Self::Certificates => Change::PutCertificate(record(json)?),
            Self::Things => Change::PutThing(record(json)?),
            Self::ThingTypes => Change::PutThingType(record(json)?),
            Self::Groups => Change::PutGroup(record(json)?),
            Self::Policies => Change::PutPolicy(record(json)?),
            Self::Templates => Change::PutTemplate(record(json)?),
            Self::Rules => Change::PutRule(record(json)?),
            Self::EventSettings => Change::PutEventSettings(record(json)?),
        })
    }
}

fn record<T: DeserializeOwned>(json: &[u8]) -> Result<Arc<T>, serde_json::Error> {
    serde_json::from_slice(json).map(Arc::new)
}

/// What becomes of one row.
pub(super) struct Row {
    pub(super) table: Table,
    pub(super) key: String,
    /// `None` removes the row.
    pub(super) json: Option<Vec<u8>>,
}

impl Row {
    pub(super) fn of(change: &Change) -> Result<Self, StorageError> {
        match change {
            Change::PutCertificate(record) => put(Table::Certificates, &record.id, record.as_ref()),
            Change::DeleteCertificate(id) => Ok(delete(Table::Certificates, id)),
            Change::PutThing(thing) => put(Table::Things, &thing.name, thing.as_ref()),
            Change::DeleteThing(name) => Ok(delete(Table::Things, name)),
            Change::PutThingType(kind) => put(Table::ThingTypes, &kind.name, kind.as_ref()),
            Change::DeleteThingType(name) => Ok(delete(Table::ThingTypes, name)),
            Change::PutGroup(group) => put(Table::Groups, &group.name, group.as_ref()),
            Change::DeleteGroup(name) => Ok(delete(Table::Groups, name)),
            Change::PutPolicy(policy) => put(Table::Policies, &policy.name, policy.as_ref()),
            Change::DeletePolicy(name) => Ok(delete(Table::Policies, name)),
            Change::PutTemplate(template) => put(Table::Templates, &template.name, template.as_ref()),
            Change::DeleteTemplate(name) => Ok(delete(Table::Templates, name)),
            Change::PutRule(rule) => put(Table::Rules, &rule.name, rule.as_ref()),
            Change::DeleteRule(name) => Ok(delete(Table::Rules, name)),
            Change::PutEventSettings(settings) => {
                put(Table::EventSettings, &EVENT_SETTINGS, settings.as_ref())
            }
        }
    }
}

fn put(table: Table, key: &impl ToString, record: &impl Serialize) -> Result<Row, StorageError> {
    let json = serde_json::to_vec(record)
        .map_err(|error| StorageError::because(format!("a record cannot be written as JSON: {error}")))?;
    Ok(Row { table, key: key.to_string(), json: Some(json) })
}

fn delete(table: Table, key: &impl ToString) -> Row {
    Row { table, key: key.to_string(), json: None }
}
