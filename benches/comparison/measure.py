"""Rounds: every contender once per round, so that what changes on the machine meanwhile meets all of them."""

import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from comparison.process import Command, CommandError, Runner, Sample

# Of how many rounds at most the beginning is told.
_SHOWN_ROUNDS = 5


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Contender:
    """A command to measure."""

    name: str
    command: Command
    # Whether it is there to hold the others against.
    yardstick: bool = False
    # Called before each run, outside the measured time.
    prepare: Callable[[], None] = _nothing
    # A file that an earlier step should have made.
    needs: Path | None = None


@dataclass
class Series:
    """What the runs of a contender took."""

    name: str
    command: str
    yardstick: bool = False
    samples: list[Sample] = field(default_factory=list)
    # Why there are none.
    failure: str | None = None

    @property
    def seconds(self) -> float:
        """The median."""
        return statistics.median(sample.seconds for sample in self.samples)

    @property
    def range(self) -> tuple[float, float]:
        """The fastest and the slowest run."""
        seconds = [sample.seconds for sample in self.samples]
        return min(seconds), max(seconds)

    @property
    def peak_mib(self) -> float:
        """The median of the peaks of memory."""
        return statistics.median(sample.peak_kib for sample in self.samples) / 1024


def measure(title: str, contenders: list[Contender], rounds: int, runner: Runner, warm_up: int = 0) -> list[Series]:
    """Run all contenders in turn, after some rounds that do not count; one that fails is left out from then on."""
    series = [Series(contender.name, str(contender.command), contender.yardstick) for contender in contenders]
    for number in range(-warm_up, rounds):
        _report_progress(title, number, rounds)
        for contender, results in zip(contenders, series, strict=True):
            if results.failure is not None:
                continue
            try:
                sample = _run(contender, runner)
            except CommandError as error:
                print(f"error: {title}: {contender.name}: {error}\n{error.output}", file=sys.stderr, flush=True)
                results.samples.clear()
                results.failure = f"status {error.status}"
            else:
                if number >= 0:
                    results.samples.append(sample)
    return series


def _run(contender: Contender, runner: Runner) -> Sample:
    if contender.needs is not None and not contender.needs.exists():
        raise CommandError(contender.command, 127, f"`{contender.needs}` was not built")
    contender.prepare()
    return runner.timed(contender.command)


def _report_progress(title: str, number: int, rounds: int) -> None:
    """Say which round begins; of many rounds, only of some."""
    if number < 0:
        print(f"{title}: warming up", file=sys.stderr, flush=True)
    elif number % -(-rounds // _SHOWN_ROUNDS) == 0:
        print(f"{title}: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
