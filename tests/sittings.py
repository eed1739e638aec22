"""A script run several times in one process, which loads TensorFlow once."""

import json
import os
import subprocess
import sys

from tests.conftest import ROOT

PROGRAM = """
import importlib, json, sys
script, commands, said = sys.argv[1:]
main, left = importlib.import_module(script).main, []
for arguments in json.loads(commands):
    if "keras" in sys.modules:  # names of layers begin anew, as in a new process
        sys.modules["keras"].utils.clear_session()
    try:
        main(arguments)
        left.append(0)
    except SystemExit as end:
        left.append(end.code)
with open(said, "w") as file:
    json.dump(left, file)
"""


def sittings(folder, script, *commands):
    """Runs a script in a folder, by one command line after the other.

    Args:
        folder: Where.
        script: Name of the module, as `"train_flow"`.
        *commands: The arguments of each.

    Returns:
        What each has exited with, 0 or a code or a sentence, and what all together
        have said on stderr.
    """
    told = folder / ".left.json"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, script, json.dumps(commands), str(told)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    left = json.loads(told.read_text())
    told.unlink()
    return left, done.stderr
