//! The launcher: the executable at the front of every artifact.
//!
//! It reads the artifact that it is itself part of, decides which app to start, finds a Python that fits,
//! makes sure that the packages lie unpacked in a tree, and becomes that Python.
//!
//! Invariant: when the tree is ready, nothing is hashed, locked, walked or spawned before `execve`; every
//! failure of the launcher itself ends in 125, 126 or 127 with a message that says what would work.

mod app;
mod artifact;
mod environment;
mod hash;
mod interpreter;
mod probe;
mod report;
mod root;
mod start;
mod tree;
mod unpack;

use std::convert::Infallible;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use app::{Choice, ChoiceError};
use artifact::{Artifact, ArtifactError};
use environment::{Controls, Environment};
use interpreter::{InterpreterError, Wanted};
use report::Log;
use root::{Root, RootError};
use start::{Start, StartError};
use tree::Tree;
use unpack::UnpackError;

/// Why the launcher could not start the app.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("this is an artifact, no interpreter")]
    Probed,
    #[error("the artifact could not be read")]
    Artifact(#[from] ArtifactError),
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    #[error(transparent)]
    Root(#[from] RootError),
    #[error(transparent)]
    Interpreter(#[from] InterpreterError),
    #[error("the artifact could not be unpacked into `{}`", root.display())]
    Unpack {
        root: PathBuf,
        /// Size of the tree in bytes.
        needed: u64,
        #[source]
        source: UnpackError,
    },
    #[error(transparent)]
    Start(#[from] StartError),
}

impl Failure {
    /// The exit status: 125 the launcher failed, 126 the interpreter could not be executed, 127 none fits.
    fn exit_code(&self) -> u8 {
        match self {
            Self::Interpreter(_) => 127,
            Self::Start(StartError::Execute { .. }) => 126,
            _ => 125,
        }
    }

    /// What would work.
    fn hint(&self) -> Option<String> {
        match self {
            Self::Probed => None,
            Self::Artifact(error) => error.hint(),
            Self::Choice(error) => Some(error.hint()),
            Self::Root(error) => Some(error.hint()),
            Self::Interpreter(error) => Some(error.hint()),
            Self::Unpack { needed, source, .. } => Some(source.hint(*needed)),
            Self::Start(error) => error.hint(),
        }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(failure) => {
            report::failure(&failure, failure.hint().as_deref());
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Starts the app; returns only to say that there was nothing to start, or why it could not be started.
fn run() -> Result<ExitCode, Failure> {
    let environment = Environment::of_process();
    if environment.is_set(probe::PROBING) {
        return Err(Failure::Probed);
    }
    let controls = Controls::read(&environment);
    let log = Log::new(controls.verbose);
    let artifact = Artifact::open()?;
    log.say(format_args!("artifact `{}`", artifact.path.display()));

    let mut arguments = std::env::args_os();
    let called_as = arguments.next().unwrap_or_default();
    let arguments: Vec<_> = arguments.collect();
    let choice = app::choose(&artifact.record.apps, &called_as, &arguments, &controls)?;
    let (app, consumed) = match choice {
        Choice::App { app, consumed } => (app, consumed),
        Choice::Help => {
            // Nobody is left to tell when standard output is closed.
            let _ = std::io::stdout().write_all(app::help(&artifact.record.apps, &called_as).as_bytes());
            return Ok(ExitCode::SUCCESS);
        }
    };
    log.say(format_args!("app `{}`", app.map_or("(none)", |app| &app.name)));

    let root = Root::choose(&environment, &controls, &log)?;
    log.say(format_args!("root `{}`", root.path().display()));

    let wanted =
        Wanted { claim: &artifact.record.python, platform: &artifact.record.platform, artifact: artifact.identity };
    let interpreter = interpreter::find(&wanted, &environment, &controls, &root, &log)?;
    log.say(format_args!("interpreter `{}`, {}", interpreter.base.display(), interpreter.describe()));

    let tree = Tree::new(&artifact.trailer, &interpreter, &root);
    if tree.is_ready() {
        log.say(format_args!("tree `{}` is ready", tree.path().display()));
    } else {
        log.say(format_args!("tree `{}` is not there yet", tree.path().display()));
        unpack::unpack(&artifact, &tree, &root, controls.jobs, &log).map_err(|source| Failure::Unpack {
            root: root.path().to_owned(),
            needed: artifact.record.unpacked_size,
            source,
        })?;
    }

    let start =
        Start::new(app, controls.overrides.as_ref(), &tree, &artifact.path, &environment, &arguments[consumed..])?;
    log.say(format_args!("starting {start}"));
    let never: Infallible = start.execute()?;
    match never {}
}
