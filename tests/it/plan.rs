//! `bundle plan`: which distributions would be packed, and what it says when that cannot be decided.
//!
//! Nothing is served here: every URL has a `.test` host, except where a test counts requests.

use serde_json::Value;

use crate::support::python::ARCH;
use crate::support::{Finished, Member, Package, Project, Sandbox, Server, Wheel};

/// The packages of the only target of a plan, as `name version`.
fn packages(plan: &Finished) -> Vec<String> {
    packages_of(&plan.json()["targets"][0])
}

fn packages_of(target: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let packages = target["packages"].as_array().expect("packages");
    packages.iter().map(|package| format!("{} {}", text(&package["name"]), text(&package["version"]))).collect()
}

/// The file name chosen for a package.
fn filename<'a>(plan: &'a Value, name: &str) -> &'a str {
    let packages = plan["targets"][0]["packages"].as_array().expect("packages");
    let package = packages.iter().find(|package| package["name"] == name).expect("package");
    package["filename"].as_str().expect("file name")
}

/// A pure package that nobody serves.
fn pure(name: &str) -> Package {
    Package::unavailable(name, "1.0").wheel("py3-none-any")
}

fn lone(dependencies: &[&str]) -> Project {
    Project::for_fixed_target().member(Member::root("app").needs(dependencies))
}

#[test]
fn json_document() {
    let project = Project::for_fixed_target()
        .member(Member::root("My.App").needs(&[
            "fast-json",
            "Pure_Thing",
            "old-thing",
            "win-only ; sys_platform == 'win32'",
        ]))
        .package(
            Package::unavailable("fast-json", "3.10.0")
                .wheel("cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64")
                .wheel("cp311-cp311-manylinux_2_28_x86_64")
                .sdist(),
        )
        .package(Package::unavailable("pure-thing", "2!1.0+local").wheel("py2.py3-none-any"))
        .package(Package::unavailable("old-thing", "0.1").sdist())
        .package(pure("win-only"));
    let sandbox = Sandbox::new(&project);
    let plan = sandbox.bundle(&["plan", "--json"]).fails_with(4);
    insta::assert_snapshot!(plan.stdout, @r#"
    {
      "schema": 1,
      "lock": {
        "path": "uv.lock",
        "kind": "uv"
      },
      "apps": [
        "my-app"
      ],
      "targets": [
        {
          "platform": "x86_64-manylinux2014",
          "python": "3.11",
          "packages": [
            {
              "name": "fast-json",
              "version": "3.10.0",
              "source": "registry",
              "kind": "wheel",
              "filename": "fast_json-3.10.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
              "url": "https://files.test/fast_json-3.10.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
              "hash": "sha256:e733fbe67f2bff13e4593896a8f09985250c1323e7e1b632830772281012e18a",
              "size": 1000,
              "tag": "cp311-cp311-manylinux_2_17_x86_64"
            },
            {
              "name": "my-app",
              "version": "1.2.3",
              "source": "editable",
              "kind": "local",
              "path": "."
            },
            {
              "name": "old-thing",
              "version": "0.1",
              "source": "registry",
              "kind": "sdist",
              "filename": "old_thing-0.1.tar.gz",
              "url": "https://files.test/old_thing-0.1.tar.gz",
              "hash": "sha256:89a73f0d3706516981db62dcaba5de3fce0de9db0799fffe572e2491911eac6e",
              "size": 1000
            },
            {
              "name": "pure-thing",
              "version": "2!1.0+local",
              "source": "registry",
              "kind": "wheel",
              "filename": "pure_thing-2!1.0+local-py2.py3-none-any.whl",
              "url": "https://files.test/pure_thing-2!1.0+local-py2.py3-none-any.whl",
              "hash": "sha256:8b47cb55ffb662789b66c89a709b1d002c3d9c646a6311345461cab5459ebafe",
              "size": 1000,
              "tag": "py3-none-any"
            }
          ],
          "problems": [
            {
              "name": "old-thing",
              "version": "0.1",
              "axis": "none",
              "offers": [],
              "hint": "build a wheel of its source distribution and lock that"
            }
          ]
        }
      ]
    }
    "#);
}

#[test]
fn what_is_planned_for_two_platforms_is_told_apart() {
    let project = lone(&["intel ; platform_machine == 'x86_64'", "arm ; platform_machine == 'aarch64'"])
        .package(Package::unavailable("intel", "1.0").wheel("cp311-cp311-manylinux2014_x86_64"))
        .package(Package::unavailable("arm", "1.0").wheel("cp311-cp311-manylinux2014_aarch64"));
    let sandbox = Sandbox::new(&project);
    let arguments = ["plan", "--json", "--platform", "x86_64-manylinux2014", "--platform", "aarch64-manylinux2014"];
    let plan = sandbox.bundle(&arguments).success().json();
    assert_eq!(plan["targets"][0]["platform"], "x86_64-manylinux2014");
    assert_eq!(packages_of(&plan["targets"][0]), ["app 1.2.3", "intel 1.0"]);
    assert_eq!(plan["targets"][1]["platform"], "aarch64-manylinux2014");
    assert_eq!(packages_of(&plan["targets"][1]), ["app 1.2.3", "arm 1.0"]);
}

#[test]
fn the_best_wheel_is_chosen() {
    let project = lone(&["native", "stable", "rebuilt", "generic"])
        .package(
            Package::unavailable("native", "1.0")
                .wheel("py3-none-any")
                .wheel("cp310-cp310-manylinux2014_x86_64")
                .wheel("cp311-cp311-manylinux2010_x86_64")
                .wheel("cp311-cp311-manylinux2014_x86_64")
                .wheel("cp311-cp311-manylinux_2_28_x86_64")
                .wheel("cp311-cp311-musllinux_1_2_x86_64")
                .wheel("cp312-cp312-manylinux2014_x86_64"),
        )
        .package(
            Package::unavailable("stable", "1.0")
                .wheel("cp37-abi3-manylinux2014_x86_64")
                .wheel("cp39-abi3-manylinux2014_x86_64")
                .wheel("cp312-abi3-manylinux2014_x86_64"),
        )
        .package(
            Package::unavailable("rebuilt", "1.0")
                .wheel("py3-none-any")
                .wheel("2-py3-none-any")
                .wheel("10-py3-none-any"),
        )
        .package(Package::unavailable("generic", "1.0").wheel("py3-none-any").wheel("py3-none-manylinux2014_x86_64"));
    let plan = Sandbox::new(&project).bundle(&["plan", "--json"]).success().json();
    assert_eq!(filename(&plan, "native"), "native-1.0-cp311-cp311-manylinux2014_x86_64.whl");
    assert_eq!(filename(&plan, "stable"), "stable-1.0-cp39-abi3-manylinux2014_x86_64.whl");
    assert_eq!(filename(&plan, "rebuilt"), "rebuilt-1.0-10-py3-none-any.whl");
    assert_eq!(filename(&plan, "generic"), "generic-1.0-py3-none-manylinux2014_x86_64.whl");
}

#[test]
fn extras_are_packed_on_request_only() {
    let project = Project::for_fixed_target()
        .member(Member::root("app").needs(&["base"]).extra("metrics", &["prometheus"]).extra("trace", &["otel"]))
        .package(pure("base"))
        .package(pure("prometheus"))
        .package(pure("otel"));
    let sandbox = Sandbox::new(&project);
    let plan = |flags: &[&str]| packages(&sandbox.bundle(&[&["plan", "--json"], flags].concat()).success());
    assert_eq!(plan(&[]), ["app 1.2.3", "base 1.0"]);
    assert_eq!(plan(&["--extra", "metrics"]), ["app 1.2.3", "base 1.0", "prometheus 1.0"]);
    assert_eq!(plan(&["--extra", "Metrics", "--extra", "trace"]), plan(&["--all-extras"]));
    assert_eq!(plan(&["--all-extras"]), ["app 1.2.3", "base 1.0", "otel 1.0", "prometheus 1.0"]);
}

#[test]
fn extras_that_dependencies_ask_for_are_followed() {
    let project = lone(&["server[standard]"])
        .package(
            pure("server").needs(&["core"]).extra("standard", &["loop", "watch[fs]"]).extra("other", &["unwanted"]),
        )
        .package(pure("watch").extra("fs", &["notify"]))
        .package(pure("core"))
        .package(pure("loop"))
        .package(pure("notify"))
        .package(pure("unwanted"));
    let plan = Sandbox::new(&project).bundle(&["plan", "--json"]).success();
    assert_eq!(packages(&plan), ["app 1.2.3", "core 1.0", "loop 1.0", "notify 1.0", "server 1.0", "watch 1.0"]);
}

#[test]
fn groups_are_packed_on_request_only() {
    let project = Project::for_fixed_target()
        .member(Member::root("app").group("dev", &["pytest"]).group("docs", &["sphinx"]).group("gpu", &["torch"]))
        .package(pure("pytest"))
        .package(pure("sphinx"))
        .package(pure("torch"));
    let sandbox = Sandbox::new(&project);
    let plan = |flags: &[&str]| packages(&sandbox.bundle(&[&["plan", "--json"], flags].concat()).success());
    assert_eq!(plan(&[]), ["app 1.2.3"]);
    assert_eq!(plan(&["--group", "docs"]), ["app 1.2.3", "sphinx 1.0"]);
    assert_eq!(plan(&["--default-groups"]), ["app 1.2.3", "pytest 1.0"]);
    assert_eq!(plan(&["--all-groups"]), ["app 1.2.3", "pytest 1.0", "sphinx 1.0", "torch 1.0"]);
    assert_eq!(plan(&["--default-groups", "--group", "gpu"]), ["app 1.2.3", "pytest 1.0", "torch 1.0"]);
}

#[test]
fn default_groups_are_those_of_the_project() {
    let project = Project::for_fixed_target()
        .member(Member::root("app").group("dev", &["pytest"]).group("gpu", &["torch"]))
        .package(pure("pytest"))
        .package(pure("torch"));
    let with = |setting: &str| {
        let sandbox =
            Sandbox::new(&project.clone().configured_with(&format!("[tool.uv]\ndefault-groups = {setting}\n")));
        packages(&sandbox.bundle(&["plan", "--json", "--default-groups"]).success())
    };
    assert_eq!(with("[\"gpu\"]"), ["app 1.2.3", "torch 1.0"]);
    assert_eq!(with("[]"), ["app 1.2.3"]);
    assert_eq!(with("\"all\""), ["app 1.2.3", "pytest 1.0", "torch 1.0"]);
}

#[test]
fn an_unknown_extra_is_refused() {
    let project = lone(&[]).member(Member::in_workspace("other").extra("metrics", &[]).extra("trace", &[]));
    let sandbox = Sandbox::new(&project);
    let near = sandbox.bundle(&["plan", "--package", "other", "--extra", "metric"]).fails_with(3);
    near.says(&["`metric`", "`other`"]);
    assert_eq!(near.line("hint: "), "did you mean `metrics`?");
    let far = sandbox.bundle(&["plan", "--package", "other", "--extra", "gpu"]).fails_with(3);
    assert!(far.line("hint: ").contains("`metrics`, `trace`"));
    let none = sandbox.bundle(&["plan", "--package", "app", "--extra", "gpu"]).fails_with(3);
    none.says(&["`gpu`", "`app`"]);
}

#[test]
fn an_unknown_group_is_refused() {
    let sandbox = Sandbox::new(
        &Project::for_fixed_target()
            .member(Member::root("app").group("docs", &[]).group("gpu", &["torch"]))
            .package(pure("torch")),
    );
    let finished = sandbox.bundle(&["plan", "--group", "tests"]).fails_with(3);
    finished.says(&["group `tests`", "`app`"]);
    assert!(finished.line("hint: ").contains("`gpu`"));
}

#[test]
fn an_unknown_app_is_refused() {
    let project = lone(&[])
        .member(Member::in_workspace("worker"))
        .configured_with("[tool.bundle.apps.frontend]\npackage = \"worker\"\n");
    let sandbox = Sandbox::new(&project);
    let near = sandbox.bundle(&["plan", "wroker"]).fails_with(3);
    near.says(&["`wroker`"]);
    assert_eq!(near.line("hint: "), "did you mean `worker`?");
    let far = sandbox.bundle(&["plan", "database"]).fails_with(3);
    let hint = far.line("hint: ");
    assert!(["`app`", "`worker`", "`frontend`"].iter().all(|name| hint.contains(name)), "{hint}");
}

#[test]
fn an_unknown_package_is_refused() {
    // A package of the lock that is no project of it does not count.
    let project = lone(&["anyio"]).member(Member::in_workspace("worker")).package(pure("anyio"));
    let finished = Sandbox::new(&project).bundle(&["plan", "--package", "anyio"]).fails_with(3);
    finished.says(&["`anyio`"]);
    let hint = finished.line("hint: ");
    assert!(hint.contains("`app`") && hint.contains("`worker`"), "{hint}");
}

#[test]
fn a_minor_version_stands_for_all_its_patch_releases() {
    let project = lone(&["redis"])
        .package(pure("redis").needs(&["async-timeout ; python_full_version < '3.11.3'"]))
        .package(pure("async-timeout"));
    let sandbox = Sandbox::new(&project);
    let plan = |python| packages(&sandbox.bundle(&["plan", "--json", "--python", python]).success());
    let with = ["app 1.2.3", "async-timeout 1.0", "redis 1.0"];
    let without = ["app 1.2.3", "redis 1.0"];
    assert_eq!(plan("3.11"), with);
    assert_eq!(plan("3.11.2"), with);
    assert_eq!(plan("3.11.3"), without);
    assert_eq!(plan("3.10"), with);
    assert_eq!(plan("3.12"), without);

    let from_3_11_4 = Sandbox::new(&project.requires_python(">=3.11.4"));
    assert_eq!(packages(&from_3_11_4.bundle(&["plan", "--json", "--python", "3.11"]).success()), without);
}

#[test]
fn two_versions_by_patch_release_need_an_exact_one() {
    let project =
        lone(&["compat==1.0 ; python_full_version < '3.11.3'", "compat==2.0 ; python_full_version >= '3.11.3'"])
            .package(pure("compat"))
            .package(Package::unavailable("compat", "2.0").wheel("py3-none-any"));
    let sandbox = Sandbox::new(&project);
    let finished = sandbox.bundle(&["plan", "--json"]).fails_with(4);
    finished.says(&["`compat`", "1.0", "2.0"]);
    let hint = finished.line("hint: ").to_owned();
    let exact = hint.split("--python ").nth(1).expect("a version in the hint").trim_matches(['`', '.']);
    assert!(exact.starts_with("3.11."), "{hint}");
    sandbox.bundle(&["plan", "--json", "--python", exact]).success();

    let plan = |python| packages(&sandbox.bundle(&["plan", "--json", "--python", python]).success());
    assert_eq!(plan("3.11.2"), ["app 1.2.3", "compat 1.0"]);
    assert_eq!(plan("3.11.3"), ["app 1.2.3", "compat 2.0"]);
    assert_eq!(plan("3.12"), ["app 1.2.3", "compat 2.0"]);
}

#[test]
fn versions_by_fork_are_told_apart() {
    let project =
        lone(&["numpy==1.26.0 ; python_full_version < '3.12'", "numpy==2.4.0 ; python_full_version >= '3.12'"])
            .package(Package::unavailable("numpy", "1.26.0").wheel("py3-none-any"))
            .package(Package::unavailable("numpy", "2.4.0").wheel("py3-none-any"));
    let sandbox = Sandbox::new(&project);
    let plan = |python| packages(&sandbox.bundle(&["plan", "--json", "--python", python]).success());
    assert_eq!(plan("3.11"), ["app 1.2.3", "numpy 1.26.0"]);
    assert_eq!(plan("3.12"), ["app 1.2.3", "numpy 2.4.0"]);
}

#[test]
fn everything_that_does_not_fit_is_reported_at_once() {
    let server = Server::start();
    let project = unfit(&server);
    let sandbox = Sandbox::new(&project);

    let plan = sandbox.bundle(&["plan", "--json"]).fails_with(4);
    let (_, problems) = plan.stdout.split_once("\"problems\": ").expect("problems");
    insta::assert_snapshot!(problems, @r#"
    [
            {
              "name": "other-abi",
              "version": "1.0",
              "axis": "abi",
              "offers": [
                "cp311-cp311d"
              ],
              "hint": "lock another version, or choose another platform"
            },
            {
              "name": "other-arch",
              "version": "1.0",
              "axis": "platform",
              "offers": [
                "macosx_11_0_arm64"
              ],
              "hint": "lock another version, or choose another platform"
            },
            {
              "name": "source-only",
              "version": "1.0",
              "axis": "none",
              "offers": [],
              "hint": "build a wheel of its source distribution and lock that"
            },
            {
              "name": "too-new",
              "version": "2.2.0",
              "axis": "platform",
              "offers": [
                "manylinux_2_28_x86_64",
                "manylinux_2_31_x86_64"
              ],
              "hint": "--platform x86_64-manylinux_2_28"
            },
            {
              "name": "too-old",
              "version": "1.0",
              "axis": "python",
              "offers": [
                "cp38",
                "cp39"
              ],
              "hint": "--python 3.9"
            }
          ]
        }
      ]
    }
    "#);

    let table = sandbox.bundle(&["plan"]).fails_with(4);
    let text = table.stdout.clone() + &table.stderr;
    for name in ["too-new", "too-old", "other-abi", "other-arch", "source-only"] {
        assert!(text.contains(name), "`{name}` is not in:\n{text}");
    }
    table.says(&["error: ", "hint: "]);
    assert_eq!(server.requests(), 0);
}

#[test]
fn nothing_is_downloaded_for_a_build_that_does_not_fit() {
    let server = Server::start();
    let sandbox = Sandbox::new(&unfit(&server));
    let build = sandbox.bundle(&["build"]).fails_with(4);
    build.says(&[
        "error: ",
        "too-new",
        "manylinux_2_28",
        "too-old",
        "other-abi",
        "other-arch",
        "source-only",
        "hint: ",
    ]);
    assert_eq!(server.requests(), 0);
    assert!(!sandbox.project().join("dist").exists());
}

/// One good package that is served, and one for each way not to fit.
fn unfit(server: &Server) -> Project {
    lone(&["fits", "too-new", "too-old", "other-abi", "other-arch", "source-only"])
        .package(Package::served(server, &Wheel::new("fits", "1.0").file("fits.py", "").build()))
        .package(
            Package::unavailable("too-new", "2.2.0")
                .wheel("cp311-cp311-manylinux_2_31_x86_64")
                .wheel("cp311-cp311-manylinux_2_28_x86_64")
                .wheel("cp312-cp312-manylinux2014_x86_64"),
        )
        .package(
            Package::unavailable("too-old", "1.0")
                .wheel("cp38-cp38-manylinux2014_x86_64")
                .wheel("cp39-cp39-manylinux2014_x86_64"),
        )
        .package(Package::unavailable("other-abi", "1.0").wheel("cp311-cp311d-manylinux2014_x86_64"))
        .package(Package::unavailable("other-arch", "1.0").wheel("cp311-cp311-macosx_11_0_arm64"))
        .package(Package::unavailable("source-only", "1.0").sdist())
}

#[test]
fn a_python_outside_requires_python_is_refused() {
    let sandbox = Sandbox::new(&lone(&[]).requires_python(">=3.11.4,<3.13"));
    for python in ["3.10", "3.13", "3.11.3"] {
        let finished = sandbox.bundle(&["plan", "--python", python]).fails_with(4);
        finished.says(&[python, ">=3.11.4", "<3.13", "hint: "]);
    }
    sandbox.bundle(&["plan", "--python", "3.11"]).success();
}

#[test]
fn an_environment_that_the_lock_was_not_made_for_is_refused() {
    let project = lone(&[])
        .lock_head("supported-markers = [\"sys_platform == 'darwin'\"]\n")
        .configured_with("[tool.uv]\nenvironments = [\"sys_platform == 'darwin'\"]\n");
    Sandbox::new(&project).bundle(&["plan"]).fails_with(4).says(&["x86_64-manylinux2014", "3.11"]);
}

#[test]
fn what_is_no_platform_is_refused_with_a_list() {
    let sandbox = Sandbox::new(&lone(&[]));
    for platform in ["x86_64", "win_amd64", "x86_64-manylinux_3_17"] {
        let finished = sandbox.bundle(&["plan", "--platform", platform]).fails_with(2);
        finished.says(&["error: ", platform, "x86_64-manylinux2014", "aarch64-manylinux_2_28", "x86_64-musllinux_1_2"]);
    }
}

#[test]
fn what_is_no_python_version_is_refused() {
    let sandbox = Sandbox::new(&lone(&[]));
    for python in ["3", "2.7", "latest"] {
        sandbox.bundle(&["plan", "--python", python]).fails_with(2).says(&["error: ", python, "hint: ", "`3.11`"]);
    }
}

#[test]
fn platforms_are_listed() {
    let finished = Sandbox::empty().bundle(&["platforms"]).success();
    let first_words: Vec<&str> = finished.stdout.lines().filter_map(|line| line.split_whitespace().next()).collect();
    for platform in ["x86_64-manylinux2014", "aarch64-manylinux2014", "x86_64-musllinux_1_2"] {
        assert!(first_words.contains(&platform), "{platform} is not in {first_words:?}");
    }
    assert!(finished.stdout.contains("glibc 2.17"));
}

#[test]
fn the_native_platform_is_that_of_this_machine() {
    let sandbox = Sandbox::new(&lone(&[]));
    let plan = sandbox.bundle(&["plan", "--json", "--platform", "native"]).success().json();
    let platform = plan["targets"][0]["platform"].as_str().expect("platform");
    assert!(platform.starts_with(&format!("{ARCH}-")), "{platform}");
}

#[test]
fn another_version_of_the_lock_is_told_apart_from_a_broken_one() {
    let sandbox = Sandbox::new(&lone(&[]));
    let lock = sandbox.project().join("uv.lock");
    std::fs::write(&lock, "version = 2\npackages = 7\n").expect("lock");
    let finished = sandbox.bundle(&["plan"]).fails_with(3);
    finished.says(&["uv.lock", "version 2", "expected version 1", "hint: "]);
}

#[test]
fn a_malformed_lock_is_refused_with_its_line() {
    let sandbox = Sandbox::new(&lone(&[]));
    let lock = sandbox.project().join("uv.lock");
    let text = std::fs::read_to_string(&lock).expect("lock");
    std::fs::write(&lock, text + "<<<<<<< HEAD\n").expect("lock");
    let finished = sandbox.bundle(&["plan"]).fails_with(3);
    finished.says(&["uv.lock", "<<<<<<< HEAD", "line ", "hint: "]);
}

#[test]
fn a_lock_that_contradicts_itself_is_refused() {
    let sandbox = Sandbox::new(&lone(&["anyio"]));
    sandbox.bundle(&["plan"]).fails_with(3).says(&["uv.lock", "`anyio`", "`app`", "hint: "]);
}

#[test]
fn a_project_without_lock_is_refused() {
    let sandbox = Sandbox::new(&lone(&[]));
    std::fs::remove_file(sandbox.project().join("uv.lock")).expect("lock");
    let finished = sandbox.bundle(&["plan"]).fails_with(3);
    finished.says(&["no lock file", "uv lock"]);
    finished.line("hint: ");
}

#[test]
fn a_project_that_is_not_there_is_refused() {
    let finished = Sandbox::empty().bundle(&["plan", "--project", "nowhere"]).fails_with(3);
    finished.says(&["`nowhere`", "hint: "]);
}

#[test]
fn configuration_that_is_not_understood_is_refused() {
    let sandbox = Sandbox::new(&lone(&[]).configured("[tool.bundle]\nplatfroms = [\"native\"]\n"));
    sandbox.bundle(&["plan"]).fails_with(3).says(&["pyproject.toml", "platfroms", "platforms"]);
}

#[test]
fn conflicting_choices_are_refused() {
    let project = Project::for_fixed_target()
        .member(
            Member::root("app")
                .needs(&["torch==2.0 ; extra == 'extra-3-app-cpu'", "torch==2.1 ; extra == 'extra-3-app-gpu'"])
                .extra("cpu", &["torch==2.0"])
                .extra("gpu", &["torch==2.1"]),
        )
        .package(Package::unavailable("torch", "2.0").wheel("py3-none-any"))
        .package(Package::unavailable("torch", "2.1").wheel("py3-none-any"))
        .lock_head("conflicts = [[{ package = \"app\", extra = \"cpu\" }, { package = \"app\", extra = \"gpu\" }]]\n")
        .configured_with("[tool.uv]\nconflicts = [[{ extra = \"cpu\" }, { extra = \"gpu\" }]]\n");
    let sandbox = Sandbox::new(&project);
    let plan = |flags: &[&str]| packages(&sandbox.bundle(&[&["plan", "--json"], flags].concat()).success());
    assert_eq!(plan(&[]), ["app 1.2.3"]);
    assert_eq!(plan(&["--extra", "cpu"]), ["app 1.2.3", "torch 2.0"]);
    assert_eq!(plan(&["--extra", "gpu"]), ["app 1.2.3", "torch 2.1"]);
    let finished = sandbox.bundle(&["plan", "--extra", "cpu", "--extra", "gpu"]).fails_with(3);
    finished.says(&["app[cpu]", "app[gpu]", "conflict"]);
}

/// A root that needs `base`, and two members; each of the three needs a package of its own.
fn workspace() -> Project {
    Project::for_fixed_target()
        .member(Member::root("app").needs(&["shared", "base"]))
        .member(Member::in_workspace("shared").needs(&["common"]))
        .member(Member::in_workspace("worker").needs(&["shared", "queue"]))
        .package(pure("base"))
        .package(pure("common"))
        .package(pure("queue"))
}

#[test]
fn a_member_is_found_from_its_directory() {
    let sandbox = Sandbox::new(&workspace());
    let of_worker = ["common 1.0", "queue 1.0", "shared 1.2.3", "worker 1.2.3"];
    let directory = sandbox.project().join("packages/worker/worker");
    std::fs::create_dir_all(&directory).expect("directory");
    assert_eq!(packages(&sandbox.bundle(&["plan", "--json"]).current_dir(&directory).success()), of_worker);
    let project = directory.to_str().expect("UTF-8");
    assert_eq!(packages(&sandbox.bundle(&["plan", "--json", "--project", project]).success()), of_worker);
    assert_eq!(packages(&sandbox.bundle(&["plan", "--json", "worker"]).success()), of_worker);
    assert_eq!(packages(&sandbox.bundle(&["plan", "--json", "--package", "worker"]).success()), of_worker);
}

#[test]
fn the_root_is_planned_alone_unless_all_are_asked_for() {
    let sandbox = Sandbox::new(&workspace());
    let plan = |flags: &[&str]| packages(&sandbox.bundle(&[&["plan", "--json"], flags].concat()).success());
    let of_root = ["app 1.2.3", "base 1.0", "common 1.0", "shared 1.2.3"];
    let of_all = ["app 1.2.3", "base 1.0", "common 1.0", "queue 1.0", "shared 1.2.3", "worker 1.2.3"];
    assert_eq!(plan(&[]), of_root);
    assert_eq!(plan(&["--all-packages"]), of_all);
    assert_eq!(plan(&["app", "worker"]), of_all);
    assert_eq!(plan(&["--package", "app", "--package", "worker"]), of_all);
}

#[test]
fn a_root_without_project_stands_for_all_members() {
    let project = Project::for_fixed_target()
        .member(Member::in_workspace("api").needs(&["web"]))
        .member(Member::in_workspace("worker").needs(&["queue"]).without_build_system())
        .package(pure("web"))
        .package(pure("queue"))
        .package(pure("ruff"))
        .manifest("[manifest.dependency-groups]\ndev = [{ name = \"ruff\" }]\n")
        .configured_with("[dependency-groups]\ndev = [\"ruff\"]\n");
    let sandbox = Sandbox::new(&project);
    let plan = |flags: &[&str]| packages(&sandbox.bundle(&[&["plan", "--json"], flags].concat()).success());
    assert_eq!(plan(&[]), ["api 1.2.3", "queue 1.0", "web 1.0", "worker 1.2.3"]);
    assert_eq!(plan(&["--group", "dev"]), ["api 1.2.3", "queue 1.0", "ruff 1.0", "web 1.0", "worker 1.2.3"]);
    assert_eq!(plan(&["api"]), ["api 1.2.3", "web 1.0"]);
}

#[test]
fn apps_are_planned_as_they_are_configured() {
    let project = workspace().configured(
        r#"
        [tool.bundle]
        platforms = ["x86_64-manylinux2014"]
        python = "3.12"

        [tool.bundle.apps.jobs]
        package = "worker"
        platforms = ["aarch64-manylinux_2_28"]
        python = "3.11"
        "#,
    );
    let sandbox = Sandbox::new(&project);
    let plan = sandbox.bundle(&["plan", "jobs", "--json"]).success().json();
    assert_eq!(plan["apps"], serde_json::json!(["jobs"]));
    assert_eq!(plan["targets"][0]["platform"], "aarch64-manylinux_2_28");
    assert_eq!(plan["targets"][0]["python"], "3.11");
    assert_eq!(packages_of(&plan["targets"][0]), ["common 1.0", "queue 1.0", "shared 1.2.3", "worker 1.2.3"]);
    let plan = sandbox.bundle(&["plan", "app", "--json"]).success().json();
    assert_eq!(plan["targets"][0]["python"], "3.12");
    // The command line wins.
    let plan = sandbox.bundle(&["plan", "jobs", "--json", "--python", "3.13"]).success().json();
    assert_eq!(plan["targets"][0]["python"], "3.13");
}

#[test]
fn markers_nested_beyond_reason_are_refused() {
    let nested = format!("{}python_version > '3'{}", "(".repeat(20_000), ")".repeat(20_000));
    let sandbox = Sandbox::new(&lone(&[&format!("fits ; {nested}")]).package(pure("fits")));
    sandbox.bundle(&["plan"]).fails_with(3).says(&["error: ", "uv.lock", "nested parentheses"]);
}

#[test]
fn empty_variables_count_as_unset() {
    let sandbox = Sandbox::new(&lone(&["fits"]).package(pure("fits")));
    let names = ["BUNDLE_PLATFORM", "BUNDLE_PYTHON_VERSION", "BUNDLE_PROJECT", "BUNDLE_OFFLINE", "BUNDLE_HTTP_TIMEOUT"];
    let run = names.iter().fold(sandbox.bundle(&["plan"]), |run, name| run.env(name, ""));
    run.success();
    let wrong = sandbox.bundle(&["plan"]).env("BUNDLE_HTTP_TIMEOUT", "soon").fails_with(2);
    wrong.says(&["`BUNDLE_HTTP_TIMEOUT`", "`soon`"]);
}

#[test]
fn credentials_in_a_lock_are_not_printed() {
    let lock = |sandbox: &Sandbox| {
        let path = sandbox.project().join("uv.lock");
        let text = std::fs::read_to_string(&path).expect("lock");
        let text = text.replace("https://", "https://me:secret@")
            + "[[package]]\nname = \"repo\"\nversion = \"1\"\n\
               source = { git = \"https://me:secret@git.test/repo?rev=main#0123\" }\n";
        let text = text.replacen("dependencies = [", "dependencies = [{ name = \"repo\" }, ", 1);
        std::fs::write(path, text).expect("lock");
    };
    let sandbox = Sandbox::new(&lone(&["a"]).package(pure("a")));
    lock(&sandbox);
    for flags in [&["plan", "--frozen", "--json"][..], &["plan", "--frozen"]] {
        let finished = sandbox.bundle(flags).success();
        assert!(finished.stdout.contains("git.test/repo"), "{}", finished.stdout);
        assert!(!(finished.stdout + &finished.stderr).contains("secret"));
    }
    let refused = sandbox.bundle(&["build", "--frozen"]).fails_with(7);
    assert!(!refused.stderr.contains("secret"), "{}", refused.stderr);
}
