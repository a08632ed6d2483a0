//! `poetry.lock`: TOML, lock versions 1.0 to 2.1.
//!
//! From 2.1 on a lock says of every package for which groups and under which markers it is installed: a list.
//! Older ones only hold the graph: it is walked from `pyproject.toml`, with Poetry's own constraints, and where
//! several versions of a package are locked, the one is chosen that every edge allows.
//! Locks have file names and hashes but no URLs; files are looked up at the index when they are needed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::recorded::{PoetryRecord, Recorded};
use super::wire::{Markers, make_wheel, parse_hash, read_toml};
use super::{
    Choices, Condition, Dialect, Edge, EdgeVersions, Location, Lock, LockError, LockKind, Package, PackageIndex, Sdist,
    Shape, Source, WheelOrder, constraint,
};
use crate::error::TomlError;
use crate::packaging::{
    ExtraName, GroupName, Marker, PackageName, Version, VersionRange, assume_extra, dev_group, parse_marker,
    parse_requirement,
};

/// The index of packages that name no source.
pub(super) const DEFAULT_INDEX: &str = "https://pypi.org/simple";

/// What Poetry calls it. A project that names it among its sources, with whatever priority, still means it by default.
const DEFAULT_INDEX_NAME: &str = "pypi";

/// The group of the project's own dependencies.
const MAIN_GROUP: &str = "main";

/// From this version on the lock is a list.
const LIST_VERSION: (u32, u32) = (2, 1);

/// All that is read of a lock that cannot be read as a whole.
#[derive(Deserialize)]
struct VersionOnlyWire {
    metadata: MetadataVersionWire,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct MetadataVersionWire {
    lock_version: Option<String>,
}

#[derive(Deserialize)]
struct LockWire {
    #[serde(default, rename = "package")]
    packages: Vec<PackageWire>,
    #[serde(default)]
    extras: BTreeMap<ExtraName, Vec<String>>,
    metadata: MetadataWire,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct MetadataWire {
    lock_version: Option<String>,
    content_hash: Option<String>,
    #[serde(default)]
    python_versions: Option<String>,
    /// Before 2.0: files by package name as it is written there, all versions together.
    #[serde(default)]
    files: BTreeMap<String, Vec<FileWire>>,
    /// Before 1.0: only hashes.
    #[serde(default)]
    hashes: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize, Clone)]
struct FileWire {
    file: String,
    hash: String,
}

#[derive(Deserialize)]
struct PackageWire {
    name: String,
    version: Version,
    #[serde(default)]
    groups: Vec<String>,
    markers: Option<MarkersWire>,
    #[serde(default)]
    files: Vec<FileWire>,
    #[serde(default)]
    dependencies: BTreeMap<String, DependenciesWire>,
    /// Old releases on the index have extras such as `:python_version == "2.7"`, which Poetry writes down as
    /// `python-version-2-7-`: no name, and so nothing that could be asked for.
    #[serde(default)]
    extras: BTreeMap<String, Vec<String>>,
    source: Option<SourceWire>,
    #[serde(default)]
    develop: bool,
}

/// One marker for all groups, or one for each.
#[derive(Deserialize)]
#[serde(untagged)]
enum MarkersWire {
    All(String),
    PerGroup(BTreeMap<String, String>),
}

#[derive(Deserialize)]
struct SourceWire {
    #[serde(rename = "type")]
    kind: Option<String>,
    url: String,
    resolved_reference: Option<String>,
    subdirectory: Option<String>,
}

/// A constraint, a table, or a list of either: each with conditions of its own.
#[derive(Deserialize, Clone)]
#[serde(untagged)]
enum DependenciesWire {
    Constraint(String),
    Table(DependencyWire),
    List(Vec<DependenciesWire>),
}

#[derive(Deserialize, Clone, Default)]
struct DependencyWire {
    version: Option<String>,
    #[serde(default)]
    extras: Vec<ExtraName>,
    #[serde(default)]
    optional: bool,
    markers: Option<String>,
    python: Option<String>,
    platform: Option<String>,
    git: Option<String>,
    url: Option<String>,
    path: Option<String>,
    file: Option<String>,
}

#[derive(Deserialize, Default)]
struct PyprojectWire {
    project: Option<ProjectWire>,
    #[serde(default, rename = "dependency-groups")]
    dependency_groups: BTreeMap<GroupName, Vec<toml::Value>>,
    #[serde(default)]
    tool: ToolWire,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ProjectWire {
    name: Option<PackageName>,
    version: Option<Version>,
    #[serde(default)]
    dependencies: Vec<String>,
    #[serde(default)]
    optional_dependencies: BTreeMap<ExtraName, Vec<String>>,
}

#[derive(Deserialize, Default)]
struct ToolWire {
    #[serde(default)]
    poetry: PoetryWire,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
struct PoetryWire {
    name: Option<PackageName>,
    version: Option<String>,
    package_mode: Option<bool>,
    #[serde(default)]
    dependencies: BTreeMap<String, DependenciesWire>,
    #[serde(default)]
    dev_dependencies: BTreeMap<String, DependenciesWire>,
    #[serde(default)]
    group: BTreeMap<GroupName, GroupWire>,
    #[serde(default)]
    extras: BTreeMap<ExtraName, Vec<String>>,
    #[serde(default)]
    source: Vec<SourceDefinitionWire>,
}

#[derive(Deserialize, Default)]
struct GroupWire {
    #[serde(default)]
    dependencies: BTreeMap<String, DependenciesWire>,
}

#[derive(Deserialize)]
struct SourceDefinitionWire {
    name: String,
    url: Option<String>,
    priority: Option<String>,
    #[serde(default)]
    default: bool,
    #[serde(default)]
    secondary: bool,
}

/// Reads the text of a `poetry.lock` and of the `pyproject.toml` beside it; `path` is only named in errors.
pub(super) fn parse(text: &str, pyproject: Option<&str>, path: &Path) -> Result<Lock, LockError> {
    let mut wire: LockWire = read_toml(text, path, || {
        let found: VersionOnlyWire = toml::from_str(text).ok()?;
        check_version(found.metadata.lock_version.as_deref(), path).err()
    })?;
    let version = check_version(wire.metadata.lock_version.as_deref(), path)?;
    if version < LIST_VERSION && pyproject.is_none() {
        return Err(LockError::NoManifest(path.to_owned()));
    }
    let recorded = PoetryRecord {
        content_hash: wire.metadata.content_hash.take(),
        lock_version: version,
        written_by: text.lines().next().and_then(writer),
    };
    let pyproject: PyprojectWire = match pyproject {
        Some(text) => toml::from_str(text).map_err(|source| LockError::Malformed {
            path: path.with_file_name("pyproject.toml"),
            source: TomlError::new(&source, text),
        })?,
        None => PyprojectWire::default(),
    };
    Reader::new(&pyproject)
        .lock(wire, &pyproject, version >= LIST_VERSION)
        .map(|lock| Lock { recorded: Recorded::Poetry(recorded), ..lock })
        .map_err(|reason| LockError::Inconsistent { path: path.to_owned(), reason })
}

/// The version in a lock's first line, `# This file is automatically @generated by Poetry 2.1.3 and …`.
fn writer(comment: &str) -> Option<Version> {
    comment.split_once("Poetry ")?.1.split(' ').next()?.parse().ok()
}

/// Major and minor version. Beta versions of 1.0 named none.
fn check_version(found: Option<&str>, path: &Path) -> Result<(u32, u32), LockError> {
    let found = found.unwrap_or("1.0");
    let version = found.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    version.filter(|(major, _)| (1_u32..3).contains(major)).ok_or_else(|| LockError::Version {
        path: path.to_owned(),
        found: found.to_owned(),
        expected: "1.0 to 2.x",
    })
}

/// What is shared while one lock is read.
struct Reader {
    markers: Markers,
    by_name: HashMap<PackageName, Vec<PackageIndex>>,
    /// Version and source of each package.
    locked: Vec<(Version, Source)>,
    default_index: String,
}

impl Reader {
    fn new(pyproject: &PyprojectWire) -> Self {
        // The first primary source stands in for the default index; older projects say `default = true`.
        let is_primary = |source: &&SourceDefinitionWire| match source.priority.as_deref() {
            Some(priority) => matches!(priority, "primary" | "default"),
            None => source.default || !source.secondary,
        };
        let sources = &pyproject.tool.poetry.source;
        let names_default = sources.iter().any(|source| source.name.eq_ignore_ascii_case(DEFAULT_INDEX_NAME));
        let primary = sources.iter().find(is_primary).filter(|_| !names_default);
        let default_index = primary.and_then(|source| source.url.clone());
        Self {
            markers: Markers::default(),
            by_name: HashMap::new(),
            locked: Vec::new(),
            default_index: default_index.unwrap_or_else(|| DEFAULT_INDEX.to_owned()),
        }
    }

    fn lock(mut self, wire: LockWire, pyproject: &PyprojectWire, is_list: bool) -> Result<Lock, String> {
        let requires_python = match &wire.metadata.python_versions {
            Some(text) => constraint::parse(text)?,
            None => VersionRange::any(),
        };
        self.markers.note_patch_releases(&requires_python.to_string());
        let mut known = HashSet::new();
        for package in &wire.packages {
            let name = package_name(&package.name)?;
            let source = self.source(package)?;
            let identity = (package.version.clone(), source);
            if !known.insert((name.clone(), identity.clone())) {
                return Err(format!("package `{name}` stands in it twice with the same version and source"));
            }
            self.by_name.entry(name).or_default().push(PackageIndex(self.locked.len()));
            self.locked.push(identity);
        }
        let files = FilesByName::new(wire.metadata.files, &wire.metadata.hashes)?;
        let mut groups: BTreeSet<GroupName> = pyproject.tool.poetry.group.keys().cloned().collect();
        groups.extend(pyproject.dependency_groups.keys().cloned());
        if !pyproject.tool.poetry.dev_dependencies.is_empty() {
            groups.insert(dev_group());
        }
        let mut packages = Vec::new();
        for (index, package) in wire.packages.iter().enumerate() {
            for group in package.groups.iter().filter(|group| *group != MAIN_GROUP) {
                groups.insert(group.parse().map_err(|_| format!("group name `{group}` is not valid"))?);
            }
            packages.push(self.package(index, package, &files, is_list)?);
        }
        let root = self.root(pyproject, is_list)?;
        let project = PackageIndex(packages.len());
        packages.push(root);
        let shape = if is_list {
            let mut extras: BTreeSet<ExtraName> = wire.extras.into_keys().collect();
            extras.extend(pyproject.tool.poetry.extras.keys().cloned());
            Shape::List(Choices { extras, groups, default_groups: BTreeSet::new(), dialect: Dialect::Extra })
        } else {
            Shape::Graph(EdgeVersions::Open)
        };
        Ok(Lock {
            kind: LockKind::Poetry,
            requires_python,
            environments: Vec::new(),
            conflicts: Vec::new(),
            packages,
            members: vec![project],
            workspace_requirements: Vec::new(),
            workspace_groups: BTreeMap::new(),
            unlisted_project: Some(project),
            wheel_order: WheelOrder::BuildFirst,
            shape,
            patch_releases: self.markers.into_patch_releases(),
            recorded: Recorded::Nothing,
        })
    }

    fn source(&self, package: &PackageWire) -> Result<Source, String> {
        let Some(source) = &package.source else { return Ok(Source::Registry(self.default_index.clone())) };
        let path = || PathBuf::from(&source.url);
        Ok(match source.kind.as_deref() {
            None | Some("legacy") => Source::Registry(source.url.clone()),
            Some("git") => {
                let query =
                    source.subdirectory.as_ref().map_or_else(String::new, |below| format!("?subdirectory={below}"));
                let commit = source.resolved_reference.as_deref().unwrap_or_default();
                Source::Git(format!("{}{query}#{commit}", source.url))
            }
            Some("url") => Source::Url(source.url.clone()),
            Some("file") => Source::File(path()),
            Some("directory") if package.develop => Source::Editable(path()),
            Some("directory") => Source::Directory(path()),
            Some(other) => return Err(format!("package `{}` has a source of unknown type `{other}`", package.name)),
        })
    }

    fn package(
        &mut self,
        index: usize,
        wire: &PackageWire,
        files: &FilesByName,
        is_list: bool,
    ) -> Result<Package, String> {
        let name = package_name(&wire.name)?;
        let (version, source) = self.locked[index].clone();
        let mut wheels = Vec::new();
        let mut sdist = None;
        for entry in wire.files.iter().chain(files.of(&name)) {
            let location = match &source {
                Source::Url(url) => Location::Url(url.clone()),
                Source::File(path) => Location::Path(path.clone()),
                Source::Registry(index) => Location::Index(index.clone()),
                Source::Git(_) | Source::Directory(_) | Source::Editable(_) | Source::Virtual(_) => continue,
            };
            let hash = parse_hash(Some(&entry.hash), &name)?;
            if Path::new(&entry.file).extension().is_some_and(|end| end == "whl") {
                // Files of other versions share the list before 2.0; names that are none are passed over, as by Poetry.
                if let Ok(wheel) = make_wheel(entry.file.clone(), location, hash, None, &name, Some(&version)) {
                    wheels.push(wheel);
                }
            } else if sdist.is_none() && is_sdist_of(&entry.file, &version) {
                sdist = Some(Sdist { file: entry.file.clone(), location: Some(location), hash, size: None });
            }
        }
        let mut package = Package {
            declared_extras: wire.extras.keys().filter_map(|extra| extra.parse().ok()).collect(),
            wheels,
            sdist,
            ..Package::new(name.clone(), Some(version), source)
        };
        if is_list {
            package.conditions = self.conditions(&wire.groups, wire.markers.as_ref())?;
            return Ok(package);
        }
        let by_extra: BTreeMap<ExtraName, BTreeSet<PackageName>> = wire
            .extras
            .iter()
            .filter_map(|(extra, requirements)| {
                Some((extra.parse().ok()?, requirements.iter().filter_map(|text| requirement_name(text)).collect()))
            })
            .collect();
        for (dependency, entries) in &wire.dependencies {
            let dependency = package_name(dependency)?;
            for entry in flattened(entries) {
                if !entry.optional {
                    package.dependencies.extend(self.edge(&dependency, &entry)?);
                    continue;
                }
                for (extra, names) in &by_extra {
                    if names.contains(&dependency)
                        && let Some(mut edge) = self.edge(&dependency, &entry)?
                    {
                        edge.marker = assume_extra(&edge.marker, extra);
                        package.extras.entry(extra.clone()).or_default().push(edge);
                    }
                }
            }
        }
        Ok(package)
    }

    fn conditions(&mut self, groups: &[String], markers: Option<&MarkersWire>) -> Result<Vec<Condition>, String> {
        let mut conditions = Vec::new();
        for group in groups {
            let marker = match markers {
                None => None,
                Some(MarkersWire::All(text)) => Some(text.as_str()),
                Some(MarkersWire::PerGroup(by_group)) => by_group.get(group).map(String::as_str),
            };
            let marker = self.markers.parse(marker)?;
            let group = (group != MAIN_GROUP).then(|| group.parse()).transpose();
            let group = group.map_err(|_| "a group has no valid name".to_owned())?;
            conditions.push(Condition { group, marker });
        }
        Ok(conditions)
    }

    /// The project itself, which the lock does not list.
    fn root(&mut self, pyproject: &PyprojectWire, is_list: bool) -> Result<Package, String> {
        let poetry = &pyproject.tool.poetry;
        let project = pyproject.project.as_ref();
        let name = project.and_then(|project| project.name.clone()).or_else(|| poetry.name.clone());
        let version = project.and_then(|project| project.version.clone());
        let version = version.or_else(|| poetry.version.as_ref().and_then(|version| version.parse().ok()));
        let is_package = poetry.package_mode.unwrap_or(true) && name.is_some();
        let here = PathBuf::from(".");
        let name = name.unwrap_or_else(|| "project".parse().expect("a valid name"));
        let source = if is_package { Source::Directory(here) } else { Source::Virtual(here) };
        let mut root = Package {
            declared_extras: poetry.extras.keys().cloned().collect(),
            conditions: vec![Condition { group: None, marker: Marker::TRUE }],
            ..Package::new(name, version, source)
        };
        if is_list {
            return Ok(root);
        }
        let mut optional: BTreeMap<PackageName, Vec<DependencyWire>> = BTreeMap::new();
        for (name, entries) in poetry.dependencies.iter().filter(|(name, _)| *name != "python") {
            let name = package_name(name)?;
            for entry in flattened(entries) {
                if entry.optional {
                    optional.entry(name.clone()).or_default().push(entry);
                } else {
                    root.dependencies.extend(self.edge(&name, &entry)?);
                }
            }
        }
        for (extra, names) in &poetry.extras {
            let edges = root.extras.entry(extra.clone()).or_default();
            for name in names.iter().filter_map(|text| requirement_name(text)) {
                for entry in optional.get(&name).into_iter().flatten() {
                    edges.extend(self.edge(&name, entry)?);
                }
            }
        }
        if let Some(project) = project {
            for text in &project.dependencies {
                root.dependencies.extend(self.requirement_edge(text)?);
            }
            for (extra, requirements) in &project.optional_dependencies {
                root.declared_extras.insert(extra.clone());
                for text in requirements {
                    let edge = self.requirement_edge(text)?;
                    root.extras.entry(extra.clone()).or_default().extend(edge);
                }
            }
        }
        let dev = dev_group();
        let legacy = (!poetry.dev_dependencies.is_empty()).then_some((&dev, &poetry.dev_dependencies));
        let groups = poetry.group.iter().map(|(group, table)| (group, &table.dependencies));
        for (group, dependencies) in groups.chain(legacy) {
            let edges = root.groups.entry(group.clone()).or_default();
            for (name, entries) in dependencies.iter().filter(|(name, _)| *name != "python") {
                let name = package_name(name)?;
                for entry in flattened(entries) {
                    edges.extend(self.edge(&name, &entry)?);
                }
            }
        }
        Ok(root)
    }

    /// The edge of one dependency; `None` if the lock has no such package, which then no target needs.
    fn edge(&mut self, name: &PackageName, wire: &DependencyWire) -> Result<Option<Edge>, String> {
        let Some(named) = self.by_name.get(name) else { return Ok(None) };
        let range = match &wire.version {
            Some(text) => constraint::parse(text).map_err(|reason| format!("dependency `{name}`: {reason}"))?,
            None => VersionRange::any(),
        };
        let wanted_place = [&wire.git, &wire.url, &wire.path, &wire.file].into_iter().flatten().next();
        let suits = |index: &PackageIndex| {
            let (version, source) = &self.locked[index.0];
            let in_place = match (wanted_place, source) {
                (None, _) => true,
                (Some(wanted), Source::Git(url) | Source::Url(url)) => url.starts_with(wanted.as_str()),
                (Some(wanted), Source::File(path) | Source::Directory(path) | Source::Editable(path)) => {
                    same_path(path, Path::new(wanted))
                }
                (Some(_), Source::Registry(_) | Source::Virtual(_)) => false,
            };
            in_place && range.contains(version)
        };
        let suitable: Vec<PackageIndex> = named.iter().copied().filter(suits).collect();
        // What was locked counts, even if a constraint was since changed.
        let candidates = if suitable.is_empty() { named.clone() } else { suitable };
        let mut marker = self.markers.parse(wire.markers.as_deref())?;
        if let Some(python) = &wire.python {
            let range = constraint::parse(python).map_err(|reason| format!("dependency `{name}`: {reason}"))?;
            marker = marker.and(self.markers.parse(Some(&range.python_marker()))?);
        }
        if let Some(platform) = &wire.platform {
            marker = marker.and(platform_marker(platform)?);
        }
        Ok(Some(Edge { candidates, extras: wire.extras.clone(), marker }))
    }

    fn requirement_edge(&mut self, text: &str) -> Result<Option<Edge>, String> {
        let requirement =
            parse_requirement(text).map_err(|reason| format!("requirement `{text}` cannot be understood: {reason}"))?;
        self.markers.note_patch_releases(text);
        let Some(named) = self.by_name.get(&requirement.name) else { return Ok(None) };
        let suits = |index: &PackageIndex| requirement.range.contains(&self.locked[index.0].0);
        let suitable: Vec<PackageIndex> = named.iter().copied().filter(suits).collect();
        let candidates = if suitable.is_empty() { named.clone() } else { suitable };
        Ok(Some(Edge { candidates, extras: requirement.extras, marker: requirement.marker }))
    }
}

/// `linux`, `!=win32`, `win32 || darwin`.
fn platform_marker(text: &str) -> Result<Marker, String> {
    let comparisons: Vec<String> = text
        .split("||")
        .map(|part| {
            let part = part.trim();
            let (operator, name) = match part.strip_prefix("!=") {
                Some(name) => ("!=", name.trim()),
                None => ("==", part.trim_start_matches('=').trim()),
            };
            format!("sys_platform {operator} '{name}'")
        })
        .collect();
    parse_marker(&comparisons.join(" or "))
}

fn same_path(a: &Path, b: &Path) -> bool {
    a.components().collect::<PathBuf>() == b.components().collect::<PathBuf>()
}

fn package_name(name: &str) -> Result<PackageName, String> {
    name.parse().map_err(|_| format!("package name `{name}` is not valid"))
}

/// The name in a requirement such as `PyJWT[crypto] (>=2.8.0,<3.0.0)`.
fn requirement_name(text: &str) -> Option<PackageName> {
    let end = text.find(|character: char| !(character.is_alphanumeric() || "-_.".contains(character)));
    text[..end.unwrap_or(text.len())].parse().ok()
}

fn flattened(entries: &DependenciesWire) -> Vec<DependencyWire> {
    match entries {
        DependenciesWire::Constraint(version) => {
            vec![DependencyWire { version: Some(version.clone()), ..DependencyWire::default() }]
        }
        DependenciesWire::Table(table) => vec![table.clone()],
        DependenciesWire::List(list) => list.iter().flat_map(flattened).collect(),
    }
}

/// Whether a file is a source distribution of this version, by its name.
fn is_sdist_of(file: &str, version: &Version) -> bool {
    let stem = [".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz", ".tar"].iter().find_map(|end| file.strip_suffix(end));
    let found = stem.and_then(|stem| stem.rsplit_once('-')).and_then(|(_, text)| text.parse::<Version>().ok());
    // A name such as `pkg-1.0-1.tar.gz` does not tell; it stands under this package.
    stem.is_some() && found.is_none_or(|found| found == *version)
}

/// The files of locks before 2.0, by normalised name.
struct FilesByName {
    by_name: HashMap<PackageName, Vec<FileWire>>,
}

impl FilesByName {
    fn new(files: BTreeMap<String, Vec<FileWire>>, hashes: &BTreeMap<String, Vec<String>>) -> Result<Self, String> {
        if files.is_empty() && hashes.values().any(|hashes| !hashes.is_empty()) {
            return Err("it was written by a beta version of Poetry and names no files".to_owned());
        }
        let mut by_name: HashMap<PackageName, Vec<FileWire>> = HashMap::new();
        for (name, files) in files {
            by_name.entry(package_name(&name)?).or_default().extend(files);
        }
        Ok(Self { by_name })
    }

    fn of(&self, name: &PackageName) -> &[FileWire] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The index that packages without a source come from.
    #[track_caller]
    fn default_index(sources: &str) -> String {
        let pyproject = format!("[tool.poetry]\nname = \"app\"\nversion = \"1\"\n{sources}");
        let lock = "[[package]]\nname = \"thing\"\nversion = \"1\"\ngroups = [\"main\"]\nfiles = []\n\
                    [metadata]\nlock-version = \"2.1\"\npython-versions = \"*\"\n";
        let lock = parse(lock, Some(&pyproject), Path::new("poetry.lock")).expect("a lock");
        match &lock.packages[0].source {
            Source::Registry(index) => index.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_first_primary_source_is_the_default_unless_the_usual_one_is_named() {
        let source = |name: &str, rest: &str| format!("[[tool.poetry.source]]\nname = \"{name}\"\n{rest}\n");
        let corp = source("corp", "url = \"https://corp.test/simple\"\npriority = \"primary\"");
        let extra = source("extra", "url = \"https://extra.test/simple\"\npriority = \"supplemental\"");
        let usual = source("PyPI", "priority = \"explicit\"");
        assert_eq!(default_index(""), DEFAULT_INDEX);
        assert_eq!(default_index(&extra), DEFAULT_INDEX);
        assert_eq!(default_index(&format!("{extra}{corp}")), "https://corp.test/simple");
        assert_eq!(default_index(&format!("{corp}{usual}")), DEFAULT_INDEX);
        let old = source("old", "url = \"https://old.test/simple\"\ndefault = true");
        assert_eq!(default_index(&old), "https://old.test/simple");
        let second = source("second", "url = \"https://second.test/simple\"\nsecondary = true");
        assert_eq!(default_index(&second), DEFAULT_INDEX);
    }
}
