//! The order of calls on which everything rests: a file is written, synced, renamed into place and its directory
//! synced before anything else is changed on disk, and before anything is asked of the broker; and what is removed
//! from the slots, a token or a whole slot, is gone from its directory just so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::eye::Seen;
use crate::trace::{Operation, Target};

/// Shorter sends carry acknowledgements and pings, which the live session owes whatever the disk does; a request
/// (CONNECT after a ClientHello, a publish with a signing request or a token) is longer. Bytes of TLS.
const REQUEST: u64 = 100;

/// What became of a file that is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    /// Something is in it that is not synced.
    Dirty,
    /// All that is in it is synced.
    Synced,
}

/// A name that is not durable until its directory is synced.
#[derive(Debug, Clone)]
struct Owed {
    directory: PathBuf,
    by: String,
    /// Something was removed: more may go from the same directory, and the directory itself, before the sync.
    removal: bool,
}

/// Everything in a trace that is out of order; empty when nothing is.
pub fn violations(trace: &[Seen]) -> Vec<String> {
    let mut checker = Checker::default();
    trace.iter().for_each(|seen| checker.see(seen));
    if let Some(owed) = checker.owed {
        checker.found.push(format!("{}: its directory was never synced", owed.by));
    }
    checker.found
}

/// How many names a trace made durable by the whole sequence: the check saw something.
pub fn renames(trace: &[Seen]) -> usize {
    trace.iter().filter(|seen| seen.call.operation == Operation::Rename).count()
}

#[derive(Default)]
struct Checker {
    files: BTreeMap<PathBuf, Written>,
    owed: Option<Owed>,
    found: Vec<String>,
}

impl Checker {
    fn see(&mut self, seen: &Seen) {
        match &seen.call.target {
            Target::File(path) => self.on_disk(seen, path),
            Target::Socket(_) => self.on_network(seen),
        }
    }

    fn on_disk(&mut self, seen: &Seen, path: &Path) {
        match seen.call.operation {
            Operation::Sync if self.owed.as_ref().is_some_and(|owed| owed.directory == path) => {
                self.owed = None;
            }
            Operation::Sync => {
                self.files.insert(path.to_owned(), Written::Synced);
            }
            Operation::Write | Operation::Resize | Operation::Create => {
                self.nothing_is_owed(seen);
                self.files.insert(path.to_owned(), Written::Dirty);
            }
            Operation::Rename => self.renamed(seen, path),
            Operation::MakeDir => {
                self.nothing_is_owed(seen);
                self.owe(seen, path, false);
            }
            Operation::Remove => self.removed(seen, path),
            Operation::Link => self.nothing_is_owed(seen),
            _ => {}
        }
    }

    fn renamed(&mut self, seen: &Seen, path: &Path) {
        self.nothing_is_owed(seen);
        // A link or a directory has no content to sync.
        let source = seen.call.from.as_deref().and_then(|from| self.files.remove(from));
        if source == Some(Written::Dirty) {
            self.found.push(format!("{}: renamed before its content was synced", seen.point));
        }
        self.owe(seen, path, false);
    }

    fn removed(&mut self, seen: &Seen, path: &Path) {
        let goes_on = |owed: &mut Owed| {
            owed.removal && (owed.directory == path || Some(&*owed.directory) == path.parent())
        };
        self.owed.take_if(goes_on);
        self.nothing_is_owed(seen);
        if path.ancestors().skip(1).any(|above| above.ends_with("slots")) {
            self.owe(seen, path, true);
        }
    }

    fn owe(&mut self, seen: &Seen, path: &Path, removal: bool) {
        let directory = path.parent().unwrap_or_else(|| Path::new("/")).to_owned();
        self.owed = Some(Owed { directory, by: seen.point.to_string(), removal });
    }

    fn on_network(&mut self, seen: &Seen) {
        let asks = match seen.call.operation {
            Operation::Connect => true,
            Operation::Send => seen.result >= REQUEST,
            _ => false,
        };
        let to_broker = matches!(seen.call.target, Target::Socket(crate::trace::Socket::Dialled(_)));
        if asks && to_broker {
            self.nothing_is_owed(seen);
        }
    }

    fn nothing_is_owed(&mut self, seen: &Seen) {
        if let Some(owed) = self.owed.take() {
            let directory = owed.directory.display();
            self.found.push(format!("{}: before {directory} was synced after {}", seen.point, owed.by));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kill::Point;
    use crate::trace::{Call, Socket};

    fn seen(operation: Operation, target: Target, from: Option<&str>) -> Seen {
        let point = Point { state: "idle".into(), call: "call", target: format!("{target:?}"), ordinal: 1 };
        let call = Call { thread: 1, name: "call", operation, target, from: from.map(PathBuf::from) };
        Seen { place: point.clone(), point, call, result: 500 }
    }

    fn file(operation: Operation, path: &str) -> Seen {
        seen(operation, Target::File(path.into()), None)
    }

    /// The whole sequence and a request after it.
    fn good() -> Vec<Seen> {
        vec![
            file(Operation::Create, "/s/.tmp-a"),
            file(Operation::Write, "/s/.tmp-a"),
            file(Operation::Sync, "/s/.tmp-a"),
            seen(Operation::Rename, Target::File("/s/a".into()), Some("/s/.tmp-a")),
            file(Operation::Open, "/s"),
            file(Operation::Sync, "/s"),
            seen(Operation::Send, Target::Socket(Socket::Dialled(1)), None),
        ]
    }

    #[test]
    fn the_whole_sequence_is_in_order() {
        assert_eq!(violations(&good()), Vec::<String>::new());
        assert_eq!(renames(&good()), 1);
    }

    #[test]
    fn each_step_that_is_left_out_or_comes_late_is_told() {
        for missing in [2, 5] {
            let mut trace = good();
            trace.remove(missing);
            assert_eq!(violations(&trace).len(), 1, "without {:?}", good()[missing].call);
        }
        for (early, late) in [(2, 3), (5, 6), (1, 2)] {
            let mut trace = good();
            trace.swap(early, late);
            assert!(!violations(&trace).is_empty(), "{:?} late", good()[early].call);
        }
    }

    #[test]
    fn what_is_removed_from_the_slots_is_synced_before_anything_follows() {
        let destroyed = || {
            vec![
                file(Operation::Remove, "/s/slots/1/.tmp-key.pem-1"),
                file(Operation::Remove, "/s/slots/1/cert.json"),
                file(Operation::Remove, "/s/slots/1"),
                file(Operation::Sync, "/s/slots"),
                file(Operation::Create, "/s/.tmp-state.json-1"),
            ]
        };
        assert_eq!(violations(&destroyed()), Vec::<String>::new());
        for missing in [2, 3] {
            let mut trace = destroyed();
            trace.remove(missing);
            assert!(!violations(&trace).is_empty(), "without {:?}", destroyed()[missing].call);
        }
        let export = [file(Operation::Remove, "/s/export.1/bundle.pem"), file(Operation::Create, "/s/x")];
        assert_eq!(violations(&export), Vec::<String>::new(), "one that comes back is removed again");
    }

    #[test]
    fn an_acknowledgement_may_come_between() {
        let mut trace = good();
        let mut acknowledgement = trace.pop().unwrap();
        acknowledgement.result = 30;
        trace.insert(4, acknowledgement);
        assert_eq!(violations(&trace), Vec::<String>::new());
    }
}
