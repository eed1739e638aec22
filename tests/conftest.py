"""Fixtures every test may use: seeded noise and the real recordings, if present."""

import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from tests import programs

ROOT = Path(__file__).resolve().parents[1]
REAL_DATA = ROOT.parent / "shared" / "data"


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

    `runs/smoke` is the run and `corpus/` the synthetic voices it learned from.
    """
    folder = tmp_path_factory.mktemp("trained")
    train(folder, "--triplet.steps", "6", "--softmax.steps", "6")
    return folder


def train(folder, *arguments):
    """Runs `train_triplet.py` on twelve synthetic voices; returns what it printed."""
    command = [
        *(sys.executable, str(ROOT / "train_triplet.py"), "--preset", "smoke"),
        *("--synthetic.num-speakers", "12", "--synthetic.utterances", "5"),
        *arguments,
    ]
    done = programs.run(command, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
