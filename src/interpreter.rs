//! Python interpreters on this machine: for choosing a default version, and for running build backends.
//!
//! Artifacts do not need any of them; the launcher finds its own where the artifact runs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// An interpreter that was started and told its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// What it calls itself (`sys.executable`).
    pub path: PathBuf,
    /// Major, minor and patch version.
    pub version: (u8, u8, u32),
}

/// Prints the version and the path of the interpreter that runs it; fails on anything but a released CPython.
const PROBE: &str = "import sys\nassert sys.implementation.name == 'cpython' and sys.version_info[3] == 'final'\n\
                     print(*sys.version_info[:3], sys.executable)";

/// Names under which interpreters are looked for, the exact version first.
fn names(wanted: Option<(u8, u8)>) -> Vec<String> {
    let exact = wanted.map(|(major, minor)| format!("python{major}.{minor}"));
    exact.into_iter().chain(["python3".to_owned(), "python".to_owned()]).collect()
}

/// The interpreters on `PATH`: `pythonX.Y` for the wanted version, `python3`, `python`, in this order.
///
/// Each is started in `directory`, where shims look for what to run, and only when the iterator comes to it: a
/// shim takes a tenth of a second.
pub fn on_path(wanted: Option<(u8, u8)>, directory: &Path) -> impl Iterator<Item = Interpreter> {
    let directories = path_directories();
    let directory = directory.to_owned();
    names(wanted)
        .into_iter()
        .flat_map(move |name| directories.iter().map(|directory| directory.join(&name)).collect::<Vec<_>>())
        .filter(|candidate| candidate.is_file())
        .filter_map(move |candidate| probe(&candidate, &directory))
}

fn path_directories() -> Vec<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect()
}

/// The minor versions of Python 3 for which there is a `python3.Y` on `PATH`, ascending; nothing is started.
pub fn minors_on_path() -> Vec<u8> {
    let directories = path_directories();
    let exists = |minor: &u8| directories.iter().any(|directory| directory.join(format!("python3.{minor}")).is_file());
    (7..=30).filter(exists).collect()
}

/// Starts an interpreter and asks for its version; `None` if it does not answer as CPython does.
fn probe(candidate: &Path, directory: &Path) -> Option<Interpreter> {
    let mut command = Command::new(candidate);
    command.args(["-I", "-S", "-c", PROBE]).current_dir(directory).stdin(Stdio::null());
    let output = command.output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    let mut words = text.trim_end().splitn(4, ' ');
    let mut number = || words.next()?.parse::<u32>().ok();
    let (major, minor, patch) = (number()?, number()?, number()?);
    let executable = OsString::from(words.next()?);
    let version = (u8::try_from(major).ok()?, u8::try_from(minor).ok()?, patch);
    Some(Interpreter { path: executable.into(), version })
}
