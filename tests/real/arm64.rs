//! The API server, built for 64-bit ARM and started in a Debian 12 file tree under emulation.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use rustix::process::getuid;

use crate::api::unpacked;
use crate::machine::{api_for_arm64, python};
use crate::server::{ARGUMENTS, Server, check_health};
use crate::support::run::Run;
use crate::support::{Sandbox, skip};

/// The Python of Debian 12.
const PYTHON_VERSION: &str = "3.11.2";

/// Starts a program with the sandbox as `/mnt` of the tree. Mounts of a private namespace end with its process.
const ENTER: &str = r#"
mount -t proc proc "$1/proc"
mount --bind "$2" "$1/mnt"
tree=$1
shift 2
exec chroot "$tree" "$@"
"#;

/// Returns the file tree; `None`, after saying so, if it cannot be made here.
fn tree() -> Option<&'static Path> {
    static TREE: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
        let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
        if !getuid().is_root() || !has("debootstrap") || !has("update-binfmts") {
            return None;
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/arm64-root");
        let output = Command::new(script).output().expect("the script starts");
        assert!(output.status.success(), "{script}:\n{}", String::from_utf8_lossy(&output.stderr));
        Some(String::from_utf8(output.stdout).expect("UTF-8").trim_end().into())
    });
    if TREE.is_none() {
        skip("an arm64 file tree can only be made by root with debootstrap, binfmt-support and qemu-user-static");
    }
    TREE.as_deref()
}

/// A sandbox with the artifact in it. What it unpacks stays there too.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::empty();
    std::fs::copy(api_for_arm64(), sandbox.path("api")).expect("the artifact");
    sandbox
}

/// A run of the artifact inside the tree.
fn run(sandbox: &Sandbox, tree: &Path) -> Run {
    sandbox
        .run("/usr/bin/unshare")
        .args(["--mount", "/bin/sh", "-eu", "-c", ENTER, "sh"])
        .arg(tree)
        .arg(sandbox.path(""))
        .arg("/mnt/api")
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/mnt/home")
        .env("BUNDLE_ROOT", "/mnt/root")
}

#[test]
fn it_serves_and_its_second_start_unpacks_nothing() {
    let (Some(_), Some(tree)) = (python(), tree()) else { return };
    let sandbox = sandbox();
    let server = Server::start(run(&sandbox, tree).args(ARGUMENTS));
    check_health(&server, PYTHON_VERSION);
    server.stop();

    let before = unpacked(&sandbox.root());
    let server = Server::start(run(&sandbox, tree).args(ARGUMENTS));
    check_health(&server, PYTHON_VERSION);
    server.stop();
    assert_eq!(unpacked(&sandbox.root()), before);
}

#[test]
fn its_interpreter_runs_on_the_architecture_it_was_built_for() {
    let (Some(_), Some(tree)) = (python(), tree()) else { return };
    let sandbox = sandbox();
    let code = "import platform, pydantic_core; print(platform.machine())";
    run(&sandbox, tree).env("BUNDLE_INTERPRETER", "1").args(["-c", code]).success().prints("aarch64");
}
