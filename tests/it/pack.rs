//! What wheels contain, put together: files that collide, and wheels that are not what they promise to be.

use crate::support::{Member, Package, Project, Sandbox, Server, Wheel, demo};

fn thing() -> Wheel {
    Wheel::new("thing", "1.0").file("thing.py", "")
}

fn one_and_two(one: &str, two: &str) -> [Wheel; 2] {
    let wheel = |name: &str, text: &str| Wheel::new(name, "1.0").file("shared/text.py", format!("TEXT = '{text}'\n"));
    [wheel("one", one), wheel("two", two)]
}

#[test]
fn two_packages_may_bring_the_same_file() {
    let server = Server::start();
    let sandbox = Sandbox::new(&demo::over(&server, &one_and_two("same", "same")));
    let artifact = sandbox.build("app");
    sandbox.run(&artifact).args(["-c", "import shared.text; print(shared.text.TEXT)"]).success().prints("same");
    let count = "
import sys, zipfile
names = zipfile.ZipFile(sys.argv[1]).namelist()
print(names.count('site-packages/shared/text.py'))
";
    sandbox.run(&artifact).args(["-c", count]).arg(&artifact).success().prints("1");
}

#[test]
fn two_packages_may_not_bring_different_files_of_one_name() {
    let server = Server::start();
    let sandbox = Sandbox::new(&demo::over(&server, &one_and_two("first", "second")));
    let refused = sandbox.bundle(&["build", "app"]).fails_with(3);
    refused.says(&["one", "two", "site-packages/shared/text.py", "hint: ", "--allow-overwrite"]);
    assert!(!sandbox.artifact("app").exists());

    // A pattern for something else does not help.
    sandbox.bundle(&["build", "app", "--allow-overwrite", "site-packages/other/*"]).fails_with(3);
    sandbox.bundle(&["build", "app", "--allow-overwrite", "site-packages/shared/*"]).success();
    sandbox
        .run(sandbox.artifact("app"))
        .args(["-c", "import shared.text; print(shared.text.TEXT)"])
        .success()
        .prints("second");
}

#[test]
fn overwriting_can_be_allowed_by_configuration() {
    let server = Server::start();
    let project = demo::over(&server, &one_and_two("first", "second"))
        .configured_with("allow-overwrite = [\"site-packages/shared/text.py\"]\n");
    let sandbox = Sandbox::new(&project);
    sandbox.build("app");
}

#[test]
fn scripts_of_one_name_collide_too() {
    let wheel = |name: &str| {
        Wheel::new(name, "1.0").file(&format!("{name}.py"), "").console_script("tool", &format!("{name}:main"))
    };
    let server = Server::start();
    let sandbox = Sandbox::new(&demo::over(&server, &[wheel("one"), wheel("two")]));
    sandbox.bundle(&["build", "app"]).fails_with(3).says(&["one", "two", "bin/tool", "hint: "]);
}

#[test]
fn a_file_where_another_package_has_a_directory_is_refused() {
    let one = Wheel::new("one", "1.0").file("shared", "a file");
    let two = Wheel::new("two", "1.0").file("shared/text.py", "");
    let server = Server::start();
    let sandbox = Sandbox::new(&demo::over(&server, &[one, two]));
    sandbox.bundle(&["build", "app"]).fails_with(3).says(&["`one`", "`two`", "site-packages/shared/text.py"]);
}

#[test]
fn a_file_that_is_missing_from_its_record_is_packed_and_recorded() {
    let server = Server::start();
    let wheel = thing().file("extra.txt", "unlisted").record_without("extra.txt");
    let sandbox = Sandbox::new(&demo::over(&server, &[wheel]));
    let artifact = sandbox.build("app");
    sandbox.run(&artifact).args(["-B", "-c", include_str!("check_records.py")]).success();
}

/// Builds over a package `thing` with this wheel and expects it to be refused for not being what it promises.
fn refused(wheel: &Wheel, fragments: &[&str]) {
    let server = Server::start();
    let sandbox = Sandbox::new(&demo::over(&server, std::slice::from_ref(wheel)));
    let finished = sandbox.bundle(&["build", "app"]).fails_with(6);
    finished.says(&["error: ", "thing-1.0"]).says(fragments);
    assert!(!sandbox.artifact("app").exists());
}

#[test]
fn names_that_leave_their_place_are_refused() {
    for name in [
        "../evil.py",
        "thing/../../evil.py",
        "/tmp/evil.py",
        "thing//evil.py",
        "./evil.py",
        "thing\\evil.py",
        "thing-1.0.data/scripts/../../evil",
        "thing-1.0.data/data/../evil",
    ] {
        refused(&thing().file(name, "evil"), &[name]);
    }
}

#[test]
fn data_for_no_known_place_is_refused() {
    refused(&thing().data("secrets", "evil.py", ""), &["thing-1.0.data/secrets/evil.py"]);
}

#[test]
fn links_are_refused() {
    refused(&thing().symbolic_link("passwords", "/etc/passwd"), &["passwords"]);
}

#[test]
fn a_name_that_stands_there_twice_is_refused() {
    for contents in ["a", "b"] {
        refused(&thing().file("thing/evil.py", "a").file("thing/evil.py", contents), &["thing/evil.py"]);
    }
}

#[test]
fn a_record_that_lies_is_refused() {
    refused(&thing().wrong_record_for("thing.py"), &["thing.py", "RECORD"]);
}

#[test]
fn a_wheel_without_record_is_refused() {
    refused(&thing().without_record(), &["RECORD"]);
}

#[test]
fn a_wheel_without_metadata_is_refused() {
    // It says that it is `thing`, but what is inside belongs to another package.
    let server = Server::start();
    let mut wheel = Wheel::new("other", "1.0").file("other.py", "").build();
    wheel.name = "thing".into();
    wheel.filename = "thing-1.0-py3-none-any.whl".into();
    let project = Project::new()
        .member(Member::root("app").needs(&["thing"]).without_build_system())
        .package(Package::served(&server, &wheel));
    let sandbox = Sandbox::new(&project);
    sandbox.bundle(&["build", "app"]).fails_with(6).says(&["thing-1.0", "thing-1.0.dist-info"]);
}

#[test]
fn what_is_no_archive_is_refused() {
    let server = Server::start();
    let mut wheel = thing().build();
    for bytes in [b"not an archive".to_vec(), wheel.bytes[..wheel.bytes.len() - 30].to_vec()] {
        wheel.bytes = bytes;
        let project = Project::new()
            .member(Member::root("app").needs(&["thing"]).without_build_system())
            .package(Package::served(&server, &wheel));
        let sandbox = Sandbox::new(&project);
        sandbox.bundle(&["build", "app"]).fails_with(6).says(&["thing-1.0", "zip"]);
    }
}

#[test]
fn entry_points_that_are_code_are_refused() {
    for target in ["thing:main();import os", "os.system('x')", "thing"] {
        refused(&thing().console_script("tool", target), &["tool"]);
    }
    refused(&thing().console_script("../../evil", "thing:main"), &["../../evil"]);
}

#[test]
fn a_script_that_is_no_python_is_started_as_it_is() {
    let wheel = thing().data("scripts", "shout", "#!/bin/sh\necho \"$1\" | tr a-z A-Z\n");
    let server = Server::start();
    let sandbox = Sandbox::new(&demo::over(&server, &[wheel]));
    sandbox.bundle(&["build", "app", "--script", "shout"]).success();
    let artifact = sandbox.artifact("app");
    sandbox.run(&artifact).arg("hello").success().prints("HELLO");
    sandbox.run(&artifact).env("BUNDLE_SCRIPT", "shout").arg("again").success().prints("AGAIN");
}

#[test]
fn an_entry_point_takes_the_place_of_a_script_of_its_name() {
    let wheel = Wheel::new("thing", "1.0")
        .file("thing.py", "def main():\n    print('entry point')\n")
        .data("scripts", "thing", "#!python\nprint('script')\n")
        .console_script("thing", "thing:main");
    let server = Server::start();
    let sandbox = Sandbox::new(&demo::over(&server, &[wheel]));
    sandbox.bundle(&["build", "app", "--script", "thing"]).success();
    sandbox.run(sandbox.artifact("app")).success().prints("entry point");
}

#[test]
fn files_of_the_virtual_environment_are_not_taken() {
    for (kind, name) in [("data", "pyvenv.cfg"), ("scripts", "python3"), ("data", "lib64")] {
        let server = Server::start();
        let sandbox = Sandbox::new(&demo::over(&server, &[thing().data(kind, name, "")]));
        sandbox.bundle(&["build", "app"]).fails_with(3).says(&["`thing`", name, "virtual environment", "hint: "]);
        assert!(!sandbox.artifact("app").exists());
    }
}

#[test]
fn two_names_for_one_place_are_refused() {
    let python = &crate::support::python().minor_version;
    let place = format!("lib/python{python}/site-packages/thing.py");
    let server = Server::start();
    let sandbox = Sandbox::new(&demo::over(&server, &[thing().data("data", &place, "x = 1")]));
    sandbox.bundle(&["build", "app"]).fails_with(3).says(&["`thing`", "thing.py"]);
}

#[test]
fn an_output_that_is_no_file_is_left_alone() {
    let server = Server::start();
    let sandbox = Sandbox::new(&demo::over(&server, &[thing()]));
    for output in ["/dev/null", "new/"] {
        sandbox.bundle(&["build", "app", "--output", output]).fails_with(8).says(&[output, "hint: "]);
    }
    assert_eq!(server.requests(), 0);
}
