//! What the readers of all formats share: markers, hashes, file names.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use serde::de::DeserializeOwned;

use super::{Hash, Location, LockError, Wheel};
use crate::error::TomlError;
use crate::packaging::{Marker, PackageName, Version, WheelFilename, parse_marker};

/// The highest patch release that is believed to exist. Every one that is named costs a walk through the lock.
const NEWEST_PATCH: u32 = 99;

/// The most tags that the name of a wheel may stand for; they are gone through one by one. Real ones have dozens.
const MAX_TAGS: usize = 1000;

/// How much of a marker an error shows, in characters.
const SHOWN_MARKER: usize = 200;

/// Parses the markers of one lock and remembers them: large locks repeat few of them tens of thousands of times.
#[derive(Debug, Default)]
pub(super) struct Markers {
    parsed: HashMap<String, Marker>,
    patch_releases: BTreeSet<(u8, u8, u32)>,
}

impl Markers {
    /// Parses a marker; none holds always.
    pub(super) fn parse(&mut self, text: Option<&str>) -> Result<Marker, String> {
        let Some(text) = text else { return Ok(Marker::TRUE) };
        if let Some(marker) = self.parsed.get(text) {
            return Ok(marker.clone());
        }
        let marker = parse_marker(text).map_err(|reason| {
            let start: String = text.chars().take(SHOWN_MARKER).collect();
            let rest = if start.len() < text.len() { "…" } else { "" };
            format!("marker `{start}{rest}` cannot be understood: {reason}")
        })?;
        self.note_patch_releases(text);
        self.parsed.insert(text.to_owned(), marker.clone());
        Ok(marker)
    }

    /// Parses a list of markers.
    pub(super) fn parse_all(&mut self, texts: Vec<String>) -> Result<Vec<Marker>, String> {
        texts.into_iter().map(|text| self.parse(Some(&text))).collect()
    }

    /// Takes note of every `X.Y.Z` in a text. More than there are do no harm: each only splits a range in two.
    pub(super) fn note_patch_releases(&mut self, text: &str) {
        for word in text.split(|character: char| !character.is_ascii_alphanumeric() && character != '.') {
            let mut parts = word.splitn(3, '.');
            let (Some(major), Some(minor), Some(rest)) = (parts.next(), parts.next(), parts.next()) else { continue };
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if let (Ok(major), Ok(minor), Ok(patch @ ..=NEWEST_PATCH)) =
                (major.parse(), minor.parse(), rest[..digits].parse())
            {
                self.patch_releases.insert((major, minor, patch));
            }
        }
    }

    /// Every patch release that some marker names.
    pub(super) fn into_patch_releases(self) -> BTreeSet<(u8, u8, u32)> {
        self.patch_releases
    }
}

/// The last segment of a URL or path, percent-decoded for URLs.
pub(super) fn file_name(location: &Location) -> Option<String> {
    match location {
        Location::Url(url) => {
            let path = url.split(['?', '#']).next()?;
            let segment = path.rsplit('/').next().filter(|segment| !segment.is_empty())?;
            Some(percent_encoding::percent_decode_str(segment).decode_utf8().ok()?.into_owned())
        }
        Location::Path(path) => Some(path.file_name()?.to_str()?.to_owned()),
        Location::Index(_) => None,
    }
}

/// Reads a lock in one pass. Only where that fails is its version looked at on its own, by `version_error`: an
/// unknown version is reported as such and not by what it changed.
pub(super) fn read_toml<T: DeserializeOwned>(
    text: &str,
    path: &Path,
    version_error: impl FnOnce() -> Option<LockError>,
) -> Result<T, LockError> {
    toml::from_str(text).map_err(|source| {
        version_error()
            .unwrap_or_else(|| LockError::Malformed { path: path.to_owned(), source: TomlError::new(&source, text) })
    })
}

/// Reads a hash of a package's file.
pub(super) fn parse_hash(text: Option<&str>, name: &PackageName) -> Result<Option<Hash>, String> {
    text.map(|text| text.parse().map_err(|reason| format!("package `{name}`: {reason}"))).transpose()
}

/// A wheel, if its file name is one and agrees with the package it stands under.
pub(super) fn make_wheel(
    file: String,
    location: Location,
    hash: Option<Hash>,
    size: Option<u64>,
    name: &PackageName,
    version: Option<&Version>,
) -> Result<Wheel, String> {
    let filename: WheelFilename =
        file.parse().map_err(|error| format!("wheel `{file}` of package `{name}` has no valid name: {error}"))?;
    let tags = [filename.python_tags().len(), filename.abi_tags().len(), filename.platform_tags().len()];
    if tags.into_iter().fold(1, usize::saturating_mul) > MAX_TAGS {
        return Err(format!("wheel `{file}` of package `{name}` stands for more than {MAX_TAGS} tags"));
    }
    if filename.name != *name {
        return Err(format!("wheel `{file}` stands under package `{name}`"));
    }
    // Either may lack the local part (`2.9.1+cpu`).
    if let Some(version) = version
        && filename.version != *version
        && filename.version.clone().without_local() != *version
        && filename.version != version.clone().without_local()
    {
        return Err(format!("wheel `{file}` stands under version {version} of package `{name}`"));
    }
    Ok(Wheel { file, filename, location, hash, other_hashes: Vec::new(), size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patch_releases_are_found_in_markers() {
        let mut markers = Markers::default();
        markers.note_patch_releases("python_full_version < '3.11.3' or python_full_version == '3.12.0rc1'");
        markers.note_patch_releases("python_full_version < '3.11.100'");
        markers.note_patch_releases("python_version < '3.11' and platform_release == '6.1.0-18-amd64'");
        assert_eq!(markers.into_patch_releases(), BTreeSet::from([(3, 11, 3), (3, 12, 0), (6, 1, 0)]));
    }

    #[test]
    fn file_names_are_decoded() {
        let url = Location::Url("https://index.test/torch-2.9.1%2Bcpu-cp311-cp311-linux_x86_64.whl#sha256=0".into());
        assert_eq!(file_name(&url).as_deref(), Some("torch-2.9.1+cpu-cp311-cp311-linux_x86_64.whl"));
    }
}
