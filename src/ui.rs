//! What people see on standard error: one line a stage, warnings, and a progress bar on a terminal.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::error::Failure;

/// How much is said.
#[derive(Debug, Clone, Copy)]
pub struct Ui {
    quiet: bool,
    verbose: bool,
}

const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";
const CYAN: &str = "\x1b[1;36m";
const GREEN: &str = "\x1b[1;32m";
const RESET: &str = "\x1b[0m";

impl Ui {
    /// Says nothing but errors if `quiet`, and also what is decided and why if `verbose`.
    pub fn new(quiet: bool, verbose: bool) -> Self {
        Self { quiet, verbose }
    }

    /// A stage that is done, e.g. `Selected` `25 packages in 3ms`.
    pub fn done(self, verb: &str, what: &str) {
        if !self.quiet {
            say(format_args!("{GREEN}{verb:>10}{RESET} {what}"));
        }
    }

    /// Something that the user may want to know.
    pub fn detail(self, what: &str) {
        if self.verbose {
            say(format_args!("{:>10} {what}", ""));
        }
    }

    /// Something that is probably not meant.
    pub fn warn(self, what: &str) {
        if !self.quiet {
            say(format_args!("{YELLOW}warning:{RESET} {what}"));
        }
    }

    /// A bar that counts bytes, shown on a terminal only. Its length may grow as sizes become known.
    pub fn download_bar(self, known_bytes: u64) -> ProgressBar {
        const TEMPLATE: &str =
            "{prefix:>10} {bar:30.green/dim} {decimal_bytes}/{decimal_total_bytes}, {decimal_bytes_per_sec}";
        let shown = !self.quiet && std::io::stderr().is_terminal() && std::env::var_os("CI").is_none();
        let target = if shown { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(known_bytes), target);
        bar.set_style(ProgressStyle::with_template(TEMPLATE).expect("the template is valid"));
        bar.set_prefix("Fetching");
        bar
    }
}

/// Prints a line to standard error, with colours where they are wanted. Nobody is left to tell if that fails.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}

/// Prints an error with its causes and its hint.
pub fn report(failure: &Failure) {
    say(format_args!("{RED}error:{RESET} {failure}"));
    for cause in failure.causes() {
        let indented = cause.trim_end().replace('\n', "\n    ");
        say(format_args!("  caused by: {indented}"));
    }
    for hint in failure.hint.iter().flat_map(|hints| hints.lines()) {
        say(format_args!("{CYAN}hint:{RESET} {hint}"));
    }
}

/// A number of things: `1 wheel`, `3 wheels`.
pub fn counted(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// A duration for people: `3ms`, `1.42s`.
pub fn elapsed(since: Instant) -> String {
    let duration = since.elapsed();
    if duration < Duration::from_secs(1) {
        format!("{}ms", duration.as_millis())
    } else {
        format!("{:.2}s", duration.as_secs_f64())
    }
}
