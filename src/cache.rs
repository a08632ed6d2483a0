//! The cache of downloaded and built wheels.
//!
//! Invariant: a file that stands under its final name was complete and checked when it got it; it is written
//! elsewhere in the cache first and renamed. So the cache can be shared, restored and deleted at any time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Diagnose, ExitStatus, FileError};

/// Counted up when the layout below it changes.
const LAYOUT: &str = "v1";

/// Why there is no cache.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Neither flags nor environment say where it is.
    #[error("no directory for the cache: neither `BUNDLE_CACHE_DIR`, nor `XDG_CACHE_HOME`, nor `HOME` is set")]
    NoDirectory,
    /// A file operation in it failed.
    #[error("the cache cannot be used")]
    File(#[source] FileError),
}

impl Diagnose for CacheError {
    fn exit_status(&self) -> ExitStatus {
        ExitStatus::FileSystem
    }

    fn hint(&self) -> Option<String> {
        let own = || Some("name a writable directory with `--cache-dir DIR` or `BUNDLE_CACHE_DIR`".into());
        match self {
            Self::NoDirectory => own(),
            Self::File(error) => error.hint().or_else(own),
        }
    }
}

/// A directory tree of wheels.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The cache at a given place, else `$XDG_CACHE_HOME/bundle-build`, else `~/.cache/bundle-build`.
    pub fn locate(given: Option<&Path>) -> Result<Self, CacheError> {
        let from_environment = || {
            let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
            let caches = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
            caches.map(|caches| caches.join("bundle-build"))
        };
        let directory = given.map(Path::to_owned).or_else(from_environment).ok_or(CacheError::NoDirectory)?;
        let directory = std::path::absolute(&directory)
            .map_err(|error| CacheError::File(FileError::during("find the cache's directory")(error)))?;
        Ok(Self { root: directory.join(LAYOUT) })
    }

    /// The directory below which everything lies.
    pub fn directory(&self) -> &Path {
        &self.root
    }

    /// Where a downloaded wheel with this key belongs.
    pub fn wheel(&self, key: &str, file: &str) -> PathBuf {
        self.root.join("wheels").join(key).join(file)
    }

    /// Where the page of an index with this key belongs.
    pub fn page(&self, key: &str) -> PathBuf {
        self.root.join("pages").join(key)
    }

    /// The directory of the wheel that was built from sources with this key.
    pub fn built(&self, key: &str) -> PathBuf {
        self.root.join("built").join(key)
    }

    /// The wheel that was built from sources with this key, if there is one.
    pub fn find_built(&self, key: &str) -> Option<PathBuf> {
        let mut entries = fs_err::read_dir(self.built(key)).ok()?;
        entries
            .find_map(|entry| Some(entry.ok()?.path()).filter(|path| path.extension().is_some_and(|end| end == "whl")))
    }

    /// A new file in the cache that disappears unless it is kept.
    pub fn temporary_file(&self) -> Result<tempfile::NamedTempFile, CacheError> {
        let directory = self.temporary_root()?;
        tempfile::NamedTempFile::new_in(directory)
            .map_err(|error| CacheError::File(FileError::during("make a temporary file in the cache")(error)))
    }

    /// A new directory in the cache that disappears with its contents.
    pub fn temporary_directory(&self) -> Result<tempfile::TempDir, CacheError> {
        let directory = self.temporary_root()?;
        tempfile::TempDir::new_in(directory)
            .map_err(|error| CacheError::File(FileError::during("make a temporary directory in the cache")(error)))
    }

    /// Removes what killed builds have left behind. Whatever is younger than a day may belong to a running one.
    pub fn sweep(&self) {
        sweep(&self.root.join("tmp"), "");
    }

    fn temporary_root(&self) -> Result<PathBuf, CacheError> {
        let directory = self.root.join("tmp");
        fs_err::create_dir_all(&directory)
            .map_err(|error| CacheError::File(FileError::during("make the cache's directory")(error)))?;
        Ok(directory)
    }

    /// Gives a complete file its final name. Somebody else's file of that name is replaced by its equal.
    pub fn keep(&self, file: tempfile::TempPath, path: &Path) -> Result<(), CacheError> {
        let kept = path
            .parent()
            .map_or(Ok(()), fs_err::create_dir_all)
            .and_then(|()| file.persist(path).map_err(|error| error.error));
        kept.map_err(|error| CacheError::File(FileError::during(format!("keep `{}`", path.display()))(error)))
    }
}

/// Removes entries of a directory whose name starts so, if they have not changed for a day.
pub fn sweep(directory: &Path, prefix: &str) {
    const DAY: Duration = Duration::from_hours(24);
    for entry in std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok) {
        let is_old = entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|changed| changed.elapsed().is_ok_and(|age| age > DAY));
        if is_old && entry.file_name().to_string_lossy().starts_with(prefix) {
            // Somebody else may have been quicker; what cannot be removed is in nobody's way.
            let path = entry.path();
            let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
        }
    }
}
