import importlib, os, sys

# `-c` puts the working directory in front of the import path and itself into `sys.argv`; a console script,
# which this stands in for, does neither.
if sys.path and sys.path[0] == "":
    del sys.path[0]
module, attribute = sys.argv[1:3]
sys.argv[:3] = [os.environ["BUNDLE"]]
function = importlib.import_module(module)
for name in attribute.split("."):
    function = getattr(function, name)
sys.exit(function())
