//! `[[hooks.after_commit]]` and `[[hooks.after_retire]]`: what is run on this computer, and how long it may take.
//!
//! ```toml
//! [[hooks.after_commit]]
//! exec = ["/usr/local/bin/tell-the-plc", "--now"]
//! timeout = "30s"
//!
//! [[hooks.after_commit]]
//! signal = "HUP"
//! pid_file = "/run/mosquitto.pid"
//! process = "mosquitto"
//!
//! [[hooks.after_retire]]
//! systemd_reload = "telegraf.service"
//! ```

use core::fmt;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::file::Span;
use crate::keys::Fingerprint;

/// How long a hook may take unless it says so.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long it may say.
const LONGEST: Duration = Duration::from_secs(600);

/// All hooks of an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Run when another identity is in use and its files are exported, the first one included.
    pub after_commit: Vec<Hook>,
    /// Run when nothing older than the identity in use can connect any more.
    pub after_retire: Vec<Hook>,
}

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// Another identity is in use, and its files are exported.
    Commit,
    /// Nothing older can connect any more.
    Retire,
}

/// One hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// What it does.
    pub target: Target,
    /// How long it may take, before it is killed with all that it has started.
    pub timeout: Duration,
}

/// What a hook does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Runs a program, without a shell.
    Exec {
        /// An absolute path.
        program: PathBuf,
        /// Its arguments.
        arguments: Vec<String>,
    },
    /// Sends a signal to the process in a file, if it bears this name.
    Signal {
        /// One that programs take as a word to read their files again, or to end.
        signal: Signal,
        /// The file with its number.
        pid_file: PathBuf,
        /// Its name, as /proc/PID/comm has it.
        process: String,
    },
    /// `systemctl reload`.
    Reload {
        /// The unit.
        unit: String,
    },
}

impl Hooks {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.after_commit.is_empty() && self.after_retire.is_empty()
    }

    /// Those of an occasion, in their order.
    pub fn on(&self, occasion: Occasion) -> &[Hook] {
        match occasion {
            Occasion::Commit => &self.after_commit,
            Occasion::Retire => &self.after_retire,
        }
    }
}

impl Occasion {
    /// As hooks are told.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Retire => "retire",
        }
    }
}

impl Hook {
    /// Tells hooks apart in the note of what has run: one that was changed is another.
    pub(crate) fn mark(&self) -> String {
        let text = format!("{:?}", self.target);
        Fingerprint::of_spki(text.as_bytes()).to_string().chars().take(16).collect()
    }
}

/// For events and logs: without arguments, which are the hook's own business.
impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Exec { program, .. } => write!(f, "{}", program.display()),
            Target::Signal { signal, process, .. } => write!(f, "{signal} to {process}"),
            Target::Reload { unit } => write!(f, "reload of {unit}"),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct HooksTable {
    after_commit: Vec<HookTable>,
    after_retire: Vec<HookTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HookTable {
    exec: Option<Vec<String>>,
    signal: Option<String>,
    pid_file: Option<PathBuf>,
    process: Option<String>,
    systemd_reload: Option<String>,
    timeout: Option<Span>,
}

impl HooksTable {
    pub(super) fn into_hooks(self) -> Result<Hooks, String> {
        let read = |tables: Vec<HookTable>, name: &str| {
            let hooks = tables.into_iter().map(HookTable::into_hook);
            hooks.collect::<Result<Vec<_>, _>>().map_err(|error| format!("hooks.{name}: {error}"))
        };
        let after_commit = read(self.after_commit, "after_commit")?;
        Ok(Hooks { after_commit, after_retire: read(self.after_retire, "after_retire")? })
    }
}

impl HookTable {
    fn into_hook(self) -> Result<Hook, String> {
        let timeout = self.timeout.map_or(TIMEOUT, |span| span.0);
        if timeout.is_zero() || timeout > LONGEST {
            return Err("timeout must be more than nothing, and at most 10m".to_owned());
        }
        let target = match (self.exec, self.signal, self.systemd_reload) {
            (Some(words), None, None) => exec(words)?,
            (None, Some(name), None) => {
                let both = self.pid_file.zip(self.process);
                let (pid_file, process) = both.ok_or("signal needs pid_file and process")?;
                return Ok(Hook { target: signal(&name, pid_file, process)?, timeout });
            }
            (None, None, Some(unit)) => reload(unit)?,
            _ => return Err("each hook has one of exec, signal and systemd_reload".to_owned()),
        };
        match (self.pid_file, self.process) {
            (None, None) => Ok(Hook { target, timeout }),
            _ => Err("pid_file and process belong to signal".to_owned()),
        }
    }
}

fn exec(words: Vec<String>) -> Result<Target, String> {
    let mut words = words.into_iter();
    let program = words.next().map(PathBuf::from).filter(|program| program.is_absolute());
    let program = program.ok_or("exec begins with the absolute path of a program")?;
    Ok(Target::Exec { program, arguments: words.collect() })
}

fn signal(name: &str, pid_file: PathBuf, process: String) -> Result<Target, String> {
    let signal = match name {
        "HUP" => Signal::SIGHUP,
        "INT" => Signal::SIGINT,
        "TERM" => Signal::SIGTERM,
        "USR1" => Signal::SIGUSR1,
        "USR2" => Signal::SIGUSR2,
        _ => return Err(format!("{name:?} is none of the signals HUP, INT, TERM, USR1 and USR2")),
    };
    if !pid_file.is_absolute() {
        return Err("pid_file must be an absolute path".to_owned());
    }
    if process.is_empty() {
        return Err("process must name the program that is meant".to_owned());
    }
    Ok(Target::Signal { signal, pid_file, process })
}

/// The characters of a unit name (systemd.unit(5)).
fn reload(unit: String) -> Result<Target, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    if unit.is_empty() || unit.starts_with('-') || !unit.chars().all(fits) {
        return Err(format!("{unit:?} is no name of a unit"));
    }
    Ok(Target::Reload { unit })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Hooks, String> {
        let table: HooksTable = toml::from_str(text).map_err(|error| error.to_string())?;
        table.into_hooks()
    }

    #[test]
    fn hooks_are_one_thing_each_and_take_a_bounded_time() {
        let hooks = read(
            "[[after_commit]]\nexec = [\"/bin/true\", \"-x\"]\ntimeout = \"5s\"\n\
             [[after_commit]]\nsignal = \"HUP\"\npid_file = \"/run/m.pid\"\nprocess = \"m\"\n\
             [[after_retire]]\nsystemd_reload = \"a@b.service\"\n",
        );
        let hooks = hooks.unwrap();
        let shown = |hooks: &[Hook]| hooks.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(shown(&hooks.after_commit), ["/bin/true", "SIGHUP to m"]);
        assert_eq!(shown(&hooks.after_retire), ["reload of a@b.service"]);
        assert_eq!(hooks.after_commit[0].timeout, Duration::from_secs(5));
        let table = [
            ("exec = [\"true\"]", "absolute"),
            ("exec = []", "absolute"),
            ("exec = [\"/bin/true\"]\nsystemd_reload = \"a\"", "one of"),
            ("timeout = \"1s\"", "one of"),
            ("exec = [\"/bin/true\"]\ntimeout = \"1h\"", "10m"),
            ("exec = [\"/bin/true\"]\nprocess = \"x\"", "belong to signal"),
            ("signal = \"HUP\"\npid_file = \"/p\"", "process"),
            ("signal = \"KILL\"\npid_file = \"/p\"\nprocess = \"x\"", "KILL"),
            ("systemd_reload = \"--now\"", "no name of a unit"),
        ];
        for (hook, named) in table {
            let error = read(&format!("[[after_retire]]\n{hook}\n")).unwrap_err();
            assert!(error.contains("hooks.after_retire") && error.contains(named), "{hook}: {error}");
        }
    }
}
