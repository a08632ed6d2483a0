//! The project: its `pyproject.toml`, and how its apps are configured.
//!
//! Configuration is the table `[tool.bundle]` of `pyproject.toml`, or the same table in `bundle.toml`, beside
//! the project or, for a workspace member, beside the workspace's lock. Unknown keys are errors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::error::{Diagnose, ExitStatus};
use crate::packaging::{ExtraName, GroupName, PackageName, Wanted, dev_group};

/// Why a project cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The directory does not exist.
    #[error("project `{0}` is not a directory")]
    NoDirectory(PathBuf),
    /// A file cannot be read.
    #[error("cannot read the project")]
    Read(#[source] std::io::Error),
    /// A file is not TOML, or a key is unknown or has the wrong type.
    #[error("`{path}` cannot be understood")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// Configuration stands in two places.
    #[error("both `{0}` and `{1}` configure `bundle`")]
    TwoConfigurations(PathBuf, PathBuf),
    /// An app has several entry points.
    #[error("app `{0}` has more than one of `script`, `entry-point` and `module`")]
    SeveralEntryPoints(String),
}

impl Diagnose for ProjectError {
    fn exit_status(&self) -> ExitStatus {
        ExitStatus::Project
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoDirectory(_) => Some("name the project's directory with `--project DIR`".into()),
            Self::TwoConfigurations(..) => Some("keep one of them".into()),
            Self::SeveralEntryPoints(_) => Some("keep the one by which the app is started".into()),
            Self::Read(_) => Some("is it readable for you?".into()),
            Self::Malformed { .. } => {
                Some("README lists the keys of `[tool.bundle]`; `[tool.uv]` is described by uv's documentation".into())
            }
        }
    }
}

/// A project's directory and what its files say.
#[derive(Debug)]
pub struct Project {
    /// Absolute, without symbolic links.
    pub directory: PathBuf,
    /// `[project] name`; absent for a directory without `[project]`, such as a bare workspace root.
    pub name: Option<PackageName>,
    /// The groups that the lock's tool installs by default: `[tool.uv] default-groups`, or with Poetry those that
    /// are not optional.
    pub default_groups: Wanted<GroupName>,
    /// The indexes that the lock's tool knows here.
    pub indexes: Vec<ConfiguredIndex>,
    /// How `bundle` is configured here.
    pub configuration: Option<Configuration>,
}

/// The tool whose configuration gives an index its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexTool {
    /// `[[tool.uv.index]]`.
    Uv,
    /// `[[tool.poetry.source]]`.
    Poetry,
}

/// An index that a project configures.
#[derive(Debug, Clone)]
pub struct ConfiguredIndex {
    /// Whose configuration it is.
    pub tool: IndexTool,
    /// Its name.
    pub name: Option<String>,
    /// Its URL, which may have credentials in it.
    pub url: String,
}

/// The table `[tool.bundle]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Configuration {
    /// Platforms to build for, unless an app or the command line says otherwise.
    #[serde(default)]
    pub platforms: Vec<String>,
    /// Python to build for, likewise.
    pub python: Option<String>,
    /// The lock to read, relative to the configuration.
    pub lock: Option<PathBuf>,
    /// Payload paths (globs) that several packages may write; the last package by name wins.
    #[serde(default)]
    pub allow_overwrite: Vec<String>,
    /// Mirrors: what is below the one URL is asked for below the other.
    #[serde(default)]
    pub mirrors: BTreeMap<String, String>,
    /// Apps by name.
    #[serde(default)]
    pub apps: BTreeMap<String, AppConfiguration>,
}

/// The table `[tool.bundle.apps.<name>]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AppConfiguration {
    /// The workspace member, or the project itself, that is packed; by default the one with the app's name.
    pub package: Option<PackageName>,
    /// A console script of any packed distribution.
    pub script: Option<String>,
    /// `module:attribute`, called without arguments.
    pub entry_point: Option<String>,
    /// A module that is run as with `python -m`.
    pub module: Option<String>,
    /// Arguments put before the user's.
    #[serde(default)]
    pub args: Vec<String>,
    /// Environment variables set unless the caller has set them.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Extras of the package.
    #[serde(default)]
    pub extras: Vec<ExtraName>,
    /// Dependency groups of the package.
    #[serde(default)]
    pub groups: Vec<GroupName>,
    /// Platforms to build this app for.
    #[serde(default)]
    pub platforms: Vec<String>,
    /// Python to build this app for.
    pub python: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
struct PyprojectWire {
    project: Option<ProjectWire>,
    #[serde(default)]
    dependency_groups: BTreeMap<GroupName, Vec<IgnoredAny>>,
    #[serde(default)]
    tool: ToolWire,
}

#[derive(Deserialize)]
struct ProjectWire {
    name: PackageName,
}

#[derive(Deserialize, Default)]
struct ToolWire {
    bundle: Option<Configuration>,
    #[serde(default)]
    uv: UvWire,
    poetry: Option<PoetryWire>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct PoetryWire {
    name: Option<PackageName>,
    #[serde(default)]
    group: BTreeMap<GroupName, PoetryGroupWire>,
    dev_dependencies: Option<IgnoredAny>,
    #[serde(default)]
    source: Vec<IndexWire>,
}

/// An index of uv or a source of Poetry.
#[derive(Deserialize)]
struct IndexWire {
    name: Option<String>,
    url: Option<String>,
}

impl IndexWire {
    fn index(self, tool: IndexTool) -> Option<ConfiguredIndex> {
        Some(ConfiguredIndex { tool, name: self.name, url: self.url? })
    }
}

#[derive(Deserialize)]
struct PoetryGroupWire {
    #[serde(default)]
    optional: bool,
}

impl PoetryWire {
    fn default_groups(&self, standard: &BTreeMap<GroupName, Vec<IgnoredAny>>) -> Vec<GroupName> {
        let is_optional = |group: &GroupName| self.group.get(group).is_some_and(|table| table.optional);
        let legacy = self.dev_dependencies.as_ref().map(|_| dev_group());
        let groups = self.group.keys().chain(standard.keys()).filter(|group| !is_optional(group)).cloned();
        groups.chain(legacy).collect()
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
struct UvWire {
    default_groups: Option<DefaultGroupsWire>,
    #[serde(default)]
    index: Vec<IndexWire>,
    index_url: Option<String>,
    #[serde(default)]
    extra_index_url: Vec<String>,
}

impl UvWire {
    /// All indexes, of which the older settings have no names.
    fn indexes(self) -> impl Iterator<Item = ConfiguredIndex> {
        let unnamed = self.index_url.into_iter().chain(self.extra_index_url);
        let unnamed = unnamed.map(|url| IndexWire { name: None, url: Some(url) });
        self.index.into_iter().chain(unnamed).filter_map(|index| index.index(IndexTool::Uv))
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "`default-groups` has to be a list of groups, or \"all\"")]
enum DefaultGroupsWire {
    Listed(Vec<GroupName>),
    All(AllWire),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum AllWire {
    All,
}

impl Project {
    /// Reads the project in a directory, or the nearest one above it.
    pub fn find(directory: &Path) -> Result<Self, ProjectError> {
        let start = directory
            .canonicalize()
            .ok()
            .filter(|path| path.is_dir())
            .ok_or_else(|| ProjectError::NoDirectory(directory.to_owned()))?;
        let has_project = |path: &&Path| path.join("pyproject.toml").is_file() || path.join("bundle.toml").is_file();
        let found = start.ancestors().find(has_project).unwrap_or(&start).to_owned();
        Self::read(found)
    }

    /// Reads the project in exactly this directory, which need not have any file.
    pub fn read(directory: PathBuf) -> Result<Self, ProjectError> {
        let pyproject_path = directory.join("pyproject.toml");
        let bundle_path = directory.join("bundle.toml");
        let pyproject: PyprojectWire = read_toml(&pyproject_path)?.unwrap_or_default();
        let separate: Option<Configuration> = read_toml(&bundle_path)?;
        if separate.is_some() && pyproject.tool.bundle.is_some() {
            return Err(ProjectError::TwoConfigurations(pyproject_path, bundle_path));
        }
        let configuration = separate.or(pyproject.tool.bundle);
        for (name, app) in configuration.iter().flat_map(|configuration| &configuration.apps) {
            let entry_points = [&app.script, &app.entry_point, &app.module];
            if entry_points.into_iter().flatten().count() > 1 {
                return Err(ProjectError::SeveralEntryPoints(name.clone()));
            }
        }
        let poetry = pyproject.tool.poetry.as_ref();
        let default_groups = match (&pyproject.tool.uv.default_groups, poetry) {
            (Some(DefaultGroupsWire::Listed(groups)), _) => Wanted::Listed(groups.clone()),
            (Some(DefaultGroupsWire::All(AllWire::All)), _) => Wanted::All,
            (None, Some(poetry)) => Wanted::Listed(poetry.default_groups(&pyproject.dependency_groups)),
            (None, None) => Wanted::Listed(vec![dev_group()]),
        };
        let name =
            pyproject.project.map(|project| project.name).or_else(|| poetry.and_then(|poetry| poetry.name.clone()));
        let sources = pyproject.tool.poetry.into_iter().flat_map(|poetry| poetry.source);
        let sources = sources.filter_map(|source| source.index(IndexTool::Poetry));
        let indexes = pyproject.tool.uv.indexes().chain(sources).collect();
        Ok(Self { directory, name, default_groups, indexes, configuration })
    }
}

fn read_toml<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, ProjectError> {
    let text = match fs_err::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ProjectError::Read(error)),
    };
    toml::from_str(&text)
        .map(Some)
        .map_err(|source| ProjectError::Malformed { path: path.to_owned(), source: Box::new(source) })
}
