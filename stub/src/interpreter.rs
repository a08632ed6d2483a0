//! The choice of the interpreter.
//!
//! Candidates are looked at one by one, from the likeliest to the least, and the first that fits is taken:
//! `$BUNDLE_PYTHON` alone if it is set; else `PATH`, by the name of the preferred version, by the general
//! names, by the names of the other versions; else the usual places.
//!
//! Invariant: an [`Interpreter`] fulfils the artifact's claim and its platform's needs.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use bundle_launcher::{Libc, Platform, PythonClaim, PythonRange};

use crate::environment::{Controls, Environment};
use crate::probe::{self, Answer, Facts, Identity, Memory, ProbeError};
use crate::report::{Log, refusals};
use crate::root::Root;

/// What the artifact needs of an interpreter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) claim: &'a PythonClaim,
    pub(crate) platform: &'a Platform,
    /// Device and inode of the artifact, which may be called `python` itself.
    pub(crate) artifact: (u64, u64),
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
    #[error("no Python fits: got {}, expected {wanted}{}", count(.refused.len()), refusals(.refused))]
    None { wanted: String, refused: Vec<(PathBuf, Unfit)> },
    /// The one that `BUNDLE_PYTHON` names leads to no executable.
    #[error("`BUNDLE_PYTHON` is `{}`, which is {reason}", value.display())]
    NotFound { value: OsString, reason: &'static str },
    /// The one that `BUNDLE_PYTHON` names.
    #[error("`BUNDLE_PYTHON` is `{}`, which does not fit: expected {wanted}{}", value.display(), refusals(.refused))]
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
    let named = match &controls.python {
        Some(value) => Some(
            named(value, wanted.claim, environment)
                .map_err(|reason| InterpreterError::NotFound { value: value.clone(), reason })?,
        ),
        None => None,
    };
    let search = |memory| {
        let search = Search { wanted, environment, root, memory, log, seen: vec![], refused: Refused::default() };
        match &named {
            Some(path) => search.first_of([path.clone()]),
            None => search.first_of(candidates(wanted.claim, environment)),
        }
    };
    let found = search(Memory::Use).or_else(|refused| {
        if refused.remembered {
            // What a shim runs can change while the shim stays the same: no failure is remembered for good.
            log.say(format_args!("no interpreter fits by what is remembered; asking all of them again"));
            search(Memory::Refresh)
        } else {
            Err(refused)
        }
    });
    found.map_err(|Refused { candidates: refused, .. }| {
        let wanted = wanted.describe();
        match &controls.python {
            Some(value) => InterpreterError::Named { value: value.clone(), wanted, refused },
            None => InterpreterError::None { wanted, refused },
        }
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
        if self.claim.free_threaded == Some(true) {
            text.push_str(", free-threaded");
        }
        if let Some(libc) = self.platform.libc {
            let _ = write!(text, ", on {libc} or later");
        }
        text
    }
}

/// What was refused, and whether a memo had a part in it.
#[derive(Debug, Default)]
struct Refused {
    candidates: Vec<(PathBuf, Unfit)>,
    /// Their base executables: each is listed once, by whatever names it was found.
    bases: Vec<PathBuf>,
    remembered: bool,
}

/// Looks at candidates one by one.
struct Search<'a> {
    wanted: &'a Wanted<'a>,
    environment: &'a Environment,
    root: &'a Root,
    memory: Memory,
    log: &'a Log,
    /// Device, inode and name of those looked at. The name counts: a shim acts by the name it is called by.
    seen: Vec<(u64, u64, OsString)>,
    refused: Refused,
}

impl Search<'_> {
    fn first_of(mut self, candidates: impl IntoIterator<Item = PathBuf>) -> Result<Interpreter, Refused> {
        candidates.into_iter().find_map(|path| self.look_at(path)).ok_or(self.refused)
    }

    fn look_at(&mut self, path: PathBuf) -> Option<Interpreter> {
        let metadata = std::fs::metadata(&path).ok().filter(is_executable)?;
        let identity = Identity::from(&metadata);
        let key = (identity.device, identity.inode, path.file_name().unwrap_or_default().to_owned());
        if self.seen.contains(&key) || self.wanted.artifact == (identity.device, identity.inode) {
            return None;
        }
        self.seen.push(key);

        let Answer { facts, remembered } =
            probe::ask(&path, identity, self.environment, self.root, self.memory, self.log);
        let unfit = match facts {
            Err(error) => Unfit::Unknown(error),
            Ok(facts) => match self.wanted.check(&facts) {
                Ok(()) => {
                    let Facts { base, version, free_threaded, .. } = facts;
                    return Some(Interpreter { base: base.0, version, free_threaded });
                }
                Err(unfit) => {
                    if self.refused.bases.contains(&facts.base.0) {
                        return None;
                    }
                    self.refused.bases.push(facts.base.0);
                    unfit
                }
            },
        };
        self.log.say(format_args!("`{}` {unfit}", path.display()));
        self.refused.remembered |= remembered;
        self.refused.candidates.push((path, unfit));
        None
    }
}

fn is_executable(metadata: &std::fs::Metadata) -> bool {
    metadata.is_file() && metadata.permissions().mode() & 0o111 != 0
}

/// Returns the executable that `BUNDLE_PYTHON` means, or why it means none.
fn named(value: &OsStr, claim: &PythonClaim, environment: &Environment) -> Result<PathBuf, &'static str> {
    let executable = |path: &PathBuf| std::fs::metadata(path).is_ok_and(|metadata| is_executable(&metadata));
    if !value.as_bytes().contains(&b'/') {
        return path_directories(environment)
            .map(|directory| directory.join(value))
            .find(executable)
            .ok_or("in no directory of `PATH`");
    }
    let path = std::path::absolute(value).map_err(|_| "no path")?;
    if !path.is_dir() {
        return if executable(&path) { Ok(path) } else { Err("no executable file") };
    }
    let mut names = version_names(claim.preferred, claim);
    names.extend(["python3".into(), "python".into()]);
    [path.join("bin"), path]
        .iter()
        .flat_map(|directory| names.iter().map(|name| directory.join(name)))
        .find(executable)
        .ok_or("a directory without a Python")
}

/// Returns the paths at which an interpreter may be, the likeliest first; directories are read only when reached.
fn candidates(claim: &PythonClaim, environment: &Environment) -> impl Iterator<Item = PathBuf> {
    let preferred = version_names(claim.preferred, claim);
    let others: Vec<String> =
        other_versions(claim).into_iter().flat_map(|version| version_names(version, claim)).collect();
    let general = ["python3".to_owned(), "python".to_owned()];

    let path: Vec<PathBuf> = path_directories(environment).collect();
    let on_path_names: Vec<String> = [&preferred[..], &general[..], &others[..]].concat();
    let on_path = on_path_names
        .into_iter()
        .flat_map(move |name| path.iter().map(|directory| directory.join(&name)).collect::<Vec<_>>());

    let usual_names: Vec<String> = [&preferred[..], &others[..], &general[..1]].concat();
    let versions: Vec<(u8, u8)> = [vec![claim.preferred], other_versions(claim)].concat();
    let home = environment.get("HOME").map(PathBuf::from);
    let below = |variable: &str, default: &str| {
        environment.get(variable).map(PathBuf::from).or_else(|| Some(home.as_ref()?.join(default)))
    };
    let pyenv = below("PYENV_ROOT", ".pyenv").map(|root| root.join("versions"));
    let uv = below("UV_PYTHON_INSTALL_DIR", ".local/share/uv/python");
    let usual = std::iter::once(()).flat_map(move |()| {
        let directories = usual_directories(&versions, pyenv.as_deref(), uv.as_deref());
        let paths = directories.iter().flat_map(|directory| usual_names.iter().map(|name| directory.join(name)));
        paths.collect::<Vec<_>>()
    });
    on_path.chain(usual)
}

/// Returns the versions of the claim besides the preferred one, newest first.
fn other_versions(claim: &PythonClaim) -> Vec<(u8, u8)> {
    claim.ranges.iter().rev().map(|range| range.version).filter(|version| *version != claim.preferred).collect()
}

fn version_names((major, minor): (u8, u8), claim: &PythonClaim) -> Vec<String> {
    let (usual, free_threaded) = (format!("python{major}.{minor}"), format!("python{major}.{minor}t"));
    match claim.free_threaded {
        Some(false) => vec![usual],
        Some(true) => vec![free_threaded, usual],
        None => vec![usual, free_threaded],
    }
}

/// Returns the directories of `PATH`, without those that are relative: what they mean depends on where one is.
fn path_directories(environment: &Environment) -> impl Iterator<Item = PathBuf> {
    let path = environment.get("PATH").unwrap_or_default();
    std::env::split_paths(path).filter(|directory| directory.is_absolute())
}

fn usual_directories(versions: &[(u8, u8)], pyenv: Option<&Path>, uv: Option<&Path>) -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> = ["/usr/local/bin", "/usr/bin"].map(PathBuf::from).into();
    directories.extend(installations(Path::new("/opt"), "python"));
    for (major, minor) in versions {
        directories.extend(pyenv.iter().flat_map(|base| installations(base, &format!("{major}.{minor}."))));
        directories.extend(uv.iter().flat_map(|base| installations(base, &format!("cpython-{major}.{minor}."))));
    }
    directories
}

/// Returns the `bin` directories of the installations in `base` whose name starts so, the highest patch release first.
fn installations(base: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(base) else { return vec![] };
    let mut names: Vec<OsString> = entries
        .filter_map(|entry| Some(entry.ok()?.file_name()))
        .filter(|name| name.as_bytes().starts_with(prefix.as_bytes()))
        .collect();
    names.sort_by_key(|name| std::cmp::Reverse((patch_release(name.as_bytes(), prefix.len()), name.clone())));
    names.iter().map(|name| base.join(name).join("bin")).collect()
}

/// Returns the number that stands in a name after its prefix.
fn patch_release(name: &[u8], prefix_length: usize) -> u32 {
    let digits = name[prefix_length..].iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number.saturating_mul(10).saturating_add(u32::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use bundle_launcher::LibcFamily;

    use super::*;
    use crate::probe::HexPath;

    fn claim() -> PythonClaim {
        let range = |minor| PythonRange { version: (3, minor), patch_min: 0, patch_max: None };
        PythonClaim {
            preferred: (3, 11),
            ranges: vec![range(10), PythonRange { patch_min: 4, ..range(11) }, range(12)],
            free_threaded: Some(false),
        }
    }

    fn platform() -> Platform {
        let libc = Some(Libc { family: LibcFamily::Glibc, major: 2, minor: 17 });
        Platform { name: "x86_64-manylinux2014".into(), arch: "x86_64".into(), libc }
    }

    fn facts() -> Facts {
        Facts {
            implementation: "cpython".into(),
            version: (3, 11, 7),
            release_level: "final".into(),
            free_threaded: false,
            machine: "x86_64".into(),
            bits: 64,
            libc: Some(Libc { family: LibcFamily::Glibc, major: 2, minor: 36 }),
            base: HexPath("/usr/bin/python3.11".into()),
        }
    }

    fn check(facts: &Facts) -> Result<(), String> {
        Wanted { claim: &claim(), platform: &platform(), artifact: (0, 0) }
            .check(facts)
            .map_err(|unfit| unfit.to_string())
    }

    #[test]
    fn facts_that_fit() {
        assert_eq!(check(&facts()), Ok(()));
        assert_eq!(check(&Facts { version: (3, 10, 0), ..facts() }), Ok(()));
    }

    #[test]
    fn every_axis_is_checked() {
        let refused = |facts: Facts| check(&facts).expect_err("refused");
        assert_eq!(refused(Facts { version: (3, 11, 2), ..facts() }), "is Python 3.11.2");
        assert_eq!(refused(Facts { version: (3, 13, 0), ..facts() }), "is Python 3.13.0");
        assert_eq!(
            refused(Facts { version: (3, 12, 0), release_level: "candidate".into(), ..facts() }),
            "is Python 3.12.0 candidate, a pre-release"
        );
        assert_eq!(refused(Facts { implementation: "pypy".into(), ..facts() }), "is pypy, expected CPython");
        assert_eq!(refused(Facts { free_threaded: true, ..facts() }), "is free-threaded");
        assert_eq!(refused(Facts { bits: 32, ..facts() }), "is a 32-bit program for x86_64");
        assert_eq!(refused(Facts { machine: "aarch64".into(), ..facts() }), "is a 64-bit program for aarch64");
        let musl = Libc { family: LibcFamily::Musl, major: 1, minor: 2 };
        assert_eq!(refused(Facts { libc: Some(musl), ..facts() }), "runs on musl 1.2");
        let old = Libc { family: LibcFamily::Glibc, major: 2, minor: 12 };
        assert_eq!(refused(Facts { libc: Some(old), ..facts() }), "runs on glibc 2.12");
        assert_eq!(refused(Facts { libc: None, ..facts() }), "runs on an unknown C library");
    }

    #[test]
    fn what_is_wanted_in_words() {
        let text = Wanted { claim: &claim(), platform: &platform(), artifact: (0, 0) }.describe();
        assert_eq!(text, "CPython 3.10 or 3.11.4 or a later 3.11 or 3.12 for x86_64, on glibc 2.17 or later");
    }

    #[test]
    fn candidates_of_path_come_by_name_then_by_directory() {
        let environment: Environment = [("PATH", "/a:relative::/b")].into_iter().collect();
        let first: Vec<PathBuf> = candidates(&claim(), &environment).take(10).collect();
        let expected = [
            "/a/python3.11",
            "/b/python3.11",
            "/a/python3",
            "/b/python3",
            "/a/python",
            "/b/python",
            "/a/python3.12",
            "/b/python3.12",
            "/a/python3.10",
            "/b/python3.10",
        ];
        assert_eq!(first, expected.map(PathBuf::from));
    }

    #[test]
    fn free_threaded_names() {
        let claim = PythonClaim { preferred: (3, 13), free_threaded: Some(true), ..claim() };
        assert_eq!(version_names((3, 13), &claim), ["python3.13t", "python3.13"]);
    }

    #[test]
    fn patch_releases_are_numbers() {
        assert_eq!(patch_release(b"3.11.10", 5), 10);
        assert_eq!(patch_release(b"cpython-3.11.7-linux-x86_64-gnu", 13), 7);
    }

    #[test]
    fn a_named_interpreter_may_be_a_name_a_file_or_a_directory() {
        let environment: Environment = [("PATH", "/bin")].into_iter().collect();
        let named = |value: &str| named(OsStr::new(value), &claim(), &environment);
        assert_eq!(named("sh"), Ok("/bin/sh".into()));
        assert_eq!(named("/bin/sh"), Ok("/bin/sh".into()));
        assert_eq!(named("no-such-python"), Err("in no directory of `PATH`"));
        assert_eq!(named("/no/such/python"), Err("no executable file"));
        assert_eq!(named("/proc/self"), Err("a directory without a Python"));
        let odd = OsString::from_vec(b"\xff".to_vec());
        assert!(super::named(&odd, &claim(), &environment).is_err());
    }
}
