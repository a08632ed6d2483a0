//! What is fuzzed: the readers of locks and of index pages, and the selection from what was read.
//!
//! The fuzz targets and the test that replays the corpus share these functions. Each takes any bytes, and is to
//! return; what it returned is checked as far as that can be done without knowing what the bytes mean.

use std::path::Path;

use bundle::fit::Host;
use bundle::index::{IndexFile, Match, find_file, parse_page};
use bundle::lock::{Lock, LockKind, parse};
use bundle::packaging::Wanted;
use bundle::plan;
use bundle::select::{Roots, Selection, select};
use bundle::target::Target;
use url::Url;

/// A function that is fuzzed.
pub type Entry = fn(&[u8]);

/// Every function that is fuzzed, by the name of its target and of its corpus.
pub const ENTRIES: [(&str, Entry); 7] = [
    ("uv_lock", uv_lock),
    ("poetry_lock", poetry_lock),
    ("pylock", pylock),
    ("index_json", index_json),
    ("index_html", index_html),
    ("poetry_constraint", poetry_constraint),
    ("marker", marker),
];

/// The line between a `poetry.lock` and its `pyproject.toml`; TOML takes it for a comment.
const SEPARATOR: &str = "\n# pyproject.toml\n";

/// A platform, a Python version, and whether all extras and groups are asked for: a range, an exact release, and a
/// free-threaded build.
const TARGETS: [(&str, &str, bool); 3] = [
    ("x86_64-manylinux_2_28", "3.11", true),
    ("aarch64-musllinux_1_2", "3.13.2", true),
    ("x86_64-manylinux2014", "3.14t", false),
];

/// A `uv.lock`.
pub fn uv_lock(data: &[u8]) {
    read_and_select(LockKind::Uv, &String::from_utf8_lossy(data), None);
}

/// A `poetry.lock`, and behind [`SEPARATOR`] the `pyproject.toml` beside it.
pub fn poetry_lock(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match text.split_once(SEPARATOR) {
        Some((lock, pyproject)) => read_and_select(LockKind::Poetry, lock, Some(pyproject)),
        None => read_and_select(LockKind::Poetry, &text, None),
    }
}

/// A `pylock.toml`.
pub fn pylock(data: &[u8]) {
    read_and_select(LockKind::Pylock, &String::from_utf8_lossy(data), None);
}

/// A page of an index in JSON.
pub fn index_json(data: &[u8]) {
    read_page("application/vnd.pypi.simple.v1+json", data);
}

/// A page of an index in HTML.
pub fn index_html(data: &[u8]) {
    read_page("text/html", data);
}

/// A version constraint as Poetry writes them.
pub fn poetry_constraint(data: &[u8]) {
    let constraint = quoted(data);
    let package = |version| {
        format!(
            "[[package]]\nname = \"thing\"\nversion = \"{version}\"\n[package.dependencies]\nthing = {constraint}\n"
        )
    };
    let lock = format!("{}{}[metadata]\nlock-version = \"1.1\"\n", package("1.2.3"), package("2.0.0rc1"));
    let pyproject =
        format!("[tool.poetry.dependencies]\nthing = {{ version = {constraint}, python = {constraint} }}\n");
    read_and_select(LockKind::Poetry, &lock, Some(&pyproject));
    read_and_select(
        LockKind::Poetry,
        &format!("[metadata]\nlock-version = \"2.1\"\npython-versions = {constraint}\n"),
        None,
    );
}

/// An environment marker.
pub fn marker(data: &[u8]) {
    let marker = quoted(data);
    let uv = format!(
        "version = 1\n[[package]]\nname = \"app\"\nversion = \"1\"\nsource = {{ virtual = \".\" }}\n\
         dependencies = [{{ name = \"thing\", marker = {marker} }}]\n\
         [[package]]\nname = \"thing\"\nversion = \"1\"\nsource = {{ registry = \"https://index.test/simple\" }}\n\
         wheels = [{{ url = \"https://index.test/thing-1-py3-none-any.whl\" }}]\n"
    );
    read_and_select(LockKind::Uv, &uv, None);
    let pylock = format!(
        "lock-version = \"1.0\"\ncreated-by = \"a\"\nextras = [\"x\"]\ndependency-groups = [\"dev\"]\n\
         [[packages]]\nname = \"thing\"\nversion = \"1\"\nmarker = {marker}\n\
         [[packages.wheels]]\nurl = \"https://index.test/thing-1-py3-none-any.whl\"\n"
    );
    read_and_select(LockKind::Pylock, &pylock, None);
}

/// A TOML string; JSON's escapes are a subset.
fn quoted(data: &[u8]) -> String {
    serde_json::to_string(&String::from_utf8_lossy(data)).expect("a string")
}

fn read_page(content_type: &str, data: &[u8]) {
    let url = Url::parse("https://index.test/simple/thing/").expect("a URL");
    let files = parse_page(&url, content_type, &String::from_utf8_lossy(data)).unwrap_or_default();
    for file in files.iter().take(10) {
        let found = find_file(&files, &file.name, file.hashes.first());
        assert!(matches!(found, Match::File(_)), "{file:?} is not found by its own name and hash");
        // As pages are kept in the cache.
        let text = serde_json::to_string(file).expect("a file has only text");
        assert_eq!(serde_json::from_str::<IndexFile>(&text).expect("what was written"), *file);
    }
}

fn read_and_select(kind: LockKind, text: &str, pyproject: Option<&str>) {
    let lock = match parse(kind, text, pyproject, Path::new("a.lock")) {
        Ok(lock) => lock,
        Err(error) => return assert!(!error.to_string().is_empty(), "an error without words"),
    };
    check_lock(&lock);
    let everything = Roots { extras: Wanted::All, groups: Wanted::All, ..Roots::default() };
    for (platform, python, all) in TARGETS {
        let target = Target {
            platform: platform.parse().expect("a platform"),
            python: python.parse().expect("a Python version"),
        };
        let roots = if all { everything.clone() } else { Roots::default() };
        match select(&lock, &[roots], target) {
            Ok(selection) => check_selection(&selection),
            Err(error) => assert!(!error.to_string().is_empty(), "an error without words"),
        }
    }
}

fn check_lock(lock: &Lock) {
    let workspace = lock.workspace_requirements.iter().chain(lock.workspace_groups.values().flatten());
    let packages = lock.packages.iter().flat_map(|package| {
        let more = package.extras.values().chain(package.groups.values()).flatten();
        package.dependencies.iter().chain(more)
    });
    for edge in workspace.chain(packages) {
        assert!(!edge.candidates.is_empty(), "an edge leads nowhere");
        assert!(edge.candidates.iter().all(|index| index.0 < lock.packages.len()), "an edge leads out of the lock");
    }
}

fn check_selection(selection: &Selection) {
    let names: Vec<_> = selection.packages.iter().map(|selected| &selected.name).collect();
    assert!(names.is_sorted_by(|a, b| a < b), "names are not sorted, or one is there twice");
    for range in &selection.python.ranges {
        assert!(range.patch_max.is_none_or(|max| range.patch_min <= max), "a range of Python versions is empty");
    }
    assert!(!plan::table(selection).is_empty());
    if let Some(misfits) = &selection.misfits {
        let host = Host { platform: None, python_minors: Vec::new() };
        assert!(!misfits.problems.is_empty(), "a report of nothing");
        assert!(!misfits.report().is_empty() && !misfits.hints(&host).is_empty(), "a report without words");
    }
}
