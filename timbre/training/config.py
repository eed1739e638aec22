"""What every training can be told: the part of a config that all systems share.

A system's config is a frozen dataclass that inherits `Run` and holds an `Optimiser`
for each of its phases; `configs.py` has the presets. A number that can not be is
refused where it is written, before any work. Imports nothing.
"""

from dataclasses import dataclass
from typing import Literal


def least(config, **limits):
    """Refuses a config whose fields are below their limits, with the field's name.

    Args:
        config: A dataclass.
        **limits: Least value of each field; a field that is `None` has none.

    Raises:
        ValueError: For the first field below its limit, or not a number.
    """
    for name, limit in limits.items():
        value = getattr(config, name)
        if value is not None and not value >= limit:
            raise ValueError(
                f"`{name}` of {type(config).__name__} must be at least {limit}. "
                f"Received: {value}"
            )


@dataclass(frozen=True)
class Optimiser:
    """How a phase takes its steps (`timbre.training.optimisers.build`)."""

    name: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 1e-3  # after warm-up
    final_rate: float = 1e-5  # reached at the last step
    decay: Literal["cosine", "linear", "none"] = "cosine"
    warm_up: int = 0  # steps in which the rate rises from zero
    momentum: float = 0.9  # of sgd
    clip_norm: float | None = None  # largest norm of all gradients together
    ema: float | None = None  # decay of the moving average of the weights

    def __post_init__(self):
        least(self, final_rate=0, warm_up=0, momentum=0, clip_norm=1e-9, ema=0)
        if self.learning_rate <= 0 or (self.ema or 0) >= 1:
            raise ValueError(
                "`learning_rate` must be above 0 and `ema` below 1. "
                f"Received: {self.learning_rate} and {self.ema}"
            )


@dataclass(frozen=True, kw_only=True)
class Run:
    """What every run is told, whatever it trains (`timbre.training.loop`, `timbre.training.run`)."""

    name: str  # of the run, a folder below `runs`
    runs: str = "runs"  # where runs lie side by side
    log_every: int = 20  # steps between rows of the history
    validate_every: int = 200  # steps between validations
    save_every: int = 200  # steps between checkpoints
    patience: int = 20  # steps without a finite gradient, in a row
    stop_after: int | None = None  # steps of one sitting; the same command goes on
    seed: int = 0  # of everything drawn
    # of layers
    policy: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    jit_compile: bool = False  # XLA; slower on CPU
    strategy: Literal["default", "mirrored", "multiworker"] = "default"  # of devices

    def __post_init__(self):
        least(self, log_every=1, validate_every=1, save_every=1, patience=1)
        least(self, stop_after=1)
        if not self.name or self.name in (".", "..") or set(self.name) & set("/\\\0"):
            raise ValueError(
                f"`name` must name one folder below `runs`. Received: {self.name!r}"
            )
