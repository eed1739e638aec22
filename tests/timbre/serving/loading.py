"""Runs a SavedModel in a process that has none of our code, see `c_loader.py`."""

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
