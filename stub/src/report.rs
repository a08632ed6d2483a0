//! What the launcher says on standard error: failures, and with `BUNDLE_VERBOSE` its decisions.
//!
//! Invariant: a standard error that is closed or full never keeps an app from starting.

use std::cell::Cell;
use std::error::Error;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Instant;

/// Says what was decided and how long each step took, if it was asked for.
#[derive(Debug)]
pub(crate) struct Log {
    /// When the previous step ended; `None` keeps silent.
    previous: Option<Cell<Instant>>,
}

impl Log {
    pub(crate) fn new(verbose: bool) -> Self {
        Self { previous: verbose.then(|| Cell::new(Instant::now())) }
    }

    /// Says what the step that just ended came to.
    pub(crate) fn say(&self, message: fmt::Arguments<'_>) {
        if let Some(previous) = &self.previous {
            let now = Instant::now();
            let micros = now.duration_since(previous.replace(now)).as_micros();
            write_line(format_args!("bundle: {:>6}.{:03} ms  {message}", micros / 1000, micros % 1000));
        }
    }
}

/// Prints a failure with its causes and what would work.
pub(crate) fn failure(error: &dyn Error, hint: Option<&str>) {
    write_line(format_args!("error: {error}"));
    let mut cause = error.source();
    while let Some(error) = cause {
        write_line(format_args!("  caused by: {error}"));
        cause = error.source();
    }
    if let Some(hint) = hint {
        write_line(format_args!("hint: {hint}"));
    }
}

fn write_line(line: fmt::Arguments<'_>) {
    // One write for each line, so that lines of processes that start together do not mix.
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Returns a line for each path and why it was refused, each with a newline before it.
pub(crate) fn refusals(refused: &[(PathBuf, impl fmt::Display)]) -> String {
    let mut text = String::new();
    for (path, reason) in refused {
        let _ = write!(text, "\n  `{}` {reason}", path.display());
    }
    text
}

/// A number of bytes as people read it: `52.4 MB`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whole numbers throughout: printing a float would add its 20 KB of tables to every artifact.
        let (unit, name) = match self.0 {
            0..1_000 => return write!(f, "{} bytes", self.0),
            1_000..1_000_000 => (1_000, "kB"),
            1_000_000..1_000_000_000 => (1_000_000, "MB"),
            _ => (1_000_000_000, "GB"),
        };
        write!(f, "{}.{} {name}", self.0 / unit, self.0 % unit * 10 / unit)
    }
}

#[cfg(test)]
mod tests {
    use super::Bytes;

    #[test]
    fn sizes_read_well() {
        assert_eq!(Bytes(7).to_string(), "7 bytes");
        assert_eq!(Bytes(52_449_999).to_string(), "52.4 MB");
        assert_eq!(Bytes(4_500_000_000).to_string(), "4.5 GB");
    }
}
