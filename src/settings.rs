//! What is to be built: command line, configuration and lock brought together.
//!
//! Order of precedence: command line (and its `BUNDLE_…` variables), app, `[tool.bundle]`, defaults.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use crate::cli::{BuildArgs, PlanArgs, SelectionArgs};
use crate::entry_point::{ObjectReference, ObjectReferenceError, is_dotted_name};
use crate::error::{Diagnose, ExitStatus};
use crate::freshness;
use crate::interpreter;
use crate::lock::{self, Lock, LockFile, LockKind};
use crate::manifest::Manifest;
use crate::mirror::{MirrorError, Mirrors};
use crate::packaging::{PackageName, Version, VersionRange, Wanted};
use crate::platform::{Platform, PlatformError};
use crate::project::{AppConfiguration, Configuration, ConfiguredIndex, Project};
use crate::select::{Roots, did_you_mean};
use crate::target::{PythonRequest, PythonRequestError, Target};
use crate::workspace;

/// Why flags and configuration make no sense.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// No app and no project has the name.
    #[error("app `{name}` does not exist")]
    NoSuchApp {
        /// What was asked for.
        name: String,
        /// Apps and projects that exist.
        available: Vec<String>,
    },
    /// An argument or variable cannot be passed to a program.
    #[error("app `{0}` has an argument or variable in `args` or `env` that is too long or contains a NUL")]
    Argument(String),
    /// An app's name cannot be a file's name.
    #[error("app name `{0}` cannot be used as a file name")]
    AppName(String),
    /// Apps that share a file want different things.
    #[error("the apps {apps} are configured for different {what}")]
    Disagree {
        /// The apps' names.
        apps: String,
        /// `platforms` or `Python versions`.
        what: &'static str,
    },
    /// `--output` names one file for several platforms.
    #[error("`--output` names one file, but there are {0} platforms")]
    OneOutput(usize),
    /// An entry point was given for several apps.
    #[error("`--{0}` was given, but there are several apps")]
    OneEntryPoint(&'static str),
    /// No Python version can be found to build for.
    #[error("no Python version to build for: neither configured, nor installed, nor in the lock's `requires-python`")]
    NoPython,
    /// A module's name is not a dotted name.
    #[error("module `{0}` is not a dotted name")]
    Module(String),
    /// See [`PlatformError`].
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// See [`PythonRequestError`].
    #[error(transparent)]
    Python(#[from] PythonRequestError),
    /// See [`ObjectReferenceError`].
    #[error(transparent)]
    EntryPoint(#[from] ObjectReferenceError),
}

impl Diagnose for SettingsError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::NoSuchApp { .. } | Self::AppName(_) | Self::Argument(_) | Self::Disagree { .. } => {
                ExitStatus::Project
            }
            _ => ExitStatus::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoSuchApp { name, available } => Some(did_you_mean(name, available, "there are")),
            Self::Argument(_) => Some("keep it in a file that the app reads".into()),
            Self::AppName(_) => Some("use letters, digits, `-`, `_` and `.`".into()),
            Self::Disagree { what: "platforms", .. } => Some("choose with `--platform`, or build them apart".into()),
            Self::Disagree { .. } => Some("choose with `--python`, or build them apart".into()),
            Self::OneOutput(_) => Some("leave out `--output`, or build for one `--platform` at a time".into()),
            Self::OneEntryPoint(_) => Some("build one app at a time, or set it in `[tool.bundle.apps]`".into()),
            Self::NoPython => Some("choose one with `--python`".into()),
            Self::Module(_) => Some("write it like `api.main`".into()),
            Self::Platform(error) => error.hint(),
            Self::Python(error) => error.hint(),
            Self::EntryPoint(error) => error.hint(),
        }
    }
}

/// How an app is started, as far as settings tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryChoice {
    /// A console script of some packed distribution.
    Script(String),
    /// A callable.
    EntryPoint(ObjectReference),
    /// A module, as with `python -m`.
    Module(String),
    /// The package's single console script, else the interpreter.
    Default,
}

/// One app.
#[derive(Debug, Clone)]
pub struct AppSettings {
    /// Its name.
    pub name: String,
    /// What is packed for it.
    pub roots: Roots,
    /// How it is started.
    pub entry: EntryChoice,
    /// Arguments put before the user's.
    pub args: Vec<String>,
    /// Defaults of environment variables.
    pub env: BTreeMap<String, String>,
}

/// Apps that are packed together, and what for.
#[derive(Debug)]
pub struct Unit {
    /// At least one.
    pub apps: Vec<AppSettings>,
    /// At least one; each makes an artifact.
    pub targets: Vec<Target>,
}

/// A project with its lock and the configuration that applies to it.
#[derive(Debug)]
pub struct Workspace {
    /// The project asked for.
    pub project: Project,
    /// Its lock.
    pub lock: LockFile,
    /// The indexes that the project and its workspace configure.
    pub indexes: Vec<ConfiguredIndex>,
    configuration: Configuration,
    /// The project beside the configuration: what an app without `package` means.
    configured_project: Option<PackageName>,
}

impl Workspace {
    /// Finds project, lock and configuration, and checks that the lock matches the project unless it is frozen.
    pub fn find(directory: &Path, selection: &SelectionArgs) -> Result<Self, crate::error::Failure> {
        let project = Project::find(directory)?;
        // A member without configuration of its own has its workspace's.
        let home = workspace::home(&project.directory).filter(|home| *home != project.directory);
        let home = home.map(Project::read).transpose()?;
        let lock = match &selection.lock {
            Some(path) => std::path::absolute(path).unwrap_or_else(|_| path.clone()),
            None => {
                let owners = home.iter().chain([&project]);
                let configured: Vec<(&Path, PathBuf)> = owners
                    .filter_map(|owner| {
                        let lock = owner.configuration.as_ref()?.lock.as_ref()?;
                        Some((owner.directory.as_path(), owner.directory.join(lock)))
                    })
                    .collect();
                let of = |directory: &Path| {
                    configured.iter().find(|(owner, _)| *owner == directory).map(|(_, lock)| lock.clone())
                };
                lock::find(&project.directory, of)?
            }
        };
        let mut lock = LockFile::read(lock)?;
        if !selection.frozen {
            freshness::check(&lock)?;
        }
        complete(&mut lock, &project.directory);
        let owner = home.as_ref().filter(|_| project.configuration.is_none()).unwrap_or(&project);
        let configuration = owner.configuration.clone().unwrap_or_default();
        let configured_project = owner.name.clone();
        let mut indexes = project.indexes.clone();
        indexes.extend(home.into_iter().flat_map(|home| home.indexes));
        Ok(Self { project, lock, indexes, configuration, configured_project })
    }

    /// The mirrors of the command line, of `BUNDLE_MIRROR` and of the configuration.
    pub fn mirrors(&self, flags: &[String]) -> Result<Mirrors, MirrorError> {
        let variable = std::env::var("BUNDLE_MIRROR").ok();
        Mirrors::new(flags, variable.as_deref(), &self.configuration.mirrors)
    }

    /// Payload paths that several packages may write.
    pub fn allow_overwrite(&self) -> &[String] {
        &self.configuration.allow_overwrite
    }

    /// What `bundle plan` is to show.
    pub fn plan_unit(&self, args: &PlanArgs) -> Result<Unit, SettingsError> {
        let selection = &args.selection;
        let apps =
            if selection.apps.is_empty() { vec![self.whole_project(selection)] } else { self.named_apps(selection)? };
        self.unit(apps, selection)
    }

    /// What `bundle build` is to build: one unit for each app, or one for all with `--output`.
    pub fn build_units(&self, args: &BuildArgs) -> Result<Vec<Unit>, SettingsError> {
        let selection = &args.selection;
        let choose_packages = !selection.packages.is_empty() || selection.all_packages;
        let mut apps = if !selection.apps.is_empty() {
            self.named_apps(selection)?
        } else if choose_packages || self.configuration.apps.is_empty() {
            vec![self.whole_project(selection)]
        } else {
            let names: Vec<&String> = self.configuration.apps.keys().collect();
            names.into_iter().map(|name| self.app(name, selection)).collect::<Result<_, _>>()?
        };
        if let Some((flag, entry)) = entry_flag(args)? {
            let [app] = apps.as_mut_slice() else { return Err(SettingsError::OneEntryPoint(flag)) };
            app.entry = entry;
        }
        let units = if args.output.is_some() {
            vec![self.unit(apps, selection)?]
        } else {
            apps.into_iter().map(|app| self.unit(vec![app], selection)).collect::<Result<_, _>>()?
        };
        for unit in &units {
            if args.output.is_some() && unit.targets.len() > 1 {
                return Err(SettingsError::OneOutput(unit.targets.len()));
            }
        }
        Ok(units)
    }

    fn named_apps(&self, selection: &SelectionArgs) -> Result<Vec<AppSettings>, SettingsError> {
        let mut apps: Vec<AppSettings> = Vec::new();
        for name in &selection.apps {
            if apps.iter().all(|app| app.name != *name) {
                apps.push(self.app(name, selection)?);
            }
        }
        Ok(apps)
    }

    fn app(&self, name: &str, selection: &SelectionArgs) -> Result<AppSettings, SettingsError> {
        let configured = self.configuration.apps.get(name);
        let package =
            configured.and_then(|app| app.package.clone()).or_else(|| self.project_named(name)).or_else(|| {
                // A configured app without a package is the project itself, where there is only one.
                configured.and_then(|_| self.configured_project.clone())
            });
        let (configured, package) = match (configured, package) {
            (Some(configured), Some(package)) => (configured.clone(), package),
            (None, Some(package)) => (AppConfiguration::default(), package),
            (_, None) => {
                let names: BTreeSet<String> =
                    self.configuration.apps.keys().cloned().chain(self.member_names()).collect();
                let available = names.into_iter().collect();
                return Err(SettingsError::NoSuchApp { name: name.to_owned(), available });
            }
        };
        if !is_app_name(name) {
            return Err(SettingsError::AppName(name.to_owned()));
        }
        for text in configured.args.iter().chain(configured.env.iter().flat_map(|(name, value)| [name, value])) {
            if text.contains('\0') || text.len() > MAX_ARGUMENT_LENGTH {
                return Err(SettingsError::Argument(name.to_owned()));
            }
        }
        let entry = match (&configured.script, &configured.entry_point, &configured.module) {
            (Some(script), _, _) => EntryChoice::Script(script.clone()),
            (None, Some(reference), _) => EntryChoice::EntryPoint(reference.parse()?),
            (None, None, Some(module)) => module_entry(module)?,
            (None, None, None) => EntryChoice::Default,
        };
        let mut roots = roots(selection, &self.project);
        if roots.packages.is_empty() && !selection.all_packages {
            roots.packages.push(package);
        }
        if let Wanted::Listed(extras) = &mut roots.extras {
            extras.extend(configured.extras);
        }
        if let Wanted::Listed(groups) = &mut roots.groups {
            groups.extend(configured.groups);
        }
        Ok(AppSettings { name: name.to_owned(), roots, entry, args: configured.args, env: configured.env })
    }

    /// The project that was asked for: itself if it is one, else all members of its workspace.
    fn whole_project(&self, selection: &SelectionArgs) -> AppSettings {
        let mut roots = roots(selection, &self.project);
        if roots.packages.is_empty() && !selection.all_packages {
            roots.packages.extend(self.project.name.clone());
        }
        let directory_name = || self.project.directory.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = match roots.packages.as_slice() {
            [package] => package.to_string(),
            _ => directory_name().filter(|name| is_app_name(name)).unwrap_or_else(|| "app".to_owned()),
        };
        AppSettings { name, roots, entry: EntryChoice::Default, args: Vec::new(), env: BTreeMap::new() }
    }

    fn member_names(&self) -> impl Iterator<Item = String> {
        let lock = &self.lock.lock;
        lock.members.iter().map(|index| lock.packages[index.0].name.to_string())
    }

    fn project_named(&self, name: &str) -> Option<PackageName> {
        let wanted: PackageName = name.parse().ok()?;
        let lock: &Lock = &self.lock.lock;
        let members = lock.members.iter().map(|index| &lock.packages[index.0].name);
        // A list need not say what it was made for.
        members.chain(&self.project.name).find(|member| **member == wanted).cloned()
    }

    fn unit(&self, apps: Vec<AppSettings>, selection: &SelectionArgs) -> Result<Unit, SettingsError> {
        let configured = |app: &AppSettings| self.configuration.apps.get(&app.name);
        let names = || {
            let names: Vec<String> = apps.iter().map(|app| format!("`{}`", app.name)).collect();
            names.join(", ")
        };
        let mut platforms = selection.platforms.clone();
        if platforms.is_empty() {
            let wanted = |app| {
                let own = configured(app).map(|app| &app.platforms).filter(|platforms| !platforms.is_empty());
                own.unwrap_or(&self.configuration.platforms)
            };
            let agreed = agreed(apps.iter().map(wanted));
            platforms.clone_from(agreed.ok_or_else(|| SettingsError::Disagree { apps: names(), what: "platforms" })?);
        }
        if platforms.is_empty() {
            platforms.push("native".to_owned());
        }
        let python = match &selection.python {
            Some(python) => python.parse()?,
            None => {
                let wanted =
                    |app| configured(app).and_then(|app| app.python.as_ref()).or(self.configuration.python.as_ref());
                let python = agreed(apps.iter().map(wanted))
                    .ok_or_else(|| SettingsError::Disagree { apps: names(), what: "Python versions" })?;
                match python {
                    Some(python) => python.parse()?,
                    None => self.default_python()?,
                }
            }
        };
        let mut targets = Vec::new();
        for platform in platforms {
            let target = Target { platform: platform.parse::<Platform>()?, python };
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        Ok(Unit { apps, targets })
    }

    /// `.python-version`, else what `python3` is here if it suits, else the newest `pythonX.Y` that does, else the
    /// lowest version allowed.
    ///
    /// Only the minor version counts: which patch release somebody develops on says nothing about where the
    /// artifact runs.
    fn default_python(&self) -> Result<PythonRequest, SettingsError> {
        let minor = |version| PythonRequest { version, patch: None, free_threaded: false };
        let of_file = python_version_file(&self.project.directory, self.lock.directory());
        if let Some(request) = of_file {
            return Ok(PythonRequest { patch: None, ..request });
        }
        let requires_python = &self.lock.lock.requires_python;
        let suitable = |&(major, minor, patch): &(u8, u8, u32)| {
            requires_python.contains(&Version::new([u64::from(major), u64::from(minor), u64::from(patch)]))
        };
        let usual = interpreter::on_path(None, &self.project.directory).map(|found| found.version).find(suitable);
        let newest_named = || {
            let minors = interpreter::minors_on_path();
            minors
                .into_iter()
                .rev()
                .find(|&minor| (0..=99).any(|patch| suitable(&(3, minor, patch))))
                .map(|minor| (3, minor))
        };
        usual
            .map(|(major, minor, _)| (major, minor))
            .or_else(newest_named)
            .or_else(|| lowest_minor(requires_python))
            .map(minor)
            .ok_or(SettingsError::NoPython)
    }
}

/// Adds to a lock what only manifests know: the project that a pylock.toml does not list, and which packages uv is to
/// build from source.
fn complete(file: &mut LockFile, project: &Path) {
    match file.lock.kind {
        LockKind::Uv => {
            if let Some(manifest) = Manifest::read(file.directory()) {
                file.lock.forbid_wheels(&manifest.built_from_source());
            }
        }
        LockKind::Pylock => {
            let Some(manifest) = Manifest::read(project).filter(Manifest::has_build_system) else { return };
            let directory = file.directory().canonicalize().unwrap_or_else(|_| file.directory().to_owned());
            let path = relative(&directory, project);
            if let Some(table) = manifest.project {
                let version = table.version.and_then(|version| version.parse().ok());
                file.lock.add_project(table.name, version, path);
            }
        }
        LockKind::Poetry => {}
    }
}

/// The way from one directory to another, both absolute, so that it is the same wherever both are.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    let way: PathBuf = up.chain(to.components().skip(shared)).collect();
    if way.as_os_str().is_empty() { PathBuf::from(".") } else { way }
}

/// What the nearest `.python-version` says, from the project up to the lock.
fn python_version_file(project: &Path, lock: &Path) -> Option<PythonRequest> {
    let directories = project.ancestors().take_while(|directory| directory.starts_with(lock));
    let text = directories
        .map(|directory| directory.join(".python-version"))
        .find_map(|path| std::fs::read_to_string(path).ok())?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.next()?.parse().ok()
}

fn lowest_minor(requires_python: &VersionRange) -> Option<(u8, u8)> {
    let lowest = requires_python.lower_bound()?;
    let release = lowest.release();
    let part = |index: usize| release.get(index).copied().unwrap_or(0).try_into().ok();
    Some((part(0)?, part(1)?))
}

/// The longest argument or variable that Linux passes to a program, in bytes.
const MAX_ARGUMENT_LENGTH: usize = 100_000;

/// Whether a name can be a file's, and is not hidden.
fn is_app_name(name: &str) -> bool {
    let valid = |character: char| character.is_alphanumeric() || "-_.".contains(character);
    !name.is_empty() && name.len() <= 100 && name.chars().all(valid) && !name.starts_with('.')
}

/// The value that all items share; `None` if they differ.
fn agreed<T: PartialEq>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let first = items.next()?;
    items.all(|item| item == first).then_some(first)
}

fn roots(selection: &SelectionArgs, project: &Project) -> Roots {
    Roots {
        packages: selection.packages.clone(),
        extras: if selection.all_extras { Wanted::All } else { Wanted::Listed(selection.extras.clone()) },
        groups: if selection.all_groups { Wanted::All } else { Wanted::Listed(selection.groups.clone()) },
        default_groups: if selection.default_groups { project.default_groups.clone() } else { Wanted::default() },
    }
}

fn module_entry(module: &str) -> Result<EntryChoice, SettingsError> {
    if is_dotted_name(module) {
        Ok(EntryChoice::Module(module.to_owned()))
    } else {
        Err(SettingsError::Module(module.to_owned()))
    }
}

fn entry_flag(args: &BuildArgs) -> Result<Option<(&'static str, EntryChoice)>, SettingsError> {
    if let Some(script) = &args.script {
        return Ok(Some(("script", EntryChoice::Script(script.clone()))));
    }
    if let Some(reference) = &args.entry_point {
        return Ok(Some(("entry-point", EntryChoice::EntryPoint(reference.parse()?))));
    }
    args.module.as_ref().map(|module| Ok(("module", module_entry(module)?))).transpose()
}
