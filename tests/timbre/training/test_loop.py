"""What a training run promises its user, on a network of one weight."""

import dataclasses
import hashlib
import math
import os
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from timbre.training.config import LoopConfig
from timbre.training.history import read
from timbre.training.interrupts import Diverged, Interrupted
from timbre.training.loop import fit
from timbre.training.run import Run, RunError


def batches(step, bad=()):
    """The line y = 2 x; some steps (counted from 0) may hold a NaN."""

    def make(i):
        x = tf.random.stateless_uniform((4, 1), seed=[0, i]) + 0.5
        poison = tf.reduce_any(tf.equal(i, tf.constant([-1, *bad], tf.int64)))
        return tf.where(poison, float("nan"), x), 2 * x

    return tf.data.Dataset.range(step, 10**6).map(make)


def line(rate=0.1, **kwargs):
    """A weight that starts at 0 and should become 2."""
    dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((1,)), dense])
    model.compile(keras.optimizers.SGD(rate, momentum=0.5, **kwargs), loss="mse")
    return model


def weight(model):
    return float(model.get_weights()[0].item())


@pytest.fixture
def run(tmp_path):
    return Run.open(tmp_path / "run", {})


def train(model, run, data=batches, **kwargs):
    """Fits by a config of which `kwargs` may name fields; validates at the end."""
    names = {field.name for field in dataclasses.fields(LoopConfig)}
    often = {"log_every": 10, "validate_every": 10**6, "save_every": 500}
    often |= {name: kwargs.pop(name) for name in names & kwargs.keys()}
    given = {"run": run, "phase": "a", "steps": 40, "config": LoopConfig(**often)}
    return fit(model, data, **{**given, **kwargs})


def test_it_learns_and_says_so(run, capsys):
    model = line()
    result = train(model, run)
    assert abs(weight(model) - 2) < 1e-3
    assert (result.step, result.skipped, result.best_weights) == (40, 0, None)
    assert [row["step"] for row in result.history] == [10, 20, 30, 40]
    losses = [row["loss"] for row in result.history]
    assert losses == sorted(losses, reverse=True)
    shown = capsys.readouterr().err
    assert "a: 100%" in shown and "40/40" in shown and "loss=" in shown


def test_rows_are_means_over_the_steps_between_them(run):
    each, means = [], []
    train(line(), run, log_every=1, watch=lambda s, logs: each.append(logs["loss"]))
    other = Run.open(run.folder.with_name("other"), {})
    train(line(), other, log_every=8, watch=lambda s, logs: means.append(logs["loss"]))
    np.testing.assert_allclose(means, np.reshape(each, (5, 8)).mean(1), rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_in_the_middle_of_a_row_costs_nothing(run, capsys, signal_number):
    whole = line()
    expected = train(whole, Run.open(run.folder.with_name("whole"), {}))
    stopped = []

    def stop_once(step):
        """Ask to stop while batch 17 is being made."""

        def make(x, y):
            if not stopped:
                stopped.append(os.kill(os.getpid(), signal_number))
            return x, y

        rest = batches(step)
        for number, batch in enumerate(rest, step + 1):
            yield make(*batch) if number == 17 else batch

    def data(step):
        signature = batches(0).element_spec
        return tf.data.Dataset.from_generator(
            lambda: stop_once(step), output_signature=signature
        )

    with pytest.raises(Interrupted) as error:
        train(line(), run, data)
    assert error.value.code == 130 and error.value.step < 20
    assert "run the same command again" in capsys.readouterr().err
    model = line()
    result = train(model, run, data)
    assert weight(model) == weight(whole) and result == expected
    assert read(run.path("history.csv")) == expected.history


def test_a_finished_phase_returns_at_once_with_its_weights(run):
    model = line()
    result = train(model, run)

    def never(step):
        raise AssertionError("no data is needed")

    again = line()
    assert train(again, run, never) == result
    assert weight(again) == weight(model)


def test_a_longer_run_is_the_shorter_one_continued(run):
    train(line(), run, steps=20)
    model, whole = line(), line()
    result = train(model, run, steps=40)
    expected = train(whole, Run.open(run.folder.with_name("whole"), {}))
    assert weight(model) == weight(whole) and result == expected


def test_saved_weights_have_a_name_that_a_rerun_must_find_again(run):
    """The sha256 of the one weight, at the steps that are saved and at no others."""

    def names(folder, **kwargs):
        rows = train(line(), Run.open(folder, {}), save_every=10, **kwargs).history
        return {row["step"]: row["weights"] for row in rows if "weights" in row}

    found = names(run.folder)
    assert list(found) == [10, 20, 30, 40] and len(set(found.values())) == 4
    model = line()
    train(model, Run.open(run.folder, {}), save_every=10)
    assert found[40] == hashlib.sha256(model.get_weights()[0].tobytes()).hexdigest()

    again = run.folder.with_name("again")
    with pytest.raises(Interrupted) as error:
        names(again, stop_after=20)
    assert error.value.step == 20
    begun = [row for row in read(again / "history.csv") if "weights" in row]
    assert {row["step"]: row["weights"] for row in begun} == {
        step: found[step] for step in (10, 20)
    }
    assert names(again) == found


def test_phases_share_a_run_and_a_history(run):
    train(line(), run, phase="softmax", steps=10)
    train(line(), run, phase="triplet", steps=20)
    rows = read(run.path("history.csv"))
    assert [(r["phase"], r["step"]) for r in rows] == [
        ("softmax", 10),
        ("triplet", 10),
        ("triplet", 20),
    ]


def test_bad_batches_are_skipped_and_counted(run):
    model = line()
    result = train(model, run, lambda step: batches(step, [3, 4, 25]))
    assert abs(weight(model) - 2) < 1e-3 and result.skipped == 3
    assert [row["skipped"] for row in result.history] == [2, 2, 3, 3]
    assert all(math.isfinite(row["loss"]) for row in result.history)


def test_too_many_bad_batches_stop_with_advice(run):
    model = line()
    with pytest.raises(
        Diverged, match="(?s)8 steps in a row, up to step 20.*learning rate"
    ):
        train(model, run, lambda step: batches(step, range(12, 99)), patience=5)
    assert math.isfinite(weight(model))


def test_a_rate_that_explodes_never_reaches_a_file(run):
    """The weight grows by a factor each step, till float32 is too small."""
    with pytest.raises(Diverged):
        train(line(rate=1e6), run, save_every=1, steps=100, patience=10)
    result = train(line(rate=1e6), run, steps=1)  # restores what was saved
    assert result.step > 1
    model = line(rate=1e6)
    train(model, run, steps=1)
    assert math.isfinite(weight(model))


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_the_best_weights_are_kept(run, better):
    model, scores, seen = line(), [5.0, 3.0, 4.0, float("nan")], []

    def validate():
        seen.append(weight(model))
        return {"eer": scores[len(seen) - 1]}

    result = train(
        model, run, validate=validate, validate_every=10, monitor="eer", better=better
    )
    index = 1 if better == "lower" else 0
    assert (result.best, result.best_step) == (scores[index], 10 * (index + 1))
    best = line()
    run.load_weights(best, result.best_weights)
    assert weight(best) == seen[index]
    step = int(model.optimizer.iterations.numpy())
    run.load_weights(model, result.best_weights)  # weights only: the rest stays
    assert weight(model) == seen[index]
    assert int(model.optimizer.iterations.numpy()) == step == 40
    assert [row["eer"] for row in result.history][:3] == scores[:3]


def test_averages_are_validated_and_kept(run):
    model = line(use_ema=True, ema_momentum=0.9)
    seen = []

    def validate():
        seen.append(weight(model))
        return {"gap": abs(seen[-1] - 2)}

    result = train(model, run, validate=validate, monitor="gap", steps=10)
    best = line()
    run.load_weights(best, result.best_weights)
    assert weight(best) == seen[0] != weight(model)


def test_an_unknown_monitor_is_named(run):
    with pytest.raises(ValueError, match="one of.*eer.*Received: 'err'"):
        train(line(), run, validate=lambda: {"eer": 1.0}, monitor="err", steps=1)
    with pytest.raises(ValueError, match="`better` must be one of.*'less'"):
        train(line(), run, better="less")
    with pytest.raises(ValueError, match="`monitor` needs `validate`"):
        train(line(), run, monitor="eer")


def test_a_watcher_may_stop_and_its_rows_remain(run):
    def watch(step, logs):
        if step == 20:
            raise RuntimeError("All voices are one point: lower the margin.")

    with pytest.raises(RuntimeError, match="one point"):
        train(line(), run, watch=watch)
    assert [row["step"] for row in read(run.path("history.csv"))] == [10, 20]


def test_data_that_ends_is_an_error(run):
    with pytest.raises(ValueError, match="before step 6 of 40"):
        train(line(), run, lambda step: batches(step).take(5))


def test_a_model_must_be_compiled(run):
    with pytest.raises(ValueError, match="must be compiled"):
        train(keras.Sequential([keras.layers.Dense(1)]), run)


def test_a_subclassed_model_is_built_by_its_first_batch(run):
    class Line(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, x):
            return self.dense(x)

    model = Line()
    model.compile(keras.optimizers.SGD(0.1), loss="mse")
    assert train(model, run, steps=10).step == 10


def test_a_disk_too_full_for_checkpoints_is_refused_before_training(run, monkeypatch):
    usage = type("Usage", (), {"free": 2**20})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(RunError, match="free disk"):
        train(line(), run)
    assert not (run.folder / "history.csv").exists()


def test_a_disk_that_fills_up_leaves_the_last_checkpoint(small_disk):
    run = Run.open(small_disk / "run", {})
    ballast = small_disk / "ballast"

    def fill(step, logs):
        if step == 20:
            with pytest.raises(OSError, match="No space left"):
                ballast.write_bytes(bytes(32 * 2**20))

    with pytest.raises(RunError, match="cannot be written.*No space left"):
        train(line(), run, watch=fill, save_every=10)
    ballast.unlink()
    model, whole = line(), line()
    result = train(model, run)
    train(whole, Run.open(small_disk / "whole", {}))
    assert result.step == 40 and weight(model) == weight(whole)
