//! The calls of the store's own seam, on the simulated disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use fleetkey_agent::store::{Entry, Filesystem, NewFile};

use super::SimDisk;
use super::errno::Errno;
use super::fault::Op;
use super::state::State;
use super::tree::{Ino, Node};

/// A new file that is open.
struct Open {
    state: Arc<Mutex<State>>,
    ino: Ino,
    path: PathBuf,
    boot: u64,
}

impl Open {
    fn with<T>(&self, run: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.boot != self.boot {
            return Err(io::Error::other("the power went while the file was open"));
        }
        run(&mut state)
    }
}

impl NewFile for Open {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.with(|state| {
            let mut begun = false;
            let done = state.change(Op::Write, &self.path, |state| {
                begun = true;
                note_use_after_failure(state, self.ino, &self.path, "written");
                state.append(self.ino, bytes)
            });
            if done.is_err() && !begun && !state.off {
                // A fault struck: half of it is there all the same.
                let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
                state.tree_mut().append(self.ino, half);
            }
            done
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.with(|state| {
            if !state.off {
                note_use_after_failure(state, self.ino, &self.path, "synced");
            }
            let done = state.change(Op::Sync, &self.path, |state| {
                if state.tree.has_pending_writes(self.ino) {
                    state.writable()?;
                }
                state.tree_mut().sync_file(self.ino);
                Ok(())
            });
            if done.as_ref().is_err_and(loses_pages) && !state.off {
                let tree = state.tree_mut();
                tree.drop_writes(self.ino);
                if let Some(file) = tree.file_mut(self.ino) {
                    file.sync_failed = true;
                }
            }
            done
        })
    }
}

/// A read-only disk turns an fsync away; any other failure came from the medium, and what was dirty is gone.
fn loses_pages(error: &io::Error) -> bool {
    error.kind() != io::ErrorKind::ReadOnlyFilesystem
}

fn note_use_after_failure(state: &mut State, ino: Ino, path: &Path, what: &str) {
    if matches!(state.tree.node(ino), Ok(Node::File(file)) if file.sync_failed) {
        let path = path.to_string_lossy();
        state.violations.push(format!("{} was {what} after its fsync had failed", super::masked(&path)));
    }
}

/// A file may take its final name only when its content is durable.
fn note_early_rename(state: &mut State, from: &Path, to: &Path) {
    let early =
        state.tree.spot(from).and_then(|spot| state.tree.entry(&spot)).is_ok_and(
            |ino| matches!(state.tree.node(ino), Ok(Node::File(file)) if file.durable != file.seen),
        );
    if early {
        let (from, to) = (from.to_string_lossy(), to.to_string_lossy());
        let text =
            format!("{} became {} before its content was durable", super::masked(&from), super::masked(&to));
        state.violations.push(text);
    }
}

impl SimDisk {
    fn open(&self, state: &State, ino: Ino, path: &Path) -> Box<dyn NewFile> {
        Box::new(Open { state: Arc::clone(&self.state), ino, path: path.to_owned(), boot: state.boot })
    }
}

impl Filesystem for SimDisk {
    fn create(&self, path: &Path, mode: u32) -> io::Result<Box<dyn NewFile>> {
        let mut state = self.lock();
        let ino = state.change(Op::Create, path, |state| {
            state.may_add(path)?;
            state.tree_mut().create(path, mode)
        })?;
        Ok(self.open(&state, ino, path))
    }

    fn append(&self, path: &Path, mode: u32) -> io::Result<Box<dyn NewFile>> {
        let mut state = self.lock();
        let ino = state.change(Op::Append, path, |state| match state.tree.resolve(path) {
            Ok(ino) => match state.tree.node(ino)? {
                Node::File(_) => state.writable().map(|()| ino),
                Node::Dir(_) | Node::Link(_) => Err(Errno::IsDir),
            },
            Err(Errno::NoEntry) => {
                state.may_add(path)?;
                state.tree_mut().create(path, mode)
            }
            Err(errno) => Err(errno),
        })?;
        Ok(self.open(&state, ino, path))
    }

    fn create_dir(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.lock().change(Op::CreateDir, path, |state| {
            state.may_add(path)?;
            state.may_take_blocks(1)?;
            state.tree_mut().create_dir(path, mode).map(|_| ())
        })
    }

    fn symlink(&self, target: &Path, link: &Path) -> io::Result<()> {
        self.lock().change(Op::Symlink, link, |state| {
            state.may_add(link)?;
            state.tree_mut().symlink(target, link).map(|_| ())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.lock().change(Op::Rename, to, |state| {
            state.writable()?;
            note_early_rename(state, from, to);
            state.tree_mut().rename(from, to)
        })
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let done = state.change(Op::SyncDir, path, |state| {
            let dir = state.tree.resolve(path)?;
            if state.tree.has_pending_names(dir) {
                state.writable()?;
                state.tree_mut().sync_dir(dir);
            }
            Ok(())
        });
        let dir = state.tree.resolve(path);
        if let (true, false, Ok(dir)) = (done.as_ref().is_err_and(loses_pages), state.off, dir)
            && let Some(dir) = state.tree_mut().dir_mut(dir)
        {
            dir.sync_failed = true;
        }
        done
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.lock().change(Op::RemoveFile, path, |state| {
            state.writable()?;
            state.tree_mut().remove_file(path)
        })
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.lock().change(Op::RemoveDir, path, |state| {
            state.writable()?;
            state.tree_mut().remove_dir(path)
        })
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let content = self.lock().look(Op::Read, |tree| match tree.node(tree.resolve(path)?)? {
            Node::File(file) => Ok(file.seen.clone()),
            Node::Dir(_) => Err(Errno::IsDir),
            Node::Link(_) => Err(Errno::Loop),
        })?;
        if content.len() as u64 > limit {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("longer than {limit} bytes")));
        }
        Ok(content.bytes().to_vec())
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        self.lock().look(Op::ReadLink, |tree| match tree.node(tree.entry(&tree.spot(path)?)?)? {
            Node::Link(target) => Ok(target.to_path_buf()),
            Node::File(_) | Node::Dir(_) => Err(Errno::Invalid),
        })
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.lock().look(Op::List, |tree| {
            let dir = tree.dir(tree.resolve(path)?)?;
            let is_dir = |ino| matches!(tree.node(ino), Ok(Node::Dir(_)));
            let entries = dir.seen.iter();
            Ok(entries.map(|(name, ino)| Entry { name: name.to_os_string(), is_dir: is_dir(*ino) }).collect())
        })
    }
}
