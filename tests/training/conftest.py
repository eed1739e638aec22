"""A real disk that is quickly full, and real processes that train."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 24 MiB of its own; skipped where mounting is not permitted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk]
    if (
        not shutil.which("mount")
        or subprocess.run(command, capture_output=True).returncode
    ):
        pytest.skip("mounting a disk is not permitted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.fixture
def start():
    """Starts `program.py` on a run folder; what still runs at the end is killed."""
    root, processes = Path(__file__).resolve().parents[2], []

    def start(folder, *arguments, out=None, **environment):
        environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, **environment}
        command = [sys.executable, Path(__file__).with_name("program.py"), folder]
        command += ["--out", out or folder.with_suffix(".npz"), *map(str, arguments)]
        process = subprocess.Popen(
            command,
            env={**environment, "PYTHONPATH": str(root)},
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stderr.close()
