//! Which lock is read, and what is said of one that does not match its project any more.

use std::path::Path;

use crate::support::{Finished, Member, Package, Project, Sandbox};

const TARGET: &str = "[tool.bundle]\nplatforms = [\"x86_64-manylinux2014\"]\npython = \"3.11\"\n";

/// What [`MANIFEST`] is locked to, in the form that uv writes; its packages are in [`locked_packages`].
const LOCK: &str = r#"
version = 1
revision = 3
requires-python = ">=3.10"
resolution-markers = [
    "python_full_version >= '3.11'",
    "python_full_version < '3.11'",
]
conflicts = [[
    { package = "app", extra = "fast" },
    { package = "app", extra = "slow" },
]]

[manifest]
constraints = [{ name = "idna", specifier = "<99" }]
overrides = [{ name = "attrs", specifier = ">=20" }]

[[package]]
name = "app"
version = "1.0"
source = { editable = "." }
dependencies = [
    { name = "anyio", extra = ["trio"], marker = "python_full_version < '3.13'" },
    { name = "idna" },
    { name = "repo" },
    { name = "wheel-of" },
]

[package.optional-dependencies]
fast = [
    { name = "six" },
]
slow = [
    { name = "attrs" },
]

[package.dev-dependencies]
dev = [
    { name = "iniconfig" },
    { name = "sniffio" },
]
test = [
    { name = "iniconfig" },
]

[package.metadata]
requires-dist = [
    { name = "anyio", extras = ["trio"], marker = "python_full_version < '3.13'", specifier = ">=4" },
    { name = "attrs", marker = "extra == 'slow'" },
    { name = "idna", specifier = ">=3.1" },
    { name = "repo", git = "https://git.test/team/repo?tag=v1&subdirectory=python" },
    { name = "six", marker = "sys_platform == 'linux' and extra == 'fast'", specifier = ">=1.10", index = "https://index.test/own" },
    { name = "six", marker = "sys_platform != 'linux' and extra == 'fast'", specifier = ">=1.10" },
    { name = "wheel-of", url = "https://files.test/wheel_of-1.0-py3-none-any.whl" },
]
provides-extras = ["fast", "slow"]

[package.metadata.requires-dev]
dev = [
    { name = "iniconfig", specifier = ">=1" },
    { name = "sniffio" },
]
test = [{ name = "iniconfig", specifier = ">=1" }]
"#;

const MANIFEST: &str = r#"
[project]
name = "app"
version = "1.0"
requires-python = ">=3.10"
dependencies = [
    "idna>=3.1",
    "anyio[trio]>=4; python_version < '3.13'",
    "repo",
    "wheel-of @ https://files.test/wheel_of-1.0-py3-none-any.whl",
]

[project.optional-dependencies]
fast = ["six>=1.10"]
slow = ["attrs"]

[dependency-groups]
dev = ["sniffio", { include-group = "test" }]
test = ["iniconfig>=1"]

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[tool.uv]
constraint-dependencies = ["idna<99"]
override-dependencies = ["attrs>=20"]
conflicts = [[{ extra = "fast" }, { extra = "slow" }]]

[tool.uv.sources]
repo = { git = "https://git.test/team/repo", tag = "v1", subdirectory = "python" }
six = { index = "own", marker = "sys_platform == 'linux'" }

[[tool.uv.index]]
name = "own"
url = "https://index.test/own"

[tool.bundle]
platforms = ["x86_64-manylinux2014"]
python = "3.11"
"#;

/// The packages of [`LOCK`] besides the project.
fn locked_packages() -> String {
    let names = ["anyio", "attrs", "idna", "iniconfig", "repo", "six", "sniffio", "trio", "wheel-of"];
    let package = |name: &&str| {
        let source = match *name {
            "repo" => {
                "git = \"https://git.test/team/repo?tag=v1&subdirectory=python#0123456789012345678901234567890123456789\""
            }
            "wheel-of" => "url = \"https://files.test/wheel_of-1.0-py3-none-any.whl\"",
            _ => "registry = \"https://index.test/simple\"",
        };
        let file = name.replace('-', "_");
        let hash = "0".repeat(64);
        let wheel = format!("{{ url = \"https://files.test/{file}-1.0-py3-none-any.whl\", hash = \"sha256:{hash}\" }}");
        let wheels = if *name == "repo" { String::new() } else { format!("wheels = [{wheel}]\n") };
        format!("\n[[package]]\nname = \"{name}\"\nversion = \"1.0\"\nsource = {{ {source} }}\n{wheels}")
    };
    names.iter().map(package).collect::<Vec<_>>().concat()
}

fn write(sandbox: &Sandbox, name: &str, text: &str) {
    let path = sandbox.project().join(name);
    std::fs::create_dir_all(path.parent().expect("a directory")).expect("directory");
    std::fs::write(path, text).expect("file");
}

/// A sandbox with [`MANIFEST`] in which one text is replaced, and [`LOCK`].
fn changed(old: &str, new: &str) -> Sandbox {
    let sandbox = Sandbox::empty();
    write(&sandbox, "uv.lock", &format!("{LOCK}{}", locked_packages()));
    assert!(MANIFEST.contains(old), "{old} is not in the manifest");
    write(&sandbox, "pyproject.toml", &MANIFEST.replacen(old, new, 1));
    sandbox
}

/// Whether a lock was refused for being stale; anything else that happens to it is of no interest.
fn is_stale(finished: &Finished) -> bool {
    let stale = finished.stderr.contains("does not match `pyproject.toml`");
    if stale != (finished.status.code() == Some(3)) {
        finished.give_up("expected exit status 3 if and only if the lock is stale");
    }
    stale
}

#[track_caller]
fn assert_stale(old: &str, new: &str, words: &[&str]) {
    let finished = changed(old, new).bundle(&["plan"]).finish();
    if !is_stale(&finished) {
        finished.give_up(&format!("`{new}` for `{old}` should make the lock stale"));
    }
    finished.says(words).says(&["error: ", "uv.lock", "hint: `uv lock`", "--frozen"]);
}

#[track_caller]
fn assert_fresh(old: &str, new: &str) {
    let finished = changed(old, new).bundle(&["plan"]).finish();
    if is_stale(&finished) {
        finished.give_up(&format!("`{new}` for `{old}` should make no difference"));
    }
}

#[test]
fn a_lock_that_matches_is_used() {
    assert_fresh("", "");
}

#[test]
fn what_means_the_same_makes_no_difference() {
    assert_fresh("\"idna>=3.1\"", "\"IDNA >= 3.1.0\"");
    assert_fresh("\"idna>=3.1\"", "\"idna>=3.1; python_version >= '3.8'\"");
    for same in ["idna>=3.1,>=3", "idna>3,>=3.1", "idna>=3.1,>=3.1"] {
        assert_fresh("idna>=3.1", same);
    }
    assert_fresh("\"idna>=3.1\"", "\"idna>=3.1\", \"idna>=3\"");
    assert_fresh("\"idna>=3.1\"", "\"idna>=3.1; sys_platform == 'linux'\", \"idna>=3.1; sys_platform != 'linux'\"");
    assert_fresh("python_version < '3.13'", "'3.13' > python_version");
    assert_fresh("\"1.0\"", "\"1.0.0\"");
    assert_fresh(">=3.10", ">=3.10,!=3.11.1");
    assert_fresh("{ include-group = \"test\" }", "\"iniconfig>=1\"");
    assert_fresh("marker = \"sys_platform == 'linux'\"", "marker = \"'linux' == sys_platform\"");
    assert_fresh("https://index.test/own", "https://user:secret@index.test/own");
    assert_fresh("git = \"https://git.test/team/repo\"", "git = \"https://token@git.test/team/repo.git\"");
    assert_fresh(
        "{ extra = \"fast\" }, { extra = \"slow\" }",
        "{ extra = \"slow\" }, { package = \"app\", extra = \"fast\" }",
    );
    assert_fresh("[tool.uv.sources]", "[tool.uv.sources]\nunused = { path = \"../unused\" }");
    assert_fresh("[build-system]", "[tool.other]\nkey = 1\n[build-system]");
}

#[test]
fn what_is_not_sure_to_differ_makes_no_difference() {
    // Only the build backend knows.
    assert_fresh("dependencies = [\n", "dynamic = [\"dependencies\"]\nothers = [\n");
    // Only a later standard knows.
    assert_fresh("dev = [\"sniffio\",", "dev = [{ unheard-of = \"x\" },");
    // Some locks leave out what they were made from.
    let sandbox = changed("\"idna>=3.1\"", "\"idna>=3.2\"");
    let (head, rest) = LOCK.split_once("[package.metadata]").expect("metadata");
    assert!(rest.contains("requires-dist"));
    write(&sandbox, "uv.lock", &format!("{head}{}", locked_packages()));
    assert!(!is_stale(&sandbox.bundle(&["plan"]).finish()));
}

#[test]
fn requirements_that_changed_are_named() {
    assert_stale("\"idna>=3.1\"", "\"idna>=3.2\"", &["project `app` requires `idna>=3.2`, the lock has `idna>=3.1`"]);
    let httpx = "project `app` requires `httpx>=0.28`, which the lock does not have";
    assert_stale("\"repo\",", "\"repo\", \"httpx>=0.28\",", &[httpx]);
    assert_stale("\"idna>=3.1\",", "", &["project `app` does not require `idna>=3.1`, which the lock has"]);
    assert_stale("\"idna>=3.1\"", "\"idna>=3.1\", \"idna<9; sys_platform == 'linux'\"", &["requires `idna<9"]);
    assert_stale("\"idna>=3.1\"", "\"idna>=3.1; sys_platform == 'linux'\"", &["requires `idna>=3.1 ; sys_platform"]);
    assert_stale("anyio[trio]", "anyio", &["requires `anyio>=4 ; python_full_version < '3.13'`", "`anyio[trio]>=4"]);
    assert_stale("python_version < '3.13'", "python_version < '3.12'", &["python_full_version < '3.12'"]);
    assert_stale(
        "wheel_of-1.0-py3",
        "wheel_of-1.1-py3",
        &["`wheel-of @ https://files.test/wheel_of-1.1-py3-none-any.whl`"],
    );
}

#[test]
fn extras_groups_and_settings_that_changed_are_named() {
    assert_stale("\"six>=1.10\"", "\"six>=1.11\"", &["extra `fast` of project `app` requires `six>=1.11"]);
    assert_stale("slow = [\"attrs\"]", "slow = [\"attrs\"]\nlate = []", &["project `app` has the extra `late`"]);
    assert_stale(
        "test = [\"iniconfig>=1\"]",
        "test = [\"iniconfig>=2\"]",
        &["group `dev` of project `app`", "group `test`"],
    );
    assert_stale("test = [", "lint = [\"ruff\"]\ntest = [", &["group `lint` of project `app` requires `ruff`"]);
    assert_stale("test = [", "lint = []\ntest = [", &["project `app` has the group `lint`"]);
    assert_stale(">=3.10", ">=3.11", &["`requires-python` is `>=3.11`, the lock was made for `>=3.10`"]);
    assert_stale("version = \"1.0\"", "version = \"1.1\"", &["project `app` has version 1.1, the lock has 1.0"]);
    assert_stale("name = \"app\"", "name = \"other\"", &["project `other` is not in the lock"]);
    assert_stale("[\"idna<99\"]", "[]", &["`constraint-dependencies` does not have `idna<99`"]);
    assert_stale("attrs>=20", "attrs>=21", &["`override-dependencies` has `attrs>=21`, the lock has `attrs>=20`"]);
    assert_stale("{ extra = \"slow\" }]]", "]]", &["extra `app[fast]`", "conflict"]);
    assert_stale("[tool.uv]\n", "[tool.uv]\nresolution = \"lowest\"\n", &["`resolution` is `lowest`", "`highest`"]);
    let linux = "[tool.uv]\nenvironments = [\"sys_platform == 'linux'\"]\n";
    assert_stale("[tool.uv]\n", linux, &["`environments` is not what the lock was made for"]);
    assert_stale("[tool.uv]\n", "[tool.uv]\npackage = false\n", &["project `app` is not a package"]);
}

#[test]
fn sources_that_changed_are_named() {
    assert_stale("tag = \"v1\"", "tag = \"v2\"", &["`repo @ git+https://git.test/team/repo@v2#subdirectory=python`"]);
    assert_stale("tag = \"v1\"", "branch = \"v1\"", &["project `app` requires `repo @ git+https"]);
    assert_stale("subdirectory = \"python\"", "subdirectory = \"src\"", &["#subdirectory=src`"]);
    assert_stale(
        "url = \"https://index.test/own\"",
        "url = \"https://index.test/other\"",
        &["(from https://index.test/other)"],
    );
    assert_stale("six = {", "idna = {", &["project `app` requires `idna>=3.1 ; sys_platform == 'linux' (from https"]);
    let secret = "git = \"https://user:secret@git.test/other/repo\"";
    let finished = changed("git = \"https://git.test/team/repo\"", secret).bundle(&["plan"]).fails_with(3);
    finished.says(&["git+https://git.test/other/repo@v1"]);
    assert!(!finished.stderr.contains("secret"), "{}", finished.stderr);
}

#[test]
fn many_differences_are_cut() {
    let many = (0..9).map(|number| format!("\"new-{number}\", ")).collect::<Vec<_>>().concat();
    let finished = changed("\"repo\",", &format!("\"repo\", {many}")).bundle(&["plan"]).fails_with(3);
    finished.says(&["`new-0`", "`new-4`", "and 4 more"]);
    assert!(!finished.stderr.contains("new-5"), "{}", finished.stderr);
}

#[test]
fn a_frozen_lock_is_used_as_it_is() {
    let sandbox = changed("\"idna>=3.1\"", "\"idna>=3.2\"");
    sandbox.bundle(&["build"]).fails_with(3).says(&["does not match `pyproject.toml`"]);
    for frozen in [sandbox.bundle(&["plan", "--frozen"]), sandbox.bundle(&["plan"]).env("BUNDLE_FROZEN", "1")] {
        assert!(!is_stale(&frozen.finish()));
    }
    assert!(is_stale(&sandbox.bundle(&["plan"]).env("BUNDLE_FROZEN", "0").finish()));
}

/// A root with the members `api` and `worker`, of which the first needs the second, and a package each.
fn workspace() -> Sandbox {
    let project = Project::new()
        .configured(TARGET)
        .member(Member::root("app").needs(&["base"]))
        .member(Member::in_workspace("api").needs(&["web"]))
        .member(Member::in_workspace("worker").needs(&["queue"]))
        .package(Package::unavailable("base", "1.0").wheel("py3-none-any"))
        .package(Package::unavailable("web", "1.0").wheel("py3-none-any"))
        .package(Package::unavailable("queue", "1.0").wheel("py3-none-any"));
    Sandbox::new(&project)
}

fn replace(sandbox: &Sandbox, file: &str, old: &str, new: &str) {
    let path = sandbox.project().join(file);
    let text = std::fs::read_to_string(&path).expect("file");
    assert!(text.contains(old), "{old} is not in {file}");
    std::fs::write(&path, text.replacen(old, new, 1)).expect("file");
}

#[test]
fn members_that_changed_are_named() {
    let change = |file: &str, old: &str, new: &str| {
        let sandbox = workspace();
        replace(&sandbox, file, old, new);
        sandbox.bundle(&["plan"]).fails_with(3)
    };
    change("packages/api/pyproject.toml", "\"web\"", "\"web>=2\"")
        .says(&["project `api` requires `web>=2`, the lock has `web`"]);
    change("packages/api/pyproject.toml", ">=3.9", ">=3.11").says(&["`requires-python` is `>=3.11, >=3.9`"]);
    change("packages/api/pyproject.toml", "name = \"api\"", "name = \"web-api\"")
        .says(&["project `web-api` is not in the lock"]);
    change("pyproject.toml", "packages/*", "packages/api")
        .says(&["the lock has project `worker`, which the workspace does not have"]);
    let sandbox = workspace();
    write(&sandbox, "packages/new/pyproject.toml", "[project]\nname = \"new\"\nversion = \"1\"\n");
    sandbox.bundle(&["plan"]).fails_with(3).says(&["project `new` is not in the lock"]);
    replace(&sandbox, "pyproject.toml", "members =", "exclude = [\"packages/new\"]\nmembers =");
    sandbox.bundle(&["plan"]).success();
}

#[test]
fn members_that_are_not_there_are_not_judged() {
    let sandbox = workspace();
    std::fs::remove_dir_all(sandbox.project().join("packages/worker")).expect("removed");
    sandbox.bundle(&["plan"]).success();
}

#[test]
fn a_member_has_the_lock_of_its_workspace() {
    let sandbox = workspace();
    std::fs::create_dir_all(sandbox.project().join("packages/api/src/deep")).expect("directory");
    for directory in ["packages/api", "packages/api/src/deep"] {
        let plan = sandbox.bundle(&["plan", "--json"]).current_dir(sandbox.project().join(directory)).success();
        assert_eq!(plan.json()["apps"], serde_json::json!(["api"]));
        assert_eq!(plan.json()["lock"]["kind"], "uv");
    }
    let path = sandbox.path("home").join("uv.lock");
    std::fs::copy(sandbox.project().join("uv.lock"), &path).expect("copied");
    let from_home = sandbox.bundle(&["plan", "--project"]).arg(sandbox.project().join("packages/api"));
    from_home.current_dir(sandbox.path("home")).success();
}

#[test]
fn a_workspace_that_cannot_be_read_says_so_itself() {
    let sandbox = workspace();
    write(&sandbox, "pyproject.toml", "[project\n");
    let finished = sandbox.bundle(&["plan"]).current_dir(sandbox.project().join("packages/api")).fails_with(3);
    finished.says(&["project/pyproject.toml` cannot be understood", "line 1"]);
}

#[test]
fn the_lock_of_something_else_is_not_taken() {
    let sandbox = workspace();
    let lone = "[project]\nname = \"tool\"\nversion = \"1\"\nrequires-python = \">=3.9\"\n";
    write(&sandbox, "tools/tool/pyproject.toml", lone);
    let plan = |directory: &str| sandbox.bundle(&["plan"]).current_dir(sandbox.project().join(directory));
    let lock = sandbox.project().join("uv.lock").display().to_string();
    plan("tools/tool").fails_with(3).says(&[
        "tools/tool` has no lock",
        "no member",
        &lock,
        "hint: ",
        "--lock",
        "members",
    ]);
    // An excluded directory is none either, nor one below another project.
    replace(&sandbox, "pyproject.toml", "members =", "exclude = [\"packages/worker\"]\nmembers =");
    plan("packages/worker").fails_with(3).says(&["packages/worker` has no lock", "no member"]);
    write(&sandbox, "packages/api/example/pyproject.toml", lone);
    plan("packages/api/example").fails_with(3).says(&["example` has no lock", "no member"]);

    let sandbox = Sandbox::empty();
    std::fs::write(sandbox.path("uv.lock"), LOCK).expect("lock");
    sandbox.bundle(&["plan"]).fails_with(3).says(&["has no lock", "no member", "uv.lock"]);
    std::fs::remove_file(sandbox.path("uv.lock")).expect("removed");
    sandbox.bundle(&["plan"]).fails_with(3).says(&["has no lock file", "hint: ", "`uv lock`", "`poetry lock`"]);
}

#[test]
fn a_member_with_a_lock_of_its_own_has_two() {
    let sandbox = workspace();
    std::fs::copy(sandbox.project().join("uv.lock"), sandbox.project().join("packages/api/uv.lock")).expect("copied");
    let finished = sandbox.bundle(&["plan"]).current_dir(sandbox.project().join("packages/api")).fails_with(3);
    finished.says(&["both `", "packages/api/uv.lock` and `", "project/uv.lock` lock the project", "--lock"]);
    let manifest = std::fs::read_to_string(sandbox.project().join("packages/api/pyproject.toml")).expect("manifest");
    for lock in ["uv.lock", "../../uv.lock"] {
        write(&sandbox, "packages/api/pyproject.toml", &format!("{manifest}\n[tool.bundle]\nlock = \"{lock}\"\n"));
        let plan = sandbox.bundle(&["plan", "--frozen", "--python", "3.11"]);
        let finished = plan.current_dir(sandbox.project().join("packages/api")).finish();
        assert!(!finished.stderr.contains("lock the project"), "{}", finished.stderr);
    }
}

const PYLOCK: &str = r#"
lock-version = "1.0"
created-by = "hand"
[[packages]]
name = "only"
version = "1.0"
wheels = [{ url = "https://files.test/only-1.0-py3-none-any.whl", hashes = { sha256 = "0000000000000000000000000000000000000000000000000000000000000000" } }]
"#;

fn kind(finished: &Finished) -> String {
    finished.json()["lock"]["kind"].as_str().expect("kind").to_owned()
}

#[test]
fn two_locks_have_to_be_told_apart() {
    let sandbox = workspace();
    write(&sandbox, "pylock.toml", PYLOCK);
    let finished = sandbox.bundle(&["plan"]).fails_with(3);
    finished.says(&[
        "both `",
        "pylock.toml` and `",
        "uv.lock` lock the project",
        "hint: choose one, with `--lock ",
        "`[tool.bundle]`",
    ]);
    let plan = || sandbox.bundle(&["plan", "--json"]);
    assert_eq!(kind(&plan().args(["--lock", "pylock.toml"]).success()), "pylock");
    assert_eq!(kind(&plan().env("BUNDLE_LOCK", "pylock.toml").success()), "pylock");
    assert_eq!(kind(&plan().args(["--lock", "uv.lock"]).env("BUNDLE_LOCK", "pylock.toml").success()), "uv");
    replace(&sandbox, "pyproject.toml", "[tool.bundle]", "[tool.bundle]\nlock = \"pylock.toml\"");
    assert_eq!(kind(&plan().success()), "pylock");
    assert_eq!(kind(&plan().current_dir(sandbox.project().join("packages/api")).success()), "pylock");
    assert_eq!(kind(&plan().args(["--lock", "uv.lock"]).success()), "uv");
}

#[test]
fn a_lock_may_have_any_name_and_place() {
    let sandbox = workspace();
    let plan_of = |project: &str, lock: &str| {
        kind(&sandbox.bundle(&["plan", "--json", "--python", "3.11", "--project", project, "--lock", lock]).success())
    };
    let plan = |lock: &str| plan_of(".", lock);
    std::fs::rename(sandbox.project().join("uv.lock"), sandbox.project().join("other.lock")).expect("renamed");
    assert_eq!(plan("other.lock"), "uv");
    for name in ["requirements/pylock.prod.toml", "requirements/frozen", "../outside.toml"] {
        write(&sandbox, name, PYLOCK);
        assert_eq!(plan(name), "pylock");
    }
    write(&sandbox, "old/pyproject.toml", "[tool.poetry]\nname = \"old\"\nversion = \"1\"\n");
    write(&sandbox, "old/prod.lock", POETRY_OLD);
    assert_eq!(plan_of("old", "old/prod.lock"), "poetry");
}

#[test]
fn a_lock_that_is_none_is_refused() {
    let sandbox = workspace();
    let plan = |lock: &str| sandbox.bundle(&["plan", "--lock", lock]).fails_with(3);
    plan("absent.lock").says(&["absent.lock` does not exist", "hint: "]);
    plan("packages").says(&["packages` is a directory", "hint: name the lock file itself"]);
    plan(".").says(&["is a directory", "uv.lock"]);
    plan("pyproject.toml").says(&["pyproject.toml` is in no known format", "hint: ", "poetry.lock"]);
}

#[test]
fn a_broken_lock_is_written_anew_by_its_own_tool() {
    for (name, tool) in [("uv.lock", "`uv lock`"), ("poetry.lock", "`poetry lock`"), ("pylock.toml", "`pip lock`")] {
        let sandbox = Sandbox::empty();
        write(&sandbox, "pyproject.toml", TARGET);
        write(&sandbox, name, "lock-version = \"1.0\"\n[[package]\n");
        let finished = sandbox.bundle(&["plan"]).fails_with(3);
        finished.says(&[&format!("{name}` is malformed"), "line 2, column ", "hint: ", tool]);
    }
}

/// A project without dependencies, in the form that Poetry 1.8 writes.
const POETRY_OLD: &str = r#"# This file is automatically @generated by Poetry 1.8.3 and should not be changed by hand.
package = []

[metadata]
lock-version = "2.0"
python-versions = "*"
"#;

#[test]
fn a_poetry_lock_needs_its_project() {
    let sandbox = Sandbox::empty();
    write(&sandbox, "locks/poetry.lock", POETRY_OLD);
    let finished = sandbox.bundle(&["plan", "--lock", "locks/poetry.lock", "--python", "3.11"]).fails_with(3);
    finished.says(&["locks/poetry.lock` does not say what the project is", "no `pyproject.toml`", "hint: "]);
    // A newer one names what is needed, but not the project.
    write(&sandbox, "locks/poetry.lock", &POETRY_OLD.replace("\"2.0\"", "\"2.1\""));
    sandbox.bundle(&["plan", "--lock", "locks/poetry.lock", "--python", "3.11"]).fails_with(3);
    write(&sandbox, "locks/pyproject.toml", "[tool.poetry]\nname = \"old\"\nversion = \"1\"\n");
    sandbox.bundle(&["plan", "--lock", "locks/poetry.lock", "--python", "3.11"]).success();
}

/// A project as Poetry knows it, and the version of Poetry that locked it, with the hash that it wrote.
fn poetry(pyproject: &str, lock_version: &str, writer: &str, content_hash: &str) -> Sandbox {
    let sandbox = Sandbox::empty();
    write(&sandbox, "pyproject.toml", &format!("{pyproject}\n{TARGET}"));
    let lock = format!(
        "# This file is automatically @generated by Poetry {writer} and should not be changed by hand.\npackage = []\n\n\
         [metadata]\nlock-version = \"{lock_version}\"\npython-versions = \">=3.9\"\ncontent-hash = \"{content_hash}\"\n"
    );
    write(&sandbox, "poetry.lock", &lock);
    sandbox
}

const POETRY_TABLES: &str = r#"[tool.poetry]
name = "old"
version = "1.0"
[tool.poetry.dependencies]
python = "^3.9"
idna = { version = "^3.1", optional = true, markers = "sys_platform == \"linux\"" }
six = [{ version = "1.*", python = "<3.12" }, { version = ">=1.16", python = ">=3.12" }]
[tool.poetry.extras]
all = ["idna"]
[tool.poetry.group.test]
optional = true
[tool.poetry.group.test.dependencies]
iniconfig = ">=1,<3"
[[tool.poetry.source]]
name = "own"
url = "https://index.test/simple"
# The hash covers more than ASCII, too.
links = "ünïcode 𝄞"
"#;

/// What Poetry 2.5 computes for [`POETRY_TABLES`].
const HASH_OF_TABLES: &str = "04c60d6d7f63536cea7c59d0d65630cd27f112ed531c457106bead0c3661d15e";

const POETRY_PROJECT: &str = r#"[project]
name = "new"
version = "1.0"
requires-python = ">=3.9"
dependencies = ["idna (>=3.1,<4.0)"]
[dependency-groups]
dev = ["six"]
[tool.poetry.dependencies]
idna = { source = "own" }
"#;

/// What Poetry 2.5 computes for [`POETRY_PROJECT`].
const HASH_WITH_GROUPS: &str = "ca89f40a5c1e33c92229f8744ecfca80491a156a4ab3023497cf910a5fc8d808";

/// The same without groups, as Poetry before 2.3 computed it.
const HASH_WITHOUT_GROUPS: &str = "eacfae4e4cce25486c2969a9ae087f0bb0b3e331275dfaa0b72a447de2d8dbf1";

#[test]
fn a_poetry_lock_has_the_hash_of_its_project() {
    let plan = |sandbox: &Sandbox| is_stale(&sandbox.bundle(&["plan"]).finish());
    assert!(!plan(&poetry(POETRY_TABLES, "2.0", "1.8.3", HASH_OF_TABLES)));
    assert!(!plan(&poetry(POETRY_TABLES, "2.1", "2.4.1", HASH_OF_TABLES)));
    assert!(!plan(&poetry(POETRY_PROJECT, "2.1", "2.4.1", HASH_WITH_GROUPS)));
    assert!(!plan(&poetry(POETRY_PROJECT, "2.1", "2.2.1", HASH_WITHOUT_GROUPS)));
    // A Poetry that hashes groups would have hashed these.
    assert!(plan(&poetry(POETRY_PROJECT, "2.1", "2.4.1", HASH_WITHOUT_GROUPS)));
    // The name of a project decides nothing, what it requires does.
    assert!(!plan(&poetry(&POETRY_PROJECT.replace("\"new\"", "\"renamed\""), "2.1", "2.4.1", HASH_WITH_GROUPS)));
    assert!(plan(&poetry(&POETRY_PROJECT.replace("<4.0", "<5.0"), "2.1", "2.4.1", HASH_WITH_GROUPS)));
    assert!(plan(&poetry(&POETRY_TABLES.replace("𝄞", "♪"), "2.0", "1.8.3", HASH_OF_TABLES)));
}

#[test]
fn a_stale_poetry_lock_names_the_hash_and_the_way_out() {
    let sandbox = poetry(&POETRY_PROJECT.replace("[\"six\"]", "[]"), "2.1", "2.4.1", HASH_WITH_GROUPS);
    let finished = sandbox.bundle(&["plan"]).fails_with(3);
    finished.says(&["poetry.lock` does not match `pyproject.toml`", "content hash is `ca89f40a5c1e…`, expected `"]);
    finished.says(&["hint: `poetry lock`", "--frozen"]);
    sandbox.bundle(&["plan", "--frozen"]).success();
    // A lock without a hash, or without a project beside it, cannot be judged.
    replace(&sandbox, "poetry.lock", "content-hash", "other-hash");
    sandbox.bundle(&["plan"]).success();
}

#[test]
fn the_fixture_matches_its_lock() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/rag");
    let finished = Sandbox::empty().bundle(&["plan", "--python", "3.11", "--project"]).arg(fixture).finish();
    assert!(!is_stale(&finished));
}

#[test]
fn a_project_that_a_pylock_does_not_list_is_packed_with_it() {
    let member = Member::root("app").file("src/app/__init__.py", "").script("app", "app:main");
    let sandbox = Sandbox::new(&Project::for_fixed_target().member(member));
    std::fs::remove_file(sandbox.project().join("uv.lock")).expect("the lock is removed");
    std::fs::create_dir(sandbox.project().join("locks")).expect("a directory");
    for (lock, path) in [("pylock.toml", "."), ("locks/pylock.prod.toml", "..")] {
        write(&sandbox, lock, PYLOCK);
        let plan = sandbox.bundle(&["plan", "--json", "--lock"]).arg(lock).current_dir(sandbox.project()).success();
        let target = plan.json()["targets"][0].clone();
        assert_eq!(target["project"]["name"], "app", "{lock}");
        assert_eq!(target["project"]["path"], path, "{lock}");
        assert_eq!(target["packages"].as_array().map(Vec::len), Some(1), "{lock}");
    }
    // A directory with settings of tools is no project, and a listed one is there once.
    let listed = format!("{PYLOCK}\n[[packages]]\nname = \"app\"\ndirectory = {{ path = \".\" }}\n");
    write(&sandbox, "pylock.toml", &listed);
    let plan = || sandbox.bundle(&["plan", "--json", "--lock", "pylock.toml"]).current_dir(sandbox.project()).success();
    assert_eq!(plan().json()["targets"][0]["project"], serde_json::Value::Null);
    write(&sandbox, "pylock.toml", PYLOCK);
    replace(&sandbox, "pyproject.toml", "[build-system]", "[not-a-build-system]");
    assert_eq!(plan().json()["targets"][0]["project"], serde_json::Value::Null);
}

#[test]
fn wheels_that_the_project_forbids_are_not_packed() {
    let project = |settings: &str| {
        Project::for_fixed_target()
            .member(Member::root("app").needs(&["a", "b"]))
            .package(Package::unavailable("a", "1.0").wheel("py3-none-any").sdist())
            .package(Package::unavailable("b", "1.0").wheel("py3-none-any"))
            .configured_with(&format!("[tool.uv]\n{settings}\n"))
    };
    let one = Sandbox::new(&project("no-binary-package = [\"A\"]"));
    one.bundle(&["plan"]).fails_with(4).says(&["1 package has no wheel", "a 1.0  its wheels are not to be used"]);
    let all = Sandbox::new(&project("no-binary = true"));
    all.bundle(&["plan"]).fails_with(4).says(&["2 packages have no wheel"]);
    Sandbox::new(&project("no-binary = false")).bundle(&["plan"]).success();
}
