//! What a wheel becomes when it is installed: the files, scripts and metadata that pip would have made.
//!
//! Specification: <https://packaging.python.org/en/latest/specifications/binary-distribution-format/#installing-a-wheel-distribution-1-0-py32-none-any-whl>
//! and <https://packaging.python.org/en/latest/specifications/recording-installed-packages/>.
//! Names are those of the payload's zones (`site-packages/`, `bin/`, `data/`); nothing depends on where an
//! artifact will be unpacked.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::entry_point::{ObjectReference, RELOCATABLE_SHEBANG};
use crate::packaging::PackageName;
use crate::wheel::{Member, RecordHash, Sha256Digest, WheelError, WheelFile, WheelProblem};
use crate::zip::Entry;

/// Permissions of a plain file.
pub const MODE_FILE: u32 = 0o644;
/// Permissions of a program.
pub const MODE_PROGRAM: u32 = 0o755;

/// A distribution, ready to be packed.
#[derive(Debug)]
pub struct Installed {
    /// Normalised name, from METADATA.
    pub name: PackageName,
    /// Version, from METADATA.
    pub version: String,
    /// Its files, RECORD included.
    pub files: Vec<InstalledFile>,
    /// Names of its console and GUI scripts.
    pub scripts: Vec<String>,
}

/// One file of an installed distribution.
#[derive(Debug)]
pub struct InstalledFile {
    /// Name in the payload, permissions and contents.
    pub entry: Entry,
    /// SHA-256 of the contents.
    pub sha256: Sha256Digest,
}

impl InstalledFile {
    /// A file that is made here.
    pub fn from_bytes(name: String, mode: u32, contents: Vec<u8>) -> Self {
        let sha256 = Sha256::digest(&contents).into();
        Self { entry: Entry::from_bytes(name, mode, contents), sha256 }
    }
}

/// Lays out a wheel for `python` (major, minor). `requested` distributions are marked as asked for by the user.
pub fn install(wheel: &Arc<WheelFile>, requested: bool, python: (u8, u8)) -> Result<Installed, WheelError> {
    wheel.check_version()?;
    let (name, version) = wheel.name_and_version()?;
    let record = wheel.record()?;
    let entry_points = wheel.script_entry_points()?;
    let mut files = Vec::new();
    for member in wheel.members() {
        // Written anew below, as every installer does.
        if wheel.is_record(member) || is_installer_file(wheel, member) {
            continue;
        }
        let payload_name = match wheel.data_path(member) {
            None => format!("site-packages/{}", member.name),
            Some(rest) => data_file_name(rest, &name, python)
                .ok_or_else(|| wheel.problem(WheelProblem::Name(member.name.clone())))?,
        };
        let script_name = payload_name.strip_prefix("bin/");
        let is_script = script_name.is_some();
        // An entry point takes the place of a script of its name, as with pip.
        if entry_points.iter().any(|(name, _)| Some(name.as_str()) == script_name) {
            continue;
        }
        if is_script && let Some(rewritten) = rewrite_shebang(wheel, member)? {
            files.push(InstalledFile::from_bytes(payload_name, MODE_PROGRAM, rewritten));
            continue;
        }
        let mode = if is_script || member.executable { MODE_PROGRAM } else { MODE_FILE };
        let sha256 = match record.get(&member.name) {
            Some(RecordHash::Sha256(digest)) => *digest,
            _ => wheel.sha256(member)?,
        };
        files.push(InstalledFile { entry: Entry::copied(payload_name, mode, wheel, member), sha256 });
    }

    let mut scripts = Vec::new();
    for (script, reference) in entry_points {
        let invalid = || wheel.problem(WheelProblem::EntryPoint(format!("{script} = {reference}")));
        let reference: ObjectReference = reference.parse().map_err(|_| invalid())?;
        if !is_script_name(&script) {
            return Err(invalid());
        }
        files.push(InstalledFile::from_bytes(format!("bin/{script}"), MODE_PROGRAM, reference.script().into_bytes()));
        scripts.push(script);
    }

    let metadata_directory = format!("site-packages/{}", wheel.dist_info());
    let metadata = |file: &str, contents: &str| {
        InstalledFile::from_bytes(format!("{metadata_directory}/{file}"), MODE_FILE, contents.into())
    };
    files.push(metadata("INSTALLER", "bundle\n"));
    if requested {
        files.push(metadata("REQUESTED", ""));
    }
    let record = new_record(&files, &format!("{metadata_directory}/RECORD"));
    files.push(metadata("RECORD", &record));
    Ok(Installed { name, version, files, scripts })
}

/// Files that only the installer may write.
fn is_installer_file(wheel: &WheelFile, member: &Member) -> bool {
    let name = member.name.strip_prefix(wheel.dist_info()).and_then(|rest| rest.strip_prefix('/'));
    matches!(name, Some("INSTALLER" | "REQUESTED" | "direct_url.json"))
}

/// Where a file of the `.data` directory goes; `None` for a scheme that does not exist.
fn data_file_name(rest: &str, name: &PackageName, (major, minor): (u8, u8)) -> Option<String> {
    let (scheme, path) = rest.split_once('/')?;
    match scheme {
        "purelib" | "platlib" => Some(format!("site-packages/{path}")),
        "scripts" => Some(format!("bin/{path}")),
        "data" => Some(match path.strip_prefix("bin/") {
            // `data` is `sys.prefix`, and its `bin` is where scripts are.
            Some(script) => format!("bin/{script}"),
            None => format!("data/{path}"),
        }),
        "headers" => Some(format!("data/include/site/python{major}.{minor}/{name}/{path}")),
        _ => None,
    }
}

/// A script's new contents if its first line is `#!python` or `#!pythonw`; others stay byte for byte.
fn rewrite_shebang(wheel: &WheelFile, member: &Member) -> Result<Option<Vec<u8>>, WheelError> {
    const MARK: &[u8] = b"#!python";
    if wheel.read_start(member, MARK.len())? != MARK {
        return Ok(None);
    }
    let contents = wheel.read(member)?;
    let line_end = contents.iter().position(|byte| *byte == b'\n').map_or(contents.len(), |end| end + 1);
    Ok(Some([RELOCATABLE_SHEBANG.as_bytes(), &contents[line_end..]].concat()))
}

/// A script's name is one file name.
fn is_script_name(name: &str) -> bool {
    !name.is_empty() && !matches!(name, "." | "..") && !name.contains(['/', '\\', '\0', '\n'])
}

/// RECORD of the installed files: paths relative to `site-packages`, as `lib/pythonX.Y/site-packages` lies in a prefix.
fn new_record(files: &[InstalledFile], record_name: &str) -> String {
    let mut rows: Vec<[String; 3]> = files
        .iter()
        .map(|file| {
            let hash = format!("sha256={}", BASE64_URL_SAFE_NO_PAD.encode(file.sha256));
            [record_path(&file.entry.name), hash, file.entry.size.to_string()]
        })
        .collect();
    rows.push([record_path(record_name), String::new(), String::new()]);
    rows.sort();
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(Vec::new());
    for row in &rows {
        writer.write_record(row).expect("rows of one length, written to memory");
    }
    String::from_utf8(writer.into_inner().expect("memory is never full")).expect("written from strings")
}

fn record_path(payload_name: &str) -> String {
    match payload_name.split_once('/') {
        Some(("site-packages", rest)) => rest.to_owned(),
        Some(("data", rest)) => format!("../../../{rest}"),
        _ => format!("../../../{payload_name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_goes_where_pip_puts_it() {
        let name: PackageName = "Foo_Bar".parse().expect("name");
        let place = |rest| data_file_name(rest, &name, (3, 11));
        assert_eq!(place("purelib/a/b.py").as_deref(), Some("site-packages/a/b.py"));
        assert_eq!(place("scripts/run").as_deref(), Some("bin/run"));
        assert_eq!(place("data/share/x").as_deref(), Some("data/share/x"));
        assert_eq!(place("data/bin/x").as_deref(), Some("bin/x"));
        assert_eq!(place("headers/x.h").as_deref(), Some("data/include/site/python3.11/foo-bar/x.h"));
        assert_eq!(place("secrets/x"), None);
    }

    #[test]
    fn record_paths_start_at_site_packages() {
        assert_eq!(record_path("site-packages/a/b.py"), "a/b.py");
        assert_eq!(record_path("bin/run"), "../../../bin/run");
        assert_eq!(record_path("data/share/x"), "../../../share/x");
    }
}
