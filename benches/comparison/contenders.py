"""The commands that are compared."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from comparison.measure import Contender
from comparison.process import Command, Runner
from comparison.setup import PYTHON_VERSION, Prepared, Tools, make_environment
from comparison.storage import Place

# Starts no more of Python than has to be.
_NOTHING = ("-S", "-c", "pass")

# Rows that others are held against.
PLAIN_FIRST_START = "a plain venv without bytecode"
COPY_OF_TREE = "`cp -r` of the unpacked tree"
BARE_INTERPRETER = "`bin/python` of its tree"


@dataclass(frozen=True)
class Artifact:
    """A file that a contender has built, and how to start code in it."""

    name: str
    path: Path
    # Where it says what to do instead of calling its script.
    interpreter_variable: str
    root_variable: str

    def start(self, root: Path, *arguments: str) -> Command:
        """Return the command that starts its interpreter, with what is unpacked below `root`."""
        variables: dict[str, str | Path] = {self.interpreter_variable: "1", self.root_variable: root}
        return Command.of(self.path, *arguments, **variables)


class Artifacts:
    """The artifacts of an app, in a directory."""

    def __init__(self, directory: Path) -> None:
        """Name them; nothing is built yet."""
        self.directory = directory
        self.bundle = Artifact("bundle", directory / "bundle", "BUNDLE_INTERPRETER", "BUNDLE_ROOT")
        self.pex = Artifact("pex", directory / "pex", "PEX_INTERPRETER", "PEX_ROOT")
        self.pex_venv = Artifact("pex --venv", directory / "pex-venv", "PEX_INTERPRETER", "PEX_ROOT")
        self.pex_sh_boot = Artifact(
            "pex --venv --sh-boot", directory / "pex-venv-sh-boot", "PEX_INTERPRETER", "PEX_ROOT"
        )
        self.shiv = Artifact("shiv", directory / "shiv", "SHIV_INTERPRETER", "SHIV_ROOT")

    @property
    def all(self) -> tuple[Artifact, ...]:
        """All of them, `bundle` first."""
        return self.bundle, self.pex, self.pex_venv, self.pex_sh_boot, self.shiv

    def copied_to(self, directory: Path) -> "Artifacts":
        """Return a copy of those that could be built."""
        directory.mkdir()
        for artifact in self.all:
            if artifact.path.exists():
                shutil.copy2(artifact.path, directory)
        return Artifacts(directory)


def builds(prepared: Prepared, artifacts: Artifacts, tools: Tools, place: Place) -> list[Contender]:
    """Return the ways to build an artifact with everything cached, and what to hold them against."""
    app = prepared.app
    script = ("-c", app.script) if app.script else ()
    changed, from_venv, from_packages, copy = (
        artifacts.directory / name for name in ("bundle-changed", "pex-from-venv", "shiv-from-packages", "copy")
    )
    packages = prepared.environment / "lib" / f"python{PYTHON_VERSION}" / "site-packages"
    requirements = ("-r", prepared.requirements)
    change = _changer(prepared.changing_project / app.source)

    def bundle(project: Path, output: Path) -> Command:
        where = ("--project", project, "--cache-dir", prepared.bundle_cache)
        return Command.of(tools.bundle, "build", app.name, *where, "--offline", "--quiet", "--output", output)

    def prepare(output: Path, before: Callable[[], None] | None = None) -> Callable[[], None]:
        def clean() -> None:
            output.unlink(missing_ok=True)
            if before is not None:
                before()
            place.settle()

        return clean

    pex = Command.of(tools.pex, *requirements, *script, "-o", artifacts.pex.path)
    shiv = Command.of(tools.shiv, *script, "-o", artifacts.shiv.path, *requirements)
    shiv_from_packages = Command.of(tools.shiv, *script, "-o", from_packages, "--site-packages", packages)
    return [
        Contender("bundle", bundle(prepared.project, artifacts.bundle.path), prepare=prepare(artifacts.bundle.path)),
        Contender(
            "bundle, app code changed", bundle(prepared.changing_project, changed), prepare=prepare(changed, change)
        ),
        Contender(
            "`uv build` of the changed member alone",
            _uv_build(prepared, tools),
            yardstick=True,
            prepare=prepare(changed, change),
        ),
        Contender("pex", pex, prepare=prepare(artifacts.pex.path)),
        Contender("pex from a ready venv", _pex_from_venv(prepared, tools, from_venv), prepare=prepare(from_venv)),
        Contender("shiv", shiv, prepare=prepare(artifacts.shiv.path)),
        Contender("shiv from ready site-packages", shiv_from_packages, prepare=prepare(from_packages)),
        Contender(
            "`cp` of the artifact",
            Command.of("cp", artifacts.bundle.path, copy),
            yardstick=True,
            prepare=prepare(copy),
        ),
    ]


def more_artifacts(prepared: Prepared, artifacts: Artifacts, tools: Tools) -> list[Contender]:
    """Return the builds whose time says nothing new, but whose artifacts are started."""
    return [
        Contender(artifact.name, _pex_from_venv(prepared, tools, artifact.path, *artifact.name.split()[1:]))
        for artifact in (artifacts.pex_venv, artifacts.pex_sh_boot)
    ]


def _pex_from_venv(prepared: Prepared, tools: Tools, output: Path, *options: str) -> Command:
    script = ("-c", prepared.app.script) if prepared.app.script else ()
    venv = ("--venv-repository", prepared.environment)
    return Command.of(tools.pex, *venv, prepared.app.name, *script, *options, "-o", output)


def _uv_build(prepared: Prepared, tools: Tools) -> Command:
    member = (prepared.changing_project / prepared.app.source).parents[1]
    options = ("--wheel", "--quiet", "--offline", "--python", tools.python)
    return Command.of(tools.uv, "build", *options, "--out-dir", prepared.directory / "rebuilt", member)


def _changer(source: Path) -> Callable[[], None]:
    """Return a function that makes a source file one that was never built, in earlier runs neither."""
    original = source.read_text("utf-8")

    def change() -> None:
        source.write_text(f"{original}\nCHANGED = {time.time_ns()}\n", "utf-8")

    return change


class Starts:
    """The ways to start an app, with all their files in one place."""

    def __init__(self, prepared: Prepared, artifacts: Artifacts, tools: Tools, place: Place, runner: Runner) -> None:
        """Bring virtual environment, artifacts and an unpacked tree to the place."""
        self._app = prepared.app
        self._place = place
        self._directory = place.directory / f"{prepared.app.name}-starts"
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir()
        self._artifacts = artifacts.copied_to(self._directory / "artifacts")
        self._environment = make_environment(self._directory / "venv", prepared.requirements, tools, runner)
        tell = self._artifacts.bundle.start(self._directory / "tree", "-S", "-c", "import sys; print(sys.executable)")
        self._tree_python = Path(runner.output(tell).strip())

    def first(self) -> list[Contender]:
        """Return starts that unpack, and what to hold them against."""
        unpacking = self._first(self._artifacts.bundle, *_NOTHING)
        tree, copy = self._tree_python.parents[1], self._directory / "copy"
        return [
            *(self._first(artifact, "-c", self._app.probe) for artifact in self._artifacts.all),
            Contender(
                PLAIN_FIRST_START,
                self._venv_command(),
                yardstick=True,
                prepare=self._preparation(self._remove_bytecode),
            ),
            Contender("bundle, of `-S -c pass` instead", unpacking.command, yardstick=True, prepare=unpacking.prepare),
            Contender(
                COPY_OF_TREE,
                Command.of("cp", "-r", tree, copy),
                yardstick=True,
                prepare=self._preparation(lambda: _remove_tree(copy)),
            ),
        ]

    def warm(self) -> list[Contender]:
        """Return starts of what is unpacked, which the rounds that do not count have to do."""
        starts = [self._warm(artifact) for artifact in self._artifacts.all]
        return [*starts, Contender("a plain venv", self._venv_command(), yardstick=True)]

    def launcher(self) -> list[Contender]:
        """Return the start of an interpreter through the artifact and without it."""
        bundle = self._artifacts.bundle
        return [
            Contender("bundle", bundle.start(self._root(bundle, "warm"), *_NOTHING)),
            Contender(BARE_INTERPRETER, Command.of(self._tree_python, *_NOTHING), yardstick=True),
        ]

    def remove(self) -> None:
        """Remove everything that was unpacked."""
        shutil.rmtree(self._directory)

    def _first(self, artifact: Artifact, *arguments: str) -> Contender:
        root = self._root(artifact, "first")
        prepare = self._preparation(lambda: _remove_tree(root))
        return Contender(artifact.name, artifact.start(root, *arguments), prepare=prepare, needs=artifact.path)

    def _warm(self, artifact: Artifact) -> Contender:
        command = artifact.start(self._root(artifact, "warm"), "-c", self._app.probe)
        return Contender(artifact.name, command, needs=artifact.path)

    def _root(self, artifact: Artifact, kind: str) -> Path:
        return self._directory / f"{kind}-root-{artifact.path.name}"

    def _venv_command(self) -> Command:
        return Command.of(self._environment / "bin" / "python", "-c", self._app.probe)

    def _remove_bytecode(self) -> None:
        for directory in self._environment.rglob("__pycache__"):
            shutil.rmtree(directory)

    def _preparation(self, clean: Callable[[], None]) -> Callable[[], None]:
        def prepare() -> None:
            clean()
            self._place.settle()

        return prepare


def _remove_tree(directory: Path) -> None:
    """Remove a directory, if it is there."""
    if directory.exists():
        shutil.rmtree(directory)
