"""What a diffusion over speaker embeddings can be told; presets are in `configs.py`.

Imports neither TensorFlow nor Keras.
"""

from dataclasses import dataclass, field
from typing import Literal

from timbre.training import config
from timbre.training.config import least


@dataclass(frozen=True)
class Optimiser(config.Optimiser):
    """How it takes its steps; averages are what is saved, sampled and served."""

    learning_rate: float = 1.5e-3  # after warm-up
    final_rate: float = 0.0
    warm_up: int = 100
    clip_norm: float | None = 1.0
    ema: float | None = 0.999
    ema_warm_up: bool = True  # a young average forgets sooner


@dataclass(frozen=True)
class Network:
    """What predicts (`diffusion.networks.registry.build`)."""

    network: Literal["resmlp", "linear", "unet1d"] = "resmlp"
    width: int = 512  # of resmlp
    num_blocks: int = 4  # of resmlp
    dropout: float = 0.0  # of resmlp
    channels: tuple[int, ...] = (32, 64, 128, 128)  # of unet1d, halving the length
    squeeze_excitation: bool = False  # gates of unet1d

    def __post_init__(self):
        least(self, width=1, num_blocks=1, dropout=0)


@dataclass(frozen=True)
class Schedule:
    """How fast a clean sample drowns (`diffusion.schedules.build`)."""

    name: Literal["cosine", "linear", "quad", "sigmoid", "constant", "karras"] = (
        "cosine"
    )
    steps: int = 1000
    start: float | None = None  # first beta; each schedule has its own default
    end: float | None = None  # last beta
    zero_terminal_snr: bool = False

    def __post_init__(self):
        least(self, steps=1, start=0, end=0)


@dataclass(frozen=True)
class Sampling:
    """How voices are drawn (`diffusion.samplers`)."""

    sampler: Literal["ddim", "ddpm", "heun", "dpm_solver", "unipc"] = "dpm_solver"
    steps: int = 20  # network calls, twice as many by heun
    spacing: Literal["trailing", "leading", "linspace"] = "linspace"
    eta: float = 0.0  # of ddim: 0 draws no noise on the way, 1 as much as ddpm
    variance: Literal["posterior", "beta"] = "posterior"  # of ddpm
    clip: float | None = None  # bound on clean estimates, scaled

    def __post_init__(self):
        least(self, steps=1, eta=0, clip=1e-6)


@dataclass(frozen=True)
class Points:
    """Voices made of numbers (`timbre.corpora.synthetic.embeddings`), where no set is named."""

    speakers: int = 5000
    utterances: int = 1  # of each
    seed: int = 0

    def __post_init__(self):
        least(self, speakers=2, utterances=1)


@dataclass(frozen=True, kw_only=True)
class SpeakerDiffusion(config.Run):
    """A diffusion over speaker embeddings (`train_diffusion.py speakers`)."""

    name: str = "speakers"
    set: str = ""  # an embedding set (.npz); without, made-up points
    points: Points = field(default_factory=Points)
    level: Literal["speaker", "utterance"] = "speaker"  # what one voice is
    held: float = 0.2  # share of the speakers kept for the report
    labels: tuple[str, ...] = ()  # columns of the set that can be asked for
    scaling: Literal["standardise", "whiten", "none"] = "standardise"
    blocks: tuple[int, ...] = ()  # parts of a concatenation, scaled apart: 192 512
    sphere: Literal["auto", "yes", "no"] = "auto"  # whether voices have length 1
    network: Network = field(default_factory=Network)
    schedule: Schedule = field(default_factory=Schedule)
    prediction: Literal["velocity", "clean", "noise"] = "velocity"
    weighting: Literal["plain", "min_snr", "p2"] = "plain"
    label_dropout: float = 0.1  # how often a label is hidden in training
    steps: int = 3500  # later voices come too near to those learned from
    batch: int = 256
    optimiser: Optimiser = field(default_factory=Optimiser)
    sampling: Sampling = field(default_factory=Sampling)
    log_every: int = 100
    validate_every: int = 1000
    save_every: int = 1000

    def __post_init__(self):
        super().__post_init__()
        least(self, steps=1, batch=1, held=0, label_dropout=0)
        if not 0 < self.held < 1 or self.label_dropout > 1:
            raise ValueError(
                "`held` must be between 0 and 1, and `label_dropout` at most 1. "
                f"Received: {self.held} and {self.label_dropout}"
            )
