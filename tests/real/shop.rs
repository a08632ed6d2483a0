//! A project of Poetry, its lock written by Poetry: a server and a worker, for Python 3.13.
//!
//! They are started with Python 3.13 where there is one, else with 3.11, which the project allows too.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::json;

use crate::machine::{Python, build_in, connected, newest_python, project, python, scratch};
use crate::parity::{LIST, installed, lines};
use crate::server::Server;
use crate::support::Sandbox;

/// The judge.
const POETRY: &str = "poetry==2.5.1";

/// Builds an app for every patch release of this Python's minor version.
fn built(app: &str) -> PathBuf {
    let python = newest_python().expect("tests ask for it before they build");
    let artifact = scratch().join(format!("shop-{app}"));
    let sandbox = Sandbox::empty();
    let run = build_in(&project("shop"), &sandbox, python, app, &artifact);
    run.args(["--python", python.minor_version]).success();
    artifact
}

fn api() -> &'static Path {
    static API: LazyLock<PathBuf> = LazyLock::new(|| built("api"));
    &API
}

fn worker() -> &'static Path {
    static WORKER: LazyLock<PathBuf> = LazyLock::new(|| built("worker"));
    &WORKER
}

#[test]
fn the_api_serves() {
    let Some(python) = newest_python() else { return };
    let sandbox = Sandbox::empty();
    let run = connected(sandbox.run(api()), python).args(["--host", "127.0.0.1", "--port", "0"]);
    let server = Server::start(run);
    let health = server.get("/health");
    assert_eq!(health["status"], "ok", "{health:#}");
    assert_eq!(health["store"], "memory", "{health:#}");
    assert_eq!(health["python"], python.version.as_str(), "{health:#}");
    // The extra of uvicorn that the project asks for.
    assert_eq!(health["event_loop"], "uvloop", "{health:#}");
    assert_eq!(health["distributions"]["shop"], "1.4.0", "{health:#}");

    let order = json!({ "id": "one", "customer": "Ada", "items": [{ "name": "Tea", "price": "3.20", "quantity": 2 }] });
    assert_eq!(server.post("/orders", &order), json!({ "id": "one", "position": 1, "total": "6.40" }));
    assert_eq!(server.get("/orders")[0]["customer"], "Ada");
    // The extra of the project that its configuration asks for.
    let metrics = server.get_text("/metrics");
    assert!(metrics.contains("\nshop_orders 1.0\n"), "{metrics}");
    server.stop();
}

#[test]
fn the_worker_writes_invoices() {
    let Some(python) = newest_python() else { return };
    let sandbox = Sandbox::empty();
    let orders = [
        json!({ "id": "one", "customer": "Ada", "ordered": "2026-01-31", "items": [
            { "name": "Tea", "price": "3.20", "quantity": 2 }, { "name": "Cup", "price": "7.05" },
        ] }),
        json!({ "id": "two", "customer": "Žofie", "ordered": "2026-11-21", "items": [{ "name": "Čaj", "price": "4" }] }),
    ];
    let text = orders.map(|order| order.to_string()).join("\n");
    std::fs::write(sandbox.path("orders.jsonl"), text).expect("orders");

    let run = connected(sandbox.run(worker()), python);
    run.args(["invoices", "orders.jsonl"]).success().prints(r#"{"invoices":2,"total":"17.45"}"#);
    let invoice = |name: &str| std::fs::read_to_string(sandbox.path("invoices").join(name)).expect("an invoice");
    assert!(invoice("one.txt").ends_with("13.45\n\nDue on 2026-02-28.\n"), "{}", invoice("one.txt"));
    assert!(invoice("two.txt").contains("1 × Čaj "), "{}", invoice("two.txt"));
    connected(sandbox.run(worker()), python).arg("version").success().prints("1.4.0");
}

#[test]
fn what_is_built_for_python_3_13_needs_it_only_to_start() {
    let Some(python) = python() else { return };
    let sandbox = Sandbox::empty();
    let artifact = sandbox.path("api");
    // Python 3.11 is what builds the project's own code here, and the configuration asks for 3.13.
    build_in(&project("shop"), &sandbox, python, "api", &artifact).success();
    let run = connected(sandbox.run(&artifact), python).env("BUNDLE_PYTHON", &python.executable);
    run.arg("--version").fails_with(127).says(&["3.13"]);
}

/// What Poetry would install: `name version`, normalised and sorted.
fn installed_by_poetry(sandbox: &Sandbox, python: &Python, choices: &[&str]) -> Vec<String> {
    static POETRY_PATH: LazyLock<PathBuf> = LazyLock::new(|| installed("poetry", POETRY));
    let environment = sandbox.path("environment");
    let venv = connected(sandbox.run(&python.executable), python).args(["-m", "venv", "--without-pip"]);
    venv.arg(&environment).success();
    let run = connected(sandbox.run(&*POETRY_PATH), python)
        .env("VIRTUAL_ENV", &environment)
        .env("POETRY_VIRTUALENVS_CREATE", "false")
        .args(["install", "--dry-run", "--no-ansi", "--project"])
        .arg(project("shop"))
        .args(choices)
        .success();
    let package = |line: &str| {
        let line = line.trim_start();
        let rest = line
            .strip_prefix("- Installing ")
            .or_else(|| line.strip_prefix("Installing the current project: "))
            .filter(|rest| !rest.contains("Skipped"))?;
        let (name, version) = rest.split_once(" (").expect("a name and a version");
        Some(format!("{name} {}", version.split([')', ' ']).next().unwrap_or(version)))
    };
    let mut found: Vec<String> = run.stdout.lines().filter_map(package).collect();
    found.sort();
    found
}

fn listed_by(sandbox: &Sandbox, python: &Python, artifact: &Path) -> Vec<String> {
    let run = connected(sandbox.run(artifact), python).env("BUNDLE_INTERPRETER", "1").args(["-c", LIST]);
    let normalized = |line: &String| {
        let (name, version) = line.split_once(' ').expect("a name and a version");
        format!("{} {version}", name.to_ascii_lowercase().replace(['_', '.'], "-"))
    };
    let mut found: Vec<String> = lines(&run.success().stdout).iter().map(normalized).collect();
    found.sort();
    found
}

#[test]
fn the_apps_have_the_distributions_that_poetry_installs() {
    let (Some(_), Some(python)) = (crate::machine::python(), newest_python()) else { return };
    for (app, choices, at_least) in
        [("api", ["--only", "main", "--extras", "metrics"].as_slice(), 20), ("worker", &["--only", "main,worker"], 30)]
    {
        let sandbox = Sandbox::empty();
        let artifact = sandbox.path(app);
        let run = build_in(&project("shop"), &sandbox, python, app, &artifact);
        run.args(["--python", &python.version]).success();
        let expected = installed_by_poetry(&sandbox, python, choices);
        assert!(expected.len() > at_least, "{expected:?}");
        assert_eq!(listed_by(&sandbox, python, &artifact), expected, "{app} for Python {}", python.version);
    }
}
