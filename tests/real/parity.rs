//! An artifact has the distributions that uv installs from the same lock, and computes the same from them.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::machine::{self, Python, build, connected, copy_fixture, locked_version, python, scratch};
use crate::support::Sandbox;
use crate::worker::{DEMO, SCRIPT};

/// Prints every distribution, one a line.
pub(crate) const LIST: &str = "
import importlib.metadata
print(*sorted(f'{d.name} {d.version}' for d in importlib.metadata.distributions()), sep='\\n')
";

/// The judge.
const UV: &str = "uv==0.13.8";

/// Returns uv, installed into a virtual environment of its own.
pub(crate) fn uv() -> &'static Path {
    static UV_PATH: LazyLock<PathBuf> = LazyLock::new(|| installed("uv", UV));
    &UV_PATH
}

/// Has pip install a tool into a virtual environment of its own, and returns the tool's executable.
pub(crate) fn installed(name: &str, requirement: &str) -> PathBuf {
    let python = python().expect("tests ask for it first");
    let environment = scratch().join(name);
    let sandbox = Sandbox::empty();
    let run = |program: &Path| connected(sandbox.run(program), python);
    run(&python.executable).args(["-m", "venv"]).arg(&environment).success();
    run(&environment.join("bin/python")).args(["-m", "pip", "install", "--quiet", requirement]).success();
    environment.join("bin").join(name)
}

/// Has uv install a member of the project in the sandbox, and returns the environment's interpreter.
fn synced(sandbox: &Sandbox, python: &Python, package: &str) -> PathBuf {
    copy_fixture(&sandbox.project());
    let run = sandbox
        .run(uv())
        .args(["sync", "--frozen", "--no-dev", "--no-progress", "--no-python-downloads", "--package", package])
        .arg("--python")
        .arg(&python.executable)
        .env("UV_CACHE_DIR", sandbox.path("uv-cache"))
        .current_dir(sandbox.project());
    connected(run, python).success();
    sandbox.project().join(".venv/bin/python")
}

pub(crate) fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

/// Compares an app built for exactly this Python, and the one built for every 3.11, with what uv installs.
/// Returns the interpreter of uv's environment.
fn check(sandbox: &Sandbox, python: &Python, app: &str, platform: &str, for_every_patch: &Path) -> PathBuf {
    let environment = synced(sandbox, python, app);
    let expected = lines(&sandbox.run(&environment).args(["-c", LIST]).success().stdout);
    let listed_by = |artifact: &Path| {
        let run = connected(sandbox.run(artifact), python).env("BUNDLE_INTERPRETER", "1");
        lines(&run.args(["-c", LIST]).success().stdout)
    };

    let artifact = sandbox.path(app);
    build(sandbox, python, app, platform, &artifact).args(["--python", &python.version]).success();
    assert_eq!(listed_by(&artifact), expected, "built for Python {}", python.version);

    let mut expected_for_every_patch = expected;
    if app == "api" && python.patch >= 3 {
        // redis needs it before 3.11.3 only.
        expected_for_every_patch.push(format!("async-timeout {}", locked_version("async-timeout")));
        expected_for_every_patch.sort();
    }
    assert_eq!(listed_by(for_every_patch), expected_for_every_patch, "built for Python 3.11");
    environment
}

#[test]
fn the_api_has_the_distributions_that_uv_installs() {
    let Some(python) = python() else { return };
    check(&Sandbox::empty(), python, "api", "x86_64-manylinux2014", machine::api());
}

#[test]
fn the_worker_has_the_distributions_that_uv_installs_and_the_same_results() {
    let Some(python) = python() else { return };
    let sandbox = Sandbox::empty();
    let environment = check(&sandbox, python, "worker", "x86_64-manylinux_2_28", machine::worker());
    let summary = |program: &Path| {
        let run = connected(sandbox.run(program), python).arg(SCRIPT).args(DEMO);
        run.current_dir(sandbox.project()).success().json()
    };
    assert_eq!(summary(machine::worker()), summary(&environment));
}
