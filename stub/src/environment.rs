//! The environment, and the variables in it that control the launcher.
//!
//! Invariant: an empty value counts as unset, and a `BUNDLE_*` name wins over its `PEX_*` alias.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt as _;

/// A snapshot of environment variables; names and values need not be UTF-8.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    variables: BTreeMap<OsString, OsString>,
}

impl Environment {
    pub(crate) fn of_process() -> Self {
        Self { variables: std::env::vars_os().collect() }
    }

    /// Returns a variable that is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// Returns whether a variable is set, to an empty value too.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.variables.contains_key(OsStr::new(name))
    }

    /// Returns `BUNDLE_<name>`, else `PEX_<name>`.
    fn control(&self, name: &str) -> Option<&OsStr> {
        self.get(&format!("BUNDLE_{name}")).or_else(|| self.get(&format!("PEX_{name}")))
    }

    fn control_is_true(&self, name: &str) -> bool {
        self.control(name).is_some_and(|value| {
            !["0", "false", "no", "off"].iter().any(|false_value| value.eq_ignore_ascii_case(false_value))
        })
    }

    /// Returns the import path that the child gets: `PYTHONPATH` if it may be inherited, then the extra one.
    pub(crate) fn child_python_path(&self) -> Option<OsString> {
        let inherited = self.control("INHERIT_PATH").filter(|value| *value == "prefer");
        let parts = [inherited.and_then(|_| self.get("PYTHONPATH")), self.control("EXTRA_SYS_PATH")];
        let parts: Vec<&OsStr> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(OsStr::new(":")))
    }
}

impl<Name: Into<OsString>, Value: Into<OsString>> FromIterator<(Name, Value)> for Environment {
    fn from_iter<I: IntoIterator<Item = (Name, Value)>>(variables: I) -> Self {
        Self { variables: variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }
}

/// What the caller asked the launcher to do by environment variables.
#[derive(Debug, Default)]
pub(crate) struct Controls {
    /// `BUNDLE_ROOT`.
    pub(crate) root: Option<OsString>,
    /// `BUNDLE_PYTHON`.
    pub(crate) python: Option<OsString>,
    /// `BUNDLE_APP`.
    pub(crate) app: Option<OsString>,
    /// What is started instead of the app's entry.
    pub(crate) overrides: Option<Override>,
    /// `BUNDLE_JOBS` (alias `PEX_MAX_INSTALL_JOBS`): the most threads that unpack.
    pub(crate) jobs: Option<NonZeroUsize>,
    /// `BUNDLE_VERBOSE`.
    pub(crate) verbose: bool,
}

/// What is started instead of the app's entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Override {
    /// `BUNDLE_INTERPRETER`: the interpreter itself.
    Interpreter,
    /// `BUNDLE_SCRIPT`: a script of the tree's `bin`.
    Script(OsString),
    /// `BUNDLE_MODULE=module`: as `python -m`.
    Module(OsString),
    /// `BUNDLE_MODULE=module:attribute`: a function, whose result is the exit status.
    Function { module: OsString, attribute: OsString },
}

/// The controls that say what to start. They are meant for this artifact, not for others that it starts.
pub(crate) const OVERRIDE_VARIABLES: [&str; 6] =
    ["BUNDLE_INTERPRETER", "BUNDLE_MODULE", "BUNDLE_SCRIPT", "PEX_INTERPRETER", "PEX_MODULE", "PEX_SCRIPT"];

impl Controls {
    pub(crate) fn read(environment: &Environment) -> Self {
        let control = |name| environment.control(name).map(OsStr::to_owned);
        let overrides = if environment.control_is_true("INTERPRETER") {
            Some(Override::Interpreter)
        } else if let Some(script) = control("SCRIPT") {
            Some(Override::Script(script))
        } else {
            environment.control("MODULE").map(module_override)
        };
        let jobs = environment.get("BUNDLE_JOBS").or_else(|| environment.get("PEX_MAX_INSTALL_JOBS"));
        Self {
            root: control("ROOT"),
            python: control("PYTHON"),
            app: environment.get("BUNDLE_APP").map(OsStr::to_owned),
            overrides,
            jobs: jobs.and_then(|jobs| jobs.to_str()?.parse().ok()),
            verbose: environment.control_is_true("VERBOSE"),
        }
    }
}

fn module_override(value: &OsStr) -> Override {
    let bytes = value.as_bytes();
    match bytes.iter().position(|byte| *byte == b':') {
        Some(colon) => Override::Function {
            module: OsStr::from_bytes(&bytes[..colon]).to_owned(),
            attribute: OsStr::from_bytes(&bytes[colon + 1..]).to_owned(),
        },
        None => Override::Module(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn controls(variables: &[(&str, &str)]) -> Controls {
        Controls::read(&variables.iter().copied().collect())
    }

    #[test]
    fn aliases_count_when_the_canonical_name_is_unset_or_empty() {
        assert_eq!(controls(&[("PEX_ROOT", "/pex")]).root, Some("/pex".into()));
        assert_eq!(controls(&[("PEX_ROOT", "/pex"), ("BUNDLE_ROOT", "")]).root, Some("/pex".into()));
        assert_eq!(controls(&[("PEX_ROOT", "/pex"), ("BUNDLE_ROOT", "/b")]).root, Some("/b".into()));
        assert_eq!(controls(&[("PEX_APP", "api")]).app, None);
    }

    #[test]
    fn overrides() {
        let overrides = |variables: &[(&str, &str)]| controls(variables).overrides;
        assert_eq!(overrides(&[("BUNDLE_INTERPRETER", "0")]), None);
        assert_eq!(overrides(&[("BUNDLE_INTERPRETER", "False")]), None);
        assert_eq!(overrides(&[("PEX_INTERPRETER", "1"), ("BUNDLE_SCRIPT", "uvicorn")]), Some(Override::Interpreter));
        assert_eq!(overrides(&[("BUNDLE_MODULE", "json.tool")]), Some(Override::Module("json.tool".into())));
        assert_eq!(
            overrides(&[("PEX_MODULE", "api.main:run")]),
            Some(Override::Function { module: "api.main".into(), attribute: "run".into() })
        );
    }

    #[test]
    fn python_path_does_not_leak_in_unless_it_is_preferred() {
        let path = |variables: &[(&str, &str)]| variables.iter().copied().collect::<Environment>().child_python_path();
        assert_eq!(path(&[("PYTHONPATH", "/a")]), None);
        assert_eq!(path(&[("PYTHONPATH", "/a"), ("PEX_INHERIT_PATH", "prefer")]), Some("/a".into()));
        assert_eq!(path(&[("PYTHONPATH", "/a"), ("BUNDLE_EXTRA_SYS_PATH", "/x:/y")]), Some("/x:/y".into()));
        assert_eq!(
            path(&[("PYTHONPATH", "/a"), ("BUNDLE_INHERIT_PATH", "prefer"), ("BUNDLE_EXTRA_SYS_PATH", "/x")]),
            Some("/a:/x".into())
        );
    }
}
