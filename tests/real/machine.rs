//! What the tests take from this machine: a Python 3.11, maybe a 3.13, the way to the network, and room for what
//! they build.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use crate::support::run::Run;
use crate::support::{Sandbox, skip};

/// A Python that can make virtual environments and build packages.
#[derive(Debug)]
pub(crate) struct Python {
    /// The executable itself, where what is on `PATH` may be a shim.
    pub(crate) executable: PathBuf,
    /// `3.11`
    pub(crate) minor_version: &'static str,
    /// `3.11.7`
    pub(crate) version: String,
    /// The patch version.
    pub(crate) patch: u32,
}

/// Variables without which a machine may not reach the network.
const NETWORK_VARIABLES: [&str; 12] = [
    "ALL_PROXY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
];

/// Returns the Python 3.11 of this machine; `None`, after saying so, if there is none.
pub(crate) fn python() -> Option<&'static Python> {
    static PYTHON: LazyLock<Option<Python>> = LazyLock::new(|| find("3.11"));
    if PYTHON.is_none() {
        skip("there is no Python 3.11 with pip and venv on `PATH` or in pyenv");
    }
    PYTHON.as_ref()
}

/// Returns Python 3.13 where there is one: a machine that has what the tests need has 3.11 and need not have it.
/// Says which one it is.
pub(crate) fn newest_python() -> Option<&'static Python> {
    static NEWEST: LazyLock<Option<Python>> = LazyLock::new(|| find("3.13"));
    let newest = NEWEST.as_ref().or_else(python)?;
    // Written to standard error itself: what `eprintln!` prints is shown of failed tests only.
    let _ = writeln!(std::io::stderr(), "runs with Python {}: {}", newest.version, newest.executable.display());
    Some(newest)
}

fn find(minor_version: &'static str) -> Option<Python> {
    candidates(minor_version).iter().find_map(|path| probe(path, minor_version))
}

/// Where a Python may be: on `PATH`, and in pyenv.
fn candidates(minor_version: &str) -> Vec<PathBuf> {
    let name = format!("python{minor_version}");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates: Vec<_> = std::env::split_paths(&path).map(|directory| directory.join(&name)).collect();
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv"));
    let pyenv = std::env::var_os("PYENV_ROOT").map(PathBuf::from).or_else(home);
    let versions = pyenv.and_then(|pyenv| pyenv.join("versions").read_dir().ok());
    let in_pyenv = versions.into_iter().flatten().flatten().map(|version| version.path().join("bin").join(&name));
    candidates.extend(in_pyenv);
    candidates
}

fn probe(candidate: &Path, minor_version: &'static str) -> Option<Python> {
    let code =
        "import ensurepip, pip, platform, sys; print(sys._base_executable, platform.python_version(), sep='\\n')";
    let output = Command::new(candidate).args(["-I", "-c", code]).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    let (executable, version) = text.trim_end().split_once('\n')?;
    let patch = version.strip_prefix(minor_version)?.strip_prefix('.')?.parse().ok()?;
    Some(Python { executable: executable.into(), minor_version, version: version.to_owned(), patch })
}

/// A project with a genuine lock.
pub(crate) fn project(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// The workspace of uv.
pub(crate) fn fixture() -> PathBuf {
    project("rag")
}

/// Copies the project but for what its `.gitignore` names.
pub(crate) fn copy_fixture(to: &Path) {
    let fixture = fixture();
    for entry in ignore::WalkBuilder::new(&fixture).hidden(false).require_git(false).build() {
        let entry = entry.expect("the fixture can be read");
        let target = to.join(entry.path().strip_prefix(&fixture).expect("it lies below"));
        if entry.path().is_dir() {
            std::fs::create_dir_all(target).expect("directory");
        } else {
            std::fs::copy(entry.path(), target).expect("file");
        }
    }
}

/// Returns the version of a package that the fixture's lock has once.
pub(crate) fn locked_version(package: &str) -> String {
    static VERSIONS: LazyLock<BTreeMap<String, Vec<String>>> = LazyLock::new(|| {
        let text = std::fs::read_to_string(fixture().join("uv.lock")).expect("the lock can be read");
        let lock: toml::Table = text.parse().expect("the lock is TOML");
        let mut versions = BTreeMap::<_, Vec<_>>::new();
        for package in lock["package"].as_array().expect("an array") {
            let text = |key: &str| package[key].as_str().expect("a string").to_owned();
            versions.entry(text("name")).or_default().push(text("version"));
        }
        versions
    });
    match VERSIONS.get(package).map(Vec::as_slice) {
        Some([version]) => version.clone(),
        other => panic!("the lock should have one version of `{package}`, got {other:?}"),
    }
}

/// Lets a run reach the network and find this Python first.
pub(crate) fn connected(mut run: Run, python: &Python) -> Run {
    for name in NETWORK_VARIABLES {
        if let Some(value) = std::env::var_os(name) {
            run = run.env(name, value);
        }
    }
    run.env("PATH", path_with(python))
}

/// A `PATH` with this Python and the system's programs.
pub(crate) fn path_with(python: &Python) -> String {
    let directory = python.executable.parent().expect("an absolute path").to_str().expect("UTF-8");
    format!("{directory}:/usr/bin:/bin:/usr/sbin:/sbin")
}

/// A directory below `target` for what several tests use. It is emptied by the next run.
pub(crate) fn scratch() -> &'static Path {
    static SCRATCH: LazyLock<PathBuf> = LazyLock::new(|| {
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("real");
        match std::fs::remove_dir_all(&scratch) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{}: {error}", scratch.display()),
            _ => {}
        }
        std::fs::create_dir_all(&scratch).expect("directory");
        scratch
    });
    &SCRATCH
}

/// A run of `bundle build` in `fixtures/rag`.
pub(crate) fn build(sandbox: &Sandbox, python: &Python, app: &str, platform: &str, output: &Path) -> Run {
    build_in(&fixture(), sandbox, python, app, output).args(["--platform", platform])
}

/// A run of `bundle build` with a cache that several tests use at once.
pub(crate) fn build_in(project: &Path, sandbox: &Sandbox, python: &Python, app: &str, output: &Path) -> Run {
    let run = sandbox
        .bundle(&["build", app, "--project"])
        .arg(project)
        .arg("--output")
        .arg(output)
        .env("BUNDLE_CACHE_DIR", scratch().join("cache"));
    connected(run, python)
}

/// Builds an app of the fixture and returns the artifact.
fn built(app: &str, platform: &str) -> PathBuf {
    let artifact = scratch().join(format!("{app}-{platform}"));
    let python = python().expect("tests ask for it before they build");
    build(&Sandbox::empty(), python, app, platform, &artifact).success();
    artifact
}

/// The API server for glibc 2.17 on `x86_64`.
pub(crate) fn api() -> &'static Path {
    static API: LazyLock<PathBuf> = LazyLock::new(|| built("api", "x86_64-manylinux2014"));
    &API
}

/// The worker for glibc 2.28 on `x86_64`.
pub(crate) fn worker() -> &'static Path {
    static WORKER: LazyLock<PathBuf> = LazyLock::new(|| built("worker", "x86_64-manylinux_2_28"));
    &WORKER
}

/// The API server for glibc 2.17 on `aarch64`.
#[cfg(feature = "test-arm64")]
pub(crate) fn api_for_arm64() -> &'static Path {
    static API: LazyLock<PathBuf> = LazyLock::new(|| built("api", "aarch64-manylinux2014"));
    &API
}
