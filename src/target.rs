//! What an artifact is built for: a platform and a Python version, which decide markers and tags.
//!
//! Invariant: a [`PythonRequest`] without a patch release stands for every release of that minor version.

use std::fmt;
use std::str::FromStr;

use crate::error::{Diagnose, ExitStatus};
use crate::packaging::{MarkerEnvironment, Tags, TagsError, marker_environment, tags_for};
use crate::platform::Platform;

/// A Python version as the user asks for it: `3.11`, `3.11.9`, `3.13t`, `3.14.0t`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PythonRequest {
    /// Major and minor version.
    pub version: (u8, u8),
    /// The patch release, if exactly one is meant.
    pub patch: Option<u32>,
    /// Whether the free-threaded build is meant.
    pub free_threaded: bool,
}

/// A Python version that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("Python version `{0}` is not known")]
pub struct PythonRequestError(String);

impl Diagnose for PythonRequestError {
    fn exit_status(&self) -> ExitStatus {
        ExitStatus::Usage
    }

    fn hint(&self) -> Option<String> {
        Some("give a version such as `3.11`, `3.11.9`, or `3.13t` for the free-threaded build".into())
    }
}

impl FromStr for PythonRequest {
    type Err = PythonRequestError;

    fn from_str(text: &str) -> Result<Self, PythonRequestError> {
        let parse = || {
            let (numbers, free_threaded) = match text.strip_suffix('t') {
                Some(numbers) => (numbers, true),
                None => (text, false),
            };
            let mut parts = numbers.split('.').map(|part| {
                let plain = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
                plain.then(|| part.parse::<u32>().ok()).flatten()
            });
            let major = u8::try_from(parts.next()??).ok()?;
            let minor = u8::try_from(parts.next()??).ok()?;
            let patch = parts.next().map_or(Some(None), |patch| patch.map(Some))?;
            let supported = major == 3 && minor >= 7 && (!free_threaded || minor >= 13) && parts.next().is_none();
            supported.then_some(Self { version: (major, minor), patch, free_threaded })
        };
        parse().ok_or_else(|| PythonRequestError(text.to_owned()))
    }
}

impl fmt::Display for PythonRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.version;
        write!(f, "{major}.{minor}")?;
        if let Some(patch) = self.patch {
            write!(f, ".{patch}")?;
        }
        if self.free_threaded { f.write_str("t") } else { Ok(()) }
    }
}

/// A platform and a Python version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Where the artifact will run.
    pub platform: Platform,
    /// The Python it will run on.
    pub python: PythonRequest,
}

impl Target {
    /// The tags that an interpreter of this target accepts.
    pub fn tags(&self) -> Result<Tags, TagsError> {
        tags_for(&self.platform, self.python.version, self.python.free_threaded)
    }

    /// The marker environment of one patch release of this target.
    pub fn environment(&self, patch: u32) -> MarkerEnvironment {
        let (major, minor) = self.python.version;
        marker_environment(self.platform.arch, (major, minor, patch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_round_trip() {
        for text in ["3.11", "3.11.9", "3.13t", "3.14.0t"] {
            assert_eq!(text.parse::<PythonRequest>().expect(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_not_a_version_is_refused() {
        for text in ["", "3", "3.", "3.11.", "3.11.x", "2.7", "3.11t", "3.11.1.1", "+3.11", "3.11.-1", "3.300"] {
            assert!(text.parse::<PythonRequest>().is_err(), "{text} was accepted");
        }
    }
}
