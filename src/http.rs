//! Requests: mirrors, credentials, redirects, certificates, and what is tried again.
//!
//! Invariant: a request carries credentials only to the origin that they are for, also after a redirect, and no
//! error says them.

use std::fmt;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use url::Url;

use crate::credentials::{CredentialSource, CredentialStore, Credentials, take_credentials};
use crate::mirror::{Mirrors, Place};

/// The longest page of an index that is read, in bytes, before and after decompression; the longest real ones have
/// about 40 MB.
const MAX_PAGE_LENGTH: usize = 64 << 20;
/// As many as browsers follow, roughly, and more than any index needs.
const MAX_REDIRECTS: usize = 10;
/// How often something is asked for before giving up.
const ATTEMPTS: u32 = 4;
/// The pause before the second attempt; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest `Retry-After` that is waited for; whoever asks for more is not asked again.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// No HTTP client could be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The certificates that the user names are of no use.
    #[error("`SSL_CERT_FILE` or `SSL_CERT_DIR` is set, but no certificate can be read there")]
    Certificates(#[source] Option<rustls_native_certs::Error>),
    /// Something else.
    #[error("cannot set up the network client")]
    Other(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What went wrong between here and a server.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The server's answer was not the file.
    #[error("the server answered {0}")]
    Status(StatusCode),
    /// The server wants to know who asks, or does not like who does.
    #[error("the server answered {status}; it was given {}", given(.sent.as_ref()))]
    Denied {
        /// 401 or 403.
        status: StatusCode,
        /// Where the credentials that it was given are from.
        sent: Option<CredentialSource>,
        /// How to give others.
        advice: String,
    },
    /// The connection failed, broke off or stalled.
    #[error("{0}")]
    Transport(String),
    /// The server's certificate is not trusted.
    #[error("its certificate is not trusted: {0}")]
    Certificate(String),
    /// A page is larger than any index's.
    #[error("its page has more than {MAX_PAGE_LENGTH} bytes")]
    TooLong,
    /// A page cannot be decompressed.
    #[error("its page is not compressed as announced: {0}")]
    Encoding(String),
    /// The URL is none.
    #[error("its URL cannot be understood")]
    Url,
    /// A redirect leads nowhere.
    #[error("it redirects to `{0}`, which is no HTTP URL")]
    BadRedirect(String),
    /// A redirect gives up encryption.
    #[error("it redirects from `https` to `http` at `{0}`")]
    Downgrade(String),
    /// Redirects do not come to an end.
    #[error("it redirects more than {MAX_REDIRECTS} times")]
    TooManyRedirects,
    /// The network must not be used.
    #[error("`--offline` forbids asking for it")]
    Offline,
}

fn given(sent: Option<&CredentialSource>) -> String {
    sent.map_or_else(|| "no credentials".to_owned(), |source| format!("those of {source}"))
}

impl NetworkError {
    /// The innermost cause says most (`Connection refused`); URLs in between may hold credentials.
    pub fn transport(error: &reqwest::Error) -> Self {
        let mut innermost: &dyn std::error::Error = error;
        loop {
            // An I/O error skips what it wraps when it is asked for its source.
            let wrapped = innermost.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            let wrapped = wrapped.map(|error| error as &dyn std::error::Error);
            let Some(source) = wrapped.or_else(|| innermost.source()) else { break };
            innermost = source;
        }
        if let Some(rustls::Error::InvalidCertificate(why)) = innermost.downcast_ref() {
            return Self::Certificate(why.to_string());
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

    /// The command or setting that would help.
    pub fn hint(&self) -> String {
        match self {
            Self::Denied { sent: None, advice, .. } => advice.clone(),
            Self::Denied { sent: Some(_), advice, .. } => format!("are they right, and allowed to read? else {advice}"),
            Self::Status(StatusCode::TOO_MANY_REQUESTS) => {
                "the server wants fewer requests: try later, or with fewer `--jobs`".into()
            }
            Self::Status(StatusCode::PROXY_AUTHENTICATION_REQUIRED) => {
                "name the proxy with credentials, as in `HTTPS_PROXY=http://NAME:WORD@HOST:PORT`".into()
            }
            Self::Status(status) if status.is_client_error() => {
                "was the file removed from the index? lock the package again".into()
            }
            Self::Certificate(_) => {
                "name a file with the certificate of its authority in `SSL_CERT_FILE`, in PEM format".into()
            }
            Self::BadRedirect(_) | Self::Downgrade(_) | Self::TooManyRedirects => {
                "ask for the place itself, with the right URL in the lock or with `--mirror FROM=TO`".into()
            }
            Self::TooLong | Self::Encoding(_) | Self::Url => {
                "is the index's URL that of its simple API, e.g. ending in `/simple`?".into()
            }
            Self::Offline => "run once without `--offline`".into(),
            Self::Status(_) | Self::Transport(_) => {
                "check the network; what was downloaded already is kept in the cache".into()
            }
        }
    }

    /// Whether the network was not used at all.
    pub fn is_offline(&self) -> bool {
        matches!(self, Self::Offline)
    }

    fn is_worth_another_try(&self) -> bool {
        match self {
            Self::Status(status) => {
                status.is_server_error()
                    || matches!(*status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
            }
            Self::Transport(_) => true,
            _ => false,
        }
    }
}

/// Who was asked, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    /// A host, with its port if that is unusual, in words.
    Host(Box<str>),
    /// A host and what it is a mirror of, in words.
    Mirror(Box<str>),
    /// Nobody: a file was read.
    ThisMachine,
}

impl Server {
    fn of(url: &Url) -> Self {
        Self::Host(format!("`{}`", host(url)).into())
    }

    fn mirror(url: &Url, original: &Url) -> Self {
        Self::Mirror(format!("`{}` (mirror of `{}`)", host(url), host(original)).into())
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host(words) | Self::Mirror(words) => words,
            Self::ThisMachine => "this machine",
        })
    }
}

fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// A request that failed.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub error: NetworkError,
    /// Who was asked last.
    pub server: Server,
    /// How long the server asks to wait.
    pub retry_after: Option<Duration>,
}

impl Failed {
    /// A failure that says nothing of when to come back.
    pub fn new(error: NetworkError, server: &Server) -> Self {
        Self { error, server: server.clone(), retry_after: None }
    }
}

/// Counts the attempts at one thing.
#[derive(Debug)]
pub struct Retries {
    attempt: u32,
    pause: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self { attempt: 1, pause: FIRST_PAUSE }
    }
}

impl Retries {
    /// Waits as long as is right before another attempt, or gives up: the failure, and ` after N attempts` or nothing.
    pub async fn after(&mut self, failed: Failed) -> Result<(), (Failed, String)> {
        let too_long = failed.retry_after.is_some_and(|pause| pause > LONGEST_PAUSE);
        if self.attempt == ATTEMPTS || too_long || !failed.error.is_worth_another_try() {
            let attempts = if self.attempt == 1 { String::new() } else { format!(" after {} attempts", self.attempt) };
            return Err((failed, attempts));
        }
        tokio::time::sleep(failed.retry_after.unwrap_or(self.pause)).await;
        self.pause *= 2;
        self.attempt += 1;
        Ok(())
    }
}

/// Where and as whom something is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The URL, without credentials, or the file of a mirror.
    pub place: Place,
    /// Who is asked.
    pub server: Server,
    is_mirrored: bool,
    /// The URL of the index that this belongs to, as configured.
    index: Option<Url>,
    credentials: Option<Credentials>,
}

impl Request {
    /// Whether credentials are sent.
    pub fn is_authenticated(&self) -> bool {
        self.credentials.is_some()
    }
}

/// An answer with status 200 or 304.
#[derive(Debug)]
pub struct Answer {
    /// Its head, and its body to come.
    pub response: Response,
    /// Where it came from in the end, without credentials.
    pub url: Url,
    /// Who gave it.
    pub server: Server,
    /// Whether credentials were sent on the way.
    pub is_authenticated: bool,
}

/// Mirrors and credentials, and a client unless the network must not be used.
#[derive(Debug)]
pub struct Network {
    client: Option<reqwest::Client>,
    mirrors: Mirrors,
    credentials: CredentialStore,
}

impl Network {
    /// Without a `read_timeout`, the longest time without a byte, nothing is asked for.
    pub fn new(
        read_timeout: Option<Duration>,
        mirrors: Mirrors,
        credentials: CredentialStore,
    ) -> Result<Self, ClientError> {
        Ok(Self { client: read_timeout.map(client).transpose()?, mirrors, credentials })
    }

    /// Whether nothing is asked for.
    pub fn is_offline(&self) -> bool {
        self.client.is_none()
    }

    /// How a URL is asked for, which may have credentials in it; `index` is the URL of the index that it belongs to.
    pub fn request(&self, url: Url, index: Option<&Url>) -> Request {
        let mirrored = |url: &Url| self.mirrors.place_of(url);
        self.request_by(url, index, mirrored)
    }

    fn request_by<'a>(
        &'a self,
        url: Url,
        index: Option<&Url>,
        mirrored: impl Fn(&Url) -> Option<(Place, Option<&'a Credentials>)>,
    ) -> Request {
        let (url, own) = take_credentials(url);
        let of_file = |path, is_mirrored| Request {
            place: Place::File(path),
            server: Server::ThisMachine,
            is_mirrored,
            index: None,
            credentials: None,
        };
        if let Some(path) = (url.scheme() == "file").then(|| url.to_file_path().ok()).flatten() {
            return of_file(path, false);
        }
        match mirrored(&url) {
            None => Request {
                server: Server::of(&url),
                is_mirrored: false,
                index: index.cloned(),
                credentials: self.credentials.find(&url, own.as_ref(), index),
                place: Place::Http(url),
            },
            // The original's credentials are for the original's host only.
            Some((Place::Http(instead), own)) => Request {
                server: Server::mirror(&instead, &url),
                is_mirrored: true,
                index: None,
                credentials: self.credentials.find(&instead, own, None),
                place: Place::Http(instead),
            },
            Some((Place::File(path), _)) => of_file(path, true),
        }
    }

    /// Asks once, following redirects.
    pub async fn get(&self, request: &Request, headers: &HeaderMap) -> Result<Reply, Failed> {
        let mut request = request.clone();
        let mut is_authenticated = false;
        for _ in 0..=MAX_REDIRECTS {
            let url = match request.place {
                Place::Http(url) => url,
                Place::File(path) => return Ok(Reply::File(path)),
            };
            let server = request.server;
            let failed = |error| Failed::new(error, &server);
            let client = self.client.as_ref().ok_or_else(|| failed(NetworkError::Offline))?;
            let mut builder = client.get(url.clone()).headers(headers.clone());
            if let Some(credentials) = &request.credentials {
                builder = builder.basic_auth(credentials.username(), Some(credentials.password()));
                is_authenticated = true;
            }
            let response = builder.send().await.map_err(|error| failed(NetworkError::transport(&error)))?;
            let status = response.status();
            if matches!(status, StatusCode::OK | StatusCode::NOT_MODIFIED) {
                return Ok(Reply::Http(Box::new(Answer { response, url, server, is_authenticated })));
            }
            let location = response.headers().get(LOCATION).filter(|_| is_redirect(status));
            let Some(location) = location.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()) else {
                let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                let retry_after = retry_after.and_then(parse_retry_after);
                let error = if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
                    let sent = request.credentials.as_ref().map(|credentials| credentials.source().clone());
                    let advice = self.credentials.advice(&url, request.index.as_ref());
                    NetworkError::Denied { status, sent, advice }
                } else {
                    NetworkError::Status(status)
                };
                return Err(Failed { error, server, retry_after });
            };
            request = self.redirected(&url, request.credentials, request.index.as_ref(), &location).map_err(failed)?;
        }
        Err(Failed::new(NetworkError::TooManyRedirects, &request.server))
    }

    /// What is asked for after a redirect.
    fn redirected(
        &self,
        from: &Url,
        credentials: Option<Credentials>,
        index: Option<&Url>,
        location: &str,
    ) -> Result<Request, NetworkError> {
        let printable = || crate::credentials::without_credentials(location).chars().take(200).collect();
        let target = from.join(location.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let target = target.ok_or_else(|| NetworkError::BadRedirect(printable()))?;
        // A mirror may redirect within itself: that is not rewritten a second time.
        let mirrored = |url: &Url| self.mirrors.place_of(url).filter(|_| !self.mirrors.have(url));
        let mut next = self.request_by(target.clone(), index, mirrored);
        if from.scheme() == "https" && target.scheme() == "http" && !next.is_mirrored {
            return Err(NetworkError::Downgrade(host(&target)));
        }
        if !next.is_mirrored && from.origin() == target.origin() {
            next.credentials = credentials.or(next.credentials);
        }
        Ok(next)
    }
}

/// What a request came to.
#[derive(Debug)]
pub enum Reply {
    /// A server's answer.
    Http(Box<Answer>),
    /// A file of a mirror.
    File(PathBuf),
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn client(read_timeout: Duration) -> Result<reqwest::Client, ClientError> {
    // Fails only if a provider was installed before, which then serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("bundle/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(read_timeout);
    // The system's own verifier knows these variables on Linux only, and does not say what is wrong with them.
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if is_set("SSL_CERT_FILE") || is_set("SSL_CERT_DIR") {
        let mut named = rustls_native_certs::load_native_certs();
        let certificates: Vec<_> =
            named.certs.iter().filter_map(|certificate| reqwest::Certificate::from_der(certificate).ok()).collect();
        if certificates.is_empty() {
            return Err(ClientError::Certificates(named.errors.pop()));
        }
        builder = builder.tls_certs_only(certificates);
    }
    builder.build().map_err(|error| ClientError::Other(Box::new(error)))
}

/// Seconds, or a date: <https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3>.
fn parse_retry_after(value: &str) -> Option<Duration> {
    let value = value.trim();
    let seconds = value.parse().ok().map(Duration::from_secs);
    seconds
        .or_else(|| Some(httpdate::parse_http_date(value).ok()?.duration_since(SystemTime::now()).unwrap_or_default()))
}

/// Headers for files: a wheel's bytes have to come as they are.
pub fn file_headers() -> HeaderMap {
    HeaderMap::from_iter([(ACCEPT_ENCODING, reqwest::header::HeaderValue::from_static("identity"))])
}

/// Reads a page of an index to its end, which has to come within 64 MiB, and decompresses it.
pub async fn read_page(response: &mut Response) -> Result<Vec<u8>, NetworkError> {
    if response.content_length().is_some_and(|length| length > MAX_PAGE_LENGTH as u64) {
        return Err(NetworkError::TooLong);
    }
    let encoding = response.headers().get(CONTENT_ENCODING).and_then(|value| value.to_str().ok());
    let encoding = encoding.unwrap_or_default().trim().to_ascii_lowercase();
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| NetworkError::transport(&error))? {
        body.extend_from_slice(&piece);
        if body.len() > MAX_PAGE_LENGTH {
            return Err(NetworkError::TooLong);
        }
    }
    match encoding.as_str() {
        "" | "identity" => Ok(body),
        "gzip" | "x-gzip" => tokio::task::spawn_blocking(move || gunzip(&body))
            .await
            .map_err(|error| NetworkError::Encoding(error.to_string()))?,
        other => Err(NetworkError::Encoding(format!("`{other}` was not asked for"))),
    }
}

fn gunzip(bytes: &[u8]) -> Result<Vec<u8>, NetworkError> {
    let mut text = Vec::new();
    let limited = flate2::read::MultiGzDecoder::new(bytes).take(MAX_PAGE_LENGTH as u64 + 1);
    let mut limited = std::io::BufReader::with_capacity(1 << 16, limited);
    limited.read_to_end(&mut text).map_err(|error| NetworkError::Encoding(error.to_string()))?;
    if text.len() > MAX_PAGE_LENGTH { Err(NetworkError::TooLong) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_when_to_come_back() {
        assert_eq!(parse_retry_after(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(parse_retry_after("soon"), None);
    }
}
