//! What is built, started: it behaves as the same packages do in a virtual environment.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use crate::support::run::files_below;
use crate::support::{Package, Project, Sandbox, Server, Wheel, demo, python};

const CHECK_RECORDS: &str = include_str!("check_records.py");

/// Builds an interpreter over `greet` and `native`.
fn interpreter() -> (Sandbox, PathBuf) {
    built(&demo::interpreter(&Server::start()))
}

/// Builds an interpreter over these wheels.
fn over(wheels: &[Wheel]) -> (Sandbox, PathBuf) {
    built(&demo::over(&Server::start(), wheels))
}

fn built(project: &Project) -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::new(project);
    let artifact = sandbox.build("app");
    (sandbox, artifact)
}

#[test]
fn the_single_console_script_is_what_starts() {
    if !demo::can_build_local_code() {
        return;
    }
    let server = Server::start();
    let (sandbox, artifact) = built(&demo::local(&server));
    sandbox.run(&artifact).args(["you", "there"]).success().prints("hello you there 42");
    sandbox.run(&artifact).success().prints("hello  42");
}

#[test]
fn a_function_can_be_what_starts() {
    let server = Server::start();
    let sandbox = Sandbox::new(&demo::console(&server));
    sandbox.bundle(&["build", "app", "--entry-point", "greet.command:seven"]).success();
    sandbox.run(sandbox.artifact("app")).fails_with(7);
}

#[test]
fn a_module_can_be_what_starts() {
    let server = Server::start();
    let sandbox = Sandbox::new(&demo::console(&server));
    sandbox.bundle(&["build", "app", "--module", "greet"]).success();
    sandbox.run(sandbox.artifact("app")).args(["-x", "y"]).success().prints("module __main__ ['-x', 'y']");
}

#[test]
fn a_script_of_a_dependency_can_be_what_starts() {
    let server = Server::start();
    let sandbox = Sandbox::new(&demo::console(&server));
    sandbox.bundle(&["build", "app", "--script", "seven"]).success();
    sandbox.run(sandbox.artifact("app")).fails_with(7);
}

#[test]
fn a_script_that_nothing_brings_is_refused() {
    let server = Server::start();
    let sandbox = Sandbox::new(&demo::console(&server));
    let finished = sandbox.bundle(&["build", "app", "--script", "gret"]).fails_with(3);
    finished.says(&["`gret`", "hint: ", "`greet`"]);
    assert!(!sandbox.artifact("app").exists());
}

#[test]
fn with_several_scripts_and_none_chosen_it_is_an_interpreter() {
    if !demo::can_build_local_code() {
        return;
    }
    let server = Server::start();
    let project = Project::new()
        .member(demo::local_app().script("one", "app.main:main").script("two", "greet.command:seven"))
        .package(Package::served(&server, &demo::greet().build()))
        .package(Package::served(&server, &demo::native().build()));
    let (sandbox, artifact) = built(&project);
    sandbox.run(&artifact).args(["-c", "import app; print(app.WORD)"]).success().prints("local");
    sandbox.run(&artifact).args(["-m", "greet", "y"]).success().prints("module __main__ ['y']");
    let script = sandbox.path("a script.py");
    std::fs::write(&script, "import sys, native\nprint(native.ANSWER, sys.argv[1:])\n").expect("script");
    sandbox.run(&artifact).arg(&script).args(["-c", "--help"]).success().prints("42 ['-c', '--help']");
    let version = sandbox.run(&artifact).arg("--version").success();
    assert!(version.stdout.starts_with("Python "), "{}", version.stdout);
}

#[test]
fn configured_arguments_and_variables_are_defaults() {
    let server = Server::start();
    let project = demo::interpreter(&server).configured_with(
        r#"
        [tool.bundle.apps.app]
        args = ["-c", "import os, sys; print(os.environ['MODE'], os.environ['LEVEL'], sys.argv[1:])"]
        env = { MODE = "production", LEVEL = "1" }
        "#,
    );
    let (sandbox, artifact) = built(&project);
    sandbox.run(&artifact).arg("x").success().prints("production 1 ['x']");
    sandbox.run(&artifact).env("LEVEL", "2").success().prints("production 2 []");
}

#[test]
fn several_apps_in_one_file() {
    let wheel = Wheel::new("names", "1.0").file(
        "names.py",
        "import sys\n\n\ndef api():\n    print('api', sys.argv[1:])\n\n\ndef worker():\n    print('worker', sys.argv[1:])\n",
    );
    let configuration = "[tool.bundle.apps.api]\npackage = \"app\"\nentry-point = \"names:api\"\n\n\
                         [tool.bundle.apps.worker]\npackage = \"app\"\nentry-point = \"names:worker\"\n";
    let server = Server::start();
    let sandbox = Sandbox::new(&demo::over(&server, &[wheel]).configured_with(configuration));
    sandbox.bundle(&["build", "api", "worker", "--output", "dist/both"]).success();
    let both = sandbox.artifact("both");
    let link = sandbox.path("worker");
    symlink(&both, &link).expect("link");

    sandbox.run(&both).args(["api", "x"]).success().prints("api ['x']");
    sandbox.run(&both).args(["worker"]).success().prints("worker []");
    sandbox.run(&link).args(["api", "x"]).success().prints("worker ['api', 'x']");
    sandbox.run(&both).arg("x").env("BUNDLE_APP", "worker").success().prints("worker ['x']");
    // What is typed wins over what is set.
    sandbox.run(&both).arg("api").env("BUNDLE_APP", "worker").success().prints("api []");

    sandbox.run(&both).fails_with(125).says(&["api", "worker", "BUNDLE_APP"]);
    sandbox.run(&both).arg("wroker").fails_with(125).says(&["`wroker`", "api", "worker"]);
    sandbox.run(&both).env("BUNDLE_APP", "other").fails_with(125).says(&["`other`", "api", "worker"]);
}

#[test]
fn variables_choose_what_starts() {
    let server = Server::start();
    let (sandbox, artifact) = built(&demo::console(&server));
    for prefix in ["BUNDLE", "PEX"] {
        let run = |control: &str, value: &str| sandbox.run(&artifact).env(&format!("{prefix}_{control}"), value);
        run("MODULE", "greet").arg("x").success().prints("module __main__ ['x']");
        run("MODULE", "greet.command:seven").fails_with(7);
        run("SCRIPT", "seven").fails_with(7);
        run("INTERPRETER", "1").args(["-c", "import native; print(native.ANSWER)"]).success().prints("42");
        run("PYTHON", python().executable.to_str().expect("UTF-8")).success().prints("hello  42");
        let root = sandbox.path(&format!("{prefix} root"));
        let mut run = run("ROOT", root.to_str().expect("UTF-8"));
        if prefix == "PEX" {
            run = run.env_remove("BUNDLE_ROOT");
        }
        run.success();
        assert!(!files_below(&root).is_empty(), "{prefix}_ROOT is not used");
    }
}

#[test]
fn it_is_a_virtual_environment() {
    let (sandbox, artifact) = interpreter();
    let code = "
import os, shutil, site, sys
assert os.environ['VIRTUAL_ENV'] == sys.prefix != sys.base_prefix, (os.environ['VIRTUAL_ENV'], sys.prefix)
assert os.path.dirname(sys.executable) == os.path.join(sys.prefix, 'bin'), sys.executable
assert os.environ['PATH'].split(os.pathsep)[0] == os.path.join(sys.prefix, 'bin'), os.environ['PATH']
assert shutil.which('greet') == os.path.join(sys.prefix, 'bin', 'greet')
assert not site.ENABLE_USER_SITE
print(os.environ['BUNDLE'])
";
    sandbox.run(&artifact).args(["-c", code]).success().prints(artifact.to_str().expect("UTF-8"));
}

#[test]
fn child_processes_see_the_same_packages() {
    let (sandbox, artifact) = interpreter();
    let code = "
import subprocess, sys
subprocess.run([sys.executable, '-c', 'import greet, native; print(greet.greeting([str(native.ANSWER)]))'], check=True)
";
    sandbox.run(&artifact).args(["-c", code]).success().prints("hello 42");
    let script = sandbox.path("spawn.py");
    std::fs::write(
        &script,
        "import multiprocessing\n\nimport greet\n\nif __name__ == '__main__':\n    \
         with multiprocessing.get_context('spawn').Pool(2) as pool:\n        \
         print(*pool.map(greet.greeting, [['a'], ['b']]))\n",
    )
    .expect("script");
    sandbox.run(&artifact).arg(&script).success().prints("hello a hello b");
}

#[test]
fn metadata_names_exactly_what_was_packed() {
    if !demo::can_build_local_code() {
        return;
    }
    let server = Server::start();
    let (sandbox, artifact) = built(&demo::local(&server));
    let code = "
import importlib.metadata as metadata
print(*sorted(f'{d.metadata[\"Name\"]}=={d.version}' for d in metadata.distributions()))
";
    let run = sandbox.run(&artifact).env("BUNDLE_INTERPRETER", "1").args(["-c", code]);
    run.success().prints("app==1.2.3 greet==2.0 native==0.9");
}

#[test]
fn every_record_is_true() {
    let wheel = Wheel::new("spread", "1.0")
        .file("spread/__init__.py", "")
        .file("spread/with space, and comma.txt", "x")
        .file("spread/ünïcode.txt", "x")
        .console_script("spread", "spread:main")
        .data("scripts", "spread-tool", "#!python\nprint('tool')\n")
        .data("data", "share/spread/settings.json", "{}")
        .data("headers", "spread.h", "")
        .data("purelib", "spread/pure.py", "")
        .data("platlib", "spread/native.py", "");
    let (sandbox, artifact) = over(&[wheel, demo::greet(), demo::native()]);
    let finished = sandbox.run(&artifact).args(["-B", "-c", CHECK_RECORDS]).success();
    assert!(finished.stdout.ends_with(" files\n"), "{}", finished.stdout);
}

#[test]
fn data_of_wheels_is_spread_to_its_places() {
    let wheel = Wheel::new("spread", "1.0")
        .file("spread/__init__.py", "")
        .data("purelib", "spread/pure.py", "HERE = 1\n")
        .data("platlib", "spread/native.py", "HERE = 2\n")
        .data("data", "share/spread/settings.json", "{\"x\": 1}")
        .data("headers", "spread.h", "// header\n");
    let (sandbox, artifact) = over(&[wheel]);
    let code = "
import os, sys
import spread.native, spread.pure
print(spread.pure.HERE, spread.native.HERE, open(os.path.join(sys.prefix, 'share', 'spread', 'settings.json')).read())
version = 'python{}.{}'.format(*sys.version_info[:2])
print(open(os.path.join(sys.prefix, 'include', 'site', version, 'spread', 'spread.h')).read(), end='')
";
    sandbox.run(&artifact).args(["-c", code]).success().prints("1 2 {\"x\": 1}\n// header");
}

#[test]
fn scripts_of_wheels_run_from_the_path() {
    let wheel = Wheel::new("tools", "1.0")
        .file("tools.py", "WORD = 'found'\n")
        .data("scripts", "with-python", "#!python\nimport sys, tools\nprint(tools.WORD, sys.argv[1:])\n")
        .data("scripts", "with-options", "#!python -E\nimport tools\nprint(tools.WORD)\n")
        .data("scripts", "with-shell", "#!/bin/sh\necho shell \"$1\"\n");
    let (sandbox, artifact) = over(&[wheel, demo::greet(), demo::native()]);
    let code = "
import subprocess
for command in ['with-python', 'with-options', 'with-shell', 'greet']:
    print(subprocess.run([command, 'a b'], capture_output=True, text=True).stdout.strip())
";
    let expected = "found ['a b']\nfound\nshell a b\nhello a b 42";
    sandbox.run(&artifact).args(["-c", code]).success().prints(expected);
}

#[test]
fn path_files_of_wheels_are_run() {
    let wheel = Wheel::new("hook", "1.0").file("hook.pth", "import sys; sys.hooked = True\n");
    let (sandbox, artifact) = over(&[wheel]);
    sandbox.run(&artifact).args(["-c", "import sys; print(sys.hooked)"]).success().prints("True");
}

#[test]
fn namespace_packages_of_several_wheels_are_one() {
    let part = |name: &str| {
        Wheel::new(&format!("space-{name}"), "1.0")
            .file(&format!("space/{name}/__init__.py"), format!("NAME = '{name}'\n"))
    };
    let (sandbox, artifact) = over(&[part("one"), part("two")]);
    let code = "import space.one, space.two; print(space.one.NAME, space.two.NAME)";
    sandbox.run(&artifact).args(["-c", code]).success().prints("one two");
}

#[test]
fn the_callers_python_settings_do_not_leak_in() {
    let (sandbox, artifact) = interpreter();
    let elsewhere = sandbox.path("elsewhere");
    std::fs::create_dir(&elsewhere).expect("directory");
    std::fs::write(elsewhere.join("greet.py"), "raise SystemExit('the wrong greet')\n").expect("module");
    let code = "import greet, sys; print(greet.greeting(['x']), sys.flags.utf8_mode, sys.flags.dont_write_bytecode)";
    sandbox
        .run(&artifact)
        .args(["-c", code])
        .env("PYTHONPATH", &elsewhere)
        .env("PYTHONHOME", &elsewhere)
        // Every other setting keeps working.
        .env("PYTHONUTF8", "1")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .success()
        .prints("hello x 1 1");
}

#[test]
fn the_exit_status_is_the_apps() {
    let (sandbox, artifact) = interpreter();
    for status in [0, 1, 42, 255] {
        sandbox.run(&artifact).args(["-c", &format!("raise SystemExit({status})")]).fails_with(status);
    }
    sandbox.run(&artifact).args(["-c", "raise RuntimeError('mine')"]).fails_with(1).says(&["RuntimeError: mine"]);
}

#[test]
fn arguments_arrive_as_they_are() {
    let (sandbox, artifact) = interpreter();
    let arguments: [&[u8]; 6] = [b"", b"a b", b"\xff\xfe", "ü".as_bytes(), b"--", b"'\"$HOME\n"];
    let code = "import os, sys; print([os.fsencode(argument) for argument in sys.argv[1:]])";
    sandbox
        .run(&artifact)
        .args(["-c", code])
        .args(arguments.map(OsStr::from_bytes))
        .env("PYTHONUTF8", "1")
        .success()
        .prints(r#"[b'', b'a b', b'\xff\xfe', b'\xc3\xbc', b'--', b'\'"$HOME\n']"#);
}

#[test]
fn standard_input_is_the_apps() {
    let (sandbox, artifact) = interpreter();
    let mut command = sandbox.run(&artifact).args(["-c", "print(input())"]).into_command();
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("started");
    std::io::Write::write_all(&mut child.stdin.take().expect("pipe"), b"typed\n").expect("written");
    assert_eq!(child.wait_with_output().expect("finished").stdout, b"typed\n");
}

#[test]
fn the_file_can_stand_anywhere() {
    let server = Server::start();
    let (sandbox, artifact) = built(&demo::console(&server));
    let directory = sandbox.path("a place with spaces/bin");
    std::fs::create_dir_all(&directory).expect("directory");
    let moved = directory.join("an app's name");
    std::fs::rename(&artifact, &moved).expect("moved");
    sandbox.run(&moved).arg("x").success().prints("hello x 42");
    sandbox.run("./an app's name").current_dir(&directory).arg("x").success().prints("hello x 42");
    let link = sandbox.path("link");
    symlink(&moved, &link).expect("link");
    sandbox.run(&link).arg("x").success().prints("hello x 42");
    // Found on `PATH` by the shell, in a root with spaces.
    let mut path = directory.into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    sandbox
        .run("/bin/sh")
        .args(["-c", "\"an app's name\" x"])
        .env("PATH", path)
        .env("BUNDLE_ROOT", sandbox.path("a root with spaces"))
        .success()
        .prints("hello x 42");
}

#[test]
fn the_second_start_uses_the_first_ones_tree() {
    let (sandbox, artifact) = interpreter();
    let run = || {
        let finished = sandbox.run(&artifact).args(["-B", "-c", "import greet; print(greet.__file__)"]).success();
        let file = std::fs::metadata(finished.stdout.trim_end()).expect("file");
        (finished.stdout.clone(), file.dev(), file.ino(), file.mtime(), file.ctime())
    };
    let first = run();
    let files = files_below(&sandbox.root());
    assert_eq!(run(), first);
    assert_eq!(files_below(&sandbox.root()), files);
}

#[test]
fn twenty_first_starts_at_once() {
    let (sandbox, artifact) = over(&[many_files(300), demo::greet()]);
    let code = "import greet, many.last; print(greet.greeting([many.last.WORD]))";
    let start = || {
        let mut command = sandbox.run(&artifact).args(["-B", "-c", code]).into_command();
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started")
    };
    let children: Vec<Child> = std::iter::repeat_with(start).take(20).collect();
    for child in children {
        let output = child.wait_with_output().expect("finished");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {stderr}", output.status);
        assert_eq!((String::from_utf8_lossy(&output.stdout).as_ref(), stderr.as_ref()), ("hello complete\n", ""));
    }
    // One tree, and nothing left over.
    let copies = files_below(&sandbox.root()).iter().filter(|path| path.ends_with("many/last.py")).count();
    assert_eq!(copies, 1);
    sandbox.run(&artifact).args(["-B", "-c", CHECK_RECORDS]).success();
}

/// A package of many small modules and one that sorts behind them.
fn many_files(count: usize) -> Wheel {
    let wheel = Wheel::new("many", "1.0").file("many/__init__.py", "").file("many/last.py", "WORD = 'complete'\n");
    (0..count).fold(wheel, |wheel, number| wheel.file(&format!("many/a{number:04}.py"), format!("NUMBER = {number}\n")))
}

#[test]
fn a_killed_first_start_does_not_count() {
    let (sandbox, artifact) = over(&[many_files(2000)]);
    for files in [1, 50, 1000] {
        let root = sandbox.path(&format!("root {files}"));
        let run = || sandbox.run(&artifact).env("BUNDLE_ROOT", &root);
        let mut child = run().args(["-c", ""]).into_command().spawn().expect("started");
        while files_below(&root).len() < files && child.try_wait().expect("child").is_none() {
            std::thread::yield_now();
        }
        child.kill().expect("killed");
        child.wait().expect("ended");
        run().args(["-B", "-c", CHECK_RECORDS]).success();
        let trees = files_below(&root).iter().filter(|path| path.ends_with("pyvenv.cfg")).count();
        assert_eq!(trees, 1, "what the killed run left behind is still there");
    }
}

#[test]
fn a_first_start_that_dies_while_writing_does_not_count() {
    let large =
        Wheel::new("large", "1.0").file("large.bin", vec![0; 2_000_000]).file("large.py", "WORD = 'complete'\n");
    let (sandbox, artifact) = over(&[large]);
    let code = "import large, os; print(large.WORD, os.path.getsize(large.__file__[:-2] + 'bin'))";
    // A limit below the size of the file: the system kills who exceeds it (SIGXFSZ), or the write fails.
    let limited = sandbox
        .run("/bin/sh")
        .args(["-c", "ulimit -f 512; exec \"$0\" \"$@\""])
        .arg(&artifact)
        .args(["-c", code])
        .finish();
    assert!(!limited.status.success(), "the limit had no effect");
    assert_eq!(limited.stdout, "");
    sandbox.run(&artifact).args(["-B", "-c", code]).success().prints("complete 2000000");
    let trees = files_below(&sandbox.root()).iter().filter(|path| path.ends_with("pyvenv.cfg")).count();
    assert_eq!(trees, 1, "what the killed run left behind is still there");
}

#[test]
fn an_interpreter_that_does_not_fit_is_refused() {
    let (sandbox, artifact) = interpreter();
    let missing = sandbox.run(&artifact).env("BUNDLE_PYTHON", "/nowhere/python").fails_with(127);
    missing.says(&["BUNDLE_PYTHON", "/nowhere/python", "hint: "]);

    // The same project for another minor version than this machine's interpreter has.
    let (major, minor, _) = python().version;
    let other = format!("{major}.{}", minor + 1);
    let tag = format!("cp{major}{}", minor + 1);
    let wheel = Wheel::new("tied", "1.0").tag(&format!("{tag}-none-any")).file("tied.py", "");
    let server = Server::start();
    let sandbox = Sandbox::new(&demo::over(&server, &[wheel]));
    sandbox.bundle(&["build", "app", "--python", &other]).success();
    let refused = sandbox.run(sandbox.artifact("app")).env("BUNDLE_PYTHON", &python().executable).fails_with(127);
    refused.says(&[&other, &python().minor_version, "hint: "]);
}

#[test]
fn pure_packages_run_on_every_python_that_would_have_got_them() {
    // Built for the next minor version, started with this one.
    let (major, minor, _) = python().version;
    let server = Server::start();
    let sandbox = Sandbox::new(&demo::over(&server, &[demo::greet()]));
    sandbox.bundle(&["build", "app", "--python", &format!("{major}.{}", minor + 1)]).success();
    sandbox
        .run(sandbox.artifact("app"))
        .args(["-c", "import greet; print(greet.greeting(['x']))"])
        .env("BUNDLE_PYTHON", &python().executable)
        .success()
        .prints("hello x");
}

#[test]
fn a_damaged_file_is_refused() {
    let (sandbox, artifact) = over(&[Wheel::new("fragile", "1.0").file("fragile.py", "UNIQUE = 'intact text'\n")]);
    let good = std::fs::read(&artifact).expect("artifact");
    let damaged = sandbox.path("damaged");
    let refused = |bytes: &[u8]| {
        std::fs::copy(&artifact, &damaged).expect("copy");
        std::fs::write(&damaged, bytes).expect("written");
        sandbox.run(&damaged).args(["-c", "import fragile"]).fails_with(125).says(&["error: "]).status
    };
    refused(&good[..good.len() - 1]);
    refused(&good[..good.len() - 1000]);
    refused(&[&good[..], b"more"].concat());
    // One byte of a packed file, which is stored: it is too short to be compressed.
    let position = good.windows(11).position(|window| window == b"intact text").expect("stored");
    let mut changed = good.clone();
    changed[position] ^= 1;
    refused(&changed);
    sandbox.run(&artifact).args(["-c", "import fragile; print(fragile.UNIQUE)"]).success().prints("intact text");
}

#[test]
fn a_root_that_others_can_write_to_is_passed_over() {
    let (sandbox, artifact) = over(&[demo::greet()]);
    let root = sandbox.path("shared");
    std::fs::create_dir(&root).expect("directory");
    std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o777)).expect("mode");
    let code = "import greet; print(greet.__file__)";
    let finished = sandbox.run(&artifact).env("BUNDLE_ROOT", &root).args(["-c", code]).success();
    let home = sandbox.path("home/.cache/bundle");
    assert!(finished.stdout.starts_with(home.to_str().expect("UTF-8")), "{}", finished.stdout);
    assert!(files_below(&root).is_empty());
}

#[test]
fn more_places_to_import_from_can_be_asked_for() {
    let (sandbox, artifact) = over(&[]);
    let elsewhere = sandbox.path("elsewhere");
    std::fs::create_dir(&elsewhere).expect("directory");
    std::fs::write(elsewhere.join("plugin.py"), "WORD = 'plugged in'\n").expect("module");
    for variable in ["BUNDLE_EXTRA_SYS_PATH", "PEX_EXTRA_SYS_PATH"] {
        let run = sandbox.run(&artifact).env(variable, &elsewhere).args(["-c", "import plugin; print(plugin.WORD)"]);
        run.success().prints("plugged in");
    }
}

#[test]
fn it_says_what_it_does_only_when_asked() {
    let (sandbox, artifact) = over(&[]);
    let silent = sandbox.run(&artifact).args(["-c", ""]).success();
    assert_eq!((silent.stdout.as_str(), silent.stderr.as_str()), ("", ""));
    let root = sandbox.root();
    for variable in ["BUNDLE_VERBOSE", "PEX_VERBOSE"] {
        let verbose = sandbox.run(&artifact).env(variable, "1").args(["-c", ""]).success();
        verbose.says(&[artifact.to_str().expect("UTF-8"), root.to_str().expect("UTF-8"), "CPython"]);
        assert_eq!(verbose.stdout, "");
    }
}

#[test]
fn an_artifact_that_is_called_python_does_not_take_itself_for_one() {
    let server = Server::start();
    let sandbox = Sandbox::new(&demo::interpreter(&server));
    let artifact = sandbox.build("app");
    let bin = sandbox.path("bin");
    std::fs::create_dir(&bin).expect("directory");
    for name in ["python", "python3", &format!("python{}", python().minor_version)] {
        std::fs::copy(&artifact, bin.join(name)).expect("copy");
    }
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("PATH"));
    sandbox.run(bin.join("python3")).env("PATH", path).args(["-c", "print(1)"]).success().prints("1");
}
