//! Entry points: `module:attribute` references, and the scripts that call them.

use std::fmt;
use std::str::FromStr;

use crate::error::{Diagnose, ExitStatus};

/// A callable in a module, as in the `console_scripts` of `entry_points.txt`.
///
/// Invariant: both parts are dotted Python identifiers, so that they can stand in source code as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectReference {
    /// The module, e.g. `uvicorn`.
    pub module: String,
    /// The callable in it, e.g. `main`; dotted for a method.
    pub attribute: String,
}

/// A text that is no `module:attribute`.
#[derive(Debug, thiserror::Error)]
#[error("entry point `{0}` is not of the form `module:attribute`")]
pub struct ObjectReferenceError(String);

impl Diagnose for ObjectReferenceError {
    fn exit_status(&self) -> ExitStatus {
        ExitStatus::Usage
    }

    fn hint(&self) -> Option<String> {
        Some("write it like `api.main:run`: dotted names on both sides of one colon".into())
    }
}

impl FromStr for ObjectReference {
    type Err = ObjectReferenceError;

    /// Extras in brackets after the reference are ignored, as
    /// <https://packaging.python.org/en/latest/specifications/entry-points/#data-model> asks of consumers.
    fn from_str(text: &str) -> Result<Self, ObjectReferenceError> {
        let reference = text.split('[').next().unwrap_or_default();
        let (module, attribute) = reference.split_once(':').ok_or_else(|| ObjectReferenceError(text.to_owned()))?;
        let (module, attribute) = (module.trim(), attribute.trim());
        if is_dotted_name(module) && is_dotted_name(attribute) {
            Ok(Self { module: module.to_owned(), attribute: attribute.to_owned() })
        } else {
            Err(ObjectReferenceError(text.to_owned()))
        }
    }
}

impl fmt::Display for ObjectReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.module, self.attribute)
    }
}

/// Whether a text is a dotted sequence of Python identifiers.
pub fn is_dotted_name(text: &str) -> bool {
    text.split('.').all(|part| {
        let mut characters = part.chars();
        characters.next().is_some_and(|first| first == '_' || first.is_alphabetic())
            && characters.all(|character| character == '_' || character.is_alphanumeric())
    })
}

/// The first lines of a script that runs the interpreter beside it, wherever its tree lies.
///
/// `sh` reads the second line as a command, Python as the start of a string. The same form is what
/// relocatable virtual environments of other tools use.
pub const RELOCATABLE_SHEBANG: &str =
    "#!/bin/sh\n'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'python' \"$0\" \"$@\"\n' '''\n";

impl ObjectReference {
    /// The script that calls this, as an installer makes it for a console script.
    pub fn script(&self) -> String {
        let Self { module, attribute } = self;
        let imported = attribute.split('.').next().unwrap_or(attribute);
        format!(
            "{RELOCATABLE_SHEBANG}import sys\nfrom {module} import {imported}\n\
             if __name__ == '__main__':\n    sys.exit({attribute}())\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        let reference: ObjectReference = "api.main : App.run [extra]".parse().expect("valid");
        assert_eq!(reference.to_string(), "api.main:App.run");
        assert!(
            reference.script().ends_with(
                "import sys\nfrom api.main import App\nif __name__ == '__main__':\n    sys.exit(App.run())\n"
            )
        );
    }

    #[test]
    fn code_is_not_a_reference() {
        for text in ["", "api", "api:", ":run", "api:run()", "a;b:c", "a b:c", "1a:b", "a..b:c", "api:run\nimport os"] {
            assert!(text.parse::<ObjectReference>().is_err(), "{text:?} was accepted");
        }
    }
}
