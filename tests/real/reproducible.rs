//! The same inputs give the same bytes, wherever and by whomever they are built, and leave the project as it was.

use std::path::{Path, PathBuf};

use crate::machine::{Python, connected, copy_fixture, path_with, python};
use crate::parity::uv;
use crate::support::run::{Run, files_below};
use crate::support::{Sandbox, sha256};

/// Builds the API server from a copy of the project that lies in the sandbox.
fn build(sandbox: &Sandbox, python: &Python, project: &Path, vary: impl FnOnce(Run) -> Run) -> PathBuf {
    copy_fixture(project);
    let before = files_below(project);
    let artifact = sandbox.path("api");
    let run = sandbox
        .bundle(&["build", "api", "--platform", "x86_64-manylinux2014", "--output"])
        .arg(&artifact)
        .arg("--project")
        .arg(project);
    vary(connected(run, python)).success();
    assert_eq!(files_below(project), before, "the build changed the project");
    artifact
}

#[test]
fn two_builds_with_nothing_in_common_but_the_project_are_the_same_bytes() {
    let Some(python) = python() else { return };
    let first = Sandbox::empty();
    let one = build(&first, python, &first.project(), |run| run);
    let second = Sandbox::empty();
    // Where uv is on `PATH`, it builds the project's own packages; else pip does.
    let path = format!("{}:{}", uv().parent().expect("a directory").display(), path_with(python));
    let other = build(&second, python, &second.path("another place/with a longer name"), |run| {
        let run = run.env("TZ", "Pacific/Kiritimati").env("LC_ALL", "C").env("USER", "somebody");
        run.env("PATH", path).args(["--jobs", "1"])
    });
    let hash = |path: &Path| sha256(&std::fs::read(path).expect("the artifact"));
    assert_eq!(hash(&one), hash(&other), "{} and {}", one.display(), other.display());
}
