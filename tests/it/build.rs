//! `bundle build`: the file that it writes, as a file. What it does when it is started is in `start`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::run::files_below;
use crate::support::{Member, Package, Project, Sandbox, Server, Wheel, demo, python, sha256, skip};

/// What Python says about an archive: one line for each entry, of the fields that a script prints.
fn entries(artifact: &Path, fields: &str) -> Vec<String> {
    let script =
        format!("import sys, zipfile\nfor entry in zipfile.ZipFile(sys.argv[1]).infolist():\n    print({fields})");
    let output =
        Command::new(&python().executable).args(["-I", "-c", &script]).arg(artifact).output().expect("Python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").lines().map(str::to_owned).collect()
}

fn names(artifact: &Path) -> Vec<String> {
    entries(artifact, "entry.filename")
}

fn digest(artifact: &Path) -> String {
    sha256(&std::fs::read(artifact).expect("artifact"))
}

/// Local code and nothing else.
fn lone() -> Project {
    Project::new().member(Member::root("app").file("app/__init__.py", ""))
}

/// The names below `dist`, sorted.
fn built(sandbox: &Sandbox) -> Vec<String> {
    files_below(&sandbox.project().join("dist")).iter().map(|path| path.display().to_string()).collect()
}

#[test]
fn the_artifact_is_an_executable_and_an_archive() {
    if !demo::can_build_local_code() {
        return;
    }
    let server = Server::start();
    let sandbox = Sandbox::new(&demo::local(&server));
    let artifact = sandbox.build("app");
    let bytes = std::fs::read(&artifact).expect("artifact");
    assert!(bytes.starts_with(b"\x7fELF"));
    assert_eq!(std::fs::metadata(&artifact).expect("artifact").permissions().mode() & 0o777, 0o755);

    let names = names(&artifact);
    for expected in [
        "site-packages/app/main.py",
        "site-packages/app-1.2.3.dist-info/METADATA",
        "site-packages/greet/__init__.py",
        "site-packages/greet-2.0.dist-info/RECORD",
        "site-packages/native.py",
        "bin/app",
        "bin/greet",
        ".bundle/launch.json",
        ".bundle/build.json",
    ] {
        assert!(names.iter().any(|name| name == expected), "{expected} is not in {names:#?}");
    }
    let known = |name: &String| {
        ["site-packages/", "bin/", "data/", ".bundle/"].iter().any(|zone| name.starts_with(zone))
            || name == "__main__.py"
    };
    assert!(names.iter().all(known), "{names:#?}");
    let mut unique = names.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), names.len(), "an entry stands there twice: {names:#?}");
}

#[test]
fn zip_tools_accept_the_artifact_without_a_warning() {
    let server = Server::start();
    let sandbox = Sandbox::new(&demo::console(&server));
    let artifact = sandbox.build("app");
    for action in ["-t", "-l"] {
        let tested = sandbox
            .run(&python().executable)
            .args(["-I", "-W", "error", "-m", "zipfile", action])
            .arg(&artifact)
            .success();
        assert_eq!(tested.stderr, "");
    }
    if Command::new("unzip").arg("-v").output().is_err() {
        skip("`unzip` is not installed");
        return;
    }
    let tested = sandbox.run("unzip").args(["-t", "-q"]).arg(&artifact).success();
    assert_eq!(tested.stderr, "");
    assert!(tested.stdout.starts_with("No errors detected"), "{}", tested.stdout);
    assert!(!tested.stdout.contains("warning"), "{}", tested.stdout);
}

#[test]
fn the_build_record_tells_what_was_packed() {
    let server = Server::start();
    let sandbox = Sandbox::new(&demo::console(&server));
    let artifact = sandbox.build("app");
    let script = "import sys, zipfile\nprint(zipfile.ZipFile(sys.argv[1]).read('.bundle/build.json').decode())";
    let record =
        sandbox.run(&python().executable).args(["-I", "-c", script]).arg(&artifact).success().json().to_string();
    for wheel in [demo::greet().build(), demo::native().build()] {
        assert!(record.contains(&wheel.filename), "{record}");
        assert!(record.contains(&wheel.sha256()), "{record}");
    }
    let directory = sandbox.path("");
    assert!(!record.contains(directory.to_str().expect("UTF-8")), "{record}");
}

#[test]
fn the_same_inputs_make_the_same_bytes_anywhere() {
    if !demo::can_build_local_code() {
        return;
    }
    let server = Server::start();
    let project = demo::local(&server);
    let first = Sandbox::new(&project);
    let second = Sandbox::new(&project);
    // Another directory inside the sandbox, another order of downloads, another user's settings.
    let elsewhere = second.path("a deeper/place");
    std::fs::create_dir_all(elsewhere.parent().expect("parent")).expect("directory");
    std::fs::rename(second.project(), &elsewhere).expect("moved");
    second
        .bundle(&["build", "app", "--jobs", "1"])
        .current_dir(&elsewhere)
        .env("HOME", second.path("another home"))
        .env("BUNDLE_CACHE_DIR", second.path("another cache"))
        .env("TZ", "Asia/Kathmandu")
        .env("LANG", "de_DE.UTF-8")
        .env("USER", "somebody")
        .success();
    assert_eq!(digest(&first.build("app")), digest(&elsewhere.join("dist/app")));
    // And again with everything cached.
    std::fs::remove_dir_all(first.project().join("dist")).expect("removed");
    assert_eq!(digest(&first.build("app")), digest(&elsewhere.join("dist/app")));
}

#[test]
fn modes_and_times_of_local_files_do_not_count() {
    if !demo::can_build_local_code() {
        return;
    }
    let server = Server::start();
    let project = demo::local(&server);
    let (first, second) = (Sandbox::new(&project), Sandbox::new(&project));
    for path in files_below(&second.project()) {
        let path = second.project().join(path);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("mode");
        let file = std::fs::File::options().append(true).open(&path).expect("file");
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000)).expect("time");
    }
    assert_eq!(digest(&first.build("app")), digest(&second.build("app")));
}

#[test]
fn source_date_epoch_dates_the_entries() {
    let server = Server::start();
    let sandbox = Sandbox::new(&demo::console(&server));
    let dates = || {
        let mut dates = entries(&sandbox.artifact("app"), "entry.date_time");
        dates.dedup();
        dates
    };
    sandbox.build("app");
    let undated = digest(&sandbox.artifact("app"));
    assert_eq!(dates().len(), 1);

    // 13 February 2009, 23:31:30; zip archives count in steps of two seconds.
    sandbox.bundle(&["build", "app"]).env("SOURCE_DATE_EPOCH", "1234567890").success();
    assert_eq!(dates(), ["(2009, 2, 13, 23, 31, 30)"]);
    let dated = digest(&sandbox.artifact("app"));
    assert_ne!(dated, undated);
    sandbox.bundle(&["build", "app"]).env("SOURCE_DATE_EPOCH", "1234567890").env("TZ", "Asia/Tokyo").success();
    assert_eq!(digest(&sandbox.artifact("app")), dated);
}

#[test]
fn compressed_data_is_copied_as_it_is() {
    let server = Server::start();
    let text = "def once():\n    return 'the same bytes'\n".repeat(100);
    let wheel = Wheel::new("copied", "1.0").file("copied.py", text);
    let archive = wheel.clone().build().bytes;
    let sandbox = Sandbox::new(&demo::over(&server, &[wheel]));
    let artifact = std::fs::read(sandbox.build("app")).expect("artifact");
    // The first entry's data, behind its header of 30 bytes and its name.
    let start = 30 + "copied.py".len();
    let length = u32::from_le_bytes(archive[18..22].try_into().expect("four bytes")) as usize;
    let compressed = &archive[start..start + length];
    assert!(artifact.windows(length).any(|window| window == compressed));
}

#[test]
fn one_file_for_each_app_and_platform() {
    if !demo::can_build_local_code() {
        return;
    }
    let server = Server::start();
    let pure = Wheel::new("pure", "1.0").file("pure.py", "").build();
    let member = |name: &str| Member::in_workspace(name).needs(&["pure"]).file(&format!("{name}/__init__.py"), "");
    let project =
        Project::new().member(member("api")).member(member("worker")).package(Package::served(&server, &pure));

    let sandbox = Sandbox::new(&project);
    sandbox.bundle(&["build", "api", "worker"]).success();
    assert_eq!(built(&sandbox), ["api", "worker"]);

    let sandbox = Sandbox::new(&project);
    sandbox
        .bundle(&["build", "api", "--platform", "x86_64-manylinux2014", "--platform", "aarch64-manylinux_2_28"])
        .success();
    assert_eq!(built(&sandbox), ["api-aarch64-manylinux_2_28", "api-x86_64-manylinux2014"]);

    let sandbox = Sandbox::new(&project);
    sandbox.bundle(&["build", "api", "worker", "--output", "dist/both"]).success();
    assert_eq!(built(&sandbox), ["both"]);
    // What both apps need stands there once.
    let names = names(&sandbox.artifact("both"));
    assert_eq!(names.iter().filter(|name| name.ends_with("/pure.py")).count(), 1, "{names:#?}");
    for expected in ["site-packages/api/__init__.py", "site-packages/worker/__init__.py"] {
        assert!(names.iter().any(|name| name == expected), "{expected} is not in {names:#?}");
    }
}

#[test]
fn one_output_for_several_platforms_is_refused() {
    let server = Server::start();
    let sandbox = Sandbox::new(&demo::over(&server, &[]));
    let arguments =
        ["build", "--output", "x", "--platform", "x86_64-manylinux2014", "--platform", "aarch64-manylinux2014"];
    sandbox.bundle(&arguments).fails_with(2).says(&["--output", "hint: "]);
}

#[test]
fn a_member_is_built_from_its_directory() {
    if !demo::can_build_local_code() {
        return;
    }
    let project = Project::new()
        .member(Member::root("app").needs(&["shared"]).file("app/__init__.py", ""))
        .member(Member::in_workspace("shared").file("shared/__init__.py", ""));
    let sandbox = Sandbox::new(&project);
    let directory = sandbox.project().join("packages/shared");
    sandbox.bundle(&["build"]).current_dir(&directory).success();
    let names = names(&directory.join("dist/shared"));
    assert!(names.iter().any(|name| name == "site-packages/shared/__init__.py"), "{names:#?}");
    assert!(!names.iter().any(|name| name.starts_with("site-packages/app")), "{names:#?}");
}

#[test]
fn only_the_dependencies_of_a_project_without_build_system_are_packed() {
    let server = Server::start();
    let pure = Wheel::new("pure", "1.0").file("pure.py", "").build();
    let member = Member::root("app").needs(&["pure"]).file("app/__init__.py", "").without_build_system();
    let sandbox = Sandbox::new(&Project::new().member(member).package(Package::served(&server, &pure)));
    let names = names(&sandbox.build("app"));
    assert!(names.iter().any(|name| name == "site-packages/pure.py"), "{names:#?}");
    assert!(!names.iter().any(|name| name.starts_with("site-packages/app")), "{names:#?}");
}

#[test]
fn configured_apps_are_built_when_none_is_named() {
    let configuration = "[tool.bundle.apps.one]\npackage = \"app\"\n\n[tool.bundle.apps.two]\npackage = \"app\"\n";
    let sandbox = Sandbox::new(&demo::over(&Server::start(), &[]).configured_with(configuration));
    sandbox.bundle(&["build"]).success();
    assert_eq!(built(&sandbox), ["one", "two"]);
}

#[test]
fn changed_code_makes_another_artifact() {
    if !demo::can_build_local_code() {
        return;
    }
    let sandbox = Sandbox::new(&lone());
    let artifact = sandbox.build("app");
    let prints =
        |text: &str| sandbox.run(&artifact).args(["-c", "import app; print(app.WORD)"]).success().prints(text).status;
    for word in ["first", "second"] {
        std::fs::write(sandbox.project().join("app/__init__.py"), format!("WORD = '{word}'\n")).expect("code");
        sandbox.build("app");
        prints(word);
    }
}

#[test]
fn a_failed_build_leaves_the_last_artifact_alone() {
    if !demo::can_build_local_code() {
        return;
    }
    let sandbox = Sandbox::new(&lone());
    let before = digest(&sandbox.build("app"));
    std::fs::write(sandbox.project().join("backend.py"), "raise RuntimeError('out of order')\n").expect("backend");
    sandbox.bundle(&["build", "app"]).fails_with(7);
    assert_eq!(digest(&sandbox.artifact("app")), before);
    assert_eq!(built(&sandbox), ["app"]);
}

#[test]
fn quiet_is_quiet() {
    let server = Server::start();
    let sandbox = Sandbox::new(&demo::console(&server));
    let finished = sandbox.bundle(&["build", "app", "--quiet"]).success();
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("", ""));
}

#[test]
fn without_a_terminal_there_is_no_colour_and_no_progress() {
    let server = Server::start();
    let sandbox = Sandbox::new(&demo::console(&server));
    let finished = sandbox.bundle(&["build", "app"]).env_remove("NO_COLOR").success();
    let text = finished.stdout + &finished.stderr;
    assert!(!text.contains('\x1b') && !text.contains('\r'), "{text:?}");
    assert!(text.contains("dist/app"), "{text}");
}
