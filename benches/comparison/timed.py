"""Runs one command and prints what it took as JSON: seconds, seconds of processors, peak memory and exit status.

A program of its own, because a process counts the memory of the one that started it towards its own peak
until it calls `execve`: started from the harness, every command would seem to need the harness's memory.
Run it with `python -I -S`; then the floor is about 9 MB.
"""

import json
import os
import sys
import time


def main() -> None:
    """Run `sys.argv[2:]` with its output going to the file `sys.argv[1]`."""
    output, *command = sys.argv[1:]
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    started = time.perf_counter()
    try:
        child = os.posix_spawnp(command[0], command, os.environ, file_actions=actions)
    except OSError as error:
        sys.exit(f"`{command[0]}` cannot be started: {error.strerror}")
    _, status, usage = os.wait4(child, 0)
    result = {
        "seconds": time.perf_counter() - started,
        "processor_seconds": usage.ru_utime + usage.ru_stime,
        "peak_kib": usage.ru_maxrss,
        "status": os.waitstatus_to_exitcode(status),
    }
    json.dump(result, sys.stdout)


main()
