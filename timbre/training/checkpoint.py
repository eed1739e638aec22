"""Checkpoints: all that a step depends on, saved and restored to the bit.

That is the variables of the model (weights, statistics, states of seed generators) and
of the optimiser (moments, averages, iterations, loss scale), the step, the skipped
steps, the best value and what was measured since the last logged row. The order of data
is a function of the step.
"""

import hashlib
import json
import math
import shutil
from pathlib import Path

import keras
import tensorflow as tf

from timbre.training.interrupts import Diverged
from timbre.training.run import RunError


class TrainState:
    """State of a phase between two steps, saved and restored.

    Args:
        model: A compiled `keras.Model`, built as its optimiser is: variables are saved
            by their order.
        folder: Where checkpoints go: `last-<step>` and the index `checkpoint`.
        keep: How many checkpoints to keep. Defaults to `2`.
        write: Whether this process writes files. Defaults to `True`.
    """

    def __init__(
        self, model: keras.Model, folder: Path, *, keep: int = 2, write: bool = True
    ):
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)  # pyright: ignore[reportArgumentType]
        self.skipped = tf.Variable(0, dtype=tf.int64, trainable=False)  # pyright: ignore[reportArgumentType]
        self.streak = tf.Variable(0, dtype=tf.int64, trainable=False)  # pyright: ignore[reportArgumentType]
        self.best = tf.Variable(math.nan, dtype=tf.float64, trainable=False)  # pyright: ignore[reportArgumentType]
        self.best_step = tf.Variable(0, dtype=tf.int64, trainable=False)  # pyright: ignore[reportArgumentType]
        self.window = Window()
        metrics = {id(v) for v in model.metrics_variables}
        self._model = _unique(v for v in model.variables if id(v) not in metrics)
        self._optimizer = _unique(model.optimizer.variables)
        self._all = self._model + self._optimizer
        self.checkpoint = tf.train.Checkpoint(
            model=self._model,
            optimizer=self._optimizer,
            step=self.step,
            skipped=self.skipped,
            streak=self.streak,
            best=self.best,
            best_step=self.best_step,
            window=self.window,
        )
        self.keep, self.folder, self._write = keep, folder, write
        self.manager = tf.train.CheckpointManager(
            self.checkpoint, str(folder), max_to_keep=keep, checkpoint_name="last"
        )

    @property
    def num_bytes(self) -> int:
        """Size of one checkpoint, roughly."""
        return sum(v.shape.num_elements() * v.dtype.size for v in self._all)

    def restore(self) -> int:
        """Restore the newest whole checkpoint; returns its step, 0 without one."""
        for path in reversed(self.manager.checkpoints):
            try:
                self.checkpoint.restore(path).assert_consumed()
                return int(self.step)
            except (tf.errors.OpError, IndexError):
                continue  # torn by the disk, not by us: the one before is whole
            except (AssertionError, ValueError) as error:
                raise RunError(
                    "A checkpoint fits only the model and optimiser it was made by: "
                    f"use the same code and packages. Received: {path}, {error}"
                ) from error
        if self.manager.checkpoints:
            raise RunError(f"No checkpoint is readable. Received: {self.folder}")
        return 0

    def save(self, step: int) -> None:
        """Save a step's state; if that fails, the previous checkpoint stays whole.

        It raises `Diverged` if a variable is not finite, and `RunError` if the disk is
        full or refuses.
        """
        if step == int(self.step) and self.manager.checkpoints:
            return
        newest = int(self.step)
        if not _all_finite(self._all):
            raise Diverged(
                f"The weights are not finite at step {step}, so they are not saved; "
                f"the last checkpoint is that of step {newest}. Lower the learning "
                "rate, or clip gradients (`global_clipnorm`)."
            )
        self.step.assign(step)
        if not self._write:
            return
        try:
            self.manager.save(checkpoint_number=step)
        except (OSError, tf.errors.OpError) as error:
            self.step.assign(newest)
            raise RunError(
                f"The checkpoint of step {step} cannot be written; that of step "
                f"{newest} is whole. Make room, then run the same command again. "
                f"Received: {self.folder}, {str(error).splitlines()[0]}"
            ) from error

    def tidy(self) -> None:
        """Remove what a killed or failed save has left in the folder."""
        listed = tuple(self.manager.checkpoints)
        for path in self.folder.glob("last-*"):
            if path.is_dir():
                shutil.rmtree(path)
            elif not str(path).startswith(tuple(f"{known}." for known in listed)):
                path.unlink()


def digest(model: keras.Model) -> str:
    """SHA-256 of a model's variables, in hex: equal for weights equal to the bit."""
    sha = hashlib.sha256()
    for variable in model.variables:
        sha.update(keras.ops.convert_to_numpy(variable).tobytes())  # pyright: ignore[reportAttributeAccessIssue, reportOptionalMemberAccess]
    return sha.hexdigest()


class Window(tf.train.experimental.PythonState):
    """What was measured since the last logged row; travels with checkpoints.

    Tensors are fetched only when a mean is asked for: the device need not wait.
    """

    def __init__(self):
        super().__init__()
        self._values = {}

    def add(self, scalars: dict) -> None:
        """Add one step's dict of scalars."""
        for name, value in scalars.items():
            self._values.setdefault(name, []).append(value)

    def take_means(self) -> dict[str, float]:
        """The mean of each scalar's finite values, NaN without one; empties it."""
        values, self._values = self._fetched(), {}
        return {name: _mean(numbers) for name, numbers in values.items()}

    def serialize(self):
        """Called when a checkpoint is saved."""
        return json.dumps(self._fetched())

    def deserialize(self, string_value):
        """Called when a checkpoint is restored."""
        self._values = json.loads(string_value)

    def _fetched(self):
        return {k: [float(v) for v in values] for k, values in self._values.items()}


def _mean(numbers):
    finite = [number for number in numbers if math.isfinite(number)]
    return math.fsum(finite) / len(finite) if finite else math.nan


def _unique(variables):
    """The TensorFlow variables of Keras variables, each once, in order."""
    return list({id(v): v.value for v in variables}.values())


def _all_finite(variables):
    flags = [
        tf.reduce_all(tf.math.is_finite(v)) for v in variables if v.dtype.is_floating
    ]
    return bool(tf.reduce_all(flags))
