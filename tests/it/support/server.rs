//! A loopback HTTP/1.1 server, with or without TLS, that notes what it is asked, and misbehaves where it is told to.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, BufWriter, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::wheel::WheelFile;

/// How long a held response waits for company before the test is let fail.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the server answers one request for a path.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// With 200 and these bytes.
    Bytes(Vec<u8>),
    /// With the right length in the header and only half of the bytes.
    Truncated,
    /// With this status.
    Status(u16),
    /// With this status and `Retry-After` in seconds.
    RetryAfter(u16, u32),
    /// By closing the connection.
    Reset,
    /// With this.
    Answer(Answer),
    /// With 200, these headers, and these bytes again and again until the client goes away.
    Endless(Vec<(&'static str, String)>, Vec<u8>),
}

/// Status, headers and body. Without a header of that name, the length is that of the body.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    pub(crate) fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// A page of an index; without a content type, there is no such header.
    pub(crate) fn page(content_type: &str, body: impl AsRef<[u8]>) -> Self {
        let mut answer = Self::new(200);
        answer.body = body.as_ref().to_vec();
        if content_type.is_empty() { answer } else { answer.header("content-type", content_type) }
    }

    /// A redirect.
    pub(crate) fn redirect(status: u16, location: &str) -> Self {
        Self::new(status).header("location", location)
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn write(&self, writer: &mut impl Write) -> std::io::Result<()> {
        write!(writer, "HTTP/1.1 {} Status\r\n", self.status)?;
        if self.headers.iter().all(|(name, _)| *name != "content-length") {
            write!(writer, "content-length: {}\r\n", self.body.len())?;
        }
        end_head(writer, &self.headers)?;
        writer.write_all(&self.body)
    }
}

fn end_head(writer: &mut impl Write, headers: &[(&str, String)]) -> std::io::Result<()> {
    for (name, value) in headers {
        write!(writer, "{name}: {value}\r\n")?;
    }
    writer.write_all(b"\r\n")
}

/// What a client asked for.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// The path; of a proxy, the whole URL.
    pub(crate) target: String,
    headers: BTreeMap<String, String>,
}

impl Request {
    /// The value of a header; its name is in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// A running server; it stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    arrival: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// By path.
    answers: BTreeMap<String, Answer>,
    /// What is answered before that.
    replies: BTreeMap<String, VecDeque<Reply>>,
    requests: Vec<Request>,
    /// The only value of `authorization` that is let in, and the status for others.
    wants: Option<(String, u16)>,
    in_flight: usize,
    most_in_flight: usize,
    /// Responses wait until so many requests are in flight.
    held_until: usize,
    stopping: bool,
    connections: Vec<TcpStream>,
}

impl Shared {
    /// A test that failed elsewhere must not hide behind a poisoned lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// Starts on a free port.
    pub(crate) fn start() -> Self {
        Self::start_with(None)
    }

    /// The same with TLS.
    pub(crate) fn start_tls(tls: rustls::ServerConfig) -> Self {
        Self::start_with(Some(Arc::new(tls)))
    }

    fn start_with(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared::default());
        let acceptor = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared, tls.as_ref())
        });
        Self { address, scheme, shared, acceptor: Some(acceptor) }
    }

    /// `127.0.0.1:<port>`
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// The URL of the index that its wheels are said to come from.
    pub(crate) fn index(&self) -> String {
        format!("{}://{}/simple", self.scheme, self.address)
    }

    /// The URL of a wheel.
    pub(crate) fn url(&self, filename: &str) -> String {
        format!("{}://{}{}", self.scheme, self.address, path_of(filename))
    }

    /// Serves a wheel.
    pub(crate) fn publish(&self, wheel: &WheelFile) {
        let answer = Answer::page("application/zip", &wheel.bytes);
        self.answer(&path_of(&wheel.filename), answer);
    }

    /// Serves an answer at a path.
    pub(crate) fn answer(&self, path: &str, answer: Answer) {
        self.shared.state().answers.insert(path.to_owned(), answer);
    }

    /// Lets only these credentials in, and answers all others with this status.
    pub(crate) fn want(&self, username: &str, password: &str, status: u16) {
        self.shared.state().wants = Some((authorization(username, password), status));
    }

    /// Answers the next requests for a wheel so, one reply for each, before it is served as it is.
    pub(crate) fn reply(&self, filename: &str, replies: impl IntoIterator<Item = Reply>) {
        self.reply_at(&path_of(filename), replies);
    }

    /// The same for any path.
    pub(crate) fn reply_at(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        self.shared.state().replies.entry(path.to_owned()).or_default().extend(replies);
    }

    /// Holds every response back until so many requests are in flight.
    pub(crate) fn hold_until(&self, requests: usize) {
        self.shared.state().held_until = requests;
        self.shared.arrival.notify_all();
    }

    /// How often a wheel was asked for.
    pub(crate) fn requests_for(&self, filename: &str) -> usize {
        self.requests_at(&path_of(filename)).len()
    }

    /// What was asked for at a path.
    pub(crate) fn requests_at(&self, path: &str) -> Vec<Request> {
        let of_path = |request: &&Request| path_in(&request.target) == path;
        self.shared.state().requests.iter().filter(of_path).cloned().collect()
    }

    /// The credentials that came, by request, as a header has them.
    pub(crate) fn credentials(&self) -> Vec<Option<String>> {
        let state = self.shared.state();
        state.requests.iter().map(|request| request.header("authorization").map(str::to_owned)).collect()
    }

    /// How often anything was asked for.
    pub(crate) fn requests(&self) -> usize {
        self.shared.state().requests.len()
    }

    /// How many requests were being answered at the same moment, at most.
    pub(crate) fn most_in_flight(&self) -> usize {
        self.shared.state().most_in_flight
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        {
            let mut state = self.shared.state();
            state.stopping = true;
            for connection in &state.connections {
                let _ = connection.shutdown(Shutdown::Both);
            }
        }
        self.shared.arrival.notify_all();
        // Wakes the acceptor.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn path_of(filename: &str) -> String {
    format!("/files/{}", filename.replace('+', "%2B"))
}

/// The header of HTTP's basic authentication.
pub(crate) fn authorization(username: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}")))
}

/// The path of a request's target, which a proxy gets as a whole URL.
fn path_in(target: &str) -> &str {
    match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').map_or("/", |start| &rest[start..]),
        None => target,
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, tls: Option<&Arc<rustls::ServerConfig>>) {
    let mut handlers = Vec::new();
    for connection in listener.incoming() {
        let Ok(connection) = connection else { continue };
        {
            let mut state = shared.state();
            if state.stopping {
                break;
            }
            state.connections.extend(connection.try_clone());
        }
        let (shared, tls) = (Arc::clone(shared), tls.cloned());
        handlers.push(std::thread::spawn(move || {
            // A client that goes away in the middle ends its connection and nothing else.
            let _ = match tls {
                None => serve(BufReader::new(&connection), &shared),
                Some(tls) => {
                    let session = rustls::ServerConnection::new(tls).expect("a TLS session");
                    serve(BufReader::new(rustls::StreamOwned::new(session, &connection)), &shared)
                }
            };
            let _ = connection.shutdown(Shutdown::Both);
        }));
    }
    for handler in handlers {
        let _ = handler.join();
    }
}

/// Answers the requests of one connection until either side closes it.
fn serve(mut connection: BufReader<impl Read + Write>, shared: &Shared) -> std::io::Result<()> {
    loop {
        let mut request_line = String::new();
        if connection.read_line(&mut request_line)? == 0 {
            return Ok(());
        }
        let target = request_line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut headers = BTreeMap::new();
        loop {
            let mut header = String::new();
            connection.read_line(&mut header)?;
            let Some((name, value)) = header.trim_end().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let body_length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        std::io::copy(&mut connection.by_ref().take(body_length), &mut std::io::sink())?;

        let (reply, answer) = arrive(shared, Request { target, headers });
        let written = write_reply(connection.get_mut(), reply, answer);
        shared.state().in_flight -= 1;
        if !written? {
            return Ok(());
        }
    }
}

/// Notes a request, waits if it is to be held, and returns how to answer it.
fn arrive(shared: &Shared, request: Request) -> (Option<Reply>, Option<Answer>) {
    let mut state = shared.state();
    let path = path_in(&request.target).to_owned();
    let refused = state.wants.clone().filter(|(wanted, _)| request.header("authorization") != Some(wanted));
    state.requests.push(request);
    state.in_flight += 1;
    state.most_in_flight = state.most_in_flight.max(state.in_flight);
    shared.arrival.notify_all();
    let waiting = |state: &mut State| !state.stopping && state.most_in_flight < state.held_until;
    let (mut state, _) =
        shared.arrival.wait_timeout_while(state, PATIENCE, waiting).unwrap_or_else(PoisonError::into_inner);
    if let Some((_, status)) = refused {
        return (Some(Reply::Status(status)), None);
    }
    let reply = state.replies.get_mut(&path).and_then(VecDeque::pop_front);
    (reply, state.answers.get(&path).cloned())
}

/// Returns whether the connection can go on.
fn write_reply(connection: &mut impl Write, reply: Option<Reply>, answer: Option<Answer>) -> std::io::Result<bool> {
    let writer = &mut BufWriter::new(connection);
    let done = match (reply, answer) {
        (Some(Reply::Reset), _) => false,
        (Some(Reply::Truncated), Some(answer)) => {
            let half = answer.body.len() / 2;
            let mut answer = answer.header("content-length", (2 * half).to_string());
            answer.body.truncate(half);
            answer.write(writer)?;
            false
        }
        (Some(Reply::Endless(headers, piece)), _) => {
            writer.write_all(b"HTTP/1.1 200 Status\r\nconnection: close\r\n")?;
            end_head(writer, &headers)?;
            loop {
                writer.write_all(&piece)?;
            }
        }
        (Some(Reply::Status(status)), _) => Answer::new(status).write(writer).map(|()| true)?,
        (Some(Reply::RetryAfter(status, seconds)), _) => {
            Answer::new(status).header("retry-after", seconds.to_string()).write(writer).map(|()| true)?
        }
        (Some(Reply::Bytes(bytes)), _) => Answer::page("application/zip", bytes).write(writer).map(|()| true)?,
        (Some(Reply::Answer(answer)), _) | (None, Some(answer)) => answer.write(writer).map(|()| true)?,
        (Some(Reply::Truncated) | None, None) => Answer::new(404).write(writer).map(|()| true)?,
    };
    writer.flush()?;
    Ok(done)
}
