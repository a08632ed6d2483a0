//! Requirements in the form in which two of them can be compared: those of a lock and those of a manifest.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

use url::Url;

use crate::lock::recorded::RequirementRecord;
use crate::packaging::{
    Asked, ComparableMarker, Declaration, ExtraName, PackageName, PythonBounds, VersionSpecifiers, is_narrower,
};

/// A requirement with everything that uv compares.
#[derive(Debug, Clone)]
pub(super) struct Requirement {
    pub(super) name: PackageName,
    pub(super) extras: BTreeSet<ExtraName>,
    /// Without what `requires-python` makes certain.
    pub(super) marker: ComparableMarker,
    pub(super) place: Place,
}

/// Where a requirement comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// An index, which may be named.
    Index { versions: VersionSpecifiers, index: Option<String> },
    /// A repository, without credentials.
    Git { repository: String, reference: Option<(Reference, String)>, subdirectory: Option<String> },
    /// An archive, without credentials.
    Url { url: String, subdirectory: Option<String> },
    /// A file or directory, absolute.
    Path(PathBuf),
    /// Not known: it could be any.
    Unknown,
}

/// What a git reference is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reference {
    Revision,
    Tag,
    Branch,
}

impl Requirement {
    /// Reads a requirement of a lock; its paths are relative to `root`.
    pub(super) fn recorded(record: &RequirementRecord, root: &Path, bounds: Option<&PythonBounds>) -> Option<Self> {
        let marker = match &record.marker {
            Some(text) => ComparableMarker::parse(text)?,
            None => ComparableMarker::TRUE,
        };
        let tree = [&record.path, &record.directory, &record.editable, &record.r#virtual].into_iter().flatten().next();
        let place = if let Some(path) = tree {
            Place::path(root, path)
        } else if let Some(url) = &record.git {
            Place::recorded_git(url)
        } else if let Some(url) = &record.url {
            Place::url(url, record.subdirectory.clone())
        } else {
            let versions = record.specifier.as_deref().unwrap_or_default().parse().ok()?;
            match &record.index {
                Some(index) => Place::index(versions, index),
                None => Place::Index { versions, index: None },
            }
        };
        let extras = record.extras.iter().cloned().collect();
        Some(Self { name: record.name.clone(), extras, marker: simplified(marker, bounds), place })
    }

    /// Reads a requirement as it stands in a manifest.
    pub(super) fn declared(text: &str) -> Option<Self> {
        let Declaration { name, extras, asked, marker } = Declaration::parse(text)?;
        let place = match asked {
            Asked::Versions(versions) => Place::Index { versions, index: None },
            // A variable may have another value where the project is locked.
            Asked::Url(_) if text.contains('$') => Place::Unknown,
            Asked::Url(url) => Place::declared_url(&url),
        };
        Some(Self { name, extras: extras.into_iter().collect(), marker, place })
    }

    /// The extra under which it counts.
    pub(super) fn extra(&self) -> Option<ExtraName> {
        self.marker.extra()
    }

    /// The same requirements with as few as will do: those that differ in their markers alone become one, and those
    /// that follow from another are left out.
    pub(super) fn condensed(all: Vec<Self>) -> Vec<Self> {
        let mut merged: Vec<Self> = Vec::new();
        for new in all {
            let same = |old: &&mut Self| {
                old.name == new.name
                    && old.extras == new.extras
                    && old.place.is_known()
                    && old.place.may_equal(&new.place)
            };
            match merged.iter_mut().find(same) {
                Some(old) if new.place.is_known() => old.marker = old.marker.or(new.marker),
                _ => merged.push(new),
            }
        }
        let follows = |one: &Self, other: &Self| {
            one.name == other.name
                && one.extras.is_subset(&other.extras)
                && one.place.is_known()
                && other.place.is_known()
                && other.place.is_within(&one.place)
                && one.marker.implies(other.marker)
        };
        let kept: Vec<bool> = (0..merged.len())
            .map(|index| {
                let others = (0..merged.len()).filter(|other| *other != index);
                // Of two that follow from each other, the first stays.
                !others.into_iter().any(|other| {
                    follows(&merged[index], &merged[other])
                        && (other < index || !follows(&merged[other], &merged[index]))
                })
            })
            .collect();
        merged.into_iter().zip(kept).filter_map(|(requirement, kept)| kept.then_some(requirement)).collect()
    }

    /// Whether the two are the same, or could be.
    pub(super) fn may_equal(&self, other: &Self) -> bool {
        self.name == other.name
            && self.extras == other.extras
            && self.marker == other.marker
            && self.place.may_equal(&other.place)
    }
}

/// A marker without what the Pythons of a lock make certain.
pub(super) fn simplified(marker: ComparableMarker, bounds: Option<&PythonBounds>) -> ComparableMarker {
    bounds.map_or(marker, |bounds| bounds.simplify(marker))
}

impl Requirement {
    /// The requirement for people, with paths below a directory relative to it.
    pub(super) fn shown(&self, root: &Path) -> String {
        let Self { name, extras, marker, place } = self;
        let mut text = name.to_string();
        if !extras.is_empty() {
            let extras: Vec<&str> = extras.iter().map(AsRef::as_ref).collect();
            let _ = write!(text, "[{}]", extras.join(","));
        }
        let mut origin = None;
        match place {
            Place::Index { versions, index } => {
                let versions: Vec<String> = versions.iter().map(ToString::to_string).collect();
                text.push_str(&versions.join(","));
                origin = index.as_ref();
            }
            Place::Git { repository, reference, subdirectory } => {
                let _ = write!(text, " @ git+{repository}");
                text.extend(reference.iter().flat_map(|(_, reference)| ["@", reference]));
                text.extend(subdirectory.iter().flat_map(|below| ["#subdirectory=", below]));
            }
            Place::Url { url, subdirectory } => {
                let _ = write!(text, " @ {url}");
                text.extend(subdirectory.iter().flat_map(|below| ["#subdirectory=", below]));
            }
            Place::Path(path) => {
                let relative = path.strip_prefix(root).ok().filter(|path| !path.as_os_str().is_empty());
                let _ = write!(text, " @ {}", relative.unwrap_or(path).display());
            }
            Place::Unknown => {}
        }
        if let Some(marker) = marker.shown_without(self.extra().as_ref()) {
            let _ = write!(text, " ; {marker}");
        }
        if let Some(origin) = origin {
            let _ = write!(text, " (from {origin})");
        }
        text
    }
}

impl Place {
    fn is_known(&self) -> bool {
        !matches!(self, Self::Unknown)
    }

    /// A path relative to a directory.
    pub(super) fn path(base: &Path, path: &str) -> Self {
        // URLs and variables.
        if path.contains("://") || path.contains('$') || path.starts_with('~') {
            return Self::Unknown;
        }
        Self::Path(normalized(&base.join(path)))
    }

    /// An archive at a URL.
    pub(super) fn url(url: &str, subdirectory: Option<String>) -> Self {
        match plain_url(url) {
            Some(url) if matches!(url.scheme(), "http" | "https") => {
                Self::Url { url: url.to_string(), subdirectory: subdirectory.map(|path| tidy(&path)) }
            }
            _ => Self::Unknown,
        }
    }

    /// An index at a URL; local ones are written in many ways.
    pub(super) fn index(versions: VersionSpecifiers, index: &str) -> Self {
        match plain_url(index) {
            Some(url) if matches!(url.scheme(), "http" | "https") => {
                Self::Index { versions, index: Some(url.as_str().trim_end_matches('/').to_owned()) }
            }
            _ => Self::Unknown,
        }
    }

    /// A repository.
    pub(super) fn git(repository: &str, reference: Option<(Reference, String)>, subdirectory: Option<String>) -> Self {
        let repository = plain_url(repository.strip_prefix("git+").unwrap_or(repository));
        match repository {
            Some(url) if url.scheme() != "file" => {
                let url = url.as_str().trim_end_matches('/');
                let repository = url.strip_suffix(".git").unwrap_or(url).to_owned();
                Self::Git { repository, reference, subdirectory: subdirectory.map(|path| tidy(&path)) }
            }
            _ => Self::Unknown,
        }
    }

    /// `https://…/repository?tag=1.0&subdirectory=x#commit`.
    fn recorded_git(text: &str) -> Self {
        let Ok(url) = text.parse::<Url>() else { return Self::Unknown };
        let (mut reference, mut subdirectory) = (None, None);
        for (key, value) in url.query_pairs() {
            match &*key {
                "rev" => reference = Some((Reference::Revision, value.into_owned())),
                "tag" => reference = Some((Reference::Tag, value.into_owned())),
                "branch" => reference = Some((Reference::Branch, value.into_owned())),
                "subdirectory" => subdirectory = Some(value.into_owned()),
                _ => return Self::Unknown,
            }
        }
        Self::git(text.split(['?', '#']).next().unwrap_or(text), reference, subdirectory)
    }

    /// The URL of a direct reference, `git+https://…/repository@reference#subdirectory=x` among others.
    fn declared_url(text: &str) -> Self {
        let (before, fragment) = text.split_once('#').unwrap_or((text, ""));
        let subdirectory = fragment.split('&').find_map(|part| part.strip_prefix("subdirectory="));
        let subdirectory = subdirectory.map(str::to_owned);
        let Some(git) = before.strip_prefix("git+") else { return Self::url(before, subdirectory) };
        let path_start = git.find("://").and_then(|scheme| git[scheme + 3..].find('/').map(|slash| scheme + 3 + slash));
        let Some(path_start) = path_start else { return Self::Unknown };
        match git[path_start..].rsplit_once('@') {
            Some((path, reference)) => {
                let reference = (Reference::Revision, reference.to_owned());
                Self::git(&git[..path_start + path.len()], Some(reference), subdirectory)
            }
            None => Self::git(git, None, subdirectory),
        }
    }

    fn may_equal(&self, other: &Self) -> bool {
        self.is_within(other) && other.is_within(self)
    }

    /// Whether what the other one allows includes what this one does, or could.
    fn is_within(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unknown, _) | (_, Self::Unknown) => true,
            (Self::Index { versions, index }, Self::Index { versions: others, index: other }) => {
                index == other && is_narrower(versions, others)
            }
            _ => self == other,
        }
    }
}

/// A URL without credentials, query and fragment kept apart from it.
fn plain_url(text: &str) -> Option<Url> {
    let mut url: Url = text.parse().ok()?;
    url.set_fragment(None);
    // Schemes without a host have no credentials either.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Some(url)
}

fn tidy(path: &str) -> String {
    path.trim_start_matches("./").trim_end_matches('/').to_owned()
}

/// A path without `.` and `..`, by its text alone.
pub(super) fn normalized(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}
