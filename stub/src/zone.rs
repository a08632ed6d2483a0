//! Where an entry of the payload belongs in the unpacked tree.
//!
//! Invariant: a path that [`tree_path`] returns is relative, has no `..`, and stays below the tree.

/// The part of a payload that an entry belongs to: the first component of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// `site-packages/…`: importable code and metadata, unpacked to `lib/pythonX.Y/site-packages/…`.
    SitePackages,
    /// `bin/…`: console scripts, unpacked to `bin/…` and executable.
    Bin,
    /// `data/…`: files that wheels install under `sys.prefix`, unpacked to the tree's root.
    Data,
    /// `.bundle/…` and `__main__.py`: about the artifact itself, never unpacked.
    Meta,
}

/// Why an entry's name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreePathError {
    /// The name is not UTF-8, is empty, or contains a NUL or a backslash.
    #[error("entry `{0}` has a name that is not a plain relative path")]
    Malformed(String),
    /// The name has an empty, `.` or `..` component, or is absolute.
    #[error("entry `{0}` would be unpacked outside the tree")]
    Escapes(String),
    /// The first component is none of the zones.
    #[error("entry `{0}` lies in no known part of the payload")]
    UnknownZone(String),
}

/// Returns the zone of a payload entry and its path below the tree of an interpreter `python` (major, minor).
///
/// Returns `None` for the path of entries that are not unpacked ([`Zone::Meta`]).
pub fn tree_path(name: &[u8], python: (u8, u8)) -> Result<(Zone, Option<String>), TreePathError> {
    let lossy = || String::from_utf8_lossy(name).into_owned();
    let name = std::str::from_utf8(name).map_err(|_| TreePathError::Malformed(lossy()))?;
    if name.is_empty() || name.contains(['\0', '\\']) {
        return Err(TreePathError::Malformed(lossy()));
    }
    if name.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return Err(TreePathError::Escapes(lossy()));
    }
    if name == "__main__.py" {
        return Ok((Zone::Meta, None));
    }
    match name.split_once('/') {
        Some(("site-packages", rest)) => {
            let (major, minor) = python;
            Ok((Zone::SitePackages, Some(format!("lib/python{major}.{minor}/site-packages/{rest}"))))
        }
        Some(("bin", rest)) => Ok((Zone::Bin, Some(format!("bin/{rest}")))),
        Some(("data", rest)) => Ok((Zone::Data, Some(rest.to_owned()))),
        Some((".bundle", _)) => Ok((Zone::Meta, None)),
        _ => Err(TreePathError::UnknownZone(lossy())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_zone_has_its_place() {
        let place = |name: &str| tree_path(name.as_bytes(), (3, 11)).expect("valid");
        assert_eq!(
            place("site-packages/a/b.py"),
            (Zone::SitePackages, Some("lib/python3.11/site-packages/a/b.py".into()))
        );
        assert_eq!(place("bin/uvicorn"), (Zone::Bin, Some("bin/uvicorn".into())));
        assert_eq!(place("data/share/x"), (Zone::Data, Some("share/x".into())));
        assert_eq!(place(".bundle/launch.json"), (Zone::Meta, None));
        assert_eq!(place("__main__.py"), (Zone::Meta, None));
    }

    #[test]
    fn names_that_leave_the_tree_are_refused() {
        for name in ["site-packages/../x", "/etc/passwd", "bin//x", "data/./x", "bin/..", "site-packages/"] {
            assert!(
                matches!(tree_path(name.as_bytes(), (3, 11)), Err(TreePathError::Escapes(_))),
                "{name} was accepted"
            );
        }
        for name in ["", "bin/a\\b", "bin/a\0b"] {
            assert!(matches!(tree_path(name.as_bytes(), (3, 11)), Err(TreePathError::Malformed(_))));
        }
        assert!(matches!(tree_path(b"bin/\xff", (3, 11)), Err(TreePathError::Malformed(_))));
        assert!(matches!(tree_path(b"lib/x", (3, 11)), Err(TreePathError::UnknownZone(_))));
        assert!(matches!(tree_path(b"x", (3, 11)), Err(TreePathError::UnknownZone(_))));
    }
}
