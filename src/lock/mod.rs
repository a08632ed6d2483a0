//! Lock files, read into one model that does not tell which tool wrote them.
//!
//! Each format has a file with private wire types, turned into [`Lock`] by parsing, not validated later.
//! Invariant: every edge of a [`Lock`] points at packages of that lock, every name is normalised, every
//! wheel file name is parsed, and no two packages of a graph have the same name, version and source.

mod constraint;
mod poetry;
mod pylock;
pub mod recorded;
mod uv;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::error::{Diagnose, ExitStatus, FileError, TomlError};
use crate::packaging::{
    ExtraName, GroupName, Marker, PackageName, Version, VersionRange, VersionSpecifiers, Wanted, WheelFilename,
};
use crate::workspace;
use recorded::Recorded;

/// Which tool's format a lock has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LockKind {
    /// `uv.lock`.
    Uv,
    /// `poetry.lock`.
    Poetry,
    /// `pylock.toml` (PEP 751).
    Pylock,
}

impl LockKind {
    /// The format of a lock with this file name, if the name is well-known.
    fn of_name(path: &Path) -> Option<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match &*name {
            "uv.lock" => Some(Self::Uv),
            "poetry.lock" => Some(Self::Poetry),
            name => is_pylock_name(name).then_some(Self::Pylock),
        }
    }

    /// The format of a lock with this text: uv's has a `version` before its first table, `pylock.toml` a
    /// `lock-version`, and Poetry's has that in `[metadata]`.
    fn of_text(text: &str) -> Option<Self> {
        let mut table = "";
        // Windows editors put a mark in front, which TOML allows.
        for line in text.trim_start_matches('\u{feff}').lines() {
            if line.starts_with('[') {
                table = line.trim_end();
            }
            let key = line.split_once('=').map_or("", |(key, _)| key.trim_end());
            match (table, key) {
                ("", "version") => return Some(Self::Uv),
                ("", "lock-version") => return Some(Self::Pylock),
                ("[metadata]", "lock-version" | "content-hash") => return Some(Self::Poetry),
                _ => {}
            }
        }
        None
    }

    /// What writes a lock of this format anew.
    fn refresh(self) -> &'static str {
        match self {
            Self::Uv => "`uv lock` writes it anew",
            Self::Poetry => "`poetry lock` writes it anew",
            Self::Pylock => "the tool that made it (`uv export`, `pip lock`, `pdm lock`) writes it anew",
        }
    }
}

/// A position in [`Lock::packages`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageIndex(pub usize);

/// A lock: a graph of packages with everything that is known of where to get them.
#[derive(Debug)]
pub struct Lock {
    /// The format it was read from.
    pub kind: LockKind,
    /// The Python versions it was made for.
    pub requires_python: VersionRange,
    /// If not empty, one of these has to hold for the target.
    pub environments: Vec<Marker>,
    /// Sets of extras and groups of which at most one may be active.
    pub conflicts: Vec<Vec<ConflictItem>>,
    /// All packages.
    pub packages: Vec<Package>,
    /// The projects that the lock was made for: workspace members, or the only project.
    pub members: Vec<PackageIndex>,
    /// Requirements and groups of a workspace root that is not a project itself.
    pub workspace_requirements: Vec<Edge>,
    /// See [`Lock::workspace_requirements`].
    pub workspace_groups: BTreeMap<GroupName, Vec<Edge>>,
    /// Among [`Lock::packages`], the project itself where the lock's file does not list it.
    pub unlisted_project: Option<PackageIndex>,
    /// How the packages for a target are found.
    pub shape: Shape,
    /// Which of several wheels that fit is the best.
    pub wheel_order: WheelOrder,
    /// Every patch release that some marker names: between two of them, no marker changes its value.
    pub patch_releases: BTreeSet<(u8, u8, u32)>,
    /// What it was made from.
    pub recorded: Recorded,
}

impl Lock {
    /// Adds a project that the lock was made for but does not list, with its source tree, relative to the lock. To a
    /// graph it adds nothing: that one lists its projects.
    pub fn add_project(&mut self, name: PackageName, version: Option<Version>, path: PathBuf) {
        let is_listed = self.packages.iter().any(|package| package.name == name);
        if is_listed || matches!(self.shape, Shape::Graph(_)) {
            return;
        }
        let project = PackageIndex(self.packages.len());
        self.packages.push(Package {
            conditions: vec![Condition { group: None, marker: Marker::TRUE }],
            ..Package::new(name, version, Source::Directory(path))
        });
        self.members.push(project);
        self.unlisted_project = Some(project);
    }

    /// Leaves out the wheels of packages that have to be built from source.
    pub fn forbid_wheels(&mut self, names: &Wanted<PackageName>) {
        for package in self.packages.iter_mut().filter(|package| names.includes(&package.name)) {
            package.wheels_are_forbidden |= !package.wheels.is_empty();
            package.wheels.clear();
        }
    }
}

/// How the packages for a target are found.
#[derive(Debug)]
pub enum Shape {
    /// Roots and edges are walked.
    Graph(EdgeVersions),
    /// Every package says itself when it applies ([`Package::conditions`]); edges are for people.
    List(Choices),
}

/// What counts first when wheels are compared; greater is better in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WheelOrder {
    /// The best tag, as for uv and pip.
    TagFirst,
    /// The build tag, as for Poetry.
    BuildFirst,
}

/// Whether an edge says which of several packages of one name it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EdgeVersions {
    /// It does, but for forks.
    Fixed,
    /// It names all that would do; the one counts that all edges to the name allow.
    Open,
}

/// The extras and groups that a list's conditions know.
#[derive(Debug, Default)]
pub struct Choices {
    /// Extras that can be asked for.
    pub extras: BTreeSet<ExtraName>,
    /// Groups that can be asked for.
    pub groups: BTreeSet<GroupName>,
    /// Groups that are always active.
    pub default_groups: BTreeSet<GroupName>,
    /// How markers ask for extras.
    pub dialect: Dialect,
}

/// How the markers of a list ask for extras and groups.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `extra == 'x'`.
    #[default]
    Extra,
    /// `'x' in extras`, `'x' in dependency_groups`.
    Sets,
}

/// When a package of a list applies: its group is active, and its marker holds.
#[derive(Debug)]
pub struct Condition {
    /// The group; `None` for the project's own dependencies.
    pub group: Option<GroupName>,
    /// The marker, which may ask for extras and groups.
    pub marker: Marker,
}

/// One package of a lock.
#[derive(Debug)]
pub struct Package {
    /// Normalised name.
    pub name: PackageName,
    /// Absent for source trees whose version is dynamic.
    pub version: Option<Version>,
    /// Where it comes from.
    pub source: Source,
    /// Among packages of one name, those of the fork that holds for the target; empty: all targets.
    pub fork_markers: Vec<Marker>,
    /// What it needs.
    pub dependencies: Vec<Edge>,
    /// What each of its extras needs besides.
    pub extras: BTreeMap<ExtraName, Vec<Edge>>,
    /// Extras that it declares, whether or not they need anything.
    pub declared_extras: BTreeSet<ExtraName>,
    /// What each of its dependency groups needs.
    pub groups: BTreeMap<GroupName, Vec<Edge>>,
    /// Its wheels, in the lock's order.
    pub wheels: Vec<Wheel>,
    /// Its source distribution.
    pub sdist: Option<Sdist>,
    /// In a list: when it applies, any of these.
    pub conditions: Vec<Condition>,
    /// In a list: the Python versions that it may be installed on, where the lock says so.
    pub requires_python: Option<VersionSpecifiers>,
    /// Its wheels were left out, because the project wants it built from source.
    pub wheels_are_forbidden: bool,
}

impl Package {
    /// A package that needs nothing, has no files, and never applies.
    fn new(name: PackageName, version: Option<Version>, source: Source) -> Self {
        Self {
            name,
            version,
            source,
            fork_markers: Vec::new(),
            dependencies: Vec::new(),
            extras: BTreeMap::new(),
            declared_extras: BTreeSet::new(),
            groups: BTreeMap::new(),
            wheels: Vec::new(),
            sdist: None,
            conditions: Vec::new(),
            requires_python: None,
            wheels_are_forbidden: false,
        }
    }
}

/// A dependency of one package on another.
#[derive(Debug)]
pub struct Edge {
    /// The packages it may mean; more than one only where a fork marker decides.
    pub candidates: Vec<PackageIndex>,
    /// Extras asked of the dependency.
    pub extras: Vec<ExtraName>,
    /// When it applies.
    pub marker: Marker,
}

/// One member of a set of conflicting choices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictItem {
    /// The project that the choice belongs to.
    pub package: PackageName,
    /// What is chosen of it.
    pub choice: Choice,
}

/// A part of a project that can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// The project's own dependencies.
    Project,
    /// An extra.
    Extra(ExtraName),
    /// A dependency group.
    Group(GroupName),
}

impl std::fmt::Display for ConflictItem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.choice {
            Choice::Project => write!(f, "package `{}`", self.package),
            Choice::Extra(extra) => write!(f, "extra `{}[{extra}]`", self.package),
            Choice::Group(group) => write!(f, "group `{}:{group}`", self.package),
        }
    }
}

/// Where a package comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// An index, by URL or directory.
    Registry(String),
    /// A git repository: URL with query and the commit as fragment.
    Git(String),
    /// A wheel or source distribution at a URL.
    Url(String),
    /// A wheel or source distribution in a file, relative to the lock.
    File(PathBuf),
    /// A source tree, relative to the lock.
    Directory(PathBuf),
    /// A source tree that is installed as a link by the lock's tool, relative to the lock.
    Editable(PathBuf),
    /// A source tree of which only the dependencies are installed.
    Virtual(PathBuf),
}

impl Source {
    /// The name that `plan` prints.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Registry(_) => "registry",
            Self::Git(_) => "git",
            Self::Url(_) => "url",
            Self::File(_) => "path",
            Self::Directory(_) => "directory",
            Self::Editable(_) => "editable",
            Self::Virtual(_) => "virtual",
        }
    }
}

/// Where an archive can be had.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Location {
    /// At a URL.
    Url(String),
    /// In a file, relative to the lock's directory or absolute.
    Path(PathBuf),
    /// Somewhere on the index with this URL, to be looked up by its name.
    Index(String),
}

/// A hash that a lock promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hash {
    /// Which function.
    pub algorithm: HashAlgorithm,
    /// Lower-case hexadecimal.
    pub hex: String,
}

/// Hash functions that are strong enough to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashAlgorithm {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let algorithm = match self.algorithm {
            HashAlgorithm::Sha256 => "sha256",
            HashAlgorithm::Sha384 => "sha384",
            HashAlgorithm::Sha512 => "sha512",
        };
        write!(f, "{algorithm}:{}", self.hex)
    }
}

impl std::str::FromStr for Hash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, hex) = text.split_once(':').ok_or_else(|| format!("hash `{text}` has no algorithm"))?;
        let (algorithm, length) = match name {
            "sha256" => (HashAlgorithm::Sha256, 64),
            "sha384" => (HashAlgorithm::Sha384, 96),
            "sha512" => (HashAlgorithm::Sha512, 128),
            _ => {
                return Err(format!(
                    "hash algorithm `{name}` is not one of sha256, sha384, sha512, and proves nothing"
                ));
            }
        };
        if hex.len() != length || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!("hash `{text}` does not have {length} hexadecimal digits"));
        }
        Ok(Self { algorithm, hex: hex.to_ascii_lowercase() })
    }
}

/// A wheel of a package.
#[derive(Debug, Clone)]
pub struct Wheel {
    /// The file name as it stands in the lock.
    pub file: String,
    /// The same, parsed.
    pub filename: WheelFilename,
    /// Where it is.
    pub location: Location,
    /// What it hashes to; some indexes publish none.
    pub hash: Option<Hash>,
    /// What it hashes to by other functions, where the lock says more than one.
    pub other_hashes: Vec<Hash>,
    /// Its length in bytes, if the lock says.
    pub size: Option<u64>,
}

/// A source distribution of a package.
#[derive(Debug, Clone)]
pub struct Sdist {
    /// The file name as it stands in the lock.
    pub file: String,
    /// Where it is; `None` where the lock only has a hash.
    pub location: Option<Location>,
    /// What it hashes to.
    pub hash: Option<Hash>,
    /// Its length in bytes, if the lock says.
    pub size: Option<u64>,
}

/// The most bytes that a lock may have. Those of the largest workspaces have four million.
const MAX_SIZE: u64 = 32 << 20;

/// Why a lock cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// There is none.
    #[error("project `{0}` has no lock file")]
    Missing(PathBuf),
    /// There is one further up, but it is not the project's.
    #[error("project `{project}` has no lock file, and is no member of the workspace that `{lock}` locks")]
    Foreign {
        /// The project's directory.
        project: PathBuf,
        /// The lock of something else.
        lock: PathBuf,
    },
    /// There are several, and nothing says which one counts.
    #[error("both `{0}` and `{1}` lock the project")]
    Several(PathBuf, PathBuf),
    /// The one that was named is not there.
    #[error("lock `{0}` does not exist")]
    NoSuchFile(PathBuf),
    /// What was named is a directory.
    #[error("lock `{0}` is a directory, expected a file")]
    Directory(PathBuf),
    /// Neither name nor contents tell the format.
    #[error("lock `{0}` is in no known format")]
    UnknownFormat(PathBuf),
    /// A lock that does not say what the project is has no `pyproject.toml` that does.
    #[error("lock `{0}` does not say what the project is, and there is no `pyproject.toml` beside it")]
    NoManifest(PathBuf),
    /// It cannot be read.
    #[error("cannot read lock `{path}`")]
    Read {
        /// The lock.
        path: PathBuf,
        /// Why.
        source: FileError,
    },
    /// It is a pipe, a device or the like.
    #[error("lock `{0}` is not a regular file")]
    NotAFile(PathBuf),
    /// It is too large to be one.
    #[error("lock `{path}` has {size} bytes, expected at most {MAX_SIZE}")]
    TooLarge {
        /// The lock.
        path: PathBuf,
        /// Its length in bytes.
        size: u64,
    },
    /// It is not TOML, or lacks what every lock has.
    #[error("lock `{path}` is malformed")]
    Malformed {
        /// The lock.
        path: PathBuf,
        /// Where and why.
        source: TomlError,
    },
    /// Its version is not one that this program knows.
    #[error("lock `{path}` has version {found}, expected version {expected}")]
    Version {
        /// The lock.
        path: PathBuf,
        /// The version in the file.
        found: String,
        /// The versions that are read.
        expected: &'static str,
    },
    /// It contradicts itself.
    #[error("lock `{path}`: {reason}")]
    Inconsistent {
        /// The lock.
        path: PathBuf,
        /// What does not fit, with the package's name.
        reason: String,
    },
}

impl Diagnose for LockError {
    fn exit_status(&self) -> ExitStatus {
        ExitStatus::Project
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Missing(_) => {
                Some("make one with `uv lock` or `poetry lock`, or name the project with `--project DIR`".into())
            }
            Self::Foreign { lock, .. } => Some(format!(
                "make one with `uv lock`, list the project in `[tool.uv.workspace] members`, or take that one with \
                 `--lock {}`",
                lock.display()
            )),
            Self::Several(_, one) => Some(format!(
                "choose one, with `--lock {}` or `lock = \"{}\"` in `[tool.bundle]`",
                one.display(),
                one.file_name().unwrap_or_default().display()
            )),
            Self::NoSuchFile(_) => Some(
                "`--lock` and `BUNDLE_LOCK` take a path from the current directory, `lock` in `[tool.bundle]` one from \
                 that file's"
                    .into(),
            ),
            Self::Directory(directory) => Some(match locks_in(directory).first() {
                Some(inside) => format!("name the file, e.g. `--lock {}`", inside.display()),
                None => "name the lock file itself".to_owned(),
            }),
            Self::UnknownFormat(_) => {
                Some("it has to be a `uv.lock`, `poetry.lock` or `pylock.toml`, under whatever name".into())
            }
            Self::NoManifest(_) => Some("keep it beside the `pyproject.toml` that it was made from".into()),
            Self::Version { .. } => {
                Some("update `bundle`, or write the lock again with a version of its tool that is supported".into())
            }
            Self::Malformed { path, .. } | Self::Inconsistent { path, .. } => {
                let refresh = LockKind::of_name(path).map_or("its tool writes it anew", LockKind::refresh);
                Some(format!("was it cut short, or merged by hand? {refresh}"))
            }
            Self::NotAFile(_) => Some("name the file, e.g. `--lock uv.lock`".into()),
            Self::TooLarge { .. } => Some("is it a lock? `uv lock` or `poetry lock` writes it anew".into()),
            Self::Read { .. } => Some("is it a readable file, in UTF-8?".into()),
        }
    }
}

/// A lock file on disk.
#[derive(Debug)]
pub struct LockFile {
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of its bytes, lower-case hexadecimal.
    pub sha256: String,
    /// What it says.
    pub lock: Lock,
}

impl LockFile {
    /// The directory that the lock's paths are relative to.
    pub fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// Reads a lock of any known format; the file's name need not tell which.
    pub fn read(path: PathBuf) -> Result<Self, LockError> {
        let text = read_text(&path)?;
        let Some(kind) = LockKind::of_name(&path).or_else(|| LockKind::of_text(&text)) else {
            return Err(LockError::UnknownFormat(path));
        };
        let beside = || fs_err::read_to_string(path.with_file_name("pyproject.toml")).ok();
        let pyproject = if kind == LockKind::Poetry { beside() } else { None };
        let lock = parse(kind, &text, pyproject.as_deref(), &path)?;
        if kind == LockKind::Poetry && pyproject.is_none() {
            return Err(LockError::NoManifest(path));
        }
        Ok(Self { sha256: crate::digest::sha256_hex(text.as_bytes()), path, lock })
    }
}

/// Reads a file that is not too large. One that is no regular file may never end, or never begin.
fn read_text(path: &Path) -> Result<String, LockError> {
    let unreadable =
        |error| LockError::Read { path: path.to_owned(), source: FileError::during("read the file")(error) };
    let metadata = match fs_err::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(LockError::NoSuchFile(path.to_owned()));
        }
        Err(error) => return Err(unreadable(error)),
    };
    if metadata.is_dir() {
        return Err(LockError::Directory(path.to_owned()));
    }
    if !metadata.is_file() {
        return Err(LockError::NotAFile(path.to_owned()));
    }
    if metadata.len() > MAX_SIZE {
        return Err(LockError::TooLarge { path: path.to_owned(), size: metadata.len() });
    }
    fs_err::read_to_string(path).map_err(unreadable)
}

/// Finds the lock of a project: the one beside it, else the one of the workspace that it is a member of.
///
/// `configured` tells which lock the configuration of a directory names.
pub fn find(project: &Path, configured: impl Fn(&Path) -> Option<PathBuf>) -> Result<PathBuf, LockError> {
    let own = one_lock_in(project, &configured)?;
    let root = workspace::home(project);
    let shared = root.as_deref().filter(|root| *root != project);
    match (own, shared) {
        // uv does not look at a `uv.lock` of a member; nobody should have to guess which one counts.
        (Some(own), Some(root))
            if configured(project).is_none() && own.ends_with("uv.lock") && root.join("uv.lock").is_file() =>
        {
            Err(LockError::Several(own, root.join("uv.lock")))
        }
        (Some(own), _) => Ok(own),
        (None, Some(root)) => one_lock_in(root, &configured)?.ok_or_else(|| LockError::Missing(project.to_owned())),
        (None, None) => {
            let foreign = project.ancestors().skip(1).find_map(|directory| locks_in(directory).into_iter().next());
            let project = project.to_owned();
            Err(foreign.map_or(LockError::Missing(project.clone()), |lock| LockError::Foreign { project, lock }))
        }
    }
}

fn one_lock_in(directory: &Path, configured: impl Fn(&Path) -> Option<PathBuf>) -> Result<Option<PathBuf>, LockError> {
    if let Some(configured) = configured(directory) {
        return Ok(Some(configured));
    }
    let mut found = locks_in(directory);
    match (found.pop(), found.pop()) {
        (Some(last), Some(other)) => Err(LockError::Several(other, last)),
        (only, _) => Ok(only),
    }
}

/// Reads the text of a lock. Poetry's locks need the `pyproject.toml` beside them; `path` is only named in errors.
pub fn parse(kind: LockKind, text: &str, pyproject: Option<&str>, path: &Path) -> Result<Lock, LockError> {
    match kind {
        LockKind::Uv => uv::parse(text, path),
        LockKind::Poetry => poetry::parse(text, pyproject, path),
        LockKind::Pylock => pylock::parse(text, path),
    }
}

/// Whether a file name is `pylock.toml` or `pylock.<name>.toml`.
fn is_pylock_name(name: &str) -> bool {
    let middle = name.strip_prefix("pylock.").and_then(|rest| rest.strip_suffix("toml"));
    middle.is_some_and(|middle| {
        middle.is_empty() || middle.strip_suffix('.').is_some_and(|id| !id.is_empty() && !id.contains('.'))
    })
}

/// The locks in a directory, sorted by name.
fn locks_in(directory: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            (name == "uv.lock" || name == "poetry.lock" || is_pylock_name(&name)) && path.is_file()
        })
        .collect();
    found.sort();
    found
}
