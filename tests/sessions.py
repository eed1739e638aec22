"""Several invocations of a script in one process, which loads TensorFlow once."""

import json
import os
import subprocess
import sys

from tests import programs
from tests.conftest import ROOT

PROGRAM = """
import importlib, json, sys
script, commands, report = sys.argv[1:]
main, codes = importlib.import_module(script).main, []
for arguments in json.loads(commands):
    if codes:
        for stream in (sys.stdout, sys.stderr):
            print("\\f", end="", file=stream, flush=True)  # between two commands
    if "keras" in sys.modules:  # names of layers begin anew, as in a new process
        sys.modules["keras"].utils.clear_session()
    try:
        main(arguments)
        codes.append(0)
    except SystemExit as end:
        codes.append(end.code)
with open(report, "w") as file:
    json.dump(codes, file)
"""


def run_sessions(folder, script, *commands):
    """Runs a script in a folder, by one command line after the other.

    Args:
        folder: Where.
        script: Name of the module, as `"train_flow"`.
        *commands: The arguments of each.

    Returns:
        The exit code of each, 0 or a code or a sentence, and the stderr of all.
    """
    done = each_session(folder, script, *commands)
    return [one.returncode for one in done], "".join(one.stderr for one in done)


def each_session(folder, script, *commands):
    """As `run_sessions`, but returns a `CompletedProcess` for each command line."""
    report = folder / ".codes.json"
    done = programs.run(
        [sys.executable, "-c", PROGRAM, script, json.dumps(commands), str(report)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    codes = json.loads(report.read_text())
    report.unlink()
    ends = zip(
        commands, codes, done.stdout.split("\f"), done.stderr.split("\f"), strict=True
    )
    return [subprocess.CompletedProcess(*end) for end in ends]
