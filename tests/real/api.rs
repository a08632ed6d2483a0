//! The API server, built for glibc 2.17 and started on this machine.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::machine::{Python, api, connected, python};
use crate::server::{ARGUMENTS, Server, check_health};
use crate::support::Sandbox;
use crate::support::run::{Run, files_below};

/// A run of the server that has nothing unpacked yet, or what earlier runs in the sandbox left.
fn run(sandbox: &Sandbox, python: &Python) -> Run {
    connected(sandbox.run(api()), python)
}

/// What tells a file from one that took its place: inode and time of the last change, in nanoseconds.
type Identity = (u64, i64, i64);

/// Every file of the only unpacked tree, and what identifies it.
pub(crate) fn unpacked(root: &Path) -> Vec<(PathBuf, Identity)> {
    let trees: Vec<_> = root.join("1/trees").read_dir().expect("there are trees").flatten().collect();
    assert_eq!(trees.len(), 1, "{trees:?}");
    let identity = |path: &Path| {
        let metadata = std::fs::symlink_metadata(path).expect("metadata");
        (metadata.ino(), metadata.mtime(), metadata.mtime_nsec())
    };
    let tree = trees[0].path();
    let files: Vec<_> = files_below(&tree).into_iter().map(|file| (identity(&tree.join(&file)), file)).collect();
    assert!(files.len() > 100, "{files:?}");
    files.into_iter().map(|(identity, file)| (file, identity)).collect()
}

#[test]
fn it_serves_and_its_second_start_unpacks_nothing() {
    let Some(python) = python() else { return };
    let sandbox = Sandbox::empty();
    let server = Server::start(run(&sandbox, python).args(ARGUMENTS));
    check_health(&server, &python.version);
    let document = json!({ "id": "tea", "title": "Tee für zwei", "text": "Green tea is steeped for three minutes." });
    assert_eq!(server.post("/documents", &document), json!({ "id": "tea", "chunks": 1 }));
    let found = server.get("/search?q=steeped%20tea");
    assert_eq!(found["query"], "steeped tea");
    assert_eq!(found["hits"][0]["chunk"]["document_id"], "tea", "{found:#}");
    assert_eq!(found["hits"][0]["chunk"]["title"], "Tee für zwei", "{found:#}");
    server.stop();

    let before = unpacked(&sandbox.root());
    let server = Server::start(run(&sandbox, python).args(ARGUMENTS));
    check_health(&server, &python.version);
    server.stop();
    assert_eq!(unpacked(&sandbox.root()), before);
}

#[test]
fn child_processes_of_its_interpreter_see_its_packages() {
    let Some(python) = python() else { return };
    let sandbox = Sandbox::empty();
    let code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import fastapi'], check=True)";
    run(&sandbox, python).env("BUNDLE_INTERPRETER", "1").args(["-c", code]).success();
}
