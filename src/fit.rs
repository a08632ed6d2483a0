//! Why packages do not fit a target, and the smallest change with which they would.
//!
//! Pure, like `select`. A report names every unfit package with what it offers; its hint is one change of platform
//! or Python that satisfies all of them as they are locked, where there is one.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::rc::Rc;

use bundle_launcher::{Libc, LibcFamily};

use crate::lock::{Package, Wheel};
use crate::packaging::{
    Axis, PackageName, Tags, TagsError, Version, offers, pythons, rank_wheel, systems, wheel_needs,
};
use crate::platform::{self, Platform};
use crate::target::{PythonRequest, Target};

/// Minor versions of Python 3 that are considered at all.
pub const PYTHON_3_MINORS: std::ops::RangeInclusive<u8> = 7..=30;

/// The first minor version of Python 3 that has a free-threaded build.
const FIRST_FREE_THREADED: u8 = 13;

/// Newer than every C library that there will be for a while: it accepts the wheels for all of them.
const NEWEST_LIBC_MINOR: u16 = 99;

/// The tags of targets, made once each: a set has thousands of them.
#[derive(Debug, Default)]
pub struct TagSets {
    made: RefCell<BTreeMap<TagKey, Rc<Tags>>>,
}

/// What tags depend on: platform, minor version of Python, whether it is free-threaded.
type TagKey = (Platform, (u8, u8), bool);

impl TagSets {
    /// The tags that an interpreter of this target accepts.
    pub fn get(&self, target: Target) -> Result<Rc<Tags>, TagsError> {
        let key = (target.platform, target.python.version, target.python.free_threaded);
        if let Some(tags) = self.made.borrow().get(&key) {
            return Ok(Rc::clone(tags));
        }
        let tags = Rc::new(target.tags()?);
        self.made.borrow_mut().insert(key, Rc::clone(&tags));
        Ok(tags)
    }
}

/// A package that has nothing to pack for the target.
#[derive(Debug, Clone)]
pub struct Problem {
    /// Normalised name.
    pub name: PackageName,
    /// The locked version.
    pub version: Option<Version>,
    /// Which part of its wheels' tags fails; `None` if it has no wheel at all.
    pub axis: Option<Axis>,
    /// What its wheels have on that axis, sorted.
    pub offers: Vec<String>,
    /// The same for people.
    pub summary: String,
    /// What would help.
    pub remedy: Remedy,
    /// The file name of its source distribution, if it has one.
    pub sdist: Option<String>,
}

/// What would make a package fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// Another target: the lowest C library, else the nearest Python, else the nearest Python with the lowest C
    /// library for that.
    Change(Change),
    /// Only its source distribution could help, and it has to be built.
    Build,
    /// It has nothing for this architecture and C library.
    Nothing,
}

/// Another target of the same architecture and kind of C library; at least one of both is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The lowest platform that does.
    pub platform: Option<Platform>,
    /// The nearest Python that does.
    pub python: Option<PythonRequest>,
}

impl Change {
    /// From one target to another; `None` if they are the same.
    pub fn between(from: Target, to: Target) -> Option<Self> {
        let platform = Some(to.platform).filter(|platform| *platform != from.platform);
        let same = to.python.version == from.python.version && to.python.free_threaded == from.python.free_threaded;
        let python = Some(to.python).filter(|_| !same);
        (platform.is_some() || python.is_some()).then_some(Self { platform, python })
    }
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let platform = self.platform.map(|platform| format!("--platform {platform}"));
        let python = self.python.map(|python| format!("--python {python}"));
        let flags: Vec<String> = platform.into_iter().chain(python).collect();
        f.write_str(&flags.join(" "))
    }
}

impl std::fmt::Display for Remedy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Change(change) => change.fmt(f),
            Self::Build => f.write_str("build a wheel of its source distribution and lock that"),
            Self::Nothing => f.write_str("lock another version, or choose another platform"),
        }
    }
}

/// Other Pythons than the target's, the nearest first. Nearer than any other version is the usual build of the same
/// one, if a free-threaded build is asked for.
pub fn other_pythons(target: Target) -> impl Iterator<Item = PythonRequest> {
    let PythonRequest { version: (major, wanted), free_threaded, .. } = target.python;
    let mut minors: Vec<u8> = PYTHON_3_MINORS.filter(|minor| *minor != wanted || free_threaded).collect();
    minors.sort_by_key(|minor| minor.abs_diff(wanted));
    minors.into_iter().map(move |minor| {
        let free_threaded = free_threaded && minor != wanted && minor >= FIRST_FREE_THREADED;
        PythonRequest { version: (major, minor), patch: None, free_threaded }
    })
}

/// The same target with a C library that is newer than any.
pub fn with_newest_libc(target: Target) -> Target {
    let Platform { arch, libc } = target.platform;
    let platform = match libc.family {
        LibcFamily::Glibc => Platform::glibc(arch, NEWEST_LIBC_MINOR),
        LibcFamily::Musl => Platform::musl(arch, NEWEST_LIBC_MINOR),
    };
    Target { platform, ..target }
}

/// The target, with as new a C library as one of the wheels needs at least; `None` if no version of it does.
pub fn lowest_target(wheels: &[Wheel], target: Target, sets: &TagSets) -> Option<Target> {
    let tags = sets.get(with_newest_libc(target)).ok()?;
    let fitting = wheels.iter().filter(|wheel| rank_wheel(&wheel.filename, &tags).is_ok());
    let lowest: Option<Libc> = fitting.map(|wheel| wheel_needs(&wheel.filename, &tags).libc).min()?;
    let libc = lowest.map_or(target.platform.libc, |lowest| lowest.max(target.platform.libc));
    Some(Target { platform: Platform { libc, ..target.platform }, ..target })
}

/// What is wrong with a package that has no wheel for the target. `allowed` tells the Pythons of the lock.
pub fn diagnose(
    package: &Package,
    target: Target,
    sets: &TagSets,
    allowed: impl Fn(PythonRequest) -> bool,
) -> Result<Problem, TagsError> {
    let tags = sets.get(target)?;
    let misses: Vec<(Axis, &Wheel)> =
        package.wheels.iter().filter_map(|wheel| Some((rank_wheel(&wheel.filename, &tags).err()?, wheel))).collect();
    // The axis on which the nearest wheel fails: a wheel that fits but for the platform is nearer than one for
    // another Python.
    let axis = misses.iter().map(|(axis, _)| *axis).max();
    let nearest: Vec<&Wheel> = misses.iter().filter(|miss| Some(miss.0) == axis).map(|miss| miss.1).collect();
    let newer_libc = lowest_target(&package.wheels, target, sets);
    let other_python = || {
        other_pythons(target).filter(|python| allowed(*python)).find_map(|python| {
            let other = Target { python, ..target };
            lowest_target(&package.wheels, other, sets)
        })
    };
    let change = newer_libc.or_else(other_python).and_then(|other| Change::between(target, other));
    let remedy = match change {
        Some(change) => Remedy::Change(change),
        None if package.sdist.is_some() => Remedy::Build,
        None => Remedy::Nothing,
    };
    Ok(Problem {
        name: package.name.clone(),
        version: package.version.clone(),
        axis,
        offers: axis.map(|axis| offered(&nearest, axis, target)).unwrap_or_default(),
        summary: if package.wheels_are_forbidden {
            "its wheels are not to be used (`no-binary` in `[tool.uv]`)".to_owned()
        } else {
            // A wheel that fails on two axes is counted for the first.
            let nowhere =
                if axis == Some(Axis::Python) && change.is_none() { ", and none for this platform" } else { "" };
            summary(axis, &nearest, target, newer_libc) + nowhere
        },
        remedy,
        sdist: package.sdist.as_ref().map(|sdist| sdist.file.clone()),
    })
}

/// The tags of the nearest wheels on the axis that fails.
fn offered(nearest: &[&Wheel], axis: Axis, target: Target) -> Vec<String> {
    let all: BTreeSet<String> = nearest.iter().flat_map(|wheel| offers(&wheel.filename, axis)).collect();
    if axis != Axis::Platform {
        return all.into_iter().collect();
    }
    // Wheels for other systems say nothing to somebody who builds for this one, unless there are no others.
    let arch = target.platform.arch.name();
    let for_arch = |tag: &&String| tag.contains("linux") && tag.ends_with(arch);
    let same_library = |tag: &&String| tag.starts_with("musl") == (target.platform.libc.family == LibcFamily::Musl);
    let here: BTreeSet<&String> = all.iter().filter(for_arch).collect();
    let nearest: BTreeSet<&String> = here.iter().copied().filter(same_library).collect();
    let shown = [nearest, here].into_iter().find(|tags| !tags.is_empty());
    shown.unwrap_or_else(|| all.iter().collect()).into_iter().cloned().collect()
}

/// What a package offers instead, in words.
fn summary(axis: Option<Axis>, nearest: &[&Wheel], target: Target, newer_libc: Option<Target>) -> String {
    let names = || nearest.iter().map(|wheel| &wheel.filename);
    match (axis, newer_libc) {
        (None, _) => "no wheels at all".to_owned(),
        (Some(Axis::Platform), Some(Target { platform, .. })) => {
            let tags = offered(nearest, Axis::Platform, target);
            format!("needs {} or newer: {}", platform.libc, tags.join(", "))
        }
        (Some(Axis::Platform), None) => {
            format!("has wheels of Python {} for {} only", target.python, systems(names()).join(", "))
        }
        (Some(Axis::Abi), _) => {
            format!("has wheels for the ABIs {} only", offered(nearest, Axis::Abi, target).join(", "))
        }
        (Some(Axis::Python), _) => match pythons(names()).as_slice() {
            [] => format!("has wheels for {} only", offered(nearest, Axis::Python, target).join(", ")),
            versions => format!("has wheels for Python {} only", runs(versions)),
        },
    }
}

/// `3.8 to 3.10, 3.12`.
fn runs(versions: &[(u8, u8)]) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut rest = versions;
    while let Some(&(major, first)) = rest.first() {
        let follows = |(position, version): (usize, &(u8, u8))| {
            u8::try_from(position).is_ok_and(|position| *version == (major, first.saturating_add(position)))
        };
        let length = rest.iter().enumerate().take_while(|entry| follows(*entry)).count().max(1);
        let (_, last) = rest[length - 1];
        texts.push(match length {
            1 => format!("{major}.{first}"),
            2 => format!("{major}.{first}, {major}.{last}"),
            _ => format!("{major}.{first} to {major}.{last}"),
        });
        rest = &rest[length..];
    }
    texts.join(", ")
}

/// The machine that the program runs on, as far as it matters to building from source.
#[derive(Debug)]
pub struct Host {
    /// `None` where artifacts are not made for.
    pub platform: Option<Platform>,
    /// The minor versions of Python 3 that are installed.
    pub python_minors: Vec<u8>,
}

/// Everything that is unfit for one target.
#[derive(Debug, Clone)]
pub struct Misfits {
    /// The target.
    pub target: Target,
    /// At least one, sorted by name.
    pub problems: Vec<Problem>,
    /// The one change with which everything would fit, if there is one.
    pub change: Option<Change>,
}

impl Misfits {
    /// One sentence, and a line for each package.
    pub fn report(&self) -> String {
        let Target { platform, python } = self.target;
        let count = self.problems.len();
        let (noun, verb) = if count == 1 { ("package", "has") } else { ("packages", "have") };
        let mut text = format!("{count} {noun} {verb} no wheel for `{platform}` with Python {python}");
        let title = |problem: &Problem| match &problem.version {
            Some(version) => format!("{} {version}", problem.name),
            None => problem.name.to_string(),
        };
        let width = self.problems.iter().map(|problem| title(problem).len()).max().unwrap_or_default();
        for problem in &self.problems {
            let sdist = match (&problem.sdist, problem.axis) {
                (Some(file), None) => format!(", only the source distribution `{file}`"),
                (Some(_), Some(_)) => "; otherwise source".to_owned(),
                (None, _) => String::new(),
            };
            let _ = write!(text, "\n  {:width$}  {}{sdist}", title(problem), problem.summary);
        }
        text
    }

    /// What to do about it: a line for each thing that helps.
    pub fn hints(&self, host: &Host) -> Vec<String> {
        if let Some(change) = &self.change {
            let all = if self.problems.len() == 1 { "it" } else { "all of them" };
            let runs_on = change.platform.map(meaning).unwrap_or_default();
            return vec![format!("`{change}` fits {all} as locked; no package needs another release{runs_on}")];
        }
        let mut hints = self.partial_changes();
        hints.extend(self.sources_hints(host));
        let hopeless: Vec<&Problem> =
            self.problems.iter().filter(|problem| problem.remedy == Remedy::Nothing).collect();
        if !hopeless.is_empty() {
            let arch = self.target.platform.arch.name();
            let library = platform::library_name(self.target.platform.libc.family);
            hints.push(format!(
                "{} {} nothing for {library} on {arch} in any Python that the lock allows, neither wheel nor source: \
                 lock another version, or leave it out for Linux with a marker",
                shortened(&hopeless),
                if hopeless.len() == 1 { "has" } else { "have" },
            ));
        }
        hints
    }

    /// Changes that help some of the packages. Platforms differ in the C library's version alone, so the highest
    /// of those that are needed helps all that need one.
    fn partial_changes(&self) -> Vec<String> {
        let change = |problem: &Problem| match &problem.remedy {
            Remedy::Change(change) => Some(*change),
            Remedy::Build | Remedy::Nothing => None,
        };
        let only_platform = |problem: &Problem| change(problem).filter(|change| change.python.is_none());
        let highest = self.problems.iter().filter_map(|problem| only_platform(problem)?.platform).max();
        let mut hints = Vec::new();
        if let Some(platform) = highest {
            let helped: Vec<&Problem> =
                self.problems.iter().filter(|problem| only_platform(problem).is_some()).collect();
            hints.push(format!("`--platform {platform}` fits {} as locked{}", shortened(&helped), meaning(platform)));
        }
        let mut by_change: BTreeMap<String, Vec<&Problem>> = BTreeMap::new();
        for problem in &self.problems {
            if let Some(change) = change(problem).filter(|change| change.python.is_some()) {
                by_change.entry(change.to_string()).or_default().push(problem);
            }
        }
        hints.extend(by_change.into_iter().map(|(change, helped)| format!("`{change}` fits {}", shortened(&helped))));
        hints
    }

    /// Whether what comes as source can be built on this machine: a line for packages that may be pure Python, and
    /// one for those that have wheels with compiled code for other targets.
    fn sources_hints(&self, host: &Host) -> Vec<String> {
        let sources = self.problems.iter().filter(|problem| problem.remedy == Remedy::Build);
        let (compiled, perhaps_pure): (Vec<&Problem>, Vec<&Problem>) =
            sources.partition(|problem| problem.axis.is_some());
        let mut hints = Vec::new();
        let obstacle = self.obstacle(host);
        let (major, minor) = self.target.python.version;
        let then = "then lock the wheel by its path, or from an index of your own";
        if let Some(first) = perhaps_pure.first() {
            let version = first.version.as_ref().map_or_else(String::new, |version| format!("=={version}"));
            let command = format!("python{major}.{minor} -m pip wheel --no-deps {}{version}", first.name);
            let verdict = match &obstacle {
                None => "this machine can".to_owned(),
                Some(obstacle) => format!("this machine can if it is pure Python, else not: {obstacle}"),
            };
            hints.push(format!(
                "only wheels are packed, so build one of {} ({verdict}): `{command}`, {then}",
                shortened(&perhaps_pure)
            ));
        }
        if !compiled.is_empty() {
            let verdict = match obstacle {
                None => "this machine can build wheels of".to_owned(),
                Some(obstacle) => format!("this machine cannot build wheels of ({obstacle})"),
            };
            hints.push(format!(
                "{verdict} {}, which have compiled code; build them for the target, {then}",
                shortened(&compiled)
            ));
        }
        hints
    }

    /// What keeps this machine from compiling for the target.
    fn obstacle(&self, host: &Host) -> Option<String> {
        let Target { platform: wanted, python } = self.target;
        let (major, minor) = python.version;
        let Some(here) = host.platform else { return Some("it is no Linux".to_owned()) };
        if here.arch != wanted.arch || here.libc.family != wanted.libc.family {
            return Some(format!("it is {} with {}", here.arch.name(), here.libc));
        }
        if here.libc.minor > wanted.libc.minor {
            return Some(format!("it has {}, which is newer than the target's {}", here.libc, wanted.libc));
        }
        if python.free_threaded {
            return Some(format!("it takes a free-threaded Python {major}.{minor}"));
        }
        (!host.python_minors.contains(&minor)).then(|| format!("Python {major}.{minor} is not on `PATH`"))
    }
}

/// How many packages a hint names.
const MOST_NAMED: usize = 5;

fn shortened(problems: &[&Problem]) -> String {
    let mut names: Vec<String> =
        problems.iter().take(MOST_NAMED).map(|problem| format!("`{}`", problem.name)).collect();
    if problems.len() > MOST_NAMED {
        names.push(format!("{} more", problems.len() - MOST_NAMED));
    }
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

/// Which systems have the platform's C library, in brackets.
fn meaning(platform: Platform) -> String {
    match platform::systems_of(platform) {
        Some(systems) => format!(" ({} or newer, as in {systems})", platform.libc),
        None => format!(" ({} or newer)", platform.libc),
    }
}

#[cfg(test)]
mod tests {
    use super::runs;

    #[test]
    fn neighbouring_versions_are_joined() {
        assert_eq!(runs(&[(3, 8), (3, 9), (3, 10), (3, 12)]), "3.8 to 3.10, 3.12");
        assert_eq!(runs(&[(3, 8), (3, 9)]), "3.8, 3.9");
        assert_eq!(runs(&[(2, 7), (3, 7)]), "2.7, 3.7");
        assert_eq!(runs(&[]), "");
    }
}
