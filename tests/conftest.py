"""Fixtures every test may use: seeded noise and the real recordings, if present."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from tests import programs
from timbre.files import atomic_folder, lock_folder

ROOT = Path(__file__).resolve().parents[1]
REAL_DATA = ROOT.parent / "shared" / "data"

STEPS = 24  # of each of the two stages
TRAINED = (  # what `train_triplet.py` was told for `trained_run`
    *("--preset", "smoke", "--encoder.stages", "8", "--crop-frames", "80"),
    *("--synthetic.num-speakers", "12", "--synthetic.utterances", "5"),
    *("--softmax.steps", str(STEPS), "--triplet.steps", str(STEPS)),
    *("--save-every", "4", "--log-every", "3", "--validate-every", "12"),
)


@pytest.fixture(autouse=True)
def seeded():
    """Every test starts from the same weights, alone and among the others."""
    keras.utils.set_random_seed(0)


@pytest.fixture
def rng():
    """A generator that gives every test the same numbers."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def real_data():
    """The folder of real recordings; the test is skipped where it is missing."""
    if not REAL_DATA.is_dir():
        pytest.skip("real recordings (../shared/data) are not on this machine")
    return REAL_DATA


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
    # Lazily: a failed test, whose traceback holds files open, leaves no disk either.
    subprocess.run(["umount", "-l", disk], check=True)


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory):
    """The folder in which a very short training has left all it leaves.

    `runs/smoke` is the run, `corpus/` the synthetic voices it learned from and `cache/`
    their features. One pytest worker trains, and each has a copy.
    """
    folder = tmp_path_factory.mktemp("trained")
    if "PYTEST_XDIST_WORKER" not in os.environ:
        train(folder)
        return folder
    shared = tmp_path_factory.getbasetemp().parent / "trained"  # of all workers
    shared.mkdir(exist_ok=True)
    with lock_folder(shared):
        if not (shared / "done").exists():
            with atomic_folder(shared / "done") as unfinished:
                train(unfinished)
    return shutil.copytree(shared / "done", folder, dirs_exist_ok=True)


def train(folder):
    """Runs `train_triplet.py` on twelve synthetic voices; returns what it printed."""
    command = [sys.executable, str(ROOT / "train_triplet.py"), *TRAINED]
    done = programs.run(command, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
