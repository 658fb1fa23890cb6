//! `[watch]`: the log of another program, and what may follow from it.
//!
//! ```toml
//! [watch]
//! file = "/var/log/node-red.log"        # or unit = "nodered.service"
//! rotate = false                        # true: a suspicious line starts a rotation that waits for nothing
//! spacing = "1d"                        # but never of a younger identity
//! ```

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Span;
use crate::watch::{LogSource, WatchSettings};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WatchTable {
    file: Option<PathBuf>,
    unit: Option<String>,
    #[serde(default)]
    rotate: bool,
    spacing: Option<Span>,
}

impl WatchTable {
    pub(super) fn into_settings(self, base: &Path) -> Result<WatchSettings, String> {
        let log = match (self.file, self.unit) {
            (Some(file), None) => LogSource::File(base.join(file)),
            (None, Some(unit)) if !unit.is_empty() => LogSource::Unit(unit),
            _ => {
                return Err("[watch] needs either file, a log, or unit, a unit of the systemd journal".into());
            }
        };
        let spacing = self.spacing.map_or(WatchSettings::SPACING, |span| span.0);
        Ok(WatchSettings { log, rotate: self.rotate, spacing })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(table: &str) -> Result<WatchSettings, String> {
        toml::from_str::<WatchTable>(table).unwrap().into_settings(Path::new("/etc/fleetkey"))
    }

    #[test]
    fn a_log_to_watch_is_a_file_or_a_unit() {
        let file = read("file = \"red.log\"\nrotate = true\nspacing = \"6h\"").unwrap();
        assert_eq!(file.log, LogSource::File("/etc/fleetkey/red.log".into()));
        assert_eq!((file.rotate, file.spacing), (true, Duration::from_secs(6 * 3600)));
        let unit = read("unit = \"nodered.service\"").unwrap();
        assert_eq!((unit.rotate, unit.spacing), (false, WatchSettings::SPACING));
        for bad in ["", "unit = \"\"", "file = \"a\"\nunit = \"b\""] {
            assert!(read(bad).unwrap_err().contains("[watch]"), "{bad}");
        }
    }
}
