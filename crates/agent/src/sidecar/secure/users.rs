//! The users of the sidecar: a file of lines `name:pbkdf2-sha256:ITERATIONS:SALT:HASH`, the last two in hex.
//!
//! Passwords are never kept. Blank lines and lines that begin with `#` are passed over. Of two lines of one name the later
//! holds: whoever appends a new password has changed it.

use std::num::NonZeroU32;
use std::path::PathBuf;

use aws_lc_rs::pbkdf2::{self, PBKDF2_HMAC_SHA256};
use zeroize::Zeroizing;

use crate::private::open_to_others;

/// What a line says that the password is kept as.
const METHOD: &str = "pbkdf2-sha256";
/// Enough where the password is random; our own are.
const ITERATIONS: u32 = 100_000;
/// Bytes of a salt, and of a hash.
const SALT: usize = 16;
const HASH: usize = 32;
/// Characters of a password that we make: 128 bits in hex.
const PASSWORD: usize = 16;

/// Why the users cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsersError {
    /// The file cannot be read.
    #[error("cannot read the sidecar's users {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// Others may read or change who is let in.
    #[error("the sidecar's users {} can be read by other users (mode {mode:o}): chmod 600 it", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A line is no user.
    #[error("{} line {line}: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No user can be made.
    #[error("no user can be made: {0}")]
    Made(&'static str),
}

/// One user, as a line of the file has it.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    name: String,
    iterations: NonZeroU32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

/// The file.
#[derive(Debug, Clone)]
pub(super) struct Users {
    path: PathBuf,
}

impl Users {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The users as they are on disk now.
    pub(super) fn read(&self) -> Result<Vec<User>, UsersError> {
        let failed = |error: std::io::Error| UsersError::Unreadable {
            path: self.path.clone(),
            reason: error.to_string(),
        };
        if let Some(mode) = open_to_others(&self.path).map_err(failed)? {
            return Err(UsersError::Open { path: self.path.clone(), mode });
        }
        let text = std::fs::read_to_string(&self.path).map_err(failed)?;
        let lines =
            text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
        let user = |(number, line): (usize, &str)| {
            User::parse(line.trim()).map_err(|reason| {
                let (path, line) = (self.path.clone(), number.saturating_add(1));
                UsersError::Invalid { path, line, reason }
            })
        };
        lines.map(user).collect()
    }
}

/// A user with a password of our making; the password is told once, here.
///
/// # Errors
/// When the name cannot stand in a line, or there is no randomness.
pub fn new_user(name: &str) -> Result<(User, Zeroizing<String>), UsersError> {
    let mut random = Zeroizing::new([0u8; PASSWORD]);
    getrandom::fill(&mut *random).map_err(|_| UsersError::Made("no randomness"))?;
    let password = Zeroizing::new(hex(&*random));
    let user = User::new(name, password.as_bytes())?;
    Ok((user, password))
}

/// Whether there is such a user with that password. Takes as long for a name that is not there.
pub(super) fn admits(users: &[User], name: &str, password: &[u8]) -> bool {
    match users.iter().rfind(|user| user.name == name) {
        Some(user) => user.has(password),
        None => {
            if let Some(some) = users.first() {
                some.has(password);
            }
            false
        }
    }
}

impl User {
    fn new(name: &str, password: &[u8]) -> Result<Self, UsersError> {
        if name.is_empty()
            || name.starts_with('#')
            || name.contains(':')
            || name.contains(char::is_whitespace)
        {
            return Err(UsersError::Made(
                "a user's name is not empty and has no ':', no blank and no '#' in front",
            ));
        }
        let mut salt = vec![0; SALT];
        getrandom::fill(&mut salt).map_err(|_| UsersError::Made("no randomness"))?;
        let iterations = NonZeroU32::new(ITERATIONS).unwrap_or(NonZeroU32::MIN);
        let mut hash = vec![0; HASH];
        pbkdf2::derive(PBKDF2_HMAC_SHA256, iterations, &salt, password, &mut hash);
        Ok(Self { name: name.to_owned(), iterations, salt, hash })
    }

    fn parse(line: &str) -> Result<Self, &'static str> {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, METHOD, iterations, salt, hash] = fields.as_slice() else {
            return Err("it is not name:pbkdf2-sha256:ITERATIONS:SALT:HASH");
        };
        let iterations = iterations.parse().map_err(|_| "its iterations are no number above 0")?;
        let salt = unhex(salt).ok_or("its salt is no hex")?;
        let hash = unhex(hash).filter(|hash| hash.len() == HASH).ok_or("its hash is no hex of 32 bytes")?;
        Ok(Self { name: (*name).to_owned(), iterations, salt, hash })
    }

    fn has(&self, password: &[u8]) -> bool {
        pbkdf2::verify(PBKDF2_HMAC_SHA256, self.iterations, &self.salt, password, &self.hash).is_ok()
    }
}

impl core::fmt::Display for User {
    /// The line of the file.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}:{METHOD}:{}:{}:{}", self.name, self.iterations, hex(&self.salt), hex(&self.hash))
    }
}

impl core::fmt::Debug for User {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "User({})", self.name)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|two| two.len() == 2)?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;

    fn write(path: &Path, text: &str, mode: u32) {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_file_that_others_may_read_or_change_lets_nobody_in() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        let (user, _) = new_user("plc").unwrap();
        for (mode, open) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true), (0o620, true)] {
            write(&path, &format!("{user}\n"), mode);
            let read = Users::new(path.clone()).read();
            assert_eq!(read.is_err(), open, "{mode:o}");
            if let Err(error) = read {
                assert_eq!(error, UsersError::Open { path: path.clone(), mode });
                assert!(error.to_string().contains("chmod 600"), "{error}");
            }
        }
    }

    #[test]
    fn a_user_is_admitted_with_its_password_alone_and_the_file_does_not_tell_it() {
        let (user, password) = new_user("plc").unwrap();
        let line = user.to_string();
        assert!(!line.contains(password.as_str()));
        assert!(!format!("{user:?}").contains(&hex(&user.hash)));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        write(&path, &format!("# who may\n\n{line}\n"), 0o600);
        let users = Users::new(path).read().unwrap();
        assert!(admits(&users, "plc", password.as_bytes()));
        assert!(!admits(&users, "plc", b"guess"));
        assert!(!admits(&users, "other", password.as_bytes()));
        assert!(!admits(&[], "plc", password.as_bytes()));
    }

    #[test]
    fn the_later_line_of_a_name_changes_its_password() {
        let made = [new_user("plc"), new_user("other"), new_user("plc")].map(|made| made.unwrap());
        let users: Vec<_> = made.iter().map(|(user, _)| user.clone()).collect();
        let [leaked, _, new] = made.map(|(_, password)| password);
        assert!(!admits(&users, "plc", leaked.as_bytes()));
        assert!(admits(&users, "plc", new.as_bytes()));
    }

    #[test]
    fn a_line_that_is_no_user_is_named_and_lets_nobody_in() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        for (line, reason) in [
            ("plc:secret", "PBKDF2"),
            ("plc:pbkdf2-sha256:0:00:00", "iterations"),
            ("plc:pbkdf2-sha256:1:0x:00", "salt"),
            ("plc:pbkdf2-sha256:1:00:00", "32 bytes"),
        ] {
            write(&path, &format!("#\n{line}\n"), 0o600);
            let error = Users::new(path.clone()).read().unwrap_err().to_string();
            assert!(
                error.contains("line 2") && error.to_lowercase().contains(&reason.to_lowercase()),
                "{error}"
            );
            assert!(!error.contains("secret"));
        }
        assert!(new_user("a:b").is_err() && new_user("").is_err());
    }
}
