//! Several journals read as one list, by their moments, a page at a time from its end.
//!
//! What is kept of a line is where it stands; the line itself is read when it is shown. So a journal of a million lines
//! takes some megabytes, and a page of it a hundred short reads. Not here: whether the chains hold ([`crate::chain`]).

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use fleetkey_model::time::Timestamp;
use serde::Deserialize;

use crate::files::FileError;

/// The longest line that is shown; longer ones are passed over. Set-up's lines hold documents, of some KiB each.
const LONGEST: u64 = 1 << 20;

/// A line as it is kept, as far as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Kept {
    /// When it was entered.
    pub at: Timestamp,
    /// The caller's ARN.
    pub who: String,
    /// `begun`, `done` or `failed`.
    pub phase: String,
    /// What was done.
    pub action: String,
    /// To what, for people.
    pub what: String,
    /// What it rests on, if that was said.
    #[serde(default)]
    pub why: Option<String>,
}

/// A page, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leaf {
    /// Lines with their numbers: one after the other in all journals together, from 1.
    pub lines: Vec<(u64, Kept)>,
    /// Before which number the next page begins; `None` for the last.
    pub next: Option<u64>,
}

/// The journals, and where each of their lines stands.
#[derive(Debug)]
pub struct Chronicle {
    journals: Vec<Journal>,
    /// By moment; a line that came later than one that is here already stands behind it, whatever its clock said.
    places: Vec<Place>,
}

#[derive(Debug)]
struct Journal {
    path: PathBuf,
    /// So many bytes are known.
    read: u64,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    at: Timestamp,
    journal: usize,
    offset: u64,
    length: u64,
}

/// Of a line, what its place depends on.
#[derive(Deserialize)]
struct Moment {
    at: Timestamp,
}

impl Chronicle {
    /// Of these journals; nothing is read yet. One that is not there is empty.
    pub fn of(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let journals = paths.into_iter().map(|path| Journal { path, read: 0 }).collect();
        Self { journals, places: Vec::new() }
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Takes in what was entered since. Blocking.
    ///
    /// # Errors
    /// When a journal cannot be read.
    pub fn refresh(&mut self) -> Result<(), FileError> {
        let shrunk = |journal: &Journal| length(&journal.path).map(|length| length < journal.read);
        if self.journals.iter().map(shrunk).collect::<Result<Vec<_>, _>>()?.contains(&true) {
            // Somebody has taken lines away, which a look at the chain tells: what is left is numbered anew.
            self.places.clear();
            self.journals.iter_mut().for_each(|journal| journal.read = 0);
        }
        let mut new = Vec::new();
        for (index, journal) in self.journals.iter_mut().enumerate() {
            journal.follow(index, &mut new)?;
        }
        new.sort_by_key(|place| place.at);
        self.places.append(&mut new);
        Ok(())
    }

    /// The lines with numbers below `before`, newest first, at most `limit`. Blocking.
    ///
    /// # Errors
    /// When a journal cannot be read.
    pub fn leaf(&self, before: Option<u64>, limit: usize) -> Result<Leaf, FileError> {
        let end = before.map_or(self.places.len(), |before| {
            usize::try_from(before.saturating_sub(1))
                .map_or(self.places.len(), |end| end.min(self.places.len()))
        });
        let begin = end.saturating_sub(limit);
        let files = self.journals.iter().map(Journal::open).collect::<Result<Vec<_>, _>>()?;
        let mut lines = Vec::new();
        for (index, place) in self.places.iter().enumerate().take(end).skip(begin).rev() {
            let journal = self.journals.get(place.journal).zip(files.get(place.journal));
            let Some((journal, Some(file))) = journal else { continue };
            lines.extend(journal.line(file, place)?.map(|kept| (index as u64 + 1, kept)));
        }
        Ok(Leaf { lines, next: (begin > 0).then_some(begin as u64 + 1) })
    }
}

impl Journal {
    fn open(&self) -> Result<Option<File>, FileError> {
        match File::open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            file => file.map(Some).map_err(|error| FileError::new("open", &self.path, error)),
        }
    }

    /// The places of whole lines that were not known. What is no entry, as a line that a power cut has torn, has none.
    fn follow(&mut self, journal: usize, places: &mut Vec<Place>) -> Result<(), FileError> {
        let Some(file) = self.open()? else { return Ok(()) };
        let failed = |error| FileError::new("read", &self.path, error);
        let mut reader = BufReader::new(file);
        let mut offset = reader.seek(SeekFrom::Start(self.read)).map_err(failed)?;
        let mut text = Vec::new();
        loop {
            text.clear();
            reader.read_until(b'\n', &mut text).map_err(failed)?;
            if text.last() != Some(&b'\n') {
                break;
            }
            let length = text.len() as u64;
            if let Ok(Moment { at }) = serde_json::from_slice(&text) {
                places.push(Place { at, journal, offset, length });
            }
            offset += length;
        }
        self.read = offset;
        Ok(())
    }

    fn line(&self, file: &File, place: &Place) -> Result<Option<Kept>, FileError> {
        let Some(length) =
            usize::try_from(place.length.min(LONGEST)).ok().filter(|_| place.length <= LONGEST)
        else {
            return Ok(None);
        };
        let mut text = vec![0; length];
        match file.read_exact_at(&mut text, place.offset) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            read => read.map_err(|error| FileError::new("read", &self.path, error))?,
        }
        Ok(serde_json::from_slice(&text).ok())
    }
}

/// The entries of journals whose line contains one of these words, each journal's in its order. One that is not there is
/// empty. Blocking: it reads all of them.
///
/// # Errors
/// When a journal cannot be read.
pub fn lines_with(paths: &[PathBuf], words: &[String]) -> Result<Vec<Kept>, FileError> {
    let mut found = Vec::new();
    for path in paths {
        let Some(file) = (Journal { path: path.clone(), read: 0 }).open()? else { continue };
        let mut reader = BufReader::new(file);
        let mut text = Vec::new();
        loop {
            text.clear();
            reader.read_until(b'\n', &mut text).map_err(|error| FileError::new("read", path, error))?;
            if text.is_empty() {
                break;
            }
            // What is no entry, as a line that a power cut has torn, is passed over.
            let Ok(line) = std::str::from_utf8(&text) else { continue };
            if words.iter().any(|word| line.contains(word.as_str())) {
                found.extend(serde_json::from_str::<Kept>(line).ok());
            }
        }
    }
    Ok(found)
}

fn length(path: &Path) -> Result<u64, FileError> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        found => found.map(|found| found.len()).map_err(|error| FileError::new("read", path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::{CONTROLLER_JOURNAL_FILE, Chain, Entry, JOURNAL_FILE, Phase};

    fn enter(path: &Path, second: u64, what: &str) {
        let entry = Entry {
            at: Timestamp::from_secs(second),
            who: "arn:aws:iam::1:user/a",
            phase: Phase::Done,
            action: "create",
            what,
            why: Some("somebody said so"),
            before: None,
            after: None,
            calls: Vec::new(),
        };
        Chain::open(path).unwrap().enter(&entry).unwrap();
    }

    fn shown(leaf: &Leaf) -> Vec<(u64, &str)> {
        leaf.lines.iter().map(|(number, kept)| (*number, kept.what.as_str())).collect()
    }

    #[test]
    fn journals_are_one_list_by_their_moments_and_pages_join_without_gap() {
        let directory = tempfile::tempdir().unwrap();
        let [own, controllers] =
            [JOURNAL_FILE, CONTROLLER_JOURNAL_FILE].map(|name| directory.path().join(name));
        let mut chronicle = Chronicle::of([own.clone(), controllers.clone()]);
        chronicle.refresh().unwrap();
        assert!(chronicle.is_empty());
        assert_eq!(chronicle.leaf(None, 9).unwrap(), Leaf::default());
        for (path, second, what) in
            [(&own, 1, "a"), (&controllers, 2, "b"), (&own, 3, "c"), (&controllers, 4, "d")]
        {
            enter(path, second, what);
        }
        chronicle.refresh().unwrap();
        let newest = chronicle.leaf(None, 3).unwrap();
        assert_eq!((shown(&newest), newest.next), (vec![(4, "d"), (3, "c"), (2, "b")], Some(2)));
        assert_eq!(newest.lines[0].1.why.as_deref(), Some("somebody said so"));
        let rest = chronicle.leaf(newest.next, 3).unwrap();
        assert_eq!((shown(&rest), rest.next), (vec![(1, "a")], None));
        // Its clock was behind: it does not change the number of what is shown already.
        enter(&own, 2, "late");
        chronicle.refresh().unwrap();
        assert_eq!(shown(&chronicle.leaf(None, 2).unwrap()), [(5, "late"), (4, "d")]);
        for odd in [0, 1, 99, u64::MAX] {
            assert!(chronicle.leaf(Some(odd), 9).unwrap().lines.len() <= 5, "{odd}");
        }
    }

    #[test]
    fn lines_are_found_by_a_word_of_theirs() {
        let directory = tempfile::tempdir().unwrap();
        let paths = [JOURNAL_FILE, CONTROLLER_JOURNAL_FILE].map(|name| directory.path().join(name));
        let with = |word: &str| lines_with(&paths, &[word.to_owned()]).unwrap();
        assert!(with("press-1").is_empty(), "there is none yet");
        enter(&paths[0], 1, "thing press-1");
        enter(&paths[1], 2, "thing press-2");
        assert_eq!(with("press-2").len(), 1);
        assert_eq!((with("press-").len(), with("oven").len()), (2, 0));
    }

    #[test]
    fn a_torn_line_is_passed_over_and_a_journal_that_was_cut_is_read_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(JOURNAL_FILE);
        enter(&path, 1, "a");
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [whole.as_slice(), b"{\"at\":2,\"wh"].concat()).unwrap();
        let mut chronicle = Chronicle::of([path.clone()]);
        chronicle.refresh().unwrap();
        assert_eq!(chronicle.len(), 1, "half a line is none yet");
        enter(&path, 3, "b");
        chronicle.refresh().unwrap();
        assert_eq!(shown(&chronicle.leaf(None, 9).unwrap()), [(2, "b"), (1, "a")]);
        std::fs::write(&path, &whole).unwrap();
        chronicle.refresh().unwrap();
        assert_eq!(shown(&chronicle.leaf(None, 9).unwrap()), [(1, "a")]);
    }
}
