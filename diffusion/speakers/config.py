"""Config of a diffusion model over speaker embeddings; `presets` has instances.

Imports neither TensorFlow nor Keras.
"""

from dataclasses import dataclass, field
from typing import Literal

from timbre.training.config import OptimiserConfig, RunConfig, check_min


@dataclass(frozen=True)
class DenoiserConfig:
    """The network (`diffusion.networks.registry.build`)."""

    network: Literal["resmlp", "linear", "unet1d"] = "resmlp"
    width: int = 512  # of resmlp
    num_blocks: int = 4  # of resmlp
    dropout: float = 0.0  # of resmlp
    channels: tuple[int, ...] = (32, 64, 128, 128)  # of unet1d, halving the length
    squeeze_excitation: bool = False  # gates of unet1d


@dataclass(frozen=True)
class ScheduleConfig:
    """The noise schedule (`diffusion.schedules.build`)."""

    name: Literal["cosine", "linear", "quad", "sigmoid", "constant", "karras"] = (
        "cosine"
    )
    steps: int = 1000
    start: float | None = None  # first beta; each schedule has its own default
    end: float | None = None  # last beta
    zero_terminal_snr: bool = False


@dataclass(frozen=True)
class SamplingConfig:
    """The sampler (`diffusion.samplers`)."""

    sampler: Literal["ddim", "ddpm", "heun", "dpm_solver", "unipc"] = "dpm_solver"
    steps: int = 20  # network calls, twice as many by heun
    spacing: Literal["trailing", "leading", "linspace"] = "linspace"
    eta: float = 0.0  # of ddim: 0 draws no noise on the way, 1 as much as ddpm
    variance: Literal["posterior", "beta"] = "posterior"  # of ddpm
    clip: float | None = None  # bound on clean estimates, scaled

    def __post_init__(self):
        check_min(self, steps=1, eta=0, clip=1e-6)


@dataclass(frozen=True)
class SyntheticEmbeddingsConfig:
    """Synthetic embeddings, used where no set is named."""

    speakers: int = 5000
    utterances: int = 1  # of each
    seed: int = 0

    def __post_init__(self):
        check_min(self, speakers=2, utterances=1)


@dataclass(frozen=True, kw_only=True)
class DiffusionModelConfig:
    """What the model is built from (`diffusion.speakers.model`)."""

    network: DenoiserConfig = field(default_factory=DenoiserConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    prediction: Literal["velocity", "clean", "noise"] = "velocity"
    weighting: Literal["plain", "min_snr", "p2"] = "plain"
    label_dropout: float = 0.1  # how often a label is hidden in training
    scaling: Literal["standardise", "whiten", "none"] = "standardise"
    blocks: tuple[int, ...] = ()  # parts of a concatenation, scaled apart: 192 512


@dataclass(frozen=True, kw_only=True)
class SpeakerDiffusionConfig(DiffusionModelConfig, RunConfig):
    """A diffusion model over speaker embeddings."""

    name: str = "speakers"
    set: str = ""  # an embedding set (.npz); without, synthetic embeddings
    synthetic: SyntheticEmbeddingsConfig = field(
        default_factory=SyntheticEmbeddingsConfig
    )
    level: Literal["speaker", "utterance"] = "speaker"  # what one voice is
    held_out: float = 0.2  # share of the speakers kept for the report
    labels: tuple[str, ...] = ()  # columns of the set that can be asked for
    sphere: Literal["auto", "yes", "no"] = "auto"  # whether voices have length 1
    steps: int = 3500  # later voices come too near to those learned from
    batch: int = 256
    optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(
            learning_rate=1.5e-3,
            final_rate=0.0,
            warm_up=100,
            clip_norm=1.0,
            ema=0.999,  # averages are what is saved, sampled and served
            ema_warm_up=True,
        )
    )
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    log_every: int = 100
    validate_every: int = 1000
    save_every: int = 1000

    MAY_CHANGE = (*RunConfig.MAY_CHANGE, "set", "sampling.*")
    RENAMED = {"points": "synthetic", "held": "held_out"}

    def __post_init__(self):
        super().__post_init__()
        check_min(self, steps=1, batch=1)
        if not 0 < self.held_out < 1:
            raise ValueError(
                f"`held_out` must be between 0 and 1. Received: {self.held_out}"
            )
