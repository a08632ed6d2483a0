//! `pylock.toml` (PEP 751): what it chooses, what it refuses, and every kind of source.

use std::fmt::Write as _;
use std::path::Path;

use sha2::{Digest as _, Sha512};

use crate::support::demo::can_build_local_code;
use crate::support::python::{host_platform, python};
use crate::support::wheel::WheelFile;
use crate::support::{Finished, Sandbox, Server, Wheel};

/// A project that is no package, with this lock beside it.
fn sandbox(lock: &str) -> Sandbox {
    let sandbox = Sandbox::empty();
    let pyproject = "[project]\nname = \"app\"\nversion = \"1\"\nrequires-python = \">=3.9\"\n\n\
        [tool.bundle]\nplatforms = [\"x86_64-manylinux2014\"]\npython = \"3.11\"\n";
    write(&sandbox, "pyproject.toml", pyproject);
    write(&sandbox, "pylock.toml", format!("lock-version = \"1.0\"\ncreated-by = \"tests\"\n{lock}"));
    sandbox
}

fn write(sandbox: &Sandbox, name: &str, data: impl AsRef<[u8]>) {
    let path = sandbox.project().join(name);
    std::fs::create_dir_all(path.parent().expect("a directory")).expect("directory");
    std::fs::write(path, data).expect("file");
}

/// A package with one pure wheel that nobody serves, and further TOML.
fn package(name: &str, version: &str, rest: &str) -> String {
    let file = format!("{}-{version}-py3-none-any.whl", name.replace('-', "_"));
    let hash = "0".repeat(64);
    format!(
        "[[packages]]\nname = \"{name}\"\nversion = \"{version}\"\n{rest}\n\
         wheels = [{{ url = \"https://files.test/{file}\", hashes = {{ sha256 = \"{hash}\" }} }}]\n"
    )
}

/// What is packed, as `name version`.
fn packages(plan: &Finished) -> Vec<String> {
    let plan = plan.json();
    let packages = plan["targets"][0]["packages"].as_array().expect("packages");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("-").to_owned();
    packages.iter().map(|package| format!("{} {}", text(&package["name"]), text(&package["version"]))).collect()
}

#[track_caller]
fn check(sandbox: &Sandbox, flags: &[&str], expected: &[&str]) {
    assert_eq!(packages(&sandbox.bundle(&["plan", "--json"]).args(flags).success()), expected, "{flags:?}");
}

#[test]
fn markers_ask_for_extras_and_groups() {
    let lock = [
        "extras = [\"web\", \"cli\"]\ndependency-groups = [\"test\", \"docs\"]\ndefault-groups = [\"usual\"]\n"
            .to_owned(),
        package("always", "1.0", ""),
        package("for-web", "1.0", "marker = \"'web' in extras\""),
        package("for-either", "1.0", "marker = \"'web' in extras or 'cli' in extras\""),
        package("for-both", "1.0", "marker = \"'cli' in extras and 'docs' in dependency_groups\""),
        package("not-for-test", "1.0", "marker = \"'test' not in dependency_groups\""),
        package("usually", "1.0", "marker = \"'usual' in dependency_groups\""),
        package("on-windows", "1.0", "marker = \"sys_platform == 'win32'\""),
        package("for-old", "1.0", "marker = \"python_version < '3.11' and 'web' in extras\""),
    ];
    let sandbox = sandbox(&lock.concat());
    check(&sandbox, &[], &["always 1.0", "not-for-test 1.0", "usually 1.0"]);
    let web = ["always 1.0", "for-either 1.0", "for-web 1.0", "not-for-test 1.0", "usually 1.0"];
    check(&sandbox, &["--extra", "WEB"], &web);
    check(&sandbox, &["--group", "test"], &["always 1.0", "usually 1.0"]);
    let both = ["always 1.0", "for-both 1.0", "for-either 1.0", "not-for-test 1.0", "usually 1.0"];
    check(&sandbox, &["--extra", "cli", "--group", "docs"], &both);
    let all = ["always 1.0", "for-both 1.0", "for-either 1.0", "for-web 1.0", "usually 1.0"];
    check(&sandbox, &["--all-extras", "--all-groups"], &all);
    let old = ["always 1.0", "for-either 1.0", "for-old 1.0", "for-web 1.0", "not-for-test 1.0", "usually 1.0"];
    check(&sandbox, &["--extra", "web", "--python", "3.10"], &old);
    sandbox.bundle(&["plan", "--extra", "wep"]).fails_with(3).says(&["extra `wep`", "did you mean `web`?"]);
    sandbox.bundle(&["plan", "--group", "none"]).fails_with(3).says(&["group `none`", "`docs`, `test`"]);
}

#[test]
fn it_is_only_for_the_environments_and_pythons_that_it_names() {
    let rest = package("thing", "1.0", "");
    let of_windows = sandbox(&format!("environments = [\"sys_platform == 'win32'\"]\n{rest}"));
    of_windows.bundle(&["plan"]).fails_with(4).says(&["was not made for x86_64-manylinux2014 with Python 3.11"]);
    let of_two = sandbox(&format!(
        "environments = [\"sys_platform == 'win32'\", \"sys_platform == 'linux' and python_version >= '3.11'\"]\n{rest}"
    ));
    check(&of_two, &[], &["thing 1.0"]);
    of_two.bundle(&["plan", "--python", "3.10"]).fails_with(4).says(&["with Python 3.10"]);
    let new = sandbox(&format!("requires-python = \">=3.12\"\n{rest}"));
    new.bundle(&["plan"]).fails_with(4).says(&["Python 3.11 was asked for", ">=3.12"]);
    check(&new, &["--python", "3.12"], &["thing 1.0"]);
}

#[test]
fn a_package_that_is_selected_for_the_wrong_python_is_an_error() {
    let lock = [
        package("fine", "1.0", "requires-python = \">=3.9\""),
        package("unmet", "1.0", "requires-python = \">=3.12\"\nmarker = \"sys_platform == 'linux'\""),
        package("unused", "1.0", "requires-python = \">=3.14\"\nmarker = \"sys_platform == 'win32'\""),
    ];
    let sandbox = sandbox(&lock.concat());
    sandbox.bundle(&["plan"]).fails_with(4).says(&["`unmet`", ">=3.12", "3.11"]);
    check(&sandbox, &["--python", "3.12"], &["fine 1.0", "unmet 1.0"]);
}

#[test]
fn two_versions_of_a_package_at_once_are_an_error() {
    let lock = [
        package("thing", "1.0", "marker = \"python_version < '3.12'\""),
        package("thing", "2.0", "marker = \"python_version >= '3.11'\""),
    ];
    let sandbox = sandbox(&lock.concat());
    check(&sandbox, &["--python", "3.10"], &["thing 1.0"]);
    sandbox.bundle(&["plan"]).fails_with(4).says(&["`thing`", "1.0", "2.0"]);
    check(&sandbox, &["--python", "3.12"], &["thing 2.0"]);
}

#[test]
fn edges_and_tools_tables_decide_nothing() {
    let lock = [
        package("one", "1.0", "dependencies = [{ name = \"other\" }]\ntool = { made-up = { groups = [\"x\"] } }"),
        package("other", "1.0", "marker = \"sys_platform == 'win32'\""),
        "[tool.made-up]\nextras = [\"nothing\"]\n".to_owned(),
    ];
    check(&sandbox(&lock.concat()), &[], &["one 1.0"]);
}

#[test]
fn a_package_has_files_of_one_kind() {
    let head = |name: &str| format!("[[packages]]\nname = \"{name}\"\nversion = \"1.0\"\n");
    let hashes = format!("hashes = {{ sha256 = \"{}\" }}", "0".repeat(64));
    for (lock, said) in [
        (head("none"), "`none` has no source"),
        (
            format!(
                "{}directory = {{ path = \".\" }}\nsdist = {{ url = \"https://files.test/a-1.tar.gz\", {hashes} }}\n",
                head("both")
            ),
            "`both` has sources of several kinds",
        ),
        (
            format!("{}wheels = [{{ path = \"x-1.0-py3-none-any.whl\", hashes = {{ md5 = \"00\" }} }}]\n", head("x")),
            "`x` has only hashes of unknown or weak kinds: md5",
        ),
        (format!("{}wheels = [{{ {hashes} }}]\n", head("x")), "neither `path` nor `url`"),
        (format!("{}wheels = [{{ path = \"y-1.0-py3-none-any.whl\", {hashes} }}]\n", head("x")), "under package `x`"),
        (format!("{}vcs = {{ type = \"hg\", url = \"https://hg.test/x\", commit-id = \"1\" }}\n", head("x")), "`hg`"),
    ] {
        sandbox(&lock).bundle(&["plan"]).fails_with(3).says(&["pylock.toml", said]);
    }
    let sandbox = sandbox("");
    for version in ["2.0", "0.1", "next"] {
        write(
            &sandbox,
            "pylock.toml",
            format!("lock-version = \"{version}\"\ncreated-by = \"tests\"\npackages = []\n"),
        );
        sandbox.bundle(&["plan"]).fails_with(3).says(&["pylock.toml", version]);
    }
    // A later minor version may hold more, and is read.
    write(&sandbox, "pylock.toml", "lock-version = \"1.9\"\ncreated-by = \"tests\"\nnews = true\npackages = []\n");
    check(&sandbox, &[], &[]);
}

/// A wheel of one module that prints its name.
fn module(name: &str) -> WheelFile {
    Wheel::new(name, "1.0").file(&format!("{name}.py"), format!("print('{name}', end=' ')\n")).build()
}

/// TOML of a wheel's length and hash.
fn promises(wheel: &WheelFile) -> String {
    format!("size = {}, hashes = {{ sha256 = \"{}\" }}", wheel.bytes.len(), wheel.sha256())
}

/// A build for this machine from a lock of this name.
fn build(sandbox: &Sandbox, lock: &str) -> Finished {
    let output = sandbox.path("artifact");
    let run = sandbox.bundle(&["build", "--lock", lock, "--platform", &host_platform(), "--python"]);
    run.arg(&python().minor_version).arg("--output").arg(output).finish()
}

#[track_caller]
fn runs(sandbox: &Sandbox, code: &str, expected: &str) {
    let finished = sandbox.run(sandbox.path("artifact")).args(["-c", code]).success();
    assert_eq!(finished.stdout, expected);
}

#[test]
fn wheels_come_from_urls_and_paths_and_may_have_a_name_of_their_own() {
    let server = Server::start();
    let [by_url, by_path, by_name, preferred, archive, local] =
        ["by_url", "by_path", "by_name", "preferred", "archive", "archive_here"].map(module);
    for wheel in [&by_url, &archive] {
        server.publish(wheel);
    }
    let mut lock = String::new();
    let mut add = |name: &str, source: String| {
        let _ = writeln!(lock, "[[packages]]\nname = \"{name}\"\nversion = \"1.0\"\n{source}\n");
    };
    add("by-url", format!("wheels = [{{ url = \"{}\", {} }}]", server.url(&by_url.filename), promises(&by_url)));
    add("by-path", format!("wheels = [{{ path = \"wheels/{}\", {} }}]", by_path.filename, promises(&by_path)));
    add(
        "by-name",
        format!("wheels = [{{ name = \"{}\", path = \"wheels/blob\", {} }}]", by_name.filename, promises(&by_name)),
    );
    // `path` wins over `url`, which nobody serves.
    let both = format!("url = \"{}\", path = \"wheels/{}\"", server.url("nowhere"), preferred.filename);
    add("preferred", format!("wheels = [{{ name = \"{}\", {both}, {} }}]", preferred.filename, promises(&preferred)));
    add("archive", format!("archive = {{ url = \"{}\", {} }}", server.url(&archive.filename), promises(&archive)));
    add("archive-here", format!("archive = {{ path = \"wheels/{}\", {} }}", local.filename, promises(&local)));
    let sandbox = sandbox(&lock);
    for wheel in [&by_path, &preferred, &local] {
        write(&sandbox, &format!("wheels/{}", wheel.filename), &wheel.bytes);
    }
    write(&sandbox, "wheels/blob", &by_name.bytes);
    assert!(build(&sandbox, "pylock.toml").status.success());
    let code = "import by_url, by_path, by_name, preferred, archive, archive_here";
    runs(&sandbox, code, "by_url by_path by_name preferred archive archive_here ");
}

#[test]
fn directories_are_built() {
    if !can_build_local_code() {
        return;
    }
    let sandbox = sandbox(
        "[[packages]]\nname = \"code\"\ndirectory = { path = \"libs\", subdirectory = \"code\", editable = true }\n",
    );
    let pyproject = "[project]\nname = \"code\"\nversion = \"3\"\n\n\
        [build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n";
    let description =
        r#"{"name": "code", "version": "3", "dependencies": [], "scripts": [], "packages": ["code_of_ours"]}"#;
    write(&sandbox, "libs/code/pyproject.toml", pyproject);
    write(&sandbox, "libs/code/backend.py", include_bytes!("support/backend.py"));
    write(&sandbox, "libs/code/backend.json", description);
    write(&sandbox, "libs/code/code_of_ours/__init__.py", "print('ours')\n");
    let built = build(&sandbox, "pylock.toml");
    assert!(built.status.success(), "{}", built.stderr);
    runs(&sandbox, "import code_of_ours", "ours\n");
}

#[test]
fn commits_of_repositories_are_named() {
    let sandbox = sandbox(
        "[[packages]]\nname = \"from-git\"\nversion = \"1.0\"\n\
         vcs = { type = \"git\", url = \"https://git.test/x.git\", requested-revision = \"main\", \
         commit-id = \"0123456789abcdef0123456789abcdef01234567\", subdirectory = \"python\" }\n",
    );
    let plan = sandbox.bundle(&["plan", "--json"]).finish().json();
    let shown = plan["targets"][0]["packages"][0].to_string();
    for part in ["from-git", "https://git.test/x.git", "python", "0123456789abcdef0123456789abcdef01234567"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
}

#[test]
fn size_and_hashes_are_verified() {
    let wheel = module("thing");
    let (size, sha256) = (wheel.bytes.len(), wheel.sha256());
    let sha512 = Sha512::digest(&wheel.bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    let wrong = "ab".repeat(32);
    let wrong_long = "ab".repeat(64);
    let cases = [
        (format!("hashes = {{ sha256 = \"{sha256}\" }}"), true),
        (format!("hashes = {{ sha512 = \"{sha512}\" }}"), true),
        (format!("size = {size}, hashes = {{ sha256 = \"{sha256}\", sha512 = \"{sha512}\", md5 = \"x\" }}"), true),
        (format!("size = {}, hashes = {{ sha256 = \"{sha256}\" }}", size + 1), false),
        (format!("hashes = {{ sha256 = \"{wrong}\" }}"), false),
        (format!("hashes = {{ sha512 = \"{wrong_long}\" }}"), false),
        (format!("hashes = {{ sha256 = \"{sha256}\", sha512 = \"{wrong_long}\" }}"), false),
        (format!("hashes = {{ sha256 = \"{wrong}\", sha512 = \"{sha512}\" }}"), false),
    ];
    for (promise, is_kept) in cases {
        for place in ["url", "path"] {
            let server = Server::start();
            server.publish(&wheel);
            let where_it_is = match place {
                "url" => server.url(&wheel.filename),
                _ => wheel.filename.clone(),
            };
            let sandbox = sandbox(&format!(
                "[[packages]]\nname = \"thing\"\nversion = \"1.0\"\nwheels = [{{ {place} = \"{where_it_is}\", {promise} }}]\n"
            ));
            write(&sandbox, &wheel.filename, &wheel.bytes);
            let built = build(&sandbox, "pylock.toml");
            let expected = if is_kept { 0 } else { 6 };
            assert_eq!(built.status.code(), Some(expected), "{place}, {promise}:\n{}", built.stderr);
            if !is_kept {
                built.says(&["thing-1.0-py3-none-any.whl", "the lock expects"]);
            }
        }
    }
}

#[test]
fn a_source_distribution_with_a_weak_hash_is_in_the_way_only_if_it_is_needed() {
    let weak = "archive = { url = \"https://files.test/weak-1.0.tar.gz\", hashes = { sha1 = \"00\" } }\n";
    let with = |marker: &str| {
        let head = format!("[[packages]]\nname = \"weak\"\nversion = \"1.0\"\nmarker = \"{marker}\"\n");
        sandbox(&(head + weak + &package("thing", "1.0", "")))
    };
    check(&with("sys_platform == 'win32'"), &[], &["thing 1.0"]);
    with("sys_platform == 'linux'").bundle(&["plan"]).fails_with(4).says(&["weak"]);
}

#[test]
fn a_lock_may_have_a_name_of_its_own() {
    let sandbox = sandbox(&package("usual", "1.0", ""));
    let head = "lock-version = \"1.0\"\ncreated-by = \"tests\"\n";
    write(&sandbox, "pylock.jobs.toml", format!("{head}{}", package("of-jobs", "1.0", "")));
    check(&sandbox, &["--lock", "pylock.jobs.toml"], &["of-jobs 1.0"]);
    check(&sandbox, &["--lock", "pylock.toml"], &["usual 1.0"]);
    sandbox.bundle(&["plan"]).fails_with(3).says(&["pylock.jobs.toml", "pylock.toml", "--lock"]);
    std::fs::remove_file(sandbox.project().join("pylock.toml")).expect("the lock");
    check(&sandbox, &[], &["of-jobs 1.0"]);
}

/// Runs `plan` on a genuine lock of `fixtures/tally`.
fn plan_tally(lock: &str, platform: &str, python: &str) -> Finished {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tally");
    let run = Sandbox::empty().bundle(&["plan", "--json", "--platform", platform, "--python", python]);
    run.current_dir(&project).arg("--lock").arg(lock).finish()
}

#[test]
fn what_uv_exports_is_for_every_target() {
    for (platform, wheel) in [
        ("x86_64-manylinux2014", "manylinux_2_17_x86_64.manylinux2014_x86_64"),
        ("aarch64-manylinux_2_28", "manylinux_2_17_aarch64.manylinux2014_aarch64"),
        ("x86_64-musllinux_1_2", "musllinux_1_2_x86_64"),
    ] {
        for (python, tag) in [("3.11", "cp311"), ("3.13", "cp313")] {
            let plan = plan_tally("pylock.uv.toml", platform, python);
            assert!(plan.status.success(), "{platform} {python}: {}", plan.stderr);
            let expected = format!("orjson-3.13.0-{tag}-{tag}-{wheel}.whl");
            assert!(plan.stdout.contains(&expected), "{expected} in {}", plan.stdout);
        }
    }
}

#[test]
fn what_pip_locks_is_for_one_target_and_says_what_others_lack() {
    let plan = plan_tally("pylock.pip.toml", "x86_64-manylinux2014", "3.11");
    assert!(plan.status.success(), "{}", plan.stderr);
    for (platform, python, axis) in
        [("x86_64-manylinux2014", "3.13", "python"), ("aarch64-manylinux2014", "3.11", "platform")]
    {
        let plan = plan_tally("pylock.pip.toml", platform, python);
        assert_eq!(plan.status.code(), Some(4), "{}", plan.stderr);
        let problems = plan.json()["targets"][0]["problems"].clone();
        let named: Vec<_> = problems.as_array().expect("problems").iter().map(|problem| &problem["name"]).collect();
        assert_eq!(named, ["orjson", "pyyaml"], "{platform} {python}");
        assert_eq!(problems[0]["axis"], axis, "{platform} {python}: {problems:#}");
    }
}
