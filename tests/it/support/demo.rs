//! The projects that most tests build: an app over two wheels, with local code or without.
//!
//! Without local code no build frontend is needed, and a build takes a fraction of the time.

use std::process::Command;

use super::python::{ARCH, python};
use super::{Member, Package, Project, Server, Wheel, skip};

const COMMAND: &str = "\
import sys

import greet
import native


def main():
    print(greet.greeting(sys.argv[1:]), native.ANSWER)


def seven():
    return 7
";

const MODULE: &str = "\
import sys

print('module', __name__, sys.argv[1:])
";

/// A wheel for this machine's Python and platform alone.
pub(crate) fn native() -> Wheel {
    let tag = &python().tag;
    Wheel::new("native", "0.9").tag(&format!("{tag}-{tag}-manylinux2014_{ARCH}")).file("native.py", "ANSWER = 42\n")
}

/// A pure wheel with two console scripts: `greet` greets its arguments, `seven` ends with status 7.
pub(crate) fn greet() -> Wheel {
    Wheel::new("greet", "2.0")
        .file("greet/__init__.py", "def greeting(names):\n    return 'hello ' + ' '.join(names)\n")
        .file("greet/__main__.py", MODULE)
        .file("greet/command.py", COMMAND)
        .console_script("greet", "greet.command:main")
        .console_script("seven", "greet.command:seven")
}

/// `app` without local code, over these wheels: an interpreter.
pub(crate) fn over(server: &Server, wheels: &[Wheel]) -> Project {
    let built: Vec<_> = wheels.iter().map(|wheel| wheel.clone().build()).collect();
    let names: Vec<&str> = built.iter().map(|wheel| wheel.name.as_str()).collect();
    let member = Member::root("app").needs(&names).without_build_system();
    built.iter().fold(Project::new().member(member), |project, wheel| project.package(Package::served(server, wheel)))
}

/// `app` without local code, over `greet` and `native`: an interpreter.
pub(crate) fn interpreter(server: &Server) -> Project {
    over(server, &[greet(), native()])
}

/// The same, but starting the console script `greet`.
pub(crate) fn console(server: &Server) -> Project {
    interpreter(server).configured_with("[tool.bundle.apps.app]\nscript = \"greet\"\n")
}

/// `app` with local code, over `greet` and `native`, with one console script.
pub(crate) fn local(server: &Server) -> Project {
    Project::new()
        .member(local_app().script("app", "app.main:main"))
        .package(Package::served(server, &greet().build()))
        .package(Package::served(server, &native().build()))
}

/// The local code of [`local`].
pub(crate) fn local_app() -> Member {
    Member::root("app")
        .needs(&["greet", "native"])
        .file("app/__init__.py", "WORD = 'local'\n")
        .file("app/main.py", "import greet.command\n\n\ndef main():\n    greet.command.main()\n")
}

/// Whether local code can be built here: by `uv` or by the pip of `python3`. Says so if it cannot.
pub(crate) fn can_build_local_code() -> bool {
    let runs = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
    };
    let possible = runs("uv", &["--version"]) || runs("python3", &["-m", "pip", "--version"]);
    if !possible {
        skip("local code cannot be built: neither `uv` nor pip for `python3` is installed");
    }
    possible
}
