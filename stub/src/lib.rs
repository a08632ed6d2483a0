//! The artifact format: what `bundle build` writes and the launcher reads.
//!
//! An artifact is an ELF executable and a zip archive at once:
//!
//! ```text
//! [ launcher ELF ][ zip entries … ][ central directory ][ EOCD, comment = trailer ]
//! ```
//!
//! Offsets inside the zip count from the start of the file, so that every zip tool reads it as it is.
//! The entries live in zones, each of which has one place in the unpacked tree ([`Zone`]).
//! The [`Trailer`] is the zip comment: one printable line of fixed length, found by reading the last
//! bytes of the file. It points at the [`LaunchRecord`], a small JSON document that is also the stored
//! zip entry [`LAUNCH_RECORD_PATH`]; a start that finds a ready tree reads nothing else.
//!
//! Invariant: this crate is the only place that knows these layouts; both sides use it.

mod record;
mod trailer;
mod zone;

pub use record::{
    App, Entry, LaunchRecord, Libc, LibcFamily, Platform, PythonClaim, PythonRange, RECORD_SCHEMA, RecordError,
};
pub use trailer::{CONTENT_DIGEST_LENGTH, MAX_RECORD_LENGTH, TRAILER_LENGTH, Trailer, TrailerError};
pub use zone::{TreePathError, Zone, tree_path};

/// How many bytes of a script [`is_python_script`] looks at.
pub const SCRIPT_START: usize = 128;

/// Whether a file of `bin` is for Python, as its first bytes tell: a first line `#!…python…`, or the two lines
/// by which `sh` starts the interpreter beside the script.
pub fn is_python_script(start: &[u8]) -> bool {
    let first_line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let names_python = first_line.windows(6).any(|window| window == b"python");
    first_line.starts_with(b"#!") && names_python || start.starts_with(b"#!/bin/sh\n'''exec' ")
}

/// Name of the zip entry that holds the launch record, always stored without compression.
pub const LAUNCH_RECORD_PATH: &str = ".bundle/launch.json";

/// Name of the zip entry that holds the build record.
pub const BUILD_RECORD_PATH: &str = ".bundle/build.json";
