"""Stopping politely, and the same bits twice."""

import os
import signal
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf

from timbre.training.interrupts import (
    Interrupted,
    Interrupts,
    how_to_go_on,
    make_deterministic,
)


@pytest.mark.parametrize("number", Interrupts.signals)
def test_the_first_signal_asks_and_the_second_is_left_to_the_system(number, capfd):
    found = signal.getsignal(number)
    with Interrupts() as interrupts:
        assert not interrupts.requested
        os.kill(os.getpid(), number)
        assert interrupts.requested
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert signal.getsignal(number) == found
    assert "once more quits at once" in capfd.readouterr().err


def test_other_threads_may_train_too():
    seen = []

    def work():
        with Interrupts() as interrupts:
            seen.append(interrupts.requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]


def test_interrupted_exits_with_130_unless_caught():
    with pytest.raises(SystemExit) as error:
        raise Interrupted(7)
    assert error.value.code == 130 and error.value.step == 7


def test_the_way_on_is_the_same_command_and_never_a_fresh_start(monkeypatch):
    command = ["python", "train.py", "--name", "my run", "--fresh", "--steps", "9"]
    monkeypatch.setattr(sys, "orig_argv", command)
    command = how_to_go_on().splitlines()[-1].strip()
    assert command == "python train.py --name 'my run' --steps 9"


def test_a_seed_decides_all_numbers(monkeypatch):
    """Deterministic kernels stay on for a process, so the tests only note the call."""
    calls = []
    monkeypatch.setattr(
        tf.config.experimental, "enable_op_determinism", lambda: calls.append(1)
    )
    draws = []
    for _ in range(2):
        make_deterministic(3)
        draws.append((np.random.rand(), float(tf.random.uniform([]))))
    assert draws[0] == draws[1] and len(calls) == 2
