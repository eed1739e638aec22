"""Real processes that train."""

import os
import sys
from pathlib import Path

import pytest

from tests import programs


@pytest.fixture
def start():
    """Starts `program.py` on a run folder; what still runs at the end is killed."""
    root, processes = Path(__file__).resolve().parents[3], []

    def start(folder, *arguments, out=None, **environment):
        environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, **environment}
        command = [sys.executable, Path(__file__).with_name("program.py"), folder]
        command += ["--out", out or folder.with_suffix(".npz"), *map(str, arguments)]
        process = programs.Program(
            command, env={**environment, "PYTHONPATH": str(root)}
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
