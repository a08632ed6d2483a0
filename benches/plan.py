#!/usr/bin/env python3
"""Measures the processor time of `bundle plan` on a large uv.lock beside that of `uv export --frozen`.

    python3 benches/plan.py [--lock DIR] [--rounds N] [--output FILE]

Both read the same lock, choose what it locks for one target, and print it; `bundle` chooses the files as well. They
run in turn, round by round. `DIR` holds a `uv.lock` and its `pyproject.toml`; by default it is the project with the
largest uv.lock below `../shared/locks`. It is copied, so that nothing is written there. Needs uv on PATH, or in the
environment variable UV. Nothing is judged; the exit status is 1 if a command fails.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

_REPOSITORY = Path(__file__).resolve().parent.parent
_LOCKS = _REPOSITORY.parent / "shared" / "locks"
_TARGET = ["--platform=x86_64-manylinux_2_28", "--python=3.12"]
_LIMIT = 0.1


class MeasureError(Exception):
    """A command that cannot be measured."""


def main() -> int:
    """Measure; return the exit status."""
    parser = argparse.ArgumentParser(description="Processor time of bundle plan beside uv export.")
    parser.add_argument("--lock", type=Path, metavar="DIR", help="a project with a uv.lock")
    parser.add_argument("--rounds", type=int, default=20, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--output", type=Path, default=_REPOSITORY / "benches" / "PLAN.md", metavar="FILE")
    options = parser.parse_args()
    try:
        project = options.lock or _largest()
        text = _compare(project, options.rounds)
    except MeasureError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    options.output.write_text(text, "utf-8")
    print(text)
    return 0


def _largest() -> Path:
    locks = sorted(_LOCKS.glob("*/*/uv.lock"), key=lambda lock: lock.stat().st_size)
    if not locks:
        raise MeasureError(f"no uv.lock below `{_LOCKS}`; name a project with --lock")
    return locks[-1].parent


def _compare(project: Path, rounds: int) -> str:
    bundle = _REPOSITORY / "target" / "release" / "bundle"
    uv = os.environ.get("UV") or shutil.which("uv")
    if not bundle.exists():
        raise MeasureError(f"`{bundle}` does not exist: cargo build --release --locked")
    if uv is None:
        raise MeasureError("no uv on PATH")
    lock_size = (project / "uv.lock").stat().st_size
    commands = {
        # With a Python named, it starts none to ask for its version; uv remembers what it once asked.
        "`bundle plan --frozen --json`": [bundle, "plan", "--frozen", "--json", *_TARGET],
        "`bundle plan --json`, which compares the lock with the project": [bundle, "plan", "--json", *_TARGET],
        "`uv export --frozen`": [uv, "export", "--frozen", "--quiet", "--no-dev", "--no-header"],
    }
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / "project"
        shutil.copytree(project, copy)
        seconds = {name: [] for name in commands}
        for number in range(-2, rounds):
            for name, command in commands.items():
                taken = _processor_seconds([str(part) for part in command], copy)
                if number >= 0:
                    seconds[name].append(taken)
    medians = {name: statistics.median(samples) for name, samples in seconds.items()}
    ours, _, theirs = medians.values()
    version = subprocess.run([uv, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    rows = [
        f"| {name} | {medians[name] * 1000:.0f} | {min(samples) * 1000:.0f} – {max(samples) * 1000:.0f} |"
        for name, samples in seconds.items()
    ]
    return "\n".join([
        "# Reading the largest lock",
        "",
        f"Processor time, user and system, of {rounds} runs in turn on a uv.lock of {lock_size / 1e6:.1f} MB",
        f"(`{project.name}`), uv {version}. Written by `benches/plan.py`; compare within the table only.",
        "",
        "|  | median, ms | fastest – slowest |",
        "|---|---:|---:|",
        *rows,
        "",
        f"The first is {ours / theirs:.2f} × uv, and {ours / _LIMIT:.2f} × the limit of {_LIMIT * 1000:.0f} ms.",
        "",
    ])


def _processor_seconds(command: list[str], directory: Path) -> float:
    with subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        message = process.stderr.read().decode(errors="replace")
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    # `bundle plan` says with 4 that something does not fit: it has chosen and printed all the same.
    if process.returncode not in (0, 4):
        raise MeasureError(f"`{' '.join(command)}` failed ({process.returncode}): {message}")
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
