"""The loop: one way to train every model here, over `tf.distribute`.

A phase takes `steps` steps on batches that are a function of the step alone, so
`train 2N` equals `train N, be killed, resume, train to 2N`, to the bit. Scalars
are fetched from the device only every `log_every` steps. Random numbers that
training draws must come from seed generators held by layers, whose states are
saved, or be a function of the step, as the data is.
"""

import math
from contextlib import contextmanager
from dataclasses import dataclass

import keras
import tensorflow as tf

from timbre.progress import ProgressBar
from timbre.training.checkpoint import TrainState, digest
from timbre.training.distribution import anyone, is_chief, is_multiworker
from timbre.training.ema import averaged
from timbre.training.history import History
from timbre.training.interrupts import Diverged, Interrupted, Interrupts, how_to_go_on
from timbre.training.train_step import compile_step


@dataclass(frozen=True)
class Result:
    """How a phase ended.

    Args:
        step: Steps taken, of this and earlier sittings.
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
    model,
    batches,
    *,
    run,
    phase,
    steps,
    measure=None,
    watch=None,
    validate=None,
    monitor=None,
    better="lower",
    log_every=10,
    validate_every=None,
    save_every=500,
    patience=20,
    stop_after=None,
    strategy=None,
    jit_compile=False,
):
    """Train a compiled model for a number of steps, resuming where it was left.

    The model ends with its last weights (`averaging.averaged` lends the averages,
    `run.load_weights(model, result.best_weights)` the best). A phase that has
    ended before returns at once with the same.

    Args:
        model: A compiled `keras.Model`, made inside `strategy.scope()`. Its
            `compute_loss` is minimised; as in Keras, it is scaled such that the
            sum over replicas is the loss.
        batches: Maps a step to the `tf.data.Dataset` of global batches, `(x, y)`
            or what else `fit` of Keras takes, that follow it without end.
        run: A `timbre.training.run.Run`.
        phase: Name of this part of the run; a folder under `checkpoints/`.
        steps: The step to end at. A phase that ended may be continued by more steps,
            and is then the longer phase to the bit if its old end was a multiple of
            `log_every` and `validate_every` and no schedule depends on `steps`.
        measure: Maps `(x, y, y_pred)` to a dict of scalars to log, in the graph.
        watch: Called with `(step, logs)` at each logged row; may raise to stop.
        validate: Returns a dict of floats; called with the averaged weights lent
            where the optimiser keeps averages. What it says is what is kept.
        monitor: The validated quantity that decides which weights are best.
        better: Whether `"lower"` or `"higher"` is better.
        log_every: Steps between rows of the history.
        validate_every: Steps between validations. Defaults to once, at the end.
        save_every: Steps between checkpoints, besides those after validations
            and at the end; the history then names the sha256 of the weights.
            Defaults to `500`.
        patience: So many steps skipped in a row stop training.
        stop_after: Steps of the phase in this sitting after which it ends as Ctrl-C
            would end it. Defaults to no limit.
        strategy: The `tf.distribute.Strategy`. Defaults to the one in place.
        jit_compile: Whether XLA compiles the forward and backward pass. Tested on
            one device.

    Returns:
        A `Result`.

    Raises:
        Interrupted: Ctrl-C or SIGTERM came, and the run is saved.
        Diverged: Training is not finite any more.
        RunError: The disk is full, or the checkpoint is another model's.
    """
    strategy = strategy or tf.distribute.get_strategy()
    _build(model, batches, strategy)
    keeper = _Keeper(model, run, phase, strategy, validate, monitor, better, patience)
    start = keeper.restore()
    if start >= steps:
        return keeper.result()
    data = _distribute(batches(start), strategy)
    take_step = compile_step(
        model,
        keeper.state,
        data.element_spec,
        strategy=strategy,
        measure=measure,
        jit_compile=jit_compile,
    )
    with Interrupts() as interrupts, keeper.sitting(start, steps) as progress:
        for step, batch in _numbered(data, start, steps):
            keeper.state.window.add(take_step(batch))
            progress.update()
            logging, judging, saving = (
                step == steps or bool(every) and step % every == 0
                for every in (log_every, validate_every, save_every)
            )
            if logging or step % patience == 0:
                keeper.check(step)
            if logging:
                keeper.log(step, watch)
            if judging and validate:
                keeper.judge(step)
            stopping = interrupts.requested
            if is_multiworker(strategy):  # all must leave at the same step
                stopping = logging and anyone(strategy, stopping)
            stopping = stopping or step - start == stop_after
            if save_every and step % save_every == 0:
                keeper.mark(step)
            if saving or stopping or (judging and validate):
                keeper.save(step)
            if stopping and step < steps:
                progress.note(f"Saved step {step} of {phase}. {how_to_go_on()}")
                raise Interrupted(step)
    return keeper.result()


class _Keeper:
    """Keeps what a phase has reached: its rows, its best, its checkpoints."""

    def __init__(
        self, model, run, phase, strategy, validate, monitor, better, patience
    ):
        if monitor and not validate:
            raise ValueError(f"`monitor` needs `validate`. Received: monitor={monitor}")
        if better not in ("lower", "higher"):
            raise ValueError(
                f"`better` must be 'lower' or 'higher'. Received: better={better}"
            )
        self.model, self.run, self.phase = model, run, phase
        self.validate, self.monitor, self.better = validate, monitor, better
        self.patience = patience
        self.chief = is_chief(strategy)
        folder = run.folder / "checkpoints" / phase
        self.state = TrainState(model, folder, write=self.chief)
        self.best_weights = f"checkpoints/{phase}/best.weights.h5"

    def restore(self):
        """Restore the newest checkpoint and the rows up to it; returns its step."""
        step = self.state.restore()
        self.history = History(self.run, self.phase, step=step, write=self.chief)
        return step

    @contextmanager
    def sitting(self, start, steps):
        """Check the disk, show progress, and write the rows whatever happens."""
        if self.chief:
            self.state.tidy()
            self.run.check_space((self.state.keep + 2) * self.state.num_bytes)
        bar = ProgressBar(
            self.phase, steps, initial=start, enabled=self.chief, unit=" steps"
        )
        with bar as self.progress:
            if start:
                self.progress.note(f"Resuming {self.phase} after step {start}.")
            try:
                yield self.progress
            except (Exception, KeyboardInterrupt):
                self.history.flush()
                raise

    def check(self, step):
        """Stop if too many steps were skipped in a row."""
        streak = int(self.state.streak)
        if streak >= self.patience:
            raise Diverged(
                f"{streak} steps in a row, up to step {step}, gave a loss or gradient "
                "that is not finite; none was applied. Lower the learning rate, clip "
                "gradients (`global_clipnorm`), or look for bad values in the data."
            )

    def log(self, step, watch):
        """Make a row of the steps since the last one."""
        rate = keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
        logs = self.state.window.take_means()
        self.progress.set_postfix(logs, refresh=False)
        logs |= {"learning_rate": float(rate), "skipped": int(self.state.skipped)}
        self.history.add(step, logs)
        if watch:
            watch(step, logs)

    def judge(self, step):
        """Validate, and keep the weights if they are the best so far."""
        with averaged(self.model):
            values = {name: float(value) for name, value in self.validate().items()}
            self.history.add(step, values)
            if self.monitor and self._is_best(values):
                self.state.best.assign(values[self.monitor])
                self.state.best_step.assign(step)
                if self.chief:
                    self.run.save_weights(self.model, self.best_weights)
        shown = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        self.progress.note(f"{self.phase} {step}: {shown}")

    def _is_best(self, values):
        if self.monitor not in values:
            raise ValueError(
                "`monitor` must be one of the validated quantities, "
                f"{', '.join(values)}. Received: monitor={self.monitor}"
            )
        value, best = values[self.monitor], float(self.state.best)
        if math.isnan(best):
            return math.isfinite(value)
        return value < best if self.better == "lower" else value > best

    def mark(self, step):
        """Note which weights these are: another run can be held against them."""
        self.history.add(step, {"weights": digest(self.model)})

    def save(self, step):
        """Write the rows, then the checkpoint they belong to."""
        self.history.flush()
        self.state.save(step)

    def result(self):
        """How the phase stands."""
        best_step = int(self.state.best_step)
        return Result(
            step=int(self.state.step),
            skipped=int(self.state.skipped),
            best=float(self.state.best) if best_step else None,
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
