"""The history agrees with the checkpoint it was written with."""

import pytest
import tensorflow as tf

from timbre.training.history import History, read
from timbre.training.run import Run


@pytest.fixture
def run(tmp_path):
    return Run.open(tmp_path / "run", {})


def test_rows_come_back_to_the_bit(run):
    history = History(run, "softmax")
    history.add(10, {"loss": 1 / 3, "skipped": 2})
    history.add(10, {"eer": float("nan")})
    history.add(20, {"loss": 1e-12})
    history.flush()
    rows = History(run, "softmax", step=20).rows
    assert rows[0].pop("eer") != 0 and "eer" not in rows[1]
    assert rows == [
        {"phase": "softmax", "step": 10, "loss": 1 / 3, "skipped": 2},
        {"phase": "softmax", "step": 20, "loss": 1e-12},
    ]


def test_rows_beyond_the_checkpoint_are_dropped_in_this_phase_only(run):
    first = History(run, "softmax")
    first.add(30, {"loss": 3.0})
    first.flush()
    second = History(run, "triplet")
    second.add(10, {"loss": 1.0, "spread": 0.5})
    second.add(20, {"loss": 2.0})
    second.flush()
    resumed = History(run, "triplet", step=10)
    assert [row["step"] for row in resumed.rows] == [10]
    resumed.flush()
    assert [(r["phase"], r["step"]) for r in read(run.path("history.csv"))] == [
        ("softmax", 30),
        ("triplet", 10),
    ]


def test_nothing_is_written_before_a_flush_nor_by_a_helper(run):
    History(run, "a").add(1, {"loss": 0.0})
    helper = History(run, "a", write=False)
    helper.add(1, {"loss": 0.0})
    helper.flush()
    assert {path.name for path in run.folder.glob("[!.]*")} == {"config.json"}


def test_events_hold_each_row_once(run):
    history = History(run, "a")
    for step in (1, 2):
        history.add(step, {"loss": float(step)})
        history.flush()
    (path,) = (run.folder / "events" / "a").iterdir()
    found = [
        (event.step, value.tag, float(tf.make_ndarray(value.tensor)))
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    ]
    assert found == [(1, "loss", 1.0), (2, "loss", 2.0)]
