//! A loopback HTTP/1.1 server that counts what it is asked, and misbehaves where it is told to.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
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
}

/// What a path answers with: a content type and a body.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    content_type: String,
    body: Vec<u8>,
}

impl Answer {
    /// A page of an index.
    pub(crate) fn page(content_type: &str, body: impl AsRef<[u8]>) -> Self {
        Self { content_type: content_type.into(), body: body.as_ref().to_vec() }
    }
}

/// A running server; it stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
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
    requests: BTreeMap<String, usize>,
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
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared::default());
        let acceptor = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Self { address, shared, acceptor: Some(acceptor) }
    }

    /// `127.0.0.1:<port>`
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// The URL of the index that its wheels are said to come from.
    pub(crate) fn index(&self) -> String {
        format!("http://{}/simple", self.address)
    }

    /// The URL of a wheel.
    pub(crate) fn url(&self, filename: &str) -> String {
        format!("http://{}{}", self.address, path_of(filename))
    }

    /// Serves a wheel.
    pub(crate) fn publish(&self, wheel: &WheelFile) {
        self.answer(&path_of(&wheel.filename), Answer::page("application/zip", &wheel.bytes));
    }

    /// Serves an answer at a path.
    pub(crate) fn answer(&self, path: &str, answer: Answer) {
        self.shared.state().answers.insert(path.to_owned(), answer);
    }

    /// Answers the next requests for a wheel so, one reply for each, before it is served as it is.
    pub(crate) fn reply(&self, filename: &str, replies: impl IntoIterator<Item = Reply>) {
        self.shared.state().replies.entry(path_of(filename)).or_default().extend(replies);
    }

    /// Holds every response back until so many requests are in flight.
    pub(crate) fn hold_until(&self, requests: usize) {
        self.shared.state().held_until = requests;
        self.shared.arrival.notify_all();
    }

    /// How often a wheel was asked for.
    pub(crate) fn requests_for(&self, filename: &str) -> usize {
        self.shared.state().requests.get(&path_of(filename)).copied().unwrap_or(0)
    }

    /// How often anything was asked for.
    pub(crate) fn requests(&self) -> usize {
        self.shared.state().requests.values().sum()
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

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
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
        let shared = Arc::clone(shared);
        handlers.push(std::thread::spawn(move || {
            // A client that goes away in the middle ends its connection and nothing else.
            let _ = serve(connection, &shared);
        }));
    }
    for handler in handlers {
        let _ = handler.join();
    }
}

/// Answers the requests of one connection until either side closes it.
fn serve(connection: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    let mut writer = connection;
    loop {
        let mut request_line = String::new();
        if reader.read_line(&mut request_line)? == 0 {
            return Ok(());
        }
        let path = request_line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut body_length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let header = header.trim_end().to_ascii_lowercase();
            if let Some(length) = header.strip_prefix("content-length:") {
                body_length = length.trim().parse().unwrap_or(0);
            }
            if header.is_empty() {
                break;
            }
        }
        std::io::copy(&mut reader.by_ref().take(body_length), &mut std::io::sink())?;

        let (reply, file) = arrive(shared, &path);
        let written = write_reply(&mut writer, reply, file);
        shared.state().in_flight -= 1;
        if !written? {
            return writer.shutdown(Shutdown::Both);
        }
    }
}

/// Counts a request, waits if it is to be held, and returns how to answer it.
fn arrive(shared: &Shared, path: &str) -> (Option<Reply>, Option<Answer>) {
    let mut state = shared.state();
    *state.requests.entry(path.to_owned()).or_default() += 1;
    state.in_flight += 1;
    state.most_in_flight = state.most_in_flight.max(state.in_flight);
    shared.arrival.notify_all();
    let waiting = |state: &mut State| !state.stopping && state.most_in_flight < state.held_until;
    let (mut state, _) =
        shared.arrival.wait_timeout_while(state, PATIENCE, waiting).unwrap_or_else(PoisonError::into_inner);
    let reply = state.replies.get_mut(path).and_then(VecDeque::pop_front);
    (reply, state.answers.get(path).cloned())
}

/// Returns whether the connection can go on.
fn write_reply(writer: &mut TcpStream, reply: Option<Reply>, answer: Option<Answer>) -> std::io::Result<bool> {
    let content_type = answer.as_ref().map_or("application/zip", |answer| &answer.content_type).to_owned();
    let head = |status: u16, length: usize, more: &str| {
        format!("HTTP/1.1 {status} Status\r\ncontent-length: {length}\r\ncontent-type: {content_type}\r\n{more}\r\n")
    };
    match (reply, answer.map(|answer| answer.body)) {
        (Some(Reply::Reset), _) => Ok(false),
        (Some(Reply::Status(status)), _) => writer.write_all(head(status, 0, "").as_bytes()).map(|()| true),
        (Some(Reply::RetryAfter(status, seconds)), _) => {
            writer.write_all(head(status, 0, &format!("retry-after: {seconds}\r\n")).as_bytes()).map(|()| true)
        }
        (Some(Reply::Truncated), Some(file)) => {
            writer.write_all(head(200, file.len(), "").as_bytes())?;
            writer.write_all(&file[..file.len() / 2]).map(|()| false)
        }
        (Some(Reply::Bytes(bytes)), _) | (None, Some(bytes)) => {
            writer.write_all(head(200, bytes.len(), "").as_bytes())?;
            writer.write_all(&bytes).map(|()| true)
        }
        (Some(Reply::Truncated) | None, None) => writer.write_all(head(404, 0, "").as_bytes()).map(|()| true),
    }
}
