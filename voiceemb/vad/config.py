"""Config of voice activity detection: the network and the mixtures it is trained on.

`presets` has instances, `timbre.training.config` the fields that all systems share.
Imports neither TensorFlow nor Keras.
"""

from dataclasses import dataclass, field

from timbre.training.config import (
    CorpusConfig,
    OptimiserConfig,
    RunConfig,
    SyntheticSpeechConfig,
    check_min,
)

SHARES = ("silent", "clean", "babble", "room", "equaliser", "bandwidth", "codec")


@dataclass(frozen=True)
class VadNetworkConfig:
    """The network (`voiceemb.vad.network.ActivityNetwork`)."""

    bands: int = 40  # mel bands
    filters: int = 64  # of each of its two convolutions
    kernel: int = 5  # frames that a convolution sees
    units: int = 64  # of its recurrent layer and of the one after it
    ahead: int = 5  # look-ahead in frames

    def __post_init__(self):
        check_min(self, bands=1, filters=1, kernel=2, units=1, ahead=0)


@dataclass(frozen=True)
class MixtureConfig:
    """Simulated mixtures of speech and noise (`voiceemb.vad.simulation`)."""

    seconds: float = 5.0
    noises: int = 300  # synthesised before training (`voiceemb.vad.noise_synthesis`)
    snr_db: tuple[float, float] = (-5.0, 30.0)  # of speech, pauses left out
    silent: float = 0.15  # share of mixtures in which nobody speaks
    clean: float = 0.1  # share of the others that have no noise
    babble: float = 0.15  # share of the rest whose noise is other people
    room: float = 0.3  # share in which the voice stands in a room
    equaliser: float = 0.5  # share with a microphone of random colour
    bandwidth: float = 0.15  # share with a narrow band
    codec: float = 0.1  # share with a coarse code
    gain_db: tuple[float, float] = (-30.0, 5.0)  # of all

    def __post_init__(self):
        check_min(self, seconds=1, noises=1)
        for name in SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f"`{name}` of MixtureConfig is a share, from 0 to 1. "
                    f"Received: {getattr(self, name)}"
                )
        for name in ("snr_db", "gain_db"):
            low, high = getattr(self, name)
            if not low <= high:
                raise ValueError(
                    f"`{name}` of MixtureConfig goes from low to high. "
                    f"Received: {low}, {high}"
                )


@dataclass(frozen=True, kw_only=True)
class VadConfig(CorpusConfig, RunConfig):
    """Voice activity detection by a small network.

    `--corpus` names folders of speakers or manifests; without one the synthetic
    corpus is rendered.
    """

    name: str = "activity"  # of the run, a folder below `runs`
    synthetic: SyntheticSpeechConfig = field(
        default_factory=lambda: SyntheticSpeechConfig(
            folder="corpus/activity", num_speakers=40, utterances=4, clean=True
        )
    )
    validation_mixtures: int = 128
    network: VadNetworkConfig = field(default_factory=VadNetworkConfig)
    mixtures: MixtureConfig = field(default_factory=MixtureConfig)
    steps: int = 1000
    batch: int = 32  # mixtures of a step
    optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(
            learning_rate=2e-3, final_rate=1e-5, warm_up=50, clip_norm=1.0, ema=0.99
        )
    )

    MAY_CHANGE = (*RunConfig.MAY_CHANGE, "corpus", "cache")
    RENAMED = {"scenes": "mixtures", "validation_scenes": "validation_mixtures"}

    def __post_init__(self):
        super().__post_init__()
        check_min(self, validation_speakers=1, validation_mixtures=1, steps=1, batch=1)
        check_min(self, styles=0)
