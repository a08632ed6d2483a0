//! `bundle build`: the pipeline from a lock to artifacts.
//!
//! Everything that can fail without the network fails first, for all artifacts, before anything is downloaded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bundle_launcher::{App, Entry, LaunchRecord, Platform as RecordPlatform, PythonClaim, RECORD_SCHEMA};
use globset::{Glob, GlobSet, GlobSetBuilder};
use rayon::prelude::*;
use serde::Serialize;

use crate::cache::Cache;
use crate::cli::{BuildArgs, GlobalArgs};
use crate::error::{Diagnose, ExitStatus, Failure};
use crate::fetch::{FetchOptions, Fetcher, READ_TIMEOUT, WantedWheel};
use crate::fit::{Host, Misfits};
use crate::install::{Installed, InstalledFile, MODE_PROGRAM, install};
use crate::interpreter::minors_on_path;
use crate::local::{Builder, SourceTree, built_against};
use crate::lock::{Location, LockKind, Source, Wheel};
use crate::pack::{Artifact, Payload, check_writable, launcher, reserved_places};
use crate::packaging::{PackageName, Tags, WheelFilename, wheel_needs};
use crate::plan::{PackageWire, human_size};
use crate::platform::Platform;
use crate::select::{Distribution, Selected, Selection, did_you_mean, select};
use crate::settings::{AppSettings, EntryChoice, Unit, Workspace};
use crate::target::Target;
use crate::ui::{Ui, counted, elapsed};
use crate::wheel::{WheelError, WheelFile};
use crate::zip::DosTime;

/// Downloads at once, unless the user says otherwise.
const DEFAULT_JOBS: usize = 16;

/// Why an artifact could not be built, beyond what a single stage knows.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Packages have nothing for the target.
    #[error("{}", .reports.join("\n"))]
    Unfit {
        /// A report for each target.
        reports: Vec<String>,
        /// What would help.
        hints: Vec<String>,
    },
    /// Git dependencies.
    #[error("packages from git repositories cannot be packed yet: {}", .0.join(", "))]
    Git(Vec<String>),
    /// An app's console script is in no package.
    #[error("app `{app}` starts with script `{script}`, which no packed distribution has")]
    NoScript {
        /// The app.
        app: String,
        /// The script.
        script: String,
        /// Scripts that there are.
        available: Vec<String>,
    },
    /// An app's module is in no package.
    #[error("app `{app}` starts with module `{module}`, which no packed distribution has")]
    NoModule {
        /// The app.
        app: String,
        /// The module.
        module: String,
    },
    /// A glob is malformed.
    #[error("`{0}` is not a valid glob")]
    Glob(String, #[source] globset::Error),
    /// `SOURCE_DATE_EPOCH` is not a number.
    #[error("`SOURCE_DATE_EPOCH` is `{0}`, expected a number of seconds since 1970")]
    SourceDateEpoch(String),
    /// A script cannot be read.
    #[error("script `{script}` cannot be read")]
    Script {
        /// The script.
        script: String,
        /// Why.
        source: Box<WheelError>,
    },
    /// A cached wheel turned out to be unfit.
    #[error("package `{package}` cannot be installed")]
    Wheel {
        /// The package.
        package: PackageName,
        /// Why.
        source: Box<WheelError>,
    },
}

impl BuildError {
    /// The error about targets for which something is missing.
    pub fn unfit(targets: &[Misfits]) -> Self {
        let host = Host { platform: Platform::native().ok(), python_minors: minors_on_path() };
        let mut hints: Vec<String> = Vec::new();
        for hint in targets.iter().flat_map(|misfits| misfits.hints(&host)) {
            if !hints.contains(&hint) {
                hints.push(hint);
            }
        }
        Self::Unfit { reports: targets.iter().map(Misfits::report).collect(), hints }
    }
}

impl Diagnose for BuildError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Unfit { .. } => ExitStatus::Unfit,
            Self::Git(_) => ExitStatus::LocalBuild,
            Self::NoScript { .. } | Self::NoModule { .. } => ExitStatus::Project,
            Self::Glob(..) | Self::SourceDateEpoch(_) => ExitStatus::Usage,
            Self::Script { source, .. } | Self::Wheel { source, .. } => source.exit_status(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unfit { hints, .. } => Some(hints.join("\n")),
            Self::Git(_) => Some("lock a published version, or a path to a checkout".into()),
            Self::NoScript { available, .. } if available.is_empty() => Some("there are no scripts at all".into()),
            Self::NoScript { script, available, .. } => Some(did_you_mean(script, available, "the scripts are")),
            Self::NoModule { .. } => Some(
                "is it in a package that the app does not depend on, or in a project without `[build-system]`?".into(),
            ),
            Self::Glob(..) => Some("write it like `site-packages/tests/*`".into()),
            Self::SourceDateEpoch(_) => Some("`git log -1 --format=%ct` prints one".into()),
            Self::Script { source, .. } | Self::Wheel { source, .. } => source.hint(),
        }
    }
}

/// One artifact to make.
struct Job<'a> {
    unit: &'a Unit,
    selection: Selection,
    tags: Tags,
    output: PathBuf,
}

/// Builds what the arguments ask for.
pub fn run(global: &GlobalArgs, args: &BuildArgs, ui: Ui) -> Result<(), Failure> {
    raise_open_files_limit();
    let started = Instant::now();
    let workspace = Workspace::find(global.project.as_deref().unwrap_or(Path::new(".")), &args.selection)?;
    let units = workspace.build_units(args)?;
    let mirrors = workspace.mirrors(&global.mirrors)?;
    let time = source_date_epoch()?;
    let allow_overwrite = globs(workspace.allow_overwrite().iter().chain(&args.allow_overwrite))?;

    let jobs = plan_jobs(&workspace, &units, args)?;
    for job in &jobs {
        let Target { platform, python } = job.selection.target;
        let count = job.selection.packages.len();
        ui.done(
            "Selected",
            &format!("{} for {platform}, Python {python} in {}", counted(count, "package"), elapsed(started)),
        );
        warn_about(&job.selection, ui);
    }

    let cache = Cache::locate(global.cache_dir.as_deref())?;
    cache.sweep();
    ui.detail(&format!("lock `{}`", workspace.lock.path.display()));
    ui.detail(&format!("cache `{}`", cache.directory().display()));
    let options = FetchOptions {
        offline: global.offline,
        jobs: args.jobs.map_or(DEFAULT_JOBS, usize::from),
        read_timeout: global.http_timeout.map_or(READ_TIMEOUT, Duration::from_secs),
        mirrors,
        indexes: workspace.indexes.clone(),
    };
    let fetched = fetch(&workspace, &jobs, &cache, options, ui)?;
    let built = build_local(&workspace, &jobs, &cache, global, ui)?;
    for job in jobs {
        pack(&workspace, &job, &fetched, &built, &allow_overwrite, time, ui)?;
    }
    Ok(())
}

/// Makes every selection and checks every output before anything else happens.
fn plan_jobs<'a>(workspace: &Workspace, units: &'a [Unit], args: &BuildArgs) -> Result<Vec<Job<'a>>, Failure> {
    let mut jobs = Vec::new();
    for unit in units {
        let roots: Vec<_> = unit.apps.iter().map(|app| app.roots.clone()).collect();
        for &target in &unit.targets {
            let selection = select(&workspace.lock.lock, &roots, target)?;
            let output = args.output.clone().unwrap_or_else(|| {
                let name = &unit.apps[0].name;
                let several = unit.targets.len() > 1;
                let file = if several { format!("{name}-{}", target.platform) } else { name.clone() };
                workspace.project.directory.join("dist").join(file)
            });
            let tags = target.tags().map_err(|error| crate::select::SelectError::Tags(target.platform, error))?;
            jobs.push(Job { unit, selection, tags, output });
        }
    }
    let unfit: Vec<Misfits> = jobs.iter().filter_map(|job| job.selection.misfits.clone()).collect();
    if !unfit.is_empty() {
        return Err(BuildError::unfit(&unfit).into());
    }
    let from_git: BTreeSet<String> = jobs
        .iter()
        .flat_map(|job| &job.selection.packages)
        .filter(|selected| matches!(selected.distribution, Distribution::Git(_)))
        .map(|selected| format!("`{}`", selected.name))
        .collect();
    if !from_git.is_empty() {
        return Err(BuildError::Git(from_git.into_iter().collect()).into());
    }
    for job in &jobs {
        check_writable(&job.output)?;
    }
    Ok(jobs)
}

/// What is allowed, but may not be meant.
fn warn_about(selection: &Selection, ui: Ui) {
    for selected in &selection.packages {
        match &selected.distribution {
            // They were built on some machine and promise nothing about others.
            Distribution::Wheel(wheel, tag) if tag.contains("-linux_") => {
                ui.warn(&format!("wheel `{}` does not say which C library it needs", wheel.file));
            }
            Distribution::DependenciesOnly(_) if selected.requested => ui.warn(&format!(
                "`{}` is no package (without `[build-system]`, or with `package-mode = false`), so its dependencies are \
                 packed, but not its own code",
                selected.name
            )),
            _ => {}
        }
    }
    if selection.packages.is_empty() {
        ui.warn("nothing is selected: the artifact will hold no package at all");
    }
}

/// Where each wheel of the lock is in the cache. Without hashes, wheels of one name may still be different ones,
/// so the place belongs to the key.
type FetchedWheels = BTreeMap<WheelKey, PathBuf>;
type WheelKey = (String, Option<String>, Location);

fn wheel_key(wheel: &Wheel) -> WheelKey {
    (wheel.file.clone(), wheel.hash.as_ref().map(ToString::to_string), wheel.location.clone())
}

fn fetch(
    workspace: &Workspace,
    jobs: &[Job<'_>],
    cache: &Cache,
    options: FetchOptions,
    ui: Ui,
) -> Result<FetchedWheels, Failure> {
    let started = Instant::now();
    let wheels: BTreeMap<_, WantedWheel<'_>> = jobs
        .iter()
        .flat_map(|job| &job.selection.packages)
        .filter_map(|selected| match &selected.distribution {
            Distribution::Wheel(wheel, _) => {
                let index = match &selected.source {
                    Source::Registry(index) => Some(index.as_str()),
                    _ => None,
                };
                Some((wheel_key(wheel), WantedWheel { wheel, index }))
            }
            _ => None,
        })
        .collect();
    let lock_directory = workspace.lock.directory().to_owned();
    let fetcher = Fetcher::new(cache.clone(), lock_directory, options, ui);
    let list: Vec<WantedWheel<'_>> = wheels.values().copied().collect();
    let fetched = fetcher.fetch_all(&list)?;
    if fetched.new_files > 0 {
        let size = human_size(fetched.new_bytes);
        ui.done("Fetched", &format!("{} ({size}) in {}", counted(fetched.new_files, "wheel"), elapsed(started)));
    }
    Ok(wheels.into_keys().zip(fetched.paths).collect())
}

/// Where the wheel of each source tree is in the cache, by package and target.
type BuiltWheels = BTreeMap<(PackageName, String), PathBuf>;

fn target_key(target: Target) -> String {
    format!("{} {}", target.platform, target.python)
}

fn build_local(
    workspace: &Workspace,
    jobs: &[Job<'_>],
    cache: &Cache,
    global: &GlobalArgs,
    ui: Ui,
) -> Result<BuiltWheels, Failure> {
    let builder = Builder::new(cache.clone(), global.offline);
    let mut trees = BTreeMap::new();
    for job in jobs {
        let target = job.selection.target;
        for selected in &job.selection.packages {
            if let Distribution::Local(path) = &selected.distribution {
                let tree = SourceTree {
                    package: selected.name.clone(),
                    version: selected.version.clone(),
                    directory: normalized(&workspace.lock.directory().join(path)),
                };
                trees.insert((selected.name.clone(), target_key(target)), (tree, target, &job.tags));
            }
        }
    }
    trees
        .into_par_iter()
        .map(|(key, (tree, target, tags))| {
            let started = Instant::now();
            let built = builder.build(&tree, target, tags)?;
            if built.new {
                ui.done("Built", &format!("{} in {}", tree.package, elapsed(started)));
            }
            Ok((key, built.path))
        })
        .collect()
}

/// Removes `.` parts, which a lock's `.` for its own directory brings.
fn normalized(path: &Path) -> PathBuf {
    path.components().collect()
}

/// The build record: what went into an artifact. It names nothing of the machine that built it.
#[derive(Serialize)]
struct BuildRecord<'a> {
    schema: u32,
    tool: ToolRecord,
    lock: LockRecord<'a>,
    target: TargetRecord,
    apps: &'a [App],
    packages: Vec<PackageWire>,
}

#[derive(Serialize)]
struct ToolRecord {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct LockRecord<'a> {
    path: &'a str,
    kind: LockKind,
    sha256: &'a str,
}

#[derive(Serialize)]
struct TargetRecord {
    platform: String,
    python: String,
}

fn pack(
    workspace: &Workspace,
    job: &Job<'_>,
    fetched: &FetchedWheels,
    built: &BuiltWheels,
    allow_overwrite: &GlobSet,
    time: Option<DosTime>,
    ui: Ui,
) -> Result<(), Failure> {
    let started = Instant::now();
    let target = job.selection.target;
    let wheel_path = |selected: &Selected| match &selected.distribution {
        Distribution::Wheel(wheel, _) => fetched.get(&wheel_key(wheel)),
        Distribution::Local(_) => built.get(&(selected.name.clone(), target_key(target))),
        Distribution::Sdist(_) | Distribution::DependenciesOnly(_) | Distribution::Git(_) => None,
    };
    let packed: Vec<(&Selected, &PathBuf)> =
        job.selection.packages.iter().filter_map(|selected| Some((selected, wheel_path(selected)?))).collect();
    let installed: Vec<Installed> = packed
        .par_iter()
        .map(|(selected, path)| {
            WheelFile::open(path)
                .and_then(|wheel| install(&Arc::new(wheel), selected.requested, target.python.version))
                .map_err(|source| BuildError::Wheel { package: selected.name.clone(), source: Box::new(source) })
        })
        .collect::<Result<_, _>>()?;

    let mut scripts: BTreeMap<PackageName, Vec<String>> = BTreeMap::new();
    for distribution in &installed {
        scripts.insert(distribution.name.clone(), distribution.scripts.clone());
    }
    let mut payload = Payload::merge(installed, allow_overwrite)?;
    let apps = job
        .unit
        .apps
        .iter()
        .map(|app| {
            Ok(App {
                name: app.name.clone(),
                entry: entry(app, &mut payload, &scripts, target.python.version)?,
                args: app.args.clone(),
                env: app.env.clone(),
            })
        })
        .collect::<Result<Vec<App>, BuildError>>()?;

    payload.check_places(target.python.version)?;
    let (python, libc) = narrowed_claim(job, &packed);
    let (files, unpacked_size) = payload.totals();
    let lock_name = workspace.lock.path.file_name().unwrap_or_default().to_string_lossy();
    let build_record = BuildRecord {
        schema: 1,
        tool: ToolRecord { name: "bundle", version: env!("CARGO_PKG_VERSION") },
        lock: LockRecord { path: &lock_name, kind: workspace.lock.lock.kind, sha256: &workspace.lock.sha256 },
        target: TargetRecord { platform: target.platform.to_string(), python: target.python.to_string() },
        apps: &apps,
        packages: job.selection.packages.iter().map(PackageWire::from).collect(),
    };
    let build_record = serde_json::to_vec_pretty(&build_record).expect("a build record has only string keys");
    let artifact = Artifact {
        launcher: launcher(target.platform.arch),
        payload,
        launch_record: LaunchRecord {
            schema: RECORD_SCHEMA,
            platform: RecordPlatform {
                name: target.platform.to_string(),
                arch: target.platform.arch.name().to_owned(),
                libc,
            },
            python,
            apps,
            files,
            unpacked_size,
        },
        build_record,
        time: time.unwrap_or(DosTime::EARLIEST),
    };
    let claim = claim_text(&artifact.launch_record);
    let length = artifact.write(&job.output)?;
    ui.done("Packed", &format!("{} ({}) in {}", displayed(&job.output), human_size(length), elapsed(started)));
    ui.detail(&format!("runs on {claim}"));
    Ok(())
}

/// What the artifact needs where it runs, for people.
fn claim_text(record: &LaunchRecord) -> String {
    let ranges: Vec<String> = record.python.ranges.iter().map(ToString::to_string).collect();
    let build = match record.python.free_threaded {
        Some(true) => "free-threaded ",
        _ => "",
    };
    let libc = record.platform.libc.map_or_else(String::new, |libc| format!(", {libc} or newer"));
    format!("{build}CPython {}, {} Linux{libc}", ranges.join(", "), record.platform.arch)
}

/// What the selection claims, narrowed by the wheels that were built here and that the lock did not know.
fn narrowed_claim(job: &Job<'_>, packed: &[(&Selected, &PathBuf)]) -> (PythonClaim, Option<bundle_launcher::Libc>) {
    let mut python = job.selection.python.clone();
    let mut libc = job.selection.libc;
    let local = packed.iter().filter(|(selected, _)| matches!(selected.distribution, Distribution::Local(_)));
    for (_, path) in local {
        let filename =
            path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<WheelFilename>().ok());
        let Some(filename) = filename else { continue };
        let needs = wheel_needs(&filename, &job.tags);
        if needs.one_python {
            python.ranges.retain(|range| range.version == python.preferred);
        }
        python.free_threaded = python.free_threaded.or(needs.free_threaded);
        libc = libc.max(needs.libc).max(built_against(&filename));
    }
    (python, libc)
}

/// Decides how an app starts, and adds the script of an entry point that is no console script.
fn entry(
    app: &AppSettings,
    payload: &mut Payload,
    scripts: &BTreeMap<PackageName, Vec<String>>,
    python: (u8, u8),
) -> Result<Entry, BuildError> {
    match &app.entry {
        EntryChoice::Script(script) => {
            if payload.contains(&format!("bin/{script}")) {
                let for_python = payload
                    .is_python_script(script)
                    .map_err(|source| BuildError::Script { script: script.clone(), source: Box::new(source) })?;
                return Ok(if for_python { Entry::Script(script.clone()) } else { Entry::Program(script.clone()) });
            }
            Err(BuildError::NoScript {
                app: app.name.clone(),
                script: script.clone(),
                available: payload.names_below("bin/").map(str::to_owned).collect(),
            })
        }
        EntryChoice::EntryPoint(reference) => {
            check_module(app, payload, &reference.module)?;
            // The app's own name, as it appears in usage messages, unless a package has a script of that name.
            let mut name = app.name.clone();
            let mut place = format!("bin/{name}");
            while payload.contains(&place) || reserved_places(python).contains(&place) {
                name.push_str("-app");
                place = format!("bin/{name}");
            }
            let file = InstalledFile::from_bytes(place, MODE_PROGRAM, reference.script().into_bytes());
            payload.add_own(file);
            Ok(Entry::Script(name))
        }
        EntryChoice::Module(module) => {
            check_module(app, payload, module)?;
            Ok(Entry::Module(module.clone()))
        }
        EntryChoice::Default => {
            let mut own = app.roots.packages.iter().filter_map(|package| scripts.get(package)).flatten();
            match (own.next(), own.next()) {
                (Some(only), None) => Ok(Entry::Script(only.clone())),
                _ => Ok(Entry::Interpreter),
            }
        }
    }
}

/// A module is a package (`a/b/…`), a file (`a/b.py`) or an extension module (`a/b.abi3.so`).
fn check_module(app: &AppSettings, payload: &Payload, module: &str) -> Result<(), BuildError> {
    let base = format!("site-packages/{}", module.replace('.', "/"));
    let mut below = payload.names_below(&base);
    let found = below.any(|rest| rest.starts_with(['/', '.']));
    if found { Ok(()) } else { Err(BuildError::NoModule { app: app.name.clone(), module: module.to_owned() }) }
}

/// A path as the user would type it here.
fn displayed(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}

fn globs<'a>(patterns: impl Iterator<Item = &'a String>) -> Result<GlobSet, BuildError> {
    let mut builder = GlobSetBuilder::new();
    for pattern in patterns {
        builder.add(Glob::new(pattern).map_err(|error| BuildError::Glob(pattern.clone(), error))?);
    }
    builder.build().map_err(|error| BuildError::Glob("all patterns together".to_owned(), error))
}

/// <https://reproducible-builds.org/docs/source-date-epoch/>
fn source_date_epoch() -> Result<Option<DosTime>, BuildError> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) if !text.is_empty() => {
            text.parse().map(|seconds| Some(DosTime::from_unix(seconds))).map_err(|_| BuildError::SourceDateEpoch(text))
        }
        _ => Ok(None),
    }
}

#[cfg(unix)]
fn raise_open_files_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Not worth an error: the usual limit is enough for most projects.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

#[cfg(not(unix))]
fn raise_open_files_limit() {}
