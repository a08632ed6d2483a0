//! The committed launchers are those that the sources build to, as far as that shows without building them.
//!
//! `stub/build.sh` writes the hash of the launcher's sources and of the launchers themselves to
//! `prebuilt/SOURCES.sha256`; here both are computed anew. `stub/build.sh --check` builds and compares.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The launchers and their machine numbers (`e_machine` of <https://refspecs.linuxfoundation.org/elf/elf.pdf>).
const LAUNCHERS: [(&str, u16); 2] = [("bundle-launcher-x86_64-linux", 62), ("bundle-launcher-aarch64-linux", 183)];

/// Every artifact carries one launcher: it has to stay small. In bytes.
const SIZE_LIMIT: usize = 1_900_000;

fn stub() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("`{}`: {error}: run stub/build.sh", path.display()))
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Returns what `SOURCES.sha256` records: hashes by name.
fn recorded() -> BTreeMap<String, String> {
    let text = String::from_utf8(read(&stub().join("prebuilt/SOURCES.sha256"))).expect("it is text");
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once("  ").expect("a hash, two spaces, a name"))
        .map(|(hash, name)| (name.to_owned(), hash.to_owned()))
        .collect()
}

fn files_below(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("the directory can be read") {
        let path = entry.expect("its entries can be read").path();
        if path.is_dir() { files_below(&path, files) } else { files.push(path) }
    }
}

/// The recipe of `stub/build.sh`: `sha256sum` lines of the files, sorted by path, hashed again.
fn source_hash() -> String {
    let mut files = vec![stub().join("Cargo.toml"), stub().join("build.sh")];
    files_below(&stub().join("src"), &mut files);
    let mut lines: Vec<(String, String)> = files
        .iter()
        .map(|file| {
            let name = file.strip_prefix(stub()).expect("it lies below").to_str().expect("names are UTF-8");
            (name.to_owned(), sha256(&read(file)))
        })
        .collect();
    lines.sort();
    let listing = lines.iter().fold(String::new(), |mut text, (name, hash)| {
        let _ = writeln!(text, "{hash}  {name}");
        text
    });
    sha256(listing.as_bytes())
}

#[test]
fn launchers_were_built_from_these_sources() {
    assert_eq!(
        recorded().get("sources"),
        Some(&source_hash()),
        "the launcher's sources have changed since it was built: run stub/build.sh"
    );
}

#[test]
fn launchers_are_the_files_that_were_built() {
    for (name, _) in LAUNCHERS {
        let hash = sha256(&read(&stub().join("prebuilt").join(name)));
        assert_eq!(recorded().get(name), Some(&hash), "`{name}` is not the file that was built: run stub/build.sh");
    }
}

#[test]
fn launchers_are_static_executables_of_their_machine() {
    for (name, machine) in LAUNCHERS {
        let bytes = read(&stub().join("prebuilt").join(name));
        assert!(bytes.len() < SIZE_LIMIT, "`{name}` is {} bytes long, the limit is {SIZE_LIMIT}", bytes.len());
        assert_eq!(bytes[..6], *b"\x7fELF\x02\x01", "`{name}` is no 64-bit little-endian ELF file");
        let number = |offset: usize, length: usize| {
            bytes[offset..offset + length].iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte))
        };
        assert_eq!(number(18, 2), u64::from(machine), "`{name}` is for another machine");
        let index = |offset, length| usize::try_from(number(offset, length)).expect("it is an offset into the file");
        let (table, entry_size, entries) = (index(32, 8), index(54, 2), index(56, 2));
        assert_ne!(entries, 0, "`{name}` has no program headers");
        for entry in 0..entries {
            const PT_INTERP: u64 = 3;
            assert_ne!(number(table + entry * entry_size, 4), PT_INTERP, "`{name}` is not static: run stub/build.sh");
        }
    }
}
