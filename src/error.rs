//! How failures reach the user: a sentence, its causes, a hint, and an exit status.
//!
//! Every module has its own error enum and implements [`Diagnose`] for it; [`Failure`] carries any of them
//! up to `main`. Invariant: a source error is never repeated in the message of the error that wraps it.

use std::error::Error;
use std::fmt;

/// Exit statuses of the command line. 0 is success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// The command line cannot be understood.
    Usage = 2,
    /// The project, its configuration or its lock cannot be used.
    Project = 3,
    /// Nothing in the lock fits the target.
    Unfit = 4,
    /// The network failed, or was needed while `--offline`.
    Network = 5,
    /// Bytes are not what they were promised to be.
    Integrity = 6,
    /// Local code could not be built.
    LocalBuild = 7,
    /// The file system refused.
    FileSystem = 8,
}

/// What `main` needs to know of an error beyond its message.
pub trait Diagnose: Error {
    /// The status with which the program ends.
    fn exit_status(&self) -> ExitStatus;

    /// The command or setting that would work.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// Any module's error, on its way to the user.
#[derive(Debug)]
pub struct Failure {
    error: Box<dyn Error + Send + Sync>,
    /// See [`Diagnose::exit_status`].
    pub exit_status: ExitStatus,
    /// See [`Diagnose::hint`].
    pub hint: Option<String>,
}

impl<E: Diagnose + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { exit_status: error.exit_status(), hint: error.hint(), error: Box::new(error) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Failure {
    /// The chain of causes below the message, outermost first.
    pub fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        let mut source = self.error.source();
        while let Some(cause) = source {
            causes.push(cause.to_string());
            source = cause.source();
        }
        causes
    }
}

/// An operation on a file or directory that failed; `fs_err` puts the path into the message.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action}")]
pub struct FileError {
    action: String,
    source: std::io::Error,
}

impl FileError {
    /// Returns a function for `map_err`; `action` completes the sentence "cannot …".
    pub fn during(action: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self { action: action.into(), source }
    }
}

impl Diagnose for FileError {
    fn exit_status(&self) -> ExitStatus {
        ExitStatus::FileSystem
    }

    fn hint(&self) -> Option<String> {
        match self.source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Some("free some space, or choose another file system with `--output` or `BUNDLE_CACHE_DIR`".into())
            }
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                Some("choose a directory that you may write to, with `--output` or `BUNDLE_CACHE_DIR`".into())
            }
            _ => None,
        }
    }
}

/// A text that is not the TOML that it should be: where, and why.
///
/// toml's own message shows the whole line, and lines of a lock can have thousands of characters.
#[derive(Debug)]
pub struct TomlError {
    reason: String,
    /// Line, column and an excerpt, with the place of the error in it.
    found: Option<(usize, usize, String, usize)>,
}

/// How much of a line is shown on either side of an error, in characters.
const EXCERPT: usize = 40;

impl TomlError {
    /// Finds the place of an error in the text that was read.
    pub fn new(error: &toml::de::Error, text: &str) -> Self {
        let place = error.span().and_then(|span| Some((text.get(..span.start)?, text.get(span.start..)?)));
        let found = place.map(|(before, after)| {
            let line = before.matches('\n').count() + 1;
            let before: Vec<char> = before.rsplit('\n').next().unwrap_or_default().chars().collect();
            let after: Vec<char> = after.lines().next().unwrap_or_default().chars().collect();
            let start = before.len().saturating_sub(EXCERPT);
            let mut excerpt = String::from(if start > 0 { "…" } else { "" });
            let shown = before[start..].iter().chain(after.iter().take(EXCERPT));
            excerpt.extend(shown.map(|character| if character.is_control() { ' ' } else { *character }));
            excerpt.push_str(if after.len() > EXCERPT { "…" } else { "" });
            (line, before.len() + 1, excerpt, before.len() - start + usize::from(start > 0))
        });
        Self { reason: error.message().to_owned(), found }
    }
}

impl fmt::Display for TomlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.found {
            Some((line, column, excerpt, caret)) => {
                write!(f, "line {line}, column {column}: {}\n{excerpt}\n{:caret$}^", self.reason, "")
            }
            None => f.write_str(&self.reason),
        }
    }
}

impl Error for TomlError {}

/// Finds the candidate nearest to a misspelt name, if any is near enough to suggest.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (edit_distance(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance in bytes.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut_around_the_error() {
        let shown = |text: &str| {
            let error = toml::from_str::<toml::Table>(text).expect_err("no TOML");
            TomlError::new(&error, text).to_string()
        };
        let long = "x".repeat(1000);
        let text = format!("a = 1\nb = {{ c = \"é{long}\", d = ?, e = \"{long}\" }}\n");
        let lines: Vec<String> = shown(&text).lines().map(str::to_owned).collect();
        assert!(lines[0].starts_with("line 2, column 1020: "), "{lines:?}");
        assert!(
            lines[1].starts_with("…xxx") && lines[1].ends_with("xxx…") && lines[1].chars().count() < 90,
            "{lines:?}"
        );
        assert_eq!(lines[1].chars().nth(lines[2].len() - 1), Some('?'), "{lines:?}");
        let lines: Vec<String> = shown("a = ").lines().map(str::to_owned).collect();
        assert_eq!(lines[1..], ["a = ", "    ^"].map(str::to_owned));
    }

    #[test]
    fn suggestions_are_near() {
        assert_eq!(nearest("wroker", ["api", "worker"]), Some("worker"));
        assert_eq!(nearest("apii", ["api", "worker"]), Some("api"));
        assert_eq!(nearest("frontend", ["api", "worker"]), None);
    }
}
