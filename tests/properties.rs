//! What holds of every selection, whatever the lock: checked on random locks of all three formats.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use bundle::lock::{Lock, LockKind, parse};
use bundle::packaging::Wanted;
use bundle::select::{Distribution, Roots, SelectError, Selection, select};
use bundle::target::Target;
use proptest::prelude::*;

/// Conditions of dependencies; the first always holds.
const MARKERS: [&str; 9] = [
    "",
    "python_full_version < '3.11.3'",
    "python_full_version >= '3.11.7'",
    "python_full_version == '3.11.5'",
    "python_version < '3.12'",
    "sys_platform == 'linux'",
    "sys_platform == 'win32' and python_version < '3.13'",
    "platform_machine == 'x86_64' or python_full_version >= '3.12.2'",
    "python_full_version > '3.10.4' and implementation_name != 'pypy'",
];

/// Where a package has two versions: the condition of the first, and that of the second.
const FORKS: [(&str, &str); 3] = [
    ("python_full_version < '3.11.4'", "python_full_version >= '3.11.4'"),
    ("python_full_version < '3.12'", "python_full_version >= '3.12'"),
    ("platform_machine != 'x86_64'", "platform_machine == 'x86_64'"),
];

/// What stands behind name and version in a wheel's name; no two are equally good for any target.
const TAGS: [&str; 13] = [
    "py3-none-any",
    "1-py3-none-any",
    "cp311-none-any",
    "cp39-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64",
    "cp311-cp311-manylinux_2_17_x86_64",
    "cp311-cp311-manylinux_2_28_x86_64",
    "cp311-cp311-manylinux_2_34_x86_64",
    "cp312-cp312-manylinux_2_28_x86_64",
    "py3-none-manylinux1_x86_64",
    "cp38-abi3-musllinux_1_1_x86_64",
    "cp311-cp311-musllinux_1_2_x86_64",
    "cp311-cp311-win_amd64",
    "cp313-cp313t-manylinux_2_28_x86_64",
];

const REQUIRES_PYTHON: [&str; 4] = [">=3.9", ">=3.9,<3.14", ">=3.11.2", ">=3.10,!=3.11.6"];

/// Patch releases of 3.11 on both sides of every condition.
const PATCHES: [u32; 10] = [0, 2, 3, 4, 5, 6, 7, 8, 9, 40];

const X86_64: &str = "x86_64-manylinux_2_28";

/// A lock in no format yet.
#[derive(Debug, Clone)]
struct Model {
    packages: Vec<Package>,
    requires_python: usize,
    dependencies: Vec<Edge>,
    /// Of the project's extra `x`.
    extra: Vec<Edge>,
    /// Of the project's group `dev`.
    group: Vec<Edge>,
}

#[derive(Debug, Clone)]
struct Package {
    /// One, or two of which a fork decides.
    releases: Vec<Release>,
    fork: usize,
    dependencies: Vec<Edge>,
    /// Of its own extra `y`.
    extra: Vec<Edge>,
    /// In a list: when it applies.
    marker: usize,
    part: Part,
}

#[derive(Debug, Clone)]
struct Release {
    tags: Vec<&'static str>,
    sdist: bool,
}

/// The part of the project that needs a package of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Main,
    Extra,
    Group,
    Both,
}

#[derive(Debug, Clone)]
struct Edge {
    to: prop::sample::Index,
    marker: usize,
    extra: bool,
}

fn edges() -> impl Strategy<Value = Vec<Edge>> {
    let edge = (any::<prop::sample::Index>(), 0..MARKERS.len(), any::<bool>());
    prop::collection::vec(edge.prop_map(|(to, marker, extra)| Edge { to, marker, extra }), 0..4)
}

fn packages() -> impl Strategy<Value = Package> {
    let release = (prop::sample::subsequence(TAGS.to_vec(), 0..5), any::<bool>())
        .prop_map(|(tags, sdist)| Release { tags, sdist });
    let part = prop::sample::select(vec![Part::Main, Part::Main, Part::Extra, Part::Group, Part::Both]);
    let releases = prop::collection::vec(release, 1..3);
    (releases, 0..FORKS.len(), edges(), edges(), 0..MARKERS.len(), part).prop_map(
        |(releases, fork, dependencies, extra, marker, part)| Package {
            releases,
            fork,
            dependencies,
            extra,
            marker,
            part,
        },
    )
}

fn models() -> impl Strategy<Value = Model> {
    let packages = prop::collection::vec(packages(), 1..8);
    (packages, 0..REQUIRES_PYTHON.len(), edges(), edges(), edges()).prop_map(
        |(packages, requires_python, dependencies, extra, group)| Model {
            packages,
            requires_python,
            dependencies,
            extra,
            group,
        },
    )
}

fn kinds() -> impl Strategy<Value = LockKind> {
    prop::sample::select(vec![LockKind::Uv, LockKind::Poetry, LockKind::Pylock])
}

fn name(package: usize) -> String {
    format!("package-{package}")
}

fn version(release: usize) -> String {
    format!("{}.0", release + 1)
}

/// Both have to hold; an empty one does.
fn both(one: &str, other: &str) -> String {
    match (one, other) {
        ("", one) | (one, "") => one.to_owned(),
        (one, other) => format!("({one}) and ({other})"),
    }
}

/// Puts things into an order; 0 is that in which they are.
#[derive(Debug, Clone, Copy)]
struct Order(u64);

impl Order {
    fn apply<T>(self, mut things: Vec<T>) -> Vec<T> {
        let mut state = self.0;
        for position in (1..things.len()).rev() {
            if self.0 == 0 {
                break;
            }
            // Knuth's generator: https://en.wikipedia.org/wiki/Linear_congruential_generator
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let other = usize::try_from(state >> 33).expect("31 bits") % (position + 1);
            things.swap(position, other);
        }
        things
    }
}

impl Model {
    fn read(&self, kind: LockKind, order: Order) -> Lock {
        let text = self.text(kind, order);
        parse(kind, &text, None, Path::new("lock")).unwrap_or_else(|error| panic!("{error:?} in\n{text}"))
    }

    fn text(&self, kind: LockKind, order: Order) -> String {
        match kind {
            LockKind::Uv => self.uv(order),
            LockKind::Poetry => self.poetry(order),
            LockKind::Pylock => self.pylock(order),
        }
    }

    /// The condition under which a release is chosen among those of its package.
    fn fork_marker(&self, package: usize, release: usize) -> &'static str {
        let Package { releases, fork, .. } = &self.packages[package];
        match (releases.len(), release) {
            (1, _) => "",
            (_, 0) => FORKS[*fork].0,
            _ => FORKS[*fork].1,
        }
    }

    fn files(&self, package: usize, release: usize) -> (Vec<String>, Option<String>) {
        let start = format!("{}-{}", name(package).replace('-', "_"), version(release));
        let Release { tags, sdist } = &self.packages[package].releases[release];
        (tags.iter().map(|tag| format!("{start}-{tag}.whl")).collect(), sdist.then(|| format!("{start}.tar.gz")))
    }

    fn uv_edges(&self, edges: &[Edge], order: Order) -> String {
        let mut texts = Vec::new();
        for edge in edges {
            let to = edge.to.index(self.packages.len());
            let releases = self.packages[to].releases.len();
            for release in 0..releases {
                let mut text = format!("{{ name = \"{}\"", name(to));
                if releases > 1 {
                    let _ = write!(text, ", version = \"{}\", source = {{ registry = \"r\" }}", version(release));
                }
                if edge.extra {
                    text.push_str(", extra = [\"y\"]");
                }
                let marker = both(MARKERS[edge.marker], self.fork_marker(to, release));
                if !marker.is_empty() {
                    let _ = write!(text, ", marker = \"{marker}\"");
                }
                texts.push(text + " }");
            }
        }
        order.apply(texts).join(", ")
    }

    fn uv(&self, order: Order) -> String {
        let mut entries = vec![format!(
            "[[package]]\nname = \"app\"\nversion = \"1\"\nsource = {{ virtual = \".\" }}\ndependencies = [{}]\n\
             [package.optional-dependencies]\nx = [{}]\n[package.dev-dependencies]\ndev = [{}]\n",
            self.uv_edges(&self.dependencies, order),
            self.uv_edges(&self.extra, order),
            self.uv_edges(&self.group, order),
        )];
        for (index, package) in self.packages.iter().enumerate() {
            for release in 0..package.releases.len() {
                let (wheels, sdist) = self.files(index, release);
                let wheels = wheels.iter().map(|wheel| format!("{{ url = \"https://files.test/{wheel}\" }}")).collect();
                let sdist = sdist.map(|sdist| format!("sdist = {{ url = \"https://files.test/{sdist}\" }}\n"));
                entries.push(format!(
                    "[[package]]\nname = \"{}\"\nversion = \"{}\"\nsource = {{ registry = \"r\" }}\n{}wheels = [{}]\n\
                     dependencies = [{}]\n[package.optional-dependencies]\ny = [{}]\n",
                    name(index),
                    version(release),
                    sdist.unwrap_or_default(),
                    order.apply::<String>(wheels).join(", "),
                    self.uv_edges(&package.dependencies, order),
                    self.uv_edges(&package.extra, order),
                ));
            }
        }
        let requires_python = REQUIRES_PYTHON[self.requires_python];
        format!("version = 1\nrequires-python = \"{requires_python}\"\n{}", order.apply(entries).concat())
    }

    fn poetry(&self, order: Order) -> String {
        let hash = "0".repeat(64);
        let mut entries = Vec::new();
        for (index, package) in self.packages.iter().enumerate() {
            let groups = match package.part {
                Part::Main | Part::Extra => "\"main\"",
                Part::Group => "\"dev\"",
                Part::Both => "\"main\", \"dev\"",
            };
            let extra = if package.part == Part::Extra { "extra == 'x'" } else { "" };
            for release in 0..package.releases.len() {
                let (wheels, sdist) = self.files(index, release);
                let files = wheels.into_iter().chain(sdist);
                let files = files.map(|file| format!("{{file = \"{file}\", hash = \"sha256:{hash}\"}}")).collect();
                let marker = both(extra, &both(MARKERS[package.marker], self.fork_marker(index, release)));
                let marker = if marker.is_empty() { marker } else { format!("markers = \"{marker}\"\n") };
                entries.push(format!(
                    "[[package]]\nname = \"{}\"\nversion = \"{}\"\ngroups = [{groups}]\n{marker}files = [{}]\n",
                    name(index),
                    version(release),
                    order.apply::<String>(files).join(", "),
                ));
            }
        }
        // The group exists even where no package is of it.
        entries.push("[[package]]\nname = \"tests\"\nversion = \"1\"\ngroups = [\"dev\"]\n".to_owned());
        let requires_python = REQUIRES_PYTHON[self.requires_python];
        format!(
            "{}[extras]\nx = []\n[metadata]\nlock-version = \"2.1\"\npython-versions = \"{requires_python}\"\n",
            order.apply(entries).concat()
        )
    }

    fn pylock(&self, order: Order) -> String {
        let hash = "0".repeat(64);
        let mut entries = Vec::new();
        for (index, package) in self.packages.iter().enumerate() {
            let part = match package.part {
                Part::Main => "",
                Part::Extra => "'x' in extras",
                Part::Group => "'dev' in dependency_groups",
                Part::Both => "'x' in extras or 'dev' in dependency_groups",
            };
            for release in 0..package.releases.len() {
                let (wheels, sdist) = self.files(index, release);
                let file = |name: String| {
                    format!("{{ url = \"https://files.test/{name}\", hashes = {{ sha256 = \"{hash}\" }} }}")
                };
                // A package without any file is none in this format.
                let sdist = sdist.or_else(|| wheels.is_empty().then(|| format!("package-{index}.zip")));
                let sdist = sdist.map_or_else(String::new, |sdist| format!("sdist = {}\n", file(sdist)));
                let marker = both(part, &both(MARKERS[package.marker], self.fork_marker(index, release)));
                let marker = if marker.is_empty() { marker } else { format!("marker = \"{marker}\"\n") };
                entries.push(format!(
                    "[[packages]]\nname = \"{}\"\nversion = \"{}\"\n{marker}{sdist}wheels = [{}]\n",
                    name(index),
                    version(release),
                    order.apply(wheels.into_iter().map(file).collect()).join(", "),
                ));
            }
        }
        let requires_python = REQUIRES_PYTHON[self.requires_python];
        format!(
            "lock-version = \"1.0\"\ncreated-by = \"test\"\nrequires-python = \"{requires_python}\"\n\
             extras = [\"x\"]\ndependency-groups = [\"dev\"]\n{}",
            order.apply(entries).concat()
        )
    }
}

fn roots(extra: bool, group: bool) -> Roots {
    let listed = |chosen: bool, name: &str| chosen.then(|| name.to_owned()).into_iter().collect::<Vec<_>>();
    Roots {
        extras: Wanted::Listed(listed(extra, "x").iter().map(|name| name.parse().expect("extra")).collect()),
        groups: Wanted::Listed(listed(group, "dev").iter().map(|name| name.parse().expect("group")).collect()),
        ..Roots::default()
    }
}

fn target(platform: &str, python: &str) -> Target {
    Target { platform: platform.parse().expect("platform"), python: python.parse().expect("Python") }
}

fn selected(lock: &Lock, roots: &Roots, platform: &str, python: &str) -> Result<Selection, SelectError> {
    select(lock, std::slice::from_ref(roots), target(platform, python))
}

/// The chosen file of every package, by name; its version if it has none.
fn files(selection: &Selection) -> BTreeMap<String, String> {
    let missing = selection.problems().iter().map(|problem| {
        let version = problem.version.as_ref().map(ToString::to_string);
        (problem.name.to_string(), format!("nothing of {version:?}"))
    });
    let chosen = selection.packages.iter().map(|selected| {
        let file = match &selected.distribution {
            Distribution::Wheel(wheel, tag) => format!("{} by {tag}", wheel.file),
            Distribution::Sdist(sdist) => sdist.file.clone(),
            Distribution::Local(path) | Distribution::DependenciesOnly(path) => path.display().to_string(),
            Distribution::Git(url) => url.clone(),
        };
        (selected.name.to_string(), file)
    });
    missing.chain(chosen).collect()
}

/// Everything that a selection says, or of what kind its error is.
fn outcome(result: &Result<Selection, SelectError>) -> String {
    match result {
        Ok(selection) => {
            let problems: Vec<_> =
                selection.problems().iter().map(|problem| (&problem.name, &problem.remedy)).collect();
            let names: Vec<_> = selection.packages.iter().map(|selected| &selected.name).collect();
            format!("{:?} {names:?} {problems:?} {:?} {:?}", files(selection), selection.python, selection.libc)
        }
        Err(error) => format!("{:?}", std::mem::discriminant(error)),
    }
}

fn wheels(selection: &Selection) -> BTreeSet<String> {
    let wheels = selection.packages.iter().filter(|selected| matches!(selected.distribution, Distribution::Wheel(..)));
    wheels.map(|selected| selected.name.to_string()).collect()
}

/// Whether every package of the one is in the other, with the same file.
fn is_part_of(one: &Selection, other: &Selection) -> bool {
    let (one, other) = (files(one), files(other));
    one.iter().all(|(name, file)| other.get(name) == Some(file))
}

/// So many random locks, unless `PROPTEST_CASES` asks for another number.
fn cases(cases: u32) -> ProptestConfig {
    let asked_for = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    ProptestConfig { cases: asked_for.unwrap_or(cases), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn a_newer_glibc_never_removes_a_package(
        model in models(), kind in kinds(), extra: bool, group: bool, python in prop::sample::select(vec!["3.11", "3.11.5", "3.12"]),
    ) {
        let lock = model.read(kind, Order(0));
        let roots = roots(extra, group);
        let glibcs = ["x86_64-manylinux1", "x86_64-manylinux2014", "x86_64-manylinux_2_28", "x86_64-manylinux_2_39"];
        let selections: Result<Vec<_>, _> =
            glibcs.into_iter().map(|platform| selected(&lock, &roots, platform, python)).collect();
        prop_assume!(selections.is_ok());
        for pair in selections.expect("just checked").windows(2) {
            let [older, newer] = pair else { unreachable!("windows of two") };
            prop_assert!(files(older).keys().eq(files(newer).keys()), "{older:?} {newer:?}");
            prop_assert!(wheels(older).is_subset(&wheels(newer)), "{older:?} {newer:?}");
        }
    }

    #[test]
    fn order_never_matters(model in models(), kind in kinds(), extra: bool, group: bool, seed in 1_u64..) {
        let lock = model.read(kind, Order(0));
        let shuffled = model.read(kind, Order(seed));
        let roots = roots(extra, group);
        for (platform, python) in [(X86_64, "3.11"), ("x86_64-musllinux_1_2", "3.12"), (X86_64, "3.13t"), (X86_64, "3.11.4")] {
            let one = selected(&lock, &roots, platform, python);
            let other = selected(&shuffled, &roots, platform, python);
            prop_assert_eq!(outcome(&one), outcome(&other));
        }
    }

    #[test]
    fn a_range_has_everything_that_its_releases_have(model in models(), kind in kinds(), extra: bool, group: bool) {
        let lock = model.read(kind, Order(0));
        let roots = roots(extra, group);
        let range = selected(&lock, &roots, X86_64, "3.11");
        let exact: Vec<Selection> = PATCHES
            .iter()
            .filter_map(|patch| selected(&lock, &roots, X86_64, &format!("3.11.{patch}")).ok())
            .collect();
        match range {
            Ok(range) => {
                prop_assert!(!exact.is_empty());
                for exact in &exact {
                    prop_assert!(is_part_of(exact, &range), "{exact:?} is no part of {range:?}");
                }
                let all: BTreeSet<String> = exact.iter().flat_map(|exact| files(exact).into_keys()).collect();
                prop_assert!(files(&range).into_keys().eq(all), "{range:?} has more than all releases together");
            }
            Err(SelectError::SeveralVersions { name, exact_python_decides, .. }) => {
                let chosen: BTreeSet<_> =
                    exact.iter().filter_map(|exact| files(exact).remove(name.as_str())).collect();
                prop_assert!(chosen.len() > 1, "every release chooses the same of {name}");
                let python = exact_python_decides.expect("no release needs both").to_string();
                let decided = selected(&lock, &roots, X86_64, &python);
                prop_assert!(decided.is_ok(), "{python} decides nothing: {decided:?}");
            }
            Err(error) => prop_assert!(false, "{error}"),
        }
    }

    #[test]
    fn names_are_sorted_and_unique(
        model in models(),
        kind in kinds(),
        extra: bool,
        group: bool,
        seed: u64,
        python in prop::sample::select(vec!["3.11", "3.11.5", "3.13t"]),
    ) {
        let selection = selected(&model.read(kind, Order(seed)), &roots(extra, group), X86_64, python);
        prop_assume!(selection.is_ok());
        let selection = selection.expect("just checked");
        let names: Vec<_> = selection.packages.iter().map(|selected| &selected.name).collect();
        prop_assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
        let problems: Vec<_> = selection.problems().iter().map(|problem| &problem.name).collect();
        prop_assert!(problems.is_sorted_by(|a, b| a < b), "{problems:?}");
    }

    #[test]
    fn reading_twice_gives_the_same(model in models(), kind in kinds(), extra: bool, group: bool) {
        let (one, other) = (model.read(kind, Order(0)), model.read(kind, Order(0)));
        prop_assert_eq!(format!("{one:?}"), format!("{other:?}"));
        let roots = roots(extra, group);
        let one = selected(&one, &roots, X86_64, "3.11");
        let other = selected(&other, &roots, X86_64, "3.11");
        prop_assert_eq!(format!("{one:?}"), format!("{other:?}"));
    }

    #[test]
    fn extras_and_groups_only_add(model in models(), kind in kinds(), extra: bool, group: bool, python in prop::sample::select(vec!["3.11", "3.11.5", "3.12"])) {
        let lock = model.read(kind, Order(0));
        let with = selected(&lock, &roots(true, true), X86_64, python);
        let without = selected(&lock, &roots(extra, group), X86_64, python);
        prop_assume!(with.is_ok());
        // What is enough for less cannot be too little for more.
        prop_assert!(without.is_ok(), "{without:?}");
        prop_assert!(is_part_of(&without.expect("just checked"), &with.expect("just checked")));
    }
}

proptest! {
    #![proptest_config(cases(12))]

    #[test]
    fn every_interpreter_of_the_claim_gets_what_was_selected(
        model in models(), kind in kinds(), extra: bool, group: bool, python in prop::sample::select(vec!["3.11", "3.11.5", "3.12"]),
    ) {
        let lock = model.read(kind, Order(0));
        let roots = roots(extra, group);
        let selection = selected(&lock, &roots, X86_64, python);
        prop_assume!(selection.is_ok());
        let selection = selection.expect("just checked");
        prop_assert!(!selection.python.ranges.is_empty());
        for range in &selection.python.ranges {
            let (major, minor) = range.version;
            let last = range.patch_max.unwrap_or(range.patch_min + 1);
            for patch in [range.patch_min, u32::midpoint(range.patch_min, last), last] {
                let exact = selected(&lock, &roots, X86_64, &format!("{major}.{minor}.{patch}"));
                prop_assert!(exact.is_ok(), "{exact:?}");
                let exact = exact.expect("just checked");
                prop_assert!(is_part_of(&exact, &selection), "{major}.{minor}.{patch}: {exact:?} is no part of {selection:?}");
                if python == "3.11.5" && range.version == (3, 11) {
                    prop_assert_eq!(files(&exact), files(&selection));
                }
            }
        }
    }
}
