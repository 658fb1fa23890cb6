//! `operator/fleet.json`: what set-up was asked for, so that status and clean-up speak of the same fleet.

use std::path::Path;

use anyhow::{Context, Result};
use fleetkey_model::arn::Scope;
use fleetkey_model::topic::TopicRoot;
use fleetkey_operator::documents::{Fleet, Names};
use fleetkey_operator::files;
use fleetkey_operator::plan::{CloudNames, Wanted, with_template};
use serde::{Deserialize, Serialize};

use crate::args::AccountArgs;
use crate::datadir::DataDir;

/// The name of the file.
pub(super) const FILE: &str = "fleet.json";

/// A fleet as it was asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) name_prefix: String,
    pub(super) template_name: Option<String>,
    pub(super) topic_root: String,
    pub(super) serials: Vec<String>,
    pub(super) log_days: i32,
}

impl Default for Settings {
    /// The demo's names; every serial; a month of the hook's log.
    fn default() -> Self {
        Self {
            name_prefix: String::new(),
            template_name: None,
            topic_root: TopicRoot::default().as_str().to_owned(),
            serials: vec!["*".to_owned()],
            log_days: 30,
        }
    }
}

impl Settings {
    /// What set-up wrote; the defaults when it was never run here.
    pub(super) fn read(data: &DataDir) -> Result<Self> {
        let path = data.operator().join(FILE);
        match files::read(&path)? {
            None => Ok(Self::default()),
            Some(text) => serde_json::from_slice(&text).with_context(|| {
                format!("{} is damaged; remove it and give set-up's flags again", path.display())
            }),
        }
    }

    /// The same with what the flags say.
    pub(super) fn with(mut self, args: &AccountArgs) -> Self {
        if let Some(prefix) = &args.name_prefix {
            self.name_prefix.clone_from(prefix);
        }
        if let Some(template) = &args.template_name {
            self.template_name = Some(template.to_string());
        }
        self
    }

    /// Writes them into the operator's directory, durably.
    pub(super) fn write(&self, directory: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).context("fleet.json cannot be written")?;
        Ok(files::write(&directory.join(FILE), &text, files::PRIVATE)?)
    }

    /// What the fleet's resources are called in every account.
    pub(super) fn names(&self) -> Result<Names> {
        let mut names = Names::new(&self.name_prefix)
            .with_context(|| format!("--name-prefix {:?} makes no names", self.name_prefix))?;
        if let Some(template) = &self.template_name {
            let long = || format!("{template:?} leaves no room for -recover behind it: 36 characters in all");
            with_template(&mut names, template).with_context(long)?;
        }
        Ok(names)
    }

    /// The fleet in an account, without recovery windows.
    pub(super) fn wanted(&self, scope: Scope) -> Result<Wanted> {
        let names = self.names()?;
        let root = TopicRoot::new(self.topic_root.as_str())
            .with_context(|| format!("{:?} is no topic root", self.topic_root))?;
        let cloud = CloudNames::new(&self.name_prefix, &scope.region);
        let fleet = Fleet { scope, root, names };
        let (serials, retention_days) = (self.serials.clone(), self.log_days);
        Ok(Wanted { fleet, names: cloud, serials, windows: Vec::new(), retention_days })
    }
}
