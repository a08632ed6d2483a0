//! The tree: a virtual environment that holds what an artifact unpacks to.
//!
//! Its name tells everything that its content depends on: the content digest, the Python version and build
//! (they decide where packages lie) and the base interpreter.
//!
//! Invariant: a directory of that name is complete. It gets the name by a rename, after everything in it was
//! written to disk; after that only Python writes to it, as to any virtual environment (`__pycache__`).

use std::fmt::Write as _;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use bundle_launcher::Trailer;

use crate::hash::fnv1a;
use crate::interpreter::Interpreter;
use crate::root::Root;

/// Bytes of the content digest that go into the name.
const DIGEST_BYTES: usize = 16;

/// The tree that an artifact needs with an interpreter, ready or not.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    pub(crate) interpreter: &'a Interpreter,
    key: String,
    path: PathBuf,
}

impl<'a> Tree<'a> {
    pub(crate) fn new(trailer: &Trailer, interpreter: &'a Interpreter, root: &Root) -> Self {
        let key = key(trailer, interpreter);
        let path = root.trees().join(&key);
        Self { interpreter, key, path }
    }

    /// Its name, unlike that of every other tree.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Where it is once it is ready.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether it can be used.
    pub(crate) fn is_ready(&self) -> bool {
        self.path.is_dir()
    }
}

fn key(trailer: &Trailer, interpreter: &Interpreter) -> String {
    let mut key = String::with_capacity(64);
    for byte in &trailer.content_digest[..DIGEST_BYTES] {
        let _ = write!(key, "{byte:02x}");
    }
    let (major, minor, _) = interpreter.version;
    let threading = if interpreter.free_threaded { "t" } else { "" };
    let base = fnv1a(interpreter.base.as_os_str().as_bytes()) >> 32;
    let _ = write!(key, "-cp{major}{minor}{threading}-{base:08x}");
    key
}

/// Makes an empty directory into a virtual environment: <https://docs.python.org/3/library/venv.html>.
pub(crate) fn make_virtual_environment(directory: &Path, interpreter: &Interpreter) -> io::Result<()> {
    let (major, minor, patch) = interpreter.version;
    let base = &interpreter.base;
    let home = base.parent().unwrap_or(Path::new("/"));

    let mut configuration = b"home = ".to_vec();
    configuration.extend_from_slice(home.as_os_str().as_bytes());
    configuration.extend_from_slice(b"\ninclude-system-site-packages = false\n");
    configuration.extend_from_slice(format!("version = {major}.{minor}.{patch}\nexecutable = ").as_bytes());
    configuration.extend_from_slice(base.as_os_str().as_bytes());
    configuration.push(b'\n');
    std::fs::write(directory.join("pyvenv.cfg"), configuration)?;

    let bin = directory.join("bin");
    std::fs::create_dir(&bin)?;
    symlink(base, bin.join("python"))?;
    symlink("python", bin.join("python3"))?;
    symlink("python", bin.join(format!("python{major}.{minor}")))?;

    let library = format!("python{major}.{minor}");
    std::fs::create_dir_all(directory.join("lib").join(&library).join("site-packages"))?;
    symlink("lib", directory.join("lib64"))?;
    if interpreter.free_threaded {
        // Free-threaded builds look for packages under their own name.
        symlink(&library, directory.join("lib").join(format!("{library}t")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_content_version_build_and_base() {
        let trailer = Trailer {
            record_offset: 0,
            record_length: 0,
            payload_offset: 0,
            file_length: 0,
            content_digest: [0xab; 32],
        };
        let interpreter = Interpreter { base: "/usr/bin/python3.13".into(), version: (3, 13, 2), free_threaded: false };
        let usual = key(&trailer, &interpreter);
        assert_eq!(usual, format!("{}-cp313-02168949", "ab".repeat(16)));
        assert_ne!(usual, key(&trailer, &Interpreter { base: "/opt/bin/python3.13".into(), ..interpreter }));
    }
}
