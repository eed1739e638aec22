"""What is found again after a stop is what was there, to the bit."""

import csv
import signal
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from timbre.training.checkpoint import TrainState, Window
from timbre.training.interrupts import Diverged
from timbre.training.run import RunError


def finish(process):
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return errors


def wait_for_step(process, folder, step):
    """Wait until a checkpoint of at least this step is announced."""
    index = folder / "checkpoints" / "only" / "checkpoint"
    while process.poll() is None:
        if index.exists():
            newest = index.read_text().split('"')[1]
            if int(newest.removeprefix("last-")) >= step:
                return
        time.sleep(0.002)
    raise AssertionError(f"it ended too soon: {process.communicate()}")


@pytest.mark.slow
@pytest.mark.parametrize("replicas", [1, 2])
def test_an_interrupted_and_a_killed_run_end_as_one_that_was_left_alone(
    tmp_path, start, replicas
):
    settings = ("--replicas", replicas, "--nan-at", 16)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    uninterrupted = start(whole, *settings)

    first = start(broken, *settings, "--pause-s", 0.2)
    wait_for_step(first, broken, 6)
    first.send_signal(signal.SIGINT)
    _, errors = first.communicate(timeout=60)
    assert first.returncode == 130
    assert "run the same command again" in errors and "program.py" in errors

    second = start(broken, *settings, "--pause-s", 0.2)
    wait_for_step(second, broken, 21)
    second.kill()  # SIGKILL
    assert second.wait() == -signal.SIGKILL

    errors = finish(start(broken, *settings))
    assert "Resuming only after step" in errors
    finish(uninterrupted)
    assert (whole / "history.csv").read_bytes() == (broken / "history.csv").read_bytes()
    with open(whole / "history.csv") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows if row["loss"]] == list(range(4, 41, 4))
    assert [row["skipped"] for row in rows if row["loss"]] == ["0"] * 4 + ["1"] * 6
    expected, found = (np.load(f.with_suffix(".npz")) for f in (whole, broken))
    assert expected.files == found.files and len(found.files) > 20 * replicas
    for name in expected.files:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
        assert np.isfinite(found[name]).all(), name


def tiny():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.1), loss="mse")
    model.optimizer.build(model.trainable_variables)
    return model


def test_a_state_is_found_again(tmp_path):
    model = tiny()
    state = TrainState(model, tmp_path)
    state.best.assign(0.1)
    state.window.add({"loss": tf.constant(1 / 3)})
    model.optimizer.variables[2].assign(model.optimizer.variables[2] + 5.0)
    state.save(7)
    other = tiny()
    found = TrainState(other, tmp_path)
    assert found.restore() == 7 and float(found.best) == 0.1
    assert found.window.take_means() == {"loss": float(np.float32(1 / 3))}
    for old, new in zip(
        model.variables + model.optimizer.variables,
        other.variables + other.optimizer.variables,
        strict=True,
    ):
        np.testing.assert_array_equal(old.numpy(), new.numpy())


def test_a_new_folder_starts_at_step_zero(tmp_path):
    assert TrainState(tiny(), tmp_path / "new").restore() == 0


def test_two_checkpoints_are_kept_and_torn_ones_removed(tmp_path):
    state = TrainState(tiny(), tmp_path)
    for step in (1, 2, 3):
        state.save(step)
    (tmp_path / "last-4_temp").mkdir()
    (tmp_path / "last-4.data-00000-of-00001").write_bytes(b"torn")
    (tmp_path / "best.weights.h5").write_bytes(b"")
    state.tidy()
    names = {path.name.split(".")[0] for path in tmp_path.iterdir()}
    assert names == {"last-2", "last-3", "checkpoint", "best"}
    assert TrainState(tiny(), tmp_path).restore() == 3


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path):
    state = TrainState(tiny(), tmp_path)
    state.save(1)
    state.save(2)
    data = tmp_path / "last-2.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:10])
    assert TrainState(tiny(), tmp_path).restore() == 1
    (tmp_path / "last-1.index").unlink()
    with pytest.raises(RunError, match="No checkpoint is readable"):
        TrainState(tiny(), tmp_path).restore()


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    TrainState(tiny(), tmp_path).save(1)
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    other.compile(keras.optimizers.Adam(0.1), loss="mse")
    other.optimizer.build(other.trainable_variables)
    with pytest.raises(RunError, match="fits only the model"):
        TrainState(other, tmp_path).restore()


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    model = tiny()
    state = TrainState(model, tmp_path)
    state.save(1)
    model.trainable_variables[0].assign([[np.inf], [0.0]])
    with pytest.raises(Diverged, match="last checkpoint is that of step 1"):
        state.save(2)
    assert TrainState(tiny(), tmp_path).restore() == 1


def test_a_failing_disk_leaves_the_previous_checkpoint_whole(tmp_path, monkeypatch):
    model = tiny()
    state = TrainState(model, tmp_path)
    state.save(1)

    def full(self, *args, **kwargs):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(tf.train.Checkpoint, "write", full)
        patch.setattr(tf.train.CheckpointManager, "save", full)
        with pytest.raises(RunError, match="(?s)of step 1 is whole.*No space left"):
            state.save(2)
    assert int(state.step) == 1
    assert TrainState(tiny(), tmp_path).restore() == 1


def test_a_window_averages_what_is_finite():
    window = Window()
    for loss in (1.0, float("nan"), 2.0):
        window.add({"loss": loss, "never": float("inf")})
    again = Window()
    again.deserialize(window.serialize())
    means = again.take_means()
    assert means["loss"] == 1.5 and np.isnan(means["never"])
    assert again.take_means() == {}
