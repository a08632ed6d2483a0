//! Wheels made in memory. They are correct unless a defect is asked for, and the same every time.
//!
//! Format: <https://packaging.python.org/en/latest/specifications/binary-distribution-format/>

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::sha256;
use super::zip::ZipWriter;

const REGULAR_FILE: u32 = 0o100_644;
const EXECUTABLE_FILE: u32 = 0o100_755;
const SYMBOLIC_LINK: u32 = 0o120_777;

/// A wheel under construction.
#[derive(Debug, Clone)]
pub(crate) struct Wheel {
    name: String,
    version: String,
    tag: String,
    entries: Vec<Entry>,
    entry_points: String,
    record: Record,
}

#[derive(Debug, Clone)]
struct Entry {
    name: String,
    data: Vec<u8>,
    mode: u32,
}

/// What `RECORD` says.
#[derive(Debug, Clone)]
enum Record {
    /// The truth.
    True,
    /// The hash of another content for this file.
    WrongFor(String),
    /// Nothing about this file.
    Without(String),
    /// There is no `RECORD`.
    Missing,
}

/// A finished wheel.
#[derive(Debug, Clone)]
pub(crate) struct WheelFile {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) filename: String,
    pub(crate) bytes: Vec<u8>,
}

impl WheelFile {
    pub(crate) fn sha256(&self) -> String {
        sha256(&self.bytes)
    }
}

impl Wheel {
    /// A pure wheel for every Python 3, without any file but its metadata.
    pub(crate) fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            tag: "py3-none-any".into(),
            entries: Vec::new(),
            entry_points: String::new(),
            record: Record::True,
        }
    }

    /// Sets the tag in its file name and `WHEEL`, e.g. `cp311-cp311-manylinux2014_x86_64`.
    pub(crate) fn tag(mut self, tag: &str) -> Self {
        self.tag = tag.into();
        self
    }

    /// Adds a file beside the modules, or, with a name that starts so, below `<wheel>.data/`.
    pub(crate) fn file(self, name: &str, data: impl AsRef<[u8]>) -> Self {
        self.entry(name, data, REGULAR_FILE)
    }

    /// Adds `<wheel>.data/<kind>/<name>`; `kind` is `scripts`, `data`, `headers`, `purelib` or `platlib`.
    pub(crate) fn data(self, kind: &str, name: &str, data: impl AsRef<[u8]>) -> Self {
        let mode = if kind == "scripts" { EXECUTABLE_FILE } else { REGULAR_FILE };
        let path = format!("{}.data/{kind}/{name}", self.stem());
        self.entry(&path, data, mode)
    }

    /// Adds a console script that calls `module:attribute`.
    pub(crate) fn console_script(mut self, name: &str, target: &str) -> Self {
        if self.entry_points.is_empty() {
            self.entry_points.push_str("[console_scripts]\n");
        }
        let _ = writeln!(self.entry_points, "{name} = {target}");
        self
    }

    /// Adds an entry that is a symbolic link.
    pub(crate) fn symbolic_link(self, name: &str, target: &str) -> Self {
        self.entry(name, target, SYMBOLIC_LINK)
    }

    /// Makes `RECORD` lie about one file.
    pub(crate) fn wrong_record_for(mut self, name: &str) -> Self {
        self.record = Record::WrongFor(name.into());
        self
    }

    /// Leaves one file out of `RECORD`.
    pub(crate) fn record_without(mut self, name: &str) -> Self {
        self.record = Record::Without(name.into());
        self
    }

    /// Leaves `RECORD` out.
    pub(crate) fn without_record(mut self) -> Self {
        self.record = Record::Missing;
        self
    }

    fn entry(mut self, name: &str, data: impl AsRef<[u8]>, mode: u32) -> Self {
        self.entries.push(Entry { name: name.into(), data: data.as_ref().to_vec(), mode });
        self
    }

    /// `name-version` as file names have it.
    fn stem(&self) -> String {
        format!("{}-{}", self.name.replace('-', "_"), self.version)
    }

    /// Writes the archive.
    pub(crate) fn build(mut self) -> WheelFile {
        let dist_info = format!("{}.dist-info", self.stem());
        let metadata = format!("Metadata-Version: 2.1\nName: {}\nVersion: {}\n", self.name, self.version);
        let pure = self.tag.ends_with("-any");
        let wheel = format!(
            "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: {pure}\n{}",
            expand_tag(&self.tag).iter().fold(String::new(), |text, tag| text + "Tag: " + tag + "\n"),
        );
        self = self.file(&format!("{dist_info}/METADATA"), metadata).file(&format!("{dist_info}/WHEEL"), wheel);
        if !self.entry_points.is_empty() {
            let text = std::mem::take(&mut self.entry_points);
            self = self.file(&format!("{dist_info}/entry_points.txt"), text);
        }
        let record_name = format!("{dist_info}/RECORD");
        if let Some(record) = self.record_text(&record_name) {
            self = self.file(&record_name, record);
        }

        let mut zip = ZipWriter::default();
        for entry in &self.entries {
            zip.entry(&entry.name, &entry.data, entry.mode);
        }
        let filename = format!("{}-{}.whl", self.stem(), self.tag);
        WheelFile { name: self.name, version: self.version, filename, bytes: zip.finish() }
    }

    fn record_text(&self, record_name: &str) -> Option<String> {
        let mut text = String::new();
        for entry in &self.entries {
            let digest = match &self.record {
                Record::Missing => return None,
                Record::Without(name) if *name == entry.name => continue,
                Record::WrongFor(name) if *name == entry.name => Sha256::digest(b"something else"),
                _ => Sha256::digest(&entry.data),
            };
            // Its rows are those of a CSV file: a name with a comma in it is quoted.
            let name = if entry.name.contains(',') { format!("\"{}\"", entry.name) } else { entry.name.clone() };
            let _ = writeln!(text, "{name},sha256={},{}", base64_url(&digest), entry.data.len());
        }
        let _ = writeln!(text, "{record_name},,");
        Some(text)
    }
}

/// Spells out a compressed tag set: `py2.py3-none-any` is two tags.
fn expand_tag(tag: &str) -> Vec<String> {
    let mut parts = tag.split('-');
    let (Some(pythons), Some(abis), Some(platforms), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        panic!("`{tag}` is no tag");
    };
    let mut tags = Vec::new();
    for python in pythons.split('.') {
        for abi in abis.split('.') {
            tags.extend(platforms.split('.').map(|platform| format!("{python}-{abi}-{platform}")));
        }
    }
    tags
}

/// URL-safe base64 without padding, as `RECORD` has it.
fn base64_url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = (0..3).fold(0_u32, |group, index| group << 8 | u32::from(chunk.get(index).copied().unwrap_or(0)));
        for digit in 0..=chunk.len() {
            text.push(char::from(DIGITS[(group >> (18 - 6 * digit) & 63) as usize]));
        }
    }
    text
}
