//! The interpreter of this machine with which artifacts are started.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

/// A Python of this machine.
#[derive(Debug)]
pub(crate) struct Python {
    /// `3.11`
    pub(crate) minor_version: String,
    /// Major, minor and patch version.
    pub(crate) version: (u8, u8, u32),
    /// `cp311`
    pub(crate) tag: String,
    /// The executable itself, where `python3` on `PATH` may be a shim.
    pub(crate) executable: PathBuf,
}

/// Returns what `python3` on `PATH` runs.
pub(crate) fn python() -> &'static Python {
    static PYTHON: LazyLock<Python> = LazyLock::new(|| {
        let script = "import sys; print(*sys.version_info[:3], sys._base_executable, sep='\\n')";
        let output = Command::new("python3").args(["-I", "-c", script]).output().expect("the tests need `python3`");
        assert!(output.status.success(), "`python3` does not run: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let lines: Vec<&str> = text.lines().collect();
        let [major, minor, patch, executable] = lines[..] else { panic!("four lines: {text}") };
        let number = |text: &str| text.parse().expect("a number");
        let version = (number(major), number(minor), patch.parse().expect("a number"));
        assert!(version >= (3, 9, 0), "the tests need Python 3.9 or later, got {version:?}");
        Python {
            minor_version: format!("{major}.{minor}"),
            version,
            tag: format!("cp{major}{minor}"),
            executable: executable.into(),
        }
    });
    &PYTHON
}

/// Architecture of this machine as wheel tags have it.
pub(crate) const ARCH: &str = std::env::consts::ARCH;

/// The platform that artifacts for this machine are built for.
pub(crate) fn host_platform() -> String {
    format!("{ARCH}-manylinux2014")
}
