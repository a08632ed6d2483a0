//! `uv.lock`: TOML, `version = 1`, any revision.
//!
//! The format is uv's own; unknown keys are ignored because revisions only add. Locks of July 2024 have
//! `[[distribution]]` for `[[package]]` and are read too.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::recorded::{
    ManifestRecord, MetadataRecord, OptionsRecord, Recorded, RequirementRecord, TreeRecord, UvRecord,
};
use super::wire::{Markers, file_name, make_wheel, parse_hash, read_toml};
use super::{
    Choice, ConflictItem, Edge, EdgeVersions, Hash, Location, Lock, LockError, LockKind, Package, PackageIndex, Sdist,
    Shape, Source, Wheel, WheelOrder,
};
use crate::packaging::{ExtraName, GroupName, PackageName, Version, VersionSpecifiers};

/// The only schema version there is.
const VERSION: i64 = 1;

/// All that is read of a lock that cannot be read as a whole.
#[derive(Deserialize, Clone, Copy)]
struct VersionWire {
    version: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct LockWire {
    version: i64,
    #[serde(default)]
    revision: u32,
    #[serde(default)]
    requires_python: Option<VersionSpecifiers>,
    #[serde(default)]
    options: OptionsRecord,
    #[serde(default)]
    supported_markers: Vec<String>,
    #[serde(default)]
    required_markers: Vec<String>,
    #[serde(default)]
    conflicts: Vec<Vec<ConflictWire>>,
    #[serde(default)]
    manifest: ManifestRecord,
    #[serde(default, rename = "package", alias = "distribution")]
    packages: Vec<PackageWire>,
}

#[derive(Deserialize)]
struct ConflictWire {
    package: PackageName,
    extra: Option<ExtraName>,
    group: Option<GroupName>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct PackageWire {
    name: PackageName,
    version: Option<Version>,
    source: SourceWire,
    #[serde(default)]
    resolution_markers: Vec<String>,
    #[serde(default)]
    dependencies: Vec<DependencyWire>,
    #[serde(default)]
    optional_dependencies: BTreeMap<ExtraName, Vec<DependencyWire>>,
    #[serde(default, alias = "dependency-groups")]
    dev_dependencies: BTreeMap<GroupName, Vec<DependencyWire>>,
    metadata: Option<MetadataRecord>,
    #[serde(default)]
    wheels: Vec<WheelWire>,
    sdist: Option<SdistWire>,
}

/// One key says which kind it is; the oldest locks have `kind+location` in a string.
///
/// Read by hand, like [`ExtrasWire`]: there are tens of thousands of them, and serde's untagged enums first read
/// everything into a tree.
#[derive(Clone, PartialEq)]
struct SourceWire(Source);

struct SourceVisitor;

impl<'de> Visitor<'de> for SourceVisitor {
    type Value = SourceWire;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a source, such as `{ registry = \"…\" }`")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<SourceWire, E> {
        let source = text.split_once('+').and_then(|(kind, place)| {
            // A wheel or source distribution at a URL was called `direct` then.
            source_of_kind(if kind == "direct" { "url" } else { kind }, place)
        });
        source.map(SourceWire).ok_or_else(|| E::custom(format!("source `{text}` is of no known kind")))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SourceWire, A::Error> {
        let mut source = None;
        // Beside its kind, a URL may have a `subdirectory`.
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match &*key {
                kind @ ("registry" | "git" | "url" | "path" | "directory" | "editable" | "virtual") => {
                    source = source_of_kind(kind, &map.next_value::<Cow<'de, str>>()?);
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        source.map(SourceWire).ok_or_else(|| serde::de::Error::custom("the source is of no known kind"))
    }
}

impl<'de> Deserialize<'de> for SourceWire {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SourceVisitor)
    }
}

fn source_of_kind(kind: &str, place: &str) -> Option<Source> {
    Some(match kind {
        "registry" => Source::Registry(place.to_owned()),
        "git" => Source::Git(place.to_owned()),
        "url" => Source::Url(place.to_owned()),
        "path" => Source::File(place.into()),
        "directory" => Source::Directory(place.into()),
        "editable" => Source::Editable(place.into()),
        "virtual" => Source::Virtual(place.into()),
        _ => return None,
    })
}

#[derive(Deserialize)]
struct DependencyWire {
    name: PackageName,
    version: Option<Version>,
    source: Option<SourceWire>,
    #[serde(default)]
    extra: ExtrasWire,
    marker: Option<String>,
}

/// A list; the oldest locks have a single name.
#[derive(Default)]
struct ExtrasWire(Vec<ExtraName>);

struct ExtrasVisitor;

impl<'de> Visitor<'de> for ExtrasVisitor {
    type Value = ExtrasWire;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of extras")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ExtrasWire, E> {
        text.parse().map(|extra| ExtrasWire(vec![extra])).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ExtrasWire, A::Error> {
        let mut extras = Vec::new();
        while let Some(extra) = list.next_element()? {
            extras.push(extra);
        }
        Ok(ExtrasWire(extras))
    }
}

impl<'de> Deserialize<'de> for ExtrasWire {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ExtrasVisitor)
    }
}

#[derive(Deserialize)]
struct WheelWire {
    url: Option<String>,
    path: Option<PathBuf>,
    filename: Option<String>,
    hash: Option<String>,
    size: Option<u64>,
}

#[derive(Deserialize)]
struct SdistWire {
    url: Option<String>,
    path: Option<PathBuf>,
    hash: Option<String>,
    size: Option<u64>,
}

/// Reads the text of a `uv.lock`; `path` is only named in errors.
pub(super) fn parse(text: &str, path: &Path) -> Result<Lock, LockError> {
    let wire: LockWire = read_toml(text, path, || check_version(toml::from_str(text).ok()?, path).err())?;
    check_version(VersionWire { version: wire.version }, path)?;
    Reader::default().lock(wire).map_err(|reason| LockError::Inconsistent { path: path.to_owned(), reason })
}

fn check_version(found: VersionWire, path: &Path) -> Result<(), LockError> {
    match found.version {
        VERSION => Ok(()),
        other => Err(LockError::Version { path: path.to_owned(), found: other.to_string(), expected: "1" }),
    }
}

/// Name, version and source: what identifies a package.
type Identity = (PackageName, Option<Version>, Source);

/// What is shared while one lock is read.
#[derive(Default)]
struct Reader {
    markers: Markers,
    by_name: HashMap<PackageName, Vec<PackageIndex>>,
    identities: Vec<Identity>,
    trees: Vec<TreeRecord>,
}

impl Reader {
    fn lock(mut self, wire: LockWire) -> Result<Lock, String> {
        let mut known = HashSet::new();
        for package in &wire.packages {
            let identity = (package.name.clone(), package.version.clone(), package.source.0.clone());
            let index = PackageIndex(self.identities.len());
            if !known.insert(identity.clone()) {
                return Err(format!("package `{}` stands in it twice with the same version and source", identity.0));
            }
            self.by_name.entry(package.name.clone()).or_default().push(index);
            self.identities.push(identity);
        }

        let members = self.members(&wire.manifest.members)?;
        let packages = wire
            .packages
            .into_iter()
            .enumerate()
            .map(|(index, package)| self.package(index, package))
            .collect::<Result<_, _>>()?;
        let workspace_requirements = self.requirements(&wire.manifest.requirements)?;
        let workspace_groups = wire
            .manifest
            .dependency_groups
            .iter()
            .map(|(group, requirements)| Ok((group.clone(), self.requirements(requirements)?)))
            .collect::<Result<_, String>>()?;
        let environments = self.markers.parse_all(wire.supported_markers.clone())?;
        let conflicts = wire.conflicts.into_iter().map(|set| set.into_iter().map(conflict_item).collect()).collect();
        let requires_python = wire.requires_python.clone().unwrap_or_else(VersionSpecifiers::empty);
        self.markers.note_patch_releases(&requires_python.to_string());
        Ok(Lock {
            kind: LockKind::Uv,
            requires_python: requires_python.into(),
            environments,
            conflicts,
            packages,
            members,
            workspace_requirements,
            workspace_groups,
            unlisted_project: None,
            wheel_order: WheelOrder::TagFirst,
            shape: Shape::Graph(EdgeVersions::Fixed),
            patch_releases: self.markers.into_patch_releases(),
            recorded: Recorded::Uv(Box::new(UvRecord {
                revision: wire.revision,
                requires_python: wire.requires_python,
                options: wire.options,
                environments: wire.supported_markers,
                required_environments: wire.required_markers,
                manifest: wire.manifest,
                trees: self.trees,
            })),
        })
    }

    /// The workspace's members. A sole member is not listed: it is the source tree at the lock itself.
    fn members(&self, listed: &[PackageName]) -> Result<Vec<PackageIndex>, String> {
        if listed.is_empty() {
            let is_root = |source: &Source| match source {
                Source::Directory(path) | Source::Editable(path) | Source::Virtual(path) => {
                    path.as_os_str() == "." || path.as_os_str().is_empty()
                }
                _ => false,
            };
            return Ok((0..self.identities.len())
                .filter(|&index| is_root(&self.identities[index].2))
                .map(PackageIndex)
                .collect());
        }
        listed
            .iter()
            .map(|name| {
                self.by_name
                    .get(name)
                    .into_iter()
                    .flatten()
                    .copied()
                    .find(|index| {
                        let source = &self.identities[index.0].2;
                        matches!(source, Source::Directory(_) | Source::Editable(_) | Source::Virtual(_))
                    })
                    .ok_or_else(|| format!("workspace member `{name}` has no package in it"))
            })
            .collect()
    }

    fn package(&mut self, index: usize, wire: PackageWire) -> Result<Package, String> {
        let (name, version, source) = self.identities[index].clone();
        let dependencies = self.edges(&name, wire.dependencies)?;
        let mut declared_extras: BTreeSet<ExtraName> = wire.optional_dependencies.keys().cloned().collect();
        declared_extras.extend(wire.metadata.iter().flat_map(|metadata| &metadata.provides_extras).cloned());
        let extras = wire
            .optional_dependencies
            .into_iter()
            .map(|(extra, edges)| Ok((extra, self.edges(&name, edges)?)))
            .collect::<Result<_, String>>()?;
        let mut groups: BTreeMap<GroupName, Vec<Edge>> = wire
            .metadata
            .iter()
            .flat_map(|metadata| metadata.requires_dev.keys())
            .map(|group| (group.clone(), Vec::new()))
            .collect();
        for (group, edges) in wire.dev_dependencies {
            groups.insert(group, self.edges(&name, edges)?);
        }
        let wheels = wire
            .wheels
            .into_iter()
            .map(|entry| wheel(entry, &name, version.as_ref(), &source))
            .collect::<Result<_, _>>()?;
        let sdist = wire.sdist.map(|entry| sdist(entry, &name, &source)).transpose()?;
        let fork_markers = self.markers.parse_all(wire.resolution_markers)?;
        if matches!(source, Source::Directory(_) | Source::Editable(_) | Source::Virtual(_)) {
            self.trees.push(TreeRecord { package: PackageIndex(index), metadata: wire.metadata });
        }
        Ok(Package {
            fork_markers,
            dependencies,
            extras,
            declared_extras,
            groups,
            wheels,
            sdist,
            ..Package::new(name, version, source)
        })
    }

    fn edges(&mut self, parent: &PackageName, wires: Vec<DependencyWire>) -> Result<Vec<Edge>, String> {
        wires.into_iter().map(|wire| self.edge(parent, wire)).collect()
    }

    fn edge(&mut self, parent: &PackageName, wire: DependencyWire) -> Result<Edge, String> {
        let wanted_source = wire.source.map(|source| source.0);
        let named = self.by_name.get(&wire.name).map_or(&[][..], Vec::as_slice);
        // An edge names version and source only where the name alone is not enough; then both count,
        // and an edge without a version means the package without one.
        let candidates: Vec<PackageIndex> = named
            .iter()
            .copied()
            .filter(|index| {
                let (_, version, source) = &self.identities[index.0];
                wanted_source.as_ref().is_none_or(|wanted| wanted == source)
                    && (wire.version.is_none() && (named.len() == 1 || version.is_none()) || wire.version == *version)
            })
            .collect();
        let [only] = candidates.as_slice() else {
            let problem = if candidates.is_empty() { "is not in it" } else { "could be several packages" };
            let version = wire.version.map_or_else(String::new, |version| format!(" {version}"));
            return Err(format!("dependency `{}{version}` of package `{parent}` {problem}", wire.name));
        };
        Ok(Edge { candidates: vec![*only], extras: wire.extra.0, marker: self.markers.parse(wire.marker.as_deref())? })
    }

    fn requirements(&mut self, wires: &[RequirementRecord]) -> Result<Vec<Edge>, String> {
        wires
            .iter()
            .map(|wire| {
                let candidates = self.by_name.get(&wire.name).cloned().unwrap_or_default();
                if candidates.is_empty() {
                    return Err(format!("requirement `{}` of the workspace is not in it", wire.name));
                }
                Ok(Edge {
                    candidates,
                    extras: wire.extras.clone(),
                    marker: self.markers.parse(wire.marker.as_deref())?,
                })
            })
            .collect()
    }
}

fn conflict_item(wire: ConflictWire) -> ConflictItem {
    let choice = match (wire.extra, wire.group) {
        (Some(extra), _) => Choice::Extra(extra),
        (None, Some(group)) => Choice::Group(group),
        (None, None) => Choice::Project,
    };
    ConflictItem { package: wire.package, choice }
}

/// Where an archive is: at its own URL, or in a file relative to a local index or to the lock.
fn location(url: Option<String>, path: Option<PathBuf>, source: &Source) -> Option<Location> {
    if let Some(url) = url {
        return Some(url_location(url));
    }
    match (path, source) {
        (Some(path), Source::Registry(index)) => {
            // A local index is a directory, as a path or as a `file:` URL.
            let directory = file_url_path(index).unwrap_or_else(|| index.into());
            Some(Location::Path(directory.join(path)))
        }
        (Some(path), _) => Some(Location::Path(path)),
        (None, Source::Url(url)) => Some(url_location(url.clone())),
        (None, Source::File(path)) => Some(Location::Path(path.clone())),
        (None, _) => None,
    }
}

fn url_location(url: String) -> Location {
    match file_url_path(&url) {
        Some(path) => Location::Path(path),
        None => Location::Url(url),
    }
}

/// The path of a `file:` URL.
fn file_url_path(url: &str) -> Option<PathBuf> {
    // Tens of thousands of URLs are looked at: only those that may be files are parsed.
    let may_be_file = url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("file:"));
    may_be_file.then(|| url::Url::parse(url).ok()?.to_file_path().ok()).flatten()
}

fn wheel(wire: WheelWire, name: &PackageName, version: Option<&Version>, source: &Source) -> Result<Wheel, String> {
    let no_name = || format!("a wheel of package `{name}` has neither `url` nor `path` nor `filename`");
    let location = location(wire.url, wire.path, source);
    let file = match wire.filename {
        Some(filename) => filename,
        None => location.as_ref().and_then(file_name).ok_or_else(no_name)?,
    };
    // A file in a git repository has no location of its own; the repository is the package's source.
    let location = location.unwrap_or_else(|| Location::Path(PathBuf::from(&file)));
    let hash = promised_hash(wire.hash.as_deref(), name, source)?;
    make_wheel(file, location, hash, wire.size, name, version)
}

fn sdist(wire: SdistWire, name: &PackageName, source: &Source) -> Result<Sdist, String> {
    let location = location(wire.url, wire.path, source);
    let file = location.as_ref().and_then(file_name).unwrap_or_else(|| format!("{name} (source)"));
    Ok(Sdist { file, location, hash: promised_hash(wire.hash.as_deref(), name, source)?, size: wire.size })
}

/// The hash of a file. Some indexes publish none; of a file at a URL or path of its own, uv always writes it.
fn promised_hash(text: Option<&str>, name: &PackageName, source: &Source) -> Result<Option<Hash>, String> {
    match (text, source) {
        (None, Source::Url(_) | Source::File(_)) => Err(format!("a file of package `{name}` has no hash")),
        _ => parse_hash(text, name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(text: &str) -> Result<Lock, LockError> {
        parse(text, Path::new("uv.lock"))
    }

    #[test]
    fn another_version_is_reported_as_such() {
        let error = parse_text("version = 9\nwhatever = true\n").expect_err("unknown version");
        assert_eq!(error.to_string(), "lock `uv.lock` has version 9, expected version 1");
    }

    #[test]
    fn edges_that_lead_nowhere_are_refused() {
        let error = parse_text(
            r#"
            version = 1
            [[package]]
            name = "a"
            version = "1"
            source = { virtual = "." }
            dependencies = [{ name = "b" }]
            "#,
        )
        .expect_err("dangling");
        assert_eq!(error.to_string(), "lock `uv.lock`: dependency `b` of package `a` is not in it");
    }

    #[test]
    fn duplicates_are_refused() {
        let package = "[[package]]\nname = \"a\"\nversion = \"1\"\nsource = { virtual = \".\" }\n";
        let error = parse_text(&format!("version = 1\n{package}{package}")).expect_err("duplicate");
        assert!(error.to_string().contains("package `a` stands in it twice"), "{error}");
    }
}
