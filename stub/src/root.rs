//! The root: the directory where launchers keep what they unpacked.
//!
//! ```text
//! <root>/1/trees/<key>/               ready trees
//! <root>/1/locks/<key>.lock           held while a tree is made
//! <root>/1/tmp/<key>.<pid>-<nanos>/   trees in the making
//! <root>/1/interpreters/<hash>        what is known about interpreters
//! ```
//!
//! Invariant: a [`Root`] belongs to the user of this process, nobody else can write to it, and what lies
//! in it can be executed; so whatever is found in it was put there by a launcher of the same user.

use std::fs::{DirBuilder, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, StatVfsMountFlags};

use crate::environment::{Controls, Environment};
use crate::report::{Log, refusals};

/// Version of the layout below the root.
const LAYOUT: &str = "1";

/// A directory that can be used as root.
#[derive(Debug)]
pub(crate) struct Root {
    path: PathBuf,
}

/// No directory can be used as root.
#[derive(Debug, thiserror::Error)]
#[error("no directory can hold the unpacked packages:{}", refusals(.refused))]
pub(crate) struct RootError {
    refused: Vec<(PathBuf, Refusal)>,
}

impl RootError {
    #[expect(clippy::unused_self, reason = "the same shape as every other module's hint")]
    pub(crate) fn hint(&self) -> String {
        "set `BUNDLE_ROOT` to a directory that belongs to this user, is writable and not mounted `noexec`".into()
    }
}

/// Why a directory cannot be used as root.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("does not exist and cannot be made: {0}")]
    Make(io::Error),
    #[error("cannot be examined: {0}")]
    Examine(io::Error),
    #[error("contains `:`, so `PATH` cannot name it")]
    Colon,
    #[error("is not a directory")]
    NotDirectory,
    #[error("belongs to user {owner}, not to user {user}")]
    Owner { owner: u32, user: u32 },
    #[error("can be written to by others (mode {mode:03o})")]
    OthersWrite { mode: u32 },
    #[error("is on a file system mounted `noexec`")]
    NoExec,
    #[error("is on a read-only file system")]
    ReadOnly,
    #[error("is not writable: {0}")]
    NotWritable(io::Error),
}

/// A directory that may become the root.
#[derive(Debug, PartialEq, Eq)]
struct Candidate {
    path: PathBuf,
    /// Whether others can make files beside it, as in `/tmp`: then a symbolic link is not followed.
    shared: bool,
}

impl Root {
    /// Returns the first directory that is usable; makes it where it does not exist.
    pub(crate) fn choose(environment: &Environment, controls: &Controls, log: &Log) -> Result<Self, RootError> {
        let user = rustix::process::geteuid().as_raw();
        let mut refused = Vec::new();
        for candidate in candidates(environment, controls, user) {
            match examine(&candidate, user) {
                Ok(()) => return Ok(Self { path: candidate.path }),
                Err(refusal) => {
                    log.say(format_args!("`{}` {refusal}", candidate.path.display()));
                    refused.push((candidate.path, refusal));
                }
            }
        }
        Err(RootError { refused })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn trees(&self) -> PathBuf {
        self.below("trees")
    }

    pub(crate) fn locks(&self) -> PathBuf {
        self.below("locks")
    }

    pub(crate) fn temporary(&self) -> PathBuf {
        self.below("tmp")
    }

    pub(crate) fn interpreters(&self) -> PathBuf {
        self.below("interpreters")
    }

    fn below(&self, name: &str) -> PathBuf {
        self.path.join(LAYOUT).join(name)
    }
}

/// Makes a directory of the layout, with its parents.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(path)
}

fn candidates(environment: &Environment, controls: &Controls, user: u32) -> Vec<Candidate> {
    let own = |path: PathBuf| Candidate { path, shared: false };
    // A relative path from these two would mean another directory at every start.
    let absolute = |name| environment.get(name).map(PathBuf::from).filter(|path| path.is_absolute());

    let mut candidates = Vec::with_capacity(6);
    candidates.extend(controls.root.as_ref().and_then(|path| std::path::absolute(path).ok()).map(own));
    candidates.extend(absolute("XDG_CACHE_HOME").map(|cache| own(cache.join("bundle"))));
    candidates.extend(absolute("HOME").map(|home| own(home.join(".cache/bundle"))));
    for directory in ["/var/tmp", "/tmp", "/dev/shm"] {
        candidates.push(Candidate { path: format!("{directory}/bundle-{user}").into(), shared: true });
    }
    candidates
}

fn examine(candidate: &Candidate, user: u32) -> Result<(), Refusal> {
    if candidate.path.as_os_str().as_bytes().contains(&b':') {
        return Err(Refusal::Colon);
    }
    let metadata = match metadata(candidate) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make(candidate).map_err(Refusal::Make)?;
            self::metadata(candidate)
        }
        known => known,
    }
    .map_err(Refusal::Examine)?;
    check_owner_and_mode(metadata.is_dir(), metadata.uid(), metadata.mode(), user)?;

    let flags = rustix::fs::statvfs(&candidate.path).map_err(|error| Refusal::Examine(error.into()))?.f_flag;
    if flags.contains(StatVfsMountFlags::NOEXEC) {
        return Err(Refusal::NoExec);
    }
    if flags.contains(StatVfsMountFlags::RDONLY) {
        return Err(Refusal::ReadOnly);
    }
    rustix::fs::access(&candidate.path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| Refusal::NotWritable(error.into()))
}

fn metadata(candidate: &Candidate) -> io::Result<Metadata> {
    if candidate.shared { std::fs::symlink_metadata(&candidate.path) } else { std::fs::metadata(&candidate.path) }
}

fn make(candidate: &Candidate) -> io::Result<()> {
    match DirBuilder::new().recursive(!candidate.shared).mode(0o700).create(&candidate.path) {
        // Another start was quicker; what it made is examined like everything else.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn check_owner_and_mode(is_directory: bool, owner: u32, mode: u32, user: u32) -> Result<(), Refusal> {
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    if !is_directory {
        Err(Refusal::NotDirectory)
    } else if owner != user {
        Err(Refusal::Owner { owner, user })
    } else if mode & WRITABLE_BY_OTHERS != 0 {
        Err(Refusal::OthersWrite { mode: mode & 0o777 })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_candidates() {
        let environment: Environment = [("XDG_CACHE_HOME", "/x"), ("HOME", "/home/me")].into_iter().collect();
        let controls = Controls { root: Some("/r".into()), ..Controls::default() };
        let paths: Vec<_> = candidates(&environment, &controls, 7)
            .into_iter()
            .map(|candidate| (candidate.path, candidate.shared))
            .collect();
        let expected = [
            ("/r", false),
            ("/x/bundle", false),
            ("/home/me/.cache/bundle", false),
            ("/var/tmp/bundle-7", true),
            ("/tmp/bundle-7", true),
            ("/dev/shm/bundle-7", true),
        ];
        assert_eq!(paths, expected.map(|(path, shared)| (PathBuf::from(path), shared)));
    }

    #[test]
    fn relative_homes_are_passed_over() {
        let environment: Environment = [("XDG_CACHE_HOME", "x"), ("HOME", "")].into_iter().collect();
        assert_eq!(candidates(&environment, &Controls::default(), 7).len(), 3);
    }

    #[test]
    fn reasons() {
        let check = check_owner_and_mode;
        assert!(check(true, 7, 0o40755, 7).is_ok());
        assert!(matches!(check(false, 7, 0o755, 7), Err(Refusal::NotDirectory)));
        assert!(matches!(check(true, 0, 0o755, 7), Err(Refusal::Owner { owner: 0, user: 7 })));
        assert!(matches!(check(true, 7, 0o41777, 7), Err(Refusal::OthersWrite { mode: 0o777 })));
        assert!(matches!(check(true, 7, 0o775, 7), Err(Refusal::OthersWrite { .. })));
        assert_eq!(
            check(true, 7, 0o775, 7).expect_err("refused").to_string(),
            "can be written to by others (mode 775)"
        );
    }
}
