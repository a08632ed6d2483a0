//! What a lock says about the project that it was made from, kept as it is written there.
//!
//! [`crate::freshness`] compares it with the project as it is now; of what is packed it decides only the roots: the
//! members, requirements and groups of a uv workspace.
//! Invariant: what cannot be understood is kept as such, so that nobody takes it for absent.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::PackageIndex;
use crate::packaging::{ExtraName, GroupName, PackageName, Version, VersionSpecifiers};

/// What a lock was made from, as far as its format says.
#[derive(Debug, Default)]
pub enum Recorded {
    /// The format says nothing that could be compared.
    #[default]
    Nothing,
    /// Requirements and settings.
    Uv(Box<UvRecord>),
    /// A hash of requirements and settings.
    Poetry(PoetryRecord),
}

/// What a `poetry.lock` says about its origin.
#[derive(Debug, Default)]
pub struct PoetryRecord {
    /// SHA-256 of the relevant parts of `pyproject.toml`, in hexadecimal.
    pub content_hash: Option<String>,
    /// The version of the lock's format.
    pub lock_version: (u32, u32),
    /// The version of Poetry that wrote it.
    pub written_by: Option<Version>,
}

/// What a `uv.lock` says about its origin.
#[derive(Debug, Default)]
pub struct UvRecord {
    /// The revision of the format; see `uv.rs`.
    pub revision: u32,
    /// The Pythons that all members allow.
    pub requires_python: Option<VersionSpecifiers>,
    /// `[options]`.
    pub options: OptionsRecord,
    /// `supported-markers`.
    pub environments: Vec<String>,
    /// `required-markers`.
    pub required_environments: Vec<String>,
    /// `[manifest]`.
    pub manifest: ManifestRecord,
    /// The source trees.
    pub trees: Vec<TreeRecord>,
}

/// How versions were chosen, where it is not uv's default.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct OptionsRecord {
    /// `highest` by default.
    pub resolution_mode: Option<toml::Value>,
    /// `if-necessary-or-explicit` by default.
    pub prerelease_mode: Option<toml::Value>,
    /// `requires-python` by default.
    pub fork_strategy: Option<toml::Value>,
}

/// What belongs to the workspace as a whole.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ManifestRecord {
    /// The members; empty for a lone project.
    #[serde(default)]
    pub members: Vec<PackageName>,
    /// Requirements of the root itself.
    #[serde(default)]
    pub requirements: Vec<RequirementRecord>,
    /// Groups of a root that is no project.
    #[serde(default)]
    pub dependency_groups: BTreeMap<GroupName, Vec<RequirementRecord>>,
    /// `constraint-dependencies`.
    #[serde(default)]
    pub constraints: Vec<Written<RequirementRecord>>,
    /// `override-dependencies`.
    #[serde(default)]
    pub overrides: Vec<Written<RequirementRecord>>,
    /// `build-constraint-dependencies`.
    #[serde(default)]
    pub build_constraints: Vec<Written<RequirementRecord>>,
    /// `exclude-dependencies`.
    #[serde(default)]
    pub excludes: Vec<Written<PackageName>>,
}

/// A source tree and what it required when it was locked.
#[derive(Debug)]
pub struct TreeRecord {
    /// The tree.
    pub package: PackageIndex,
    /// Absent if the lock has no table for it, which may mean that there is nothing to say.
    pub metadata: Option<MetadataRecord>,
}

/// What a source tree required.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MetadataRecord {
    /// Dependencies, and optional ones with `extra == …` in their marker.
    #[serde(default)]
    pub requires_dist: Vec<Written<RequirementRecord>>,
    /// Dependency groups. Those without any requirement stand only here.
    #[serde(default, alias = "dependency-groups")]
    pub requires_dev: BTreeMap<GroupName, Vec<Written<RequirementRecord>>>,
    /// Extras.
    #[serde(default)]
    pub provides_extras: BTreeSet<ExtraName>,
}

/// A requirement; where it comes from is said by at most one of `index` to `virtual`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RequirementRecord {
    /// What is required.
    pub name: PackageName,
    /// With which extras.
    #[serde(default)]
    pub extras: Vec<ExtraName>,
    /// When, as far as `requires-python` does not say so.
    pub marker: Option<String>,
    /// In which versions.
    pub specifier: Option<String>,
    /// From the index with this URL.
    pub index: Option<String>,
    /// From a repository.
    pub git: Option<String>,
    /// From a URL.
    pub url: Option<String>,
    /// Below the archive's root.
    pub subdirectory: Option<String>,
    /// From an archive in a file.
    pub path: Option<String>,
    /// From a source tree.
    pub directory: Option<String>,
    /// From a source tree that is installed as a link.
    pub editable: Option<String>,
    /// From a source tree of which only the dependencies count.
    pub r#virtual: Option<String>,
}

/// Something that newer versions of the format may write in another way.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Written<T> {
    /// In the way that is known.
    Known(T),
    /// In another.
    Other(IgnoredAny),
}
