//! Our packages and their direct dependencies, read from `cargo metadata --no-deps`.
//!
//! Only what the rules ask for; the resolved graph is `cargo tree`'s business.

use anyhow::{Context, Result};
use serde_json::Value;

/// A package of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    /// Name as in its manifest.
    pub(crate) name: String,
    /// Its direct dependencies, as declared.
    pub(crate) dependencies: Vec<Dependency>,
}

/// A declared dependency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dependency {
    /// The package that is depended on, not a rename.
    pub(crate) name: String,
    /// Which section it stands in.
    pub(crate) kind: Kind,
    /// Whether a feature must ask for it.
    pub(crate) optional: bool,
}

/// The section of a manifest a dependency stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `[dependencies]`
    Normal,
    /// `[build-dependencies]`
    Build,
    /// `[dev-dependencies]`
    Dev,
}

/// Reads the packages out of the JSON that `cargo metadata` printed.
pub(crate) fn packages(json: &str) -> Result<Vec<Package>> {
    let metadata: Value = serde_json::from_str(json).context("cargo metadata printed no JSON")?;
    array(&metadata, "packages")?.iter().map(package).collect()
}

fn package(value: &Value) -> Result<Package> {
    let dependencies = array(value, "dependencies")?.iter().map(dependency).collect::<Result<_>>()?;
    Ok(Package { name: text(value, "name")?, dependencies })
}

fn dependency(value: &Value) -> Result<Dependency> {
    let kind = match value.get("kind").and_then(Value::as_str) {
        Some("dev") => Kind::Dev,
        Some("build") => Kind::Build,
        _ => Kind::Normal,
    };
    let optional = value.get("optional").and_then(Value::as_bool).unwrap_or(false);
    Ok(Dependency { name: text(value, "name")?, kind, optional })
}

fn array<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    value.get(key).and_then(Value::as_array).with_context(|| format!("cargo metadata has no list {key:?}"))
}

fn text(value: &Value, key: &str) -> Result<String> {
    let text = value.get(key).and_then(Value::as_str);
    text.map(String::from).with_context(|| format!("cargo metadata has no text {key:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_and_the_optionality_of_a_dependency_are_read() {
        let json = r#"{"packages":[{"name":"a","dependencies":[
            {"name":"b","kind":null,"optional":true},{"name":"c","kind":"dev","optional":false}]}]}"#;
        let expected = Package {
            name: "a".into(),
            dependencies: vec![
                Dependency { name: "b".into(), kind: Kind::Normal, optional: true },
                Dependency { name: "c".into(), kind: Kind::Dev, optional: false },
            ],
        };
        assert_eq!(packages(json).unwrap(), [expected]);
    }

    #[test]
    fn what_is_not_metadata_is_refused() {
        assert!(packages("{}").is_err());
        assert!(packages("no").is_err());
    }
}
