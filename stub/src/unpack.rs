//! The first start: makes the tree.
//!
//! Under a lock on the tree's key, the payload is unpacked into a directory beside the trees, brought to
//! disk, and renamed. Where the file system knows no locks, several starts may do the work at once: each in
//! its own directory, and the first rename wins.
//!
//! Invariant: whatever fails or is killed at whatever moment, no tree that is not complete gets its name, and
//! what was left behind is removed by the next start that makes the same tree.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bundle_launcher::{TreePathError, tree_path};
use flate2::{Decompress, FlushDecompress, Status};
use rawzip::{CompressionMethod, FileReader, ZipArchive, ZipArchiveEntryWayfinder};
use rustix::fs::{Mode, OFlags};

use crate::artifact::Artifact;
use crate::report::{Bytes, Log};
use crate::root::{self, Root};
use crate::tree::{self, Tree};

/// Bytes read at once. Most entries are smaller: one read each.
const INPUT_BUFFER: usize = 128 << 10;

/// Bytes written at once.
const OUTPUT_BUFFER: usize = 256 << 10;

/// Files of this size and larger come first, so that no thread is left alone with one at the end; the rest
/// come in the order of the archive, which reads it front to back and fills directory after directory.
const LARGE: u64 = 256 << 10;

/// Why the tree could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackError {
    #[error("`{}` could not be made", path.display())]
    Make {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{path}` could not be written")]
    Write {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("the tree could not be brought to disk")]
    Sync(#[source] io::Error),
    #[error("the archive in the artifact is damaged")]
    Archive(#[source] rawzip::Error),
    #[error("the archive in the artifact lists {expected} entries and holds {found}")]
    EntryCount { expected: u64, found: u64 },
    #[error("the archive in the artifact is damaged")]
    Name(#[source] TreePathError),
    #[error("entry `{path}` cannot be unpacked: {reason}")]
    Unsupported { path: String, reason: String },
    #[error("entry `{path}` is damaged")]
    Damaged {
        path: String,
        #[source]
        damage: Damage,
    },
}

/// How an entry's data is not what its header says.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Damage {
    #[error("its data cannot be read")]
    Read(#[source] io::Error),
    #[error("its compressed data makes no sense")]
    Deflate,
    #[error("its compressed data ends too early")]
    Truncated,
    #[error("got {found} bytes, expected {expected}")]
    Size { expected: u64, found: u64 },
    #[error("got CRC-32 {found:08x}, expected {expected:08x}")]
    Crc { expected: u32, found: u32 },
}

impl UnpackError {
    /// What would work, where unpacking needs so many bytes.
    pub(crate) fn hint(&self, needed: u64) -> String {
        match self {
            Self::Make { source, .. } | Self::Write { source, .. } | Self::Sync(source) => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    format!("set `BUNDLE_ROOT` to a directory on a file system with {} free", Bytes(needed))
                }
                _ => "set `BUNDLE_ROOT` to another directory".into(),
            },
            _ => "copy or download the file again, and compare its hash with the one it was built with".into(),
        }
    }
}

/// Makes the tree, or waits until another start has made it.
pub(crate) fn unpack(
    artifact: &Artifact,
    tree: &Tree<'_>,
    root: &Root,
    jobs: Option<NonZeroUsize>,
    log: &Log,
) -> Result<(), UnpackError> {
    // Modes of what is unpacked are the artifact's affair; the app gets the caller's mask back.
    let callers_mask = rustix::process::umask(Mode::from_raw_mode(0o022));
    let result = lock_and_unpack(artifact, tree, root, jobs, log);
    rustix::process::umask(callers_mask);
    result
}

fn lock_and_unpack(
    artifact: &Artifact,
    tree: &Tree<'_>,
    root: &Root,
    jobs: Option<NonZeroUsize>,
    log: &Log,
) -> Result<(), UnpackError> {
    let temporary = root.temporary();
    for path in [root.trees(), root.locks(), temporary.clone()] {
        root::make_directory(&path).map_err(|source| UnpackError::Make { path, source })?;
    }
    let lock = lock(&root.locks().join(format!("{}.lock", tree.key())), log)?;
    if tree.is_ready() {
        log.say(format_args!("another start made the tree"));
        return Ok(());
    }
    if lock.is_some() {
        sweep(&temporary, tree.key(), log);
    }

    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos());
    let directory = temporary.join(format!("{}.{}-{nanos}", tree.key(), std::process::id()));
    let result = fill(artifact, tree, &directory, jobs, log).and_then(|()| publish(&directory, tree, root, log));
    if result.is_err() {
        // The error that is reported is the one that led here.
        let _ = remove_tree(&directory);
    }
    result
}

/// Waits for the exclusive lock; returns `None` where the file system has no locks.
fn lock(path: &Path, log: &Log) -> Result<Option<File>, UnpackError> {
    let failed = |source| UnpackError::Make { path: path.to_owned(), source };
    let file = OpenOptions::new().create(true).append(true).mode(0o644).open(path).map_err(failed)?;
    let locked = match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            log.say(format_args!("waiting for another start that makes the same tree"));
            file.lock()
        }
        Err(TryLockError::Error(error)) => Err(error),
        Ok(()) => Ok(()),
    };
    match locked {
        Ok(()) => Ok(Some(file)),
        Err(error) => {
            log.say(format_args!("`{}` cannot be locked, going on without: {error}", path.display()));
            Ok(None)
        }
    }
}

/// Removes what starts that were killed have left of this tree. Only the holder of the lock may.
fn sweep(temporary: &Path, key: &str, log: &Log) {
    let Ok(entries) = std::fs::read_dir(temporary) else { return };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        if name.as_bytes().strip_prefix(key.as_bytes()).is_some_and(|rest| rest.starts_with(b".")) {
            // What cannot be removed is in nobody's way: the next directory has another name.
            let removed = remove_tree(&entry.path());
            log.say(format_args!("removed `{}`, left by a start that was killed: {removed:?}", entry.path().display()));
        }
    }
}

/// Removes a directory with all it holds, directories without write permission too.
fn remove_tree(path: &Path) -> io::Result<()> {
    std::fs::remove_dir_all(path).or_else(|_| {
        make_writable(path);
        std::fs::remove_dir_all(path)
    })
}

fn make_writable(directory: &Path) {
    // Failures show when the directory is removed.
    let _ = std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700));
    for entry in std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok) {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_writable(&entry.path());
        }
    }
}

/// Gives a finished directory its name.
fn publish(directory: &Path, tree: &Tree<'_>, root: &Root, log: &Log) -> Result<(), UnpackError> {
    let trees = root.trees();
    let trees_directory = File::open(&trees).map_err(|source| UnpackError::Make { path: trees, source })?;
    // One call for the whole file system is much cheaper than one for each of ten thousand files.
    rustix::fs::syncfs(&trees_directory).map_err(|error| UnpackError::Sync(error.into()))?;
    log.say(format_args!("brought to disk"));
    match std::fs::rename(directory, tree.path()) {
        Ok(()) => trees_directory.sync_all().map_err(UnpackError::Sync),
        Err(_) if tree.is_ready() => {
            log.say(format_args!("another start made the tree first"));
            let _ = remove_tree(directory);
            Ok(())
        }
        Err(source) => Err(UnpackError::Make { path: tree.path().to_owned(), source }),
    }
}

/// One file to unpack.
#[derive(Debug)]
struct Entry {
    /// Path below the tree.
    path: String,
    data: ZipArchiveEntryWayfinder,
    method: Method,
    crc: u32,
    executable: bool,
}

impl Entry {
    fn size(&self) -> u64 {
        self.data.uncompressed_size_hint()
    }
}

#[derive(Debug, Clone, Copy)]
enum Method {
    Store,
    Deflate,
}

fn fill(
    artifact: &Artifact,
    tree: &Tree<'_>,
    directory: &Path,
    jobs: Option<NonZeroUsize>,
    log: &Log,
) -> Result<(), UnpackError> {
    let make = |path: &Path, source| UnpackError::Make { path: path.to_owned(), source };
    let file = artifact.file.try_clone().map_err(|error| UnpackError::Archive(error.into()))?;
    let mut buffer = vec![0; rawzip::RECOMMENDED_BUFFER_SIZE];
    let archive = ZipArchive::from_file(file, &mut buffer).map_err(UnpackError::Archive)?;
    let (major, minor, _) = tree.interpreter.version;
    let mut entries = read_directory(&archive, &mut buffer, (major, minor))?;
    log.say(format_args!("read a directory of {} files", entries.len()));

    std::fs::create_dir(directory).map_err(|source| make(directory, source))?;
    tree::make_virtual_environment(directory, tree.interpreter).map_err(|source| make(directory, source))?;
    for parent in parents(&entries) {
        match std::fs::create_dir(directory.join(parent)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(make(&directory.join(parent), source)),
            Ok(()) => {}
        }
    }
    log.say(format_args!("made the directories"));

    entries.sort_by_key(|entry| {
        let size = entry.size();
        std::cmp::Reverse(if size >= LARGE { size } else { 0 })
    });
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let target = rustix::fs::open(directory, flags, Mode::empty()).map_err(|error| make(directory, error.into()))?;
    let available = jobs.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let threads = available.min(entries.len()).max(1);
    let queue = Queue {
        archive: &archive,
        file: &artifact.file,
        target,
        entries: &entries,
        next: AtomicUsize::new(0),
        failed: AtomicBool::new(false),
        error: Mutex::new(None),
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // Where no more threads are to be had, those that are there do the work.
            let _ = std::thread::Builder::new().spawn_scoped(scope, || queue.work());
        }
        queue.work();
    });
    log.say(format_args!("unpacked with {threads} threads"));
    match queue.error.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Returns the files to unpack, in the order of the archive.
fn read_directory(
    archive: &ZipArchive<FileReader>,
    buffer: &mut [u8],
    python: (u8, u8),
) -> Result<Vec<Entry>, UnpackError> {
    let expected = archive.entries_hint();
    let mut found = 0;
    // The number comes from outside: it is no reason to ask for memory before entries are seen.
    let mut entries = Vec::new();
    let mut headers = archive.entries(buffer);
    while let Some(header) = headers.next_entry().map_err(UnpackError::Archive)? {
        found += 1;
        let name = header.file_path();
        let (_, path) = tree_path(name.as_bytes(), python).map_err(UnpackError::Name)?;
        let Some(path) = path else { continue };
        let method = match header.compression_method() {
            CompressionMethod::STORE => Method::Store,
            CompressionMethod::DEFLATE => Method::Deflate,
            method => {
                let reason = format!("its compression method is {}, expected store or deflate", method.as_u16());
                return Err(UnpackError::Unsupported { path, reason });
            }
        };
        if header.mode().is_symlink() {
            return Err(UnpackError::Unsupported { path, reason: "it is a symbolic link".into() });
        }
        entries.push(Entry {
            path,
            data: header.wayfinder(),
            method,
            crc: header.crc32(),
            executable: header.mode().permissions() & 0o111 != 0,
        });
    }
    if found == expected { Ok(entries) } else { Err(UnpackError::EntryCount { expected, found }) }
}

/// Returns the directories that the entries need, each after its own parent.
fn parents(entries: &[Entry]) -> BTreeSet<&str> {
    let mut parents = BTreeSet::new();
    for entry in entries {
        let mut path = entry.path.as_str();
        while let Some((parent, _)) = path.rsplit_once('/') {
            // When it is known, so are those above it.
            if !parents.insert(parent) {
                break;
            }
            path = parent;
        }
    }
    parents
}

/// The work that the threads share.
struct Queue<'a> {
    archive: &'a ZipArchive<FileReader>,
    file: &'a File,
    target: OwnedFd,
    entries: &'a [Entry],
    next: AtomicUsize,
    failed: AtomicBool,
    error: Mutex<Option<UnpackError>>,
}

impl Queue<'_> {
    /// Unpacks entries until none is left, or one could not be unpacked.
    fn work(&self) {
        let mut worker = Worker {
            queue: self,
            inflater: Decompress::new(false),
            input: vec![0; INPUT_BUFFER],
            output: vec![0; OUTPUT_BUFFER],
        };
        while !self.failed.load(Ordering::Relaxed) {
            let Some(entry) = self.entries.get(self.next.fetch_add(1, Ordering::Relaxed)) else { return };
            if let Err(error) = worker.unpack(entry) {
                self.failed.store(true, Ordering::Relaxed);
                self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        }
    }
}

/// One thread's state. Its buffers are all the memory that unpacking takes, however large the files are.
struct Worker<'a> {
    queue: &'a Queue<'a>,
    inflater: Decompress,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Worker<'_> {
    fn unpack(&mut self, entry: &Entry) -> Result<(), UnpackError> {
        let mode = Mode::from_raw_mode(if entry.executable { 0o755 } else { 0o644 });
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(self.queue.target.as_fd(), &*entry.path, flags, mode)
            .map_err(|error| UnpackError::Write { path: entry.path.clone(), source: error.into() })?;
        let mut sink = Sink { file: file.into(), crc: crc32fast::Hasher::new(), written: 0, expected: entry.size() };

        let local = self.queue.archive.get_entry(entry.data).map_err(UnpackError::Archive)?;
        let (start, end) = local.compressed_data_range();
        let result = match entry.method {
            Method::Store => self.copy(start, end, &mut sink),
            Method::Deflate => self.inflate(start, end, &mut sink),
        };
        result.and_then(|()| sink.finish(entry.crc)).map_err(|stop| match stop {
            Stop::Damage(damage) => UnpackError::Damaged { path: entry.path.clone(), damage },
            Stop::Write(source) => UnpackError::Write { path: entry.path.clone(), source },
        })
    }

    fn copy(&mut self, mut position: u64, end: u64, sink: &mut Sink) -> Result<(), Stop> {
        while position < end {
            let read = self.read(position, end)?;
            sink.write(&self.input[..read])?;
            position += read as u64;
        }
        Ok(())
    }

    fn inflate(&mut self, mut position: u64, end: u64, sink: &mut Sink) -> Result<(), Stop> {
        self.inflater.reset(false);
        let (mut used, mut filled) = (0, 0); // of the input buffer
        let mut ready = 0; // in the output buffer
        loop {
            if used == filled && position < end {
                (used, filled) = (0, self.read(position, end)?);
                position += filled as u64;
            }
            let (total_in, total_out) = (self.inflater.total_in(), self.inflater.total_out());
            let status = self
                .inflater
                .decompress(&self.input[used..filled], &mut self.output[ready..], FlushDecompress::None)
                .map_err(|_| Damage::Deflate)?;
            let consumed = self.inflater.total_in() - total_in;
            let produced = self.inflater.total_out() - total_out;
            // Both are bounded by the buffers.
            #[expect(clippy::cast_possible_truncation)]
            {
                used += consumed as usize;
                ready += produced as usize;
            }
            let ended = matches!(status, Status::StreamEnd);
            if ended || ready == self.output.len() {
                sink.write(&self.output[..ready])?;
                ready = 0;
            } else if consumed == 0 && produced == 0 {
                return Err(Damage::Truncated.into());
            }
            if ended {
                return Ok(());
            }
        }
    }

    /// Reads what fits into the input buffer.
    fn read(&mut self, position: u64, end: u64) -> Result<usize, Damage> {
        let wanted = usize::try_from(end - position).unwrap_or(usize::MAX).min(self.input.len());
        let read = self.queue.file.read_at(&mut self.input[..wanted], position).map_err(Damage::Read)?;
        if read == 0 { Err(Damage::Truncated) } else { Ok(read) }
    }
}

/// Why an entry could not be unpacked.
enum Stop {
    Damage(Damage),
    Write(io::Error),
}

impl From<Damage> for Stop {
    fn from(damage: Damage) -> Self {
        Self::Damage(damage)
    }
}

/// A file being written, and what is known of it so far.
struct Sink {
    file: File,
    crc: crc32fast::Hasher,
    written: u64,
    expected: u64,
}

impl Sink {
    /// Writes more; never more than the entry's size, whatever its data says.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.written += bytes.len() as u64;
        if self.written > self.expected {
            return Err(Damage::Size { expected: self.expected, found: self.written }.into());
        }
        self.crc.update(bytes);
        self.file.write_all(bytes).map_err(Stop::Write)
    }

    fn finish(self, expected_crc: u32) -> Result<(), Stop> {
        if self.written != self.expected {
            return Err(Damage::Size { expected: self.expected, found: self.written }.into());
        }
        let found = self.crc.finalize();
        if found != expected_crc {
            return Err(Damage::Crc { expected: expected_crc, found }.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_that_cannot_be_written_to_are_removed_too() {
        let directory = std::env::temp_dir().join(format!("bundle-launcher-test-{}", std::process::id()));
        let inner = directory.join("a/b");
        std::fs::create_dir_all(&inner).expect("makes directories");
        std::fs::write(inner.join("file"), b"x").expect("writes");
        for path in [&inner, &directory.join("a")] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o500)).expect("changes the mode");
        }
        remove_tree(&directory).expect("removes");
        assert!(!directory.exists());
    }

    #[test]
    fn a_sink_takes_no_more_than_the_size_and_checks_the_sum() {
        let sink = || Sink {
            file: OpenOptions::new().write(true).open("/dev/null").expect("opens"),
            crc: crc32fast::Hasher::new(),
            written: 0,
            expected: 3,
        };
        let finish = |bytes: &[u8], crc| {
            let mut sink = sink();
            match sink.write(bytes).and_then(|()| sink.finish(crc)) {
                Ok(()) => "whole".to_owned(),
                Err(Stop::Damage(damage)) => damage.to_string(),
                Err(Stop::Write(error)) => error.to_string(),
            }
        };
        assert_eq!(finish(b"abc", 0x3524_41c2), "whole");
        assert_eq!(finish(b"abc", 1), "got CRC-32 352441c2, expected 00000001");
        assert_eq!(finish(b"ab", 0), "got 2 bytes, expected 3");
        assert_eq!(finish(b"abcd", 0), "got 4 bytes, expected 3");
    }
}
