"""Where the files of the comparison lie: a file system with a journal, and one in memory.

On ext4 without a journal, inodes deleted a short while ago are stepped over one by one, so that wiping and
repeating makes every later run slower; hence an image of our own.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# The image is sparse: it takes up what is written to it.
_IMAGE_BYTES = 20 << 30

_SHARED_MEMORY = Path("/dev/shm")

# How often, a tenth of a second apart, unmounting is tried: processes that were just killed still hold files.
_UNMOUNT_TRIES = 50


class StorageInUseError(Exception):
    """Another run has mounted the image, or was killed before it could unmount it."""


@dataclass(frozen=True)
class Place:
    """A directory on a file system of a known kind."""

    name: str
    directory: Path

    def settle(self) -> None:
        """Write out what earlier runs have left in memory, so that no later one pays for it."""
        subprocess.run(["sync", "-f", self.directory], check=True)


@contextmanager
def disk(work: Path) -> Iterator[Place]:
    """Mount a journaled ext4 image while the context lasts; without the right to, fall back to `work`."""
    image, directory = work / "disk.img", work / "disk"
    directory.mkdir(exist_ok=True)
    reason = _mount(image, directory)
    if reason is not None:
        print(f"warning: no ext4 image ({reason}); using `{work}` itself", file=sys.stderr)
        yield Place(f"work directory (no ext4 image: {reason})", directory)
        return
    try:
        yield Place("journaled ext4 image", directory)
    finally:
        _unmount(directory)


def _unmount(directory: Path) -> None:
    for _ in range(_UNMOUNT_TRIES):
        if subprocess.run(["umount", directory], capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.1)
    print(f"warning: `{directory}` is in use and stays mounted", file=sys.stderr)


def _mount(image: Path, directory: Path) -> str | None:
    """Mount the image, made if there is none; return why that is impossible."""
    if os.geteuid() != 0:
        return "needs root"
    if directory.is_mount():
        raise StorageInUseError(f"`{directory}` is mounted; if no other comparison is under way, unmount it")
    commands: list[list[str | Path]] = [["mount", "-o", "loop", image, directory]]
    if not image.exists():
        with image.open("wb") as file:
            file.truncate(_IMAGE_BYTES)
        commands.insert(0, ["mkfs.ext4", "-q", image])
    for command in commands:
        try:
            result = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return f"no {command[0]}"
        if result.returncode != 0:
            return f"{command[0]}: {result.stderr.strip()}"
    return None


@contextmanager
def memory() -> Iterator[Place]:
    """Make a directory on the file system in memory, and remove it afterwards."""
    directory = _SHARED_MEMORY / f"bundle-compare-{os.getpid()}"
    directory.mkdir()
    try:
        yield Place("/dev/shm", directory)
    finally:
        shutil.rmtree(directory)
