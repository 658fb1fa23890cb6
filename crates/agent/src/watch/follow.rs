//! Lines of a log as they come: of a file that may be replaced or emptied, or of a journal unit.
//!
//! What is there at the start is past: the agent begins at the end.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::sync::mpsc;

/// How often a file is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long after its end a journal is asked again.
const AGAIN: Duration = Duration::from_secs(10);
/// A line that is longer counts as several.
const LONGEST: u64 = 16 * 1024;
/// Bytes read at one look; the rest is for the next.
const AT_ONCE: u64 = 1024 * 1024;

/// Follows a file for ever. That it is not there is waited out.
pub(super) async fn file(path: PathBuf, lines: mpsc::Sender<String>) {
    let mut place = Place::end_of(&path);
    let mut readable = true;
    loop {
        tokio::time::sleep(LOOK).await;
        let looked = path.clone();
        let read = tokio::task::spawn_blocking(move || {
            let read = place.read(&looked);
            (place, read)
        });
        let Ok((moved, read)) = read.await else { return };
        place = moved;
        // Told once, until it changes: a log that cannot be read looks like one without trouble.
        match &read {
            Err(error) if readable => {
                tracing::warn!(%error, log = %path.display(), "the log cannot be read; it is not watched until it can");
            }
            Ok(_) if !readable => tracing::info!(log = %path.display(), "the log is watched again"),
            _ => {}
        }
        readable = read.is_ok();
        for line in read.unwrap_or_default() {
            if lines.send(line).await.is_err() {
                return;
            }
        }
    }
}

/// Where in which file we are.
#[derive(Debug, Default)]
pub(super) struct Place {
    inode: u64,
    offset: u64,
}

impl Place {
    /// The end of what is there; the beginning of what is not there yet.
    pub(super) fn end_of(path: &Path) -> Self {
        let facts = std::fs::metadata(path).ok();
        facts.map_or_else(Self::default, |facts| Self { inode: facts.ino(), offset: facts.len() })
    }

    /// The lines that are whole by now. A file that was replaced, or became shorter, is read from its beginning.
    pub(super) fn read(&mut self, path: &Path) -> io::Result<Vec<String>> {
        // Asked before it is opened: a pipe without a writer would keep us there for ever.
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        let mut file = File::open(path)?;
        let facts = file.metadata()?;
        if facts.ino() != self.inode || facts.len() < self.offset {
            *self = Self { inode: facts.ino(), offset: 0 };
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut reader = BufReader::new(file.take(AT_ONCE));
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            let read = reader.by_ref().take(LONGEST).read_until(b'\n', &mut line)? as u64;
            let whole = line.ends_with(b"\n") || read == LONGEST;
            if read == 0 || !whole {
                return Ok(lines);
            }
            self.offset += read;
            lines.push(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
    }
}

/// Follows a unit of the systemd journal for ever, by `journalctl`. One that ends, or does not begin, is run again.
pub(super) async fn unit(journalctl: PathBuf, name: String, lines: mpsc::Sender<String>) {
    loop {
        match journal(&journalctl, &name) {
            Ok(mut child) => {
                if let Some(output) = child.0.stdout.take() {
                    let told = lines.clone();
                    let reader = tokio::task::spawn_blocking(move || pass_on(output, &told));
                    // Aborted with us: the guard then ends the child, and with its output the reader ends.
                    let _ = reader.await;
                }
                tracing::warn!(unit = name, "journalctl ended; it is started again");
            }
            Err(error) => {
                tracing::warn!(%error, unit = name, "journalctl cannot be run; the log is not watched");
            }
        }
        if lines.is_closed() {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// A child that does not outlive us.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn journal(journalctl: &Path, unit: &str) -> io::Result<Guard> {
    let mut command = Command::new(journalctl);
    // `--unit=` so that no name is taken for a flag.
    command.args(["--follow", "--lines=0", "--output=cat"]).arg(format!("--unit={unit}"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map(Guard)
}

fn pass_on(output: impl Read, lines: &mpsc::Sender<String>) {
    let mut reader = BufReader::new(output);
    loop {
        let mut line = Vec::new();
        match reader.by_ref().take(LONGEST).read_until(b'\n', &mut line) {
            Ok(read) if read > 0 => {}
            _ => return,
        }
        if lines.blocking_send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_log_is_followed_from_its_end_through_growth_replacement_and_emptying() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "past\n").unwrap();
        let mut place = Place::end_of(&path);
        assert!(place.read(&path).unwrap().is_empty());
        let append = |text: &str| {
            let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        append("one\ntw");
        assert_eq!(place.read(&path).unwrap(), ["one"]);
        append("o\n");
        assert_eq!(place.read(&path).unwrap(), ["two"]);
        std::fs::rename(&path, dir.path().join("log.1")).unwrap();
        assert!(place.read(&path).is_err());
        std::fs::write(&path, "after the replacement, longer than before\n").unwrap();
        assert_eq!(place.read(&path).unwrap().len(), 1);
        std::fs::write(&path, "short\n").unwrap();
        assert_eq!(place.read(&path).unwrap(), ["short"]);
    }

    #[test]
    fn a_log_that_comes_later_is_read_from_its_beginning_and_bytes_that_are_no_text_pass() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut place = Place::end_of(&path);
        std::fs::write(&path, b"\xff\xfe first\n").unwrap();
        assert_eq!(place.read(&path).unwrap().len(), 1);
        std::fs::write(&path, [vec![b'x'; 40_000], b"\n".to_vec()].concat()).unwrap();
        place = Place::default();
        assert_eq!(place.read(&path).unwrap().len(), 3);
        assert!(place.read(dir.path()).unwrap_err().to_string().contains("no regular file"));
    }

    #[tokio::test]
    async fn a_unit_is_followed_by_a_journalctl_that_ends_with_us() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let journalctl = dir.path().join("journalctl");
        std::fs::write(&journalctl, "#!/bin/sh\necho $$ \"$@\"\necho 'bad record mac'\nexec sleep 1000\n")
            .unwrap();
        std::fs::set_permissions(&journalctl, std::fs::Permissions::from_mode(0o700)).unwrap();
        let (tell, mut lines) = mpsc::channel(8);
        let following = tokio::spawn(unit(journalctl, "nodered.service".into(), tell));
        let first = lines.recv().await.unwrap();
        let (process, arguments) = first.split_once(' ').unwrap();
        assert_eq!(arguments, "--follow --lines=0 --output=cat --unit=nodered.service");
        assert_eq!(lines.recv().await.unwrap(), "bad record mac");
        assert!(Path::new("/proc").join(process).exists());
        following.abort();
        assert!(following.await.unwrap_err().is_cancelled());
        assert!(!Path::new("/proc").join(process).exists());
    }
}
