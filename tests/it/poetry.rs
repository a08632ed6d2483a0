//! Projects of Poetry: their locks in every version, their manifests old and new, and where files come from.

use crate::support::demo::can_build_local_code;
use crate::support::{Answer, Finished, Locked, PoetryProject, Sandbox, Server, Wheel};

/// Every version of the format that Poetry has written since 1.0.
const LOCK_VERSIONS: [&str; 4] = ["1.0", "1.1", "2.0", "2.1"];

/// Those that are walked from `pyproject.toml`.
const GRAPH_VERSIONS: [&str; 3] = ["1.0", "1.1", "2.0"];

fn sandbox(project: &PoetryProject, lock_version: &str) -> Sandbox {
    let sandbox = Sandbox::empty();
    project.write(&sandbox.project(), lock_version);
    sandbox
}

/// What is packed of the index, as `name version`, besides the project itself.
fn packages(plan: &Finished) -> Vec<String> {
    let plan = plan.json();
    let text = |value: &serde_json::Value| value.as_str().expect("a string").to_owned();
    let packages = plan["targets"][0]["packages"].as_array().expect("packages");
    let of_lock = packages.iter().filter(|package| package["path"] != ".");
    of_lock.map(|package| format!("{} {}", text(&package["name"]), text(&package["version"]))).collect()
}

fn planned(sandbox: &Sandbox, flags: &[&str]) -> Vec<String> {
    packages(&sandbox.bundle(&["plan", "--json"]).args(flags).success())
}

/// Expects a plan of the project in these versions of the lock.
#[track_caller]
fn check(project: &PoetryProject, lock_versions: &[&str], flags: &[&str], expected: &[&str]) {
    for version in lock_versions {
        assert_eq!(planned(&sandbox(project, version), flags), expected, "lock version {version}, {flags:?}");
    }
}

/// A wheel of one module that prints its name.
fn module(name: &str) -> Wheel {
    Wheel::new(name, "1.0").file(&format!("{name}.py"), format!("print('{name}', end=' ')\n"))
}

#[test]
fn every_lock_version_is_built_from_an_index_and_runs() {
    for version in LOCK_VERSIONS {
        let server = Server::start();
        let served = |name: &str| Locked::served(&server, &module(name).build());
        let project = PoetryProject::new(&format!(
            "[tool.poetry]\nname = \"app\"\nversion = \"1\"\npackage-mode = false\n\n\
             [[tool.poetry.source]]\nname = \"ours\"\nurl = \"{}\"\n\n\
             [tool.poetry.dependencies]\npython = \">=3.9\"\nbase = \"^1.0\"\nloud = {{ version = \"*\", optional = true }}\n\n\
             [tool.poetry.extras]\nnoise = [\"loud\"]\n\n\
             [tool.poetry.group.jobs.dependencies]\nqueue_of_jobs = \"~1.0\"\n\n\
             [tool.poetry.dev-dependencies]\nchecker = \">=1,<2\"\n",
            server.index(),
        ))
        .package(served("base").needs("below = \">=0.5\""))
        .package(served("below"))
        .package(served("checker").groups(&["dev"]))
        .package(served("loud").optional().markers("'extra == \"noise\"'"))
        .package(served("queue_of_jobs").groups(&["jobs"]))
        .extras("noise = [\"loud\"]");
        let sandbox = sandbox(&project, version);
        let run = |flags: &[&str], code: &str, expected: &str| {
            let output = sandbox.path("app");
            sandbox.bundle(&["build"]).args(flags).arg("--output").arg(&output).success();
            let finished = sandbox.run(&output).args(["-c", code]).success();
            assert_eq!(finished.stdout, expected, "lock version {version}");
        };
        run(&[], "import base, below", "base below ");
        run(&["--extra", "noise", "--group", "jobs"], "import base, loud, queue_of_jobs", "base loud queue_of_jobs ");
        assert_eq!(planned(&sandbox, &["--group", "dev"]), ["base 1.0", "below 1.0", "checker 1.0"], "{version}");
        let wanted = ["base 1.0", "below 1.0", "checker 1.0", "loud 1.0", "queue-of-jobs 1.0"];
        assert_eq!(planned(&sandbox, &["--all-extras", "--all-groups"]), wanted, "{version}");
    }
}

#[test]
fn local_code_is_packed_unless_the_project_is_no_package() {
    if !can_build_local_code() {
        return;
    }
    let old = "[tool.poetry]\nname = \"app\"\nversion = \"1.2.3\"\n";
    let new = "[project]\nname = \"app\"\nversion = \"1.2.3\"\nrequires-python = \">=3.9\"\n\n[tool.poetry]\n";
    for (manifest, version, package_mode, is_package) in [
        (old, "1.1", "", true),
        (old, "2.1", "package-mode = true", true),
        (old, "2.0", "package-mode = false", false),
        (new, "2.1", "", true),
        (new, "2.1", "package-mode = false", false),
    ] {
        let build_system = "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n";
        let description =
            r#"{"name": "app", "version": "1.2.3", "dependencies": [], "scripts": [], "packages": ["app"]}"#;
        let project = PoetryProject::new(&format!("{manifest}{package_mode}\n\n{build_system}"))
            .file("backend.py", include_bytes!("support/backend.py"))
            .file("backend.json", description)
            .file("app/__init__.py", "print('here')\n");
        let sandbox = sandbox(&project, version);
        let artifact = sandbox.build("app");
        let run = sandbox.run(&artifact).args(["-c", "import app"]).finish();
        assert_eq!(run.status.success(), is_package, "{version}: {manifest}{package_mode}\n{}", run.stderr);
    }
}

#[test]
fn one_of_several_constraints_applies() {
    let project = PoetryProject::of_dependencies(
        "thing = [\n    { version = \"<2\", python = \"<3.11\" },\n    { version = \"^2.0\", python = \">=3.11\" },\n]",
        "",
    )
    .package(Locked::pure("thing", "1.4").markers("'python_version < \"3.11\"'"))
    .package(Locked::pure("thing", "2.5").markers("'python_version >= \"3.11\"'"));
    check(&project, &LOCK_VERSIONS, &["--python", "3.10"], &["thing 1.4"]);
    check(&project, &LOCK_VERSIONS, &["--python", "3.11"], &["thing 2.5"]);
}

#[test]
fn platforms_and_pythons_of_dependencies_count() {
    let project = PoetryProject::of_dependencies(
        "on-linux = { version = \"*\", platform = \"linux\" }\n\
         on-windows = { version = \"*\", platform = \"win32\" }\n\
         elsewhere = { version = \"*\", platform = \"!=linux\" }\n\
         somewhere = { version = \"*\", platform = \"win32 || linux\" }\n\
         for-old = { version = \"*\", python = \"~3.9 || ~3.10\" }\n\
         for-new = { version = \"*\", python = \"^3.11\" }\n\
         on-arm = { version = \"*\", markers = \"platform_machine == 'aarch64'\" }",
        "",
    );
    let locked = |project: PoetryProject, name: &str, marker: &str| {
        project.package(Locked::pure(name, "1.0").markers(&format!("\"{marker}\"")))
    };
    let rows = [
        ("on-linux", "sys_platform == 'linux'"),
        ("on-windows", "sys_platform == 'win32'"),
        ("elsewhere", "sys_platform != 'linux'"),
        ("somewhere", "sys_platform == 'win32' or sys_platform == 'linux'"),
        ("for-old", "python_version == '3.9' or python_version == '3.10'"),
        ("for-new", "python_version >= '3.11'"),
        ("on-arm", "platform_machine == 'aarch64'"),
    ];
    let project = rows.into_iter().fold(project, |project, (name, marker)| locked(project, name, marker));
    check(&project, &LOCK_VERSIONS, &[], &["for-new 1.0", "on-linux 1.0", "somewhere 1.0"]);
    let arm = ["--platform", "aarch64-manylinux2014", "--python", "3.10"];
    check(&project, &LOCK_VERSIONS, &arm, &["for-old 1.0", "on-arm 1.0", "on-linux 1.0", "somewhere 1.0"]);
}

#[test]
fn a_dependency_of_some_patch_releases_is_packed_for_all_of_them() {
    let project = PoetryProject::of_dependencies("client = \"*\"", "")
        .package(
            Locked::pure("client", "5.0")
                .needs("shim = {version = \">=4\", markers = \"python_full_version < \\\"3.11.3\\\"\"}"),
        )
        .package(Locked::pure("shim", "4.1").markers("'python_full_version < \"3.11.3\"'"));
    check(&project, &LOCK_VERSIONS, &["--python", "3.11"], &["client 5.0", "shim 4.1"]);
    check(&project, &LOCK_VERSIONS, &["--python", "3.11.3"], &["client 5.0"]);
}

#[test]
fn extras_of_dependencies_bring_their_optional_ones() {
    let project = PoetryProject::of_dependencies("server = { version = \"*\", extras = [\"Fast\"] }", "")
        .package(
            Locked::pure("server", "1.0")
                .needs("loop = {version = \">=1\", optional = true, markers = \"sys_platform == \\\"linux\\\" and extra == \\\"fast\\\"\"}")
                .needs("colour = {version = \"*\", optional = true}")
                .extra("fast = [\"Loop (>=1)\"]")
                .extra("pretty = [\"colour\"]"),
        )
        .package(Locked::pure("loop", "1.5"));
    check(&project, &LOCK_VERSIONS, &[], &["loop 1.5", "server 1.0"]);
}

#[test]
fn what_one_extra_asks_of_a_package_counts_for_the_others_as_poetry_has_it() {
    // Before 2.1, Poetry solves for all extras at once, and only then leaves out what was not asked for.
    let project = PoetryProject::of_dependencies(
        "x = { version = \"*\", optional = true }\ny = { version = \"*\", optional = true }",
        "[tool.poetry.extras]\na = [\"x\"]\nb = [\"y\"]\n",
    )
    .package(Locked::pure("x", "1.0").optional().needs("client = \"*\""))
    .package(Locked::pure("y", "1.0").optional().needs("client = {version = \"*\", extras = [\"http2\"]}"))
    .package(
        Locked::pure("client", "1.0")
            .optional()
            .needs("h2 = {version = \"*\", optional = true}")
            .extra("http2 = [\"h2\"]"),
    )
    .package(Locked::pure("h2", "1.0").optional())
    .extras("a = [\"x\"]\nb = [\"y\"]");
    check(&project, &GRAPH_VERSIONS, &[], &[]);
    check(&project, &GRAPH_VERSIONS, &["--extra", "a"], &["client 1.0", "h2 1.0", "x 1.0"]);
    check(&project, &GRAPH_VERSIONS, &["--extra", "b"], &["client 1.0", "h2 1.0", "y 1.0"]);
}

#[test]
fn extras_whose_names_are_none_do_no_harm() {
    let project = PoetryProject::of_dependencies("old = \"*\"", "").package(
        Locked::pure("old", "1.0")
            .needs("shim = {version = \"*\", optional = true}")
            .extra("python-version-2-7- = [\"shim (>=3.3.0)\"]"),
    );
    check(&project, &LOCK_VERSIONS, &[], &["old 1.0"]);
    check(&project, &LOCK_VERSIONS, &["--all-extras"], &["old 1.0"]);
}

#[test]
fn what_several_packages_need_suits_them_all() {
    // `any` takes every version, `exact` one that is not the newest; the order in which they are met must not count.
    let project = PoetryProject::of_dependencies("any = \"*\"\nexact = \"*\"", "")
        .package(Locked::pure("any", "1.0").needs("core = \"*\""))
        .package(Locked::pure("exact", "1.0").needs("core = \"12.4.127\""))
        .package(Locked::pure("core", "12.4.127"))
        .package(Locked::pure("core", "12.9").markers("'sys_platform == \"win32\"'"));
    check(&project, &LOCK_VERSIONS, &[], &["any 1.0", "core 12.4.127", "exact 1.0"]);
}

#[test]
fn files_of_another_version_are_not_taken() {
    // Before 2.0 the files of all versions of a package stand in one list.
    let project = PoetryProject::of_dependencies("thing = \"1.0\"", "")
        .package(Locked::new("thing", "1.0").wheel("cp311-cp311-manylinux2014_x86_64"))
        .package(Locked::pure("thing", "1.0.1").groups(&["other"]));
    for version in LOCK_VERSIONS {
        let plan = sandbox(&project, version).bundle(&["plan", "--json"]).success().json();
        let packages = plan["targets"][0]["packages"].as_array().expect("packages");
        let thing = packages.iter().find(|package| package["name"] == "thing").expect("the package");
        assert_eq!(thing["filename"], "thing-1.0-cp311-cp311-manylinux2014_x86_64.whl", "lock version {version}");
    }
}

#[test]
fn a_marker_may_differ_from_group_to_group() {
    let project = PoetryProject::of_dependencies("", "[tool.poetry.group.dev.dependencies]\nthing = \"*\"\n").package(
        Locked::pure("thing", "1.0")
            .groups(&["main", "dev"])
            .markers("{main = \"python_version < '3.10'\", dev = \"python_version >= '3.10'\"}"),
    );
    check(&project, &["2.1"], &[], &[]);
    check(&project, &["2.1"], &["--group", "dev"], &["thing 1.0"]);
    check(&project, &["2.1"], &["--python", "3.9"], &["thing 1.0"]);
    check(&project, &["2.1"], &["--python", "3.9", "--group", "dev"], &["thing 1.0"]);
}

#[test]
fn extras_and_groups_of_new_manifests() {
    let project = PoetryProject::for_fixed_target(
        "[project]\nname = \"app\"\nversion = \"1\"\nrequires-python = \">=3.9\"\n\
         dependencies = [\"base (>=1,<2)\", \"old ; python_version < '3.10'\"]\n\n\
         [project.optional-dependencies]\nWeb_UI = [\"page[fast] (>=2)\"]\n\n\
         [dependency-groups]\ntest = [\"checker>=1\"]\n\n\
         [tool.poetry]\npackage-mode = false\n\n[tool.poetry.group.docs.dependencies]\nwriter = \"^3\"\n",
    )
    .package(Locked::pure("base", "1.1"))
    .package(Locked::pure("old", "1.0").markers("'python_version < \"3.10\"'"))
    .package(Locked::pure("page", "2.0").optional().markers("'extra == \"web-ui\"'"))
    .package(Locked::pure("checker", "1.0").groups(&["test"]))
    .package(Locked::pure("writer", "3.0").groups(&["docs"]))
    .extras("web-ui = [\"page\"]");
    check(&project, &["2.1"], &[], &["base 1.1"]);
    check(&project, &["2.1"], &["--extra", "web_ui"], &["base 1.1", "page 2.0"]);
    check(&project, &["2.1"], &["--group", "test"], &["base 1.1", "checker 1.0"]);
    check(&project, &["2.1"], &["--group", "docs", "--extra", "web-ui"], &["base 1.1", "page 2.0", "writer 3.0"]);
    check(&project, &["2.0"], &["--extra", "web-ui"], &["base 1.1", "page 2.0"]);
    for (flags, hint) in [(["--extra", "web"], "web-ui"), (["--group", "doc"], "docs")] {
        sandbox(&project, "2.1").bundle(&["plan"]).args(flags).fails_with(3).says(&[flags[1], hint]);
    }
}

#[test]
fn the_first_primary_source_stands_for_the_default_index() {
    let ours = Server::start();
    let others = Server::start();
    let wheel = module("thing").build();
    // The others have it too; nobody asks them.
    Locked::served(&others, &wheel);
    let source = |name: &str, url: &str, rest: &str| {
        format!("[[tool.poetry.source]]\nname = \"{name}\"\nurl = \"{url}\"\n{rest}\n")
    };
    for (first, then) in [
        (source("more", &others.index(), "priority = \"supplemental\""), source("ours", &ours.index(), "")),
        (
            source("more", &others.index(), "priority = \"explicit\""),
            source("ours", &ours.index(), "priority = \"primary\""),
        ),
        (source("more", &others.index(), "secondary = true"), source("ours", &ours.index(), "default = true")),
        (source("ours", &ours.index(), ""), source("more", &others.index(), "priority = \"primary\"")),
    ] {
        let project = PoetryProject::new(&format!(
            "[tool.poetry]\npackage-mode = false\n\n{first}\n{then}\n[tool.poetry.dependencies]\nthing = \"*\"\n"
        ))
        .package(Locked::served(&ours, &wheel));
        for version in ["1.1", "2.1"] {
            let sandbox = sandbox(&project, version);
            sandbox.bundle(&["build", "--output"]).arg(sandbox.path("app")).success();
            let run = sandbox.run(sandbox.path("app")).args(["-c", "import thing"]).success();
            assert_eq!(run.stdout, "thing ");
        }
    }
    assert_eq!(others.requests(), 0);
}

#[test]
fn packages_come_from_where_the_lock_says() {
    let default = Server::start();
    let legacy = Server::start();
    let at_index = module("at_index").build();
    let at_url = module("at_url").build();
    let in_file = module("in_file").build();
    default.publish(&at_url);
    let url = default.url(&at_url.filename);
    let project = PoetryProject::new(&format!(
        "[tool.poetry]\npackage-mode = false\n\n\
         [[tool.poetry.source]]\nname = \"default\"\nurl = \"{}\"\n\n\
         [[tool.poetry.source]]\nname = \"legacy\"\nurl = \"{}\"\npriority = \"explicit\"\n\n\
         [tool.poetry.dependencies]\nat_index = {{ version = \"*\", source = \"legacy\" }}\n\
         at_url = {{ url = \"{url}\" }}\nin_file = {{ path = \"wheels/{}\" }}\n",
        default.index(),
        legacy.index(),
        in_file.filename,
    ))
    .package(
        Locked::served(&legacy, &at_index)
            .source(&format!("type = \"legacy\"\nurl = \"{}\"\nreference = \"legacy\"", legacy.index())),
    )
    .package(
        Locked::new("at_url", "1.0")
            .file(&at_url.filename, &at_url.sha256())
            .source(&format!("type = \"url\"\nurl = \"{url}\"")),
    )
    .package(
        Locked::new("in_file", "1.0")
            .file(&in_file.filename, &in_file.sha256())
            .source(&format!("type = \"file\"\nurl = \"wheels/{}\"", in_file.filename)),
    )
    .file(&format!("wheels/{}", in_file.filename), &in_file.bytes);
    for version in LOCK_VERSIONS {
        let sandbox = sandbox(&project, version);
        sandbox.bundle(&["build", "--output"]).arg(sandbox.path("app")).success();
        let run = sandbox.run(sandbox.path("app")).args(["-c", "import at_index, at_url, in_file"]).success();
        assert_eq!(run.stdout, "at_index at_url in_file ", "lock version {version}");
    }
    assert_eq!(default.requests(), LOCK_VERSIONS.len(), "only the wheel at its URL is asked of the default index");
}

#[test]
fn directories_are_local_code_and_repositories_are_commits() {
    let project = PoetryProject::of_dependencies(
        "beside = { path = \"libs/beside\", develop = true }\nfrom-git = { git = \"https://git.test/x.git\", branch = \"main\" }",
        "",
    )
    .package(Locked::new("beside", "0.3").source("type = \"directory\"\nurl = \"libs/beside\""))
    .package(Locked::new("from-git", "2.0").source(
        "type = \"git\"\nurl = \"https://git.test/x.git\"\nreference = \"main\"\n\
         resolved_reference = \"0123456789abcdef0123456789abcdef01234567\"\nsubdirectory = \"python\"",
    ));
    for version in LOCK_VERSIONS {
        let plan = sandbox(&project, version).bundle(&["plan", "--json"]).finish().json();
        let packages = plan["targets"][0]["packages"].as_array().expect("packages");
        let named = |name: &str| packages.iter().find(|package| package["name"] == name).expect("a package");
        assert_eq!(named("beside")["path"], "libs/beside", "lock version {version}");
        assert_eq!(named("from-git")["source"], "git", "lock version {version}");
        let shown = plan.to_string();
        assert!(shown.contains("0123456789abcdef0123456789abcdef01234567"), "lock version {version}: {shown}");
    }
}

#[test]
fn files_that_came_to_the_index_later_are_not_taken() {
    let server = Server::start();
    let wheel = module("thing").build();
    let later =
        Wheel::new("thing", "1.0").tag("py3-none-manylinux2014_x86_64").file("thing.py", "print('later')\n").build();
    let project = PoetryProject::new(&format!(
        "[tool.poetry]\npackage-mode = false\n\n[[tool.poetry.source]]\nname = \"ours\"\nurl = \"{}\"\n\n\
         [tool.poetry.dependencies]\nthing = \"*\"\n",
        server.index(),
    ))
    .package(Locked::served(&server, &wheel));
    server.publish(&later);
    let rows: String = [&later, &wheel]
        .map(|wheel| format!("<a href=\"{}#sha256={}\">x</a>", server.url(&wheel.filename), wheel.sha256()))
        .concat();
    server.answer("/simple/thing/", Answer::page("text/html", format!("<html><body>{rows}</body></html>")));
    let sandbox = sandbox(&project, "2.1");
    sandbox.bundle(&["build", "--output"]).arg(sandbox.path("app")).success();
    let run = sandbox.run(sandbox.path("app")).args(["-c", "import thing"]).success();
    assert_eq!(run.stdout, "thing ");
    assert_eq!(server.requests_for(&later.filename), 0);
}

#[test]
fn what_the_index_serves_has_to_be_what_was_locked() {
    let server = Server::start();
    let wheel = module("thing").build();
    Locked::served(&server, &wheel);
    let project = PoetryProject::new(&format!(
        "[tool.poetry]\npackage-mode = false\n\n[[tool.poetry.source]]\nname = \"ours\"\nurl = \"{}\"\n\n\
         [tool.poetry.dependencies]\nthing = \"*\"\n",
        server.index(),
    ))
    .package(Locked::new("thing", "1.0").file(&wheel.filename, &"ab".repeat(32)));
    let sandbox = sandbox(&project, "2.1");
    let run = sandbox.bundle(&["build", "--output"]).arg(sandbox.path("app")).finish();
    assert!(matches!(run.status.code(), Some(5 | 6)), "{}", run.stderr);
    run.says(&["error: ", &wheel.filename]);
    assert!(!sandbox.path("app").exists());
}

#[test]
fn locks_that_contradict_themselves_are_refused() {
    let twice = PoetryProject::of_dependencies("thing = \"*\"", "")
        .package(Locked::pure("thing", "1.0"))
        .package(Locked::pure("Thing", "1.0"));
    for version in LOCK_VERSIONS {
        sandbox(&twice, version).bundle(&["plan"]).fails_with(3).says(&["`thing`", "twice"]);
    }
    let impossible = PoetryProject::of_dependencies("one = \"*\"\nother = \"*\"", "")
        .package(Locked::pure("one", "1.0").needs("core = \"1.0\""))
        .package(Locked::pure("other", "1.0").needs("core = \"2.0\""))
        .package(Locked::pure("core", "1.0"))
        .package(Locked::pure("core", "2.0"));
    for version in GRAPH_VERSIONS {
        sandbox(&impossible, version).bundle(&["plan"]).fails_with(4).says(&["`core`"]);
    }
    sandbox(&impossible, "2.1").bundle(&["plan"]).fails_with(4).says(&["`core`", "1.0", "2.0"]);
    let unknown = PoetryProject::of_dependencies("", "");
    for version in ["0.9", "3.0", "two"] {
        sandbox(&unknown, version).bundle(&["plan"]).fails_with(3).says(&["poetry.lock", version]);
    }
    let nonsense =
        PoetryProject::of_dependencies("thing = \"*\"", "").package(Locked::pure("thing", "1.0").needs("a = \"^^1\""));
    let nonsense = nonsense.package(Locked::pure("a", "1.0"));
    for version in GRAPH_VERSIONS {
        sandbox(&nonsense, version).bundle(&["plan"]).fails_with(3).says(&["^^1"]);
    }
}

#[test]
fn the_wheel_is_the_one_that_poetry_takes() {
    // Poetry looks at build tags before tags, uv and pip the other way round.
    let wheels = ["cp311-cp311-manylinux2014_x86_64", "1-py3-none-any", "2-py3-none-manylinux2014_x86_64"];
    let files = |package: Locked| wheels.iter().fold(package, |package, tags| package.wheel(tags));
    let project = PoetryProject::of_dependencies("thing = \"*\"", "").package(files(Locked::new("thing", "1.0")));
    for version in LOCK_VERSIONS {
        let plan = sandbox(&project, version).bundle(&["plan", "--json"]).success().json();
        let packages = plan["targets"][0]["packages"].as_array().expect("packages");
        assert_eq!(packages[0]["filename"], "thing-1.0-2-py3-none-manylinux2014_x86_64.whl", "lock version {version}");
    }
}
