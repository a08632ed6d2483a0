//! The vocabulary of Python packaging, and the one place that knows where it comes from.
//!
//! Version order, markers, tags, wheel file names and name normalisation are uv's own crates. They make no
//! promise of stability, so the rest of the program uses only what this module exports.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::str::FromStr;
use std::sync::Arc;

pub use uv_distribution_filename::{BuildTag, WheelFilename};
pub use uv_normalize::{ExtraName, GroupName, PackageName};
pub use uv_pep440::{Version, VersionSpecifier, VersionSpecifiers};
pub use uv_pep508::MarkerEnvironment;
pub use uv_platform_tags::{Tags, TagsError};

use bundle_launcher::{Libc, LibcFamily};
use uv_pep508::{MarkerEnvironmentBuilder, MarkerTree};
use uv_platform_tags::{
    AbiTag, Arch as TagArch, IncompatibleTag, LanguageTag, Os, Platform as TagPlatform, PlatformTag, TagCompatibility,
    TagPriority, TagsOptions,
};
use version_ranges::Ranges;

use crate::platform::{Arch, Platform, library_name};

/// Extras or groups that are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted<T> {
    /// These, which have to exist.
    Listed(Vec<T>),
    /// Every one that there is.
    All,
}

impl<T> Default for Wanted<T> {
    fn default() -> Self {
        Self::Listed(Vec::new())
    }
}

impl<T: PartialEq> Wanted<T> {
    /// Whether this one is asked for.
    pub fn includes(&self, item: &T) -> bool {
        match self {
            Self::Listed(items) => items.contains(item),
            Self::All => true,
        }
    }
}

/// Versions that satisfy one of several sets of comparisons; Poetry writes them with `||`.
#[derive(Debug, Clone)]
pub struct VersionRange {
    alternatives: Vec<VersionSpecifiers>,
}

impl VersionRange {
    /// Every version.
    pub fn any() -> Self {
        VersionSpecifiers::empty().into()
    }

    /// What one of these allows; none at all allow nothing.
    pub fn any_of(alternatives: Vec<VersionSpecifiers>) -> Self {
        Self { alternatives }
    }

    /// Whether a version satisfies it.
    pub fn contains(&self, version: &Version) -> bool {
        self.alternatives.iter().any(|specifiers| specifiers.contains(version))
    }

    /// The lowest version that a comparison names as a lower bound.
    pub fn lower_bound(&self) -> Option<&Version> {
        let bound = |specifiers: &VersionSpecifiers| -> Option<Version> {
            specifiers
                .iter()
                .filter(|specifier| specifier.has_lower_bound())
                .map(VersionSpecifier::version)
                .max()
                .cloned()
        };
        let lowest = self.alternatives.iter().filter_map(bound).min()?;
        self.alternatives
            .iter()
            .flat_map(|specifiers| specifiers.iter())
            .map(VersionSpecifier::version)
            .find(|version| **version == lowest)
    }

    /// The marker that holds for an interpreter of one of these versions.
    pub fn python_marker(&self) -> String {
        let alternatives: Vec<String> = self
            .alternatives
            .iter()
            .map(|specifiers| {
                let comparisons: Vec<String> = specifiers.iter().map(python_comparison).collect();
                if comparisons.is_empty() { "python_version >= '0'".to_owned() } else { comparisons.join(" and ") }
            })
            .collect();
        alternatives.join(" or ")
    }
}

fn python_comparison(specifier: &VersionSpecifier) -> String {
    let text = specifier.to_string();
    let digits = text.find(|character: char| character.is_ascii_alphanumeric()).unwrap_or_default();
    let (operator, version) = text.split_at(digits);
    format!("python_full_version {operator} '{version}'")
}

impl From<VersionSpecifiers> for VersionRange {
    fn from(specifiers: VersionSpecifiers) -> Self {
        Self { alternatives: vec![specifiers] }
    }
}

impl std::fmt::Display for VersionRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let texts: Vec<String> = self.alternatives.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join(" || "))
    }
}

/// Whether every version that satisfies some comparisons satisfies others too.
pub fn is_narrower(versions: &VersionSpecifiers, than: &VersionSpecifiers) -> bool {
    let ranges = |specifiers: &VersionSpecifiers| Ranges::<Version>::from(specifiers.clone());
    ranges(versions).subset_of(&ranges(than))
}

/// The group that tools install by default, and that was there before groups had names.
pub fn dev_group() -> GroupName {
    "dev".parse().expect("`dev` is a valid group name")
}

/// A version of the same release in another epoch.
pub fn with_epoch(version: &Version, epoch: u64) -> Version {
    if epoch == 0 { version.clone() } else { format!("{epoch}!{version}").parse().expect("an epoch and a version") }
}

/// A marker under the assumption that an extra is active.
pub fn assume_extra(marker: &Marker, extra: &ExtraName) -> Marker {
    Marker(marker.0.map(&|tree| tree.simplify_extras(std::slice::from_ref(extra))))
}

/// Name, extras, version range and marker of a requirement such as `requests[socks] >=2 ; python_version < '4'`.
pub fn parse_requirement(text: &str) -> Result<Requirement, String> {
    // A URL may have a semicolon in it; one that ends it has a space before it.
    let end = if text.split(';').next().is_some_and(|start| start.contains('@')) { " ;" } else { ";" };
    let (requirement, marker) = text.split_once(end).unwrap_or((text, ""));
    let marker = if marker.trim().is_empty() { Marker::TRUE } else { parse_marker(marker.trim())? };
    let parsed: uv_pep508::Requirement =
        requirement.parse().map_err(|error: uv_pep508::Pep508Error| error.message.to_string())?;
    let range = match parsed.version_or_url {
        Some(uv_pep508::VersionOrUrl::VersionSpecifier(specifiers)) => specifiers.into(),
        Some(uv_pep508::VersionOrUrl::Url(_)) | None => VersionRange::any(),
    };
    Ok(Requirement { name: parsed.name, extras: parsed.extras.into_vec(), range, marker })
}

/// A parsed requirement.
#[derive(Debug)]
pub struct Requirement {
    /// What is required.
    pub name: PackageName,
    /// With which extras.
    pub extras: Vec<ExtraName>,
    /// In which versions; any for a URL.
    pub range: VersionRange,
    /// When.
    pub marker: Marker,
}

/// The deepest nesting of parentheses that a marker may have; real ones have a handful, and the parser recurses.
const MAX_MARKER_DEPTH: usize = 200;

/// Parses an environment marker such as `python_full_version < '3.11.3'`.
pub fn parse_marker(text: &str) -> Result<Marker, String> {
    let mut depth = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_MARKER_DEPTH {
            return Err(format!("it has more than {MAX_MARKER_DEPTH} nested parentheses"));
        }
    }
    formula(text).map(Marker)
}

/// The most comparisons that are made into one decision diagram.
const MAX_DIAGRAM_COMPARISONS: usize = 12;

/// An environment marker.
///
/// uv's type is a decision diagram, and the diagram of a marker can double in size with every second comparison:
/// 700 bytes may ask for gigabytes. So only short markers become one diagram, and longer ones stay the formula
/// that they are, over diagrams of their parts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Marker(Formula);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Formula {
    Diagram(MarkerTree),
    All(Arc<[Formula]>),
    Any(Arc<[Formula]>),
}

impl Marker {
    /// What always holds.
    pub const TRUE: Self = Self(Formula::Diagram(MarkerTree::TRUE));

    /// Holds where both do.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::TRUE, one) | (one, Self::TRUE) => one,
            (one, other) => Self(Formula::All(Arc::new([one.0, other.0]))),
        }
    }

    /// Whether it holds in an environment with these extras.
    pub fn evaluate(&self, environment: &MarkerEnvironment, extras: &[ExtraName]) -> bool {
        self.0.holds(&|tree| tree.evaluate(environment, extras))
    }
}

impl Formula {
    fn holds(&self, evaluate: &impl Fn(MarkerTree) -> bool) -> bool {
        match self {
            Self::Diagram(tree) => evaluate(*tree),
            Self::All(parts) => parts.iter().all(|part| part.holds(evaluate)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(evaluate)),
        }
    }

    fn map(&self, change: &impl Fn(MarkerTree) -> MarkerTree) -> Self {
        match self {
            Self::Diagram(tree) => Self::Diagram(change(*tree)),
            Self::All(parts) => Self::All(parts.iter().map(|part| part.map(change)).collect()),
            Self::Any(parts) => Self::Any(parts.iter().map(|part| part.map(change)).collect()),
        }
    }
}

/// Splits a marker at its outermost `or`, else `and`, until the parts are small.
fn formula(text: &str) -> Result<Formula, String> {
    let tokens = outermost(text);
    if tokens.comparisons <= MAX_DIAGRAM_COMPARISONS {
        return MarkerTree::from_str(text).map(Formula::Diagram).map_err(|error| error.message.to_string());
    }
    if !tokens.ors.is_empty() {
        let mut parts = Vec::new();
        for piece in pieces(text, &tokens.ors) {
            let part = formula(piece)?;
            // uv passes over a comparison that makes no sense; alone, it comes back as true.
            let is_ignored = part == Marker::TRUE.0 && outermost(piece).ands.is_empty() && !piece.contains('(');
            if !is_ignored {
                parts.push(part);
            }
        }
        return Ok(if parts.is_empty() { Marker::TRUE.0 } else { Formula::Any(parts.into()) });
    }
    if !tokens.ands.is_empty() {
        let parts = pieces(text, &tokens.ands).map(formula).collect::<Result<Vec<_>, _>>()?;
        return Ok(Formula::All(parts.into()));
    }
    match text.trim().strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(inner) => formula(inner),
        None => Err("`and` or `or` is missing between its comparisons".to_owned()),
    }
}

/// What is left of a text without some stretches of it.
fn pieces<'a>(text: &'a str, without: &[(usize, usize)]) -> impl Iterator<Item = &'a str> {
    let starts = std::iter::once(0).chain(without.iter().map(|(_, end)| *end));
    let ends = without.iter().map(|(start, _)| *start).chain([text.len()]);
    starts.zip(ends).map(|(start, end)| &text[start..end])
}

/// What a marker has outside of parentheses.
#[derive(Default)]
struct Outermost {
    /// Where each `or` stands, from start to end.
    ors: Vec<(usize, usize)>,
    /// Where each `and` stands.
    ands: Vec<(usize, usize)>,
    /// How many comparisons there are, inside of parentheses too: each has one string.
    comparisons: usize,
}

fn outermost(text: &str) -> Outermost {
    let bytes = text.as_bytes();
    let mut found = Outermost::default();
    let mut depth = 0_usize;
    let mut start = 0;
    while let Some(&first) = bytes.get(start) {
        let rest = &bytes[start..];
        let length = match first {
            b'\'' | b'"' => {
                found.comparisons += 1;
                rest[1..].iter().position(|byte| *byte == first).map_or(rest.len(), |end| end + 2)
            }
            _ => rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(byte)).count().max(1),
        };
        let end = start + length;
        let ends_here = bytes.get(end).is_none_or(u8::is_ascii_whitespace);
        match &bytes[start..end] {
            b"(" => depth += 1,
            b")" => depth = depth.saturating_sub(1),
            b"or" if depth == 0 && ends_here => found.ors.push((start, end)),
            b"and" if depth == 0 && ends_here => found.ands.push((start, end)),
            _ => {}
        }
        start = end;
    }
    found
}

/// The tags that an interpreter on a platform accepts, best first.
pub fn tags_for(platform: &Platform, python: (u8, u8), free_threaded: bool) -> Result<Tags, TagsError> {
    let Libc { family, major, minor } = platform.libc;
    let os = match family {
        LibcFamily::Glibc => Os::Manylinux { major, minor },
        LibcFamily::Musl => Os::Musllinux { major, minor },
    };
    let arch = match platform.arch {
        Arch::X86_64 => TagArch::X86_64,
        Arch::Aarch64 => TagArch::Aarch64,
    };
    let options =
        TagsOptions { manylinux_compatible: true, gil_disabled: free_threaded, debug_enabled: false, is_cross: true };
    Tags::from_env(TagPlatform::new(os, arch), python, "cpython", python, options)
}

/// The marker environment of CPython `major.minor.patch` on Linux.
///
/// `platform_release` and `platform_version` describe a kernel that nobody knows yet; they are empty, as in uv.
pub fn marker_environment(arch: Arch, (major, minor, patch): (u8, u8, u32)) -> MarkerEnvironment {
    let full_version = format!("{major}.{minor}.{patch}");
    MarkerEnvironment::try_from(MarkerEnvironmentBuilder {
        implementation_name: "cpython",
        implementation_version: &full_version,
        os_name: "posix",
        platform_machine: arch.name(),
        platform_python_implementation: "CPython",
        platform_release: "",
        platform_system: "Linux",
        platform_version: "",
        python_full_version: &full_version,
        python_version: &format!("{major}.{minor}"),
        sys_platform: "linux",
    })
    .expect("three numbers make a version")
}

/// Evaluates a marker of a `pylock.toml`, which may ask what is in `extras` and `dependency_groups`.
pub fn evaluate_with_choices(
    marker: &Marker,
    environment: &MarkerEnvironment,
    extras: &[ExtraName],
    groups: &[GroupName],
) -> bool {
    marker.0.holds(&|tree| tree.evaluate_pep751(environment, extras, groups))
}

/// How good a wheel is for a target; greater is better in both.
#[derive(Debug, Clone)]
pub struct WheelRank {
    /// Its best tag.
    pub tag: TagPriority,
    /// Its build tag; none is the lowest.
    pub build: Option<BuildTag>,
}

/// Which part of a wheel's tags keeps it from a target; ordered from the furthest miss to the nearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Axis {
    /// The Python version or implementation.
    Python,
    /// The ABI, e.g. free-threaded or not.
    Abi,
    /// The operating system, architecture or C library.
    Platform,
}

impl Axis {
    /// The name that messages and JSON use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Abi => "abi",
            Self::Platform => "platform",
        }
    }
}

/// Ranks a wheel for a set of accepted tags, or says which axis fails.
///
/// uv and pip compare tags first, then build tags; Poetry the other way round.
pub fn rank_wheel(wheel: &WheelFilename, tags: &Tags) -> Result<WheelRank, Axis> {
    match wheel.compatibility(tags) {
        TagCompatibility::Compatible(tag) => Ok(WheelRank { tag, build: wheel.build_tag().cloned() }),
        TagCompatibility::Incompatible(reason) => Err(match reason {
            IncompatibleTag::Invalid | IncompatibleTag::Python => Axis::Python,
            // `cp38-cp38` meets an accepted Python tag in `cp38-abi3`; what it lacks is still the Python version.
            IncompatibleTag::Abi if !tags.python_tag().is_some_and(|tag| wheel.python_tags().contains(&tag)) => {
                Axis::Python
            }
            IncompatibleTag::Abi | IncompatibleTag::FreethreadedAbi | IncompatibleTag::AbiPythonVersion => Axis::Abi,
            IncompatibleTag::Platform => Axis::Platform,
        }),
    }
}

/// One concrete tag of a wheel.
type Tag<'a> = (&'a LanguageTag, &'a AbiTag, &'a PlatformTag);

/// Every tag of a wheel's compressed set.
fn expand(wheel: &WheelFilename) -> impl Iterator<Item = Tag<'_>> {
    wheel.python_tags().iter().flat_map(move |python| {
        wheel
            .abi_tags()
            .iter()
            .flat_map(move |abi| wheel.platform_tags().iter().map(move |platform| (python, abi, platform)))
    })
}

/// The tag by which a wheel was chosen, e.g. `cp311-cp311-manylinux_2_17_x86_64`; `None` if none fits.
pub fn best_tag(wheel: &WheelFilename, tags: &Tags) -> Option<String> {
    expand(wheel)
        .filter_map(|(python, abi, platform)| match tags.compatibility_tag(python, abi, platform) {
            TagCompatibility::Compatible(priority) => Some((priority, (python, abi, platform))),
            TagCompatibility::Incompatible(_) => None,
        })
        .max_by_key(|(priority, _)| *priority)
        .map(|(_, (python, abi, platform))| format!("{python}-{abi}-{platform}"))
}

/// What a wheel offers on the axis that fails: the tags that a report lists.
pub fn offers(wheel: &WheelFilename, axis: Axis) -> Vec<String> {
    match axis {
        Axis::Python => wheel.python_tags().iter().map(ToString::to_string).collect(),
        Axis::Abi => expand(wheel).map(|(python, abi, _)| format!("{python}-{abi}")).collect(),
        Axis::Platform => wheel.platform_tags().iter().map(ToString::to_string).collect(),
    }
}

/// The versions of Python that wheels name, ascending; `py3` names none.
pub fn pythons<'a>(wheels: impl Iterator<Item = &'a WheelFilename>) -> Vec<(u8, u8)> {
    let version = |tag: &LanguageTag| match tag {
        LanguageTag::CPython { python_version } => Some(*python_version),
        LanguageTag::Python { major, minor: Some(minor) } => Some((*major, *minor)),
        _ => None,
    };
    let versions: BTreeSet<(u8, u8)> = wheels.flat_map(WheelFilename::python_tags).filter_map(version).collect();
    versions.into_iter().collect()
}

/// The systems that wheels are for, in words: `glibc (aarch64, x86_64)`, `macOS`, `Windows`.
pub fn systems<'a>(wheels: impl Iterator<Item = &'a WheelFilename>) -> Vec<String> {
    let mut linux: BTreeMap<&'static str, BTreeSet<&'static str>> = BTreeMap::new();
    let mut others: BTreeSet<&'static str> = BTreeSet::new();
    let arch = |tag: &PlatformTag| {
        let text = tag.to_string();
        KNOWN_ARCHES.into_iter().find(|arch| text.ends_with(arch)).unwrap_or("other machines")
    };
    for tag in wheels.flat_map(WheelFilename::platform_tags) {
        match (libc_of(tag), tag) {
            (Some(libc), _) => {
                linux.entry(library_name(libc.family)).or_default().insert(arch(tag));
            }
            (None, PlatformTag::Win32 | PlatformTag::WinAmd64 | PlatformTag::WinArm64 | PlatformTag::WinIa64) => {
                others.insert("Windows");
            }
            (None, PlatformTag::Linux { .. }) => {
                linux.entry("Linux").or_default().insert(arch(tag));
            }
            (None, tag) => {
                others.insert(tag.pretty().unwrap_or("other systems"));
            }
        }
    }
    let with_arches = |(family, arches): (&str, BTreeSet<&str>)| {
        format!("{family} ({})", arches.into_iter().collect::<Vec<_>>().join(", "))
    };
    linux.into_iter().map(with_arches).chain(others.into_iter().map(str::to_owned)).collect()
}

/// The ends of platform tags for Linux.
const KNOWN_ARCHES: [&str; 9] =
    ["x86_64", "aarch64", "i686", "armv7l", "armv6l", "ppc64le", "ppc64", "s390x", "riscv64"];

/// What a wheel ties an artifact to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WheelNeeds {
    /// The C library and the lowest version of it that one of the wheel's tags accepts.
    pub libc: Option<Libc>,
    /// Whether the wheel works on one minor version of Python only.
    pub one_python: bool,
    /// Whether the wheel needs the free-threaded build (`true`), the usual one (`false`), or either (`None`).
    pub free_threaded: Option<bool>,
}

/// Works out what a wheel needs at run time, from the tags of it that fit the target.
pub fn wheel_needs(wheel: &WheelFilename, tags: &Tags) -> WheelNeeds {
    let mut needs = WheelNeeds { libc: None, one_python: true, free_threaded: None };
    let mut lowest: Option<Libc> = None;
    let mut any_platform = false;
    for (python, abi, platform) in expand(wheel) {
        if !tags.compatibility_tag(python, abi, platform).is_compatible() {
            continue;
        }
        needs.one_python &= !(matches!(abi, AbiTag::Abi3 | AbiTag::Abi3T)
            || (matches!(abi, AbiTag::None) && matches!(python, LanguageTag::Python { minor: None, .. })));
        needs.free_threaded = match abi {
            AbiTag::None => needs.free_threaded,
            _ => Some(tags.is_freethreaded()),
        };
        match platform {
            PlatformTag::Any => any_platform = true,
            _ => {
                if let Some(libc) = libc_of(platform) {
                    lowest = Some(lowest.map_or(libc, |lowest| lowest.min(libc)));
                }
            }
        }
    }
    if !any_platform {
        needs.libc = lowest;
    }
    needs
}

/// Whether a wheel has a `linux_<arch>` tag, which promises nothing about the C library.
pub fn has_bare_linux_tag(wheel: &WheelFilename) -> bool {
    wheel.platform_tags().iter().any(|tag| matches!(tag, PlatformTag::Linux { .. }))
}

fn libc_of(tag: &PlatformTag) -> Option<Libc> {
    let glibc = |major, minor| Some(Libc { family: LibcFamily::Glibc, major, minor });
    match tag {
        PlatformTag::Manylinux { major, minor, .. } => glibc(*major, *minor),
        PlatformTag::Manylinux1 { .. } => glibc(2, 5),
        PlatformTag::Manylinux2010 { .. } => glibc(2, 12),
        PlatformTag::Manylinux2014 { .. } => glibc(2, 17),
        PlatformTag::Musllinux { major, minor, .. } => {
            Some(Libc { family: LibcFamily::Musl, major: *major, minor: *minor })
        }
        _ => None,
    }
}

/// A requirement as it is written down, in parts that can be compared.
#[derive(Debug)]
pub struct Declaration {
    /// What is required.
    pub name: PackageName,
    /// With which extras.
    pub extras: Vec<ExtraName>,
    /// In which versions, or from which URL.
    pub asked: Asked,
    /// When.
    pub marker: ComparableMarker,
}

/// What a requirement asks for.
#[derive(Debug)]
pub enum Asked {
    /// Versions from an index.
    Versions(VersionSpecifiers),
    /// What is at a URL, which may have credentials.
    Url(String),
}

impl Declaration {
    /// Reads a requirement; `None` if it is none, or if its marker is too long to compare.
    pub fn parse(text: &str) -> Option<Self> {
        if !ComparableMarker::is_short(text) {
            return None;
        }
        let parsed: uv_pep508::Requirement = text.parse().ok()?;
        let asked = match parsed.version_or_url {
            None => Asked::Versions(VersionSpecifiers::empty()),
            Some(uv_pep508::VersionOrUrl::VersionSpecifier(specifiers)) => Asked::Versions(specifiers),
            Some(uv_pep508::VersionOrUrl::Url(url)) => {
                Asked::Url(url.to_url().displayable_with_credentials().to_string())
            }
        };
        let marker = ComparableMarker(parsed.marker);
        Some(Self { name: parsed.name, extras: parsed.extras.into_vec(), asked, marker })
    }
}

/// The most comparisons of a marker that is compared: its decision diagram can double with every second one.
const MAX_COMPARED: usize = 12;

/// A marker of which it can be told whether another one means the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ComparableMarker(uv_pep508::MarkerTree);

impl ComparableMarker {
    /// What always holds.
    pub const TRUE: Self = Self(uv_pep508::MarkerTree::TRUE);

    /// Reads a marker; `None` if it is none, or too long.
    pub fn parse(text: &str) -> Option<Self> {
        if Self::is_short(text) { text.parse().ok().map(Self) } else { None }
    }

    /// Each comparison has one string, in quotes.
    fn is_short(text: &str) -> bool {
        text.bytes().filter(|byte| matches!(byte, b'\'' | b'"')).count() <= 2 * MAX_COMPARED
            && text.bytes().filter(|byte| *byte == b'(').count() <= MAX_MARKER_DEPTH
    }

    /// The marker that holds under an extra only.
    pub fn of_extra(extra: &ExtraName) -> Self {
        Self(format!("extra == '{extra}'").parse().expect("a comparison with a valid name"))
    }

    /// The marker that holds for an interpreter of one of these versions.
    pub fn of_python(versions: VersionSpecifiers) -> Option<Self> {
        Self::parse(&VersionRange::from(versions).python_marker())
    }

    /// Holds where both do.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0.and(other.0))
    }

    /// Holds where one of them does.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0.or(other.0))
    }

    /// Whether it holds only where the other one does.
    pub fn implies(self, other: Self) -> bool {
        self.and(other.negate()).is_false()
    }

    /// Holds where this one does not.
    #[must_use]
    pub fn negate(self) -> Self {
        Self(self.0.negate())
    }

    /// Whether it never holds.
    pub fn is_false(self) -> bool {
        self.0.is_false()
    }

    /// The extra without which it does not hold.
    pub fn extra(self) -> Option<ExtraName> {
        self.0.top_level_extra_name().map(std::borrow::Cow::into_owned)
    }

    /// What is left to say where the extra is active; `None` if that is nothing.
    pub fn shown_without(self, extra: Option<&ExtraName>) -> Option<String> {
        self.0.simplify_extras(extra.map(std::slice::from_ref).unwrap_or_default()).try_to_string()
    }
}

/// The lowest and the highest Python that a project allows, by release numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonBounds {
    lower: Bound<Version>,
    upper: Bound<Version>,
}

impl PythonBounds {
    /// The bounds of what all of these allow; `None` if that is nothing.
    pub fn of<'a>(all: impl IntoIterator<Item = &'a VersionSpecifiers>) -> Option<Self> {
        let ranges = all.into_iter().map(|specifiers| uv_pep440::release_specifiers_to_ranges(specifiers.clone()));
        let range = ranges.reduce(|range, other| range.intersection(&other))?;
        let (lower, upper) = range.bounding_range()?;
        Some(Self { lower: lower.cloned(), upper: upper.cloned() })
    }

    /// A marker without what these bounds make certain, as uv writes it into a lock.
    pub fn simplify(&self, marker: ComparableMarker) -> ComparableMarker {
        ComparableMarker(marker.0.simplify_python_versions(self.lower.as_ref(), self.upper.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(filename: &str, platform: &str, python: (u8, u8)) -> WheelNeeds {
        let tags = tags_for(&platform.parse().expect("platform"), python, false).expect("tags");
        wheel_needs(&filename.parse().expect("wheel"), &tags)
    }

    #[test]
    fn the_lowest_tag_is_the_floor() {
        let wheel = "orjson-3.10.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl";
        let needs = needs(wheel, "x86_64-manylinux_2_28", (3, 11));
        assert_eq!(needs.libc, Some(Libc { family: LibcFamily::Glibc, major: 2, minor: 17 }));
        assert!(needs.one_python);
        assert_eq!(needs.free_threaded, Some(false));
    }

    #[test]
    fn long_markers_hold_where_their_parts_do() {
        let environment = marker_environment(Arch::X86_64, (3, 11, 4));
        let holds = |text: &str, extras: &[&str]| {
            let extras: Vec<ExtraName> = extras.iter().map(|extra| extra.parse().expect("extra")).collect();
            parse_marker(text).expect(text).evaluate(&environment, &extras)
        };
        let pairs: Vec<String> = (0..500).map(|i| format!("(extra == 'a{i}' and extra == 'b{i}')")).collect();
        let any = pairs.join(" or ");
        assert!(holds(&any, &["a7", "b7"]));
        assert!(!holds(&any, &["a7", "b8"]));
        let all = format!("(({any})) and python_full_version < '3.11.5'and (sys_platform == 'linux' or ({any}))");
        assert!(holds(&all, &["a7", "b7"]));
        assert!(!holds(&all.replace("3.11.5", "3.11.4"), &["a7", "b7"]));
        assert!(holds(&format!("{all} or os_name == 'posix'"), &[]));
        assert!(!holds(&format!("{all} or os_name == ' or '"), &[]));
        assert!(!holds(&format!("{all} or os_name == sys_platform or 'a' == 'b'"), &[]));
    }

    #[test]
    fn long_markers_that_are_none_are_refused() {
        let any = (0..30).map(|i| format!("extra == 'a{i}'")).collect::<Vec<_>>().join(" or ");
        for text in [
            any.replace(" or ", " "),
            format!("({any}"),
            format!("{any})"),
            format!("({any}) ({any})"),
            format!("{any} or"),
            format!("and {any}"),
            format!("{any} or os_name == 'posix"),
            any.replacen('=', "?", 1),
        ] {
            assert!(parse_marker(&text).is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn requirements_have_markers() {
        let requirement = parse_requirement("lib[fast] (>=1,<2) ; os_name == ';'").expect("requirement");
        assert_eq!(requirement.marker, parse_marker("os_name == ';'").expect("marker"));
        let requirement = parse_requirement("lib @ https://files.test/a;b.whl ; os_name == 'nt'").expect("requirement");
        assert_eq!(requirement.marker, parse_marker("os_name == 'nt'").expect("marker"));
        assert_eq!(parse_requirement("lib").expect("requirement").marker, Marker::TRUE);
    }

    #[test]
    fn pure_and_stable_abi_wheels_are_not_tied_to_one_python() {
        let pure = needs("anyio-4.12.0-py3-none-any.whl", "x86_64-manylinux2014", (3, 11));
        assert_eq!(pure, WheelNeeds { libc: None, one_python: false, free_threaded: None });
        let stable = needs("pymupdf-1.25.0-cp39-abi3-manylinux2014_x86_64.whl", "x86_64-manylinux2014", (3, 11));
        assert!(!stable.one_python);
        let tied = needs("six-1.0-py311-none-any.whl", "x86_64-manylinux2014", (3, 11));
        assert!(tied.one_python);
    }
}
