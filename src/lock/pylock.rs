//! `pylock.toml`: <https://packaging.python.org/en/latest/specifications/pylock-toml/>, `lock-version` 1.x.
//!
//! A list: every package has a marker of its own, which may ask for `extras` and `dependency_groups`; edges
//! (`dependencies`) must not be used to decide anything. Tools' own tables are not looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::recorded::Recorded;
use super::wire::{Markers, file_name, make_wheel, parse_hash, read_toml};
use super::{
    Choices, Condition, Dialect, Hash, Location, Lock, LockError, LockKind, Package, Sdist, Shape, Source, Wheel,
    WheelOrder,
};
use crate::packaging::{ExtraName, GroupName, PackageName, Version, VersionSpecifiers};

/// The major version that is read.
const MAJOR_VERSION: &str = "1";

/// Hash functions in the order in which they are preferred.
const PREFERRED_HASHES: [&str; 3] = ["sha256", "sha512", "sha384"];

/// All that is read of a lock that cannot be read as a whole.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct VersionWire {
    lock_version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct LockWire {
    lock_version: String,
    requires_python: Option<VersionSpecifiers>,
    #[serde(default)]
    environments: Vec<String>,
    #[serde(default)]
    extras: BTreeSet<ExtraName>,
    #[serde(default)]
    dependency_groups: BTreeSet<GroupName>,
    #[serde(default)]
    default_groups: BTreeSet<GroupName>,
    #[serde(default)]
    packages: Vec<PackageWire>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct PackageWire {
    name: PackageName,
    version: Option<Version>,
    marker: Option<String>,
    requires_python: Option<VersionSpecifiers>,
    index: Option<String>,
    vcs: Option<VcsWire>,
    directory: Option<DirectoryWire>,
    archive: Option<FileWire>,
    sdist: Option<FileWire>,
    #[serde(default)]
    wheels: Vec<FileWire>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct VcsWire {
    #[serde(rename = "type")]
    kind: String,
    url: Option<String>,
    path: Option<PathBuf>,
    commit_id: String,
    subdirectory: Option<String>,
}

#[derive(Deserialize)]
struct DirectoryWire {
    path: PathBuf,
    #[serde(default)]
    editable: bool,
    subdirectory: Option<PathBuf>,
}

/// A wheel, a source distribution or an archive of either kind.
#[derive(Deserialize)]
struct FileWire {
    name: Option<String>,
    url: Option<String>,
    path: Option<PathBuf>,
    size: Option<u64>,
    hashes: BTreeMap<String, String>,
}

/// Reads the text of a `pylock.toml`; `path` is only named in errors.
pub(super) fn parse(text: &str, path: &Path) -> Result<Lock, LockError> {
    let wire: LockWire =
        read_toml(text, path, || check_version(&toml::from_str::<VersionWire>(text).ok()?.lock_version, path).err())?;
    check_version(&wire.lock_version, path)?;
    read(wire).map_err(|reason| LockError::Inconsistent { path: path.to_owned(), reason })
}

fn check_version(found: &str, path: &Path) -> Result<(), LockError> {
    match found.split('.').next() {
        Some(MAJOR_VERSION) => Ok(()),
        _ => Err(LockError::Version { path: path.to_owned(), found: found.to_owned(), expected: "1.x" }),
    }
}

fn read(wire: LockWire) -> Result<Lock, String> {
    let mut markers = Markers::default();
    let environments = markers.parse_all(wire.environments)?;
    let requires_python = wire.requires_python.unwrap_or_else(VersionSpecifiers::empty);
    markers.note_patch_releases(&requires_python.to_string());
    let packages =
        wire.packages.into_iter().map(|entry| package(entry, &mut markers)).collect::<Result<Vec<_>, String>>()?;
    Ok(Lock {
        kind: LockKind::Pylock,
        requires_python: requires_python.into(),
        environments,
        conflicts: Vec::new(),
        packages,
        members: Vec::new(),
        workspace_requirements: Vec::new(),
        workspace_groups: BTreeMap::new(),
        unlisted_project: None,
        wheel_order: WheelOrder::TagFirst,
        shape: Shape::List(Choices {
            extras: wire.extras,
            groups: wire.dependency_groups,
            default_groups: wire.default_groups,
            dialect: Dialect::Sets,
        }),
        patch_releases: markers.into_patch_releases(),
        recorded: Recorded::Nothing,
    })
}

fn package(wire: PackageWire, markers: &mut Markers) -> Result<Package, String> {
    let name = wire.name;
    let marker = markers.parse(wire.marker.as_deref())?;
    if let Some(requires_python) = &wire.requires_python {
        markers.note_patch_releases(&requires_python.to_string());
    }
    let from_files = wire.sdist.is_some() || !wire.wheels.is_empty();
    let kinds = [wire.vcs.is_some(), wire.directory.is_some(), wire.archive.is_some(), from_files];
    match kinds.into_iter().filter(|given| *given).count() {
        1 => {}
        0 => return Err(format!("package `{name}` has no source at all")),
        _ => return Err(format!("package `{name}` has sources of several kinds")),
    }
    let version = wire.version;
    let mut wheels = Vec::new();
    let mut sdist = None;
    let source = if let Some(vcs) = wire.vcs {
        git(&name, vcs)?
    } else if let Some(directory) = wire.directory {
        let path = directory.subdirectory.map_or(directory.path.clone(), |below| directory.path.join(below));
        if directory.editable { Source::Editable(path) } else { Source::Directory(path) }
    } else if let Some(archive) = wire.archive {
        let (file, location) = place(&archive, &name)?;
        if is_wheel(&file) {
            wheels.push(wheel(&archive, &name, version.as_ref())?);
        } else {
            sdist = Some(source_distribution(&archive, &name)?);
        }
        match location {
            Location::Url(url) => Source::Url(url),
            Location::Path(path) => Source::File(path),
            Location::Index(index) => Source::Registry(index),
        }
    } else {
        for entry in &wire.wheels {
            wheels.push(wheel(entry, &name, version.as_ref())?);
        }
        sdist = wire.sdist.map(|entry| source_distribution(&entry, &name)).transpose()?;
        Source::Registry(wire.index.unwrap_or_default())
    };
    Ok(Package {
        wheels,
        sdist,
        conditions: vec![Condition { group: None, marker }],
        requires_python: wire.requires_python,
        ..Package::new(name, version, source)
    })
}

/// In the form that `uv.lock` uses: URL, subdirectory as query, commit as fragment.
fn git(name: &PackageName, vcs: VcsWire) -> Result<Source, String> {
    if vcs.kind != "git" {
        return Err(format!("package `{name}` comes from `{}`; of version control only git is known", vcs.kind));
    }
    let repository = vcs.url.or_else(|| vcs.path.map(|path| path.display().to_string()));
    let repository = repository.ok_or_else(|| format!("package `{name}` names no repository"))?;
    let query = vcs.subdirectory.map_or_else(String::new, |below| format!("?subdirectory={below}"));
    Ok(Source::Git(format!("{repository}{query}#{}", vcs.commit_id)))
}

fn is_wheel(file: &str) -> bool {
    Path::new(file).extension().is_some_and(|end| end == "whl")
}

/// File name and place of a file: the name given, else the last part of `path`, else of `url`; `path` wins.
fn place(wire: &FileWire, name: &PackageName) -> Result<(String, Location), String> {
    let location = match (&wire.path, &wire.url) {
        (Some(path), _) => Location::Path(path.clone()),
        (None, Some(url)) => Location::Url(url.clone()),
        (None, None) => return Err(format!("a file of package `{name}` has neither `path` nor `url`")),
    };
    let file = wire.name.clone().or_else(|| file_name(&location));
    Ok((file.ok_or_else(|| format!("a file of package `{name}` has no name"))?, location))
}

/// A file's hashes of known kinds, the preferred one first.
fn hashes(wire: &FileWire, name: &PackageName) -> Result<Vec<Hash>, String> {
    let known = PREFERRED_HASHES.iter().filter_map(|algorithm| Some((algorithm, wire.hashes.get(*algorithm)?)));
    let known = known.map(|(algorithm, hex)| parse_hash(Some(&format!("{algorithm}:{hex}")), name));
    let known: Vec<Hash> = known.filter_map(Result::transpose).collect::<Result<_, _>>()?;
    if wire.hashes.is_empty() {
        return Err(format!("a file of package `{name}` has no hash"));
    }
    if known.is_empty() {
        let names: Vec<&str> = wire.hashes.keys().map(String::as_str).collect();
        return Err(format!("package `{name}` has only hashes of unknown or weak kinds: {}", names.join(", ")));
    }
    Ok(known)
}

fn wheel(wire: &FileWire, name: &PackageName, version: Option<&Version>) -> Result<Wheel, String> {
    let (file, location) = place(wire, name)?;
    let mut hashes = hashes(wire, name)?.into_iter();
    let wheel = make_wheel(file, location, hashes.next(), wire.size, name, version)?;
    Ok(Wheel { other_hashes: hashes.collect(), ..wheel })
}

fn source_distribution(wire: &FileWire, name: &PackageName) -> Result<Sdist, String> {
    let (file, location) = place(wire, name)?;
    let is_weak = !wire.hashes.is_empty() && PREFERRED_HASHES.iter().all(|known| !wire.hashes.contains_key(*known));
    if is_weak {
        // pip writes the SHA-1 of a URL's fragment. What cannot be verified is not to be had, which matters only if
        // the package is selected.
        return Ok(Sdist { file, location: None, hash: None, size: wire.size });
    }
    let hash = hashes(wire, name)?.into_iter().next();
    Ok(Sdist { file, location: Some(location), hash, size: wire.size })
}
