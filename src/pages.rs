//! Pages of indexes: fetched once a build for each package, and kept in the cache by the rules of HTTP.
//!
//! Invariants: what is kept has no credentials in it; a page that was got with credentials is not used without
//! asking the server whether whoever asks now may have it, or offline without credentials at hand; a kept page that
//! is damaged counts as absent.
//!
//! Only the few rules of <https://www.rfc-editor.org/rfc/rfc9111> are needed that one client with one kind of request
//! meets; a library for all of them is larger than this file.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AGE, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use serde::{Deserialize, Serialize};
use tokio::sync::{OnceCell, Semaphore};
use url::Url;

use crate::cache::{Cache, CacheError};
use crate::digest::sha256_hex;
use crate::http::{self, Answer, Failed, Network, NetworkError, Reply, Request, Retries, Server};
use crate::index::{self, IndexFile, PageError};
use crate::mirror::Place;

/// The page of a package.
#[derive(Debug)]
pub struct Page {
    /// Its files, as far as they are wanted.
    pub files: Vec<IndexFile>,
    /// Who has it.
    pub server: Server,
    /// Whether it was believed without asking.
    is_believed: bool,
}

/// Why there is no page.
#[derive(Debug)]
pub enum NoPage {
    /// It could not be had, after so many attempts (` after N attempts`, or nothing).
    Network(Failed, String),
    /// It cannot be understood.
    Page(PageError, Server),
    /// The page of a mirror in a directory cannot be read.
    File(PathBuf, std::io::Error),
    /// The cache cannot be used.
    Cache(CacheError),
}

/// Fetches pages and remembers them.
#[derive(Debug)]
pub struct Pages {
    network: Arc<Network>,
    cache: Cache,
    wanted: WantedFiles,
    /// A page in the making takes some ten times its length: no more at once than there are processors for.
    turns: Semaphore,
    /// By URL.
    slots: Mutex<HashMap<String, Arc<Slot>>>,
}

/// The files that are looked for. Of the thousands on a page no others are remembered.
#[derive(Debug, Default)]
pub struct WantedFiles {
    /// File names.
    pub names: HashSet<String>,
    /// Hashes in hexadecimal.
    pub hashes: HashSet<String>,
}

impl WantedFiles {
    fn has(&self, file: &IndexFile) -> bool {
        self.names.contains(&file.name) || file.hashes.iter().any(|hash| self.hashes.contains(&hash.hex))
    }
}

/// The page that is in use, and the one that it was then replaced by.
#[derive(Debug, Default)]
struct Slot {
    first: OnceCell<Arc<Page>>,
    newer: OnceCell<Arc<Page>>,
}

/// What is kept of a page.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// Where it was asked for, without credentials.
    url: Url,
    etag: Option<String>,
    last_modified: Option<String>,
    /// When it was got, in seconds since 1970.
    since: u64,
    /// Likewise; then it has to be asked for again.
    until: u64,
    files: Vec<IndexFile>,
}

impl Pages {
    /// No pages yet.
    pub fn new(network: Arc<Network>, cache: Cache, wanted: WantedFiles) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { network, cache, wanted, turns: Semaphore::new(processors), slots: Mutex::default() }
    }

    /// The page of a package on the index at a URL, which may have credentials in it.
    pub async fn page(&self, index: &Url, package: &str) -> Result<Arc<Page>, NoPage> {
        let (slot, request) = self.slot(index, package);
        slot.first.get_or_try_init(async || self.find(&request, false).await.map(Arc::new)).await.cloned()
    }

    /// The same page, for whoever misses a file on it: asked for again if it was believed without asking.
    pub async fn newer_page(&self, index: &Url, package: &str, page: Arc<Page>) -> Result<Arc<Page>, NoPage> {
        if !page.is_believed {
            return Ok(page);
        }
        let (slot, request) = self.slot(index, package);
        let newer = slot.newer.get_or_try_init(async || self.find(&request, true).await.map(Arc::new)).await;
        match newer {
            Err(NoPage::Network(Failed { error: NetworkError::Offline, .. }, _)) => Ok(page),
            other => other.cloned(),
        }
    }

    fn slot(&self, index: &Url, package: &str) -> (Arc<Slot>, Request) {
        let mut url = index.clone();
        url.set_path(&format!("{}/{package}/", index.path().trim_end_matches('/')));
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = Arc::clone(slots.entry(url.to_string()).or_default());
        (slot, self.network.request(url, Some(index)))
    }

    async fn find(&self, request: &Request, ask: bool) -> Result<Page, NoPage> {
        let url = match &request.place {
            Place::Http(url) => url.clone(),
            Place::File(directory) => {
                return in_background({
                    let directory = directory.clone();
                    move || page_of_directory(&directory)
                })
                .await;
            }
        };
        let path = self.cache.page(&key(&url, request.is_authenticated()));
        let turn = self.turns.acquire().await;
        let kept = in_background({
            let (path, url) = (path.clone(), url.clone());
            move || Kept::read(&path, &url)
        })
        .await;
        drop(turn);
        let page = |files: Vec<IndexFile>, server, is_believed| {
            // Collected anew, so that the memory of the others goes.
            let files = files.into_iter().filter(|file| self.wanted.has(file)).collect::<Box<[_]>>().into_vec();
            Page { files, server, is_believed }
        };
        let kept = match kept {
            Some(kept) if !ask && (self.network.is_offline() || kept.is_fresh()) => {
                return Ok(page(kept.files, request.server.clone(), true));
            }
            kept => kept,
        };
        let asked = self.ask(request, kept.as_ref()).await;
        let (answer, body) = asked.map_err(|(failed, attempts)| NoPage::Network(failed, attempts))?;
        let mut freshness = Freshness::of(&answer);
        let (cache, is_new, server) = (self.cache.clone(), kept.is_none(), answer.server.clone());
        let _turn = self.turns.acquire().await;
        let files = in_background(move || {
            let files = match (body, kept) {
                (None, Some(kept)) => {
                    freshness.etag = freshness.etag.or(kept.etag);
                    freshness.last_modified = freshness.last_modified.or(kept.last_modified);
                    kept.files
                }
                (body, _) => {
                    let content_type = header(&answer, CONTENT_TYPE).unwrap_or_default();
                    let body = body.unwrap_or_default();
                    let text = String::from_utf8_lossy(&body);
                    index::parse_page(&answer.url, &content_type, &text)
                        .map_err(|error| NoPage::Page(error, answer.server.clone()))?
                }
            };
            freshness.keep(&cache, &path, url, files, is_new).map_err(NoPage::Cache)
        })
        .await?;
        Ok(page(files, server, false))
    }

    /// Asks for a page until there is an answer; without a body, the kept one still holds.
    async fn ask(
        &self,
        request: &Request,
        kept: Option<&Kept>,
    ) -> Result<(Box<Answer>, Option<Vec<u8>>), (Failed, String)> {
        let headers = page_headers(kept);
        let mut retries = Retries::default();
        loop {
            match self.attempt(request, &headers, kept.is_some()).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => retries.after(failed).await?,
            }
        }
    }

    async fn attempt(
        &self,
        request: &Request,
        headers: &HeaderMap,
        has_kept: bool,
    ) -> Result<(Box<Answer>, Option<Vec<u8>>), Failed> {
        let mut answer = match self.network.get(request, headers).await? {
            Reply::Http(answer) => answer,
            Reply::File(path) => {
                // Only a redirect leads here, and a directory is no answer to it.
                let place = path.display().to_string();
                return Err(Failed::new(NetworkError::BadRedirect(place), &request.server));
            }
        };
        if answer.response.status() == StatusCode::NOT_MODIFIED {
            let unasked = NetworkError::Status(StatusCode::NOT_MODIFIED);
            return if has_kept { Ok((answer, None)) } else { Err(Failed::new(unasked, &answer.server)) };
        }
        let body = http::read_page(&mut answer.response).await;
        let body = body.map_err(|error| Failed::new(error, &answer.server))?;
        Ok((answer, Some(body)))
    }
}

/// Runs what needs the processor or the disk beside what waits for the network.
async fn in_background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// The name of a kept page. A page that was got with credentials is another one than everybody's.
fn key(url: &Url, is_authenticated: bool) -> String {
    let kind = if is_authenticated { "private" } else { "public" };
    sha256_hex(format!("{kind} {url}").as_bytes())
}

fn page_headers(kept: Option<&Kept>) -> HeaderMap {
    let mut headers = HeaderMap::from_iter([
        (ACCEPT, HeaderValue::from_static(index::ACCEPTED)),
        (ACCEPT_ENCODING, HeaderValue::from_static("gzip")),
    ]);
    let validators = kept.map(|kept| [(IF_NONE_MATCH, &kept.etag), (IF_MODIFIED_SINCE, &kept.last_modified)]);
    for (name, value) in validators.into_iter().flatten() {
        if let Some(value) = value.as_ref().and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(name, value);
        }
    }
    headers
}

fn header(answer: &Answer, name: HeaderName) -> Option<String> {
    Some(answer.response.headers().get(name)?.to_str().ok()?.to_owned())
}

fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// How long an answer holds, and by what it is known again.
#[derive(Debug)]
struct Freshness {
    may_be_kept: bool,
    /// From now on.
    lifetime: Duration,
    etag: Option<String>,
    last_modified: Option<String>,
}

impl Freshness {
    fn of(answer: &Answer) -> Self {
        let directives: Vec<String> = answer
            .response
            .headers()
            .get_all(CACHE_CONTROL)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|directive| directive.trim().to_ascii_lowercase())
            .collect();
        let age = header(answer, AGE).and_then(|age| age.trim().parse().ok()).unwrap_or_default();
        let (may_be_kept, lifetime) = lifetime(&directives, Duration::from_secs(age));
        Self {
            may_be_kept,
            lifetime: if answer.is_authenticated { Duration::ZERO } else { lifetime },
            etag: header(answer, ETAG),
            last_modified: header(answer, LAST_MODIFIED),
        }
    }

    /// Keeps a page, or removes the one that was kept before, and returns the files.
    fn keep(
        self,
        cache: &Cache,
        path: &Path,
        url: Url,
        files: Vec<IndexFile>,
        is_new: bool,
    ) -> Result<Vec<IndexFile>, CacheError> {
        let has_credentials = |file: &IndexFile| !file.url.username().is_empty() || file.url.password().is_some();
        if !self.may_be_kept || files.iter().any(has_credentials) {
            if !is_new {
                // Somebody else may have been quicker.
                let _ = std::fs::remove_file(path);
            }
            return Ok(files);
        }
        let now = seconds_since_1970();
        let until = now.saturating_add(self.lifetime.as_secs());
        let Self { etag, last_modified, .. } = self;
        let kept = Kept { url, etag, last_modified, since: now, until, files };
        kept.write(cache, path)?;
        Ok(kept.files)
    }
}

/// Whether an answer may be kept, and for how long it may be used without asking, by its `Cache-Control`.
fn lifetime(directives: &[String], age: Duration) -> (bool, Duration) {
    let has = |name: &str| directives.iter().any(|directive| directive.split('=').next() == Some(name));
    if has("no-store") {
        return (false, Duration::ZERO);
    }
    let given = directives.iter().find_map(|directive| directive.strip_prefix("max-age="));
    let given = given.and_then(|seconds| seconds.trim_matches('"').parse().ok()).map(Duration::from_secs);
    // Whoever says nothing is asked again each time: that costs little where nothing has changed.
    let lifetime = given.filter(|_| !has("no-cache")).unwrap_or_default();
    (true, lifetime.saturating_sub(age))
}

impl Kept {
    fn is_fresh(&self) -> bool {
        // A clock that was set back says nothing.
        (self.since..self.until).contains(&seconds_since_1970())
    }

    /// Reads a kept page of a URL: a line with the hash of what follows, and JSON.
    fn read(path: &Path, url: &Url) -> Option<Self> {
        let text = std::fs::read_to_string(path).ok()?;
        let (hash, json) = text.split_once('\n')?;
        let kept: Self = (sha256_hex(json.as_bytes()) == hash).then(|| serde_json::from_str(json).ok()).flatten()?;
        (kept.url == *url).then_some(kept)
    }

    fn write(&self, cache: &Cache, path: &Path) -> Result<(), CacheError> {
        let json = serde_json::to_string(self).expect("a page has only string keys");
        let temporary = cache.temporary_file()?;
        let text = format!("{}\n{json}", sha256_hex(json.as_bytes()));
        std::fs::write(temporary.path(), text)
            .map_err(|error| CacheError::File(crate::error::FileError::during("keep a page of an index")(error)))?;
        cache.keep(temporary.into_temp_path(), path)
    }
}

/// The page of a mirror that is a directory: its `index.html`, else what lies in it.
fn page_of_directory(directory: &Path) -> Result<Page, NoPage> {
    let error = |error| NoPage::File(directory.to_owned(), error);
    let page = |files| Page { files, server: Server::ThisMachine, is_believed: false };
    let url = Url::from_directory_path(directory).map_err(|()| error(std::io::ErrorKind::InvalidFilename.into()))?;
    match std::fs::read(directory.join("index.html")) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let files = index::parse_page(&url, "text/html", &text);
            return files.map(page).map_err(|error| NoPage::Page(error, Server::ThisMachine));
        }
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => {}
        Err(unreadable) => return Err(error(unreadable)),
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(error)? {
        let path = entry.map_err(error)?.path();
        if let (Some(name), Ok(url)) = (path.file_name().and_then(|name| name.to_str()), Url::from_file_path(&path)) {
            let name = name.to_owned();
            files.push(IndexFile { name, url, hashes: Vec::new(), requires_python: None, yanked: None });
        }
    }
    Ok(page(files))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(directives: &[&str], age: u64) -> (bool, u64) {
        let directives: Vec<String> = directives.iter().map(|&directive| directive.to_owned()).collect();
        let (may_be_kept, lifetime) = lifetime(&directives, Duration::from_secs(age));
        (may_be_kept, lifetime.as_secs())
    }

    #[test]
    fn answers_say_how_long_they_hold() {
        assert_eq!(of(&["max-age=600", "public"], 0), (true, 600));
        assert_eq!(of(&["max-age=600"], 100), (true, 500));
        assert_eq!(of(&["max-age=600"], 1000), (true, 0));
        assert_eq!(of(&["max-age=600", "no-cache"], 0), (true, 0));
        assert_eq!(of(&["max-age=600", "no-store"], 0), (false, 0));
        assert_eq!(of(&["s-maxage=600", "max-age=soon"], 0), (true, 0));
        assert_eq!(of(&[], 0), (true, 0));
    }

    #[test]
    fn pages_with_and_without_credentials_are_apart() {
        let url = Url::parse("https://index.test/simple/x/").expect("URL");
        assert_ne!(key(&url, true), key(&url, false));
    }
}
