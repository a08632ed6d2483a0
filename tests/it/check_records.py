"""Checks, from inside an artifact, that what is installed and what every RECORD says are the same."""

import base64
import hashlib
import importlib.metadata
import os
import sys
import sysconfig

site_packages = sysconfig.get_path("purelib")
listed = set()
for distribution in importlib.metadata.distributions():
    name = distribution.metadata["Name"]
    assert distribution.read_text("INSTALLER"), name + " has no INSTALLER"
    for file in distribution.files:
        path = os.path.normpath(str(distribution.locate_file(file)))
        assert path not in listed, path + " is listed twice"
        listed.add(path)
        with open(path, "rb") as stream:
            data = stream.read()
        if file.hash is None:
            assert file.name == "RECORD", path + " has no hash"
            continue
        digest = base64.urlsafe_b64encode(hashlib.new(file.hash.mode, data).digest()).decode().rstrip("=")
        assert file.hash.value == digest, path + " has another hash"
        assert file.size == len(data), path + " has another size"

present = set()
for top in (site_packages, os.path.join(sys.prefix, "share")):
    for directory, directories, names in os.walk(top):
        directories[:] = [name for name in directories if name != "__pycache__"]
        present.update(os.path.join(directory, name) for name in names)
assert present <= listed, "in no RECORD: {}".format(sorted(present - listed))
print(len(listed), "files")
