"""Determinism, clean stops by signals, and errors of training.

The first Ctrl-C (SIGINT) or SIGTERM lets the running step end, saves, and leaves
with exit code 130; the second one quits at once. Checkpoints are written whole or
not at all, so even that loses only the steps since the last one.
"""

import os
import shlex
import signal
import sys
import threading

import keras
import tensorflow as tf

from timbre.training.run import TrainingError


class Interrupted(SystemExit):
    """The run was asked to stop and has saved: uncaught, it exits with code 130."""

    def __init__(self, step: int):
        super().__init__(130)
        self.step = step


class Diverged(TrainingError):
    """Loss, gradients or weights are not finite any more."""


def make_deterministic(seed: int) -> None:
    """Make the same program give the same bits on the same machine.

    Seeds Python, NumPy, TensorFlow and Keras, and makes TensorFlow choose deterministic
    kernels. Call it before models and datasets are built.
    """
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    # Measured: with its graph optimiser TensorFlow sums the gradients of some batch
    # normalisations in the order in which threads come, whatever the line above says.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


class Interrupts:
    """While open, turns the first SIGINT or SIGTERM into `requested`.

    Python allows signal handlers in the main thread only; elsewhere this does nothing.
    """

    signals = (signal.SIGINT, signal.SIGTERM)

    def __init__(self):
        self.requested = False
        self._handlers: dict = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            self._handlers = {s: signal.signal(s, self._handle) for s in self.signals}
        return self

    def __exit__(self, *error):
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _handle(self, number, frame):
        self.requested = True
        for one in self.signals:  # the system itself quits, even amid a long step
            signal.signal(one, signal.SIG_DFL)
        # not print(): a handler may interrupt a write to the same buffer
        message = "\nStopping after this step; once more quits at once.\n"
        os.write(sys.__stderr__.fileno(), message.encode())  # pyright: ignore[reportOptionalMemberAccess]


def how_to_go_on() -> str:
    """How to go on with a run: the same command, without a `--fresh` to start over."""
    command = shlex.join(word for word in sys.orig_argv if word != "--fresh")
    return f"To go on, run the same command again:\n  {command}"
