"""Numbers that can not be are refused where they are written, before any work."""

import dataclasses
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from timbre.training.config import Optimiser, Run, least


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lesson(Run):
    """A system's config: what all runs share, and more."""

    name: str = "lesson"
    rate: float = 0.5

    def __post_init__(self):
        super().__post_init__()
        least(self, rate=0)


def test_a_system_adds_its_numbers_to_those_all_runs_share():
    shared = [field.name for field in dataclasses.fields(Run)]
    config = dataclasses.asdict(Lesson(seed=3, rate=0.25))
    assert list(config) == [*shared, "rate"]
    assert (config["name"], config["seed"], config["rate"]) == ("lesson", 3, 0.25)


@pytest.mark.parametrize(
    "make, rule",
    [
        (lambda: Lesson(rate=-1), "`rate` of Lesson must be at least 0. Rece.*: -1"),
        (lambda: Lesson(log_every=0), "`log_every` of Lesson must be at least 1"),
        (lambda: Lesson(validate_every=0), "`validate_every` of Lesson"),
        (lambda: Lesson(save_every=0), "`save_every` of Lesson"),
        (lambda: Lesson(patience=0), "`patience` of Lesson"),
        (lambda: Lesson(stop_after=0), "`stop_after` of Lesson"),
        (lambda: Lesson(name=""), "`name` must name one folder"),
        (lambda: Lesson(name=".."), "`name` must name one folder"),
        (lambda: Lesson(name="../x"), "`name` must name one folder"),
        (lambda: Optimiser(learning_rate=0.0), "`learning_rate` must be above 0"),
        (lambda: Optimiser(ema=1.0), "`ema` below 1. Received: 0.001 and 1.0"),
        (lambda: Optimiser(clip_norm=0.0), "`clip_norm` of Optimiser"),
        (lambda: Optimiser(final_rate=float("nan")), "`final_rate` of Optimiser"),
    ],
)
def test_a_number_that_can_not_be_is_named(make, rule):
    with pytest.raises(ValueError, match=rule):
        make()


def test_what_is_none_has_no_limit():
    assert Lesson(stop_after=None).stop_after is None
    assert Optimiser(clip_norm=None, ema=None).ema is None


def test_configs_are_read_without_numpy_or_anything_heavier():
    code = "import sys, configs; print({'numpy', 'tensorflow'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.strip() == "set()", done.stderr
