//! Published versions: what `$LATEST` was at a moment, under a number that is never given again.
//!
//! Source: Lambda Developer Guide, configuration-versions; API reference, PublishVersion. A version has code and
//! configuration of its own, and a resource policy of its own, which begins empty. Not here: aliases.

use std::sync::Arc;

use super::change::seen_is;
use super::create::revision;
use super::record::Function;
use super::{FunctionError, Functions, State, check};

/// Published versions of all functions; Lambda limits their bytes, we their number.
const MAX_VERSIONS: usize = 1000;

/// PublishVersion's input.
#[derive(Debug, Clone, Default)]
pub(crate) struct Publication {
    /// What the code must be, base64.
    pub(crate) sha256: Option<String>,
    /// In place of the function's own description.
    pub(crate) description: Option<String>,
    /// The revision that the caller has seen.
    pub(crate) revision: Option<String>,
}

impl Functions {
    /// PublishVersion. As Lambda does, it answers with the last version if neither code nor configuration has changed
    /// since.
    ///
    /// # Errors
    /// When there is no such function, it is not as the caller says, or there are too many versions.
    pub(crate) async fn publish(&self, name: &str, new: Publication) -> Result<Arc<Function>, FunctionError> {
        let _turn = self.0.turn.lock().await;
        check::description(new.description.as_deref().unwrap_or_default())?;
        let name = self.latest(name)?;
        let latest = self.function(&name)?;
        seen_is(&latest, new.revision.as_deref())?;
        if let Some(wanted) = new.sha256.filter(|sha256| *sha256 != latest.code.sha256_base64) {
            let message = format!(
                "CodeSHA256 ({wanted}) is different from current CodeSHA256 in $LATEST ({}). Please try again with \
                 the CodeSHA256 in $LATEST.",
                latest.code.sha256_base64
            );
            return Err(FunctionError::InvalidParameter(message));
        }
        let published = self.versions(&name)?;
        if let Some(last) = published.last().filter(|last| last.version.is_some() && last.is_still(&latest)) {
            return Ok(last.clone());
        }
        let description = new.description.unwrap_or_else(|| latest.description.clone());
        let (permissions, revision) = (Vec::new(), revision()?);
        let snapshot = Function { description, permissions, revision, ..latest.as_ref().clone() };
        self.0.state.change(|state| number(state, snapshot)).await
    }

    /// ListVersionsByFunction: `$LATEST`, then what was published, by number.
    ///
    /// # Errors
    /// When there is no such function.
    pub(crate) fn versions(&self, name: &str) -> Result<Vec<Arc<Function>>, FunctionError> {
        let latest = self.function(&self.latest(name)?)?;
        let state = self.0.state.read();
        let mut versions: Vec<_> =
            state.versions.values().filter(|version| version.name == latest.name).cloned().collect();
        versions.sort_by_key(|version| version.version);
        versions.insert(0, latest);
        Ok(versions)
    }

    /// The name of one version of a function, as a function's name with `:` and the qualifier; without a qualifier
    /// the name as it is.
    ///
    /// # Errors
    /// When the name has another qualifier already.
    pub(crate) fn qualified(&self, name: &str, qualifier: Option<&str>) -> Result<String, FunctionError> {
        let Some(qualifier) = qualifier else {
            return Ok(name.to_owned());
        };
        match check::split(name, &self.0.scope).1 {
            None => Ok(format!("{name}:{qualifier}")),
            Some(own) if own == qualifier => Ok(name.to_owned()),
            Some(_) => {
                let message =
                    "The derived qualifier from the function name does not match the specified qualifier.";
                Err(FunctionError::InvalidParameter(message.to_owned()))
            }
        }
    }
}

/// Gives a snapshot the next number of its name.
fn number(state: &mut State, snapshot: Function) -> Result<Arc<Function>, FunctionError> {
    if state.versions.len() >= MAX_VERSIONS {
        let message = format!("There are {MAX_VERSIONS} published versions already.");
        return Err(FunctionError::InvalidParameter(message));
    }
    let last = state.numbers.entry(snapshot.name.clone()).or_default();
    *last = last.saturating_add(1);
    let version = Arc::new(Function { version: Some(*last), ..snapshot });
    state.versions.insert(version.key(), version.clone());
    Ok(version)
}

impl Function {
    /// `$LATEST`, or the number of a published version.
    pub(crate) fn version_name(&self) -> String {
        self.version.map_or_else(|| "$LATEST".to_owned(), |number| number.to_string())
    }

    /// `NAME`, or `NAME:NUMBER`.
    pub(super) fn key(&self) -> String {
        match self.version {
            None => self.name.clone(),
            Some(number) => format!("{}:{number}", self.name),
        }
    }

    /// Whether `latest` has neither other code nor another configuration than this version was made of. A description
    /// may be the version's own, so it counts only if there was a change at all.
    fn is_still(&self, latest: &Self) -> bool {
        let touched = latest.last_modified != self.last_modified && latest.description != self.description;
        let same = Self {
            description: latest.description.clone(),
            permissions: latest.permissions.clone(),
            revision: latest.revision.clone(),
            tags: latest.tags.clone(),
            last_modified: latest.last_modified,
            version: None,
            ..self.clone()
        };
        !touched && same == *latest
    }
}
