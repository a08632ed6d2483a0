"""Commands: how they are written down, in which environment they run, what they took."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_TIMED = Path(__file__).with_name("timed.py")

# They would change what Python, pip or a contender does; each contender gets those that it needs.
_REMOVED_PREFIXES = ("PYTHON", "PIP_", "PEX_", "SHIV_", "BUNDLE_", "UV_", "XDG_")
_REMOVED_VARIABLES = ("VIRTUAL_ENV", "SOURCE_DATE_EPOCH", "__PYVENV_LAUNCHER__")

# Lines of a failed command's output that are shown.
_SHOWN_LINES = 30


@dataclass(frozen=True)
class Command:
    """A program with its arguments and the variables that it needs besides the common ones."""

    arguments: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, *arguments: str | Path, **variables: str | Path) -> "Command":
        """Return the command of these arguments; keywords are environment variables."""
        return cls(tuple(map(str, arguments)), {name: str(value) for name, value in variables.items()})

    def __str__(self) -> str:
        """Return it as it would be typed into a shell."""
        words = [f"{name}={shlex.quote(value)}" for name, value in self.variables.items()]
        return " ".join([*words, shlex.join(self.arguments)])


@dataclass(frozen=True)
class Sample:
    """What one run of a command took."""

    seconds: float
    # Of all its processes and threads together.
    processor_seconds: float
    # Of the largest of its processes, with the pages of files that it had mapped.
    peak_kib: int


class CommandError(Exception):
    """A command that ended with another status than 0."""

    def __init__(self, command: Command, status: int, output: str) -> None:
        """Keep the last lines of its output."""
        super().__init__(f"`{command}` ended with status {status}")
        self.status = status
        self.output = "\n".join(output.rstrip().splitlines()[-_SHOWN_LINES:])


class Runner:
    """Runs commands in a common environment, made from the caller's."""

    def __init__(self, home: Path, path: list[Path], output: Path) -> None:
        """`home` becomes `HOME`, so caches are there; `output` is the file for what timed commands print."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_REMOVED_PREFIXES) and name not in _REMOVED_VARIABLES
        }
        self.environment = kept | {"HOME": str(home), "PATH": os.pathsep.join(map(str, path))}
        self._output = output

    def output(self, command: Command) -> str:
        """Run a command and return what it writes to standard output."""
        result = subprocess.run(
            command.arguments,
            env=self._with(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if result.returncode != 0:
            raise CommandError(command, result.returncode, result.stdout + result.stderr)
        return result.stdout

    def timed(self, command: Command) -> Sample:
        """Run a command and return what it took."""
        measured = [sys.executable, "-I", "-S", str(_TIMED), str(self._output), *command.arguments]
        status, output, errors = _output_of_group(measured, self._with(command))
        if status != 0:
            raise CommandError(command, status, errors)
        result = json.loads(output)
        if result["status"] != 0:
            raise CommandError(command, result["status"], self._output.read_text("utf-8", "replace"))
        return Sample(result["seconds"], result["processor_seconds"], result["peak_kib"])

    def _with(self, command: Command) -> dict[str, str]:
        return {**self.environment, **command.variables}


def _output_of_group(arguments: list[str], environment: Mapping[str, str]) -> tuple[int, str, str]:
    """Run a command as a process group of its own, which is killed whole when the wait is interrupted.

    Return its status and what it wrote to standard output and standard error.
    """
    pipe = subprocess.PIPE
    with subprocess.Popen(
        arguments, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as process:
        try:
            output, errors = process.communicate()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, output, errors
