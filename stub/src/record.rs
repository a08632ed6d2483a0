//! The launch record: everything the launcher has to know before it starts Python.
//!
//! It is JSON, so that `__main__.py` and people can read it too, and small (a few hundred bytes).
//! Invariant: a record that parses names at least one app, and its Python claim is not empty.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Schema number of the launch record; another number is refused.
pub const RECORD_SCHEMA: u32 = 1;

/// What an artifact is, what it can start, and what it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchRecord {
    /// [`RECORD_SCHEMA`].
    pub schema: u32,
    /// The platform whose wheels were packed.
    pub platform: Platform,
    /// The interpreters the artifact runs on.
    pub python: PythonClaim,
    /// The apps in the artifact, in the order they were asked for; never empty.
    pub apps: Vec<App>,
    /// Number of files that unpacking makes.
    pub files: u64,
    /// Sum of their sizes in bytes.
    pub unpacked_size: u64,
}

/// One app: how it is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// Name by which it is built and chosen.
    pub name: String,
    /// What is started.
    pub entry: Entry,
    /// Arguments put before the user's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Environment variables set unless the caller has set them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

/// What an app starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// `bin/<name>` of the tree: a Python script, run by the tree's interpreter.
    Script(String),
    /// `bin/<name>` of the tree: a program of another kind, executed as it is.
    Program(String),
    /// `python -m <module>`.
    Module(String),
    /// The interpreter itself, over the artifact's packages.
    Interpreter,
}

/// The platform an artifact was built for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// As it was asked for, e.g. `x86_64-manylinux2014`.
    pub name: String,
    /// `x86_64` or `aarch64`.
    pub arch: String,
    /// The C library that the packed wheels need; `None` when no wheel is tied to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub libc: Option<Libc>,
}

/// A C library and the lowest version of it that will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Libc {
    /// Which one.
    pub family: LibcFamily,
    /// Major version, e.g. 2.
    pub major: u16,
    /// Minor version, e.g. 17.
    pub minor: u16,
}

/// The two C libraries of Linux systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LibcFamily {
    /// The GNU C library (manylinux wheels).
    Glibc,
    /// musl (musllinux wheels).
    Musl,
}

impl std::fmt::Display for Libc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let family = match self.family {
            LibcFamily::Glibc => "glibc",
            LibcFamily::Musl => "musl",
        };
        write!(f, "{family} {}.{}", self.major, self.minor)
    }
}

/// The interpreters an artifact runs on: `CPython` of one of the ranges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PythonClaim {
    /// The version it was built for (major, minor): looked for first.
    pub preferred: (u8, u8),
    /// Versions that do, in ascending order; never empty.
    pub ranges: Vec<PythonRange>,
    /// Whether the packed wheels need the free-threaded build (`true`), the usual one (`false`), or either (`None`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_threaded: Option<bool>,
}

/// A range of patch releases of one minor version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PythonRange {
    /// Major and minor version.
    pub version: (u8, u8),
    /// The lowest patch release that does.
    #[serde(default)]
    pub patch_min: u32,
    /// The highest patch release that does; `None` for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch_max: Option<u32>,
}

impl PythonRange {
    /// Returns whether a release (major, minor, patch) lies in the range.
    pub fn contains(&self, (major, minor, patch): (u8, u8, u32)) -> bool {
        self.version == (major, minor)
            && patch >= self.patch_min
            && self.patch_max.is_none_or(|maximum| patch <= maximum)
    }
}

impl std::fmt::Display for PythonRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (major, minor) = self.version;
        match (self.patch_min, self.patch_max) {
            (0, None) => write!(f, "{major}.{minor}"),
            (low, None) => write!(f, "{major}.{minor}.{low} or a later {major}.{minor}"),
            (low, Some(high)) if low == high => write!(f, "{major}.{minor}.{low}"),
            (low, Some(high)) => write!(f, "{major}.{minor}.{low} to {major}.{minor}.{high}"),
        }
    }
}

/// Why a launch record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is not the JSON that it should be.
    #[error("the launch record is malformed")]
    Json(#[source] serde_json::Error),
    /// Its schema number is unknown.
    #[error("the launch record has schema {0}, this program reads schema {RECORD_SCHEMA}")]
    Schema(u32),
    /// It names no app, or no Python.
    #[error("the launch record names no {0}")]
    Empty(&'static str),
}

impl LaunchRecord {
    /// Reads a record from its JSON.
    pub fn from_json(bytes: &[u8]) -> Result<Self, RecordError> {
        /// Read first, so that an unknown schema is reported as such.
        #[derive(Deserialize)]
        struct SchemaOnly {
            schema: u32,
        }
        let SchemaOnly { schema } = serde_json::from_slice(bytes).map_err(RecordError::Json)?;
        if schema != RECORD_SCHEMA {
            return Err(RecordError::Schema(schema));
        }
        let record: Self = serde_json::from_slice(bytes).map_err(RecordError::Json)?;
        if record.apps.is_empty() {
            return Err(RecordError::Empty("app"));
        }
        if record.python.ranges.is_empty() {
            return Err(RecordError::Empty("Python version"));
        }
        Ok(record)
    }

    /// Writes the record as compact JSON.
    #[expect(clippy::missing_panics_doc, reason = "it does not panic: every key is a string")]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a launch record has only string keys")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> LaunchRecord {
        LaunchRecord {
            schema: RECORD_SCHEMA,
            platform: Platform {
                name: "x86_64-manylinux2014".into(),
                arch: "x86_64".into(),
                libc: Some(Libc { family: LibcFamily::Glibc, major: 2, minor: 17 }),
            },
            python: PythonClaim {
                preferred: (3, 11),
                ranges: vec![PythonRange { version: (3, 11), patch_min: 4, patch_max: None }],
                free_threaded: Some(false),
            },
            apps: vec![App {
                name: "api".into(),
                entry: Entry::Script("uvicorn".into()),
                args: vec![],
                env: BTreeMap::new(),
            }],
            files: 1,
            unpacked_size: 2,
        }
    }

    #[test]
    fn round_trip() {
        let record = sample();
        assert_eq!(LaunchRecord::from_json(&record.to_json()).expect("valid"), record);
    }

    #[test]
    fn unusable_records_are_refused() {
        let unknown = LaunchRecord { schema: 2, ..sample() };
        assert!(matches!(LaunchRecord::from_json(&unknown.to_json()), Err(RecordError::Schema(2))));
        let no_app = LaunchRecord { apps: vec![], ..sample() };
        assert!(matches!(LaunchRecord::from_json(&no_app.to_json()), Err(RecordError::Empty("app"))));
        assert!(matches!(LaunchRecord::from_json(b"{"), Err(RecordError::Json(_))));
    }

    #[test]
    fn ranges_contain_and_print_what_they_say() {
        let range = |patch_min, patch_max| PythonRange { version: (3, 11), patch_min, patch_max };
        assert!(range(4, None).contains((3, 11, 4)));
        assert!(!range(4, None).contains((3, 11, 3)));
        assert!(!range(0, None).contains((3, 12, 0)));
        assert!(!range(0, Some(2)).contains((3, 11, 3)));
        assert_eq!(range(0, None).to_string(), "3.11");
        assert_eq!(range(9, Some(9)).to_string(), "3.11.9");
        assert_eq!(range(4, None).to_string(), "3.11.4 or a later 3.11");
    }
}
