//! `bundle plan`: what would be packed and why, for people and for programs.
//!
//! The JSON document is stable: keys are only ever added, and `schema` counts anything else.

use std::fmt::Write as _;

use serde::Serialize;

use crate::credentials::without_credentials;
use crate::fit::Problem;
use crate::lock::{Location, LockFile, LockKind};
use crate::select::{Distribution, Selected, Selection};
use crate::ui::counted;

const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct PlanWire<'a> {
    schema: u32,
    lock: LockWire<'a>,
    apps: Vec<&'a str>,
    targets: Vec<TargetWire>,
}

#[derive(Serialize)]
struct LockWire<'a> {
    path: &'a str,
    kind: LockKind,
}

#[derive(Serialize)]
struct TargetWire {
    platform: String,
    python: String,
    /// The project's own code, where the lock's packages do not include it.
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<PackageWire>,
    packages: Vec<PackageWire>,
    problems: Vec<ProblemWire>,
    /// The flags with which everything would fit as locked.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// One package, as it stands in plans and build records. Absent values are left out.
#[derive(Debug, Default, Serialize)]
pub struct PackageWire {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    source: &'static str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    filename: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
}

#[derive(Serialize)]
struct ProblemWire {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    axis: &'static str,
    offers: Vec<String>,
    hint: String,
}

impl From<&Selected> for PackageWire {
    fn from(selected: &Selected) -> Self {
        let mut wire = Self {
            name: selected.name.to_string(),
            version: selected.version.as_ref().map(ToString::to_string),
            source: selected.source.kind(),
            ..Self::default()
        };
        match &selected.distribution {
            Distribution::Wheel(wheel, tag) => {
                wire.kind = "wheel";
                wire.filename = Some(wheel.file.clone());
                wire.url = printable_location(&wheel.location);
                wire.hash = wheel.hash.as_ref().map(ToString::to_string);
                wire.size = wheel.size;
                wire.tag = Some(tag.clone());
            }
            Distribution::Sdist(sdist) => {
                wire.kind = "sdist";
                wire.filename = Some(sdist.file.clone());
                wire.url = sdist.location.as_ref().and_then(printable_location);
                wire.hash = sdist.hash.as_ref().map(ToString::to_string);
                wire.size = sdist.size;
            }
            Distribution::Local(path) | Distribution::DependenciesOnly(path) => {
                wire.kind = "local";
                wire.path = Some(path.display().to_string());
            }
            Distribution::Git(url) => {
                wire.kind = "git";
                wire.url = Some(without_credentials(url));
            }
        }
        wire
    }
}

impl From<&Problem> for ProblemWire {
    fn from(problem: &Problem) -> Self {
        Self {
            name: problem.name.to_string(),
            version: problem.version.as_ref().map(ToString::to_string),
            axis: problem.axis.map_or("none", crate::packaging::Axis::name),
            offers: problem.offers.clone(),
            hint: problem.remedy.to_string(),
        }
    }
}

/// The plan as one JSON document, with a line break at its end.
pub fn json(lock: &LockFile, apps: &[&str], selections: &[Selection]) -> String {
    let path = lock.path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let plan = PlanWire {
        schema: SCHEMA,
        lock: LockWire { path: &path, kind: lock.lock.kind },
        apps: apps.to_vec(),
        targets: selections
            .iter()
            .map(|selection| TargetWire {
                platform: selection.target.platform.to_string(),
                python: selection.target.python.to_string(),
                project: selection.packages.iter().find(|selected| !selected.listed).map(PackageWire::from),
                packages: selection.packages.iter().filter(|selected| selected.listed).map(PackageWire::from).collect(),
                problems: selection.problems().iter().map(ProblemWire::from).collect(),
                hint: selection.misfits.as_ref().and_then(|misfits| Some(misfits.change?.to_string())),
            })
            .collect(),
    };
    let mut text = serde_json::to_string_pretty(&plan).expect("a plan has only string keys");
    text.push('\n');
    text
}

/// The plan as a table for one target.
pub fn table(selection: &Selection) -> String {
    let rows: Vec<[String; 4]> = selection
        .packages
        .iter()
        .map(|selected| {
            let version = selected.version.as_ref().map_or_else(|| "dynamic".to_owned(), ToString::to_string);
            let (what, size) = match &selected.distribution {
                Distribution::Wheel(wheel, _) => (wheel.file.clone(), wheel.size.map_or_else(String::new, human_size)),
                Distribution::Sdist(sdist) => (format!("{} (no wheel fits)", sdist.file), String::new()),
                Distribution::Local(path) => (format!("{} (local)", path.display()), String::new()),
                Distribution::DependenciesOnly(path) => {
                    (format!("{} (only its dependencies)", path.display()), String::new())
                }
                Distribution::Git(url) => (without_credentials(url), String::new()),
            };
            [selected.name.to_string(), version, size, what]
        })
        .collect();
    let mut widths = [0; 3];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let [name_width, version_width, size_width] = widths;
    let mut text = String::new();
    let target = selection.target;
    let _ = writeln!(text, "{} with Python {}", target.platform, target.python);
    for [name, version, size, what] in &rows {
        let line = format!("  {name:name_width$}  {version:version_width$}  {size:>size_width$}  {what}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let wheels = selection.packages.iter().filter(|selected| matches!(selected.distribution, Distribution::Wheel(..)));
    let _ = writeln!(text, "{}, {} of them from wheels", counted(rows.len(), "package"), wheels.count());
    text
}

/// Where the bytes of a wheel or source distribution are; unknown until an index is asked.
fn printable_location(location: &Location) -> Option<String> {
    match location {
        Location::Url(url) => Some(without_credentials(url)),
        Location::Path(path) => Some(path.display().to_string()),
        Location::Index(_) => None,
    }
}

/// A size for people, in decimal units.
pub fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    // Precision is lost only beyond 2^53 bytes, far above what is printed.
    #[expect(clippy::cast_precision_loss)]
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::human_size;

    #[test]
    fn sizes_are_short() {
        assert_eq!(human_size(999), "999 B");
        assert_eq!(human_size(50_249_000), "50.2 MB");
        assert_eq!(human_size(999_990), "1.0 MB");
        assert_eq!(human_size(4_500_000_000), "4.5 GB");
    }
}
