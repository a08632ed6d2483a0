"""PEP 517 build backend of the test projects: zips the package into a wheel, standard library only."""

import base64
import hashlib
import json
import os
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "backend.json"), encoding="utf-8") as file:
    PROJECT = json.load(file)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    stem = "{}-{}".format(PROJECT["name"].replace("-", "_"), PROJECT["version"])
    dist_info = stem + ".dist-info"
    files = {}
    for top in PROJECT["packages"]:
        for directory, directories, names in os.walk(os.path.join(HERE, top)):
            directories[:] = [name for name in directories if name != "__pycache__"]
            for name in names:
                path = os.path.join(directory, name)
                with open(path, "rb") as file:
                    files[os.path.relpath(path, HERE).replace(os.sep, "/")] = file.read()
    metadata = ["Metadata-Version: 2.1", "Name: " + PROJECT["name"], "Version: " + PROJECT["version"]]
    metadata += ["Requires-Dist: " + requirement for requirement in PROJECT["dependencies"]]
    files[dist_info + "/METADATA"] = "\n".join(metadata + [""]).encode()
    files[dist_info + "/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    if PROJECT["scripts"]:
        lines = ["[console_scripts]"] + ["{} = {}".format(*script) for script in PROJECT["scripts"]]
        files[dist_info + "/entry_points.txt"] = "\n".join(lines + [""]).encode()
    record = ""
    for name, data in sorted(files.items()):
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        record += "{},sha256={},{}\n".format(name, digest, len(data))
    files[dist_info + "/RECORD"] = (record + dist_info + "/RECORD,,\n").encode()
    filename = stem + "-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, filename), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name), data)
    return filename
