//! The worker, built for glibc 2.28: numpy, pandas, Pillow and `PyMuPDF` at work, in several processes.

use serde_json::{Value, json};

use crate::machine::{connected, copy_fixture, python, worker};
use crate::support::Sandbox;

/// The worker's program in the project.
pub(crate) const SCRIPT: &str = "packages/worker/worker/distributed_worker.py";

/// What makes it process its own samples.
pub(crate) const DEMO: [&str; 3] = ["--demo", "--jobs", "2"];

/// Expects the numbers that follow from the text and the drawings of the samples.
fn check(summary: &Value) {
    let columns = |key: &str, names: &[&str]| -> Vec<Value> {
        let rows = summary[key].as_array().expect("rows");
        rows.iter().map(|row| names.iter().map(|name| row[name].clone()).collect()).collect()
    };
    assert_eq!(
        columns("documents", &["document", "pages", "words", "drawings"]),
        [json!(["tunnel-handbook.pdf", 3, 86, 77]), json!(["orchard-report.pdf", 2, 53, 47])],
    );
    assert_eq!(
        columns("pages", &["page", "words", "terms", "drawings"]),
        [
            json!([1, 30, 23, 27]),
            json!([2, 31, 19, 28]),
            json!([3, 25, 16, 22]),
            json!([1, 28, 21, 25]),
            json!([2, 25, 16, 22]),
        ],
    );
    for row in columns("pages", &["brightness", "contrast", "ink"]) {
        let [brightness, contrast, ink] = [0, 1, 2].map(|column| row[column].as_f64().expect("a number"));
        let is_mostly_white = (240.0..255.0).contains(&brightness) && contrast > 20.0 && (0.01..0.05).contains(&ink);
        assert!(is_mostly_white, "{row}");
    }
    assert_eq!(summary["index"], json!({ "chunks": 7, "terms": 82 }));
    let best = summary["search"]["hits"][0]["chunk"]["text"].as_str().expect("a text");
    assert!(best.starts_with("When a fire is detected"), "{best}");
}

#[test]
fn its_program_runs_by_path_and_as_a_module() {
    let Some(python) = python() else { return };
    let sandbox = Sandbox::empty();
    copy_fixture(&sandbox.project());
    let run = |how: &[&str], arguments: &[&str]| {
        connected(sandbox.run(worker()), python).args(how).args(arguments).current_dir(sandbox.project()).success()
    };
    let by_path = &[SCRIPT][..];
    let as_module = &["-m", "worker.distributed_worker"][..];

    for how in [by_path, as_module] {
        let help = run(how, &["--help"]).stdout;
        assert!(help.starts_with("usage: distributed_worker"), "{help}");
    }
    let summary = run(by_path, &DEMO).json();
    check(&summary);
    assert_eq!(run(as_module, &DEMO).json(), summary);
}
