# Prints one line of JSON: what the launcher has to know about the interpreter that runs this.
# It runs on every Python 3.4 and later, with -I -S, and imports only what is loaded anyway.
import os
import sys

version = sys.version_info
base = getattr(sys, "_base_executable", None) or sys.executable
home = os.path.dirname(base)
names = ["python%d.%d%s" % (version[0], version[1], sys.abiflags), "python%d.%d" % version[:2], "python3", "python"]


def same(left, right):
    try:
        return os.path.samefile(left, right)
    except OSError:
        return False


# Before 3.11 the interpreter of a virtual environment takes itself for its own base.
if version < (3, 11):
    for directory in (home, os.path.dirname(home)):
        try:
            with open(os.path.join(directory, "pyvenv.cfg")) as configuration:
                settings = [line.partition("=") for line in configuration]
        except OSError:
            continue
        for key, _, value in settings:
            if key.strip().lower() == "home":
                found = [os.path.join(value.strip(), name) for name in names]
                base = next((path for path in found if os.path.exists(path)), base)
                home = os.path.dirname(base)

# `home` of a `pyvenv.cfg` has to be the directory below whose parent the standard library lies.
if not same(os.path.dirname(home), sys.base_prefix):
    base = os.path.realpath(base)
    home = os.path.dirname(base)

# `python3` and `python3.11` of one directory are one interpreter: name it by the name that stays true.
base = next((path for path in (os.path.join(home, name) for name in names) if same(path, base)), base)


def libc():
    try:
        family, number = os.confstr("CS_GNU_LIBC_VERSION").split()
        if family != "glibc":
            return "null"
    except (AttributeError, OSError, ValueError):
        family, number = "musl", musl_version()
        if number is None:
            return "null"
    major, minor = number.split(".")[:2]
    return '{"family": "%s", "major": %d, "minor": %d}' % (family, int(major), int(minor))


def musl_version():
    # musl tells its version only by its loader, which is in the memory of every process that uses it.
    with open("/proc/self/maps") as maps:
        loaders = [line.split()[-1] for line in maps if "/ld-musl-" in line or "/libc.musl-" in line]
    if not loaders:
        return None
    import subprocess

    loader = subprocess.Popen([loaders[0]], stderr=subprocess.PIPE, universal_newlines=True)
    for line in loader.communicate()[1].splitlines():
        if line.startswith("Version "):
            return line.split()[1]
    return None


print(
    '{"implementation": "%s", "version": [%d, %d, %d], "release_level": "%s", "free_threaded": %s,'
    ' "machine": "%s", "bits": %d, "libc": %s, "base": "%s"}'
    % (
        sys.implementation.name,
        version[0],
        version[1],
        version[2],
        version[3],
        "true" if "t" in sys.abiflags else "false",
        os.uname()[4],
        64 if sys.maxsize > 2**32 else 32,
        libc(),
        "".join("%02x" % byte for byte in bytearray(os.fsencode(os.path.abspath(base)))),
    )
)
