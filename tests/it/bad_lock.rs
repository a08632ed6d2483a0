//! Locks that are cut short, garbled or contradictory: a clear error in bounded time, never a crash.

use std::fs::OpenOptions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::support::{Finished, Member, Package, Project, Sandbox};

const SHA256: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A lock and what stands beside it.
struct Locked {
    /// The lock's file name.
    file: &'static str,
    text: String,
    pyproject: &'static str,
}

/// For every format, a lock of the packages `lib` and `other`, of which the first needs the second.
fn every_format() -> [Locked; 3] {
    [uv(), poetry(), pylock()]
}

fn uv() -> Locked {
    let text = format!(
        r#"version = 1
revision = 3
requires-python = ">=3.9"

[[package]]
name = "app"
version = "1.2.3"
source = {{ virtual = "." }}
dependencies = [
    {{ name = "lib", extra = ["fast"], marker = "python_full_version < '3.11.4' or sys_platform == 'linux'" }},
]

[package.metadata]
requires-dist = [{{ name = "lib", extras = ["fast"] }}]

[[package]]
name = "lib"
version = "1.5"
source = {{ registry = "https://index.test/simple" }}
wheels = [
    {{ url = "https://files.test/lib-1.5-cp311-cp311-manylinux2014_x86_64.whl", hash = "sha256:{SHA256}", size = 10 }},
    {{ url = "https://files.test/lib-1.5-py3-none-any.whl", hash = "sha256:{SHA256}", size = 10 }},
]

[package.optional-dependencies]
fast = [{{ name = "other" }}]

[[package]]
name = "other"
version = "2.0"
source = {{ registry = "https://index.test/simple" }}
wheels = [{{ url = "https://files.test/other-2.0-py3-none-any.whl", hash = "sha256:{SHA256}" }}]
"#
    );
    let pyproject = r#"[project]
name = "app"
version = "1.2.3"
requires-python = ">=3.9"
dependencies = ["lib[fast]"]
"#;
    Locked { file: "uv.lock", text, pyproject }
}

fn poetry() -> Locked {
    // The content hash is that of the `pyproject.toml`, as Poetry makes it.
    let text = format!(
        r#"[[package]]
name = "lib"
version = "1.5"
description = ""
optional = false
python-versions = ">=3.9"
files = [
    {{file = "lib-1.5-py3-none-any.whl", hash = "sha256:{SHA256}"}},
    {{file = "lib-1.5.tar.gz", hash = "sha256:{SHA256}"}},
]

[package.dependencies]
other = {{version = ">=1.0,<3.0 || >=4.0", markers = "python_version < \"4.0\""}}

[[package]]
name = "other"
version = "2.0"
description = ""
optional = false
python-versions = "*"
files = [
    {{file = "other-2.0-py3-none-any.whl", hash = "sha256:{SHA256}"}},
]

[metadata]
lock-version = "2.0"
python-versions = "^3.9"
content-hash = "{POETRY_CONTENT_HASH}"
"#
    );
    let pyproject = r#"[tool.poetry]
name = "app"
version = "1.2.3"
package-mode = false

[tool.poetry.dependencies]
python = "^3.9"
lib = "^1.0"
"#;
    Locked { file: "poetry.lock", text, pyproject }
}

const POETRY_CONTENT_HASH: &str = "6dd5002eb490b1be7a5b67b3bdb0495763f849c128c505a22c486fd3820f39e0";

fn pylock() -> Locked {
    let text = format!(
        r#"lock-version = "1.0"
created-by = "hand"
requires-python = ">=3.9"

[[packages]]
name = "lib"
version = "1.5"
marker = "sys_platform == 'linux'"
wheels = [
    {{ url = "https://files.test/lib-1.5-py3-none-any.whl", hashes = {{ sha256 = "{SHA256}" }} }},
]

[[packages]]
name = "other"
version = "2.0"
index = "https://index.test/simple"
wheels = [
    {{ name = "other-2.0-py3-none-any.whl", url = "https://files.test/other", hashes = {{ sha256 = "{SHA256}" }} }},
]
"#
    );
    Locked { file: "pylock.toml", text, pyproject: "" }
}

impl Locked {
    /// Replaces a part of the lock, which has to be there.
    fn with(mut self, old: &str, new: &str) -> Self {
        assert!(self.text.contains(old), "`{old}` is not in the lock");
        self.text = self.text.replace(old, new);
        self
    }

    /// The project with its lock on disk.
    fn write(&self) -> Sandbox {
        let sandbox = Sandbox::empty();
        let configuration = "\n[tool.bundle]\nplatforms = [\"x86_64-manylinux2014\"]\npython = \"3.11\"\n";
        let pyproject = format!("{}{configuration}", self.pyproject);
        std::fs::write(sandbox.project().join("pyproject.toml"), pyproject).expect("pyproject");
        self.rewrite(&sandbox, self.text.as_bytes());
        sandbox
    }

    fn rewrite(&self, sandbox: &Sandbox, lock: &[u8]) {
        std::fs::write(sandbox.project().join(self.file), lock).expect("lock");
    }

    /// Plans with these bytes for a lock.
    fn plan(&self, sandbox: &Sandbox, lock: &[u8]) -> Finished {
        self.rewrite(sandbox, lock);
        sandbox.bundle(&["plan", "--json"]).finish()
    }

    /// Expects the lock to be refused with these words.
    fn is_refused(&self, words: &[&str]) {
        let finished = self.write().bundle(&["plan"]).fails_with(3);
        finished.says(&["error: ", self.file, "hint: "]).says(words);
    }

    /// Expects a plan of exactly these packages.
    fn selects(&self, names: &[&str]) {
        selects(&self.write(), names);
    }
}

fn selects(sandbox: &Sandbox, names: &[&str]) {
    let plan = sandbox.bundle(&["plan", "--json"]).success().json();
    let packages = plan["targets"][0]["packages"].as_array().expect("packages");
    let selected: Vec<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    assert_eq!(selected.iter().filter(|name| **name != "app").collect::<Vec<_>>(), names.iter().collect::<Vec<_>>());
}

/// A lock that cannot be used ends with 3, one that lost its wheels with 4, and one that lost nothing with 0.
fn ends_in_order(finished: &Finished) {
    let refused = matches!(finished.status.code(), Some(3 | 4)) && finished.stderr.starts_with("error: ");
    if finished.status.code() != Some(0) && !refused || finished.stderr.contains("panicked") {
        finished.give_up("expected a plan or an error");
    }
}

#[test]
fn cut_short() {
    for locked in every_format() {
        let sandbox = locked.write();
        let mut refused = 0;
        for end in (0..locked.text.len()).step_by(31) {
            let finished = locked.plan(&sandbox, &locked.text.as_bytes()[..end]);
            ends_in_order(&finished);
            refused += usize::from(finished.status.code() == Some(3));
        }
        assert!(refused > locked.text.len() / 31 / 2, "{} was refused only {refused} times", locked.file);
        locked.selects(&["lib", "other"]);
    }
}

#[test]
fn garbled() {
    for locked in every_format() {
        let sandbox = locked.write();
        for (round, position) in (0..locked.text.len()).step_by(43).enumerate() {
            let mut bytes = locked.text.clone().into_bytes();
            bytes[position] = [b'"', 0, b'[', 0xff, b'=', b'9', b'\n', b'(', b'}', b'-'][round % 10];
            ends_in_order(&locked.plan(&sandbox, &bytes));
        }
    }
}

#[test]
fn not_text() {
    for locked in every_format() {
        let sandbox = locked.write();
        locked.rewrite(&sandbox, b"version = 1\n# \xff\xfe\n");
        sandbox.bundle(&["plan"]).fails_with(3).says(&["error: ", locked.file, "UTF-8", "hint: "]);
    }
}

#[test]
fn byte_order_marks_and_windows_line_ends_change_nothing() {
    for locked in every_format() {
        let sandbox = locked.write();
        let plan = sandbox.bundle(&["plan", "--json"]).success().stdout;
        for text in [locked.text.replace('\n', "\r\n"), format!("\u{feff}{}", locked.text)] {
            let changed = locked.plan(&sandbox, text.as_bytes());
            assert_eq!(changed.stdout, plan, "{}", changed.stderr);
        }
    }
}

#[test]
fn unknown_versions() {
    uv().with("version = 1\n", "version = 2\n").is_refused(&["version 2", "expected version 1"]);
    uv().with("version = 1\n", "version = -9223372036854775808\n").is_refused(&["version -9223372036854775808"]);
    for version in ["3.0", "0.9", "", "two", "99999999999999999999.1"] {
        let locked = poetry().with("lock-version = \"2.0\"", &format!("lock-version = \"{version}\""));
        locked.is_refused(&["version", "expected version 1.0 to 2.x"]);
    }
    for version in ["2.0", "", "one"] {
        let locked = pylock().with("lock-version = \"1.0\"", &format!("lock-version = \"{version}\""));
        locked.is_refused(&["version", "expected version 1.x"]);
    }
}

#[test]
fn cycles_are_walked_once() {
    let fast = "fast = [{ name = \"other\" }]";
    let cyclic = "fast = [{ name = \"other\" }, { name = \"lib\", extra = [\"fast\"] }, { name = \"app\" }]";
    uv().with(fast, cyclic).selects(&["lib", "other"]);
    let other = "name = \"other\"\nversion = \"2.0\"\n";
    let cyclic = "name = \"other\"\nversion = \"2.0\"\ndependencies = {lib = \"*\", other = \"*\"}\n";
    poetry().with(other, cyclic).selects(&["lib", "other"]);
}

/// Poetry leaves out packages that it takes for granted, and locks of plugins leave out what they plug into.
#[test]
fn dependencies_that_are_not_in_the_lock() {
    uv().with("fast = [{ name = \"other\" }]", "fast = [{ name = \"gone\" }]").is_refused(&["`gone`", "`lib`"]);
    uv().with("fast = [{ name = \"other\" }]", "fast = [{ name = \"other\", version = \"3\" }]")
        .is_refused(&["`other 3`", "`lib`"]);
    poetry().with("other = {version", "setuptools = {version").selects(&["lib"]);
}

#[test]
fn duplicate_packages() {
    uv().with("name = \"other\"\nversion = \"2.0\"", "name = \"lib\"\nversion = \"1.5\"")
        .is_refused(&["`lib`", "twice"]);
    poetry()
        .with("name = \"other\"\nversion = \"2.0\"", "name = \"LIB\"\nversion = \"1.5\"")
        .is_refused(&["`lib`", "twice"]);
    // A list may hold a package several times, but only one entry may apply.
    let twice = pylock()
        .with("name = \"other\"\nversion = \"2.0\"", "name = \"lib\"\nversion = \"2.0\"")
        .with("other-2.0-", "lib-2.0-");
    twice.write().bundle(&["plan"]).fails_with(4).says(&["error: ", "`lib`", "1.5", "2.0"]);
}

#[test]
fn missing_hashes() {
    // Some indexes publish none, and uv's locks then have none.
    let hash = format!(", hash = \"sha256:{SHA256}\"");
    let plan = uv().with(&hash, "").write().bundle(&["plan", "--json"]).success().json();
    assert!(
        plan["targets"][0]["packages"].as_array().expect("packages").iter().all(|package| package["hash"].is_null())
    );
    // Of a single file, and in the other formats, there always is one.
    uv().with(&hash, "")
        .with("registry = \"https://index.test/simple\"", "url = \"https://files.test/other-2.0-py3-none-any.whl\"")
        .is_refused(&["no hash"]);
    poetry().with(&format!(", hash = \"sha256:{SHA256}\""), "").is_refused(&["missing field `hash`"]);
    pylock().with(&format!("{{ sha256 = \"{SHA256}\" }}"), "{}").is_refused(&["`lib`", "no hash"]);
    pylock().with(&format!(", hashes = {{ sha256 = \"{SHA256}\" }}"), "").is_refused(&["missing field `hashes`"]);
}

#[test]
fn weak_and_false_hashes() {
    const MD5: &str = "0123456789abcdef0123456789abcdef";
    let sha256 = format!("sha256:{SHA256}");
    for locked in [uv(), poetry()] {
        locked.with(&sha256, &format!("md5:{MD5}")).is_refused(&["`lib`", "`md5`"]);
    }
    for locked in [uv(), poetry()] {
        locked.with(&sha256, "sha256:0123").is_refused(&["`lib`", "64 hexadecimal digits"]);
    }
    pylock().with(&format!("sha256 = \"{SHA256}\""), &format!("md5 = \"{MD5}\"")).is_refused(&["`lib`", "weak", "md5"]);
    pylock().with(SHA256, "0123").is_refused(&["`lib`", "64 hexadecimal digits"]);
}

#[test]
fn wheels_with_impossible_names() {
    for name in ["other-2.0.whl", "other-2.0-py3-any.whl", "-.whl", "other-two-py3-none-any.whl"] {
        uv().with("other-2.0-py3-none-any.whl", name).is_refused(&["`other`", name]);
        pylock().with("other-2.0-py3-none-any.whl", name).is_refused(&["`other`", name]);
        // Poetry's locks list whatever the index has; what is no wheel's name is no wheel.
        let locked = poetry().with("other-2.0-py3-none-any.whl", name);
        locked.write().bundle(&["plan"]).fails_with(4).says(&["error: ", "other 2.0"]);
    }
    uv().with("other-2.0-py3", "another-2.0-py3").is_refused(&["`other`", "another-2.0-py3-none-any.whl"]);
    uv().with("other-2.0-py3", "other-2.1-py3").is_refused(&["`other`", "other-2.1-py3-none-any.whl"]);
}

#[test]
fn too_large() {
    for locked in every_format() {
        let sandbox = locked.write();
        let file = OpenOptions::new().write(true).open(sandbox.project().join(locked.file)).expect("lock");
        file.set_len(100_000_000).expect("space");
        sandbox.bundle(&["plan"]).fails_with(3).says(&[locked.file, "100000000 bytes", "expected at most", "hint: "]);
    }
}

#[test]
fn not_a_file() {
    let sandbox = uv().write();
    let pipe = sandbox.path("pipe.lock");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    for path in [pipe, "/dev/zero".into()] {
        let finished = sandbox.bundle(&["plan", "--lock"]).arg(&path).fails_with(3);
        finished.says(&["error: ", &format!("`{}`", path.display()), "not a regular file", "hint: "]);
    }
}

#[test]
fn a_directory_beside_the_project_is_no_lock() {
    let locked = uv();
    let sandbox = locked.write();
    let path = sandbox.project().join(locked.file);
    std::fs::remove_file(&path).expect("lock");
    std::fs::create_dir(&path).expect("directory");
    sandbox.bundle(&["plan"]).fails_with(3).says(&["no lock file", "hint: "]);
}

#[test]
fn unreadable() {
    let locked = uv();
    let sandbox = locked.write();
    let path = sandbox.project().join(locked.file);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).expect("permissions");
    if std::fs::read(&path).is_ok() {
        // Nothing is unreadable to root, except what is not there.
        std::fs::remove_file(&path).expect("lock");
        sandbox.bundle(&["plan", "--lock", "uv.lock"]).fails_with(3).says(&["uv.lock", "does not exist", "hint: "]);
    } else {
        sandbox.bundle(&["plan"]).fails_with(3).says(&["uv.lock", "Permission denied", "hint: "]);
    }
}

#[test]
fn markers_whose_decision_diagram_would_fill_the_memory() {
    let pairs: Vec<String> = (0..200).map(|i| format!("(extra == 'a{i}' and extra == 'b{i}')")).collect();
    let marker = format!("{} or sys_platform == 'linux'", pairs.join(" or "));
    let project = Project::for_fixed_target()
        .member(Member::root("app").needs(&[&format!("lib ; {marker}"), "other ; sys_platform == 'linux'"]))
        .package(Package::unavailable("lib", "1.0").wheel("py3-none-any"))
        .package(Package::unavailable("other", "1.0").wheel("py3-none-any"));
    selects(&Sandbox::new(&project), &["lib", "other"]);
}

#[test]
fn thousands_of_patch_releases() {
    let pick = |i: u32| format!("{{ name = \"lib\", marker = \"python_full_version == '3.11.{i}'\" }}");
    let edges: Vec<String> = (0..10_000).map(pick).collect();
    uv().with("fast = [{ name = \"other\" }]", &format!("fast = [{{ name = \"other\" }}, {}]", edges.join(", ")))
        .selects(&["lib", "other"]);
}
