"""The training loop of every model, over `tf.distribute`.

A phase takes `steps` steps on batches that are a function of the step alone, so
`train 2N` equals `train N, be killed, resume, train to 2N`, to the bit. Scalars are
fetched from the device only every `log_every` steps. Random numbers of a training must
come from seed generators of layers, whose states are saved, or depend on the step only.
"""

import math
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

import keras
import tensorflow as tf

from timbre.progress import ProgressBar
from timbre.training import ema
from timbre.training.checkpoint import TrainState, digest
from timbre.training.config import LoopConfig
from timbre.training.distribution import anyone, is_chief, is_multiworker, wait_for_all
from timbre.training.history import History
from timbre.training.interrupts import Diverged, Interrupted, Interrupts, how_to_go_on
from timbre.training.networks import check_choice
from timbre.training.run import Run
from timbre.training.train_step import compile_step


@dataclass(frozen=True)
class Result:
    """How a phase ended.

    Args:
        step: Steps taken, of this and earlier sessions.
        skipped: How many of them were skipped, not being finite.
        best: Best value of the monitor, `None` if there was none.
        best_step: The step it was reached at, 0 if there was none.
        history: The phase's rows, dicts of numbers.
        best_weights: Name in the run of the best weights, for `Run.load_weights`.
    """

    step: int
    skipped: int
    best: float | None
    best_step: int
    history: list
    best_weights: str | None


def fit(
    model: keras.Model,
    batches: Callable[[int], tf.data.Dataset],
    *,
    run: Run,
    phase: str,
    steps: int,
    config: LoopConfig | None = None,
    strategy: tf.distribute.Strategy | None = None,
    measure: Callable[..., dict] | None = None,
    watch: Callable[[int, dict], None] | None = None,
    validate: Callable[[], dict] | None = None,
    monitor: str | None = None,
    better: str = "lower",
) -> Result:
    """Train a compiled model for a number of steps, resuming where it was left.

    The model ends with its last weights (`ema.use_averages` lends the averages,
    `select_weights` gives it the best). A phase that has ended returns at once.

    Args:
        model: A compiled `keras.Model`, made inside `strategy.scope()`. Its
            `compute_loss` is minimised, of which replicas give the sum, as in Keras.
        batches: Maps a step to the endless `tf.data.Dataset` of global batches that
            follow it, `(x, y)` or what else `fit` of Keras takes.
        run: A `timbre.training.run.Run`.
        phase: Name of this part of the run; a folder under `checkpoints/`.
        steps: The step to end at. A phase that ended may be continued by more steps,
            and is then the longer phase to the bit if its old end was a multiple of
            `log_every` and `validate_every` and no schedule depends on `steps`.
        config: A `timbre.training.config.LoopConfig`, by default `LoopConfig()`.
            Checkpoints are also written after validations and at the end; the history
            names the sha256 of the weights saved by `save_every`. XLA (`jit_compile`)
            is tested on one device.
        strategy: The `tf.distribute.Strategy`. Defaults to the one in place.
        measure: Maps `(x, y, y_pred)` to a dict of scalars to log, in the graph.
        watch: Called with `(step, logs)` at each logged row; may raise to stop.
        validate: Returns a dict of floats for the history; called with the averaged
            weights where the optimiser keeps them.
        monitor: The validated quantity that decides which weights are best.
        better: Whether `"lower"` or `"higher"` is better.

    Raises:
        Interrupted: Ctrl-C or SIGTERM came, and the run is saved.
        Diverged: Training is not finite any more.
        RunError: The disk is full, or the checkpoint is another model's.
    """
    config = config or LoopConfig()
    strategy = strategy or tf.distribute.get_strategy()
    _build(model, batches, strategy)
    state = _PhaseState(model, run, phase, strategy, validate, monitor, better)
    start = state.start
    if start >= steps:
        return state.result()
    data = _distribute(batches(start), strategy)
    take_step = compile_step(
        model,
        state.train,
        data.element_spec,
        strategy=strategy,
        measure=measure,
        jit_compile=config.jit_compile,
    )
    with Interrupts() as interrupts, state.session(steps) as progress:
        for step, batch in _numbered(data, start, steps):
            state.train.window.add(take_step(batch))
            progress.update()
            last = step == steps
            logging = last or step % config.log_every == 0
            validating = validate and (last or step % config.validate_every == 0)
            marking = step % config.save_every == 0
            if logging or step % config.patience == 0:
                state.check_streak(step, config.patience)
            if logging:
                state.log(step, watch)
            if validating:
                state.evaluate(step)
            stopping = interrupts.requested
            if is_multiworker(strategy):  # all must leave at the same step
                stopping = logging and anyone(strategy, stopping)
            stopping = stopping or step - start == config.stop_after
            if marking:
                state.mark(step)
            if last or marking or stopping or validating:
                state.save(step)
            if stopping and not last:
                progress.note(f"Saved step {step} of {phase}. {how_to_go_on()}")
                raise Interrupted(step)
    return state.result()


def best_weights_name(phase: str) -> str:
    """Name in a run of the weights that a phase leaves."""
    return f"checkpoints/{phase}/best.weights.h5"


def select_weights(
    model: keras.Model,
    result: Result,
    *,
    run: Run,
    phase: str,
    strategy: tf.distribute.Strategy,
) -> None:
    """Give the model that `fit` has trained its best weights, on every process alike.

    Without a monitor those are its averages, or the last weights where the optimiser
    keeps none; they are written where the best would be.
    """
    wait_for_all(strategy)  # until the chief has written the best weights
    if result.best_weights:
        run.load_weights(model, result.best_weights)
        return
    ema.finalise(model)
    if is_chief(strategy):
        run.save_weights(model, best_weights_name(phase))
    wait_for_all(strategy)


class _PhaseState:
    """State of a phase, restored: its history, best weights and newest checkpoint."""

    def __init__(self, model, run, phase, strategy, validate, monitor, better):
        if monitor and not validate:
            raise ValueError(f"`monitor` needs `validate`. Received: monitor={monitor}")
        check_choice("better", better, ("lower", "higher"))
        self.model, self.run, self.phase = model, run, phase
        self.validate, self.monitor, self.better = validate, monitor, better
        self.chief = is_chief(strategy)
        folder = run.folder / "checkpoints" / phase
        self.train = TrainState(model, folder, write=self.chief)
        self.best_weights = best_weights_name(phase)
        self.start = self.train.restore()
        self.history = History(run, phase, step=self.start, write=self.chief)

    @contextmanager
    def session(self, steps):
        """Check the disk, show progress, and write the rows whatever happens."""
        if self.chief:
            self.train.tidy()
            self.run.check_space((self.train.keep + 2) * self.train.num_bytes)
        bar = ProgressBar(
            self.phase, steps, initial=self.start, enabled=self.chief, unit=" steps"
        )
        with bar as self.progress:
            if self.start:
                self.progress.note(f"Resuming {self.phase} after step {self.start}.")
            try:
                yield self.progress
            except (Exception, KeyboardInterrupt):
                self.history.flush()
                raise

    def check_streak(self, step, patience):
        """Stop if too many steps were skipped in a row."""
        streak = int(self.train.streak)
        if streak >= patience:
            raise Diverged(
                f"{streak} steps in a row, up to step {step}, gave a loss or gradient "
                "that is not finite; none was applied. Lower the learning rate, clip "
                "gradients (`global_clipnorm`), or look for bad values in the data."
            )

    def log(self, step, watch):
        """Make a row of the steps since the last one."""
        rate = keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
        logs = self.train.window.take_means()
        self.progress.set_postfix(logs, refresh=False)
        logs |= {"learning_rate": float(rate), "skipped": int(self.train.skipped)}  # pyright: ignore[reportArgumentType]
        self.history.add(step, logs)
        if watch:
            watch(step, logs)

    def evaluate(self, step):
        """Validate, and keep the weights if they are the best so far."""
        with ema.use_averages(self.model):
            values = {name: float(value) for name, value in self.validate().items()}
            self.history.add(step, values)
            if self.monitor and self._is_best(values):
                self.train.best.assign(values[self.monitor])
                self.train.best_step.assign(step)
                if self.chief:
                    self.run.save_weights(self.model, self.best_weights)
        shown = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        self.progress.note(f"{self.phase} {step}: {shown}")

    def _is_best(self, values):
        check_choice("monitor", self.monitor, list(values))
        value, best = values[self.monitor], float(self.train.best)
        if math.isnan(best):
            return math.isfinite(value)
        return value < best if self.better == "lower" else value > best

    def mark(self, step):
        """Note which weights these are: another run can be held against them."""
        self.history.add(step, {"weights": digest(self.model)})

    def save(self, step):
        """Write the rows, then the checkpoint they belong to."""
        self.history.flush()
        self.train.save(step)

    def result(self):
        """How the phase stands."""
        best_step = int(self.train.best_step)
        return Result(
            step=int(self.train.step),
            skipped=int(self.train.skipped),
            best=float(self.train.best) if best_step else None,
            best_step=best_step,
            history=self.history.rows,
            best_weights=self.best_weights if best_step else None,
        )


def _build(model, batches, strategy):
    """Make all variables of the model and its optimiser, to restore or train them."""
    if getattr(model, "optimizer", None) is None:
        raise ValueError("`model` must be compiled: call `model.compile(optimizer)`.")
    with strategy.scope():
        if not model.built:
            batch = next(iter(batches(0)))
            x, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
            model(tf.nest.map_structure(lambda value: value[:1], x), training=False)
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)


def _distribute(dataset, strategy):
    """Give every replica its rows of each global batch."""
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.DATA
    )
    return strategy.experimental_distribute_dataset(dataset.with_options(options))


def _numbered(data, start, steps):
    """Pairs of a step, counted from 1, and its batch."""
    feed = iter(data)
    for step in range(start + 1, steps + 1):
        try:
            yield step, next(feed)
        except StopIteration:
            raise ValueError(
                "`batches(step)` must go on to the last step: repeat the dataset. "
                f"Received: the end of the data before step {step} of {steps}"
            ) from None
