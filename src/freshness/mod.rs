//! Whether a lock still matches the project that it was made from.
//!
//! Locks say what they were made from: `uv.lock` repeats the requirements, `poetry.lock` has a hash of them, and a
//! `pylock.toml` has nothing of the kind. Invariant: only what is sure to differ makes a lock stale. What depends on
//! the environment, on a build backend, on sources that are not there, or on a format that is not known is not judged.

mod poetry;
mod requirement;
mod uv;

use std::path::PathBuf;

use crate::error::{Diagnose, ExitStatus};
use crate::lock::LockFile;
use crate::lock::recorded::Recorded;

/// How many differences an error shows.
const MOST_SHOWN: usize = 5;

/// A lock does not match its project any more.
#[derive(Debug, thiserror::Error)]
#[error("lock `{}` does not match `pyproject.toml`{}", lock.display(), listed(differences))]
pub struct StaleError {
    lock: PathBuf,
    /// At least one, each a clause.
    differences: Vec<String>,
    refresh: &'static str,
}

impl Diagnose for StaleError {
    fn exit_status(&self) -> ExitStatus {
        ExitStatus::Project
    }

    fn hint(&self) -> Option<String> {
        Some(format!("`{}` brings it up to date; `--frozen` uses it as it is", self.refresh))
    }
}

/// One difference on the same line, more of them below it.
fn listed(differences: &[String]) -> String {
    if let [only] = differences {
        return format!(": {only}");
    }
    let mut lines: Vec<String> =
        differences.iter().take(MOST_SHOWN).map(|difference| format!("\n  {difference}")).collect();
    if differences.len() > MOST_SHOWN {
        lines.push(format!("\n  and {} more", differences.len() - MOST_SHOWN));
    }
    lines.concat()
}

/// Compares a lock with the `pyproject.toml` beside it, and with those of its source trees.
pub fn check(file: &LockFile) -> Result<(), StaleError> {
    let (differences, refresh) = match &file.lock.recorded {
        Recorded::Nothing => return Ok(()),
        Recorded::Uv(record) => (uv::differences(&file.lock, record, file.directory()), "uv lock"),
        Recorded::Poetry(record) => (poetry::differences(record, file.directory()), "poetry lock"),
    };
    if differences.is_empty() {
        return Ok(());
    }
    Err(StaleError { lock: file.path.clone(), differences, refresh })
}
