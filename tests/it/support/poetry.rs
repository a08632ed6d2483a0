//! Projects of Poetry on disk, with the same lock in any version of its format.

use std::fmt::Write as _;
use std::path::Path;

use super::project::{list, quoted, write};
use super::python::{host_platform, python};
use super::server::Server;
use super::wheel::WheelFile;
use super::{Answer, sha256};

/// A project and its lock.
#[derive(Debug, Clone)]
pub(crate) struct PoetryProject {
    /// TOML of `pyproject.toml` before `[tool.bundle]`.
    pyproject: String,
    configuration: String,
    python_versions: String,
    packages: Vec<Locked>,
    /// `[extras]` of the lock.
    extras: String,
    files: Vec<(String, Vec<u8>)>,
}

/// A package of a lock.
#[derive(Debug, Clone)]
pub(crate) struct Locked {
    name: String,
    version: String,
    optional: bool,
    groups: Vec<String>,
    markers: Option<String>,
    dependencies: Vec<String>,
    extras: Vec<String>,
    files: Vec<(String, String)>,
    source: Option<String>,
}

impl Locked {
    /// A package of the group `main` without files.
    pub(crate) fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            optional: false,
            groups: vec!["main".into()],
            markers: None,
            dependencies: Vec::new(),
            extras: Vec::new(),
            files: Vec::new(),
            source: None,
        }
    }

    /// A package with one pure wheel that nobody serves.
    pub(crate) fn pure(name: &str, version: &str) -> Self {
        Self::new(name, version).wheel("py3-none-any")
    }

    /// A package with one wheel, which lies on the server and is on the package's page there.
    pub(crate) fn served(server: &Server, wheel: &WheelFile) -> Self {
        server.publish(wheel);
        let (file, url, hash) = (&wheel.filename, server.url(&wheel.filename), wheel.sha256());
        let body = format!("<!DOCTYPE html><html><body><a href=\"{url}#sha256={hash}\">{file}</a></body></html>");
        server.answer(&format!("/simple/{}/", wheel.name.replace('_', "-")), Answer::page("text/html", body));
        Self::new(&wheel.name, &wheel.version).file(file, &hash)
    }

    /// Adds a wheel by what stands behind name and version in its file name.
    pub(crate) fn wheel(self, tags: &str) -> Self {
        let file = format!("{}-{}-{tags}.whl", self.name.replace('-', "_"), self.version);
        let hash = sha256(file.as_bytes());
        self.file(&file, &hash)
    }

    /// Adds a file.
    pub(crate) fn file(mut self, file: &str, sha256: &str) -> Self {
        self.files.push((file.into(), format!("sha256:{sha256}")));
        self
    }

    /// Sets its groups; only lock version 2.1 knows any but `dev`.
    pub(crate) fn groups(mut self, groups: &[&str]) -> Self {
        self.groups = groups.iter().map(|&group| group.to_owned()).collect();
        self
    }

    /// Sets its `markers`, a TOML value; only lock version 2.1 has them.
    pub(crate) fn markers(mut self, toml: &str) -> Self {
        self.markers = Some(toml.into());
        self
    }

    /// Says that only an extra brings it.
    pub(crate) fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// Adds a line to its `[package.dependencies]`.
    pub(crate) fn needs(mut self, toml: &str) -> Self {
        self.dependencies.push(toml.into());
        self
    }

    /// Adds a line to its `[package.extras]`.
    pub(crate) fn extra(mut self, toml: &str) -> Self {
        self.extras.push(toml.into());
        self
    }

    /// Sets the lines of its `[package.source]`.
    pub(crate) fn source(mut self, toml: &str) -> Self {
        self.source = Some(toml.into());
        self
    }

    fn to_toml(&self, lock_version: &str) -> String {
        let Self { name, version, optional, .. } = self;
        let mut text = format!("[[package]]\nname = {}\nversion = {}\n", quoted(name), quoted(version));
        let _ = writeln!(text, "description = \"\"\noptional = {optional}\npython-versions = \"*\"");
        match lock_version {
            "1.0" | "1.1" => {
                let category = if self.groups.iter().any(|group| group == "main") { "main" } else { "dev" };
                let _ = writeln!(text, "category = {}", quoted(category));
            }
            "2.0" => {}
            _ => {
                let _ = writeln!(text, "groups = {}", list(&self.groups));
                if let Some(markers) = &self.markers {
                    let _ = writeln!(text, "markers = {markers}");
                }
            }
        }
        if !lock_version.starts_with('1') {
            let _ = writeln!(text, "files = {}", self.files_toml());
        }
        let table = |header: &str, lines: &[String]| {
            if lines.is_empty() { String::new() } else { format!("\n[package.{header}]\n{}\n", lines.join("\n")) }
        };
        text.push_str(&table("dependencies", &self.dependencies));
        text.push_str(&table("extras", &self.extras));
        text.push_str(&table("source", self.source.as_slice()));
        text
    }

    fn files_toml(&self) -> String {
        let rows =
            self.files.iter().map(|(file, hash)| format!("{{file = {}, hash = {}}}", quoted(file), quoted(hash)));
        format!("[{}]", rows.collect::<Vec<_>>().join(", "))
    }
}

impl PoetryProject {
    /// A project with this `pyproject.toml`, configured for this machine.
    pub(crate) fn new(pyproject: &str) -> Self {
        let configuration = format!(
            "[tool.bundle]\nplatforms = [{}]\npython = {}\n",
            quoted(&host_platform()),
            quoted(&python().minor_version),
        );
        Self {
            pyproject: pyproject.into(),
            configuration,
            python_versions: ">=3.9".into(),
            packages: Vec::new(),
            extras: String::new(),
            files: Vec::new(),
        }
    }

    /// The same for CPython 3.11 on `x86_64-manylinux2014`: for plans, which run nothing.
    pub(crate) fn for_fixed_target(pyproject: &str) -> Self {
        let configuration = "[tool.bundle]\nplatforms = [\"x86_64-manylinux2014\"]\npython = \"3.11\"\n".into();
        Self { configuration, ..Self::new(pyproject) }
    }

    /// A project that is no package of its own, with these dependencies and further TOML.
    pub(crate) fn of_dependencies(dependencies: &str, rest: &str) -> Self {
        Self::for_fixed_target(&format!(
            "[tool.poetry]\nname = \"app\"\nversion = \"1.2.3\"\npackage-mode = false\n\n\
             [tool.poetry.dependencies]\npython = \">=3.9\"\n{dependencies}\n\n{rest}"
        ))
    }

    /// Adds a locked package.
    pub(crate) fn package(mut self, package: Locked) -> Self {
        self.packages.push(package);
        self
    }

    /// Sets the lines of the lock's `[extras]`.
    pub(crate) fn extras(mut self, toml: &str) -> Self {
        self.extras = toml.into();
        self
    }

    /// Adds a file.
    pub(crate) fn file(mut self, name: &str, data: impl AsRef<[u8]>) -> Self {
        self.files.push((name.into(), data.as_ref().to_vec()));
        self
    }

    /// Writes everything into a directory, the lock in this version.
    pub(crate) fn write(&self, root: &Path, lock_version: &str) {
        write(&root.join("pyproject.toml"), format!("{}\n{}", self.pyproject, self.configuration).as_bytes());
        write(&root.join("poetry.lock"), self.lock(lock_version).as_bytes());
        for (name, data) in &self.files {
            write(&root.join(name), data);
        }
    }

    fn lock(&self, version: &str) -> String {
        let mut text = String::new();
        for package in &self.packages {
            let _ = writeln!(text, "{}", package.to_toml(version));
        }
        if !self.extras.is_empty() {
            let _ = writeln!(text, "[extras]\n{}\n", self.extras);
        }
        // Without a content hash, nobody can say that `pyproject.toml` was changed since.
        let _ = write!(
            text,
            "[metadata]\nlock-version = {}\npython-versions = {}\n",
            quoted(version),
            quoted(&self.python_versions),
        );
        if version.starts_with('1') {
            text.push_str("\n[metadata.files]\n");
            let mut names: Vec<&str> = self.packages.iter().map(|package| package.name.as_str()).collect();
            names.dedup();
            for name in names {
                let files: Vec<_> = self.packages.iter().filter(|package| package.name == name).collect();
                let rows: Vec<String> = files
                    .iter()
                    .map(|package| package.files_toml().trim_matches(['[', ']']).to_owned())
                    .filter(|rows| !rows.is_empty())
                    .collect();
                let _ = writeln!(text, "{} = [{}]", quoted(name), rows.join(", "));
            }
        }
        text
    }
}
