//! Compares selections with what real projects' locks must give.
//!
//! The locks lie outside of the project, in `../shared/locks` or where `BUNDLE_TEST_LOCKS` says: each directory
//! holds a project's manifest and lock, and `oracle.<target>[.<variant>].json` files with the packages and file
//! names that were worked out for a target by other means. Not part of the plain `cargo test`:
//!
//! ```text
//! cargo test --release --test corpus -- --nocapture
//! ```
//!
//! `exceptions.toml` names the oracles that are known to be wrong, each with the proof. They are counted apart.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use globset::{Glob, GlobMatcher};
use rayon::prelude::*;
use serde::Deserialize;

/// The Python of oracles that name none: the first release of the minor version.
const FIRST_PATCH: &str = ".0";

#[derive(Deserialize)]
struct Oracle {
    status: String,
    python_full_version: Option<String>,
    #[serde(default)]
    packages: Vec<OraclePackage>,
}

#[derive(Deserialize)]
struct OraclePackage {
    name: String,
    filename: Option<String>,
    git: Option<serde::de::IgnoredAny>,
    local: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Plan {
    targets: Vec<PlanTarget>,
}

#[derive(Deserialize)]
struct PlanTarget {
    packages: Vec<PlanPackage>,
    problems: Vec<PlanProblem>,
}

#[derive(Deserialize)]
struct PlanPackage {
    name: String,
    kind: String,
    filename: Option<String>,
}

#[derive(Deserialize)]
struct PlanProblem {
    name: String,
}

/// An oracle that is wrong, and what is right instead.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    /// Globs of the oracles' paths.
    oracles: Vec<String>,
    /// What is wrong.
    #[expect(dead_code, reason = "for people")]
    reason: String,
    /// How that is known.
    #[expect(dead_code, reason = "for people")]
    proof: String,
    /// The flags that the oracle was really made with.
    flags: Vec<String>,
    /// For directories and Python versions: how many packages the lock's own tool selects with the variant's flags.
    #[serde(default)]
    counts: BTreeMap<String, BTreeMap<String, usize>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exceptions {
    exception: Vec<Exception>,
}

struct Corrections {
    exceptions: Vec<(Vec<GlobMatcher>, Exception)>,
}

impl Corrections {
    fn read() -> Self {
        let text = include_str!("exceptions.toml");
        let exceptions: Exceptions = toml::from_str(text).expect("exceptions.toml is well-formed");
        let matcher = |pattern: &String| Glob::new(pattern).expect("a glob in exceptions.toml").compile_matcher();
        let exceptions = exceptions.exception.into_iter();
        Self {
            exceptions: exceptions
                .map(|exception| (exception.oracles.iter().map(matcher).collect(), exception))
                .collect(),
        }
    }

    fn of(&self, oracle: &str) -> Option<&Exception> {
        let applies = |matchers: &[GlobMatcher]| matchers.iter().any(|matcher| matcher.is_match(oracle));
        self.exceptions.iter().find(|(matchers, _)| applies(matchers)).map(|(_, exception)| exception)
    }
}

/// What an oracle's file name says.
struct Case {
    directory: PathBuf,
    /// Path of the oracle below the corpus.
    oracle: String,
    python: String,
    free_threaded: bool,
    platform: String,
    variant: Option<String>,
}

impl Case {
    /// `None` for files that are no oracles.
    fn parse(corpus: &Path, path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.strip_prefix("oracle.")?.strip_suffix(".json")?;
        let (target, variant) = match name.split_once('.') {
            Some((target, variant)) => (target, Some(variant.to_owned())),
            None => (name, None),
        };
        let (python, rest) = target.strip_prefix("cp")?.split_once('-')?;
        let (arch, libc) = rest.split_once('-')?;
        // `cp313p14` is 3.13 in a certain patch release, which the file tells.
        let digits: String = python.chars().take_while(char::is_ascii_digit).collect();
        let (major, minor) = digits.split_at(1);
        Some(Self {
            directory: path.parent()?.to_owned(),
            oracle: path.strip_prefix(corpus).ok()?.to_str()?.to_owned(),
            python: format!("{major}.{minor}"),
            free_threaded: python.ends_with('t'),
            platform: format!("{arch}-{libc}"),
            variant,
        })
    }

    fn flags(&self) -> Vec<String> {
        let flags: &[&str] = match self.variant.as_deref() {
            None => &[],
            Some("dev") => &["--default-groups"],
            Some("all") => &["--all-extras", "--all-groups"],
            Some(variant) => {
                let (kind, name) = variant.split_once('-').expect("a variant is known, or `extra-X`, or `group-X`");
                return vec![format!("--{kind}"), name.to_owned()];
            }
        };
        flags.iter().map(ToString::to_string).collect()
    }

    fn plan(&self, python: &str, flags: &[String]) -> std::process::Output {
        let suffix = if self.free_threaded { "t" } else { "" };
        Command::new(env!("CARGO_BIN_EXE_bundle"))
            .args(["plan", "--frozen", "--json", "--platform", &self.platform, "--project"])
            .arg(&self.directory)
            .arg(format!("--python={python}{suffix}"))
            .args(flags)
            .output()
            .expect("the binary starts")
    }
}

/// A name and what is packed of it. What would have to be built counts as missing on either side.
type Entries = BTreeSet<(String, String)>;

fn expected(oracle: &Oracle) -> Entries {
    let what = |package: &OraclePackage| match (&package.filename, &package.local, &package.git) {
        (Some(file), ..) => file.clone(),
        (None, Some(_), _) => "local".to_owned(),
        (None, None, Some(_)) => "git".to_owned(),
        (None, None, None) => "no wheel".to_owned(),
    };
    oracle.packages.iter().map(|package| (package.name.clone(), what(package))).collect()
}

fn planned(target: &PlanTarget) -> Entries {
    let what = |package: &PlanPackage| match package.kind.as_str() {
        "wheel" => package.filename.clone().unwrap_or_default(),
        "sdist" => "no wheel".to_owned(),
        other => other.to_owned(),
    };
    let unfit = target.problems.iter().map(|problem| (problem.name.clone(), "no wheel".to_owned()));
    target.packages.iter().map(|package| (package.name.clone(), what(package))).chain(unfit).collect()
}

/// Compares one selection; the error says how it differs.
fn check(case: &Case, exception: Option<&Exception>) -> Result<(), String> {
    let path = case.directory.join(Path::new(&case.oracle).file_name().unwrap_or_default());
    let text = fs_err::read_to_string(path).map_err(|error| error.to_string())?;
    let oracle: Oracle = serde_json::from_str(&text).map_err(|error| format!("the oracle is malformed: {error}"))?;
    let python = oracle.python_full_version.clone().unwrap_or_else(|| case.python.clone() + FIRST_PATCH);
    let flags = exception.map_or_else(|| case.flags(), |exception| exception.flags.clone());
    let output = case.plan(&python, &flags);
    let status = output.status.code();
    let stderr = String::from_utf8_lossy(&output.stderr);
    if oracle.status != "ok" {
        return match status {
            Some(3 | 4) => Ok(()),
            _ => Err(format!("exit status {status:?} for what has to be refused: {}", oracle.status)),
        };
    }
    let plan: Plan = match serde_json::from_slice(&output.stdout) {
        Ok(plan) if matches!(status, Some(0 | 4)) => plan,
        _ => return Err(format!("exit status {status:?}: {}", stderr.lines().next().unwrap_or("no message"))),
    };
    let (expected, planned) = (expected(&oracle), planned(&plan.targets[0]));
    if expected != planned {
        let missing: Vec<_> = expected.difference(&planned).take(4).collect();
        let excess: Vec<_> = planned.difference(&expected).take(4).collect();
        return Err(format!("missing {missing:?}, too many {excess:?}"));
    }
    let directory = case.oracle.rsplit_once('/').map_or("", |(directory, _)| directory);
    let count = exception.and_then(|exception| exception.counts.get(directory)?.get(&python));
    match count {
        Some(&count) if case.platform.starts_with("x86_64-manylinux") && !case.free_threaded => {
            check_count(case, &python, count)
        }
        _ => Ok(()),
    }
}

/// Compares the number of packages with what the lock's own tool said.
fn check_count(case: &Case, python: &str, expected: usize) -> Result<(), String> {
    let output = case.plan(python, &case.flags());
    let plan: Plan = serde_json::from_slice(&output.stdout).map_err(|error| format!("no plan: {error}"))?;
    let found = planned(&plan.targets[0]).len();
    if found == expected { Ok(()) } else { Err(format!("{found} packages, the lock's own tool has {expected}")) }
}

fn oracles(corpus: &Path) -> Vec<Case> {
    let mut cases = Vec::new();
    for entry in ignore::WalkBuilder::new(corpus).standard_filters(false).build() {
        let entry = entry.expect("the corpus can be read");
        cases.extend(Case::parse(corpus, entry.path()));
    }
    cases.sort_by(|a, b| a.oracle.cmp(&b.oracle));
    cases
}

fn percentage(part: usize, whole: usize) -> String {
    let tenths = 1000 * part / whole.max(1);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

#[test]
fn selections_agree_with_every_oracle() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/locks");
    let corpus = std::env::var_os("BUNDLE_TEST_LOCKS").map_or(beside, PathBuf::from);
    let corpus = corpus.canonicalize().unwrap_or_else(|error| {
        panic!("no locks in `{}`: {error}; name their directory with `BUNDLE_TEST_LOCKS`", corpus.display())
    });
    let corrections = Corrections::read();
    let cases = oracles(&corpus);
    assert!(!cases.is_empty(), "no oracles in `{}`", corpus.display());

    let results: Vec<_> = cases
        .par_iter()
        .map(|case| {
            let exception = corrections.of(&case.oracle);
            (case, exception.is_some(), check(case, exception))
        })
        .collect();
    for (case, _, result) in &results {
        if let Err(difference) = result {
            println!("{}: {difference}", case.oracle);
        }
    }
    let count = |corrected: bool| {
        let of_kind = || results.iter().filter(|(_, is_corrected, _)| *is_corrected == corrected);
        (of_kind().filter(|(_, _, result)| result.is_ok()).count(), of_kind().count())
    };
    let locks: BTreeSet<&Path> = cases.iter().map(|case| case.directory.as_path()).collect();
    let (agree, all) = count(false);
    let (corrected_agree, corrected) = count(true);
    println!("{agree} of {all} selections agree ({}), from {} locks", percentage(agree, all), locks.len());
    println!("{corrected_agree} of {corrected} more agree with the corrections in tests/corpus/exceptions.toml");
    assert_eq!((agree, corrected_agree), (all, corrected), "selections differ");
}
