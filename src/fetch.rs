//! Brings the selected wheels into the cache: in parallel, checked while they stream.
//!
//! Invariant: every path that [`Fetcher::fetch_all`] returns is a wheel in the cache whose hash and size were
//! compared with the lock's, and whose members were compared with its RECORD, before it got its name.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use indicatif::ProgressBar;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::cache::{Cache, CacheError};
use crate::digest::{hex, sha256_hex};
use crate::error::{Diagnose, ExitStatus, FileError};
use crate::index::{self, PageError};
use crate::lock::{Hash, HashAlgorithm, Location, Wheel};
use crate::ui::Ui;
use crate::wheel::{WheelError, WheelFile};

/// The longest page of an index that is read, in bytes; the longest real ones have about 10 MB.
const MAX_PAGE_LENGTH: usize = 64 << 20;
/// How often a file is asked for before giving up.
const ATTEMPTS: u32 = 4;
/// The pause before the second attempt; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest `Retry-After` that is waited for; whoever asks for more is not asked again.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest time without a byte, unless the user says otherwise.
pub const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a wheel could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The server answered with an error, or not at all.
    #[error("cannot download `{file}` of package `{package}` from `{host}`{attempts}")]
    Network {
        /// The wheel.
        file: String,
        /// Its package.
        package: String,
        /// Host of the URL.
        host: String,
        /// ` after N attempts`, or nothing.
        attempts: String,
        /// What happened.
        source: NetworkError,
    },
    /// The wheels of these packages are not in the cache, and the network must not be used.
    #[error("`--offline` forbids downloading what is not in the cache: the wheels of {}", .0.join(", "))]
    Offline(Vec<String>),
    /// The index does not have the file.
    #[error("`{file}` of package `{package}` is not on the index at `{host}`")]
    NotOnIndex {
        /// The wheel.
        file: String,
        /// Its package.
        package: String,
        /// Host of the index.
        host: String,
    },
    /// The index's answer cannot be understood.
    #[error("the page of package `{package}` on the index at `{host}` cannot be understood")]
    IndexPage {
        /// The package.
        package: String,
        /// Host of the index.
        host: String,
        /// Why.
        source: PageError,
    },
    /// The bytes do not hash to what the lock promises.
    #[error("`{file}` of package `{package}` from `{host}` has hash `{actual}`, the lock expects `{expected}`")]
    Hash {
        /// The wheel.
        file: String,
        /// Its package.
        package: String,
        /// Host of the URL.
        host: String,
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
    #[error("`{file}` of package `{package}` from `{host}` has {actual} bytes, the lock expects {expected}")]
    Size {
        /// The wheel.
        file: String,
        /// Its package.
        package: String,
        /// Host of the URL.
        host: String,
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
    /// The bytes are what the lock promises, but no proper wheel.
    #[error(transparent)]
    Wheel(#[from] WheelError),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// No HTTP client could be made.
    #[error("cannot set up the network client")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What went wrong between here and a server.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The server's answer was not the file.
    #[error("the server answered {0}")]
    Status(StatusCode),
    /// The connection failed, broke off or stalled.
    #[error("{0}")]
    Transport(String),
    /// A page is larger than any index's.
    #[error("its page has more than {MAX_PAGE_LENGTH} bytes")]
    TooLong,
    /// The URL is none.
    #[error("its URL cannot be understood")]
    Url,
}

impl NetworkError {
    /// The innermost cause says most (`Connection refused`); URLs in between may hold credentials.
    fn transport(error: &reqwest::Error) -> Self {
        let mut innermost: &dyn std::error::Error = error;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        let kind = if error.is_timeout() {
            "timed out"
        } else if error.is_connect() {
            "cannot connect"
        } else {
            "the connection broke off"
        };
        Self::Transport(format!("{kind}: {innermost}"))
    }

    fn is_worth_another_try(&self) -> bool {
        match self {
            Self::Status(status) => {
                status.is_server_error()
                    || matches!(*status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
            }
            Self::Transport(_) => true,
            Self::Url | Self::TooLong => false,
        }
    }
}

impl Diagnose for FetchError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Network { .. }
            | Self::NotOnIndex { .. }
            | Self::IndexPage { .. }
            | Self::Offline(_)
            | Self::Client(_) => ExitStatus::Network,
            Self::Hash { .. } | Self::OtherHash { .. } | Self::Size { .. } => ExitStatus::Integrity,
            Self::LocalFile { .. } => ExitStatus::Project,
            Self::Wheel(error) => error.exit_status(),
            Self::Cache(error) => error.exit_status(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Network { source: NetworkError::Status(status), .. }
                if matches!(*status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) =>
            {
                Some("the index wants credentials, which cannot be given yet".into())
            }
            Self::Network { source: NetworkError::Status(StatusCode::TOO_MANY_REQUESTS), .. } => {
                Some("the server wants fewer requests: try later, or with fewer `--jobs`".into())
            }
            Self::Network { source: NetworkError::Status(status), .. } if status.is_client_error() => {
                Some("was the file removed from the index? lock the package again".into())
            }
            Self::LocalFile { .. } => Some("was it moved? the lock names it; lock the package again".into()),
            Self::Network { .. } => Some("check the network; what was downloaded already is kept in the cache".into()),
            Self::NotOnIndex { .. } => Some("was it removed, or is it on another index? lock the package again".into()),
            Self::IndexPage { .. } => {
                Some("is the index's URL that of its simple API, e.g. ending in `/simple`?".into())
            }
            Self::Offline(_) => Some("run once without `--offline`".into()),
            Self::Hash { .. } | Self::OtherHash { .. } | Self::Size { .. } => Some(
                "the file on the index is not the one that was locked; find out why before locking it again".into(),
            ),
            Self::Cache(error) => error.hint(),
            Self::Wheel(error) => error.hint(),
            Self::Client(_) => Some("are the system's certificates installed (`ca-certificates`)?".into()),
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
#[derive(Debug, Clone, Copy)]
pub struct FetchOptions {
    /// Not at all.
    pub offline: bool,
    /// Downloads at once.
    pub jobs: usize,
    /// The longest time without a byte.
    pub read_timeout: Duration,
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
    file: String,
    location: Location,
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
    pub fn fetch_all(&self, wheels: &[&Wheel]) -> Result<Fetched, FetchError> {
        let jobs: Vec<Job> = wheels.iter().map(|wheel| self.job(wheel)).collect();
        let paths = jobs.iter().map(|job| job.path.clone()).collect();
        let mut missing: Vec<Job> = jobs.into_iter().filter(|job| !is_cached(job)).collect();
        missing.sort_by(|a, b| a.path.cmp(&b.path));
        missing.dedup_by(|a, b| a.path == b.path);
        let needs_network = |job: &&Job| matches!(job.location, Location::Url(_) | Location::Index(_));
        if self.options.offline && missing.iter().any(|job| needs_network(&job)) {
            let names: BTreeSet<String> =
                missing.iter().filter(needs_network).map(|job| format!("`{}`", job.package)).collect();
            return Err(FetchError::Offline(names.into_iter().collect()));
        }
        let new_files = missing.len();
        if missing.is_empty() {
            return Ok(Fetched { paths, new_files, new_bytes: 0 });
        }
        let bar = self.ui.download_bar(missing.iter().filter_map(|job| job.size).sum());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| FetchError::Client(Box::new(error)))?;
        let result = runtime.block_on(self.download_all(missing, &bar));
        // Waits for checks that still run after a failure, so that their temporary files go.
        drop(runtime);
        bar.finish_and_clear();
        Ok(Fetched { paths, new_files, new_bytes: result? })
    }

    fn job(&self, wheel: &Wheel) -> Job {
        let location = match &wheel.location {
            Location::Url(url) => Location::Url(url.clone()),
            Location::Path(path) => Location::Path(self.lock_directory.join(path)),
            Location::Index(index) => Location::Index(index.clone()),
        };
        let key = match (&wheel.hash, &location) {
            (Some(Hash { algorithm: HashAlgorithm::Sha256, hex }), _) => hex.clone(),
            (Some(hash), _) => hash.to_string().replace(':', "-"),
            // Without a hash the place is all that is known of a file.
            (None, Location::Url(url)) => format!("url-{}", sha256_hex(url.as_bytes())),
            (None, Location::Index(index)) => {
                format!("index-{}", sha256_hex(format!("{index} {}", wheel.file).as_bytes()))
            }
            (None, Location::Path(path)) => format!("path-{}", sha256_hex(path.as_os_str().as_encoded_bytes())),
        };
        Job {
            package: wheel.filename.name.to_string(),
            file: wheel.file.clone(),
            location,
            hash: wheel.hash.clone(),
            other_hashes: wheel.other_hashes.clone(),
            size: wheel.size,
            path: self.cache.wheel(&key, &wheel.file),
        }
    }

    async fn download_all(&self, missing: Vec<Job>, bar: &ProgressBar) -> Result<u64, FetchError> {
        let client = client(self.options.read_timeout)?;
        let permits = Arc::new(Semaphore::new(self.options.jobs));
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let check_permits = Arc::new(Semaphore::new(processors));
        let mut tasks = JoinSet::new();
        for job in missing {
            let (client, permits, check_permits) = (client.clone(), Arc::clone(&permits), Arc::clone(&check_permits));
            let (cache, bar) = (self.cache.clone(), bar.clone());
            tasks.spawn(async move {
                let permit = permits.acquire_owned().await;
                let temporary = cache.temporary_file()?;
                let (temporary, length) = match &job.location {
                    Location::Url(url) => download(&client, &job, url, temporary, &bar).await?,
                    Location::Path(path) => copy(&job, path, temporary)?,
                    Location::Index(index) => {
                        let url = find_on_index(&client, &job, index).await?;
                        download(&client, &job, &url, temporary, &bar).await?
                    }
                };
                // Checking the contents needs the processor, not the network.
                drop(permit);
                let _check_permit = check_permits.acquire_owned().await;
                let checked = tokio::task::spawn_blocking(move || keep_verified(&cache, &job, temporary)).await;
                checked.map_err(|error| FetchError::Client(Box::new(error)))??;
                Ok::<u64, FetchError>(length)
            });
        }
        let mut total = 0;
        while let Some(result) = tasks.join_next().await {
            total += result.map_err(|error| FetchError::Client(Box::new(error)))??;
        }
        Ok(total)
    }
}

/// A cached file counts if it has the size that the lock promises; without a promise, if it is there.
fn is_cached(job: &Job) -> bool {
    // A file is trusted as long as it is what was put there, not as long as its source is unchanged.
    let may_change = job.hash.is_none() && matches!(job.location, Location::Path(_));
    !may_change && std::fs::metadata(&job.path).is_ok_and(|metadata| job.size.is_none_or(|size| metadata.len() == size))
}

fn client(read_timeout: Duration) -> Result<reqwest::Client, FetchError> {
    // Fails only if a provider was installed before, which then serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("bundle/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(read_timeout)
        .build()
        .map_err(|error| FetchError::Client(Box::new(error)))
}

type Temporary = tempfile::NamedTempFile;

/// Looks up where an index has a wheel: <https://packaging.python.org/en/latest/specifications/simple-repository-api/>.
async fn find_on_index(client: &reqwest::Client, job: &Job, index: &str) -> Result<String, FetchError> {
    let page = format!("{}/{}/", index.trim_end_matches('/'), job.package);
    let network = |source| FetchError::Network {
        file: job.file.clone(),
        package: job.package.clone(),
        host: host(&page),
        attempts: String::new(),
        source,
    };
    let mut pause = FIRST_PAUSE;
    let mut attempt = 1;
    let (url, content_type, body) = loop {
        match get_page(client, &page).await {
            Ok(answer) => break answer,
            Err(error) if attempt < ATTEMPTS && error.is_worth_another_try() => {
                tokio::time::sleep(pause).await;
                pause *= 2;
                attempt += 1;
            }
            Err(NetworkError::Status(StatusCode::NOT_FOUND)) => {
                let (file, package) = (job.file.clone(), job.package.clone());
                return Err(FetchError::NotOnIndex { file, package, host: host(&page) });
            }
            Err(error) => return Err(network(error)),
        }
    };
    let files = index::parse_page(&url, &content_type, &body).map_err(|source| FetchError::IndexPage {
        package: job.package.clone(),
        host: host(&page),
        source,
    })?;
    let found = files.into_iter().find(|file| file.name == job.file);
    found.map(|file| file.url).ok_or_else(|| FetchError::NotOnIndex {
        file: job.file.clone(),
        package: job.package.clone(),
        host: host(&page),
    })
}

/// The final URL, the content type and the text of a page.
async fn get_page(client: &reqwest::Client, page: &str) -> Result<(url::Url, String, String), NetworkError> {
    let page = url::Url::parse(page).map_err(|_| NetworkError::Url)?;
    let transport = |error: reqwest::Error| NetworkError::transport(&error);
    let request = client.get(page).header(ACCEPT, index::ACCEPTED);
    let mut response = request.send().await.map_err(transport)?;
    if response.status() != StatusCode::OK {
        return Err(NetworkError::Status(response.status()));
    }
    let header = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = header.unwrap_or_default().to_owned();
    let url = response.url().clone();
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(transport)? {
        body.extend_from_slice(&piece);
        if body.len() > MAX_PAGE_LENGTH {
            return Err(NetworkError::TooLong);
        }
    }
    Ok((url, content_type, String::from_utf8_lossy(&body).into_owned()))
}

/// Downloads one file, trying again where that may help.
async fn download(
    client: &reqwest::Client,
    job: &Job,
    url: &str,
    mut temporary: Temporary,
    bar: &ProgressBar,
) -> Result<(Temporary, u64), FetchError> {
    let mut pause = FIRST_PAUSE;
    let mut attempt = 1;
    loop {
        let failure = match attempt_download(client, job, url, &mut temporary, bar).await? {
            Ok(length) => return Ok((temporary, length)),
            Err(failure) => failure,
        };
        let too_long = failure.retry_after.is_some_and(|pause| pause > LONGEST_PAUSE);
        if attempt == ATTEMPTS || too_long || !failure.error.is_worth_another_try() {
            let attempts = if attempt == 1 { String::new() } else { format!(" after {attempt} attempts") };
            return Err(FetchError::Network {
                file: job.file.clone(),
                package: job.package.clone(),
                host: host(url),
                attempts,
                source: failure.error,
            });
        }
        tokio::time::sleep(failure.retry_after.unwrap_or(pause)).await;
        pause *= 2;
        attempt += 1;
    }
}

/// Seconds, or a date: <https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3>.
fn parse_retry_after(value: &str) -> Option<Duration> {
    let value = value.trim();
    let seconds = value.parse().ok().map(Duration::from_secs);
    seconds
        .or_else(|| Some(httpdate::parse_http_date(value).ok()?.duration_since(SystemTime::now()).unwrap_or_default()))
}

/// An attempt that failed, and how long the server asks to wait.
struct FailedAttempt {
    error: NetworkError,
    retry_after: Option<Duration>,
}

impl From<NetworkError> for FailedAttempt {
    fn from(error: NetworkError) -> Self {
        Self { error, retry_after: None }
    }
}

/// The outer error is final, the inner one may be tried again.
async fn attempt_download(
    client: &reqwest::Client,
    job: &Job,
    url: &str,
    temporary: &mut Temporary,
    bar: &ProgressBar,
) -> Result<Result<u64, FailedAttempt>, FetchError> {
    let Ok(url) = url::Url::parse(url) else { return Ok(Err(NetworkError::Url.into())) };
    let host = host(url.as_str());
    let mut response = match client.get(url).send().await {
        Ok(response) => response,
        Err(error) => return Ok(Err(NetworkError::transport(&error).into())),
    };
    let status = response.status();
    if status != StatusCode::OK {
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| parse_retry_after(value.to_str().ok()?));
        return Ok(Err(FailedAttempt { error: NetworkError::Status(status), retry_after }));
    }
    let wrong_size = |actual| FetchError::Size {
        file: job.file.clone(),
        package: job.package.clone(),
        host: host.clone(),
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
                return Ok(Err(NetworkError::transport(&error).into()));
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
        return Ok(Err(NetworkError::Transport(format!("the file ended after {length} of {expected} bytes")).into()));
    }
    check_hash(job, &host, hasher)?;
    Ok(Ok(length))
}

/// Copies a wheel from a local index, with the same checks.
fn copy(job: &Job, path: &Path, mut temporary: Temporary) -> Result<(Temporary, u64), FetchError> {
    let unreadable = |source| FetchError::LocalFile { path: path.to_owned(), package: job.package.clone(), source };
    let mut input = std::fs::File::open(path).map_err(unreadable)?;
    let mut hasher = Hasher::new(job.hash.as_ref());
    let mut buffer = vec![0; 1 << 20];
    let mut actual = 0;
    loop {
        let length = input.read(&mut buffer).map_err(unreadable)?;
        if length == 0 {
            break;
        }
        actual += length as u64;
        hasher.update(&buffer[..length]);
        temporary.write_all(&buffer[..length]).map_err(cache_write)?;
    }
    let host = "this machine";
    if let Some(expected) = job.size.filter(|expected| *expected != actual) {
        let (file, package) = (job.file.clone(), job.package.clone());
        return Err(FetchError::Size { file, package, host: host.into(), actual, expected });
    }
    check_hash(job, host, hasher)?;
    Ok((temporary, actual))
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

fn check_hash(job: &Job, host: &str, hasher: Hasher) -> Result<(), FetchError> {
    let Some(expected) = &job.hash else { return Ok(()) };
    let actual = Hash { algorithm: expected.algorithm, hex: hasher.finish() };
    if actual == *expected {
        return Ok(());
    }
    Err(FetchError::Hash {
        file: job.file.clone(),
        package: job.package.clone(),
        host: host.to_owned(),
        actual: actual.to_string(),
        expected: expected.to_string(),
    })
}

/// Host and port of a URL, without credentials.
fn host(url: &str) -> String {
    let url = url::Url::parse(url).ok();
    let host = url.as_ref().and_then(|url| Some((url.host_str()?, url.port())));
    match host {
        Some((host, Some(port))) => format!("{host}:{port}"),
        Some((host, None)) => host.to_owned(),
        None => "?".to_owned(),
    }
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
