//! Projects on disk: `pyproject.toml`, a `uv.lock` as uv would write it, and local code with a build backend
//! that needs nothing but Python.

use std::fmt::Write as _;
use std::path::Path;

use super::python::{host_platform, python};
use super::server::Server;
use super::wheel::WheelFile;

/// A project, or a workspace of several.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    requires_python: String,
    members: Vec<Member>,
    packages: Vec<Package>,
    /// TOML before the packages of the lock.
    lock_head: String,
    /// `[manifest]` entries besides `members`.
    manifest: String,
    /// TOML of the root's `pyproject.toml` after `[project]`.
    configuration: String,
}

/// Local code: the root project or a workspace member.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    name: String,
    version: String,
    directory: String,
    dependencies: Vec<Dependency>,
    extras: Vec<(String, Vec<Dependency>)>,
    groups: Vec<(String, Vec<Dependency>)>,
    scripts: Vec<(String, String)>,
    files: Vec<(String, Vec<u8>)>,
    buildable: bool,
}

/// A package of the lock that is not local.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    name: String,
    version: String,
    index: String,
    dependencies: Vec<Dependency>,
    extras: Vec<(String, Vec<Dependency>)>,
    files: Vec<LockedFile>,
    sdist: Option<String>,
}

#[derive(Debug, Clone)]
struct LockedFile {
    url: String,
    sha256: Option<String>,
    size: Option<usize>,
}

/// `name[extra]==version ; marker`; the version stands there only where the lock has several.
#[derive(Debug, Clone)]
struct Dependency {
    name: String,
    extras: Vec<String>,
    version: Option<String>,
    marker: Option<String>,
}

impl Dependency {
    fn parse(text: &str) -> Self {
        let (requirement, marker) = match text.split_once(';') {
            Some((requirement, marker)) => (requirement.trim(), Some(marker.trim().to_owned())),
            None => (text.trim(), None),
        };
        let (requirement, version) = match requirement.split_once("==") {
            Some((requirement, version)) => (requirement, Some(version.to_owned())),
            None => (requirement, None),
        };
        let (name, extras) = match requirement.split_once('[') {
            Some((name, extras)) => (name, extras.trim_end_matches(']').split(',').map(str::to_owned).collect()),
            None => (requirement, Vec::new()),
        };
        Self { name: name.to_owned(), extras, version, marker }
    }

    fn parse_all(texts: &[&str]) -> Vec<Self> {
        texts.iter().map(|text| Self::parse(text)).collect()
    }

    /// As an edge of the lock.
    fn to_toml(&self) -> String {
        let mut text = format!("{{ name = {}", quoted(&self.name));
        if let Some(version) = &self.version {
            let _ = write!(text, ", version = {}", quoted(version));
        }
        if !self.extras.is_empty() {
            let _ = write!(text, ", extra = {}", list(&self.extras));
        }
        if let Some(marker) = &self.marker {
            let _ = write!(text, ", marker = {}", quoted(marker));
        }
        text + " }"
    }

    /// As a requirement in the lock's metadata, which says for which extra it counts.
    fn to_metadata(&self, extra: Option<&str>) -> String {
        let mut text = format!("{{ name = {}", quoted(&self.name));
        if !self.extras.is_empty() {
            let _ = write!(text, ", extras = {}", list(&self.extras));
        }
        let condition = extra.map(|extra| format!("extra == '{extra}'"));
        let markers: Vec<String> = self.marker.iter().map(|marker| format!("({marker})")).chain(condition).collect();
        if !markers.is_empty() {
            let _ = write!(text, ", marker = {}", quoted(&markers.join(" and ")));
        }
        if let Some(version) = &self.version {
            let _ = write!(text, ", specifier = {}", quoted(&format!("=={version}")));
        }
        text + " }"
    }

    /// As a requirement in `pyproject.toml`.
    fn to_requirement(&self) -> String {
        let mut text = self.name.clone();
        if !self.extras.is_empty() {
            let _ = write!(text, "[{}]", self.extras.join(","));
        }
        if let Some(version) = &self.version {
            let _ = write!(text, "=={version}");
        }
        if let Some(marker) = &self.marker {
            let _ = write!(text, " ; {marker}");
        }
        text
    }
}

impl Package {
    /// A package whose wheels nobody serves: for what must not download anything.
    pub(crate) fn unavailable(name: &str, version: &str) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            index: "https://index.test/simple".into(),
            dependencies: Vec::new(),
            extras: Vec::new(),
            files: Vec::new(),
            sdist: None,
        }
    }

    /// A package with one wheel, which the server serves.
    pub(crate) fn served(server: &Server, wheel: &WheelFile) -> Self {
        server.publish(wheel);
        let mut package = Self::unavailable(&wheel.name, &wheel.version);
        package.index = server.index();
        let (url, sha256, size) = (server.url(&wheel.filename), wheel.sha256(), wheel.bytes.len());
        package.files.push(LockedFile { url, sha256: Some(sha256), size: Some(size) });
        package
    }

    /// Adds a wheel that nobody serves; `tags` is what stands behind name and version in its file name.
    pub(crate) fn wheel(mut self, tags: &str) -> Self {
        let url = format!("https://files.test/{}-{}-{tags}.whl", self.name.replace('-', "_"), self.version);
        let sha256 = super::sha256(url.as_bytes());
        self.files.push(LockedFile { url, sha256: Some(sha256), size: Some(1000) });
        self
    }

    /// Adds a source distribution that nobody serves.
    pub(crate) fn sdist(mut self) -> Self {
        let url = format!("https://files.test/{}-{}.tar.gz", self.name.replace('-', "_"), self.version);
        self.sdist = Some(url);
        self
    }

    /// Adds what it needs.
    pub(crate) fn needs(mut self, dependencies: &[&str]) -> Self {
        self.dependencies.extend(Dependency::parse_all(dependencies));
        self
    }

    /// Adds an extra.
    pub(crate) fn extra(mut self, name: &str, dependencies: &[&str]) -> Self {
        self.extras.push((name.into(), Dependency::parse_all(dependencies)));
        self
    }

    /// Has the lock promise another hash.
    pub(crate) fn locked_sha256(mut self, sha256: &str) -> Self {
        for file in &mut self.files {
            file.sha256 = Some(sha256.to_owned());
        }
        self
    }

    /// Has the lock promise no hash and no size, as some indexes make it.
    pub(crate) fn without_promises(mut self) -> Self {
        for file in &mut self.files {
            (file.sha256, file.size) = (None, None);
        }
        self
    }

    /// Has the lock promise another size.
    pub(crate) fn locked_size(mut self, size: usize) -> Self {
        for file in &mut self.files {
            file.size = Some(size);
        }
        self
    }

    fn to_toml(&self) -> String {
        let Self { name, version, index, .. } = self;
        let mut text = format!("[[package]]\nname = {}\nversion = {}\n", quoted(name), quoted(version));
        let _ = writeln!(text, "source = {{ registry = {} }}", quoted(index));
        text.push_str(&edges("dependencies", &self.dependencies));
        if let Some(url) = &self.sdist {
            let hash = super::sha256(url.as_bytes());
            let _ = writeln!(text, "sdist = {{ url = {}, hash = \"sha256:{hash}\", size = 1000 }}", quoted(url));
        }
        if !self.files.is_empty() {
            text.push_str("wheels = [\n");
            for file in &self.files {
                let _ = write!(text, "    {{ url = {}", quoted(&file.url));
                if let Some(sha256) = &file.sha256 {
                    let _ = write!(text, ", hash = \"sha256:{sha256}\"");
                }
                if let Some(size) = file.size {
                    let _ = write!(text, ", size = {size}");
                }
                text.push_str(" },\n");
            }
            text.push_str("]\n");
        }
        text.push_str(&edge_table("optional-dependencies", &self.extras));
        text
    }
}

impl Member {
    /// The project at the root.
    pub(crate) fn root(name: &str) -> Self {
        Self::at(".", name)
    }

    /// A member of a workspace, in `packages/<name>`.
    pub(crate) fn in_workspace(name: &str) -> Self {
        Self::at(&format!("packages/{name}"), name)
    }

    fn at(directory: &str, name: &str) -> Self {
        Self {
            name: name.into(),
            version: "1.2.3".into(),
            directory: directory.into(),
            dependencies: Vec::new(),
            extras: Vec::new(),
            groups: Vec::new(),
            scripts: Vec::new(),
            files: Vec::new(),
            buildable: true,
        }
    }

    /// Adds what it needs.
    pub(crate) fn needs(mut self, dependencies: &[&str]) -> Self {
        self.dependencies.extend(Dependency::parse_all(dependencies));
        self
    }

    /// Adds an extra.
    pub(crate) fn extra(mut self, name: &str, dependencies: &[&str]) -> Self {
        self.extras.push((name.into(), Dependency::parse_all(dependencies)));
        self
    }

    /// Adds a dependency group.
    pub(crate) fn group(mut self, name: &str, dependencies: &[&str]) -> Self {
        self.groups.push((name.into(), Dependency::parse_all(dependencies)));
        self
    }

    /// Adds a console script that calls `module:attribute`.
    pub(crate) fn script(mut self, name: &str, target: &str) -> Self {
        self.scripts.push((name.into(), target.into()));
        self
    }

    /// Adds a file, relative to the member's directory. Its first directory is taken for a package.
    pub(crate) fn file(mut self, name: &str, data: impl AsRef<[u8]>) -> Self {
        self.files.push((name.into(), data.as_ref().to_vec()));
        self
    }

    /// Leaves out `[build-system]`: uv then installs only what it needs.
    pub(crate) fn without_build_system(mut self) -> Self {
        self.buildable = false;
        self
    }

    fn packages(&self) -> Vec<String> {
        let mut tops: Vec<String> =
            self.files.iter().filter_map(|(name, _)| Some(name.split_once('/')?.0.to_owned())).collect();
        tops.sort();
        tops.dedup();
        tops
    }

    fn pyproject(&self, requires_python: &str) -> String {
        let requirements = |dependencies: &[Dependency]| {
            list(&dependencies.iter().map(Dependency::to_requirement).collect::<Vec<_>>())
        };
        let mut text = format!(
            "[project]\nname = {}\nversion = {}\nrequires-python = {}\ndependencies = {}\n",
            quoted(&self.name),
            quoted(&self.version),
            quoted(requires_python),
            requirements(&self.dependencies),
        );
        let table = |header: &str, rows: Vec<(&String, String)>| {
            let rows = rows.into_iter().map(|(key, value)| format!("{key} = {value}\n")).collect::<Vec<_>>().concat();
            if rows.is_empty() { rows } else { format!("\n[{header}]\n{rows}") }
        };
        let lists = |entries: &'_ [(String, Vec<Dependency>)]| -> Vec<(String, String)> {
            entries.iter().map(|(name, dependencies)| (name.clone(), requirements(dependencies))).collect()
        };
        let extras = lists(&self.extras);
        let groups = lists(&self.groups);
        let scripts: Vec<_> = self.scripts.iter().map(|(name, target)| (name.clone(), quoted(target))).collect();
        for (header, rows) in
            [("project.optional-dependencies", extras), ("project.scripts", scripts), ("dependency-groups", groups)]
        {
            text.push_str(&table(header, rows.iter().map(|(key, value)| (key, value.clone())).collect()));
        }
        if self.buildable {
            text.push_str("\n[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n");
        }
        text
    }

    fn write(&self, root: &Path) {
        if self.buildable {
            let requirements: Vec<String> = self.dependencies.iter().map(Dependency::to_requirement).collect();
            let description = serde_json::json!({
                "name": self.name,
                "version": self.version,
                "dependencies": requirements,
                "scripts": self.scripts,
                "packages": self.packages(),
            });
            write(&root.join("backend.py"), include_bytes!("backend.py"));
            write(&root.join("backend.json"), description.to_string().as_bytes());
        }
        for (name, data) in &self.files {
            write(&root.join(name), data);
        }
    }

    fn to_toml(&self) -> String {
        let kind = if self.buildable { "editable" } else { "virtual" };
        let mut text = format!("[[package]]\nname = {}\nversion = {}\n", quoted(&self.name), quoted(&self.version));
        let _ = writeln!(text, "source = {{ {kind} = {} }}", quoted(&self.directory));
        text.push_str(&edges("dependencies", &self.dependencies));
        text.push_str(&edge_table("optional-dependencies", &self.extras));
        text.push_str(&edge_table("dev-dependencies", &self.groups));
        let extras: Vec<String> = self.extras.iter().map(|(name, _)| name.clone()).collect();
        let mut requires: Vec<String> = self.dependencies.iter().map(|edge| edge.to_metadata(None)).collect();
        for (extra, dependencies) in &self.extras {
            requires.extend(dependencies.iter().map(|edge| edge.to_metadata(Some(extra))));
        }
        let _ = writeln!(text, "\n[package.metadata]\nrequires-dist = [{}]", requires.join(", "));
        let _ = writeln!(text, "provides-extras = {}", list(&extras));
        text.push_str("\n[package.metadata.requires-dev]\n");
        for (group, dependencies) in &self.groups {
            let requires: Vec<String> = dependencies.iter().map(|edge| edge.to_metadata(None)).collect();
            let _ = writeln!(text, "{group} = [{}]", requires.join(", "));
        }
        text
    }
}

impl Project {
    /// A project or workspace for every Python that the tests run with, configured for this machine.
    pub(crate) fn new() -> Self {
        Self {
            requires_python: ">=3.9".into(),
            members: Vec::new(),
            packages: Vec::new(),
            lock_head: String::new(),
            manifest: String::new(),
            configuration: format!(
                "[tool.bundle]\nplatforms = [{}]\npython = {}\n",
                quoted(&host_platform()),
                quoted(&python().minor_version)
            ),
        }
    }

    /// The same for CPython 3.11 on `x86_64-manylinux2014`: for plans, which run nothing.
    pub(crate) fn for_fixed_target() -> Self {
        Self::new().configured("[tool.bundle]\nplatforms = [\"x86_64-manylinux2014\"]\npython = \"3.11\"\n")
    }

    /// Sets `requires-python`.
    pub(crate) fn requires_python(mut self, specifiers: &str) -> Self {
        self.requires_python = specifiers.into();
        self
    }

    /// Adds local code.
    pub(crate) fn member(mut self, member: Member) -> Self {
        self.members.push(member);
        self
    }

    /// Adds a locked package.
    pub(crate) fn package(mut self, package: Package) -> Self {
        self.packages.push(package);
        self
    }

    /// Adds TOML at the top of the lock, such as `conflicts = …`.
    pub(crate) fn lock_head(mut self, toml: &str) -> Self {
        self.lock_head.push_str(toml);
        self
    }

    /// Adds TOML to the lock's `[manifest]`.
    pub(crate) fn manifest(mut self, toml: &str) -> Self {
        self.manifest.push_str(toml);
        self
    }

    /// Replaces the configuration in the root's `pyproject.toml`.
    pub(crate) fn configured(mut self, toml: &str) -> Self {
        self.configuration = toml.into();
        self
    }

    /// Adds to the configuration in the root's `pyproject.toml`.
    pub(crate) fn configured_with(mut self, toml: &str) -> Self {
        let _ = write!(self.configuration, "\n{toml}");
        self
    }

    /// Writes everything into a directory.
    pub(crate) fn write(&self, root: &Path) {
        let root_project = self.members.iter().find(|member| member.directory == ".");
        let mut pyproject = root_project.map_or_else(String::new, |member| member.pyproject(&self.requires_python));
        if self.members.iter().any(|member| member.directory != ".") {
            pyproject.push_str("\n[tool.uv.workspace]\nmembers = [\"packages/*\"]\n");
        }
        let _ = write!(pyproject, "\n{}", self.configuration);
        write(&root.join("pyproject.toml"), pyproject.as_bytes());
        for member in &self.members {
            let directory = root.join(&member.directory);
            if member.directory != "." {
                write(&directory.join("pyproject.toml"), member.pyproject(&self.requires_python).as_bytes());
            }
            member.write(&directory);
        }
        write(&root.join("uv.lock"), self.lock().as_bytes());
    }

    /// The lock, packages sorted as uv has them.
    fn lock(&self) -> String {
        let mut text = format!(
            "version = 1\nrevision = 3\nrequires-python = {}\n{}",
            quoted(&self.requires_python),
            self.lock_head
        );
        let several = self.members.len() > 1 || self.members.iter().any(|member| member.directory != ".");
        if several || !self.manifest.is_empty() {
            text.push_str("\n[manifest]\n");
            if several {
                let names: Vec<String> = self.members.iter().map(|member| member.name.clone()).collect();
                let _ = writeln!(text, "members = {}", list(&names));
            }
            text.push_str(&self.manifest);
        }
        let members = self.members.iter().map(|member| (&member.name, &member.version, member.to_toml()));
        let packages = self.packages.iter().map(|package| (&package.name, &package.version, package.to_toml()));
        let mut entries: Vec<_> = members.chain(packages).collect();
        entries.sort();
        for (_, _, entry) in entries {
            let _ = write!(text, "\n{entry}");
        }
        text
    }
}

fn edges(key: &str, dependencies: &[Dependency]) -> String {
    if dependencies.is_empty() {
        return String::new();
    }
    let rows = dependencies.iter().map(|edge| format!("    {},\n", edge.to_toml())).collect::<Vec<_>>().concat();
    format!("{key} = [\n{rows}]\n")
}

fn edge_table(name: &str, entries: &[(String, Vec<Dependency>)]) -> String {
    if entries.is_empty() {
        return String::new();
    }
    let rows: String = entries.iter().map(|(key, dependencies)| edges(key, dependencies)).collect();
    format!("\n[package.{name}]\n{rows}")
}

pub(super) fn write(path: &Path, data: &[u8]) {
    std::fs::create_dir_all(path.parent().expect("a directory")).expect("directory");
    std::fs::write(path, data).expect("file");
}

/// A TOML string; JSON's escapes are a subset.
pub(super) fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string")
}

pub(super) fn list(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
}
