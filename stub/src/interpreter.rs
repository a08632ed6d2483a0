//! The choice of the interpreter.
//!
//! Candidates are looked at one by one, from the likeliest to the least, and the first that fits is taken:
//! `$BUNDLE_PYTHON` alone if it is set; else `PATH`, by the name of the preferred version, by the general
//! names, by the names of the other versions; else the usual places.
//!
//! Invariant: an [`Interpreter`] fulfils the artifact's claim and its platform's needs.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use bundle_launcher::{Libc, Platform, PythonClaim, PythonRange};

use crate::environment::{Controls, Environment};
use crate::probe::{self, Answer, Facts, Identity, Memory, ProbeError};
use crate::report::Log;
use crate::root::Root;

/// What the artifact needs of an interpreter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) claim: &'a PythonClaim,
    pub(crate) platform: &'a Platform,
}

/// An interpreter that fits.
#[derive(Debug)]
pub(crate) struct Interpreter {
    /// The executable, not that of a virtual environment.
    pub(crate) base: PathBuf,
    pub(crate) version: (u8, u8, u32),
    pub(crate) free_threaded: bool,
}

impl Interpreter {
    pub(crate) fn describe(&self) -> String {
        let (major, minor, patch) = self.version;
        let build = if self.free_threaded { ", free-threaded" } else { "" };
        format!("CPython {major}.{minor}.{patch}{build}")
    }
}

/// No interpreter fits.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InterpreterError {
    /// None of those found.
    #[error("no Python on this machine fits: got {}, expected {wanted}{}", count(.refused.len()), list(.refused))]
    None {
        wanted: String,
        refused: Vec<(PathBuf, Unfit)>,
    },
    /// The one that `BUNDLE_PYTHON` names leads to no executable.
    #[error("`BUNDLE_PYTHON` is `{}`, which is {expected}", value.display())]
    NotFound { value: OsString, expected: &'static str },
    /// The one that `BUNDLE_PYTHON` names.
    #[error("`BUNDLE_PYTHON` is `{}`, which does not fit: expected {wanted}{}", value.display(), list(.refused))]
    Named { value: OsString, wanted: String, refused: Vec<(PathBuf, Unfit)> },
}

impl InterpreterError {
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::None { wanted, .. } => {
                format!("install {wanted}, or set `BUNDLE_PYTHON` to where it is (an executable or its directory)")
            }
            Self::NotFound { .. } | Self::Named { .. } => {
                "set `BUNDLE_PYTHON` to another executable or its directory, or unset it to have `PATH` searched".into()
            }
        }
    }
}

fn count(refused: usize) -> String {
    match refused {
        0 => "none".into(),
        1 => "1 that does not".into(),
        more => format!("{more} that do not"),
    }
}

fn list(refused: &[(PathBuf, Unfit)]) -> String {
    refused.iter().map(|(path, unfit)| format!("\n  `{}` {unfit}", path.display())).collect()
}

/// Why an interpreter does not fit.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Unfit {
    #[error(transparent)]
    Unknown(ProbeError),
    #[error("is {0}, expected CPython")]
    Implementation(String),
    #[error("is Python {0}.{1}.{2}", version.0, version.1, version.2)]
    Version { version: (u8, u8, u32) },
    #[error("is Python {0}.{1}.{2} {level}, a pre-release", version.0, version.1, version.2)]
    PreRelease { version: (u8, u8, u32), level: String },
    #[error("is {}", if *.0 { "free-threaded" } else { "not free-threaded" })]
    Threading(bool),
    #[error("is a {bits}-bit program for {machine}")]
    Architecture { machine: String, bits: u8 },
    #[error("runs on {}", found.map_or_else(|| "an unknown C library".to_owned(), |libc| libc.to_string()))]
    Libc { found: Option<Libc> },
}

/// Returns the first interpreter that fits.
pub(crate) fn find(
    wanted: &Wanted<'_>,
    environment: &Environment,
    controls: &Controls,
    root: &Root,
    log: &Log,
) -> Result<Interpreter, InterpreterError> {
    let search = |memory| match &controls.python {
        Some(value) => {
            let named = named(value, wanted.claim, environment)
                .map_err(|expected| InterpreterError::NotFound { value: value.clone(), expected })?;
            Search::new(wanted, environment, root, memory, log)
                .first_of(named.into_iter())
                .map_err(|(refused, _)| InterpreterError::Named { value: value.clone(), wanted: wanted.describe(), refused })
        }
        None => Search::new(wanted, environment, root, memory, log)
            .first_of(candidates(wanted.claim, environment))
            .map_err(|(refused, _)| InterpreterError::None { wanted: wanted.describe(), refused }),
    };
    // What a shim runs can change while the shim stays the same, so a failure is never remembered for good.
    search(Memory::Use).or_else(|_| {
        log.say(format_args!("no interpreter fits by what is remembered; asking all of them again"));
        search(Memory::Refresh)
    })
}

impl Wanted<'_> {
    /// Checks an interpreter's facts against the claim.
    fn check(&self, facts: &Facts) -> Result<(), Unfit> {
        let version = facts.version;
        if facts.implementation != "cpython" {
            return Err(Unfit::Implementation(facts.implementation.clone()));
        }
        if !self.claim.ranges.iter().any(|range| range.contains(version)) {
            return Err(Unfit::Version { version });
        }
        if facts.release_level != "final" {
            return Err(Unfit::PreRelease { version, level: facts.release_level.clone() });
        }
        if self.claim.free_threaded.is_some_and(|needed| needed != facts.free_threaded) {
            return Err(Unfit::Threading(facts.free_threaded));
        }
        if facts.machine != self.platform.arch || facts.bits != 64 {
            return Err(Unfit::Architecture { machine: facts.machine.clone(), bits: facts.bits });
        }
        let libc_fits = self.platform.libc.is_none_or(|needed| {
            facts.libc.is_some_and(|found| {
                found.family == needed.family && (found.major, found.minor) >= (needed.major, needed.minor)
            })
        });
        if !libc_fits {
            return Err(Unfit::Libc { found: facts.libc });
        }
        Ok(())
    }

    /// Says in words what is needed.
    fn describe(&self) -> String {
        let ranges: Vec<String> = self.claim.ranges.iter().map(PythonRange::to_string).collect();
        let mut text = format!("CPython {} for {}", ranges.join(" or "), self.platform.arch);
        let _ = match self.claim.free_threaded {
            Some(true) => write!(text, ", free-threaded"),
            _ => Ok(()),
        };
        if let Some(libc) = self.platform.libc {
            let _ = write!(text, ", on {libc} or later");
        }
        text
    }
}

/// Looks at candidates, each file once.
struct Search<'a> {
    wanted: &'a Wanted<'a>,
    environment: &'a Environment,
    root: &'a Root,
    memory: Memory,
    log: &'a Log,
    /// Device, inode and name of those looked at. The name counts: a shim acts by the name it is called by.
    seen: Vec<(u64, u64, OsString)>,
    refused: Vec<(PathBuf, Unfit)>,
    /// Base executables of those refused, listed once by whatever names they were found.
    refused_bases: Vec<PathBuf>,
}

impl<'a> Search<'a> {
    fn new(
        wanted: &'a Wanted<'a>,
        environment: &'a Environment,
        root: &'a Root,
        memory: Memory,
        log: &'a Log,
    ) -> Self {
        Self { wanted, environment, root, memory, log, seen: vec![], refused: vec![], refused_bases: vec![] }
    }
}
