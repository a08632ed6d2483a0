//! `pyproject.toml` as the tools that write locks read it: what a project requires, and from where.
//!
//! Read to be compared with a lock, so nothing here is an error: a file that is not as expected has no manifest,
//! and the project's own reader ([`crate::project`]) is the one that complains.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::packaging::{ExtraName, GroupName, PackageName, VersionSpecifiers, Wanted};

/// A `pyproject.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Manifest {
    /// `[project]`.
    pub project: Option<ProjectTable>,
    /// `[dependency-groups]`.
    #[serde(default)]
    pub dependency_groups: BTreeMap<GroupName, Vec<GroupEntry>>,
    build_system: Option<IgnoredAny>,
    #[serde(default)]
    tool: ToolTable,
    /// The file's directory.
    #[serde(skip)]
    pub directory: PathBuf,
}

/// `[project]`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ProjectTable {
    /// Normalised.
    pub name: PackageName,
    /// As written.
    pub version: Option<String>,
    /// Pythons that it works on.
    pub requires_python: Option<VersionSpecifiers>,
    /// Requirements as written.
    #[serde(default)]
    pub dependencies: Vec<String>,
    /// The same for each extra.
    #[serde(default)]
    pub optional_dependencies: BTreeMap<ExtraName, Vec<String>>,
    /// Fields that only the build backend knows.
    #[serde(default)]
    pub dynamic: Vec<String>,
}

impl ProjectTable {
    /// Whether only the build backend knows a field.
    pub fn is_dynamic(&self, field: &str) -> bool {
        self.dynamic.iter().any(|dynamic| dynamic == field)
    }
}

/// An entry of a dependency group.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum GroupEntry {
    /// A requirement as written.
    Requirement(String),
    /// All of another group.
    Include {
        /// The other group.
        #[serde(rename = "include-group")]
        group: GroupName,
    },
    /// Something of a later standard.
    Other(IgnoredAny),
}

#[derive(Debug, Default, Deserialize)]
struct ToolTable {
    #[serde(default)]
    uv: UvTable,
}

/// `[tool.uv]`, as far as locks depend on it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct UvTable {
    /// The directory is the root of a workspace.
    pub workspace: Option<WorkspaceTable>,
    /// `false`: uv leaves the project alone.
    pub managed: Option<bool>,
    /// Whether the project itself is installed; by default if it has a `[build-system]`.
    pub package: Option<bool>,
    /// Where requirements come from.
    #[serde(default)]
    pub sources: BTreeMap<PackageName, OneOrMany<SourceTable>>,
    /// Indexes, some with names.
    #[serde(default)]
    pub index: Vec<IndexTable>,
    /// The group `dev`, before there were groups.
    #[serde(default)]
    pub dev_dependencies: Vec<String>,
    /// Requirements that replace all others of their name.
    #[serde(default)]
    pub override_dependencies: Vec<toml::Value>,
    /// Limits on what others require.
    #[serde(default)]
    pub constraint_dependencies: Vec<toml::Value>,
    /// The same for what builds require.
    #[serde(default)]
    pub build_constraint_dependencies: Vec<toml::Value>,
    /// Packages that are left out.
    #[serde(default)]
    pub exclude_dependencies: Vec<toml::Value>,
    /// Markers of which one has to hold.
    #[serde(default)]
    pub environments: OneOrMany<String>,
    /// Markers for which there have to be wheels.
    #[serde(default)]
    pub required_environments: OneOrMany<String>,
    /// Extras and groups that exclude each other.
    #[serde(default)]
    pub conflicts: Vec<Vec<ConflictTable>>,
    /// Settings of groups.
    #[serde(default)]
    pub dependency_groups: BTreeMap<GroupName, GroupTable>,
    /// Every package is built from source.
    #[serde(default)]
    pub no_binary: bool,
    /// Packages that are built from source.
    #[serde(default)]
    pub no_binary_package: Vec<PackageName>,
    /// How versions are chosen.
    pub resolution: Option<toml::Value>,
    /// Which pre-releases are allowed.
    pub prerelease: Option<toml::Value>,
    /// How forks are chosen.
    pub fork_strategy: Option<toml::Value>,
}

/// `[tool.uv.workspace]`.
#[derive(Debug, Default, Deserialize)]
pub struct WorkspaceTable {
    /// Globs of directories.
    #[serde(default)]
    pub members: Vec<String>,
    /// Globs of directories that are none nevertheless.
    #[serde(default)]
    pub exclude: Vec<String>,
}

impl WorkspaceTable {
    /// Reads no more of a directory's `pyproject.toml` than this table, so that nothing else can stand in the way.
    pub fn read(directory: &Path) -> Result<Option<Self>, toml::de::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct FileWire {
            tool: ToolWire,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct ToolWire {
            uv: UvWire,
        }
        #[derive(Default, Deserialize)]
        struct UvWire {
            workspace: Option<WorkspaceTable>,
        }
        let text = fs_err::read_to_string(directory.join("pyproject.toml")).unwrap_or_default();
        toml::from_str(&text).map(|file: FileWire| file.tool.uv.workspace)
    }
}

/// An entry of `[tool.uv.sources]`: exactly one of `git`, `url`, `path`, `index` and `workspace`.
#[derive(Debug, Deserialize)]
pub struct SourceTable {
    /// A repository.
    pub git: Option<String>,
    /// An archive at a URL.
    pub url: Option<String>,
    /// A file or directory, relative to the manifest.
    pub path: Option<String>,
    /// The name of an index.
    pub index: Option<String>,
    /// `true`: a member of the same workspace.
    pub workspace: Option<toml::Value>,
    /// A commit, or anything that git understands as one.
    pub rev: Option<String>,
    /// A tag.
    pub tag: Option<String>,
    /// A branch.
    pub branch: Option<String>,
    /// Below the root of repository or archive.
    pub subdirectory: Option<String>,
    /// When it counts.
    pub marker: Option<String>,
    /// For which extra it counts.
    pub extra: Option<ExtraName>,
    /// For which group it counts.
    pub group: Option<GroupName>,
}

/// An entry of `[[tool.uv.index]]`.
#[derive(Debug, Deserialize)]
pub struct IndexTable {
    /// What sources call it.
    pub name: Option<String>,
    /// Where it is.
    pub url: String,
}

/// An item of `[tool.uv] conflicts`.
#[derive(Debug, Deserialize)]
pub struct ConflictTable {
    /// By default the project itself.
    pub package: Option<PackageName>,
    /// An extra of it,
    pub extra: Option<ExtraName>,
    /// or a group.
    pub group: Option<GroupName>,
}

/// An entry of `[tool.uv.dependency-groups]`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct GroupTable {
    /// The group counts for these Pythons only.
    pub requires_python: Option<VersionSpecifiers>,
}

/// A value, or a list of such values.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// One.
    One(T),
    /// A list.
    Many(Vec<T>),
}

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl<T> OneOrMany<T> {
    /// All of them.
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(item) => std::slice::from_ref(item),
            Self::Many(items) => items,
        }
    }
}

impl Manifest {
    /// Reads a directory's `pyproject.toml`; `None` if there is none, or none that can be understood.
    pub fn read(directory: &Path) -> Option<Self> {
        let text = fs_err::read_to_string(directory.join("pyproject.toml")).ok()?;
        let manifest: Self = toml::from_str(&text).ok()?;
        Some(Self { directory: directory.to_owned(), ..manifest })
    }

    /// `[tool.uv]`.
    pub fn uv(&self) -> &UvTable {
        &self.tool.uv
    }

    /// Whether it has a `[build-system]`.
    pub fn has_build_system(&self) -> bool {
        self.build_system.is_some()
    }

    /// The packages that uv builds from source although they have wheels.
    pub fn built_from_source(&self) -> Wanted<PackageName> {
        if self.uv().no_binary { Wanted::All } else { Wanted::Listed(self.uv().no_binary_package.clone()) }
    }
}
