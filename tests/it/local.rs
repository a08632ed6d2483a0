//! Local code: how its build backend is driven, and what is said when it or the file system fails.

use std::os::unix::fs::PermissionsExt;

use crate::support::{Member, Project, Sandbox, Server, demo};

/// Local code and nothing else.
fn lone() -> Project {
    Project::new().member(Member::root("app").file("app/__init__.py", ""))
}

#[test]
fn a_failing_backend_is_shown() {
    if !demo::can_build_local_code() {
        return;
    }
    let sandbox = Sandbox::new(&lone());
    let backend = "
import sys

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    print('compiling the flux capacitor')
    print('no such capacitor', file=sys.stderr)
    raise SystemExit(1)
";
    std::fs::write(sandbox.project().join("backend.py"), backend).expect("backend");
    let finished = sandbox.bundle(&["build", "app"]).fails_with(7);
    finished.says(&["error: ", "`app`", "compiling the flux capacitor", "no such capacitor"]);
    assert!(!sandbox.artifact("app").exists());
}

#[test]
fn a_backend_that_raises_is_shown() {
    if !demo::can_build_local_code() {
        return;
    }
    let sandbox = Sandbox::new(&lone());
    std::fs::write(sandbox.project().join("backend.py"), "def build_wheel(*_):\n    raise ValueError('no luck')\n")
        .expect("backend");
    sandbox.bundle(&["build", "app"]).fails_with(7).says(&["`app`", "ValueError: no luck"]);
}

#[test]
fn a_backend_that_is_not_there_is_named() {
    if !demo::can_build_local_code() {
        return;
    }
    let sandbox = Sandbox::new(&lone());
    std::fs::remove_file(sandbox.project().join("backend.py")).expect("backend");
    sandbox.bundle(&["build", "app"]).fails_with(7).says(&["`app`", "backend"]);
}

#[test]
fn a_failure_is_not_remembered() {
    if !demo::can_build_local_code() {
        return;
    }
    let sandbox = Sandbox::new(&lone());
    let backend = sandbox.project().join("backend.py");
    let good = std::fs::read(&backend).expect("backend");
    std::fs::write(&backend, "raise RuntimeError('out of order')\n").expect("backend");
    sandbox.bundle(&["build", "app"]).fails_with(7);
    std::fs::write(&backend, good).expect("backend");
    sandbox.build("app");
}

#[test]
fn the_project_is_left_as_it_was() {
    if !demo::can_build_local_code() {
        return;
    }
    let sandbox = Sandbox::new(&lone());
    let before = crate::support::run::files_below(&sandbox.project());
    sandbox.build("app");
    std::fs::remove_dir_all(sandbox.project().join("dist")).expect("removed");
    let caches = |path: &std::path::PathBuf| path.iter().any(|part| part == "__pycache__");
    let after: Vec<_> =
        crate::support::run::files_below(&sandbox.project()).into_iter().filter(|path| !caches(path)).collect();
    assert_eq!(after, before);
}

#[test]
fn a_workspace_is_built_whole() {
    if !demo::can_build_local_code() {
        return;
    }
    let project = Project::new()
        .member(
            Member::root("app")
                .needs(&["shared-code"])
                .file("app/__init__.py", "import shared_code\nWORD = shared_code.WORD\n"),
        )
        .member(Member::in_workspace("shared-code").file("shared_code/__init__.py", "WORD = 'shared'\n"));
    let sandbox = Sandbox::new(&project);
    let artifact = sandbox.build("app");
    sandbox.run(&artifact).args(["-c", "import app; print(app.WORD)"]).success().prints("shared");
    // The sources are copied, not linked.
    std::fs::remove_dir_all(sandbox.project().join("packages")).expect("removed");
    sandbox.run(&artifact).args(["-c", "import app; print(app.WORD)"]).success().prints("shared");
}

#[test]
fn an_app_that_does_not_exist_is_refused_with_those_that_do() {
    let sandbox = Sandbox::new(&lone().configured_with("[tool.bundle.apps.console]\npackage = \"app\"\n"));
    let finished = sandbox.bundle(&["build", "database"]).fails_with(3);
    finished.says(&["`database`"]);
    let hint = finished.line("hint: ");
    assert!(hint.contains("`app`") && hint.contains("`console`"), "{hint}");
}

#[test]
fn an_output_that_cannot_be_written_is_refused() {
    // Permissions do not bind the superuser, so the directory is a file.
    let sandbox = Sandbox::new(&demo::over(&Server::start(), &[]));
    std::fs::write(sandbox.project().join("dist"), "in the way").expect("file");
    sandbox.bundle(&["build", "app"]).fails_with(8).says(&["error: ", "dist"]);

    let sandbox = Sandbox::new(&demo::over(&Server::start(), &[]));
    std::fs::create_dir_all(sandbox.artifact("app")).expect("directory");
    sandbox.bundle(&["build", "app"]).fails_with(8).says(&["error: ", "dist/app"]);
    assert!(sandbox.artifact("app").is_dir());
}

#[test]
fn a_cache_that_cannot_be_written_is_refused() {
    let server = Server::start();
    let sandbox = Sandbox::new(&demo::console(&server));
    std::fs::write(sandbox.cache(), "in the way").expect("file");
    let finished = sandbox.bundle(&["build", "app"]).fails_with(8);
    finished.says(&["error: ", "cache", "BUNDLE_CACHE_DIR"]);
}

#[test]
fn a_read_only_output_directory_is_refused() {
    let sandbox = Sandbox::new(&demo::over(&Server::start(), &[]));
    let directory = sandbox.path("read-only");
    std::fs::create_dir(&directory).expect("directory");
    std::fs::set_permissions(&directory, PermissionsExt::from_mode(0o555)).expect("mode");
    if std::fs::write(directory.join("probe"), "").is_ok() {
        eprintln!("skipped: permissions do not bind this user");
        return;
    }
    let output = directory.join("app");
    sandbox.bundle(&["build", "app", "--output"]).arg(&output).fails_with(8).says(&["error: ", "hint: ", "--output"]);
}

#[test]
fn unknown_options_are_a_matter_of_usage() {
    let sandbox = Sandbox::new(&demo::over(&Server::start(), &[]));
    sandbox.bundle(&["build", "--platfrom", "native"]).fails_with(2).says(&["--platfrom", "--platform"]);
    sandbox.bundle(&["build", "--module", "a", "--script", "b"]).fails_with(2);
    sandbox.bundle(&["build", "--entry-point", "no colon"]).fails_with(2).says(&["no colon", "hint: "]);
    sandbox.bundle(&["bulid"]).fails_with(2).says(&["build"]);
    assert!(sandbox.bundle(&["--help"]).success().stdout.contains("Exit status"));
}

#[test]
fn files_that_git_ignores_are_packed_if_the_backend_packs_them() {
    if !demo::can_build_local_code() {
        return;
    }
    let project = Project::new().member(
        Member::root("app")
            .file("app/__init__.py", "")
            .file("app/generated.py", "N = 1\n")
            .file(".gitignore", "generated.py\n"),
    );
    let sandbox = Sandbox::new(&project);
    let show = |expected: &str| {
        let artifact = sandbox.build("app");
        sandbox.run(&artifact).args(["-c", "import app.generated; print(app.generated.N)"]).success().prints(expected);
    };
    show("1");
    std::fs::write(sandbox.project().join("app/generated.py"), "N = 22\n").expect("source");
    show("22");
}
