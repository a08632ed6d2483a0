//! The artifact: launcher, payload, launch record and trailer, written as one file.
//!
//! Invariant: the bytes depend on the launcher, the installed files, the records and the time given, on nothing
//! else; the file appears under its name complete and executable, or not at all.

use std::collections::BTreeMap;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use bundle_launcher::{
    BUILD_RECORD_PATH, LAUNCH_RECORD_PATH, LaunchRecord, MAX_RECORD_LENGTH, SCRIPT_START, TRAILER_LENGTH, Trailer,
    tree_path,
};
use globset::GlobSet;
use sha2::{Digest, Sha256};

use crate::cache::sweep;
use crate::error::{Diagnose, ExitStatus};
use crate::install::{Installed, InstalledFile, MODE_FILE};
use crate::platform::Arch;
use crate::wheel::{Sha256Digest, WheelError};
use crate::zip::{DosTime, Entry, EntryData, Layout};

/// Why an artifact could not be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Two packages have different files of one name.
    #[error("packages `{first}` and `{second}` both contain `{path}`, with different contents")]
    Overwrite {
        /// Name in the payload.
        path: String,
        /// The package that comes first by name.
        first: String,
        /// The other one.
        second: String,
    },
    /// One package's file is another's directory.
    #[error("`{file}` is a file of package `{package}`, but package `{other}` contains `{inside}`")]
    FileIsDirectory {
        /// The file.
        file: String,
        /// Its package.
        package: String,
        /// The path that needs it to be a directory.
        inside: String,
        /// The package of that path.
        other: String,
    },
    /// A file would take a place that belongs to the virtual environment or to another file.
    #[error("`{path}` of package `{package}` would be unpacked to `{place}`, which {reason}")]
    Place {
        /// Name in the payload.
        path: String,
        /// Its package.
        package: String,
        /// Path below the tree.
        place: String,
        /// Why it cannot be there.
        reason: String,
    },
    /// The output is a device, a directory or the like.
    #[error("cannot write `{path}`: it is {kind}")]
    NotAFile {
        /// The artifact.
        path: PathBuf,
        /// What is there.
        kind: &'static str,
    },
    /// The apps' arguments and variables are too much.
    #[error("the apps' `args` and `env` take {length} bytes, expected at most {MAX_RECORD_LENGTH}")]
    RecordTooLong {
        /// Length of the launch record.
        length: usize,
    },
    /// The output cannot be written.
    #[error("cannot write `{path}`")]
    Write {
        /// The artifact.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Diagnose for PackError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Write { .. } | Self::NotAFile { .. } => ExitStatus::FileSystem,
            Self::Overwrite { .. } | Self::FileIsDirectory { .. } | Self::Place { .. } | Self::RecordTooLong { .. } => {
                ExitStatus::Project
            }
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Overwrite { path, .. } => Some(format!(
                "if it does not matter which one is kept, `--allow-overwrite '{path}'` keeps the last one by name"
            )),
            Self::FileIsDirectory { .. } => {
                Some("the two cannot be installed together; lock other versions of them".into())
            }
            Self::Place { .. } => Some("lock another version of the package, or leave it out".into()),
            Self::RecordTooLong { .. } => Some("keep them in a file that the app reads".into()),
            Self::Write { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                Some("free some space, or choose another file system with `--output FILE`".into())
            }
            Self::Write { .. } | Self::NotAFile { .. } => Some("choose a writable place with `--output FILE`".into()),
        }
    }
}

/// How the names of unfinished artifacts start.
const TEMPORARY_PREFIX: &str = ".bundle-";

/// The longest name of a file or directory on Linux, in bytes.
const MAX_COMPONENT_LENGTH: usize = 255;

/// Paths of the tree that the launcher makes itself.
pub fn reserved_places((major, minor): (u8, u8)) -> [String; 8] {
    [
        "bin".into(),
        "bin/python".into(),
        "bin/python3".into(),
        format!("bin/python{major}.{minor}"),
        "lib".into(),
        format!("lib/python{major}.{minor}"),
        "lib64".into(),
        "pyvenv.cfg".into(),
    ]
}

/// The launcher for an architecture: a static Linux executable.
pub fn launcher(arch: Arch) -> &'static [u8] {
    match arch {
        Arch::X86_64 => include_bytes!("../stub/prebuilt/bundle-launcher-x86_64-linux"),
        Arch::Aarch64 => include_bytes!("../stub/prebuilt/bundle-launcher-aarch64-linux"),
    }
}

/// The unpacked files of an artifact, by name in the payload.
#[derive(Debug, Default)]
pub struct Payload {
    files: BTreeMap<String, Owned>,
}

/// A file and the package it is from.
#[derive(Debug)]
struct Owned {
    package: String,
    file: InstalledFile,
}

impl Payload {
    /// Brings the files of several distributions together.
    ///
    /// A file that several have with the same contents is kept once. With different contents it is an error,
    /// unless its name matches `allow_overwrite`: then the last distribution by name wins.
    pub fn merge(mut distributions: Vec<Installed>, allow_overwrite: &GlobSet) -> Result<Self, PackError> {
        distributions.sort_by(|a, b| a.name.cmp(&b.name));
        let mut payload = Self::default();
        for distribution in distributions {
            for file in distribution.files {
                payload.add(distribution.name.as_str(), file, allow_overwrite)?;
            }
        }
        Ok(payload)
    }

    fn add(&mut self, package: &str, file: InstalledFile, allow_overwrite: &GlobSet) -> Result<(), PackError> {
        let name = &file.entry.name;
        if let Some(other) = self.files.get(name)
            && other.file.sha256 != file.sha256
            && !allow_overwrite.is_match(name)
        {
            return Err(PackError::Overwrite {
                path: name.clone(),
                first: other.package.clone(),
                second: package.to_owned(),
            });
        }
        self.files.insert(name.clone(), Owned { package: package.to_owned(), file });
        Ok(())
    }

    /// Adds a file that belongs to no package.
    pub fn add_own(&mut self, file: InstalledFile) {
        self.files.insert(file.entry.name.clone(), Owned { package: "bundle".to_owned(), file });
    }

    /// Checks that every file can be unpacked by an interpreter `python` (major, minor): to a place of its own, that
    /// is no directory of another file and not the virtual environment's.
    pub fn check_places(&self, python: (u8, u8)) -> Result<(), PackError> {
        let mut places: BTreeMap<String, (&String, &Owned)> = BTreeMap::new();
        for (path, owned) in &self.files {
            let refused = |place: &str, reason: String| PackError::Place {
                path: path.clone(),
                package: owned.package.clone(),
                place: place.to_owned(),
                reason,
            };
            let (_, place) = tree_path(path.as_bytes(), python).map_err(|error| refused(path, error.to_string()))?;
            let Some(place) = place else { continue };
            if place.split('/').any(|part| part.len() > MAX_COMPONENT_LENGTH) {
                return Err(refused(&place, "has a part that is too long for a file name".into()));
            }
            if reserved_places(python).contains(&place) {
                return Err(refused(&place, "belongs to the virtual environment".into()));
            }
            if let Some((other, owner)) = places.get(&place) {
                return Err(refused(&place, format!("`{other}` of package `{}` takes", owner.package)));
            }
            places.insert(place, (path, owned));
        }
        for (place, (inside, needs_directory)) in &places {
            let mut parents = place.match_indices('/').map(|(end, _)| &place[..end]);
            if let Some((file, owned)) = parents.find_map(|parent| places.get(parent)) {
                return Err(PackError::FileIsDirectory {
                    file: (*file).clone(),
                    package: owned.package.clone(),
                    inside: (*inside).clone(),
                    other: needs_directory.package.clone(),
                });
            }
        }
        Ok(())
    }

    /// Whether `bin/<name>` is for Python.
    pub fn is_python_script(&self, name: &str) -> Result<bool, WheelError> {
        match self.files.get(&format!("bin/{name}")).map(|owned| &owned.file.entry.data) {
            Some(EntryData::Copied(wheel, member)) => {
                Ok(bundle_launcher::is_python_script(&wheel.read_start(member, SCRIPT_START)?))
            }
            // What is not copied was made or rewritten here, for Python.
            _ => Ok(true),
        }
    }

    /// Whether there is a file of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// Names that start with a prefix, in order, without the prefix.
    pub fn names_below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.files.range(prefix.to_owned()..).map_while(move |(name, _)| name.strip_prefix(prefix))
    }

    /// Number of files and the sum of their sizes in bytes.
    pub fn totals(&self) -> (u64, u64) {
        (self.files.len() as u64, self.files.values().map(|owned| owned.file.entry.size).sum())
    }

    /// SHA-256 over the sorted list of files: a line with hash, permissions, size and name for each.
    ///
    /// It names the unpacked tree, so it covers contents and not how they are compressed.
    pub fn content_digest(&self) -> Sha256Digest {
        let mut hasher = Sha256::new();
        hasher.update("bundle content 1\n");
        for (name, owned) in &self.files {
            let Owned { file: InstalledFile { entry, sha256 }, .. } = owned;
            hasher.update(format!("{} {:o} {} {name}\n", crate::digest::hex(sha256), entry.mode, entry.size));
        }
        hasher.finalize().into()
    }
}

/// What an artifact consists of.
#[derive(Debug)]
pub struct Artifact<'a> {
    /// The executable at the front.
    pub launcher: &'a [u8],
    /// The files.
    pub payload: Payload,
    /// What the launcher has to know.
    pub launch_record: LaunchRecord,
    /// The build record, as JSON.
    pub build_record: Vec<u8>,
    /// The time that every entry bears.
    pub time: DosTime,
}

impl Artifact<'_> {
    /// Writes the artifact and returns its length in bytes.
    pub fn write(self, path: &Path) -> Result<u64, PackError> {
        let length = self.launch_record.to_json().len();
        if length > MAX_RECORD_LENGTH as usize {
            return Err(PackError::RecordTooLong { length });
        }
        self.try_write(path).map_err(|source| PackError::Write { path: path.to_owned(), source })
    }

    fn try_write(self, path: &Path) -> std::io::Result<u64> {
        let content_digest = self.payload.content_digest();
        let record = self.launch_record.to_json();
        let mut entries = vec![
            Entry::stored(LAUNCH_RECORD_PATH.to_owned(), MODE_FILE, record.clone()),
            Entry::from_bytes(BUILD_RECORD_PATH.to_owned(), MODE_FILE, self.build_record),
        ];
        entries.extend(self.payload.files.into_values().map(|owned| owned.file.entry));
        entries.sort_by(|a, b| a.name.cmp(&b.name));

        let layout = Layout::new(self.launcher.len() as u64, entries, self.time);
        let comment_length = u16::try_from(TRAILER_LENGTH).expect("the trailer is a short line");
        let directory = layout.directory(comment_length);
        let (record_offset, _) = layout.data_range(LAUNCH_RECORD_PATH).expect("the record is an entry");
        let file_length = layout.directory_offset() + directory.len() as u64 + TRAILER_LENGTH as u64;
        let trailer = Trailer {
            record_offset,
            record_length: u32::try_from(record.len()).map_err(std::io::Error::other)?,
            payload_offset: self.launcher.len() as u64,
            file_length,
            content_digest,
        };

        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent)?;
        sweep(parent, TEMPORARY_PREFIX);
        let temporary = tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempfile_in(parent)?;
        let mut file = temporary.reopen()?;
        file.write_all(self.launcher)?;
        layout.write_entries(|| temporary.reopen())?;
        file.seek(SeekFrom::Start(layout.directory_offset()))?;
        file.write_all(&directory)?;
        file.write_all(&trailer.to_bytes(&record))?;
        make_executable(&file)?;
        temporary.persist(path).map_err(|error| error.error)?;
        Ok(file_length)
    }
}

#[cfg(unix)]
fn make_executable(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(std::fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_executable(_: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}

/// Makes a temporary place for an artifact fail early, before anything is downloaded.
pub fn check_writable(path: &Path) -> Result<(), PackError> {
    let unwritable = |source| PackError::Write { path: path.to_owned(), source };
    let not_a_file = |kind| Err(PackError::NotAFile { path: path.to_owned(), kind });
    if path.as_os_str().to_string_lossy().ends_with('/') || path.is_dir() {
        return not_a_file("a directory");
    }
    // A link is replaced, as by `mv`; a device or a pipe is somebody else's.
    if std::fs::symlink_metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_symlink()) {
        return not_a_file("no regular file");
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The nearest directory that exists decides; nothing is made before there is something to put into it.
    let existing = parent.ancestors().find(|directory| directory.exists()).unwrap_or(Path::new("."));
    tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempfile_in(existing).map(drop).map_err(unwritable)
}
