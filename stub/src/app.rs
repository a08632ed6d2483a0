//! The choice of the app among those in the artifact.
//!
//! Invariant: an artifact with one app never asks; one with several never guesses.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::path::Path;

use bundle_launcher::{App, Entry};

use crate::environment::Controls;

/// What came of choosing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Choice<'a> {
    /// Start this app; `None` where something else was asked for and no app was named.
    App {
        app: Option<&'a App>,
        /// How many of the arguments named the app and are not meant for it.
        consumed: usize,
    },
    /// List the apps.
    Help,
}

/// Why no app could be chosen.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChoiceError {
    /// Nothing names one.
    #[error("this file holds several apps, and none was named:\n{apps}")]
    Unnamed { apps: String },
    /// The first argument names none, nor does anything else.
    #[error("this file holds no app `{}`; its apps are:\n{apps}", name.display())]
    Argument { name: OsString, apps: String },
    /// `BUNDLE_APP` names one that is not there.
    #[error("`BUNDLE_APP` is `{}`, which is no app of this file; its apps are:\n{apps}", name.display())]
    Variable { name: OsString, apps: String },
}

impl ChoiceError {
    #[expect(clippy::unused_self, reason = "the same shape as every other module's hint")]
    pub(crate) fn hint(&self) -> String {
        "give the app's name as the first argument, set `BUNDLE_APP`, or start a symbolic link of that name".into()
    }
}

/// Chooses by the name the file was called by, else by the first argument, else by `BUNDLE_APP`.
pub(crate) fn choose<'a>(
    apps: &'a [App],
    called_as: &OsStr,
    arguments: &[OsString],
    controls: &Controls,
) -> Result<Choice<'a>, ChoiceError> {
    if let [app] = apps {
        return Ok(Choice::App { app: Some(app), consumed: 0 });
    }
    let named = |name: &OsStr| apps.iter().find(|app| OsStr::new(&app.name) == name);
    let argument = arguments.first().map(OsString::as_os_str);

    if let Some(app) = Path::new(called_as).file_name().and_then(named) {
        return Ok(Choice::App { app: Some(app), consumed: 0 });
    }
    if let Some(app) = argument.and_then(named) {
        return Ok(Choice::App { app: Some(app), consumed: 1 });
    }
    if let Some(name) = &controls.app {
        let app = named(name).ok_or_else(|| ChoiceError::Variable { name: name.clone(), apps: list(apps) })?;
        return Ok(Choice::App { app: Some(app), consumed: 0 });
    }
    if controls.overrides.is_some() {
        return Ok(Choice::App { app: None, consumed: 0 });
    }
    match argument {
        None => Err(ChoiceError::Unnamed { apps: list(apps) }),
        Some(argument) if argument == "--help" || argument == "-h" => Ok(Choice::Help),
        Some(argument) => Err(ChoiceError::Argument { name: argument.to_owned(), apps: list(apps) }),
    }
}

/// Returns the text of `--help` of a file with several apps.
pub(crate) fn help(apps: &[App], called_as: &OsStr) -> String {
    let name = Path::new(called_as).file_name().unwrap_or(called_as).display();
    format!("Usage: {name} APP [ARGUMENTS]...\n\nApps:\n{}\n", list(apps))
}

fn list(apps: &[App]) -> String {
    let width = apps.iter().map(|app| app.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for app in apps {
        let separator = if text.is_empty() { "" } else { "\n" };
        let _ = write!(text, "{separator}  {:width$}  ", app.name);
        let _ = match &app.entry {
            Entry::Script(name) | Entry::Program(name) => write!(text, "{name}"),
            Entry::Module(module) => write!(text, "python -m {module}"),
            Entry::Interpreter => write!(text, "python"),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Override;

    fn app(name: &str) -> App {
        App { name: name.into(), entry: Entry::Module(name.into()), args: vec![], env: [].into() }
    }

    fn chosen(
        called_as: &str,
        arguments: &[&str],
        controls: &Controls,
    ) -> Result<(Option<String>, usize), ChoiceError> {
        let apps = [app("api"), app("worker")];
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        match choose(&apps, OsStr::new(called_as), &arguments, controls)? {
            Choice::App { app, consumed } => Ok((app.map(|app| app.name.clone()), consumed)),
            Choice::Help => Ok((Some("--help".into()), 0)),
        }
    }

    #[test]
    fn one_app_is_started_whatever_the_arguments_are() {
        let apps = [app("api")];
        let choice = choose(&apps, OsStr::new("x"), &["--help".into()], &Controls::default());
        assert_eq!(choice, Ok(Choice::App { app: Some(&apps[0]), consumed: 0 }));
    }

    #[test]
    fn the_link_wins_over_the_argument_and_the_argument_over_the_variable() {
        let worker = Controls { app: Some("worker".into()), ..Controls::default() };
        assert_eq!(chosen("/usr/bin/api", &["worker"], &worker), Ok((Some("api".into()), 0)));
        assert_eq!(chosen("./rag", &["api", "x"], &worker), Ok((Some("api".into()), 1)));
        assert_eq!(chosen("./rag", &["x"], &worker), Ok((Some("worker".into()), 0)));
    }

    #[test]
    fn nothing_is_guessed() {
        let none = Controls::default();
        assert!(matches!(chosen("rag", &[], &none), Err(ChoiceError::Unnamed { .. })));
        assert!(matches!(chosen("rag", &["ap"], &none), Err(ChoiceError::Argument { .. })));
        let wrong = Controls { app: Some("wrong".into()), ..Controls::default() };
        assert!(matches!(chosen("rag", &[], &wrong), Err(ChoiceError::Variable { .. })));
        assert_eq!(chosen("rag", &["--help"], &none), Ok((Some("--help".into()), 0)));
    }

    #[test]
    fn an_override_needs_no_app() {
        let interpreter = Controls { overrides: Some(Override::Interpreter), ..Controls::default() };
        assert_eq!(chosen("rag", &["-c", "0"], &interpreter), Ok((None, 0)));
        assert_eq!(chosen("rag", &["api", "-c"], &interpreter), Ok((Some("api".into()), 1)));
    }

    #[test]
    fn help_lists_the_apps() {
        let text = help(&[app("api"), app("worker")], OsStr::new("dist/rag"));
        assert_eq!(
            text,
            "Usage: rag APP [ARGUMENTS]...\n\nApps:\n  api     python -m api\n  worker  python -m worker\n"
        );
    }
}
