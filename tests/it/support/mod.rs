//! What the tests share: generated wheels, a loopback server, projects with locks, and isolated runs.

pub(crate) mod demo;
pub(crate) mod poetry;
pub(crate) mod project;
pub(crate) mod python;
pub(crate) mod run;
pub(crate) mod server;
pub(crate) mod wheel;
pub(crate) mod zip;

pub(crate) use poetry::{Locked, PoetryProject};
pub(crate) use project::{Member, Package, Project};
pub(crate) use python::python;
pub(crate) use run::{Finished, Sandbox};
pub(crate) use server::{Answer, Reply, Server, authorization};
pub(crate) use wheel::Wheel;

use std::io::Write as _;

use sha2::{Digest as _, Sha256};

/// SHA-256 of some bytes, lower-case hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Says that a test did nothing because a tool is missing; with `CI` set, that is a failure.
///
/// Written to standard error itself: what `eprintln!` prints is shown of failed tests only.
pub(crate) fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "skipped in CI: {reason}");
    let _ = writeln!(std::io::stderr(), "skipped: {reason}");
}
