"""Runs a SavedModel in a process that has none of our code, see `c_loader.py`."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

C_LOADER = Path(__file__).with_name("c_loader.py")


def run(saved_model, signature, out, **inputs):
    """The ended process; its outputs lie as `.npy` in the folder `out`."""
    files = []
    for name, array in inputs.items():
        np.save(out / f"{name}.npy", array)
        files.append(f"{name}={out / f'{name}.npy'}")
    command = [sys.executable, C_LOADER, saved_model, signature, out, *files]
    return subprocess.run(command, capture_output=True, text=True, cwd=out)


# As a server does, it loads each model once and goes on after a request it refused.
SEVERAL = """
import functools, json, sys
from pathlib import Path
import c_loader
c_loader.library = functools.cache(c_loader.library)
c_loader.load = functools.cache(c_loader.load)
for out, *request in json.loads(Path(sys.argv[1]).read_text()):
    said = ""
    try:
        c_loader.main(*request[:2], out, *request[2:])
    except SystemExit as end:
        said = str(end)
    (Path(out) / "refused.txt").write_text(said)
"""


def run_several(requests, folder):
    """Many requests in one such process: its libraries are loaded once.

    Args:
        requests: Dict, name to `(saved_model, signature, inputs)`.
        folder: Where their arrays lie.

    Returns:
        Dict, name to why the request was refused, `""` if not, and the answer: arrays
        by name, with the inputs that no output replaced.
    """
    commands, at = [], {}
    for number, (key, (saved_model, signature, inputs)) in enumerate(requests.items()):
        at[key] = folder / str(number)
        at[key].mkdir()
        files = []
        for name, array in inputs.items():
            np.save(at[key] / f"{name}.npy", array)
            files.append(f"{name}={at[key] / f'{name}.npy'}")
        commands.append([str(at[key]), str(saved_model), signature, *files])
    told = folder / "requests.json"
    told.write_text(json.dumps(commands))
    done = subprocess.run(
        [sys.executable, "-c", SEVERAL, told],
        capture_output=True,
        text=True,
        cwd=C_LOADER.parent,
    )
    assert done.returncode == 0, done.stderr
    return {
        key: (
            (place / "refused.txt").read_text(),
            {path.stem: np.load(path) for path in place.glob("*.npy")},
        )
        for key, place in at.items()
    }
