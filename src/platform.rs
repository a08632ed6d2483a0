//! Where an artifact will run: an architecture and a C library.

use std::fmt;
use std::str::FromStr;

use bundle_launcher::{Libc, LibcFamily};

use crate::error::{Diagnose, ExitStatus};

/// An architecture for which there is a launcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arch {
    /// 64-bit Intel and AMD.
    X86_64,
    /// 64-bit Arm.
    Aarch64,
}

impl Arch {
    /// The name that wheel tags and `platform_machine` use.
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// Understands the names that Python, Rust, Debian, Docker and Apple use.
    fn parse(name: &str) -> Option<Self> {
        match name {
            "x86_64" | "amd64" => Some(Self::X86_64),
            "aarch64" | "arm64" => Some(Self::Aarch64),
            _ => None,
        }
    }
}

/// The name of a C library.
pub fn library_name(family: LibcFamily) -> &'static str {
    match family {
        LibcFamily::Glibc => "glibc",
        LibcFamily::Musl => "musl",
    }
}

/// An architecture and the newest version of a C library that wheels may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Platform {
    /// The architecture.
    pub arch: Arch,
    /// Wheels that need a newer version than this, or another library, do not fit.
    pub libc: Libc,
}

/// The newest glibc and musl minor versions that are believed to be meant.
const NEWEST_MINOR: u16 = 99;

/// A platform that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// The name has none of the known forms.
    #[error("platform `{0}` is not known")]
    Unknown(String),
    /// `native` was asked for on a machine for which artifacts are not made.
    #[error("platform `native` was asked for, but this machine is {0}")]
    NotNative(String),
}

impl Diagnose for PlatformError {
    fn exit_status(&self) -> ExitStatus {
        ExitStatus::Usage
    }

    fn hint(&self) -> Option<String> {
        let names: Vec<String> = listed().iter().map(|(platform, _)| format!("`{platform}`")).collect();
        Some(format!("use one of {}, or `native`; `bundle platforms` explains them", names.join(", ")))
    }
}

impl Platform {
    /// glibc `2.minor` on `arch`.
    pub fn glibc(arch: Arch, minor: u16) -> Self {
        Self { arch, libc: Libc { family: LibcFamily::Glibc, major: 2, minor } }
    }

    /// musl `1.minor` on `arch`.
    pub fn musl(arch: Arch, minor: u16) -> Self {
        Self { arch, libc: Libc { family: LibcFamily::Musl, major: 1, minor } }
    }

    /// The machine that this program runs on.
    pub fn native() -> Result<Self, PlatformError> {
        let arch = Arch::parse(std::env::consts::ARCH).filter(|_| std::env::consts::OS == "linux");
        let not_native = || PlatformError::NotNative(format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH));
        let arch = arch.ok_or_else(not_native)?;
        // glibc's ldd prints its version on standard output, musl's on standard error.
        let output = std::process::Command::new("ldd")
            .arg("--version")
            .output()
            .map_err(|_| PlatformError::NotNative("a Linux without `ldd`, whose C library is unknown".into()))?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        parse_ldd(&text)
            .map(|libc| Self { arch, libc })
            .ok_or_else(|| PlatformError::NotNative("a Linux whose C library `ldd --version` does not tell".into()))
    }
}

fn parse_ldd(text: &str) -> Option<Libc> {
    let numbers = |version: &str| {
        let (major, rest) = version.trim().split_once('.')?;
        let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    if text.contains("musl") {
        let version = text.lines().find_map(|line| line.strip_prefix("Version "))?;
        let (major, minor) = numbers(version)?;
        return Some(Libc { family: LibcFamily::Musl, major, minor });
    }
    let (major, minor) = numbers(text.lines().next()?.rsplit(' ').next()?)?;
    Some(Libc { family: LibcFamily::Glibc, major, minor })
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        if text == "native" {
            return Self::native();
        }
        parse(text).ok_or_else(|| PlatformError::Unknown(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Platform> {
    // uv's spelling has the architecture first, pip's has it last.
    let (arch, system) = match text.split_once('-') {
        Some((arch, system)) => (Arch::parse(arch)?, system),
        None => ["x86_64", "amd64", "aarch64", "arm64"].iter().find_map(|name| {
            let system = text.strip_suffix(name)?.strip_suffix('_')?;
            Some((Arch::parse(name)?, system))
        })?,
    };
    let lowest_glibc = match arch {
        Arch::X86_64 => 5,
        Arch::Aarch64 => 17,
    };
    let minor = |text: &str, lowest: u16| {
        text.parse().ok().filter(|minor| (lowest..=NEWEST_MINOR).contains(minor) && !text.starts_with('+'))
    };
    match system {
        "manylinux1" if lowest_glibc <= 5 => Some(Platform::glibc(arch, 5)),
        "manylinux2010" if lowest_glibc <= 12 => Some(Platform::glibc(arch, 12)),
        "manylinux2014" => Some(Platform::glibc(arch, 17)),
        // What uv takes plain Linux for.
        "linux" | "unknown-linux-gnu" | "linux-gnu" => Some(Platform::glibc(arch, 28)),
        "unknown-linux-musl" | "linux-musl" => Some(Platform::musl(arch, 2)),
        _ => {
            if let Some(rest) = system.strip_prefix("manylinux_2_") {
                Some(Platform::glibc(arch, minor(rest, lowest_glibc)?))
            } else {
                Some(Platform::musl(arch, minor(system.strip_prefix("musllinux_1_")?, 0)?))
            }
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arch = self.arch.name();
        match (self.libc.family, self.libc.minor) {
            (LibcFamily::Glibc, 5) => write!(f, "{arch}-manylinux1"),
            (LibcFamily::Glibc, 12) => write!(f, "{arch}-manylinux2010"),
            (LibcFamily::Glibc, 17) => write!(f, "{arch}-manylinux2014"),
            (LibcFamily::Glibc, minor) => write!(f, "{arch}-manylinux_2_{minor}"),
            (LibcFamily::Musl, minor) => write!(f, "{arch}-musllinux_1_{minor}"),
        }
    }
}

/// glibc's minor versions worth naming, and the first systems that have them.
const GLIBC_SYSTEMS: [(u16, &str); 4] = [
    (17, "every distribution since CentOS 7 (2014)"),
    (28, "Debian 10, Ubuntu 18.10, RHEL 8, Amazon Linux 2023"),
    (31, "Debian 11, Ubuntu 20.04"),
    (34, "Debian 12, Ubuntu 22.04, RHEL 9"),
];

/// The same for musl.
const MUSL_SYSTEMS: [(u16, &str); 1] = [(2, "Alpine Linux 3.13")];

/// The platforms worth naming, with what each one runs on.
pub fn listed() -> Vec<(Platform, String)> {
    let mut list = Vec::new();
    for arch in [Arch::X86_64, Arch::Aarch64] {
        let glibc = GLIBC_SYSTEMS.map(|(minor, systems)| (Platform::glibc(arch, minor), systems));
        let musl = MUSL_SYSTEMS.map(|(minor, systems)| (Platform::musl(arch, minor), systems));
        let both = glibc.into_iter().chain(musl);
        list.extend(both.map(|(platform, systems)| (platform, format!("{} or newer: {systems}", platform.libc))));
    }
    list
}

/// The first systems that have at least the platform's C library, if they are known.
pub fn systems_of(platform: Platform) -> Option<&'static str> {
    let known = match platform.libc.family {
        LibcFamily::Glibc => &GLIBC_SYSTEMS[..],
        LibcFamily::Musl => &MUSL_SYSTEMS[..],
    };
    known.iter().find(|(minor, _)| *minor >= platform.libc.minor).map(|(_, systems)| *systems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_uv_and_pip_mean_the_same() {
        for (spelling, canonical) in [
            ("x86_64-manylinux2014", "x86_64-manylinux2014"),
            ("manylinux2014_x86_64", "x86_64-manylinux2014"),
            ("x86_64-manylinux_2_17", "x86_64-manylinux2014"),
            ("aarch64-manylinux_2_28", "aarch64-manylinux_2_28"),
            ("manylinux_2_28_aarch64", "aarch64-manylinux_2_28"),
            ("arm64-manylinux_2_28", "aarch64-manylinux_2_28"),
            ("x86_64-unknown-linux-gnu", "x86_64-manylinux_2_28"),
            ("linux_x86_64", "x86_64-manylinux_2_28"),
            ("x86_64-unknown-linux-musl", "x86_64-musllinux_1_2"),
            ("musllinux_1_1_x86_64", "x86_64-musllinux_1_1"),
            ("x86_64-manylinux1", "x86_64-manylinux1"),
        ] {
            assert_eq!(spelling.parse::<Platform>().expect(spelling).to_string(), canonical);
        }
    }

    #[test]
    fn what_is_not_a_platform_is_refused() {
        for text in [
            "",
            "x86_64",
            "windows",
            "aarch64-manylinux1",
            "x86_64-manylinux_2_",
            "x86_64-manylinux_2_4",
            "x86_64-manylinux_2_999",
            "x86_64-manylinux_2_+28",
            "riscv64-manylinux_2_31",
            "x86_64-macos",
        ] {
            assert!(text.parse::<Platform>().is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn listed_platforms_parse() {
        for (platform, _) in listed() {
            assert_eq!(platform.to_string().parse::<Platform>().expect("listed"), platform);
        }
    }

    #[test]
    fn both_kinds_of_ldd_are_understood() {
        let glibc = parse_ldd("ldd (Debian GLIBC 2.36-9+deb12u14) 2.36\nCopyright").expect("glibc");
        assert_eq!(glibc.to_string(), "glibc 2.36");
        let musl = parse_ldd("musl libc (x86_64)\nVersion 1.2.4_git20230717\nDynamic Program Loader").expect("musl");
        assert_eq!(musl.to_string(), "musl 1.2");
        assert_eq!(parse_ldd("nothing of use"), None);
    }
}
