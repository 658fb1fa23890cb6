//! Recovery windows where fleetkey's own process is the account: `up` and `local --setup` have a hook that is built in, so
//! they carry out what `fleetkey recovery` leaves in their directory themselves, and close a window when its time is over.
//! Against an account the command does that, by the operator's plan.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use fleetkey_iotcore::clock::{Clock, SystemClock};
use fleetkey_model::name::TemplateName;
use fleetkey_model::time::Timestamp;
use fleetkey_operator::control_plane::{ControlPlane, Hook, TemplateSpec};
use fleetkey_operator::files::Lock;
use fleetkey_operator::recovery::{Window, WindowError, Windows};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::control::LocalControl;

/// How often the directory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a command is waited for that has the directory, before it is looked at anew what is to be done.
const TURN: Duration = Duration::from_secs(30);
/// How many serials are named one by one.
const MOST: usize = 5;

/// Whom these windows let in, in words; `None` when there is no window.
pub(crate) fn whom(windows: &[Window]) -> Option<String> {
    let mut serials: Vec<_> = windows.iter().flat_map(|window| &window.serials).map(|s| s.as_str()).collect();
    serials.sort_unstable();
    serials.dedup();
    let more = serials.len().saturating_sub(MOST);
    let named = serials.iter().take(MOST).copied().collect::<Vec<_>>().join(", ");
    match (serials.len(), more) {
        (0, _) => None,
        (_, 0) => Some(named),
        (_, more) => Some(format!("{named} and {more} more")),
    }
}

/// The task of a process that is its own account.
#[derive(Debug)]
pub(crate) struct Kept {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Kept {
    /// Begins. What is open still is opened again: set-up has closed it at the start.
    pub(crate) fn start(control: LocalControl, template: TemplateName, directory: PathBuf) -> Self {
        let stop = CancellationToken::new();
        let keeping = keep(control, template, directory);
        let keeping = stop.clone().run_until_cancelled_owned(keeping);
        Self { stop, task: tokio::spawn(async { _ = keeping.await }) }
    }

    /// Ends it.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        let _ended = self.task.await;
    }
}

async fn keep(control: LocalControl, template: TemplateName, directory: PathBuf) {
    let mut said = None;
    let mut begun = false;
    loop {
        match look(&control, &template, &directory, begun).await {
            Ok(looked) => {
                begun |= looked;
                said = None;
            }
            Err(error) => {
                let words = format!("{error:#}");
                if said.as_ref() != Some(&words) {
                    tracing::error!(error = words, "the recovery windows cannot be kept");
                }
                said = Some(words);
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Carries out what is wanted, if that is due or was not done since the start. Whether it was looked at: while a command has
/// the directory it is not, and the end of that is waited for in the line of those who want it.
async fn look(
    control: &LocalControl,
    template: &TemplateName,
    directory: &Path,
    begun: bool,
) -> Result<bool> {
    let now = SystemClock.now();
    if begun && !Windows::read(directory)?.is_due(now) {
        return Ok(true);
    }
    let _lock = match Lock::within(directory, TURN, |_| {}).await {
        Ok(lock) => lock,
        Err(error) if error.cause.kind() == ErrorKind::WouldBlock => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let mut windows = Windows::read(directory)?;
    windows.expire(now);
    let open = windows.open_at(now);
    let found = control.template(template).await.context("the recovery template cannot be read")?;
    // Closed, it lets nobody in whatever its hook says: that stays, so that set-up finds the template as it made it.
    let wanted = match open.is_empty() {
        true => TemplateSpec { enabled: false, ..found.clone() },
        false => TemplateSpec { enabled: true, hook: Some(hook(&open)), ..found.clone() },
    };
    if wanted != found {
        control.replace_template(&wanted).await.context("the recovery template cannot be changed")?;
    }
    if !windows.is_settled() {
        windows.settled();
        windows.write(directory)?;
    }
    Ok(true)
}

/// Who decides on recoveries at `now`, by the windows of the operator's directory; `None` while none is open.
pub(crate) fn decides(directory: &Path, now: Timestamp) -> Result<Option<Hook>, WindowError> {
    let open = Windows::read(directory)?.open_at(now);
    Ok((!open.is_empty()).then(|| hook(&open)))
}

/// Closes all windows of an account that is gone: nobody is to be shut out of it.
pub(crate) fn end(directory: &Path, now: Timestamp) -> Result<(), WindowError> {
    let mut windows = Windows::read(directory)?;
    if windows.is_settled() && windows.open_at(now).is_empty() {
        return Ok(());
    }
    windows.close(now, None)?;
    windows.settled();
    windows.write(directory)
}

/// A serial has no character that a pattern gives a meaning.
fn hook(open: &[Window]) -> Hook {
    let serials = open.iter().flat_map(|window| &window.serials);
    Hook::Serials { allow: serials.map(ToString::to_string).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetkey_model::name::SerialNumber;

    #[test]
    fn an_account_that_is_gone_leaves_no_window_open_and_none_to_see_to() {
        let (directory, now) = (tempfile::tempdir().unwrap(), Timestamp::from_secs(10));
        let directory = directory.path();
        end(directory, now).unwrap();
        assert!(!directory.join(fleetkey_operator::recovery::WINDOWS_FILE).exists(), "there was none");
        let mut windows = Windows::default();
        let serials = [SerialNumber::new("press-1").unwrap()].into();
        windows.open(now, serials, Duration::from_secs(60), "flood").unwrap();
        windows.write(directory).unwrap();
        let allow = vec!["press-1".to_owned()];
        assert_eq!(decides(directory, now).unwrap(), Some(Hook::Serials { allow }));
        end(directory, now).unwrap();
        assert_eq!(decides(directory, now).unwrap(), None);
        let windows = Windows::read(directory).unwrap();
        assert!(!windows.is_due(Timestamp::from_secs(9999)) && windows.all().len() == 1, "{windows:?}");
    }

    #[test]
    fn a_long_list_is_counted() {
        assert_eq!(whom(&[]), None);
        let window = |names: std::ops::Range<u32>| Window {
            number: 1,
            serials: names.map(|n| SerialNumber::new(format!("d{n}")).unwrap()).collect(),
            opened_at: Timestamp::default(),
            until: Timestamp::default(),
            why: String::new(),
            closed_at: None,
        };
        assert_eq!(whom(&[window(0..2), window(1..3)]).unwrap(), "d0, d1, d2");
        assert_eq!(whom(&[window(0..9)]).unwrap(), "d0, d1, d2, d3, d4 and 4 more");
    }
}
