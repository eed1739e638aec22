"""Every example runs as its first lines say, and stays small."""

import sys

import pytest

from tests import programs
from tests.conftest import ROOT

EXAMPLES = sorted(ROOT.glob("examples/*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_says_something(path, tmp_path):
    done = programs.run(
        [sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_has_under_80_lines(path):
    assert len(path.read_text("utf-8").splitlines()) < 80
