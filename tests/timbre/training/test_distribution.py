"""Replicas and workers take the step that one device would take."""

import json
import signal
import socket
import time
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from timbre.training import distribution

SETTINGS = ("--steps", 10, "--plain", "--nan-at", 4)


def arrays(process, out):
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    found = np.load(out)
    assert found["skipped"] == 1  # though only one replica met the NaN
    return found


def start_workers(start, folder, *arguments):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    cluster = {"worker": [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]}
    for each in sockets:
        each.close()
    workers = []
    for index in range(2):
        config = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        out = folder.with_name(f"{folder.name}{index}.npz")
        settings = (*SETTINGS, *arguments)
        process = start(folder, *settings, out=out, TF_CONFIG=json.dumps(config))
        workers.append((process, out))
    return workers


def check_equal(found, expected):
    for name in found.files:
        if name.endswith(("0", "1")):  # copies on device 0 and 1
            same = expected[f"{name[:-1]}0"]
            np.testing.assert_allclose(found[name], same, rtol=1e-5, err_msg=name)


def numbers(folder):
    return np.genfromtxt(folder / "history.csv", delimiter=",")[1:, 1:5]


@pytest.mark.slow
def test_two_replicas_take_the_steps_of_one(tmp_path, start):
    one, two = (tmp_path / name for name in ("one", "two"))
    alone = start(one, *SETTINGS)
    mirrored = start(two, *SETTINGS, "--replicas", 2)
    expected = arrays(alone, tmp_path / "one.npz")
    check_equal(arrays(mirrored, tmp_path / "two.npz"), expected)
    np.testing.assert_allclose(numbers(two), numbers(one), rtol=1e-5)


@pytest.mark.slow
def test_two_workers_stop_together_and_then_end_as_one_would(tmp_path, start):
    """Only the second is asked to stop, and only the first writes."""
    folder = tmp_path / "workers"
    workers = start_workers(start, folder, "--pause-s", 1)
    while not (folder / "checkpoints" / "only" / "checkpoint").exists():
        time.sleep(0.01)
    workers[1][0].send_signal(signal.SIGINT)
    for process, _ in workers:
        process.communicate(timeout=60)
        assert process.returncode == 130
    alone = start(tmp_path / "one", *SETTINGS)
    expected = arrays(alone, tmp_path / "one.npz")
    for worker in start_workers(start, folder):
        check_equal(arrays(*worker), expected)
    np.testing.assert_allclose(numbers(folder), numbers(tmp_path / "one"), rtol=1e-5)


def test_a_strategy_has_a_name():
    assert distribution.open_strategy() is tf.distribute.get_strategy()
    assert distribution.is_chief(distribution.open_strategy())
    with pytest.raises(ValueError, match="`name` must be one of.*Received: 'cluster'"):
        distribution.open_strategy("cluster")


def test_a_policy_holds_for_the_layers_that_follow():
    try:
        distribution.open_strategy(policy="mixed_bfloat16")
        assert keras.layers.Dense(1).compute_dtype == "bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")


def test_one_process_votes_alone():
    strategy = distribution.open_strategy()
    assert distribution.anyone(strategy, True) and not distribution.anyone(
        strategy, False
    )
    assert not distribution.is_multiworker(strategy)


def test_batches_that_replicas_can_not_share_are_refused():
    two, three = (SimpleNamespace(num_replicas_in_sync=count) for count in (2, 3))
    distribution.check_batch_sizes({"softmax.batch": 64, "batch": 6}, two)
    with pytest.raises(ValueError, match="`softmax.batch` must be a multiple .* 3"):
        distribution.check_batch_sizes({"batch": 6, "softmax.batch": 64}, three)
