//! The start of Python: which arguments and which environment, then `execve`.
//!
//! Invariant: of the caller's environment only what would break the tree is taken away.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process;

use bundle_launcher::{App, Entry};

use crate::environment::{Environment, OVERRIDE_VARIABLES, Override};
use crate::tree::Tree;

/// Calls `module:attribute`, given as the first two arguments.
const CALL: &str = include_str!("call.py");

/// Bytes of a script that tell what it is.
const SCRIPT_START: u64 = bundle_launcher::SCRIPT_START as u64;

/// What `PATH` means where it is not set.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Variables that would make the tree's interpreter another one.
const REMOVED_VARIABLES: [&str; 3] = ["PYTHONHOME", "PYTHONPATH", "__PYVENV_LAUNCHER__"];

/// Python, about to be started.
#[derive(Debug)]
pub(crate) struct Start {
    program: PathBuf,
    arguments: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
}

/// Why Python cannot be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("`BUNDLE_SCRIPT` is `{}`, which is no script of this artifact; its scripts are: {}", name.display(), scripts.join(", "))]
    NoScript { name: OsString, scripts: Vec<String> },
    #[error("`BUNDLE_MODULE` is `{}:{}`, expected `module` or `module:attribute`", module.display(), attribute.display())]
    MalformedFunction { module: OsString, attribute: OsString },
    #[error("`{}` could not be executed", program.display())]
    Execute {
        program: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl StartError {
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::NoScript { .. } | Self::MalformedFunction { .. } => None,
            Self::Execute { .. } => Some("set `BUNDLE_PYTHON` to another interpreter".into()),
        }
    }
}

impl Start {
    /// Puts together what is started: the override, else the app's entry, else the interpreter.
    pub(crate) fn new(
        app: Option<&App>,
        overrides: Option<&Override>,
        tree: &Tree<'_>,
        artifact: &Path,
        environment: &Environment,
        user_arguments: &[OsString],
    ) -> Result<Self, StartError> {
        let bin = tree.path().join("bin");
        let Command { program, mut arguments } = match (overrides, app) {
            (Some(overrides), _) => override_command(overrides, &bin)?,
            (None, Some(app)) => app_command(app, &bin),
            (None, None) => Command::python(&bin, vec![]),
        };
        arguments.extend_from_slice(user_arguments);
        Ok(Self { program, arguments, variables: variables(app, tree.path(), artifact, environment) })
    }

    /// Becomes Python; returns only when that fails.
    pub(crate) fn execute(self) -> Result<Infallible, StartError> {
        let mut command = process::Command::new(&self.program);
        command.args(&self.arguments);
        for name in REMOVED_VARIABLES.iter().chain(&OVERRIDE_VARIABLES) {
            command.env_remove(name);
        }
        command.envs(self.variables);
        let source = command.exec();
        Err(StartError::Execute { program: self.program, source })
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}", self.program.display())?;
        for argument in &self.arguments {
            let shown = if argument == CALL { OsStr::new("…") } else { argument };
            write!(f, " {}", shown.display())?;
        }
        write!(f, "`")
    }
}

/// A program and the arguments that come before the user's.
#[derive(Debug, PartialEq, Eq)]
struct Command {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Command {
    /// The tree's interpreter.
    fn python(bin: &Path, arguments: Vec<OsString>) -> Self {
        Self { program: bin.join("python"), arguments }
    }
}

fn app_command(app: &App, bin: &Path) -> Command {
    let mut command = match &app.entry {
        Entry::Script(name) => Command::python(bin, vec![bin.join(name).into()]),
        Entry::Program(name) => Command { program: bin.join(name), arguments: vec![] },
        Entry::Module(module) => Command::python(bin, vec!["-m".into(), module.into()]),
        Entry::Interpreter => Command::python(bin, vec![]),
    };
    command.arguments.extend(app.args.iter().map(OsString::from));
    command
}

fn override_command(overrides: &Override, bin: &Path) -> Result<Command, StartError> {
    match overrides {
        Override::Interpreter => Ok(Command::python(bin, vec![])),
        Override::Module(module) => Ok(Command::python(bin, vec!["-m".into(), module.clone()])),
        Override::Function { module, attribute } => {
            if module.is_empty() || attribute.is_empty() {
                return Err(StartError::MalformedFunction { module: module.clone(), attribute: attribute.clone() });
            }
            Ok(Command::python(bin, vec!["-c".into(), CALL.into(), module.clone(), attribute.clone()]))
        }
        Override::Script(name) => {
            let path = bin.join(name);
            if name.as_bytes().contains(&b'/') || !path.is_file() {
                return Err(StartError::NoScript { name: name.clone(), scripts: scripts(bin) });
            }
            if is_python_script(&path) {
                Ok(Command::python(bin, vec![path.into()]))
            } else {
                Ok(Command { program: path, arguments: vec![] })
            }
        }
    }
}

/// Whether a file of `bin` is for Python, as its first lines tell: `#!…python`, or our own line for `sh` and Python.
fn is_python_script(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(SCRIPT_START).read_to_end(&mut start));
    read.is_ok() && bundle_launcher::is_python_script(&start)
}

/// Returns the names of the scripts in a `bin` directory: the interpreter in it is a symbolic link.
fn scripts(bin: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(bin)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| format!("`{}`", entry.file_name().display()))
        .collect();
    names.sort();
    names
}

/// Returns the variables that are set for Python.
fn variables(app: Option<&App>, tree: &Path, artifact: &Path, environment: &Environment) -> Vec<(OsString, OsString)> {
    let bin = tree.join("bin");
    let path = environment.get("PATH").unwrap_or(OsStr::new(DEFAULT_PATH));
    // An artifact that starts itself again would otherwise lengthen `PATH` each time.
    let path = if path.as_bytes().split(|byte| *byte == b':').next() == Some(bin.as_os_str().as_bytes()) {
        path.to_owned()
    } else {
        [bin.as_os_str(), path].join(OsStr::new(":"))
    };

    let mut variables: Vec<(OsString, OsString)> =
        vec![("PATH".into(), path), ("VIRTUAL_ENV".into(), tree.into()), ("BUNDLE".into(), artifact.into())];
    variables.extend(environment.child_python_path().map(|path| ("PYTHONPATH".into(), path)));
    let defaults = app.into_iter().flat_map(|app| &app.env).filter(|(name, _)| !environment.is_set(name));
    variables.extend(defaults.map(|(name, value)| (name.into(), value.into())));
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(entry: Entry) -> App {
        let env = [("MODE".to_owned(), "production".to_owned()), ("PATH".to_owned(), "/never".to_owned())];
        App { name: "api".into(), entry, args: vec!["--port".into(), "80".into()], env: env.into() }
    }

    #[test]
    fn arguments_of_entries() {
        let command = |entry| {
            let Command { program, arguments } = app_command(&app(entry), Path::new("/t/bin"));
            let arguments = arguments.join(OsStr::new(" "));
            format!("{} {}", program.display(), arguments.display())
        };
        assert_eq!(command(Entry::Script("uvicorn".into())), "/t/bin/python /t/bin/uvicorn --port 80");
        assert_eq!(command(Entry::Program("ruff".into())), "/t/bin/ruff --port 80");
        assert_eq!(command(Entry::Module("api".into())), "/t/bin/python -m api --port 80");
        assert_eq!(command(Entry::Interpreter), "/t/bin/python --port 80");
    }

    #[test]
    fn arguments_of_overrides() {
        let arguments =
            |overrides| override_command(&overrides, Path::new("/nonexistent/bin")).map(|command| command.arguments);
        assert_eq!(arguments(Override::Module("json.tool".into())).expect("valid"), ["-m", "json.tool"]);
        let function = Override::Function { module: "a".into(), attribute: "b".into() };
        assert_eq!(arguments(function).expect("valid"), ["-c", CALL, "a", "b"]);
        let malformed = Override::Function { module: "a".into(), attribute: "".into() };
        assert!(matches!(arguments(malformed), Err(StartError::MalformedFunction { .. })));
        for name in ["gone", "../python", "/bin/sh"] {
            assert!(matches!(arguments(Override::Script(name.into())), Err(StartError::NoScript { .. })), "{name}");
        }
    }

    #[test]
    fn variables_for_python() {
        let set = |environment: &[(&str, &str)]| {
            let environment = environment.iter().copied().collect();
            let entry = app(Entry::Interpreter);
            let set = variables(Some(&entry), Path::new("/t"), Path::new("/dist/api"), &environment);
            process::Command::new("x")
                .envs(set)
                .get_envs()
                .map(|(name, value)| format!("{}={}", name.display(), value.unwrap_or_default().display()))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(set(&[("PATH", "/bin")]), "BUNDLE=/dist/api MODE=production PATH=/t/bin:/bin VIRTUAL_ENV=/t");
        assert_eq!(
            set(&[("PATH", "/t/bin:/bin"), ("MODE", ""), ("BUNDLE_EXTRA_SYS_PATH", "/x")]),
            "BUNDLE=/dist/api PATH=/t/bin:/bin PYTHONPATH=/x VIRTUAL_ENV=/t"
        );
    }
}
