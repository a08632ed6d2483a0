"""What has to be there before anything is measured: interpreter, tools, project copies, wheels, environments."""

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from comparison.process import Command, Runner

PYTHON_VERSION = "3.11"

# uv is not pinned: its speed at packing is not compared, it only prepares.
_TOOLS = ("pex==2.105.2", "shiv==1.0.8", "uv")

REPOSITORY = Path(__file__).resolve().parents[2]
FIXTURE = REPOSITORY / "fixtures" / "rag"


@dataclass(frozen=True)
class App:
    """An app of the fixture, and how it is started for a measurement."""

    name: str
    platform: str
    # Console script that a started artifact calls; without one it is an interpreter.
    script: str | None
    # Python code that imports what the app imports.
    probe: str
    # A file of the app below the project, changed to have its wheel built again.
    source: str


APPS = (
    App("api", "x86_64-manylinux2014", "uvicorn", "import api.main", "packages/api/api/__init__.py"),
    App(
        "worker",
        "x86_64-manylinux_2_28",
        None,
        "import numpy, pandas, pymupdf",
        "packages/worker/worker/__init__.py",
    ),
)


@dataclass(frozen=True)
class Tools:
    """Programs that are run."""

    python: Path
    bundle: Path
    pex: Path
    shiv: Path
    uv: Path


class SetupError(Exception):
    """Something without which nothing can be measured is missing."""


def find_python() -> Path:
    """Return the executable of Python 3.11 itself, not that of a virtual environment or a shim."""
    name = f"python{PYTHON_VERSION}"
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    candidates = [shutil.which(name), *sorted(pyenv.glob(f"versions/{PYTHON_VERSION}.*/bin/{name}"), reverse=True)]
    code = "import sys; print(sys._base_executable)"
    for candidate in candidates:
        if candidate is None:
            continue
        result = subprocess.run([candidate, "-I", "-c", code], capture_output=True, text=True, check=False)
        if result.returncode == 0:
            return Path(result.stdout.strip())
    raise SetupError(f"no {name} on `PATH` or in `{pyenv}`")


def build_bundle() -> Path:
    """Return the release binary; cargo builds it if it is missing or older than its sources."""
    target = Path(os.environ.get("CARGO_TARGET_DIR") or "target")
    command = ["cargo", "build", "--release", "--locked", "--bin", "bundle"]
    if subprocess.run(command, cwd=REPOSITORY, check=False).returncode != 0:
        raise SetupError("`bundle` could not be built")
    return REPOSITORY / target / "release" / "bundle"


def install_tools(directory: Path, python: Path, runner: Runner) -> Path:
    """Make the virtual environment with the peers, unless it is there, and return its `bin`."""
    if not (directory / "complete").exists():
        shutil.rmtree(directory, ignore_errors=True)
        runner.output(Command.of(python, "-m", "venv", directory))
        runner.output(Command.of(directory / "bin" / "pip", "install", "--quiet", *_TOOLS))
        (directory / "complete").touch()
    return directory / "bin"


@dataclass(frozen=True)
class Prepared:
    """An app, with what its contenders are made from."""

    app: App
    # Everything of this app that is measured on the disk is below it.
    directory: Path
    project: Path
    # A second copy of the project, whose sources change.
    changing_project: Path
    bundle_cache: Path
    # Hash-checked requirements: the locked packages, and the members' wheels by path.
    requirements: Path
    # The packages installed, never imported from, so without bytecode.
    environment: Path
    wheels_bytes: int
    wheels: int


def prepare(app: App, tools: Tools, directory: Path, runner: Runner) -> Prepared:
    """Bring everything into place that the contenders of an app need."""
    shutil.rmtree(directory, ignore_errors=True)
    project, changing_project = directory / "project", directory / "changing-project"
    for copy in (project, changing_project):
        shutil.copytree(FIXTURE, copy, ignore=shutil.ignore_patterns("dist", "build", ".venv", "__pycache__"))
    cache = directory.parent / "cache" / f"bundle-{app.name}"

    # The first build fetches and builds every wheel: it fills the cache.
    where = ("--project", project, "--cache-dir", cache)
    runner.output(Command.of(tools.bundle, "build", app.name, *where, "--quiet", "--output", directory / "first-build"))
    plan = json.loads(runner.output(Command.of(tools.bundle, "plan", app.name, "--project", project, "--json")))
    packages = plan["targets"][0]["packages"]

    members = _build_members(packages, project, directory / "members", tools, runner)
    requirements = directory / "requirements.txt"
    requirements.write_text(_locked_requirements(app, project, tools, runner) + "".join(map(_pinned_file, members)))
    environment = make_environment(directory / "environment", requirements, tools, runner)

    sizes = [_size_in_cache(cache, package["filename"]) for package in packages if package["kind"] == "wheel"]
    sizes += [wheel.stat().st_size for wheel in members]
    return Prepared(app, directory, project, changing_project, cache, requirements, environment, sum(sizes), len(sizes))


def make_environment(directory: Path, requirements: Path, tools: Tools, runner: Runner) -> Path:
    """Make a virtual environment with the packages of an app, copied, without bytecode."""
    shutil.rmtree(directory, ignore_errors=True)
    runner.output(Command.of(tools.uv, "venv", "--quiet", "--python", tools.python, directory))
    options = ("--quiet", "--link-mode=copy", "--require-hashes", "--no-deps", "--python", directory / "bin" / "python")
    runner.output(Command.of(tools.uv, "pip", "install", *options, "-r", requirements))
    return directory


def _build_members(
    packages: list[dict[str, str]], project: Path, output: Path, tools: Tools, runner: Runner
) -> list[Path]:
    options = ("--wheel", "--quiet", "--python", tools.python, "--out-dir", output)
    for package in packages:
        if package["kind"] == "local":
            runner.output(Command.of(tools.uv, "build", *options, project / package["path"]))
    return sorted(output.glob("*.whl"))


def _locked_requirements(app: App, project: Path, tools: Tools, runner: Runner) -> str:
    where = ("--quiet", "--project", project, "--python", tools.python)
    what = ("--frozen", "--no-dev", "--package", app.name, "--no-emit-workspace")
    return runner.output(Command.of(tools.uv, "export", *where, *what, "--no-header", "--no-annotate"))


def _pinned_file(wheel: Path) -> str:
    """Return the requirement of a wheel by its path; beside hashed requirements it needs a hash as well."""
    name = wheel.name.split("-")[0].replace("_", "-")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return f"{name} @ {wheel.as_uri()} --hash=sha256:{digest}\n"


def _size_in_cache(cache: Path, filename: str) -> int:
    return next(cache.rglob(filename)).stat().st_size
