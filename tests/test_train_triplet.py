"""The script from end to end, on voices synthesised for it."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests import programs
from tests.conftest import ROOT, STEPS, TRAINED, train
from voiceemb import Encoder

pytestmark = pytest.mark.slow


def test_a_run_leaves_all_it_promises(trained_run):
    run = trained_run / "runs" / "smoke"
    for name in (
        *("config.json", "speakers.json", "metrics.json", "history.csv", "card.md"),
        *("model.weights.h5", "model.weights.h5.sha256", "trials/test/all-pairs.txt"),
        *(f"figures/test_{name}.png" for name in ("tsne", "det", "scores", "matrix")),
        *("figures/training.png", "figures/utterance.png"),
        *("export/1/saved_model.pb", "export/1/assets.extra/about.json"),
    ):
        assert (run / name).is_file(), name
    config = json.loads((run / "config.json").read_text())
    assert config["config"]["softmax"]["steps"] == STEPS
    assert {"keras", "tensorflow"} <= set(config["versions"])
    speakers = json.loads((run / "speakers.json").read_text())["speakers"]
    assert not set(speakers["test"]) & set(speakers["train"])
    rows = json.loads((run / "metrics.json").read_text())["table"]
    named = {(r["extractor"], r["protocol"].split(",")[0]) for r in rows}
    assert named == {
        (extractor, protocol)
        for extractor in ("smoke", "untrained network", "MFCC statistics")
        for protocol in ("open-set", "closed-set")
    }
    assert (
        "validation"
        in json.loads((run / "metrics.json").read_text())["threshold"]["corpus"]
    )
    card = (run / "card.md").read_text()
    assert json.loads((run / "export/1/assets.extra/about.json").read_text())[
        "sha256"
    ] in (card)


def test_the_same_command_again_ends_at_once_with_the_same_table(trained_run):
    run = trained_run / "runs" / "smoke"
    before = json.loads((run / "metrics.json").read_text())
    train(trained_run)
    assert json.loads((run / "metrics.json").read_text()) == before
    assert [p.name for p in (run / "export").iterdir()] == ["1"]  # the same weights


def test_a_run_of_another_config_is_refused_before_any_work(trained_run):
    command = [
        *(sys.executable, str(ROOT / "train_triplet.py"), *TRAINED),
        *("--triplet.margin", "0.3"),
    ]
    done = programs.run(command, cwd=trained_run)
    assert done.returncode == 1
    assert "holds a run of another config" in done.stderr
    assert "triplet.margin: 0.1 there, 0.3 here" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_answers_without_tensorflow():
    code = (
        "import sys, train_triplet\n"
        "try:\n    train_triplet.main(['--help'])\n"
        "except SystemExit:\n    print('tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert "--triplet.strategy" in done.stdout
    assert done.stdout.rstrip().endswith("False")


def test_run_export_and_graph_give_the_same_embedding(trained_run, rng):
    run = trained_run / "runs" / "smoke"
    waveform = rng.normal(scale=0.1, size=70_000).astype("float32")
    from_run = Encoder.load(run).embed_utterance(waveform)
    exported = Encoder.load(run / "export")
    np.testing.assert_allclose(exported.embed_utterance(waveform), from_run, atol=1e-5)
    assert exported.about["sha256"] == Encoder.load(run).about["sha256"]
    served = tf.saved_model.load(str(run / "export" / "1"))
    answer = served.signatures["embed"](waveform=waveform[None])["embedding"]
    np.testing.assert_allclose(answer[0], from_run, atol=1e-5)
    sounds = [waveform[:30_000], waveform[:9000], waveform]
    np.testing.assert_allclose(
        exported.embed_utterances(sounds),
        Encoder.load(run).embed_utterances(sounds),
        atol=1e-5,
    )


@pytest.mark.parametrize("bad", [np.zeros((1, 100)), np.full((1, 16000), np.nan)])
def test_a_served_model_refuses_what_is_no_utterance(trained_run, bad):
    served = tf.saved_model.load(str(trained_run / "runs/smoke/export/1"))
    with pytest.raises(tf.errors.InvalidArgumentError):
        served.signatures["embed"](waveform=tf.constant(bad, tf.float32))


def test_weights_that_were_exchanged_are_refused(trained_run, tmp_path):
    run = trained_run / "runs" / "smoke"
    for name in ("config.json", "model.weights.h5", "model.weights.h5.sha256"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    weights = bytearray((tmp_path / "model.weights.h5").read_bytes())
    weights[-1] ^= 1
    (tmp_path / "model.weights.h5").write_bytes(weights)
    with pytest.raises(ValueError, match="not those the run has written"):
        Encoder.load(tmp_path)


def test_two_machines_train_one_run_and_one_of_them_writes_it(tmp_path):
    """Two workers on this machine stand for two machines that share a folder."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    cluster = {"worker": [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]}
    for each in sockets:
        each.close()
    command = [
        *(sys.executable, str(ROOT / "train_triplet.py"), *TRAINED),
        *("--softmax.steps", "0", "--triplet.steps", "2", "--validate-every", "2"),
        *("--closed-set-share", "0", "--strategy", "multiworker"),
    ]
    workers = []
    for index in range(2):
        config = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        environment = {**os.environ, "TF_CONFIG": json.dumps(config)}
        worker = programs.Program(command, cwd=tmp_path, env=environment)
        workers.append(worker)
    said = [worker.communicate(timeout=240) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said[0][1] + said[1][1]
    assert "open-set" in said[0][0] and not said[1][0]
    run = tmp_path / "runs" / "smoke"
    assert [p.name for p in (run / "export").iterdir()] == ["1"]
    assert Encoder.load(run).dim == 32
