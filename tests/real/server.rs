//! A started API server, and requests to it.
//!
//! It is killed when it is dropped. It listens on the loopback interface, on a port that the kernel chooses and
//! that its log tells, so no wait here is longer than what is waited for.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::machine::locked_version;
use crate::support::run::Run;

/// How long a start, an answer or an end may take: far longer than any takes under emulation.
const PATIENCE: Duration = Duration::from_mins(2);

/// The arguments with which `uvicorn` serves the application.
pub(crate) const ARGUMENTS: [&str; 5] = ["api.main:app", "--host", "127.0.0.1", "--port", "0"];

/// A server that answers.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    lines: Receiver<String>,
    log: String,
}

impl Server {
    /// Starts it and waits until it listens.
    pub(crate) fn start(run: Run) -> Self {
        let mut command = run.into_command();
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the artifact starts");
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let (sender, lines) = channel();
        // Ends when the server closes its standard error, so at the latest when it is killed.
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let address = ([127, 0, 0, 1], 0).into();
        let mut server = Self { child, address, lines, log: String::new() };
        let deadline = Instant::now() + PATIENCE;
        server.address = loop {
            let Some(line) = server.next_line(deadline) else { panic!("it does not listen; its log:\n{}", server.log) };
            let address = line.split_once("running on http://").and_then(|(_, rest)| rest.split(' ').next());
            if let Some(address) = address {
                break address.parse().expect("an address");
            }
        };
        server
    }

    /// Returns the next line of its log, `None` after the last.
    fn next_line(&mut self, deadline: Instant) -> Option<String> {
        match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                let _ = writeln!(self.log, "{line}");
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("it takes too long; its log:\n{}", self.log),
        }
    }

    /// Returns the JSON that a path answers with.
    pub(crate) fn get(&self, path: &str) -> Value {
        self.request("GET", path, "", 200)
    }

    /// Sends JSON to a path, which is expected to make something, and returns the answer.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        self.request("POST", path, &body.to_string(), 201)
    }

    /// Returns the text that a path answers with.
    pub(crate) fn get_text(&self, path: &str) -> String {
        self.answer("GET", path, "", 200)
    }

    fn request(&self, method: &str, path: &str, body: &str, expected_status: u16) -> Value {
        serde_json::from_str(&self.answer(method, path, body, expected_status)).expect("JSON")
    }

    fn answer(&self, method: &str, path: &str, body: &str, expected_status: u16) -> String {
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time");
        stream.set_write_timeout(Some(PATIENCE)).expect("a time");
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len(),
        )
        .expect("the request is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with(&format!("HTTP/1.1 {expected_status} ")), "{method} {path}:\n{answer}");
        body.to_owned()
    }

    /// Asks it to end, as container runtimes do, and expects it to do so in an orderly way. Returns its log.
    pub(crate) fn stop(mut self) -> String {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("it runs");
        let deadline = Instant::now() + PATIENCE;
        while self.next_line(deadline).is_some() {}
        let status = self.child.wait().expect("it ended");
        // uvicorn shuts down, then lets the signal have its usual effect.
        assert_eq!(status.signal(), Some(Signal::TERM.as_raw()), "{status}; its log:\n{}", self.log);
        for line in ["Application shutdown complete.", "Finished server process"] {
            assert!(self.log.contains(line), "no `{line}` in its log:\n{}", self.log);
        }
        std::mem::take(&mut self.log)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Expects `/health` to tell what the lock has.
pub(crate) fn check_health(server: &Server, python_version: &str) {
    let health = server.get("/health");
    assert_eq!(health["status"], "ok", "{health:#}");
    assert_eq!(health["store"], "memory", "{health:#}");
    assert_eq!(health["python"], python_version, "{health:#}");
    assert_eq!(health["event_loop"], "uvloop", "{health:#}");
    let dependencies = health["dependencies"].as_object().expect("an object");
    assert_eq!(dependencies.len(), 10, "{health:#}");
    for (package, version) in dependencies {
        assert_eq!(version, &locked_version(package), "{package}");
    }
}
