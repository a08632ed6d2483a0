//! Source trees of the project, built into wheels by their own build backend (PEP 517).
//!
//! The backend is run by `uv` if it is on `PATH`, else by an interpreter's pip, in the tree itself, where it sees
//! what it always sees. Only setuptools gets a copy: it leaves directories behind and packs what it finds in old
//! ones. Invariant: the key of a built wheel covers every file that the backend could see, but for directories
//! of tools.

use std::collections::BTreeSet;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bundle_launcher::{Libc, TRAILER_LENGTH, Trailer};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::cache::{Cache, CacheError};
use crate::digest::hex;
use crate::error::{Diagnose, ExitStatus, FileError};
use crate::install::{MODE_FILE, MODE_PROGRAM};
use crate::interpreter;
use crate::packaging::{PackageName, Tags, Version, WheelFilename, has_bare_linux_tag, rank_wheel};
use crate::platform::Platform;
use crate::target::Target;
use crate::wheel::{WheelError, WheelFile};
use crate::zip::{DosTime, Entry, Layout};

/// Counted up when the same sources would give another wheel.
const KEY_VERSION: &str = "bundle local wheel 1";

/// No artifact is smaller than its launcher, in bytes.
const MIN_ARTIFACT_LENGTH: u64 = 500_000;

/// Members up to this size are compressed anew, so that their bytes depend on their contents alone; larger ones
/// would take too much memory, and are copied as the backend compressed them.
const MAX_RECOMPRESSED: u64 = 16 << 20;

/// How many of a backend's last lines an error shows.
const SHOWN_LINES: usize = 25;

/// The time that backends are given: 1 January 1980, the earliest that a zip archive can hold.
const SOURCE_DATE_EPOCH: &str = "315532800";

/// Why local code could not be built.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The lock knows a source tree that is not there.
    #[error("package `{package}` should be in `{directory}`, but there is no `pyproject.toml` or `setup.py`")]
    NoTree {
        /// The package.
        package: PackageName,
        /// Its directory.
        directory: PathBuf,
    },
    /// The tree cannot be read or copied.
    #[error("cannot read the sources of package `{package}`")]
    Read {
        /// The package.
        package: PackageName,
        /// Why.
        source: AnyError,
    },
    /// Neither `uv` nor an interpreter with pip was found.
    #[error("package `{0}` has to be built, but neither `uv` nor a Python with pip is on `PATH`")]
    NoFrontend(PackageName),
    /// The backend failed.
    #[error("building package `{package}` failed ({status}); its last lines:\n{output}")]
    Backend {
        /// The package.
        package: PackageName,
        /// The command's status.
        status: String,
        /// The end of what it printed.
        output: String,
    },
    /// The backend made no wheel, or several.
    #[error("building package `{package}` made {count} wheels, expected one")]
    NotOneWheel {
        /// The package.
        package: PackageName,
        /// How many.
        count: usize,
    },
    /// The wheel is of something else.
    #[error("building package `{package}` made `{wheel}`, the lock expects version {version}")]
    WrongWheel {
        /// The package.
        package: PackageName,
        /// The wheel.
        wheel: String,
        /// The locked version.
        version: String,
    },
    /// The wheel only works on this machine.
    #[error("building package `{package}` made `{wheel}`, which does not fit {target}")]
    Unfit {
        /// The package.
        package: PackageName,
        /// The wheel.
        wheel: String,
        /// Platform and Python asked for.
        target: String,
    },
    /// The wheel is damaged.
    #[error("building package `{package}` made no proper wheel")]
    BadWheel {
        /// The package.
        package: PackageName,
        /// Why.
        source: WheelError,
    },
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl Diagnose for LocalError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::NoTree { .. } => ExitStatus::Project,
            Self::Read { .. } => ExitStatus::FileSystem,
            Self::Unfit { .. } => ExitStatus::Unfit,
            Self::Cache(error) => error.exit_status(),
            _ => ExitStatus::LocalBuild,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoTree { .. } => Some("was the project moved? `uv lock` brings the lock up to date".into()),
            Self::NoFrontend(_) => Some("install uv, or pip for `python3`".into()),
            Self::WrongWheel { .. } => Some("bring the lock up to date with `uv lock`".into()),
            Self::Unfit { .. } => Some(
                "compiled code only fits machines like this one: try `--platform native`, or build it on such a machine and lock the wheel".into(),
            ),
            Self::Backend { .. } | Self::NotOneWheel { .. } | Self::BadWheel { .. } => {
                Some("`uv build --wheel` in its directory should show the same".into())
            }
            Self::Read { .. } => Some("are its files readable for you?".into()),
            Self::Cache(error) => error.hint(),
        }
    }
}

/// A source tree to build.
#[derive(Debug)]
pub struct SourceTree {
    /// The package that it holds.
    pub package: PackageName,
    /// Its version, if that is fixed.
    pub version: Option<Version>,
    /// Absolute path.
    pub directory: PathBuf,
}

/// Builds source trees into cached wheels.
#[derive(Debug)]
pub struct Builder {
    cache: Cache,
    offline: bool,
}

/// A built wheel in the cache.
#[derive(Debug)]
pub struct Built {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it was built just now.
    pub new: bool,
}

/// One file of a source tree.
struct SourceFile {
    /// Below the tree.
    relative: PathBuf,
    executable: bool,
    state: FileState,
}

/// What tells one state of a file from another.
enum FileState {
    /// The contents.
    Contents([u8; 32]),
    /// For files that git ignores, which may be large and many: length and time of the last change. They are
    /// rarely packed, and a needless build is the worst that this can do.
    Stamp(u64, Option<SystemTime>),
}

impl Builder {
    /// A builder into a cache.
    pub fn new(cache: Cache, offline: bool) -> Self {
        Self { cache, offline }
    }

    /// Returns the wheel of a source tree, building it unless its files are those of an earlier build.
    pub fn build(&self, tree: &SourceTree, target: Target, tags: &Tags) -> Result<Built, LocalError> {
        let has = |file| tree.directory.join(file).is_file();
        if !has("pyproject.toml") && !has("setup.py") {
            return Err(LocalError::NoTree { package: tree.package.clone(), directory: tree.directory.clone() });
        }
        let unreadable = |source| LocalError::Read { package: tree.package.clone(), source };
        let files = source_files(&tree.directory).map_err(unreadable)?;
        let version_control = match &tree.version {
            Some(_) => Some(String::new()),
            None => version_control_state(&tree.directory),
        };
        let key = key(tree, target, &files, version_control.as_deref().unwrap_or_default());
        if version_control.is_some()
            && let Some(path) = self.cache.find_built(&key)
        {
            return Ok(Built { path, new: false });
        }

        let output = self.cache.temporary_directory()?;
        let copy = self.cache.temporary_directory()?;
        let directory = if tree.version.is_some() && needs_copy(&tree.directory) {
            copy_files(&tree.directory, copy.path(), &files).map_err(|error| unreadable(Box::new(error)))?;
            copy.path()
        } else {
            &tree.directory
        };
        self.run_backend(tree, directory, output.path(), target)?;
        let wheel = only_wheel(tree, output.path())?;
        check_wheel(tree, &wheel, target, tags)?;
        let path = self.keep(tree, &key, &wheel)?;
        Ok(Built { path, new: true })
    }

    fn run_backend(
        &self,
        tree: &SourceTree,
        directory: &Path,
        output: &Path,
        target: Target,
    ) -> Result<(), LocalError> {
        let mut command = self.frontend(tree, target).ok_or_else(|| LocalError::NoFrontend(tree.package.clone()))?;
        command.arg(output).arg(directory);
        command.env("SOURCE_DATE_EPOCH", SOURCE_DATE_EPOCH);
        // A virtual environment or a path of the caller's must not reach into an isolated build.
        command.env_remove("PYTHONPATH").env_remove("PYTHONHOME").env_remove("VIRTUAL_ENV");
        command.current_dir(directory).stdin(Stdio::null());
        let failed = |status: String, output: &[u8]| LocalError::Backend {
            package: tree.package.clone(),
            status,
            output: last_lines(output),
        };
        let result = command.output().map_err(|error| failed(error.to_string(), &[]))?;
        if result.status.success() {
            return Ok(());
        }
        Err(failed(result.status.to_string(), &[result.stdout, result.stderr].concat()))
    }

    /// The command that builds a wheel, but for the output directory and the source directory.
    fn frontend(&self, tree: &SourceTree, target: Target) -> Option<Command> {
        let mut interpreters = interpreter::on_path(Some(target.python.version), &tree.directory);
        if runs(Command::new("uv").arg("--version")) {
            let mut command = Command::new("uv");
            command.args(["build", "--wheel", "--no-progress", "--no-python-downloads"]);
            if let Some(interpreter) = interpreters.next() {
                command.arg("--python").arg(&interpreter.path);
            }
            if self.offline {
                command.arg("--offline");
            }
            command.arg("--out-dir");
            return Some(command);
        }
        let with_pip =
            interpreters.find(|interpreter| runs(Command::new(&interpreter.path).args(["-m", "pip", "--version"])))?;
        let mut command = Command::new(with_pip.path);
        command.args([
            "-m",
            "pip",
            "wheel",
            "--no-deps",
            "--disable-pip-version-check",
            "--no-input",
            "--no-cache-dir",
        ]);
        if self.offline {
            command.arg("--no-index");
        }
        command.arg("--wheel-dir");
        Some(command)
    }

    /// Writes a wheel's files into the cache in an archive of our own making, so that the bytes depend on the
    /// files alone and not on the backend's order, times or compressor.
    fn keep(&self, tree: &SourceTree, key: &str, wheel: &Path) -> Result<PathBuf, LocalError> {
        let bad = |source| LocalError::BadWheel { package: tree.package.clone(), source };
        let original = Arc::new(WheelFile::open(wheel).map_err(bad)?);
        original.verify().map_err(bad)?;
        let mut entries = Vec::new();
        for member in original.members() {
            let mode = if member.executable { MODE_PROGRAM } else { MODE_FILE };
            entries.push(if member.size <= MAX_RECOMPRESSED {
                Entry::from_bytes(member.name.clone(), mode, original.read(member).map_err(bad)?)
            } else {
                Entry::copied(member.name.clone(), mode, &original, member)
            });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let layout = Layout::new(0, entries, DosTime::EARLIEST);
        let temporary = self.cache.temporary_file()?;
        let write = || {
            layout.write_entries(|| temporary.reopen())?;
            let mut file = temporary.reopen()?;
            std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0))?;
            std::io::Write::write_all(&mut file, &layout.directory(0))
        };
        write().map_err(|error| CacheError::File(FileError::during("write a built wheel into the cache")(error)))?;
        let name = wheel.file_name().unwrap_or_default();
        let path = self.cache.built(key).join(name);
        self.cache.keep(temporary.into_temp_path(), &path)?;
        Ok(path)
    }
}

/// Whether a command can be started and succeeds.
fn runs(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// The files of a tree that a backend may look at, sorted.
fn source_files(directory: &Path) -> Result<Vec<SourceFile>, AnyError> {
    let tracked = files_below(directory, true)?;
    files_below(directory, false)?
        .into_iter()
        .filter(|relative| !is_artifact(&directory.join(relative)))
        .map(|relative| {
            let is_tracked = tracked.contains(&relative);
            source_file(directory, relative, is_tracked)
        })
        .collect()
}

/// Paths of the files below a tree, without directories of tools, and if asked without what git ignores.
fn files_below(root: &Path, obey_gitignore: bool) -> Result<BTreeSet<PathBuf>, AnyError> {
    let tool_root = root.to_owned();
    let walk = ignore::WalkBuilder::new(root)
        .standard_filters(false)
        .git_ignore(obey_gitignore)
        .parents(obey_gitignore)
        .require_git(false)
        .follow_links(true)
        .filter_entry(move |entry| !is_left_behind(entry, &tool_root))
        .build();
    let mut paths = BTreeSet::new();
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            // Links that lead nowhere or in circles are no files.
            Err(error) if error.io_error().is_none_or(|error| error.kind() == std::io::ErrorKind::NotFound) => continue,
            Err(error) => return Err(error.into()),
        };
        if entry.file_type().is_some_and(|kind| kind.is_file()) {
            paths.insert(entry.path().strip_prefix(root)?.to_owned());
        }
    }
    Ok(paths)
}

fn source_file(directory: &Path, relative: PathBuf, by_contents: bool) -> Result<SourceFile, AnyError> {
    let path = directory.join(&relative);
    let metadata = fs_err::metadata(&path)?;
    let executable = is_executable(&metadata);
    if !by_contents {
        let state = FileState::Stamp(metadata.len(), metadata.modified().ok());
        return Ok(SourceFile { relative, executable, state });
    }
    let mut input = fs_err::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = input.read(&mut buffer)?;
        if length == 0 {
            return Ok(SourceFile { relative, executable, state: FileState::Contents(hasher.finalize().into()) });
        }
        hasher.update(&buffer[..length]);
    }
}

/// Whether a file is one of our own products, which changes with every build and belongs to no package.
fn is_artifact(path: &Path) -> bool {
    let trailer = || -> std::io::Result<bool> {
        let mut file = std::fs::File::open(path)?;
        let mut end = [0; TRAILER_LENGTH];
        let start = file.seek(SeekFrom::End(-i64::try_from(TRAILER_LENGTH).map_err(std::io::Error::other)?))?;
        file.read_exact(&mut end)?;
        Ok(Trailer::parse(&end, start + TRAILER_LENGTH as u64).is_ok())
    };
    let large_enough = std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > MIN_ARTIFACT_LENGTH);
    large_enough && trailer().unwrap_or(false)
}

/// Whether the backend is setuptools, and not one that asks git which files to pack.
fn needs_copy(directory: &Path) -> bool {
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "kebab-case")]
    struct PyprojectWire {
        #[serde(default)]
        build_system: BuildSystemWire,
    }
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "kebab-case")]
    struct BuildSystemWire {
        build_backend: Option<String>,
        #[serde(default)]
        requires: Vec<String>,
    }
    let text = std::fs::read_to_string(directory.join("pyproject.toml")).unwrap_or_default();
    let BuildSystemWire { build_backend, requires } =
        toml::from_str::<PyprojectWire>(&text).unwrap_or_default().build_system;
    let is_setuptools = build_backend.is_none_or(|backend| backend.starts_with("setuptools."));
    is_setuptools && !requires.iter().any(|requirement| requirement.replace('_', "-").starts_with("setuptools-scm"))
}

/// What a version that comes from git can depend on; `None` if that cannot be told, and empty without git.
fn version_control_state(directory: &Path) -> Option<String> {
    if !directory.ancestors().any(|ancestor| ancestor.join(".git").exists()) {
        return Some(String::new());
    }
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(directory).args(arguments).stdin(Stdio::null()).output().ok()?;
        String::from_utf8(output.stdout).ok().filter(|_| output.status.success())
    };
    let described = git(&["describe", "--tags", "--long", "--always", "--dirty"])?;
    Some(format!("{}{described}", git(&["rev-parse", "HEAD"])?))
}

#[cfg(unix)]
fn is_executable(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &std::fs::Metadata) -> bool {
    false
}

/// Directories of tools and of earlier builds. `build` and `dist` are only those at the top without code in them.
fn is_left_behind(entry: &ignore::DirEntry, root: &Path) -> bool {
    const TOOLS: [&str; 10] = [
        ".git",
        ".hypothesis",
        ".mypy_cache",
        ".nox",
        ".pytest_cache",
        ".ruff_cache",
        ".tox",
        ".venv",
        "__pycache__",
        "node_modules",
    ];
    if !entry.file_type().is_some_and(|kind| kind.is_dir()) || entry.path() == root {
        return false;
    }
    let name = entry.file_name().to_string_lossy();
    let is_output = entry.path().parent() == Some(root)
        && matches!(&*name, "build" | "dist")
        && !entry.path().join("__init__.py").exists();
    is_output || TOOLS.contains(&&*name) || name.ends_with(".egg-info") || entry.path().join("pyvenv.cfg").is_file()
}

/// What a built wheel is known by: everything that it is made from, each part with its length.
fn key(tree: &SourceTree, target: Target, files: &[SourceFile], version_control: &str) -> String {
    let mut hasher = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    add(KEY_VERSION.as_bytes());
    add(tree.package.as_str().as_bytes());
    add(tree.version.as_ref().map(ToString::to_string).unwrap_or_default().as_bytes());
    // Some backends write the version of the Python that runs them into the wheel.
    add(target.python.to_string().as_bytes());
    add(target.platform.to_string().as_bytes());
    add(version_control.as_bytes());
    for file in files {
        add(file.relative.as_os_str().as_encoded_bytes());
        add(&[u8::from(file.executable)]);
        match &file.state {
            FileState::Contents(sha256) => add(sha256),
            FileState::Stamp(length, changed) => {
                let since = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
                add(&[length.to_le_bytes().as_slice(), &since.as_nanos().to_le_bytes()].concat());
            }
        }
    }
    hex(&hasher.finalize())
}

fn copy_files(from: &Path, to: &Path, files: &[SourceFile]) -> std::io::Result<()> {
    for file in files {
        let target = to.join(&file.relative);
        if let Some(parent) = target.parent() {
            fs_err::create_dir_all(parent)?;
        }
        fs_err::copy(from.join(&file.relative), target)?;
    }
    Ok(())
}

fn only_wheel(tree: &SourceTree, output: &Path) -> Result<PathBuf, LocalError> {
    let unreadable = |error| LocalError::Read { package: tree.package.clone(), source: Box::new(error) };
    let mut wheels = Vec::new();
    for entry in fs_err::read_dir(output).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|end| end == "whl") {
            wheels.push(path);
        }
    }
    match wheels.as_slice() {
        [wheel] => Ok(wheel.clone()),
        _ => Err(LocalError::NotOneWheel { package: tree.package.clone(), count: wheels.len() }),
    }
}

fn check_wheel(tree: &SourceTree, wheel: &Path, target: Target, tags: &Tags) -> Result<(), LocalError> {
    let file = wheel.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let wrong = || LocalError::WrongWheel {
        package: tree.package.clone(),
        wheel: file.clone(),
        version: tree.version.as_ref().map_or_else(|| "any".to_owned(), ToString::to_string),
    };
    let filename: WheelFilename = file.parse().map_err(|_| wrong())?;
    if filename.name != tree.package || tree.version.as_ref().is_some_and(|version| *version != filename.version) {
        return Err(wrong());
    }
    let fits = rank_wheel(&filename, tags).is_ok()
        && built_against(&filename).is_none_or(|libc| {
            let wanted = target.platform.libc;
            libc.family == wanted.family && libc <= wanted
        });
    if fits {
        return Ok(());
    }
    Err(LocalError::Unfit {
        package: tree.package.clone(),
        wheel: file.clone(),
        target: format!("{} with Python {}", target.platform, target.python),
    })
}

/// The C library that a wheel with a bare `linux_<arch>` tag was compiled against: this machine's.
pub fn built_against(wheel: &WheelFilename) -> Option<Libc> {
    let bare = has_bare_linux_tag(wheel);
    bare.then(|| Platform::native().ok()).flatten().map(|native| native.libc)
}

fn last_lines(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}
