//! Replays what fuzzing found: every file of the corpus goes through the function that was fuzzed with it.

#[expect(unreachable_pub, reason = "it is a library to the fuzz targets")]
#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

/// Only tells a file that hangs from one that is slow on a busy machine.
const HANGS_AFTER: Duration = Duration::from_mins(5);

/// Hand-written inputs, what fuzzing made of them, and what once failed.
const CORPORA: [&str; 3] = ["seeds", "corpus", "regressions"];

#[test]
fn every_file_of_the_corpus_is_read_to_its_end() {
    for (name, entry) in fuzz::ENTRIES {
        let mut files = 0;
        for corpus in CORPORA {
            for file in files_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(corpus).join(name)) {
                files += 1;
                finishes(entry, &file);
            }
        }
        assert!(files > 0, "there is no corpus for `{name}`");
    }
}

/// Every target of the fuzz crate is replayed here.
#[test]
fn every_fuzz_target_is_replayed() {
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    let mut targets: Vec<String> = files_in(&targets)
        .iter()
        .map(|file| file.file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    targets.sort();
    let mut entries: Vec<&str> = fuzz::ENTRIES.iter().map(|(name, _)| *name).collect();
    entries.sort_unstable();
    assert_eq!(targets, entries);
}

/// Runs in a thread of its own, whose stack is that of any thread, so that deep recursion is found.
fn finishes(entry: fuzz::Entry, file: &Path) {
    let data = std::fs::read(file).expect("corpus file");
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        entry(&data);
        sender.send(()).expect("the test waits");
    });
    match receiver.recv_timeout(HANGS_AFTER) {
        Ok(()) => {}
        Err(mpsc::RecvTimeoutError::Disconnected) => panic!("{} panics", file.display()),
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{} hangs", file.display()),
    }
}

/// Files of a directory, which need not exist, sorted.
fn files_in(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("directory entry").path()).collect();
    files.sort();
    files
}
