#!/usr/bin/env python3
"""Times whole commands of `bundle` and of its peers side by side, and writes `RESULTS.md` and `results.json`.

    python3 benches/compare.py [--repeats N] [--only api,worker] [--work DIR] [--output FILE]

It installs the peers into its work directory, which it keeps for the next run, and needs root for the ext4 image
that the numbers for "disk" come from. No time is judged: the exit status is 1 if any contender failed, whose rows
then say so.
"""

import argparse
import os
import shutil
import signal
import sys
from pathlib import Path

from comparison import contenders, report, setup
from comparison.contenders import BARE_INTERPRETER, COPY_OF_TREE, PLAIN_FIRST_START, Artifacts, Starts
from comparison.measure import Series, measure
from comparison.process import CommandError, Runner
from comparison.report import AppResults, Ratio, Report, Size, Table
from comparison.setup import App, Prepared, SetupError, Tools
from comparison.storage import Place, StorageInUseError, disk, memory

# Short measurements are repeated more often, in multiples of `--repeats`.
_WARM_ROUNDS = 6
_LAUNCHER_ROUNDS = 40

_BY_BUNDLE = Ratio("× bundle", "bundle")
_BY_COPY = Ratio("× `cp -r`", COPY_OF_TREE)
_UNPACKING_BY_COPY = Ratio("unpacking, × `cp -r`", COPY_OF_TREE, less=PLAIN_FIRST_START)


def main() -> int:
    """Run the comparison; return the exit status."""
    options = _options()
    # Mounts are removed on the way out, which a signal must not cut short.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    options.work.mkdir(parents=True, exist_ok=True)
    try:
        with disk(options.work) as on_disk, memory() as in_memory:
            results = _compare(options, on_disk, in_memory)
    except (SetupError, StorageInUseError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except CommandError as error:
        print(f"error: {error}\n{error.output}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    options.output.write_text(results.markdown(), "utf-8")
    options.output.with_name("results.json").write_text(results.json(), "utf-8")
    print(results.markdown())
    failed = [row for app in results.apps for table in app.tables for row in table.rows if row.failure is not None]
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    names = [app.name for app in setup.APPS]
    target = setup.REPOSITORY / (os.environ.get("CARGO_TARGET_DIR") or "target")
    parser = argparse.ArgumentParser(description="Time bundle and its peers side by side.")
    parser.add_argument("--repeats", type=_positive, default=5, metavar="N", help="rounds (default: %(default)s)")
    parser.add_argument("--only", type=_app_names, default=names, metavar="APPS", help=f"of {','.join(names)}")
    parser.add_argument(
        "--work",
        type=_absolute,
        default=target / "compare",
        metavar="DIR",
        help="kept between runs (default: %(default)s)",
    )
    parser.add_argument(
        "--output",
        type=_absolute,
        default=setup.REPOSITORY / "benches" / "RESULTS.md",
        metavar="FILE",
        help="the page; results.json is written beside it (default: %(default)s)",
    )
    return parser.parse_args()


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be positive")
    return number


def _absolute(text: str) -> Path:
    return Path(text).absolute()


def _app_names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - {app.name for app in setup.APPS}:
        raise argparse.ArgumentTypeError(f"no such app: {', '.join(sorted(unknown))}")
    return names


def _compare(options: argparse.Namespace, on_disk: Place, in_memory: Place) -> Report:
    python = setup.find_python()
    bundle = setup.build_bundle()
    home, tools_directory = on_disk.directory / "home", options.work / "tools"
    home.mkdir(exist_ok=True)
    # A fixed path: shims and other interpreters on the caller's would be looked at by some contenders only.
    path = [python.parent, tools_directory / "bin", *map(Path, ("/usr/local/bin", "/usr/bin", "/bin"))]
    runner = Runner(home, path, options.work / "output.log")
    peers = setup.install_tools(tools_directory, python, runner)
    tools = Tools(python, bundle, peers / "pex", peers / "shiv", peers / "uv")

    machine = report.describe_machine(on_disk.name)
    versions = report.describe_versions(tools, runner)
    apps = [app for app in setup.APPS if app.name in options.only]
    results = [_compare_app(app, tools, runner, on_disk, in_memory, options.repeats) for app in apps]
    names_of_paths = {
        str(in_memory.directory): "$DIR",
        str(on_disk.directory): "$DIR",
        str(peers): "$TOOLS",
        str(bundle): "bundle",
        str(python): "$PYTHON",
    }
    return Report(machine, versions, options.repeats, results, names_of_paths)


def _compare_app(app: App, tools: Tools, runner: Runner, on_disk: Place, in_memory: Place, repeats: int) -> AppResults:
    print(f"{app.name}: preparing", file=sys.stderr, flush=True)
    prepared = setup.prepare(app, tools, on_disk.directory / app.name, runner)
    artifacts = Artifacts(prepared.directory / "artifacts")
    artifacts.directory.mkdir()
    tables = [_builds(prepared, artifacts, tools, runner, on_disk, repeats)]
    for place in (on_disk, in_memory):
        starts = Starts(prepared, artifacts, tools, place, runner)
        tables += _starts(app, starts, runner, place, repeats)
        starts.remove()
    sizes = _sizes(prepared, artifacts)
    description = f"{prepared.wheels} wheels for {app.platform}, CPython {setup.PYTHON_VERSION}."
    shutil.rmtree(prepared.directory)
    return AppResults(app.name, description, tables, sizes)


def _builds(
    prepared: Prepared, artifacts: Artifacts, tools: Tools, runner: Runner, place: Place, repeats: int
) -> Table:
    name = prepared.app.name
    rows = measure(f"{name}: build", contenders.builds(prepared, artifacts, tools, place), repeats, runner, warm_up=1)
    more = contenders.more_artifacts(prepared, artifacts, tools)
    measure(f"{name}: build for starts only", more, 1, runner)
    note = "Everything that can be cached is, after one build of each that does not count."
    return Table(f"Build ({place.name})", note, rows, [_BY_BUNDLE])


def _starts(app: App, starts: Starts, runner: Runner, place: Place, repeats: int) -> list[Table]:
    title = f"{app.name}: {{}} start on {place.name}"
    first = measure(title.format("first"), starts.first(), repeats, runner)
    warm = measure(title.format("warm"), starts.warm(), repeats * _WARM_ROUNDS, runner, warm_up=2)
    launcher = measure(title.format("bare"), starts.launcher(), repeats * _LAUNCHER_ROUNDS, runner, warm_up=2)
    first_note = (
        f"Of `{app.probe}`, with nothing unpacked yet. Unpacking is what the start took longer than in the plain "
        "venv. `bundle` brings what it unpacked to disk before it uses it; `cp` leaves that to the kernel."
    )
    warm_note = f"Of `{app.probe}`, unpacked and with bytecode."
    launcher_note = "Of `-S -c pass`, through the launcher and without it. " + _difference(launcher)
    by_interpreter = Ratio("× interpreter", BARE_INTERPRETER)
    return [
        Table(f"First start ({place.name})", first_note, first, [_BY_BUNDLE, _BY_COPY, _UNPACKING_BY_COPY]),
        Table(f"Warm start ({place.name})", warm_note, warm, [_BY_BUNDLE]),
        Table(f"Launcher ({place.name})", launcher_note, launcher, [by_interpreter], in_milliseconds=True),
    ]


def _difference(rows: list[Series]) -> str:
    if any(row.failure is not None for row in rows):
        return ""
    through_launcher, without = rows
    return f"The medians differ by {(through_launcher.seconds - without.seconds) * 1000:.2f} ms."


def _sizes(prepared: Prepared, artifacts: Artifacts) -> list[Size]:
    files = [artifacts.bundle, artifacts.pex, artifacts.shiv]
    sizes = [Size(file.name, file.path.stat().st_size if file.path.exists() else None) for file in files]
    return [Size("the wheels", prepared.wheels_bytes), *sizes]


if __name__ == "__main__":
    sys.exit(main())
