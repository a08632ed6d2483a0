//! Chooses the distributions of an artifact: `Lock × Target × roots → Selection`.
//!
//! Pure: no I/O, no clock, no environment. The lock's graph is walked from the roots once for every patch
//! release of Python at which some marker can change its value; a target that is a minor version gets the
//! union of what its patch releases get. Invariant: no two selected packages have the same name, and
//! packages are sorted by name.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::rc::Rc;

use bundle_launcher::{Libc, PythonClaim, PythonRange};

use crate::error::{Diagnose, ExitStatus, nearest};
use crate::fit::{
    Change, Misfits, PYTHON_3_MINORS, Problem, Remedy, TagSets, diagnose, lowest_target, other_pythons,
    with_newest_libc,
};
use crate::lock::{
    Choice, Choices, ConflictItem, Dialect, Edge, EdgeVersions, Lock, Package, PackageIndex, Sdist, Shape, Source,
    Wheel, WheelOrder,
};
use crate::packaging::{
    ExtraName, GroupName, MarkerEnvironment, PackageName, Tags, TagsError, Version, Wanted, WheelRank, best_tag,
    evaluate_with_choices, rank_wheel, wheel_needs,
};
use crate::platform::Platform;
use crate::target::{PythonRequest, Target};

/// What is to be packed: projects of the lock, and which of their extras and groups.
#[derive(Debug, Clone, Default)]
pub struct Roots {
    /// Projects of the lock; none means all of its members and what the workspace itself asks for.
    pub packages: Vec<PackageName>,
    /// Extras of these projects.
    pub extras: Wanted<ExtraName>,
    /// Groups of these projects.
    pub groups: Wanted<GroupName>,
    /// Groups that are added where they exist.
    pub default_groups: Wanted<GroupName>,
}

/// The distributions of an artifact for one target.
#[derive(Debug)]
pub struct Selection {
    /// What they were chosen for.
    pub target: Target,
    /// Sorted by name.
    pub packages: Vec<Selected>,
    /// The packages that cannot be packed; `None` if the artifact can be built.
    pub misfits: Option<Misfits>,
    /// The interpreters for which exactly these distributions are right.
    pub python: PythonClaim,
    /// The C library that the chosen wheels need.
    pub libc: Option<Libc>,
}

impl Selection {
    /// The packages that cannot be packed, sorted by name.
    pub fn problems(&self) -> &[Problem] {
        self.misfits.as_ref().map_or(&[], |misfits| &misfits.problems)
    }
}

/// One chosen distribution.
#[derive(Debug, Clone)]
pub struct Selected {
    /// Normalised name.
    pub name: PackageName,
    /// Absent for source trees whose version is dynamic.
    pub version: Option<Version>,
    /// Where the lock has it from.
    pub source: Source,
    /// Whether it was asked for, not only needed by another.
    pub requested: bool,
    /// Whether the lock lists it; Poetry's locks do not list the project itself.
    pub listed: bool,
    /// What is packed of it.
    pub distribution: Distribution,
}

/// What is packed of a package.
#[derive(Debug, Clone)]
pub enum Distribution {
    /// A wheel, and the tag by which it fits.
    Wheel(Wheel, String),
    /// A source distribution that would have to be built.
    Sdist(Sdist),
    /// A source tree, relative to the lock.
    Local(PathBuf),
    /// A source tree of which only the dependencies are packed, relative to the lock.
    DependenciesOnly(PathBuf),
    /// A commit of a git repository.
    Git(String),
}

impl Distribution {
    /// Whether it can be packed, or is made by a stage that can make it anywhere.
    fn is_ready(&self) -> bool {
        !matches!(self, Self::Sdist(_))
    }
}

impl Selected {
    /// Whether the same thing is packed as for another target.
    fn same_distribution(&self, other: &Self) -> bool {
        let key = |selected: &Self| match &selected.distribution {
            Distribution::Wheel(wheel, _) => wheel.file.clone(),
            Distribution::Sdist(sdist) => sdist.file.clone(),
            Distribution::Local(path) | Distribution::DependenciesOnly(path) => path.display().to_string(),
            Distribution::Git(url) => url.clone(),
        };
        self.name == other.name && self.source == other.source && key(self) == key(other)
    }
}

/// Why no selection can be made.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// A root is not a project of the lock.
    #[error("package `{name}` is not a project of the lock")]
    NoSuchPackage {
        /// What was asked for.
        name: PackageName,
        /// What there is.
        members: Vec<String>,
    },
    /// An extra or group does not exist.
    #[error("{kind} `{name}` does not exist in {roots}")]
    NoSuchChoice {
        /// `extra` or `group`.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// The projects that were searched.
        roots: String,
        /// What there is.
        available: Vec<String>,
    },
    /// The target's Python is outside `requires-python`.
    #[error("Python {python} was asked for, but the lock requires Python `{requires_python}`")]
    Python {
        /// The version asked for.
        python: PythonRequest,
        /// What the lock says.
        requires_python: String,
        /// The nearest minor version that the lock allows.
        nearest: Option<PythonRequest>,
    },
    /// A selected package does not allow the target's Python.
    #[error("package `{name}` requires Python `{requires_python}`, but is selected for Python {python}")]
    PackagePython {
        /// The package.
        name: PackageName,
        /// What the lock says of it.
        requires_python: String,
        /// The version asked for.
        python: String,
    },
    /// None of the lock's environments holds.
    #[error("the lock was not made for {platform} with Python {python}")]
    Environment {
        /// The platform asked for.
        platform: Platform,
        /// The version asked for.
        python: PythonRequest,
    },
    /// Two choices exclude one another.
    #[error("{0} and {1} conflict: the lock says that only one of them can be installed")]
    Conflict(ConflictItem, ConflictItem),
    /// Several versions of a package would be needed.
    #[error("package `{name}` is needed in several versions: {versions}")]
    SeveralVersions {
        /// The package.
        name: PackageName,
        /// The versions, with the Python versions that need each.
        versions: String,
        /// Whether one exact Python version would decide it.
        exact_python_decides: Option<PythonRequest>,
    },
    /// No locked version suits everything that needs the package.
    #[error("no locked version of package `{name}` suits everything that needs it")]
    NoVersion {
        /// The package.
        name: PackageName,
    },
    /// The tags of the target cannot be listed.
    #[error("the wheel tags of {0} cannot be listed")]
    Tags(Platform, #[source] TagsError),
}

impl Diagnose for SelectError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::NoSuchPackage { .. } | Self::NoSuchChoice { .. } | Self::Conflict(..) => ExitStatus::Project,
            Self::Python { .. }
            | Self::PackagePython { .. }
            | Self::Environment { .. }
            | Self::SeveralVersions { .. }
            | Self::NoVersion { .. }
            | Self::Tags(..) => ExitStatus::Unfit,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoSuchPackage { name, members } => Some(did_you_mean(name.as_str(), members, "the projects are")),
            Self::NoSuchChoice { available, .. } if available.is_empty() => Some("there are none".into()),
            Self::NoSuchChoice { name, available, .. } => Some(did_you_mean(name, available, "there are")),
            Self::Python { nearest: Some(nearest), .. } => {
                Some(format!("choose one inside, e.g. `--python {nearest}`"))
            }
            Self::Python { .. } => Some("choose a version inside that range with `--python`".into()),
            Self::PackagePython { .. } => Some("choose another version with `--python`, or lock again".into()),
            Self::NoVersion { .. } => Some("`pyproject.toml` asks for what the lock does not have: lock again".into()),
            Self::Environment { .. } => Some(
                "the environments in the lock limit it (`tool.uv.environments`, or `environments` of a pylock.toml); \
                 choose another `--platform` or `--python`, or lock again"
                    .into(),
            ),
            Self::Conflict(..) => Some("ask for one of them, e.g. build them as two apps".into()),
            Self::SeveralVersions { exact_python_decides: Some(python), .. } => {
                Some(format!("an exact version decides it, e.g. `--python {python}`"))
            }
            _ => None,
        }
    }
}

/// A suggestion if one is near, else the list of what there is.
pub fn did_you_mean(name: &str, available: &[String], introduction: &str) -> String {
    match nearest(name, available.iter().map(String::as_str)) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => {
            let names: Vec<String> = available.iter().map(|name| format!("`{name}`")).collect();
            format!("{introduction} {}", names.join(", "))
        }
    }
}

/// Chooses the distributions for `roots` and one target.
pub fn select(lock: &Lock, roots: &[Roots], target: Target) -> Result<Selection, SelectError> {
    let start = resolve_roots(lock, roots)?;
    let search = Search { lock, start: &start, sets: TagSets::default() };
    let chosen = search.choose(target)?;
    let misfits = search.misfits(target, &chosen)?;
    let python = search.claim(target, &chosen)?;
    let tags = search.tags(target)?;
    let libc = wheels_of(&chosen.packages).filter_map(|wheel| wheel_needs(&wheel.filename, &tags).libc).max();
    Ok(Selection { target, packages: chosen.packages, misfits, python, libc })
}

fn wheels_of(packages: &[Selected]) -> impl Iterator<Item = &Wheel> {
    packages.iter().filter_map(|selected| match &selected.distribution {
        Distribution::Wheel(wheel, _) => Some(wheel),
        _ => None,
    })
}

/// A project to walk from, and what of it.
#[derive(Debug)]
struct Root {
    package: PackageIndex,
    extras: Vec<ExtraName>,
    groups: Vec<GroupName>,
}

/// Where the search begins.
#[derive(Debug)]
struct Start<'lock> {
    roots: Vec<Root>,
    /// Requirements of the workspace itself.
    edges: Vec<&'lock Edge>,
    /// For a list: the active extras.
    extras: Vec<ExtraName>,
    /// For a list: the active groups.
    groups: Vec<GroupName>,
}

fn resolve_roots<'lock>(lock: &'lock Lock, requested: &[Roots]) -> Result<Start<'lock>, SelectError> {
    let mut start = Start { roots: Vec::new(), edges: Vec::new(), extras: Vec::new(), groups: Vec::new() };
    for request in requested {
        if let Shape::List(choices) = &lock.shape {
            choose_from_list(lock, choices, request, &mut start)?;
            continue;
        }
        let whole_workspace = request.packages.is_empty();
        let packages = if whole_workspace {
            lock.members.clone()
        } else {
            request.packages.iter().map(|name| find_root(lock, name)).collect::<Result<_, _>>()?
        };
        let workspace_groups: Vec<&GroupName> =
            if whole_workspace { lock.workspace_groups.keys().collect() } else { Vec::new() };
        check_choices(lock, request, &packages, &workspace_groups)?;

        for &index in &packages {
            let package = &lock.packages[index.0];
            let extras =
                package.declared_extras.iter().filter(|extra| request.extras.includes(extra)).cloned().collect();
            let groups = chosen_groups(request, package.groups.keys());
            start.roots.push(Root { package: index, extras, groups });
        }
        if whole_workspace {
            start.edges.extend(&lock.workspace_requirements);
            for group in chosen_groups(request, lock.workspace_groups.keys()) {
                start.edges.extend(&lock.workspace_groups[&group]);
            }
        }
    }
    Ok(start)
}

/// A list has no roots to walk from: extras and groups are the project's.
fn choose_from_list(lock: &Lock, choices: &Choices, request: &Roots, start: &mut Start<'_>) -> Result<(), SelectError> {
    let missing = |kind, name: String, available: Vec<String>| {
        Err(SelectError::NoSuchChoice { kind, name, roots: "the lock".into(), available })
    };
    if let Wanted::Listed(extras) = &request.extras
        && let Some(extra) = extras.iter().find(|extra| !choices.extras.contains(extra))
    {
        return missing("extra", extra.to_string(), choices.extras.iter().map(ToString::to_string).collect());
    }
    if let Wanted::Listed(groups) = &request.groups
        && let Some(group) = groups.iter().find(|group| !choices.groups.contains(group))
    {
        return missing("group", group.to_string(), choices.groups.iter().map(ToString::to_string).collect());
    }
    start.extras.extend(choices.extras.iter().filter(|extra| request.extras.includes(extra)).cloned());
    start.groups.extend(chosen_groups(request, choices.groups.iter()));
    start.groups.extend(choices.default_groups.iter().cloned());
    for name in &request.packages {
        if let Ok(root) = find_root(lock, name) {
            start.roots.push(Root { package: root, extras: Vec::new(), groups: Vec::new() });
        }
    }
    Ok(())
}

fn chosen_groups<'a>(request: &Roots, existing: impl Iterator<Item = &'a GroupName>) -> Vec<GroupName> {
    existing.filter(|group| request.groups.includes(group) || request.default_groups.includes(group)).cloned().collect()
}

fn find_root(lock: &Lock, name: &PackageName) -> Result<PackageIndex, SelectError> {
    let has_name = |index: &PackageIndex| lock.packages[index.0].name == *name;
    // A source tree that is no member, such as a path dependency, can be packed on its own as well.
    let is_tree = |index: &PackageIndex| {
        matches!(lock.packages[index.0].source, Source::Directory(_) | Source::Editable(_) | Source::Virtual(_))
    };
    let member = lock.members.iter().copied().find(has_name);
    let tree = || (0..lock.packages.len()).map(PackageIndex).find(|index| has_name(index) && is_tree(index));
    member.or_else(tree).ok_or_else(|| SelectError::NoSuchPackage {
        name: name.clone(),
        members: lock.members.iter().map(|index| lock.packages[index.0].name.to_string()).collect(),
    })
}

/// Every extra and group asked for by name has to exist in at least one of the roots.
fn check_choices(
    lock: &Lock,
    request: &Roots,
    packages: &[PackageIndex],
    workspace_groups: &[&GroupName],
) -> Result<(), SelectError> {
    let of_roots = || packages.iter().map(|index| &lock.packages[index.0]);
    let missing = |kind, name: String, available: BTreeSet<String>| {
        let names: Vec<String> = of_roots().map(|package| format!("`{}`", package.name)).collect();
        let roots = if names.is_empty() { "the workspace".into() } else { names.join(", ") };
        SelectError::NoSuchChoice { kind, name, roots, available: available.into_iter().collect() }
    };
    if let Wanted::Listed(extras) = &request.extras {
        let available: BTreeSet<&ExtraName> = of_roots().flat_map(|package| &package.declared_extras).collect();
        if let Some(extra) = extras.iter().find(|extra| !available.contains(extra)) {
            return Err(missing("extra", extra.to_string(), available.iter().map(ToString::to_string).collect()));
        }
    }
    if let Wanted::Listed(groups) = &request.groups {
        let mut available: BTreeSet<&GroupName> = of_roots().flat_map(|package| package.groups.keys()).collect();
        available.extend(workspace_groups);
        if let Some(group) = groups.iter().find(|group| !available.contains(group)) {
            return Err(missing("group", group.to_string(), available.iter().map(ToString::to_string).collect()));
        }
    }
    Ok(())
}

/// What was chosen, before anything is claimed about interpreters.
struct Chosen {
    reached: Vec<PackageIndex>,
    packages: Vec<Selected>,
    /// Packages without a wheel that fits.
    unfit: Vec<PackageIndex>,
}

impl Chosen {
    fn is_same(&self, other: &Self) -> bool {
        self.packages.len() == other.packages.len()
            && self.unfit == other.unfit
            && self.packages.iter().zip(&other.packages).all(|(a, b)| a.same_distribution(b))
    }
}

/// What stays the same while several targets are tried.
struct Search<'a> {
    lock: &'a Lock,
    start: &'a Start<'a>,
    sets: TagSets,
}

impl Search<'_> {
    fn tags(&self, target: Target) -> Result<Rc<Tags>, SelectError> {
        self.sets.get(target).map_err(|error| SelectError::Tags(target.platform, error))
    }

    fn choose(&self, target: Target) -> Result<Chosen, SelectError> {
        self.choose_among(&self.reached(target)?, target)
    }

    /// Which packages are needed, in order; the tags of the target do not matter to that.
    fn reached(&self, target: Target) -> Result<Vec<PackageIndex>, SelectError> {
        let Self { lock, start, .. } = self;
        let patches = target_patches(lock, target.python);
        if patches.is_empty() {
            let allowed = |python: &PythonRequest| !target_patches(lock, *python).is_empty();
            let same_minor = PythonRequest { patch: None, ..target.python };
            return Err(SelectError::Python {
                python: target.python,
                requires_python: lock.requires_python.to_string(),
                nearest: std::iter::once(same_minor).chain(other_pythons(target)).find(allowed),
            });
        }
        // Which patch releases reach which packages.
        let mut reached: BTreeMap<PackageIndex, Vec<u32>> = BTreeMap::new();
        let supported: Vec<u32> = patches.into_iter().filter(|patch| is_supported(lock, target, *patch)).collect();
        if supported.is_empty() {
            return Err(SelectError::Environment { platform: target.platform, python: target.python });
        }
        for &patch in &supported {
            let environment = target.environment(patch);
            for index in reachable(lock, start, &environment)? {
                reached.entry(index).or_default().push(patch);
            }
        }
        check_single_versions(lock, &reached, target.python)?;
        Ok(reached.into_keys().collect())
    }

    fn choose_among(&self, reached: &[PackageIndex], target: Target) -> Result<Chosen, SelectError> {
        let Self { lock, start, .. } = self;
        let tags = self.tags(target)?;
        let requested: BTreeSet<PackageIndex> = start.roots.iter().map(|root| root.package).collect();
        let mut chosen = Chosen { reached: reached.to_vec(), packages: Vec::new(), unfit: Vec::new() };
        for &index in reached {
            let package = &lock.packages[index.0];
            let distribution = choose_distribution(package, lock.wheel_order, &tags);
            if !matches!(&distribution, Some(distribution) if distribution.is_ready()) {
                chosen.unfit.push(index);
            }
            if let Some(distribution) = distribution {
                chosen.packages.push(Selected {
                    name: package.name.clone(),
                    version: package.version.clone(),
                    source: package.source.clone(),
                    requested: requested.contains(&index),
                    listed: lock.unlisted_project != Some(index),
                    distribution,
                });
            }
        }
        chosen.packages.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(chosen)
    }

    /// What is wrong with every package that does not fit, and what would help all of them.
    fn misfits(&self, target: Target, chosen: &Chosen) -> Result<Option<Misfits>, SelectError> {
        if chosen.unfit.is_empty() {
            return Ok(None);
        }
        let allowed = |python| !target_patches(self.lock, python).is_empty();
        let tags_error = |error| SelectError::Tags(target.platform, error);
        let unfit = chosen.unfit.iter().map(|index| &self.lock.packages[index.0]);
        let mut problems = unfit
            .map(|package| diagnose(package, target, &self.sets, allowed).map_err(tags_error))
            .collect::<Result<Vec<_>, _>>()?;
        problems.sort_by(|a, b| a.name.cmp(&b.name));
        let change = self.change_for_all(target, &problems);
        Ok(Some(Misfits { target, problems, change }))
    }

    /// The one change with which everything fits: the lowest C library, else the nearest Python, else both.
    fn change_for_all(&self, target: Target, problems: &[Problem]) -> Option<Change> {
        let changes = problems.iter().map(|problem| match &problem.remedy {
            Remedy::Change(change) => Some(*change),
            Remedy::Build | Remedy::Nothing => None,
        });
        // If one package has nothing anywhere, nothing helps all.
        let changes = changes.collect::<Option<Vec<_>>>()?;
        if changes.iter().all(|change| change.python.is_none()) {
            return Some(Change { platform: changes.iter().filter_map(|change| change.platform).max(), python: None });
        }
        let pythons: Vec<PythonRequest> = other_pythons(target).collect();
        let with_python = |target: Target| pythons.iter().map(move |&python| Target { python, ..target });
        let fits = |target: &Target| self.choose(*target).is_ok_and(|chosen| chosen.unfit.is_empty());
        if let Some(other) = with_python(target).find(|other| fits(other)) {
            return Change::between(target, other);
        }
        let other = with_python(with_newest_libc(target)).find(|other| fits(other))?;
        // Everything fits there; each package says how old the library may be.
        let chosen = self.choose(other).ok()?;
        let here = Target { python: other.python, ..target };
        let platform = chosen
            .reached
            .iter()
            .map(|index| &self.lock.packages[index.0])
            .filter_map(|package| Some(lowest_target(&package.wheels, here, &self.sets)?.platform))
            .max()
            .unwrap_or(target.platform);
        Change::between(target, Target { platform, ..here })
    }

    /// The interpreters for which exactly the chosen distributions are right.
    fn claim(&self, target: Target, chosen: &Chosen) -> Result<PythonClaim, SelectError> {
        let tags = self.tags(target)?;
        let preferred = target.python.version;
        let needs: Vec<_> = wheels_of(&chosen.packages).map(|wheel| wheel_needs(&wheel.filename, &tags)).collect();
        let mut ranges = Vec::new();
        if needs.iter().any(|needs| needs.one_python) {
            ranges.extend(self.same_patches(target, chosen));
        } else {
            for minor in PYTHON_3_MINORS {
                let version = (preferred.0, minor);
                if version == preferred {
                    ranges.extend(self.same_patches(target, chosen));
                    continue;
                }
                let other = Target { python: PythonRequest { version, patch: None, ..target.python }, ..target };
                // Tags are many: they are made only where the same packages are needed.
                let same = self.reached(other).is_ok_and(|reached| {
                    reached == chosen.reached
                        && self.choose_among(&reached, other).is_ok_and(|other| other.is_same(chosen))
                });
                if same {
                    let mut patches = target_patches(self.lock, other.python);
                    patches.retain(|patch| is_supported(self.lock, other, *patch));
                    ranges.extend(patch_ranges(self.lock, version, &patches));
                }
            }
        }
        let free_threaded = needs.iter().find_map(|needs| needs.free_threaded);
        Ok(PythonClaim { preferred, ranges, free_threaded })
    }

    /// The patch releases of the target's minor version that get the chosen distributions.
    ///
    /// For a minor version these are all that `requires-python` allows, because it got the union. For an exact
    /// release they are those that would have got the same.
    fn same_patches(&self, target: Target, chosen: &Chosen) -> Vec<PythonRange> {
        let any_patch = PythonRequest { patch: None, ..target.python };
        let mut patches = target_patches(self.lock, any_patch);
        patches.retain(|patch| is_supported(self.lock, target, *patch));
        if target.python.patch.is_some() {
            patches.retain(|&patch| {
                let exact = Target { python: PythonRequest { patch: Some(patch), ..target.python }, ..target };
                self.choose(exact).is_ok_and(|other| other.is_same(chosen))
            });
        }
        patch_ranges(self.lock, target.python.version, &patches)
    }
}

/// Whether one of the environments that the lock was made for holds.
fn is_supported(lock: &Lock, target: Target, patch: u32) -> bool {
    let environment = target.environment(patch);
    lock.environments.is_empty() || lock.environments.iter().any(|marker| marker.evaluate(&environment, &[]))
}

/// Patch releases at which the lock's markers can change value, within the request and `requires-python`.
///
/// The first of each run of releases that no marker tells apart stands for the whole run.
fn target_patches(lock: &Lock, python: PythonRequest) -> Vec<u32> {
    let (major, minor) = python.version;
    let allowed = |patch: &u32| {
        let version = Version::new([u64::from(major), u64::from(minor), u64::from(*patch)]);
        lock.requires_python.contains(&version)
    };
    match python.patch {
        Some(patch) => Some(patch).into_iter().filter(allowed).collect(),
        None => run_starts(lock, python.version).into_iter().filter(allowed).collect(),
    }
}

fn run_starts(lock: &Lock, (major, minor): (u8, u8)) -> BTreeSet<u32> {
    let named = lock.patch_releases.range((major, minor, 0)..=(major, minor, u32::MAX));
    std::iter::once(0).chain(named.flat_map(|&(_, _, patch)| [patch, patch.saturating_add(1)])).collect()
}

fn check_single_versions(
    lock: &Lock,
    reached: &BTreeMap<PackageIndex, Vec<u32>>,
    python: PythonRequest,
) -> Result<(), SelectError> {
    let mut by_name: BTreeMap<&PackageName, Vec<(PackageIndex, &Vec<u32>)>> = BTreeMap::new();
    for (index, patches) in reached {
        by_name.entry(&lock.packages[index.0].name).or_default().push((*index, patches));
    }
    let Some((name, entries)) = by_name.into_iter().find(|(_, entries)| entries.len() > 1) else { return Ok(()) };
    let (major, minor) = python.version;
    let mut versions = String::new();
    for (position, (index, patches)) in entries.iter().enumerate() {
        let package = &lock.packages[index.0];
        let separator = if position == 0 { "" } else { ", " };
        let version = package.version.as_ref().map_or_else(|| "a source tree".to_owned(), ToString::to_string);
        let first = patches.first().copied().unwrap_or_default();
        let _ =
            write!(versions, "{separator}{version} ({}, from Python {major}.{minor}.{first})", package.source.kind());
    }
    let all: Vec<u32> = entries.iter().flat_map(|(_, patches)| patches.iter().copied()).collect();
    let disjoint = all.len() == all.iter().collect::<BTreeSet<_>>().len();
    let exact_python_decides = (disjoint && python.patch.is_none()).then(|| PythonRequest {
        patch: entries.iter().filter_map(|(_, patches)| patches.last().copied()).max(),
        ..python
    });
    Err(SelectError::SeveralVersions { name: name.clone(), versions, exact_python_decides })
}

/// The extras that hold in the lock's markers: names as they stand there, encoded ones included.
type Active = BTreeSet<ExtraName>;

/// Walks the graph and returns everything that is needed in one environment.
fn reachable(
    lock: &Lock,
    start: &Start<'_>,
    environment: &MarkerEnvironment,
) -> Result<BTreeSet<PackageIndex>, SelectError> {
    match &lock.shape {
        Shape::List(choices) => return applicable(lock, choices, start, environment),
        Shape::Graph(EdgeVersions::Open) => return walk_allowed(lock, start, environment),
        Shape::Graph(EdgeVersions::Fixed) => {}
    }
    if lock.conflicts.is_empty() {
        return Ok(walk(lock, start, environment, &Active::new(), &Allowed::new(), false).packages);
    }
    // Extras that edges switch on count in markers too: repeat until no new one appears, then walk for good.
    let mut active_choices = initial_choices(lock, start);
    check_conflicts(lock, &active_choices)?;
    loop {
        let active = active_choices.iter().filter_map(encode).collect();
        let activated = walk(lock, start, environment, &active, &Allowed::new(), true).activated;
        let before = active_choices.len();
        for choice in activated {
            if !active_choices.contains(&choice) {
                active_choices.push(choice);
            }
        }
        if active_choices.len() == before {
            check_conflicts(lock, &active_choices)?;
            return Ok(walk(lock, start, environment, &active, &Allowed::new(), false).packages);
        }
    }
}

/// The packages of a list that apply in one environment.
fn applicable(
    lock: &Lock,
    choices: &Choices,
    start: &Start<'_>,
    environment: &MarkerEnvironment,
) -> Result<BTreeSet<PackageIndex>, SelectError> {
    let mut found = BTreeSet::new();
    for (index, package) in lock.packages.iter().enumerate() {
        let applies = package.conditions.iter().any(|condition| {
            condition.group.as_ref().is_none_or(|group| start.groups.contains(group))
                && match choices.dialect {
                    Dialect::Extra => condition.marker.evaluate(environment, &start.extras),
                    Dialect::Sets => {
                        evaluate_with_choices(&condition.marker, environment, &start.extras, &start.groups)
                    }
                }
        });
        if !applies {
            continue;
        }
        let python = &environment.python_full_version().version;
        if let Some(requires_python) = package.requires_python.as_ref().filter(|range| !range.contains(python)) {
            return Err(SelectError::PackagePython {
                name: package.name.clone(),
                requires_python: requires_python.to_string(),
                python: python.to_string(),
            });
        }
        found.insert(PackageIndex(index));
    }
    Ok(found)
}

fn initial_choices(lock: &Lock, start: &Start<'_>) -> Vec<ConflictItem> {
    let mut choices = Vec::new();
    for root in &start.roots {
        let package = lock.packages[root.package.0].name.clone();
        let item = |choice| ConflictItem { package: package.clone(), choice };
        choices.push(item(Choice::Project));
        choices.extend(root.extras.iter().cloned().map(|extra| item(Choice::Extra(extra))));
        choices.extend(root.groups.iter().cloned().map(|group| item(Choice::Group(group))));
    }
    choices
}

fn check_conflicts(lock: &Lock, active: &[ConflictItem]) -> Result<(), SelectError> {
    for set in &lock.conflicts {
        let mut both = set.iter().filter(|item| active.contains(item));
        if let (Some(first), Some(second)) = (both.next(), both.next()) {
            return Err(SelectError::Conflict(first.clone(), second.clone()));
        }
    }
    Ok(())
}

/// How uv writes a choice into a marker: `extra == 'extra-<length of the package's name>-<package>-<extra>'`.
fn encode(item: &ConflictItem) -> Option<ExtraName> {
    let package = item.package.as_str();
    let length = package.len();
    let text = match &item.choice {
        Choice::Project => format!("project-{length}-{package}"),
        Choice::Extra(extra) => format!("extra-{length}-{package}-{extra}"),
        Choice::Group(group) => format!("group-{length}-{package}-{group}"),
    };
    ExtraName::from_owned(text).ok()
}

struct Walked<'lock> {
    packages: BTreeSet<PackageIndex>,
    activated: Vec<ConflictItem>,
    /// Where edges leave the version open: what was asked of which package.
    extras: BTreeSet<(PackageIndex, ExtraName)>,
    /// Where edges leave the version open: what all edges that were followed allow, for each name.
    allowed: Allowed<'lock>,
}

/// For a name, the packages among which an edge may choose.
type Allowed<'lock> = BTreeMap<&'lock PackageName, BTreeSet<PackageIndex>>;

/// What Poetry installs where its lock leaves versions open.
///
/// It solves for all of the project's extras at once, and leaves out afterwards what only the others brought. So what
/// one of them asks of a package is asked for by all that reach it: with extras `a = [x]` and `b = [y]`, where `x`
/// needs `client` and `y` needs `client[http2]`, `a` brings what `http2` needs, too.
fn walk_allowed(
    lock: &Lock,
    start: &Start<'_>,
    environment: &MarkerEnvironment,
) -> Result<BTreeSet<PackageIndex>, SelectError> {
    let mut packages = settle(lock, start, environment)?.packages;
    let every_extra = with_every_extra(lock, start);
    let asks_for_some = start.roots.iter().any(|root| !root.extras.is_empty());
    let asks_for_all =
        start.roots.iter().zip(&every_extra.roots).all(|(some, all)| some.extras.len() == all.extras.len());
    if !asks_for_some || asks_for_all {
        return Ok(packages);
    }
    // Extras that do not go together were not solved together.
    let Ok(solved) = settle(lock, &every_extra, environment) else { return Ok(packages) };
    let names: BTreeSet<PackageName> = packages.iter().map(|index| lock.packages[index.0].name.clone()).collect();
    let of_extras = start.roots.iter().flat_map(|root| {
        let by_extra = &lock.packages[root.package.0].extras;
        root.extras.iter().filter_map(|extra| by_extra.get(extra)).flatten()
    });
    let mut edges: Vec<&Edge> = of_extras.collect();
    let mut seen = BTreeSet::new();
    while let Some(edge) = edges.pop() {
        if !edge.marker.evaluate(environment, &[]) {
            continue;
        }
        let Some(index) = edge_target(lock, edge, environment, &solved.allowed).filter(|index| seen.insert(*index))
        else {
            continue;
        };
        let package = &lock.packages[index.0];
        if !names.contains(&package.name) {
            packages.insert(index);
        }
        edges.extend(&package.dependencies);
        let asked = package.extras.iter().filter(|(extra, _)| solved.extras.contains(&(index, (*extra).clone())));
        edges.extend(asked.flat_map(|(_, edges)| edges));
    }
    Ok(packages)
}

/// The same start with everything that its projects have optionally.
fn with_every_extra<'lock>(lock: &Lock, start: &Start<'lock>) -> Start<'lock> {
    let with_all = |root: &Root| Root {
        package: root.package,
        extras: lock.packages[root.package.0].extras.keys().cloned().collect(),
        groups: root.groups.clone(),
    };
    Start {
        roots: start.roots.iter().map(with_all).collect(),
        edges: start.edges.clone(),
        extras: start.extras.clone(),
        groups: start.groups.clone(),
    }
}

/// Walks until every edge leads to a package that all edges to its name allow.
///
/// Edges found late may forbid what was chosen early, so the walk is repeated with what is known by then. What
/// is known only shrinks, so it ends.
fn settle<'lock>(
    lock: &'lock Lock,
    start: &Start<'_>,
    environment: &MarkerEnvironment,
) -> Result<Walked<'lock>, SelectError> {
    let mut allowed = Allowed::new();
    loop {
        let walked = walk(lock, start, environment, &Active::new(), &allowed, false);
        if let Some((name, _)) = walked.allowed.iter().find(|(_, candidates)| candidates.is_empty()) {
            return Err(SelectError::NoVersion { name: (*name).clone() });
        }
        if walked.allowed == allowed {
            return Ok(walked);
        }
        allowed = walked.allowed;
    }
}

/// Walks from the start along every edge whose marker holds.
///
/// With `edge_extras_count`, the extras that an edge asks for count as active while its own marker is judged.
fn walk<'lock>(
    lock: &'lock Lock,
    start: &Start<'_>,
    environment: &MarkerEnvironment,
    active: &Active,
    allowed: &Allowed<'lock>,
    edge_extras_count: bool,
) -> Walked<'lock> {
    let mut active: Vec<ExtraName> = active.iter().cloned().collect();
    let versions_are_open = matches!(lock.shape, Shape::Graph(EdgeVersions::Open));
    let mut walked =
        Walked { packages: BTreeSet::new(), activated: Vec::new(), extras: BTreeSet::new(), allowed: allowed.clone() };
    let mut seen: BTreeSet<(PackageIndex, Option<&ExtraName>)> = BTreeSet::new();
    let mut queue: VecDeque<(PackageIndex, Option<&ExtraName>)> = VecDeque::new();
    let mut edges: Vec<&Edge> = start.edges.clone();
    for root in &start.roots {
        queue.push_back((root.package, None));
        queue.extend(root.extras.iter().map(|extra| (root.package, Some(extra))));
        edges.extend(root.groups.iter().flat_map(|group| &lock.packages[root.package.0].groups[group]));
    }
    loop {
        for edge in edges.drain(..) {
            let Some(target) = edge_target(lock, edge, environment, allowed) else { continue };
            let package = &lock.packages[target.0];
            let items = edge
                .extras
                .iter()
                .map(|extra| ConflictItem { package: package.name.clone(), choice: Choice::Extra(extra.clone()) });
            let others = active.len();
            if edge_extras_count {
                active.extend(items.clone().filter_map(|item| encode(&item)));
            }
            let holds = edge.marker.evaluate(environment, &active);
            active.truncate(others);
            if !holds {
                continue;
            }
            if edge_extras_count {
                walked.activated.extend(items);
            }
            if versions_are_open {
                let all = || edge.candidates.iter().copied().collect();
                let allowed = walked.allowed.entry(&package.name).or_insert_with(all);
                allowed.retain(|index| edge.candidates.contains(index));
            }
            queue.push_back((target, None));
            queue.extend(edge.extras.iter().map(|extra| (target, Some(extra))));
        }
        let Some(next) = queue.pop_front() else { return walked };
        if !seen.insert(next) {
            continue;
        }
        let (index, extra) = next;
        let package = &lock.packages[index.0];
        match extra {
            None => {
                walked.packages.insert(index);
                edges.extend(&package.dependencies);
            }
            // An extra that the locked version does not have adds nothing, as with every installer.
            Some(extra) => {
                if versions_are_open {
                    walked.extras.insert((index, extra.clone()));
                }
                edges.extend(package.extras.get(extra).into_iter().flatten());
            }
        }
    }
}

/// Of several packages with one name, the newest that is allowed and of the fork that the environment belongs to.
fn edge_target(
    lock: &Lock,
    edge: &Edge,
    environment: &MarkerEnvironment,
    allowed: &Allowed<'_>,
) -> Option<PackageIndex> {
    let [first, _, ..] = edge.candidates.as_slice() else { return edge.candidates.first().copied() };
    let allowed = allowed.get(&lock.packages[first.0].name);
    let in_fork = |index: &PackageIndex| {
        let forks = &lock.packages[index.0].fork_markers;
        forks.is_empty() || forks.iter().any(|marker| marker.evaluate(environment, &[]))
    };
    let candidates = edge.candidates.iter().copied();
    candidates
        .filter(|index| allowed.is_none_or(|allowed| allowed.contains(index)) && in_fork(index))
        .max_by(|a, b| lock.packages[a.0].version.cmp(&lock.packages[b.0].version))
}

/// What to pack of a package; a source distribution only where no wheel fits.
fn choose_distribution(package: &Package, order: WheelOrder, tags: &Tags) -> Option<Distribution> {
    match &package.source {
        Source::Directory(path) | Source::Editable(path) => Some(Distribution::Local(path.clone())),
        Source::Virtual(path) => Some(Distribution::DependenciesOnly(path.clone())),
        Source::Git(url) => Some(Distribution::Git(url.clone())),
        Source::Registry(_) | Source::Url(_) | Source::File(_) => match best_wheel(&package.wheels, order, tags) {
            Some((wheel, tag)) => Some(Distribution::Wheel(wheel.clone(), tag)),
            None => package.sdist.clone().map(Distribution::Sdist),
        },
    }
}

/// The best wheel by tag and build tag, in the order of the lock's tool; of equals the first.
fn best_wheel<'a>(wheels: &'a [Wheel], order: WheelOrder, tags: &Tags) -> Option<(&'a Wheel, String)> {
    let mut best: Option<(WheelRank, &Wheel)> = None;
    for wheel in wheels {
        let Ok(rank) = rank_wheel(&wheel.filename, tags) else { continue };
        let is_better = |other: &WheelRank| match order {
            WheelOrder::TagFirst => (&rank.tag, &rank.build) > (&other.tag, &other.build),
            WheelOrder::BuildFirst => (&rank.build, &rank.tag) > (&other.build, &other.tag),
        };
        if best.as_ref().is_none_or(|(other, _)| is_better(other)) {
            best = Some((rank, wheel));
        }
    }
    let (_, wheel) = best?;
    Some((wheel, best_tag(&wheel.filename, tags)?))
}

/// Turns the firsts of runs into ranges, joining neighbours.
fn patch_ranges(lock: &Lock, version: (u8, u8), patches: &[u32]) -> Vec<PythonRange> {
    let starts = run_starts(lock, version);
    let mut ranges: Vec<PythonRange> = Vec::new();
    for &patch in patches {
        let next = starts.range(patch.saturating_add(1)..).next();
        let patch_max = next.map(|next| next - 1);
        match ranges.last_mut() {
            Some(last) if last.patch_max.is_some_and(|maximum| maximum + 1 == patch) => last.patch_max = patch_max,
            _ => ranges.push(PythonRange { version, patch_min: patch, patch_max }),
        }
    }
    ranges
}
