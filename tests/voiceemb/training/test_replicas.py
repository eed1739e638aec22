import json
import sys
from pathlib import Path

import pytest

from tests import programs
from tests.conftest import ROOT

PROGRAM = Path(__file__).with_name("replicas.py")


def losses(replicas):
    done = programs.run(
        [sys.executable, PROGRAM, str(replicas)],
        env={"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.slow
def test_two_replicas_have_the_loss_of_one():
    """Triplets, classes and contrasts; the penalty on the weights counts once too."""
    assert losses(2) == pytest.approx(losses(1), rel=1e-5)
