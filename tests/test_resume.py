"""Training that is killed, interrupted, spoilt or short of disk: the real script.

One module of runs shares one rendered corpus and one cache. `whole` was left alone,
the `trained_run` of all tests; `broken` ran the same command, stopped by Ctrl-C in its
first phase, killed in its second and then let go on; `spoilt` met a record that is not
a number.
"""

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
import tensorflow as tf

import train_triplet
from tests import programs
from tests.conftest import ROOT, STEPS, TRAINED
from timbre.training.run import SPARE_BYTES

SPOILT_STEP, SPOILT_STEPS = 7, 12

# Step 7 of the triplet phase, counted from 0, gets one record that is not a number.
SPOILT = f"""
import sys
import tensorflow as tf
import train_triplet
from voiceemb.training import batch_sampler as batches

make = batches.dataset

def spoil(crops, seed):
    bad = tf.where(seed[1] == {SPOILT_STEP}, float("nan"), 1.0)
    return tf.concat([crops[:1] * bad, crops[1:]], axis=0)

batches.dataset = lambda *args, **kwargs: make(*args, **kwargs | {{"transform": spoil}})
train_triplet.main(sys.argv[1:])
"""


def finish(process):
    """What a process that ends well has said on stderr."""
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-3000:]
    return errors


def stop(process, run, phase, step, number):
    """Send a signal as soon as a phase has saved `step`; returns what was said.

    The exit code must be that of the signal: 130 after Ctrl-C, which is answered.
    """
    index = run / "checkpoints" / phase / "checkpoint"
    while process.poll() is None and not (index.exists() and newest(index) >= step):
        time.sleep(0.002)
    process.send_signal(number)
    _, errors = process.communicate(timeout=300)
    expected = 130 if number == signal.SIGINT else -number
    assert process.returncode == expected, f"{phase} did not stop: {errors[-3000:]}"
    return errors


def newest(index):
    """Step of the newest checkpoint an index names."""
    return int(index.read_text().split('"')[1].removeprefix("last-"))


@pytest.fixture(scope="module")
def place(tmp_path_factory, trained_run):
    """The folder of the interrupted runs, with the voices of the one left alone."""
    folder = tmp_path_factory.mktemp("resume")
    for name in ("corpus", "cache"):
        shutil.copytree(trained_run / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def start(place):
    """Starts the script in `place`; what still runs at the end is killed."""
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, "PYTHONPATH": str(ROOT)}
    processes = []

    def start(*arguments, program=(str(ROOT / "train_triplet.py"),)):
        process = programs.Program(
            [sys.executable, *program, *TRAINED, *arguments],
            cwd=place,
            env=environment,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def runs(place, start, trained_run):
    """Folders of the runs by name, and what the interrupted ones said."""
    spoilt = start(
        *("--softmax.steps", "0", "--triplet.steps", str(SPOILT_STEPS)),
        *("--closed-set-share", "0", "--runs", "spoilt"),
        program=("-c", SPOILT),
    )
    broken, said = place / "broken" / "smoke", {}
    command = ("--runs", "broken")
    said["Ctrl-C"] = stop(start(*command), broken, "softmax", 4, signal.SIGINT)
    said["stopped at"] = newest(broken / "checkpoints" / "softmax" / "checkpoint")
    assert not (broken / "checkpoints" / "triplet").exists()
    said["killed"] = stop(start(*command), broken, "triplet", 4, signal.SIGKILL)
    assert not (broken / "model.weights.h5").exists()
    said["last"] = finish(start(*command))
    finish(spoilt)
    whole, spoilt = trained_run / "runs" / "smoke", place / "spoilt" / "smoke"
    return {"whole": whole, "broken": broken, "said": said, "spoilt": spoilt}


def arrays(weights):
    """Every array of a weights file by its path."""
    found = {}
    with h5py.File(weights) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()]})
                if isinstance(item, h5py.Dataset)
                else None
            )
        )
    return found


def variables(run, phase):
    """Every variable of the newest checkpoint of a phase by its name."""
    reader = tf.train.load_checkpoint(str(run / "checkpoints" / phase))
    names = reader.get_variable_to_shape_map()
    # how often the run was saved, and the names themselves, are not its state
    passing = ("save_counter", "_CHECKPOINTABLE_OBJECT_GRAPH")
    return {n: reader.get_tensor(n) for n in names if not n.startswith(passing)}


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


@pytest.mark.slow
def test_a_run_interrupted_and_killed_ends_as_one_left_alone_to_the_bit(runs):
    whole, broken, said = (runs[name] for name in ("whole", "broken", "said"))
    assert f"Resuming softmax after step {said['stopped at']}." in said["killed"]
    assert "Resuming triplet after step" in said["last"]
    expected = arrays(whole / "model.weights.h5")
    assert len(expected) > 10
    assert_equal(arrays(broken / "model.weights.h5"), expected)
    for name in ("history.csv", "metrics.json", "speakers.json"):
        assert (broken / name).read_bytes() == (whole / name).read_bytes(), name
    card = (broken / "card.md").read_text().replace("broken/smoke", "runs/smoke")
    assert card == (whole / "card.md").read_text()
    for path in whole.glob("trials/*/*.npz"):
        scores = np.load(path), np.load(broken / path.relative_to(whole))
        assert_equal(*(dict(one) for one in scores))


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["softmax", "triplet"])
def test_the_optimiser_of_each_phase_ends_the_same_too(runs, phase):
    whole, broken = (variables(runs[name], phase) for name in ("whole", "broken"))
    assert sum(name.startswith("optimizer") for name in whole) > 20
    assert int(whole["step/.ATTRIBUTES/VARIABLE_VALUE"]) == STEPS
    assert_equal(broken, whole)


@pytest.mark.slow
def test_ctrl_c_ends_with_130_and_the_command_that_goes_on(runs):
    said = runs["said"]
    assert 4 <= said["stopped at"] < STEPS
    assert f"Saved step {said['stopped at']} of softmax." in said["Ctrl-C"]
    assert "To go on, run the same command again" in said["Ctrl-C"]
    assert "train_triplet.py --preset smoke" in said["Ctrl-C"]
    assert "Traceback" not in said["Ctrl-C"]


@pytest.mark.slow
def test_a_record_that_is_no_number_leaves_a_count_and_nothing_else(runs):
    spoilt = runs["spoilt"]
    rows = [line.split(",") for line in (spoilt / "history.csv").read_text().split()]
    columns = {name: [row[i] for row in rows[1:]] for i, name in enumerate(rows[0])}
    counts = dict(zip(columns["step"], columns["skipped"], strict=True))
    before = {str(step): "0" for step in range(3, SPOILT_STEP + 1, 3)}
    after = {str(step): "1" for step in range(9, SPOILT_STEPS + 1, 3)}
    assert {k: n for k, n in counts.items() if n} == before | after
    assert all(np.isfinite(float(loss)) for loss in columns["loss"] if loss)
    weights = arrays(spoilt / "model.weights.h5")
    for name, array in (variables(spoilt, "triplet") | weights).items():
        if np.asarray(array).dtype.kind == "f":
            assert np.isfinite(array).all(), name
    # mean, variance, gamma and beta of a batch normalisation, of each layer
    assert sum(array.ndim == 1 for array in weights.values()) > 4
    assert "1 skipped" in (spoilt / "card.md").read_text()


@pytest.fixture
def script(tmp_path, monkeypatch, capsys):
    """The script in this process; returns what it exits with and says.

    Deterministic kernels stay off: they could not be turned off again.
    """
    from timbre.training import interrupts

    monkeypatch.setattr(
        interrupts, "make_deterministic", tf.keras.utils.set_random_seed
    )
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            train_triplet.main([*TRAINED, *map(str, arguments)])
        code = end.value.code
        del end
        gc.collect()  # as the end of a process does: a probe of a full disk goes
        return code, capsys.readouterr().err

    return run


def fill(disk, *, leave):
    """Leave so many bytes of a disk free."""
    left = shutil.disk_usage(disk).free - leave
    with open(disk / "filler", "wb") as file:
        while left > 0:
            left -= file.write(bytes(min(left, 1 << 20)))


def names(folder):
    """Names of all files below a folder but locks and what fills the disk."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.name for path in paths} - {"filler", ".lock", ".records.lock"}


@pytest.mark.parametrize("leave", [0, SPARE_BYTES // 2])
def test_a_full_disk_is_a_clear_error_before_any_work(script, small_disk, leave):
    fill(small_disk, leave=leave)
    reason, _ = script("--runs", small_disk / "runs")
    assert reason.startswith("error: ") and "\n" not in reason
    assert ("disk have room" if leave == 0 else "of free disk") in reason
    assert not names(small_disk) and not (small_disk.parent / "corpus").exists()


@pytest.mark.slow
def test_a_disk_without_room_for_checkpoints_is_an_error_before_training(
    script, small_disk, place
):
    fill(small_disk, leave=SPARE_BYTES + (200 << 10))
    reason, said = script(
        *("--runs", small_disk, "--cache", place / "cache"),
        *("--synthetic.folder", place / "corpus" / "smoke"),
    )
    assert "of free disk, mostly for its checkpoints" in reason
    assert "softmax" not in said
    assert names(small_disk) == {"config.json", "speakers.json"}


@pytest.mark.slow
def test_a_disk_too_full_for_the_cache_is_an_error_and_leaves_no_cache(
    script, small_disk, place
):
    fill(small_disk, leave=100 << 10)
    folder = place / "corpus" / "smoke"
    reason, said = script("--cache", small_disk, "--synthetic.folder", folder)
    assert reason.startswith("error: Records can not be written") and "space" in reason
    assert "softmax" not in said and not names(small_disk)


def test_a_disk_too_full_for_the_corpus_is_an_error_and_leaves_no_corpus(
    script, small_disk
):
    fill(small_disk, leave=100 << 10)
    reason, _ = script("--synthetic.folder", small_disk / "voices")
    assert reason.startswith("error: ") and "can not be written" in reason
    assert "Traceback" not in reason and len(reason.splitlines()) == 1
    assert not names(small_disk)


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--runs", "--cache", "--synthetic.folder"])
def test_a_read_only_folder_is_a_clear_error_before_training(
    script, small_disk, place, option
):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    settings = {
        "--cache": place / "cache",
        "--synthetic.folder": place / "corpus" / "smoke",
        option: small_disk / "here",
    }
    reason, said = script(*(part for pair in settings.items() for part in pair))
    assert "Read-only file system" in reason and str(small_disk) in reason
    assert "softmax" not in said


def test_ctrl_c_before_training_says_how_to_go_on(script, monkeypatch):
    from timbre.corpora import gather

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(gather, "render", interrupted)
    code, said = script()
    assert code == 130
    assert "To go on, run the same command again" in said


@pytest.mark.slow
def test_the_settings_of_a_broken_run_are_those_it_began_with(runs):
    """A killed session leaves `config.json` whole, so that the next one finds it."""
    config = json.loads((runs["broken"] / "config.json").read_text())["config"]
    assert config["triplet"]["steps"] == STEPS and config["runs"] == "broken"
