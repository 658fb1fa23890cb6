//! Style sheet and scripts: compiled in, served under names that change with their content.

use std::sync::OnceLock;

use aws_lc_rs::digest;
use bytes::Bytes;

use crate::design;

/// A file that pages refer to.
#[derive(Debug)]
pub(crate) struct Asset {
    /// The last part of its path.
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) bytes: Bytes,
}

/// All there is.
#[derive(Debug)]
pub(crate) struct Assets {
    pub(crate) style: Asset,
    pub(crate) script: Asset,
    pub(crate) icon: Asset,
}

const RULES: &str = include_str!("../assets/style.css");
const SCRIPT: &str = include_str!("../assets/live.js");
const ICON: &str = include_str!("../assets/icon.svg");

/// The files.
pub(crate) fn all() -> &'static Assets {
    static ALL: OnceLock<Assets> = OnceLock::new();
    ALL.get_or_init(|| Assets {
        style: asset("style", "css", "text/css; charset=utf-8", format!("{}{RULES}", design::sheet())),
        script: asset("live", "js", "text/javascript; charset=utf-8", SCRIPT.to_owned()),
        icon: asset("icon", "svg", "image/svg+xml", ICON.to_owned()),
    })
}

/// The file with this name.
pub(crate) fn named(name: &str) -> Option<&'static Asset> {
    let all = all();
    [&all.style, &all.script, &all.icon].into_iter().find(|asset| asset.name == name)
}

fn asset(stem: &str, ending: &str, kind: &'static str, text: String) -> Asset {
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    let hash: String = hash.as_ref().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    Asset { name: format!("{stem}-{hash}.{ending}"), kind, bytes: text.into() }
}
