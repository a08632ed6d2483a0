//! What is said of packages that do not fit, and that following it helps.

use crate::support::run::Run;
use crate::support::{Finished, Member, Package, Project, Sandbox};

fn lone(dependencies: &[&str]) -> Project {
    Project::for_fixed_target().requires_python(">=3.9").member(Member::root("app").needs(dependencies))
}

fn wheels(name: &str, tags: &[&str]) -> Package {
    tags.iter().fold(Package::unavailable(name, "1.0"), |package, tag| package.wheel(tag))
}

fn plan(sandbox: &Sandbox, flags: &[&str]) -> Run {
    sandbox.bundle(&[&["plan", "--json"], flags].concat())
}

/// The flags in backticks at the start of the first hint.
fn advice(refused: &Finished) -> Vec<String> {
    let hint = refused.line("hint: ");
    let flags = hint.split('`').nth(1).unwrap_or_else(|| panic!("no command in `{hint}`"));
    flags.split(' ').map(str::to_owned).collect()
}

/// Plans with the advice instead of the refused flags, which has to do; returns the advice.
fn follow(sandbox: &Sandbox, refused: &Finished, kept: &[&str]) -> String {
    let advice = advice(refused);
    let flags: Vec<&str> = advice.iter().map(String::as_str).chain(kept.iter().copied()).collect();
    plan(sandbox, &flags).success();
    advice.join(" ")
}

#[test]
fn the_lowest_c_library_for_all_is_advised() {
    let sandbox = Sandbox::new(
        &lone(&["a", "b", "c"])
            .package(wheels("a", &["cp311-cp311-manylinux_2_31_x86_64", "cp311-cp311-manylinux_2_26_x86_64"]))
            .package(wheels("b", &["cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64"]))
            .package(wheels("c", &["py3-none-any"])),
    );
    let refused = plan(&sandbox, &[]).fails_with(4);
    refused.says(&["2 packages have no wheel", "a 1.0  needs glibc 2.26 or newer", "b 1.0  needs glibc 2.24 or newer"]);
    assert_eq!(follow(&sandbox, &refused, &[]), "--platform x86_64-manylinux_2_26");
    refused.says(&["no package needs another release"]);
    plan(&sandbox, &["--platform", "x86_64-manylinux_2_25"]).fails_with(4).says(&["1 package has no wheel"]);
}

#[test]
fn the_nearest_python_for_all_is_advised() {
    let linux = |python: &str| format!("{python}-{python}-manylinux2014_x86_64");
    let sandbox = Sandbox::new(
        &lone(&["a", "b"])
            .package(wheels("a", &[&linux("cp39"), &linux("cp310"), &linux("cp312")]))
            .package(wheels("b", &[&linux("cp310"), &linux("cp313")])),
    );
    let refused = plan(&sandbox, &["--python", "3.11"]).fails_with(4);
    refused.says(&["has wheels for Python 3.9, 3.10, 3.12 only", "has wheels for Python 3.10, 3.13 only"]);
    assert_eq!(follow(&sandbox, &refused, &[]), "--python 3.10");
}

#[test]
fn a_python_and_a_c_library_are_advised_together() {
    let sandbox = Sandbox::new(
        &lone(&["a", "b"])
            .package(wheels("a", &["cp312-cp312-manylinux_2_28_x86_64", "cp312-cp312-manylinux_2_31_x86_64"]))
            .package(wheels("b", &["cp311-cp311-manylinux2014_x86_64", "cp312-cp312-manylinux_2_24_x86_64"])),
    );
    let refused = plan(&sandbox, &["--python", "3.11"]).fails_with(4);
    assert_eq!(follow(&sandbox, &refused, &[]), "--platform x86_64-manylinux_2_28 --python 3.12");
}

#[test]
fn packages_that_nothing_helps_are_told_from_those_that_something_helps() {
    let sandbox = Sandbox::new(
        &lone(&["newer", "mac", "source"])
            .package(wheels("newer", &["cp311-cp311-manylinux_2_28_x86_64"]))
            .package(wheels("mac", &["cp311-cp311-macosx_11_0_arm64", "cp311-cp311-win_amd64"]))
            .package(Package::unavailable("source", "1.0").sdist()),
    );
    let refused = plan(&sandbox, &[]).fails_with(4);
    refused.says(&[
        "mac 1.0     has wheels of Python 3.11 for Windows, macOS only",
        "source 1.0  no wheels at all, only the source distribution `source-1.0.tar.gz`",
        "hint: `--platform x86_64-manylinux_2_28` fits `newer` as locked",
        "hint: only wheels are packed, so build one of `source` (",
        "`python3.11 -m pip wheel --no-deps source==1.0`",
        "hint: `mac` has nothing for glibc on x86_64 in any Python that the lock allows, neither wheel nor source",
    ]);
}

#[test]
fn other_c_libraries_and_machines_are_named() {
    let tags = ["cp311-cp311-manylinux2014_x86_64", "cp311-cp311-manylinux_2_28_aarch64"];
    let sandbox = Sandbox::new(&lone(&["a"]).package(wheels("a", &tags)));
    let musl = plan(&sandbox, &["--platform", "x86_64-musllinux_1_2"]).fails_with(4);
    musl.says(&["a 1.0  has wheels of Python 3.11 for glibc (aarch64, x86_64) only"]);
    let arm = plan(&sandbox, &["--platform", "aarch64-manylinux2014"]).fails_with(4);
    assert_eq!(follow(&sandbox, &arm, &[]), "--platform aarch64-manylinux_2_28");
}

#[test]
fn a_python_outside_the_lock_is_never_advised() {
    let only_38 = wheels("a", &["cp38-cp38-manylinux2014_x86_64"]);
    let sandbox = Sandbox::new(&lone(&["a"]).package(only_38));
    plan(&sandbox, &["--python", "3.9"]).fails_with(4).says(&["`a` has nothing for glibc on x86_64"]);
    let refused = plan(&sandbox, &["--python", "3.8"]).fails_with(4);
    refused.says(&["`>=3.9`", "`--python 3.9`"]);
}

#[test]
fn each_target_gets_its_best_wheel() {
    let tags = [
        "py2.py3-none-any",
        "cp38-abi3-manylinux_2_5_x86_64.manylinux1_x86_64",
        "cp310-abi3-manylinux_2_28_x86_64",
        "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64",
        "1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64",
        "cp311-cp311-manylinux_2_31_x86_64",
        "cp311-cp311-linux_aarch64",
        "cp312-none-manylinux2010_x86_64",
        "cp313-cp313t-manylinux2014_x86_64",
        "cp314-abi3.abi3t-manylinux_2_28_x86_64",
        "cp39-cp39-musllinux_1_1_x86_64.musllinux_1_2_x86_64",
        "cp311-abi3-musllinux_1_1_x86_64",
        "cp311-cp311-musllinux_1_2_aarch64",
        "pp311-pypy311_pp73-manylinux2014_x86_64",
        "cp311-cp311d-manylinux2014_x86_64",
        "cp311-cp311-macosx_11_0_universal2",
    ];
    let sandbox = Sandbox::new(&lone(&["a"]).package(wheels("a", &tags)));
    for (platform, python, expected) in [
        // A build tag decides between equal tags; a newer manylinux is better than an older one.
        ("x86_64-manylinux2014", "3.11", "1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64"),
        ("x86_64-manylinux_2_30", "3.11", "1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64"),
        ("x86_64-manylinux_2_35", "3.11", "cp311-cp311-manylinux_2_31_x86_64"),
        // Any C library's wheels are older than these: only the stable ABI's is old enough.
        ("x86_64-manylinux1", "3.11", "cp38-abi3-manylinux_2_5_x86_64.manylinux1_x86_64"),
        // The stable ABI of an older Python, the newest first, before `none` of no Python in particular.
        ("x86_64-manylinux2014", "3.10", "cp38-abi3-manylinux_2_5_x86_64.manylinux1_x86_64"),
        ("x86_64-manylinux_2_28", "3.10", "cp310-abi3-manylinux_2_28_x86_64"),
        ("x86_64-manylinux2014", "3.12", "cp312-none-manylinux2010_x86_64"),
        ("x86_64-manylinux_2_28", "3.14", "cp314-abi3.abi3t-manylinux_2_28_x86_64"),
        // Without the interpreter lock only its own ABIs count.
        ("x86_64-manylinux2014", "3.13t", "cp313-cp313t-manylinux2014_x86_64"),
        ("x86_64-manylinux2014", "3.14t", "py2.py3-none-any"),
        // `linux` promises nothing, but is accepted; musl has wheels of its own.
        ("aarch64-manylinux2014", "3.11", "cp311-cp311-linux_aarch64"),
        ("aarch64-manylinux2014", "3.12", "py2.py3-none-any"),
        ("x86_64-musllinux_1_2", "3.9", "cp39-cp39-musllinux_1_1_x86_64.musllinux_1_2_x86_64"),
        ("x86_64-musllinux_1_2", "3.12", "cp311-abi3-musllinux_1_1_x86_64"),
        ("aarch64-musllinux_1_2", "3.11", "cp311-cp311-musllinux_1_2_aarch64"),
        ("aarch64-musllinux_1_1", "3.11", "cp311-cp311-linux_aarch64"),
    ] {
        let planned = plan(&sandbox, &["--platform", platform, "--python", python]).success().json();
        let packages = planned["targets"][0]["packages"].as_array().expect("packages");
        let package = packages.iter().find(|package| package["name"] == "a").expect("package");
        assert_eq!(package["filename"], format!("a-1.0-{expected}.whl"), "{platform} {python}");
    }
}

#[test]
fn the_usual_build_is_advised_where_the_free_threaded_one_has_nothing() {
    let sandbox = Sandbox::new(
        &lone(&["a", "b"])
            .package(wheels("a", &["cp313-cp313-manylinux_2_28_aarch64", "cp313-cp313t-manylinux2014_x86_64"]))
            .package(wheels("b", &["cp313-cp313-manylinux_2_17_aarch64.manylinux2014_aarch64"])),
    );
    let refused = plan(&sandbox, &["--python", "3.13t", "--platform", "aarch64-manylinux2014"]).fails_with(4);
    assert_eq!(follow(&sandbox, &refused, &[]), "--platform aarch64-manylinux_2_28 --python 3.13");
}

#[test]
fn long_lists_are_cut_in_hints_and_compiled_code_is_told_from_source() {
    let names = ["a", "b", "c", "d", "e", "f", "native"];
    let sources = |project: Project, name: &&str| project.package(Package::unavailable(name, "1.0").sdist());
    let project = names[..6]
        .iter()
        .fold(lone(&names), sources)
        .package(Package::unavailable("native", "1.0").wheel("cp311-cp311-macosx_11_0_arm64").sdist());
    let refused = plan(&Sandbox::new(&project), &["--platform", "aarch64-musllinux_1_2"]).fails_with(4);
    refused.says(&[
        "7 packages have no wheel",
        "hint: only wheels are packed, so build one of `a`, `b`, `c`, `d`, `e` and 1 more (this machine can if it is pure",
        "`native`, which have compiled code",
    ]);
}
