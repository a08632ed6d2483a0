//! What is known about an executable that may be a Python, and how it is remembered.
//!
//! Asking costs the start of a Python, so each answer is kept in a memo beside the trees. A memo names the
//! file by device, inode, size and modification time, and likewise the interpreter that the file leads to,
//! which differs for virtual environments and for the shims of pyenv and its like.
//!
//! Invariant: a memo is believed only while both files are what they were when it was written.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::Metadata;
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bundle_launcher::Libc;
use serde::{Deserialize, Serialize};

use crate::environment::Environment;
use crate::hash::fnv1a;
use crate::report::Log;
use crate::root::{self, Root};

/// Asks the interpreter that runs it; prints [`Facts`] as JSON.
const PROBE: &str = include_str!("probe.py");

/// How long an interpreter may take to answer. Real ones take 20 ms, shims 200 ms, either on a cold disk seconds.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Variables by which the shims of pyenv, asdf and mise choose what they run.
const SHIM_VARIABLES: [&str; 3] = ["PYENV_VERSION", "ASDF_PYTHON_VERSION", "MISE_PYTHON_VERSION"];

/// What an interpreter says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// `cpython`, `pypy`, …
    pub(crate) implementation: String,
    pub(crate) version: (u8, u8, u32),
    /// `final`, `candidate`, `beta` or `alpha`.
    pub(crate) release_level: String,
    pub(crate) free_threaded: bool,
    /// As `uname -m` has it: `x86_64`, `aarch64`, …
    pub(crate) machine: String,
    /// 64, or 32 for a 32-bit interpreter, whatever the machine.
    pub(crate) bits: u8,
    /// The C library it runs on; `None` when it is neither glibc nor musl.
    pub(crate) libc: Option<Libc>,
    /// The executable that no virtual environment and no shim stands before.
    pub(crate) base: HexPath,
}

/// A path that survives JSON though it need not be UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct HexPath(pub(crate) PathBuf);

impl From<HexPath> for String {
    fn from(path: HexPath) -> Self {
        path.0.as_os_str().as_bytes().iter().fold(Self::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl TryFrom<String> for HexPath {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(byte).collect();
        bytes.map(|bytes| Self(OsString::from_vec(bytes).into())).ok_or("a path is not hexadecimal")
    }
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl From<&Metadata> for Identity {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// Why an executable gave no facts.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ProbeError {
    #[error("could not be run: {0}")]
    Run(String),
    #[error("did not answer within {} seconds", TIME_LIMIT.as_secs())]
    Silent,
    #[error("is no Python 3 that works: {0}")]
    Failed(String),
}

/// Whether memos may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    Use,
    Refresh,
}

/// An answer, and whether a memo gave it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) facts: Result<Facts, ProbeError>,
    pub(crate) remembered: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Memo {
    /// The path and the shim variables, in Rust's notation: it escapes what is not UTF-8.
    subject: String,
    identity: Identity,
    outcome: Outcome,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    Facts { facts: Facts, base_identity: Identity },
    Failed(String),
}

/// Returns what is known about an executable; runs it only when no memo is true to it.
pub(crate) fn ask(
    path: &Path,
    identity: Identity,
    environment: &Environment,
    root: &Root,
    memory: Memory,
    log: &Log,
) -> Answer {
    let subject = format!("{:?}", (path, SHIM_VARIABLES.map(|name| environment.get(name).unwrap_or(OsStr::new("")))));
    let memo_path = root.interpreters().join(format!("{:016x}", fnv1a(subject.as_bytes())));
    if memory == Memory::Use
        && let Some(facts) = recall(&memo_path, &subject, identity)
    {
        return Answer { facts, remembered: true };
    }

    let facts = run(path);
    log.say(format_args!("asked `{}`", path.display()));
    let outcome = match &facts {
        Ok(facts) => std::fs::metadata(&facts.base.0)
            .ok()
            .map(|metadata| Outcome::Facts { facts: facts.clone(), base_identity: Identity::from(&metadata) }),
        // The other errors are the machine's, not the file's: they may be gone the next time.
        Err(ProbeError::Failed(reason)) => Some(Outcome::Failed(reason.clone())),
        Err(_) => None,
    };
    if let Some(outcome) = outcome
        && let Err(error) = remember(&memo_path, &Memo { subject, identity, outcome }, root)
    {
        log.say(format_args!("`{}` could not be written: {error}", memo_path.display()));
    }
    Answer { facts, remembered: false }
}

fn recall(memo_path: &Path, subject: &str, identity: Identity) -> Option<Result<Facts, ProbeError>> {
    let memo: Memo = serde_json::from_slice(&std::fs::read(memo_path).ok()?).ok()?;
    if memo.subject != subject || memo.identity != identity {
        return None;
    }
    match memo.outcome {
        Outcome::Failed(reason) => Some(Err(ProbeError::Failed(reason))),
        Outcome::Facts { facts, base_identity } => {
            let metadata = std::fs::metadata(&facts.base.0).ok()?;
            (Identity::from(&metadata) == base_identity).then_some(Ok(facts))
        }
    }
}

fn remember(memo_path: &Path, memo: &Memo, root: &Root) -> io::Result<()> {
    root::make_directory(&root.interpreters())?;
    let temporary = memo_path.with_extension(std::process::id().to_string());
    std::fs::write(&temporary, serde_json::to_vec(memo)?)?;
    std::fs::rename(&temporary, memo_path)
}

/// Set for what is probed: an artifact that is called `python` must not look for a Python in its turn.
pub(crate) const PROBING: &str = "BUNDLE_PROBING";

fn run(path: &Path) -> Result<Facts, ProbeError> {
    let failed_to_run = |error: io::Error| ProbeError::Run(error.to_string());
    let mut child = Command::new(path)
        .args(["-I", "-S", "-c", PROBE])
        .env(PROBING, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed_to_run)?;

    // The answer fits into the pipe, so nothing has to be read before the child ends.
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(failed_to_run)? {
            break status;
        }
        if started.elapsed() > TIME_LIMIT {
            // It is gone either way: what matters is that it gave no answer.
            let _ = child.kill().and_then(|()| child.wait());
            return Err(ProbeError::Silent);
        }
        std::thread::sleep(Duration::from_millis(1));
    };

    let (mut output, mut errors) = (Vec::new(), Vec::new());
    if let Some(mut pipe) = child.stdout.take() {
        pipe.read_to_end(&mut output).map_err(failed_to_run)?;
    }
    if let Some(mut pipe) = child.stderr.take() {
        pipe.read_to_end(&mut errors).map_err(failed_to_run)?;
    }
    if !status.success() {
        let errors = String::from_utf8_lossy(&errors);
        let first_line = errors.lines().map(str::trim).find(|line| !line.is_empty());
        return Err(ProbeError::Failed(first_line.map_or_else(|| status.to_string(), str::to_owned)));
    }
    // A shim may have said something before.
    let line = output.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    serde_json::from_slice(line).map_err(|error| ProbeError::Failed(format!("its answer cannot be read, {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_are_not_utf8_survive() {
        let path = HexPath(OsStr::from_bytes(b"/opt/\xff/python").into());
        let json = serde_json::to_string(&path).expect("serializes");
        assert_eq!(json, "\"2f6f70742fff2f707974686f6e\"");
        assert_eq!(serde_json::from_str::<HexPath>(&json).expect("parses"), path);
        assert!(serde_json::from_str::<HexPath>("\"2\u{e9}\"").is_err());
    }

    #[test]
    fn an_executable_that_is_no_python_is_reported_by_what_it_says() {
        let error = run(Path::new("/bin/sh")).expect_err("a shell is no Python");
        assert!(matches!(&error, ProbeError::Failed(reason) if !reason.is_empty()), "{error:?}");
        assert!(matches!(run(Path::new("/nonexistent")), Err(ProbeError::Run(_))));
    }
}
