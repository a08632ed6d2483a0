//! Brings the selected wheels into the cache: in parallel, checked while they stream.
//!
//! Invariant: every path that [`Fetcher::fetch_all`] returns is a wheel in the cache whose hash and size were
//! compared with the lock's, and whose members were compared with its RECORD, before it got its name.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::ProgressBar;
use reqwest::StatusCode;
use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use url::Url;

use crate::cache::{Cache, CacheError};
use crate::credentials::{CredentialStore, without_credentials};
use crate::digest::{hex, sha256_hex};
use crate::error::{Diagnose, ExitStatus, FileError};
use crate::http::{self, ClientError, Failed, Network, NetworkError, Reply, Request, Retries, Server};
use crate::index::{IndexFile, Match, PageError, find_file};
use crate::lock::{Hash, HashAlgorithm, Location, Wheel};
use crate::mirror::Mirrors;
use crate::pages::{NoPage, Page, Pages, WantedFiles};
use crate::project::ConfiguredIndex;
use crate::ui::Ui;
use crate::wheel::{WheelError, WheelFile};

/// The longest time without a byte, unless the user says otherwise.
pub const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest reason for yanking a file that is printed, in characters.
const LONGEST_REASON: usize = 300;

/// Why a wheel could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The server answered with an error, or not at all.
    #[error("cannot download `{file}` of package `{package}` from {server}{attempts}")]
    Network {
        /// The wheel.
        file: String,
        /// Its package.
        package: String,
        /// Who was asked.
        server: Server,
        /// ` after N attempts`, or nothing.
        attempts: String,
        /// What happened.
        source: Box<NetworkError>,
    },
    /// The same for the page of an index.
    #[error("cannot read the page of package `{package}` on the index at {server}{attempts}")]
    Page {
        /// The package.
        package: String,
        /// Who was asked.
        server: Server,
        /// ` after N attempts`, or nothing.
        attempts: String,
        /// What happened.
        source: Box<NetworkError>,
    },
    /// The network must not be used.
    #[error("`--offline` forbids downloading what is not in the cache: {}", listed(.wheels, .pages))]
    Offline {
        /// Packages whose wheels are missing.
        wheels: BTreeSet<String>,
        /// Packages whose pages, which tell where their wheels are, are missing.
        pages: BTreeSet<String>,
    },
    /// The index does not have the file.
    #[error("`{file}` of package `{package}` is not on the index at {server}")]
    NotOnIndex {
        /// The wheel.
        file: String,
        /// Its package.
        package: String,
        /// Who was asked.
        server: Server,
    },
    /// The index has another file of that name.
    #[error(
        "`{file}` of package `{package}` has hash `{actual}` on the index at {server}, the lock expects `{expected}`"
    )]
    IndexHash {
        /// The wheel.
        file: String,
        /// Its package.
        package: String,
        /// Who was asked.
        server: Server,
        /// Hash on the index's page.
        actual: String,
        /// Hash in the lock.
        expected: String,
    },
    /// The index's answer cannot be understood.
    #[error("the page of package `{package}` on the index at {server} cannot be understood")]
    IndexPage {
        /// The package.
        package: String,
        /// Who was asked.
        server: Server,
        /// Why.
        source: PageError,
    },
    /// The page leads to a file on this machine, which is nothing that a server may say.
    #[error("the index at {server} says that `{file}` of package `{package}` is a file of this machine")]
    NotRemote {
        /// The wheel.
        file: String,
        /// Its package.
        package: String,
        /// Who was asked.
        server: Server,
    },
    /// The bytes do not hash to what the lock promises.
    #[error("`{file}` of package `{package}` from {server} has hash `{actual}`, the lock expects `{expected}`")]
    Hash {
        /// The wheel.
        file: String,
        /// Its package.
        package: String,
        /// Who was asked.
        server: Server,
        /// Hash of the bytes.
        actual: String,
        /// Hash in the lock.
        expected: String,
    },
    /// The bytes have the first hash that the lock promises, and not another.
    #[error("`{file}` of package `{package}` has hash `{actual}`, the lock expects `{expected}` too")]
    OtherHash {
        /// The wheel.
        file: String,
        /// Its package.
        package: String,
        /// Hash of the bytes.
        actual: String,
        /// Hash in the lock.
        expected: String,
    },
    /// There are more or fewer bytes than the lock promises.
    #[error("`{file}` of package `{package}` from {server} has {actual} bytes, the lock expects {expected}")]
    Size {
        /// The wheel.
        file: String,
        /// Its package.
        package: String,
        /// Who was asked.
        server: Server,
        /// Number of bytes that came.
        actual: u64,
        /// Number in the lock.
        expected: u64,
    },
    /// A wheel in a file cannot be read.
    #[error("cannot read `{path}` of package `{package}`")]
    LocalFile {
        /// The wheel.
        path: PathBuf,
        /// Its package.
        package: String,
        /// Why.
        source: std::io::Error,
    },
    /// A mirror's directory lacks something.
    #[error("the mirror has no `{path}` for package `{package}`")]
    MirrorFile {
        /// The wheel, or the directory of the package.
        path: PathBuf,
        /// The package.
        package: String,
        /// Why.
        source: std::io::Error,
    },
    /// The bytes are what the lock promises, but no proper wheel.
    #[error(transparent)]
    Wheel(#[from] WheelError),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// No HTTP client could be made.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A part of this program failed.
    #[error("a download could not be run")]
    Runtime(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The packages of which something is missing offline.
fn listed(wheels: &BTreeSet<String>, pages: &BTreeSet<String>) -> String {
    let parts = [("the wheels of", wheels), ("the index pages of", pages)];
    let parts = parts.iter().filter(|(_, names)| !names.is_empty());
    let part = |(what, names): &(&str, &BTreeSet<String>)| {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        format!("{what} {}", names.join(", "))
    };
    parts.map(part).collect::<Vec<_>>().join("; ")
}

impl Diagnose for FetchError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Network { .. }
            | Self::Page { .. }
            | Self::NotOnIndex { .. }
            | Self::NotRemote { .. }
            | Self::IndexPage { .. }
            | Self::MirrorFile { .. }
            | Self::Offline { .. }
            | Self::Runtime(_)
            | Self::Client(_) => ExitStatus::Network,
            Self::Hash { .. } | Self::OtherHash { .. } | Self::IndexHash { .. } | Self::Size { .. } => {
                ExitStatus::Integrity
            }
            Self::LocalFile { .. } => ExitStatus::Project,
            Self::Wheel(error) => error.exit_status(),
            Self::Cache(error) => error.exit_status(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Network { source, server: Server::Mirror(_), .. }
                if matches!(**source, NetworkError::Status(StatusCode::NOT_FOUND)) =>
            {
                Some("complete the mirror, or leave its `--mirror` out".into())
            }
            Self::NotOnIndex { server: Server::Mirror(_), .. } => {
                Some("complete the mirror, or leave its `--mirror` out".into())
            }
            Self::Network { source, .. } | Self::Page { source, .. } => Some(source.hint()),
            Self::LocalFile { .. } => Some("was it moved? the lock names it; lock the package again".into()),
            Self::MirrorFile { .. } => Some("complete the mirror, or leave its `--mirror` out".into()),
            Self::NotOnIndex { .. } => Some(
                "was it removed, is it on another index, or does the index want credentials? else lock the package again"
                    .into(),
            ),
            Self::IndexPage { .. } | Self::NotRemote { .. } => {
                Some("is the index's URL that of its simple API, e.g. ending in `/simple`?".into())
            }
            Self::Offline { .. } => Some("run once without `--offline`".into()),
            Self::Hash { .. } | Self::OtherHash { .. } | Self::IndexHash { .. } | Self::Size { .. } => Some(
                "the file on the index is not the one that was locked; find out why before locking it again".into(),
            ),
            Self::Cache(error) => error.hint(),
            Self::Wheel(error) => error.hint(),
            Self::Client(ClientError::Certificates(_)) => {
                Some("name a readable file of certificates in PEM format in `SSL_CERT_FILE`, or unset it".into())
            }
            Self::Client(_) => Some("are the system's certificates installed (`ca-certificates`)?".into()),
            Self::Runtime(_) => None,
        }
    }
}

/// Downloads wheels.
#[derive(Debug)]
pub struct Fetcher {
    cache: Cache,
    /// Relative paths in the lock start here.
    lock_directory: PathBuf,
    options: FetchOptions,
    ui: Ui,
}

/// How the network is used.
#[derive(Debug)]
pub struct FetchOptions {
    /// Not at all.
    pub offline: bool,
    /// Downloads at once.
    pub jobs: usize,
    /// The longest time without a byte.
    pub read_timeout: Duration,
    /// What is asked for elsewhere.
    pub mirrors: Mirrors,
    /// Indexes that may want credentials.
    pub indexes: Vec<ConfiguredIndex>,
}

/// A wheel that is asked for.
#[derive(Debug, Clone, Copy)]
pub struct WantedWheel<'a> {
    /// The wheel.
    pub wheel: &'a Wheel,
    /// The URL of the index that its package comes from.
    pub index: Option<&'a str>,
}

/// What [`Fetcher::fetch_all`] did.
#[derive(Debug)]
pub struct Fetched {
    /// A cached wheel for each one asked for, in the same order.
    pub paths: Vec<PathBuf>,
    /// How many of them were downloaded or copied just now.
    pub new_files: usize,
    /// Their size in bytes.
    pub new_bytes: u64,
}

/// One wheel to bring into the cache.
#[derive(Debug, Clone)]
struct Job {
    package: String,
    version: String,
    file: String,
    location: Location,
    index: Option<Url>,
    hash: Option<Hash>,
    other_hashes: Vec<Hash>,
    size: Option<u64>,
    path: PathBuf,
}

impl Fetcher {
    /// A fetcher into a cache.
    pub fn new(cache: Cache, lock_directory: PathBuf, options: FetchOptions, ui: Ui) -> Self {
        Self { cache, lock_directory, options, ui }
    }

    /// Brings all wheels into the cache.
    pub fn fetch_all(&self, wheels: &[WantedWheel<'_>]) -> Result<Fetched, FetchError> {
        let jobs: Vec<Job> = wheels.iter().map(|wanted| self.job(wanted)).collect();
        let paths = jobs.iter().map(|job| job.path.clone()).collect();
        let mut missing: Vec<Job> = jobs.into_iter().filter(|job| !is_cached(job)).collect();
        missing.sort_by(|a, b| a.path.cmp(&b.path));
        missing.dedup_by(|a, b| a.path == b.path);
        let new_files = missing.len();
        if missing.is_empty() {
            return Ok(Fetched { paths, new_files, new_bytes: 0 });
        }
        let options = &self.options;
        let read_timeout = (!options.offline).then_some(options.read_timeout);
        let credentials = CredentialStore::new(&options.indexes);
        let network = Arc::new(Network::new(read_timeout, options.mirrors.clone(), credentials)?);
        let wanted = WantedFiles {
            names: missing.iter().map(|job| job.file.clone()).collect(),
            hashes: missing.iter().filter_map(|job| Some(job.hash.as_ref()?.hex.clone())).collect(),
        };
        let fetch = Arc::new(Fetch {
            pages: Pages::new(Arc::clone(&network), self.cache.clone(), wanted),
            network,
            cache: self.cache.clone(),
            bar: self.ui.download_bar(missing.iter().filter_map(|job| job.size).sum()),
            notes: Mutex::default(),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| FetchError::Runtime(Box::new(error)))?;
        let result = runtime.block_on(fetch.all(missing, options.jobs));
        // Waits for checks that still run after a failure, so that their temporary files go.
        drop(runtime);
        fetch.bar.finish_and_clear();
        let notes = fetch.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.warnings.iter().for_each(|warning| self.ui.warn(warning));
        notes.details.iter().for_each(|detail| self.ui.detail(detail));
        Ok(Fetched { paths, new_files, new_bytes: result? })
    }

    fn job(&self, wanted: &WantedWheel<'_>) -> Job {
        let wheel = wanted.wheel;
        let location = match &wheel.location {
            Location::Path(path) => Location::Path(self.lock_directory.join(path)),
            other => other.clone(),
        };
        let index = match &location {
            Location::Index(index) => Some(index.as_str()),
            _ => wanted.index,
        };
        let key = match (&wheel.hash, &location) {
            (Some(Hash { algorithm: HashAlgorithm::Sha256, hex }), _) => hex.clone(),
            (Some(hash), _) => hash.to_string().replace(':', "-"),
            // Without a hash the place is all that is known of a file.
            (None, Location::Url(url)) => format!("url-{}", sha256_hex(without_credentials(url).as_bytes())),
            (None, Location::Index(index)) => {
                format!("index-{}", sha256_hex(format!("{} {}", without_credentials(index), wheel.file).as_bytes()))
            }
            (None, Location::Path(path)) => format!("path-{}", sha256_hex(path.as_os_str().as_encoded_bytes())),
        };
        Job {
            package: wheel.filename.name.to_string(),
            version: wheel.filename.version.to_string(),
            file: wheel.file.clone(),
            index: index.and_then(|index| Url::parse(index).ok()),
            location,
            hash: wheel.hash.clone(),
            other_hashes: wheel.other_hashes.clone(),
            size: wheel.size,
            path: self.cache.wheel(&key, &wheel.file),
        }
    }
}

/// A cached file counts if it has the size that the lock promises; without a promise, if it is there.
fn is_cached(job: &Job) -> bool {
    // A file is trusted as long as it is what was put there, not as long as its source is unchanged.
    let may_change = job.hash.is_none() && matches!(job.location, Location::Path(_));
    !may_change && std::fs::metadata(&job.path).is_ok_and(|metadata| job.size.is_none_or(|size| metadata.len() == size))
}

impl Job {
    fn failed(&self, failed: Failed, attempts: String) -> FetchError {
        let Failed { error, server, .. } = failed;
        let source = Box::new(error);
        FetchError::Network { file: self.file.clone(), package: self.package.clone(), server, attempts, source }
    }

    /// The lock's URL is none.
    fn no_url(&self) -> FetchError {
        let server = Server::Host("its server".into());
        self.failed(Failed::new(NetworkError::Url, &server), String::new())
    }

    fn not_on_index(&self, server: Server) -> FetchError {
        FetchError::NotOnIndex { file: self.file.clone(), package: self.package.clone(), server }
    }

    fn no_page(&self, error: NoPage) -> FetchError {
        let package = self.package.clone();
        match error {
            NoPage::Network(Failed { error: NetworkError::Status(status), server, .. }, _)
                if matches!(status.as_u16(), 404 | 410) =>
            {
                self.not_on_index(server)
            }
            NoPage::Network(Failed { error, server, .. }, attempts) => {
                FetchError::Page { package, server, attempts, source: Box::new(error) }
            }
            NoPage::Page(source, server) => FetchError::IndexPage { package, server, source },
            NoPage::File(path, source) => FetchError::MirrorFile { path, package, source },
            NoPage::Cache(error) => error.into(),
        }
    }
}

type Temporary = tempfile::NamedTempFile;

/// What the downloads of one run share.
#[derive(Debug)]
struct Fetch {
    network: Arc<Network>,
    pages: Pages,
    cache: Cache,
    bar: ProgressBar,
    notes: Mutex<Notes>,
}

/// What is to be said in the end, each once and in an order that does not depend on who was quicker.
#[derive(Debug, Default)]
struct Notes {
    warnings: BTreeSet<String>,
    details: BTreeSet<String>,
}

impl Fetch {
    async fn all(self: &Arc<Self>, missing: Vec<Job>, jobs: usize) -> Result<u64, FetchError> {
        let permits = Arc::new(Semaphore::new(jobs));
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let check_permits = Arc::new(Semaphore::new(processors));
        let mut tasks = JoinSet::new();
        for job in missing {
            let (fetch, permits, check_permits) = (Arc::clone(self), Arc::clone(&permits), Arc::clone(&check_permits));
            tasks.spawn(async move {
                let permit = permits.acquire_owned().await;
                let (temporary, length) = fetch.bring(&job).await?;
                // Checking the contents needs the processor, not the network.
                drop(permit);
                let _check_permit = check_permits.acquire_owned().await;
                let cache = fetch.cache.clone();
                let checked = tokio::task::spawn_blocking(move || keep_verified(&cache, &job, temporary)).await;
                checked.map_err(|error| FetchError::Runtime(Box::new(error)))??;
                Ok::<u64, FetchError>(length)
            });
        }
        let (mut wheels, mut pages) = (BTreeSet::new(), BTreeSet::new());
        let mut total = 0;
        while let Some(result) = tasks.join_next().await {
            match result.map_err(|error| FetchError::Runtime(Box::new(error)))? {
                Ok(length) => total += length,
                // All that is missing is told at once.
                Err(FetchError::Network { source, package, .. }) if source.is_offline() => {
                    wheels.insert(package);
                }
                Err(FetchError::Page { source, package, .. }) if source.is_offline() => {
                    pages.insert(package);
                }
                Err(error) => return Err(error),
            }
        }
        if wheels.is_empty() && pages.is_empty() { Ok(total) } else { Err(FetchError::Offline { wheels, pages }) }
    }

    /// The bytes of a wheel, with the hash and size that the lock promises.
    async fn bring(&self, job: &Job) -> Result<(Temporary, u64), FetchError> {
        let mut temporary = self.cache.temporary_file()?;
        let length = match (&job.location, &job.index) {
            (Location::Path(path), _) => {
                let unreadable =
                    |source| FetchError::LocalFile { path: path.clone(), package: job.package.clone(), source };
                copy(job, path, &mut temporary, unreadable)?
            }
            (Location::Url(url), index) => {
                let url = Url::parse(url).map_err(|_| job.no_url())?;
                self.download(job, url, index.as_ref(), &mut temporary).await?
            }
            (Location::Index(_), Some(index)) => {
                let url = self.look_up(job, index).await?;
                self.download(job, url, Some(index), &mut temporary).await?
            }
            (Location::Index(_), None) => return Err(job.no_url()),
        };
        Ok((temporary, length))
    }

    /// Looks up where an index has a wheel.
    async fn look_up(&self, job: &Job, index: &Url) -> Result<Url, FetchError> {
        let page = self.pages.page(index, &job.package).await.map_err(|error| job.no_page(error))?;
        let found = self.find_on_page(job, &page);
        if found.is_ok() {
            return found;
        }
        // The file may have come to the index after the page to the cache.
        let page = self.pages.newer_page(index, &job.package, page).await.map_err(|error| job.no_page(error))?;
        self.find_on_page(job, &page)
    }

    fn find_on_page(&self, job: &Job, page: &Page) -> Result<Url, FetchError> {
        let (file, package, server) = (job.file.clone(), job.package.clone(), page.server.clone());
        let found = match find_file(&page.files, &job.file, job.hash.as_ref()) {
            Match::File(found) => found,
            Match::Missing => return Err(job.not_on_index(server)),
            Match::Contradiction(actual) => {
                let expected = job.hash.as_ref().map(ToString::to_string).unwrap_or_default();
                return Err(FetchError::IndexHash { file, package, server, actual: actual.to_string(), expected });
            }
        };
        if found.url.scheme() == "file" && page.server != Server::ThisMachine {
            return Err(FetchError::NotRemote { file, package, server });
        }
        self.note(job, found, &page.server);
        Ok(found.url.clone())
    }

    fn note(&self, job: &Job, found: &IndexFile, server: &Server) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reason) = &found.yanked {
            let Job { package, version, .. } = job;
            let reason = one_line(reason);
            let why = if reason.is_empty() { "without a reason".to_owned() } else { format!("because: {reason}") };
            notes
                .warnings
                .insert(format!("package `{package}` {version} was yanked from the index at {server}, {why}"));
        }
        let python = found.requires_python.as_deref().map(|python| format!(", for Python {}", one_line(python)));
        notes.details.insert(format!("found `{}` on the index at {server}{}", job.file, python.unwrap_or_default()));
    }

    /// Downloads one file, trying again where that may help.
    async fn download(
        &self,
        job: &Job,
        url: Url,
        index: Option<&Url>,
        temporary: &mut Temporary,
    ) -> Result<u64, FetchError> {
        let request = self.network.request(url, index);
        let mut retries = Retries::default();
        loop {
            match self.attempt(job, &request, temporary).await? {
                Ok(length) => return Ok(length),
                Err(failed) => {
                    retries.after(failed).await.map_err(|(failed, attempts)| job.failed(failed, attempts))?;
                }
            }
        }
    }

    /// The outer error is final, the inner one may be tried again.
    async fn attempt(
        &self,
        job: &Job,
        request: &Request,
        temporary: &mut Temporary,
    ) -> Result<Result<u64, Failed>, FetchError> {
        let mut answer = match self.network.get(request, &http::file_headers()).await {
            Ok(Reply::Http(answer)) => answer,
            Ok(Reply::File(path)) => {
                let package = job.package.clone();
                let unreadable = |source| FetchError::MirrorFile { path: path.clone(), package, source };
                return copy(job, &path, temporary, unreadable).map(Ok);
            }
            Err(failed) => return Ok(Err(failed)),
        };
        let response = &mut answer.response;
        if response.status() != StatusCode::OK {
            return Ok(Err(Failed::new(NetworkError::Status(response.status()), &answer.server)));
        }
        let wrong_size = |actual| FetchError::Size {
            file: job.file.clone(),
            package: job.package.clone(),
            server: answer.server.clone(),
            actual,
            expected: job.size.unwrap_or_default(),
        };
        if let (Some(promised), Some(expected)) = (response.content_length(), job.size)
            && promised != expected
        {
            return Err(wrong_size(promised));
        }
        rewind(temporary)?;
        // Where the lock has no sizes, the bar's length is known only as answers come.
        let announced = if job.size.is_none() { response.content_length().unwrap_or_default() } else { 0 };
        let bar = &self.bar;
        bar.inc_length(announced);
        let mut hasher = Hasher::new(job.hash.as_ref());
        let mut length = 0_u64;
        loop {
            let piece = match response.chunk().await {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(error) => {
                    bar.set_position(bar.position().saturating_sub(length));
                    bar.set_length(bar.length().unwrap_or_default().saturating_sub(announced));
                    return Ok(Err(Failed::new(NetworkError::transport(&error), &answer.server)));
                }
            };
            length += piece.len() as u64;
            if job.size.is_some_and(|expected| length > expected) {
                return Err(wrong_size(length));
            }
            hasher.update(&piece);
            temporary.write_all(&piece).map_err(cache_write)?;
            bar.inc(piece.len() as u64);
        }
        if let Some(expected) = job.size
            && length < expected
        {
            // Without an announced length, a connection that breaks off looks like the end of the file.
            let error = NetworkError::Transport(format!("the file ended after {length} of {expected} bytes"));
            return Ok(Err(Failed::new(error, &answer.server)));
        }
        check_hash(job, &answer.server, hasher)?;
        Ok(Ok(length))
    }
}

/// Somebody else's text as it may be printed: without line breaks and escape sequences, and not too long.
fn one_line(text: &str) -> String {
    let visible: String = text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    visible.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(LONGEST_REASON).collect()
}

/// Copies a wheel from a local index or a mirror's directory, with the same checks.
fn copy(
    job: &Job,
    path: &Path,
    temporary: &mut Temporary,
    unreadable: impl FnOnce(std::io::Error) -> FetchError + Clone,
) -> Result<u64, FetchError> {
    let mut input = std::fs::File::open(path).map_err(unreadable.clone())?;
    let mut hasher = Hasher::new(job.hash.as_ref());
    let mut buffer = vec![0; 1 << 20];
    let mut actual = 0;
    rewind(temporary)?;
    loop {
        let length = input.read(&mut buffer).map_err(unreadable.clone())?;
        if length == 0 {
            break;
        }
        actual += length as u64;
        hasher.update(&buffer[..length]);
        temporary.write_all(&buffer[..length]).map_err(cache_write)?;
    }
    let server = Server::ThisMachine;
    if let Some(expected) = job.size.filter(|expected| *expected != actual) {
        let (file, package) = (job.file.clone(), job.package.clone());
        return Err(FetchError::Size { file, package, server, actual, expected });
    }
    check_hash(job, &server, hasher)?;
    Ok(actual)
}

fn cache_write(error: std::io::Error) -> FetchError {
    FetchError::Cache(CacheError::File(FileError::during("write a download into the cache")(error)))
}

fn rewind(temporary: &mut Temporary) -> Result<(), FetchError> {
    use std::io::Seek as _;
    temporary.as_file_mut().rewind().and_then(|()| temporary.as_file().set_len(0)).map_err(cache_write)
}

/// Gives a downloaded file its name once it has proved to be a proper wheel.
///
/// The name comes last, so the file is checked under a temporary directory with the wheel's own file name.
fn keep_verified(cache: &Cache, job: &Job, temporary: Temporary) -> Result<(), FetchError> {
    let directory = cache.temporary_directory()?;
    let named = directory.path().join(&job.file);
    let temporary = temporary.into_temp_path();
    fs_err::rename(&temporary, &named).map_err(cache_write)?;
    check_other_hashes(job, &named)?;
    WheelFile::open(&named)?.verify()?;
    let named = tempfile::TempPath::try_from_path(named).map_err(cache_write)?;
    cache.keep(named, &job.path)?;
    Ok(())
}

/// Compares a complete file with what the lock promises besides the hash that was checked while it came. Few locks
/// promise more, so the file is read again for each.
fn check_other_hashes(job: &Job, path: &Path) -> Result<(), FetchError> {
    for expected in &job.other_hashes {
        let mut hasher = Hasher::new(Some(expected));
        let mut file = fs_err::File::open(path).map_err(cache_write)?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer).map_err(cache_write)? {
                0 => break,
                length => hasher.update(&buffer[..length]),
            }
        }
        let actual = Hash { algorithm: expected.algorithm, hex: hasher.finish() };
        if actual != *expected {
            let (file, package) = (job.file.clone(), job.package.clone());
            return Err(FetchError::OtherHash {
                file,
                package,
                actual: actual.to_string(),
                expected: expected.to_string(),
            });
        }
    }
    Ok(())
}

fn check_hash(job: &Job, server: &Server, hasher: Hasher) -> Result<(), FetchError> {
    let Some(expected) = &job.hash else { return Ok(()) };
    let actual = Hash { algorithm: expected.algorithm, hex: hasher.finish() };
    if actual == *expected {
        return Ok(());
    }
    Err(FetchError::Hash {
        file: job.file.clone(),
        package: job.package.clone(),
        server: server.clone(),
        actual: actual.to_string(),
        expected: expected.to_string(),
    })
}

/// The hash function that the lock asks for.
enum Hasher {
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Hasher {
    fn new(hash: Option<&Hash>) -> Self {
        match hash.map(|hash| hash.algorithm) {
            None | Some(HashAlgorithm::Sha256) => Self::Sha256(Sha256::new()),
            Some(HashAlgorithm::Sha384) => Self::Sha384(Sha384::new()),
            Some(HashAlgorithm::Sha512) => Self::Sha512(Sha512::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha384(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> String {
        match self {
            Self::Sha256(hasher) => hex(&hasher.finalize()),
            Self::Sha384(hasher) => hex(&hasher.finalize()),
            Self::Sha512(hasher) => hex(&hasher.finalize()),
        }
    }
}
