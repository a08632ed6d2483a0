//! Runs of the real executable and of what it builds, cut off from the caller's environment.
//!
//! When an expectation fails, the panic shows the command, the files around it, and everything it printed.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use tempfile::TempDir;

use super::project::Project;

/// A directory of its own for a test: project, home, cache and root.
#[derive(Debug)]
pub(crate) struct Sandbox {
    directory: TempDir,
}

impl Sandbox {
    /// Writes a project into a new sandbox.
    pub(crate) fn new(project: &Project) -> Self {
        let sandbox = Self::empty();
        project.write(&sandbox.project());
        sandbox
    }

    /// A sandbox whose project directory is empty.
    pub(crate) fn empty() -> Self {
        let directory = tempfile::Builder::new().prefix("bundle-test-").tempdir().expect("temporary directory");
        let sandbox = Self { directory };
        std::fs::create_dir(sandbox.project()).expect("project");
        std::fs::create_dir(sandbox.path("home")).expect("home");
        sandbox
    }

    /// A path in the sandbox.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        // What programs print of themselves has no symbolic links in it.
        self.directory.path().canonicalize().expect("sandbox").join(name)
    }

    /// The project's directory.
    pub(crate) fn project(&self) -> PathBuf {
        self.path("project")
    }

    /// `bundle`'s cache.
    pub(crate) fn cache(&self) -> PathBuf {
        self.path("cache")
    }

    /// Where launchers unpack.
    pub(crate) fn root(&self) -> PathBuf {
        self.path("root")
    }

    /// A run of `bundle` in the project.
    pub(crate) fn bundle(&self, arguments: &[&str]) -> Run {
        self.run(env!("CARGO_BIN_EXE_bundle")).args(arguments).current_dir(self.project())
    }

    /// Builds an app for this machine and returns the artifact.
    pub(crate) fn build(&self, app: &str) -> PathBuf {
        self.bundle(&["build", app]).success();
        self.artifact(app)
    }

    /// Where an app's artifact is.
    pub(crate) fn artifact(&self, app: &str) -> PathBuf {
        self.project().join("dist").join(app)
    }

    /// A run of an artifact, or any other program, in the sandbox's environment.
    pub(crate) fn run(&self, program: impl AsRef<OsStr>) -> Run {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("home"))
            .env("BUNDLE_CACHE_DIR", self.cache())
            .env("BUNDLE_ROOT", self.root())
            .env("NO_COLOR", "1")
            .current_dir(self.directory.path())
            .stdin(Stdio::null());
        Run { command, shown: self.path("") }
    }
}

/// A command about to be run.
#[derive(Debug)]
pub(crate) struct Run {
    command: Command,
    /// The directory that is listed when an expectation fails.
    shown: PathBuf,
}

impl Run {
    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub(crate) fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn env_remove(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    pub(crate) fn current_dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// The command itself, for tests that deal with the process.
    pub(crate) fn into_command(self) -> Command {
        self.command
    }

    /// Runs it to its end.
    pub(crate) fn finish(mut self) -> Finished {
        let output = self.command.output().unwrap_or_else(|error| panic!("{:?}: {error}", self.command));
        Finished {
            command: format!("{:?}", self.command),
            shown: self.shown,
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs it and expects status 0.
    pub(crate) fn success(self) -> Finished {
        self.fails_with(0)
    }

    /// Runs it and expects this exit status.
    pub(crate) fn fails_with(self, status: i32) -> Finished {
        let finished = self.finish();
        if finished.status.code() != Some(status) {
            finished.give_up(&format!("expected exit status {status}"));
        }
        finished
    }
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Finished {
    command: String,
    shown: PathBuf,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// Standard output as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| self.give_up(&format!("no JSON: {error}")))
    }

    /// Expects standard error to have every one of these in it.
    pub(crate) fn says(&self, fragments: &[&str]) -> &Self {
        for fragment in fragments {
            if !self.stderr.contains(fragment) {
                self.give_up(&format!("expected `{fragment}` on standard error"));
            }
        }
        self
    }

    /// Expects standard output to be this and a line break.
    pub(crate) fn prints(&self, expected: &str) -> &Self {
        if self.stdout.strip_suffix('\n') != Some(expected) {
            self.give_up(&format!("expected `{expected}` on standard output"));
        }
        self
    }

    /// Expects one line on standard error that begins so, and returns what follows.
    pub(crate) fn line(&self, start: &str) -> &str {
        let mut lines = self.stderr.lines().filter_map(|line| line.strip_prefix(start));
        match (lines.next(), lines.next()) {
            (Some(rest), None) => rest,
            _ => self.give_up(&format!("expected one line that begins with `{start}` on standard error")),
        }
    }

    /// Fails the test with everything there is to know.
    pub(crate) fn give_up(&self, expectation: &str) -> ! {
        let Self { command, shown, status, stdout, stderr } = self;
        let status = match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit status {code}"),
            (None, signal) => format!("signal {signal:?}"),
        };
        let line = "-".repeat(60);
        panic!(
            "\n{line}\n{expectation}, got {status}\ncommand: {command}\nfiles:\n{}\nstdout:\n{stdout}\n\nstderr:\n{stderr}\n{line}\n",
            listing(shown),
        );
    }
}

/// Files below a directory with their sizes, cut at a hundred.
fn listing(directory: &Path) -> String {
    const MOST: usize = 100;
    let mut files = files_below(directory);
    let more = files.len().saturating_sub(MOST);
    files.truncate(MOST);
    let mut text = String::new();
    for file in &files {
        let size = std::fs::symlink_metadata(directory.join(file)).map_or(0, |metadata| metadata.len());
        let _ = writeln!(text, "  {size:>9} {}", file.display());
    }
    if more > 0 {
        let _ = writeln!(text, "  and {more} more");
    }
    text
}

/// Every file below a directory, relative to it, sorted; symbolic links are not followed.
pub(crate) fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(current) = directories.pop() {
        // A directory that another process removes meanwhile has no files.
        for entry in std::fs::read_dir(&current).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => directories.push(entry.path()),
                _ => files.extend(entry.path().strip_prefix(directory).map(Path::to_owned)),
            }
        }
    }
    files.sort();
    files
}
