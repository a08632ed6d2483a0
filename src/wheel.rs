//! Reading a wheel: a zip archive with a RECORD of what is in it.
//!
//! Specification: <https://packaging.python.org/en/latest/specifications/binary-distribution-format/>.
//! Invariant: every member of an opened [`WheelFile`] has a relative name without `..`, occurs once, is a
//! regular file and is stored or deflated; [`WheelFile::verify`] says whether the bytes keep what RECORD says.

use std::collections::{HashMap, HashSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rawzip::{
    CompressionMethod, FileReader, RECOMMENDED_BUFFER_SIZE, ReaderAt as _, ZipArchive, ZipArchiveEntryWayfinder,
};
use sha2::{Digest, Sha256, Sha384, Sha512};

use crate::error::{Diagnose, ExitStatus};
use crate::packaging::{PackageName, WheelFilename};

/// The longest name of a member in bytes; Linux takes no path of 4096.
const MAX_NAME_LENGTH: usize = 3500;

/// The largest metadata file that is read into memory, in bytes.
const MAX_METADATA_SIZE: u64 = 64 << 20;

/// SHA-256 of a file's contents.
pub type Sha256Digest = [u8; 32];

/// What is wrong with a wheel.
#[derive(Debug, thiserror::Error)]
#[error("wheel `{wheel}` {problem}")]
pub struct WheelError {
    /// File name of the wheel.
    wheel: String,
    /// What it is or does.
    problem: WheelProblem,
    /// A cause from outside.
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The ways in which a wheel can be unfit to be packed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WheelProblem {
    /// It cannot be opened or read.
    #[error("cannot be read")]
    Unreadable,
    /// It is not a zip archive, or a damaged one.
    #[error("is not a valid zip archive")]
    NotZip,
    /// A member's name would leave the place where it is installed.
    #[error("has a member `{0}` whose name is not a plain relative path")]
    Name(String),
    /// A member occurs twice.
    #[error("has two members named `{0}`")]
    Duplicate(String),
    /// A member is a link or a device.
    #[error("has a member `{0}` that is not a regular file")]
    NotRegular(String),
    /// A member is encrypted or compressed in a way that wheels are not.
    #[error("has a member `{0}` that is neither stored nor deflated")]
    Method(String),
    /// A member's bytes do not have the size or checksum that the archive's directory promises.
    #[error("has a member `{0}` whose bytes do not match the archive's directory")]
    Damaged(String),
    /// There is not exactly one `.dist-info` directory of the right name.
    #[error("has no directory `{0}`")]
    NoDistInfo(String),
    /// A file of the `.dist-info` directory is missing.
    #[error("has no file `{0}`")]
    Missing(String),
    /// A metadata file cannot be understood.
    #[error("has a malformed `{0}`")]
    Malformed(String),
    /// Its format is newer than this program.
    #[error("has Wheel-Version {0}, expected 1.x")]
    Version(String),
    /// A file does not hash to what RECORD says.
    #[error("has a member `{member}` that hashes to {actual}, its RECORD expects {expected}")]
    RecordHash {
        /// The file.
        member: String,
        /// Hash in RECORD.
        expected: String,
        /// Hash of the bytes.
        actual: String,
    },
    /// An entry point's name or reference is not valid.
    #[error("has an entry point `{0}` that cannot be made a script")]
    EntryPoint(String),
}

impl Diagnose for WheelError {
    fn exit_status(&self) -> ExitStatus {
        match self.problem {
            WheelProblem::Unreadable => ExitStatus::FileSystem,
            _ => ExitStatus::Integrity,
        }
    }

    fn hint(&self) -> Option<String> {
        match self.problem {
            WheelProblem::Unreadable => Some("if the cache was damaged, delete it and build again".into()),
            _ => Some("whoever published it has to mend it; lock another version of the package".into()),
        }
    }
}

/// A wheel on disk, with its directory read.
#[derive(Debug)]
pub struct WheelFile {
    path: PathBuf,
    archive: ZipArchive<FileReader>,
    /// Files in the archive's order; directories are left out.
    members: Vec<Member>,
    /// The `.dist-info` directory, without a slash.
    dist_info: String,
}

/// One file of a wheel.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its name in the archive.
    pub name: String,
    /// Size of the compressed bytes.
    pub compressed_size: u64,
    /// Size of the file.
    pub size: u64,
    /// CRC-32 of the file.
    pub crc32: u32,
    /// Whether it is deflated (else stored).
    pub deflated: bool,
    /// Whether the archive marks it executable.
    pub executable: bool,
    wayfinder: ZipArchiveEntryWayfinder,
}

/// What RECORD says of each file.
type Record = HashMap<String, RecordHash>;

/// The hash of a file in RECORD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordHash {
    /// SHA-256, as nearly everywhere.
    Sha256(Sha256Digest),
    /// SHA-384.
    Sha384([u8; 48]),
    /// SHA-512.
    Sha512([u8; 64]),
    /// None: for RECORD itself, and for hashes that the specification forbids as too weak.
    None,
}

impl RecordHash {
    /// Reads `sha256=<URL-safe base64 without padding>`.
    fn parse(text: &str) -> Option<Self> {
        let Some((algorithm, encoded)) = text.split_once('=') else { return Some(Self::None) };
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(encoded.trim_end_matches('=')).ok();
        match algorithm {
            "sha256" => Some(Self::Sha256(bytes?.try_into().ok()?)),
            "sha384" => Some(Self::Sha384(bytes?.try_into().ok()?)),
            "sha512" => Some(Self::Sha512(bytes?.try_into().ok()?)),
            _ => Some(Self::None),
        }
    }

    /// The hash of the same kind of some other contents.
    fn of(&self, wheel: &WheelFile, member: &Member) -> Result<Self, WheelError> {
        fn hash<D: Digest>(wheel: &WheelFile, member: &Member) -> Result<sha2::digest::Output<D>, WheelError> {
            let mut hasher = D::new();
            wheel.inflate(member, |piece| hasher.update(piece))?;
            Ok(hasher.finalize())
        }
        Ok(match self {
            Self::Sha256(_) => Self::Sha256(hash::<Sha256>(wheel, member)?.into()),
            Self::Sha384(_) => Self::Sha384(hash::<Sha384>(wheel, member)?.into()),
            Self::Sha512(_) => Self::Sha512(hash::<Sha512>(wheel, member)?.into()),
            Self::None => {
                wheel.inflate(member, |_| {})?;
                Self::None
            }
        })
    }
}

impl std::fmt::Display for RecordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, bytes): (_, &[u8]) = match self {
            Self::Sha256(bytes) => ("sha256", bytes),
            Self::Sha384(bytes) => ("sha384", bytes),
            Self::Sha512(bytes) => ("sha512", bytes),
            Self::None => return f.write_str("none"),
        };
        write!(f, "{name}={}", BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl WheelFile {
    /// Opens a wheel and reads its directory.
    pub fn open(path: &Path) -> Result<Self, WheelError> {
        let unreadable = |error| Self::problem_at(path, WheelProblem::Unreadable, Some(Box::new(error)));
        let not_zip = |error| Self::problem_at(path, WheelProblem::NotZip, Some(Box::new(error)));
        let file = fs_err::File::open(path).map_err(unreadable)?.into_file();
        let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
        let archive = ZipArchive::from_file(file, &mut buffer).map_err(not_zip)?;
        let mut members = Vec::new();
        let mut names = HashSet::new();
        let mut entries = archive.entries(&mut buffer);
        while let Some(entry) = entries.next_entry().map_err(not_zip)? {
            let problem = |problem| Self::problem_at(path, problem, None);
            let raw_name = entry.file_path();
            let name = String::from_utf8_lossy(raw_name.as_bytes()).into_owned();
            if entry.is_dir() {
                continue;
            }
            if !is_plain_path(raw_name.as_bytes()) {
                return Err(problem(WheelProblem::Name(name)));
            }
            let mode = entry.mode();
            // Archives made on other systems have no file type at all.
            let file_type = mode.value() & 0o170_000;
            if file_type != 0 && file_type != 0o100_000 {
                return Err(problem(WheelProblem::NotRegular(name)));
            }
            let deflated = match entry.compression_method() {
                CompressionMethod::STORE => false,
                CompressionMethod::DEFLATE => true,
                _ => return Err(problem(WheelProblem::Method(name))),
            };
            if entry.flags().is_encrypted() {
                return Err(problem(WheelProblem::Method(name)));
            }
            if !names.insert(name.clone()) {
                return Err(problem(WheelProblem::Duplicate(name)));
            }
            members.push(Member {
                name,
                compressed_size: entry.compressed_size_hint(),
                size: entry.uncompressed_size_hint(),
                crc32: entry.crc32(),
                deflated,
                executable: mode.permissions() & 0o111 != 0,
                wayfinder: entry.wayfinder(),
            });
        }
        let dist_info = find_dist_info(path, &members)
            .ok_or_else(|| Self::problem_at(path, WheelProblem::NoDistInfo(expected_dist_info(path)), None))?;
        Ok(Self { path: path.to_owned(), archive, members, dist_info })
    }

    fn problem_at(
        path: &Path,
        problem: WheelProblem,
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    ) -> WheelError {
        let wheel = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        WheelError { wheel, problem, source }
    }

    /// An error about this wheel.
    pub fn problem(&self, problem: WheelProblem) -> WheelError {
        Self::problem_at(&self.path, problem, None)
    }

    fn problem_from(
        &self,
        problem: WheelProblem,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> WheelError {
        Self::problem_at(&self.path, problem, Some(Box::new(source)))
    }

    /// Where the wheel is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its files.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The `.dist-info` directory, without a slash.
    pub fn dist_info(&self) -> &str {
        &self.dist_info
    }

    /// A member's path below the `.data` directory: scheme, slash, place. `None` if it lies elsewhere.
    pub fn data_path<'a>(&self, member: &'a Member) -> Option<&'a str> {
        let (directory, rest) = member.name.split_once('/')?;
        let stem = directory.strip_suffix(".data")?;
        self.path_filename().is_some_and(|filename| is_stem_of(stem, &filename)).then_some(rest)
    }

    fn path_filename(&self) -> Option<WheelFilename> {
        self.path.file_name()?.to_str()?.parse().ok()
    }

    /// The offset and length of a member's compressed bytes in the file.
    pub fn data_range(&self, member: &Member) -> Result<(u64, u64), WheelError> {
        let damaged = |error| self.problem_from(WheelProblem::Damaged(member.name.clone()), error);
        let entry = self.archive.get_entry(member.wayfinder).map_err(damaged)?;
        let (start, end) = entry.compressed_data_range();
        Ok((start, end - start))
    }

    /// Reads raw bytes of the file.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.archive.get_ref().read_exact_at(buffer, offset)
    }

    /// A member's bytes, inflated but not checked.
    fn reader(&self, member: &Member) -> Result<Box<dyn std::io::Read + '_>, WheelError> {
        let entry = self
            .archive
            .get_entry(member.wayfinder)
            .map_err(|error| self.problem_from(WheelProblem::Damaged(member.name.clone()), error))?;
        let reader = entry.reader();
        Ok(if member.deflated { Box::new(flate2::read::DeflateDecoder::new(reader)) } else { Box::new(reader) })
    }

    /// Inflates a member, checks size and CRC-32, and hands on its bytes piece by piece.
    fn inflate(&self, member: &Member, mut each: impl FnMut(&[u8])) -> Result<(), WheelError> {
        let damaged = || self.problem(WheelProblem::Damaged(member.name.clone()));
        let mut reader = self.reader(member)?;
        let mut buffer = vec![0; 64 << 10];
        let mut size = 0_u64;
        let mut crc32 = crc32fast::Hasher::new();
        loop {
            let length = reader
                .read(&mut buffer)
                .map_err(|error| self.problem_from(WheelProblem::Damaged(member.name.clone()), error))?;
            if length == 0 {
                break;
            }
            size += length as u64;
            if size > member.size {
                return Err(damaged());
            }
            crc32.update(&buffer[..length]);
            each(&buffer[..length]);
        }
        if size == member.size && crc32.finalize() == member.crc32 { Ok(()) } else { Err(damaged()) }
    }

    /// Reads a whole member into memory; meant for metadata and scripts.
    pub fn read(&self, member: &Member) -> Result<Vec<u8>, WheelError> {
        if member.size > MAX_METADATA_SIZE {
            return Err(self.problem(WheelProblem::Malformed(member.name.clone())));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(member.size).unwrap_or_default());
        self.inflate(member, |piece| bytes.extend_from_slice(piece))?;
        Ok(bytes)
    }

    /// Reads the first bytes of a member, at most `length`.
    pub fn read_start(&self, member: &Member, length: usize) -> Result<Vec<u8>, WheelError> {
        let mut bytes = Vec::new();
        self.reader(member)?
            .take(length as u64)
            .read_to_end(&mut bytes)
            .map_err(|error| self.problem_from(WheelProblem::Damaged(member.name.clone()), error))?;
        Ok(bytes)
    }

    /// SHA-256 of a member's contents.
    pub fn sha256(&self, member: &Member) -> Result<Sha256Digest, WheelError> {
        let mut hasher = Sha256::new();
        self.inflate(member, |piece| hasher.update(piece))?;
        Ok(hasher.finalize().into())
    }

    /// A file of the `.dist-info` directory, if there is one.
    pub fn metadata_file(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| {
            member.name.strip_prefix(&self.dist_info).and_then(|rest| rest.strip_prefix('/')) == Some(name)
        })
    }

    fn required_text(&self, name: &str) -> Result<String, WheelError> {
        let full_name = format!("{}/{name}", self.dist_info);
        let member = self.metadata_file(name).ok_or_else(|| self.problem(WheelProblem::Missing(full_name.clone())))?;
        String::from_utf8(self.read(member)?)
            .map_err(|error| self.problem_from(WheelProblem::Malformed(full_name), error))
    }

    /// Checks that the wheel's format is one that this program installs: `Wheel-Version: 1.x`.
    pub fn check_version(&self) -> Result<(), WheelError> {
        let text = self.required_text("WHEEL")?;
        let version = header(&text, "Wheel-Version").unwrap_or_default();
        if version.split('.').next() == Some("1") { Ok(()) } else { Err(self.problem(WheelProblem::Version(version))) }
    }

    /// Name and version in METADATA.
    pub fn name_and_version(&self) -> Result<(PackageName, String), WheelError> {
        let text = self.required_text("METADATA")?;
        let malformed = || self.problem(WheelProblem::Malformed(format!("{}/METADATA", self.dist_info)));
        let name = header(&text, "Name").and_then(|name| name.parse().ok()).ok_or_else(malformed)?;
        let version = header(&text, "Version").ok_or_else(malformed)?;
        Ok((name, version))
    }

    /// The console and GUI scripts of `entry_points.txt`: names and references as they stand there.
    pub fn script_entry_points(&self) -> Result<Vec<(String, String)>, WheelError> {
        let Some(member) = self.metadata_file("entry_points.txt") else { return Ok(Vec::new()) };
        let name = member.name.clone();
        let text = String::from_utf8(self.read(member)?)
            .map_err(|error| self.problem_from(WheelProblem::Malformed(name), error))?;
        Ok(parse_script_entry_points(&text))
    }

    /// Reads RECORD.
    pub fn record(&self) -> Result<Record, WheelError> {
        let name = format!("{}/RECORD", self.dist_info);
        let malformed = |error| self.problem_from(WheelProblem::Malformed(name.clone()), error);
        let text = self.required_text("RECORD")?;
        let mut record = Record::new();
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
        for row in reader.records() {
            let row = row.map_err(malformed)?;
            let (Some(path), hash) = (row.get(0), row.get(1).unwrap_or_default()) else { continue };
            let hash = RecordHash::parse(hash).ok_or_else(|| self.problem(WheelProblem::Malformed(name.clone())))?;
            record.insert(path.strip_prefix("./").unwrap_or(path).to_owned(), hash);
        }
        Ok(record)
    }

    /// Whether a file is not covered by RECORD: RECORD itself and signatures of it.
    pub fn is_record(&self, member: &Member) -> bool {
        let name = member.name.strip_prefix(&self.dist_info).and_then(|rest| rest.strip_prefix('/'));
        matches!(name, Some("RECORD" | "RECORD.jws" | "RECORD.p7s"))
    }

    /// Checks everything that installing will rely on: metadata, and of every member size, CRC-32, and the hash in
    /// RECORD.
    ///
    /// Members that RECORD does not name are accepted, and so are names that are no members: installers do not
    /// mind either, and the RECORD that is packed is written anew.
    pub fn verify(&self) -> Result<(), WheelError> {
        self.check_version()?;
        self.name_and_version()?;
        self.script_entry_points()?;
        let record = self.record()?;
        for member in &self.members {
            let expected = record.get(&member.name).filter(|_| !self.is_record(member)).unwrap_or(&RecordHash::None);
            let actual = expected.of(self, member)?;
            if actual != *expected {
                return Err(self.problem(WheelProblem::RecordHash {
                    member: member.name.clone(),
                    expected: expected.to_string(),
                    actual: actual.to_string(),
                }));
            }
        }
        Ok(())
    }
}

/// Whether a name is UTF-8, not too long, relative, and has no empty, `.` or `..` part, no backslash and no NUL.
fn is_plain_path(name: &[u8]) -> bool {
    std::str::from_utf8(name).is_ok_and(|name| {
        name.len() <= MAX_NAME_LENGTH
            && !name.contains(['\\', '\0'])
            && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
    })
}

/// The one `.dist-info` directory at the top whose name and version are the file name's.
fn find_dist_info(path: &Path, members: &[Member]) -> Option<String> {
    let filename: WheelFilename = path.file_name()?.to_str()?.parse().ok()?;
    let mut found = members
        .iter()
        .filter_map(|member| member.name.split_once('/'))
        .map(|(directory, _)| directory)
        .filter(|directory| directory.strip_suffix(".dist-info").is_some_and(|stem| is_stem_of(stem, &filename)));
    let first = found.next()?;
    found.all(|other| other == first).then(|| first.to_owned())
}

/// Whether `name-version` is a wheel's. Tools spell both in many ways, so they are compared in normalised form.
fn is_stem_of(stem: &str, filename: &WheelFilename) -> bool {
    let Some((name, version)) = stem.rsplit_once('-') else { return false };
    // An underscore stands for the `-` or the `+` of a version.
    let spellings = [version.to_owned(), version.replace('_', "-"), version.replace('_', "+")];
    name.parse::<PackageName>().is_ok_and(|name| name == filename.name)
        && spellings.iter().any(|version| version.parse().is_ok_and(|version| filename.version == version))
}

fn expected_dist_info(path: &Path) -> String {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem: Vec<&str> = name.splitn(3, '-').take(2).collect();
    format!("{}.dist-info", stem.join("-"))
}

/// The value of a header of an e-mail-like metadata file.
fn header(text: &str, name: &str) -> Option<String> {
    text.lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_owned())
}

/// The sections that become scripts, of an INI file with case-sensitive keys and only `=` between key and value.
fn parse_script_entry_points(text: &str) -> Vec<(String, String)> {
    let mut scripts = Vec::new();
    let mut in_scripts = false;
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            in_scripts = matches!(section.trim(), "console_scripts" | "gui_scripts");
        } else if let Some((name, reference)) = line.split_once('=')
            && in_scripts
        {
            scripts.push((name.trim().to_owned(), reference.trim().to_owned()));
        }
    }
    scripts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_script_sections_count() {
        let text =
            "[console_scripts]\nrun = a.b:main\n# no\nRun=a:c [extra]\n\n[pytest11]\nx = y\n[gui_scripts]\ng = h:i\n";
        let expected = [("run", "a.b:main"), ("Run", "a:c [extra]"), ("g", "h:i")];
        let parsed = parse_script_entry_points(text);
        assert!(parsed.iter().map(|(name, reference)| (name.as_str(), reference.as_str())).eq(expected));
    }

    #[test]
    fn headers_end_at_the_first_empty_line() {
        let text = "Metadata-Version: 2.1\nname: Foo\n\nVersion: 9\n";
        assert_eq!(header(text, "Name").as_deref(), Some("Foo"));
        assert_eq!(header(text, "Version"), None);
    }
}
