//! The artifact that this process runs from.
//!
//! Invariant: an [`Artifact`] ends in a trailer that is true to its length and its launch record.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use bundle_launcher::{LaunchRecord, RecordError, TRAILER_LENGTH, Trailer, TrailerError};

/// An open artifact.
#[derive(Debug)]
pub(crate) struct Artifact {
    /// Its absolute path.
    pub(crate) path: PathBuf,
    /// The file itself: still the right one when another has taken its path.
    pub(crate) file: File,
    /// Device and inode.
    pub(crate) identity: (u64, u64),
    pub(crate) trailer: Trailer,
    pub(crate) record: LaunchRecord,
}

/// Why this process is no artifact that can be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArtifactError {
    #[error("the launcher does not find its own file: `/proc` is not mounted and the system names none")]
    Unknown,
    #[error("`{}` could not be read", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{}` has no usable trailer", path.display())]
    Trailer {
        path: PathBuf,
        #[source]
        source: TrailerError,
    },
    #[error("`{}` cannot be started", path.display())]
    Record {
        path: PathBuf,
        #[source]
        source: RecordError,
    },
}

impl ArtifactError {
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown => Some("start it by its absolute path, or mount `/proc`".into()),
            Self::Read { .. } => Some("the file must be readable as well as executable (`chmod a+rx`)".into()),
            Self::Trailer { .. } => Some("copy or download the file again, and do not strip or sign it".into()),
            Self::Record { .. } => None,
        }
    }
}

impl Artifact {
    /// Opens the file that this process was started from.
    pub(crate) fn open() -> Result<Self, ArtifactError> {
        const SELF: &str = "/proc/self/exe";
        if let Ok(path) = std::fs::read_link(SELF) {
            return Self::read(File::open(SELF), path);
        }
        let path = own_path_without_proc().ok_or(ArtifactError::Unknown)?;
        Self::read(File::open(&path), path)
    }

    fn read(file: io::Result<File>, path: PathBuf) -> Result<Self, ArtifactError> {
        let unreadable = |source| ArtifactError::Read { path: path.clone(), source };
        let unusable = |source| ArtifactError::Trailer { path: path.clone(), source };

        let file = file.map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        let (length, identity) = (metadata.len(), (metadata.dev(), metadata.ino()));
        let trailer_offset =
            length.checked_sub(TRAILER_LENGTH as u64).ok_or_else(|| unusable(TrailerError::Missing))?;
        let mut bytes = [0; TRAILER_LENGTH];
        file.read_exact_at(&mut bytes, trailer_offset).map_err(unreadable)?;
        let trailer = Trailer::parse(&bytes, length).map_err(unusable)?;

        let mut record = vec![0; trailer.record_length as usize];
        file.read_exact_at(&mut record, trailer.record_offset).map_err(unreadable)?;
        Trailer::check_record(&bytes, &record).map_err(unusable)?;
        let record =
            LaunchRecord::from_json(&record).map_err(|source| ArtifactError::Record { path: path.clone(), source })?;
        Ok(Self { path, file, identity, trailer, record })
    }
}

/// Returns the path that the system, else the caller, started this process by.
fn own_path_without_proc() -> Option<PathBuf> {
    let started_as = OsStr::from_bytes(rustix::param::linux_execfn().to_bytes()).to_owned();
    [Some(started_as), std::env::args_os().next()]
        .into_iter()
        .flatten()
        .filter(|path| path.as_bytes().contains(&b'/'))
        .find_map(|path| Path::new(&path).canonicalize().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_artifact_is_said_to_be_none() {
        // The test program itself: an executable without a trailer.
        let error = Artifact::open().expect_err("no artifact");
        assert!(matches!(error, ArtifactError::Trailer { source: TrailerError::Missing, .. }), "{error:?}");
    }
}
