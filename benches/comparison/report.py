"""The results: a page to read, and the raw numbers."""

import json
import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from comparison.measure import Series
from comparison.process import Command, CommandError, Runner
from comparison.setup import REPOSITORY, Tools

_INTRODUCTION = """\
`bundle` and other tools that make one file of a Python project, as whole commands on the same locked packages
(`fixtures/rag`). All contenders of a table ran in turn, round by round, with everything in the page cache;
compare numbers within a table, not between days or machines. Written by `benches/compare.py`; the raw numbers
are in `results.json` beside this file.

Rows in *italics* are yardsticks, not contenders. A column "× something" is the row's median divided by that of
something: above 1 in "× bundle", `bundle` is faster. Peak memory is that of the largest process of the command, with
the pages of files that it maps; the floor of the measurement is about 9 MB.

In the commands, `$DIR` is a directory on the place that the table names, `$TOOLS` the virtual environment with the
peers, and `$PYTHON` the interpreter. Neither `PYTHON*`, `PIP_*`, `PEX_*`, `SHIV_*`, `UV_*` nor `BUNDLE_*` variables
are set but those shown, and `PATH` holds the interpreter, the peers and the system's directories."""


@dataclass(frozen=True)
class Table:
    """Measured rows under a heading."""

    title: str
    # What the rows have in common.
    note: str
    rows: list[Series]
    ratios: list["Ratio"]
    # Whether times are too short to be given in seconds.
    in_milliseconds: bool = False

    def row(self, name: str) -> Series | None:
        """Return the measured row of a name, unless it failed."""
        return next((row for row in self.rows if row.name == name and row.failure is None), None)

    def markdown(self) -> str:
        """Return heading, note and table."""
        unit = "ms" if self.in_milliseconds else "s"
        header = [
            "",
            f"median, {unit}",
            "fastest – slowest",
            *(ratio.title for ratio in self.ratios),
            "peak memory, MB",
        ]
        lines = [_markdown_row(header), "|---|" + "---:|" * (len(header) - 1)]
        lines += [_markdown_row(self._cells(row)) for row in self.rows]
        note = f"{self.note}\n\n" if self.note else ""
        return f"### {self.title}\n\n{note}" + "\n".join(lines) + "\n"

    def _cells(self, row: Series) -> list[str]:
        if row.failure is not None:
            return [row.name, f"**failed** ({row.failure})", *[""] * (len(self.ratios) + 2)]
        fastest, slowest = row.range
        times = [self._time(row.seconds), f"{self._time(fastest)} – {self._time(slowest)}"]
        ratios = [ratio.of(row, self) for ratio in self.ratios]
        name = f"*{row.name}*" if row.yardstick else row.name
        return [name, *times, *ratios, f"{row.peak_mib:.0f}"]

    def _time(self, seconds: float) -> str:
        if self.in_milliseconds:
            return f"{seconds * 1000:.2f}"
        return f"{seconds:.3f}" if seconds < 1 else f"{seconds:.2f}"


@dataclass(frozen=True)
class Ratio:
    """A column with each row's median as a multiple of another row's."""

    title: str
    divisor: str
    # A row whose median is first taken from each contender's: the part of the time that all have in common.
    less: str | None = None

    def of(self, row: Series, table: Table) -> str:
        """Return the cell of a row, empty where there is nothing to divide by."""
        divisor = table.row(self.divisor)
        if divisor is None:
            return ""
        common = 0.0
        if self.less is not None:
            less = table.row(self.less)
            if less is None or row.yardstick:
                return ""
            common = less.seconds
        ratio = (row.seconds - common) / divisor.seconds
        return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


@dataclass(frozen=True)
class Size:
    """How large something is."""

    name: str
    bytes: int | None


@dataclass
class AppResults:
    """Everything measured for an app."""

    name: str
    description: str
    tables: list[Table]
    sizes: list[Size]

    def markdown(self) -> str:
        """Return the section of the app."""
        parts = [f"## {self.name}\n\n{self.description}\n", *(table.markdown() for table in self.tables)]
        return "\n".join([*parts, self._sizes_markdown()])

    def _sizes_markdown(self) -> str:
        reference = self.sizes[0].bytes
        lines = ["### Sizes\n", _markdown_row(["", "MB", "× wheels"]), "|---|---:|---:|"]
        for size in self.sizes:
            if size.bytes is None or reference is None:
                lines.append(_markdown_row([size.name, "**not built**", ""]))
            else:
                lines.append(_markdown_row([size.name, f"{size.bytes / 1e6:.1f}", f"{size.bytes / reference:.3f}"]))
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Report:
    """All results, and under which circumstances they came about."""

    machine: dict[str, str]
    versions: dict[str, str]
    repeats: int
    apps: list[AppResults]
    # Paths, and the names that they are shown by.
    names_of_paths: dict[str, str]

    def markdown(self) -> str:
        """Return the page."""
        circumstances = [f"- {name}: {value}" for name, value in (self.machine | self.versions).items()]
        parts = [
            f"# Side by side\n\n{_INTRODUCTION}\n",
            "\n".join([*circumstances, f"- rounds: {self.repeats}"]) + "\n",
            *(app.markdown() for app in self.apps),
            self._commands_markdown(),
        ]
        return "\n".join(parts)

    def json(self) -> str:
        """Return the raw numbers."""
        document = {
            "schema": 1,
            "machine": self.machine,
            "versions": self.versions,
            "repeats": self.repeats,
            "apps": {app.name: self._app_json(app) for app in self.apps},
        }
        return json.dumps(document, indent=1, ensure_ascii=False) + "\n"

    def _app_json(self, app: AppResults) -> dict[str, object]:
        return {
            "sizes": {size.name: size.bytes for size in app.sizes},
            "tables": {table.title: {row.name: self._row_json(row) for row in table.rows} for table in app.tables},
        }

    def _row_json(self, row: Series) -> dict[str, object]:
        return {
            "command": self._shown(row.command),
            "failure": row.failure,
            "seconds": [round(sample.seconds, 6) for sample in row.samples],
            "processor_seconds": [round(sample.processor_seconds, 6) for sample in row.samples],
            "peak_kib": [sample.peak_kib for sample in row.samples],
        }

    def _commands_markdown(self) -> str:
        lines = ["## Commands\n"]
        for app in self.apps:
            shown = set()
            for table in app.tables:
                commands = "\n".join(f"# {row.name}\n{self._shown(row.command)}" for row in table.rows)
                # The same commands are measured on several places.
                if commands not in shown:
                    lines.append(f"{app.name}, {table.title}:\n\n```sh\n{commands}\n```\n")
                shown.add(commands)
        return "\n".join(lines)

    def _shown(self, command: str) -> str:
        for path, name in self.names_of_paths.items():
            command = command.replace(path, name)
        return command


def describe_machine(disk: str) -> dict[str, str]:
    """Return what is known of the machine, without its name."""
    load = os.getloadavg()[0]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{memory / 2**30:.0f} GB",
        "kernel": f"{platform.system()} {platform.release()}",
        "load before the first round": f"{load:.2f}",
        "disk": disk,
    }


def describe_versions(tools: Tools, runner: Runner) -> dict[str, str]:
    """Return the versions of everything that is run."""
    programs = {"Python": tools.python, "bundle": tools.bundle, "pex": tools.pex, "shiv": tools.shiv, "uv": tools.uv}
    versions = {name: runner.output(Command.of(program, "--version")).split() for name, program in programs.items()}
    commit = _commit(runner)
    return {name: next(word for word in words if word[0].isdigit()) for name, words in versions.items()} | commit


def _commit(runner: Runner) -> dict[str, str]:
    """Return the commit that `bundle` was built from, where that is known."""
    git = ("git", "-c", f"safe.directory={REPOSITORY}", "-C", REPOSITORY)
    try:
        commit = runner.output(Command.of(*git, "rev-parse", "--short", "HEAD")).strip()
        changed = runner.output(Command.of(*git, "status", "--porcelain", "--", "src", "stub", "Cargo.lock"))
    except (CommandError, FileNotFoundError):
        return {}
    return {"commit": f"{commit}, with changes" if changed else commit}


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _markdown_row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
