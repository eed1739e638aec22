"""Configuration fields that all systems share.

The config of an experiment is one frozen dataclass that inherits `RunConfig` and holds
an `OptimiserConfig` for each training stage; `<system>/presets.py` has instances of it,
and `config.json` in a run folder all of its fields. The dataclass refuses values that
are not possible, before any work. Imports the standard library only.
"""

import dataclasses
import json
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


def check_min(config: typing.Any, **limits: float) -> None:
    """Check fields of a dataclass, numbers or tuples of them, against least values.

    Raises:
        ValueError: For the first field below its limit, or NaN; `None` never is.
    """
    for name, limit, value in find_below(config, limits):
        raise ValueError(
            f"`{name}` of {type(config).__name__} must be at least {limit}. "
            f"Received: {value}"
        )


def find_below(owner: typing.Any, limits: dict[str, float]) -> typing.Iterator[tuple]:
    """Name, limit and value of each attribute below its limit, or NaN."""
    for name, limit in limits.items():
        value = getattr(owner, name)
        numbers = value if isinstance(value, tuple) else (value,)
        if any(n is not None and not n >= limit for n in numbers):
            yield name, limit, value


def check_range(config: typing.Any, **limits: tuple[float, float]) -> None:
    """Check fields of a config against a least value and one they stay below."""
    for name, (low, high) in limits.items():
        value = getattr(config, name)
        if value is not None and not low <= value < high:
            raise ValueError(
                f"`{name}` of {type(config).__name__} must be at least {low} and below "
                f"{high}. Received: {value}"
            )


@dataclass(frozen=True)
class OptimiserConfig:
    """Optimiser of a training stage (`timbre.training.optimisers.build`)."""

    name: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 1e-3  # after warm-up
    final_rate: float = 1e-5  # reached at the last step
    decay: Literal["cosine", "linear", "none"] = "cosine"
    warm_up: int = 0  # steps in which the rate rises from zero
    momentum: float = 0.9  # of sgd
    clip_norm: float | None = None  # largest norm of all gradients together
    ema: float | None = None  # decay of the moving average of the weights
    ema_warm_up: bool = False  # a young average forgets sooner

    def __post_init__(self):
        check_min(self, learning_rate=1e-12, final_rate=0, warm_up=0, momentum=0)
        check_min(self, clip_norm=1e-9)
        check_range(self, ema=(0, 1))
        if self.ema_warm_up and self.ema is None:
            raise ValueError("`ema_warm_up` needs an average. Received: ema=None")


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """The training loop (`timbre.training.loop.fit`)."""

    log_every: int = 20  # steps between rows of the history
    validate_every: int = 200  # steps between validations, beside that of the last step
    save_every: int = 200  # steps between checkpoints
    patience: int = 20  # steps without a finite gradient, in a row
    stop_after: int | None = None  # steps of one session; the same command goes on
    jit_compile: bool = False  # XLA; slower on CPU

    def __post_init__(self):
        check_min(self, log_every=1, validate_every=1, save_every=1, patience=1)
        check_min(self, stop_after=1)


@dataclass(frozen=True, kw_only=True)
class RunConfig(LoopConfig):
    """Every experiment: its run folder, loop, seed and devices."""

    name: str  # of the run, a folder below `runs`
    runs: str = "runs"  # where runs lie side by side
    seed: int = 0  # of all random numbers
    # of layers
    policy: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    strategy: Literal["default", "mirrored", "multiworker"] = "default"  # of devices

    # Patterns of dotted fields that may differ when a run is resumed: where files lie
    # and when to stop. The data are compared by their digests.
    MAY_CHANGE = ("runs", "stop_after")
    RENAMED = {}  # fields of an older `config.json`, old name to new

    def __post_init__(self):
        super().__post_init__()
        if not self.name or self.name in (".", "..") or set(self.name) & set("/\\\0"):
            raise ValueError(
                f"`name` must name one folder below `runs`. Received: {self.name!r}"
            )

    def batch_sizes(self) -> dict[str, int]:
        """Rows of a global batch by the field that says so; replicas share each."""
        batch = getattr(self, "batch", None)
        return {} if batch is None else {"batch": batch}


@dataclass(frozen=True)
class SyntheticSpeechConfig:
    """Synthetic voices (`timbre.corpora.synthetic.render.render`)."""

    folder: str = "corpus/synthetic"
    num_speakers: int = 100
    utterances: int = 16
    clean: bool = False  # without rooms and noise: pauses are silent
    seed: int = 0

    def __post_init__(self):
        check_min(self, num_speakers=2, utterances=1)


@dataclass(frozen=True, kw_only=True)
class CorpusConfig:
    """A corpus of speech (`timbre.corpora.gather.gather`).

    Without `--corpus` the synthetic one is rendered.
    """

    corpus: tuple[str, ...] = ()  # folders of speakers or manifests; several are joined
    add_synthetic: bool = False  # to a corpus of recordings, synthetic voices
    styles: int = 0  # style-augmented copies of each recording
    exclude_speakers: tuple[str, ...] = ()  # left out altogether
    synthetic: SyntheticSpeechConfig = field(default_factory=SyntheticSpeechConfig)
    cache: str = "cache"  # where caches lie side by side
    validation_speakers: int = 16  # never trained on; they choose the best weights


def subset(config: typing.Any, kind: type) -> dict[str, typing.Any]:
    """The fields of a config that one of its parents declares, nested ones as dicts."""
    values = dataclasses.asdict(config)
    return {one.name: values[one.name] for one in dataclasses.fields(kind)}


def from_dict(kind: type, values: dict) -> typing.Any:
    """Build a config from the dict that `dataclasses.asdict` made of one.

    Args:
        kind: A dataclass, whose fields may be dataclasses; its `RENAMED` gives the
            present names of fields in older files.
        values: Values of JSON, nested as the dataclass; missing ones are the defaults.

    Raises:
        ValueError: If a field is not known, or its value is not possible.
    """
    hints, found = typing.get_type_hints(kind), {}
    names = {one.name for one in dataclasses.fields(kind)}
    for given, value in values.items():
        name = getattr(kind, "RENAMED", {}).get(given, given)
        if name not in names:
            raise ValueError(
                f"{kind.__name__} has no field `{given}`: the run was made by another "
                "version; finish it with that one, or start afresh (--fresh)"
            )
        if dataclasses.is_dataclass(hints[name]):
            value = from_dict(typing.cast(type, hints[name]), value)
        found[name] = tuple(value) if isinstance(value, list) else value
    return kind(**found)


def load(kind: type, run_folder: str | Path) -> typing.Any:
    """The config of a run folder, as an instance of its dataclass `kind`."""
    text = (Path(run_folder) / "config.json").read_text("utf-8")
    return from_dict(kind, json.loads(text)["config"])
