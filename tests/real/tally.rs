//! A command that is locked in `pylock.toml`'s format, by uv and by pip.

use std::path::PathBuf;

use serde_json::json;

use crate::machine::{Python, build_in, connected, project, python, scratch};
use crate::parity::{LIST, lines, uv};
use crate::support::Sandbox;

/// The tools, as the names of their locks have them.
const TOOLS: [&str; 2] = ["uv", "pip"];

fn built(sandbox: &Sandbox, python: &Python, tool: &str) -> PathBuf {
    let artifact = sandbox.path("tally");
    let run = build_in(&project("tally"), sandbox, python, "tally", &artifact);
    run.arg("--lock").arg(project("tally").join(format!("pylock.{tool}.toml"))).success();
    artifact
}

#[test]
fn it_counts_words() {
    let Some(python) = python() else { return };
    for tool in TOOLS {
        let sandbox = Sandbox::empty();
        std::fs::write(sandbox.path("a.yaml"), "title: Tea for two\nlines: [tea, {note: two cups}]\n").expect("file");
        std::fs::write(sandbox.path("b.json"), json!({ "tea": ["Cups, cups"], "n": 1 }).to_string()).expect("file");
        let artifact = built(&sandbox, python, tool);
        let run = || connected(sandbox.run(&artifact), python);
        run().args(["--json", "a.yaml", "b.json"]).success().prints(r#"{"cups":3,"for":1,"tea":2,"two":2}"#);
        run().arg("--version").success().prints("0.3.0");
        let table = run().arg("a.yaml").success().stdout;
        assert!(table.contains("tea"), "{table}");
    }
}

#[test]
fn it_has_the_distributions_that_uv_installs_from_the_same_lock() {
    let Some(python) = python() else { return };
    for tool in TOOLS {
        let sandbox = Sandbox::empty();
        let environment = sandbox.path("environment");
        let venv = connected(sandbox.run(&python.executable), python).args(["-m", "venv", "--without-pip"]);
        venv.arg(&environment).success();
        let interpreter = environment.join("bin/python");
        let sync = connected(sandbox.run(uv()), python)
            .args(["pip", "sync", "--quiet", "--preview-features", "pylock", "--python"])
            .arg(&interpreter)
            .arg(project("tally").join(format!("pylock.{tool}.toml")))
            .env("UV_CACHE_DIR", scratch().join("uv-cache"));
        sync.success();
        let expected = lines(&sandbox.run(&interpreter).args(["-c", LIST]).success().stdout);
        assert!(expected.len() > 6, "{expected:?}");

        let artifact = built(&sandbox, python, tool);
        let run = connected(sandbox.run(&artifact), python).env("BUNDLE_INTERPRETER", "1").args(["-c", LIST]);
        assert_eq!(lines(&run.success().stdout), expected, "from the lock of {tool}");
    }
}
