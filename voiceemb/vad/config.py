"""What a detector of speech can be told: its network, its lessons and their sounds.

Frozen dataclasses whose fields are arguments of the functions they are named beside;
`configs.py` has the presets, and `timbre.training.config` what every run shares. Neither
TensorFlow nor Keras is imported.
"""

from dataclasses import dataclass, field

from timbre.training.config import Optimiser, Run, least

SHARES = ("silent", "clean", "babble", "room", "equaliser", "bandwidth", "codec")


@dataclass(frozen=True)
class Network:
    """How a frame is judged (`voiceemb.vad.network.ActivityNetwork`)."""

    bands: int = 40  # mel bands
    filters: int = 64  # of each of its two convolutions
    kernel: int = 5  # frames that a convolution sees
    units: int = 64  # of its recurrent layer and of the one after it
    ahead: int = 5  # frames of the future that a judgement waits for

    def __post_init__(self):
        least(self, bands=1, filters=1, kernel=2, units=1, ahead=0)


@dataclass(frozen=True)
class Scenes:
    """Arguments of `voiceemb.vad.simulation.MixtureSimulator`."""

    seconds: float = 5.0
    noises: int = (
        300  # sounds made up before training, see `voiceemb.vad.noise_synthesis`
    )
    snr_db: tuple[float, float] = (-5.0, 30.0)  # of speech, pauses left out
    silent: float = 0.15  # share of scenes in which nobody speaks
    clean: float = 0.1  # share of the others that have no noise
    babble: float = 0.15  # share of the rest whose noise is other people
    room: float = 0.3  # share in which the voice stands in a room
    equaliser: float = 0.5  # share with a microphone of random colour
    bandwidth: float = 0.15  # share with a narrow band
    codec: float = 0.1  # share with a coarse code
    gain_db: tuple[float, float] = (-30.0, 5.0)  # of all

    def __post_init__(self):
        least(self, seconds=1, noises=1)
        for name in SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f"`{name}` of Scenes is a share, from 0 to 1. "
                    f"Received: {getattr(self, name)}"
                )
        for name in ("snr_db", "gain_db"):
            low, high = getattr(self, name)
            if not low <= high:
                raise ValueError(
                    f"`{name}` of Scenes goes from low to high. Received: {low}, {high}"
                )


@dataclass(frozen=True)
class Synthetic:
    """The default corpus (`timbre.corpora.synthetic`), for who has no recordings yet."""

    folder: str = "corpus/activity"
    num_speakers: int = 40
    utterances: int = 4
    clean: bool = True  # its pauses are silent, so what is speech is known
    seed: int = 0

    def __post_init__(self):
        least(self, num_speakers=2, utterances=1)


@dataclass(frozen=True, kw_only=True)
class ActivityDetector(Run):
    """A small network that hears when anybody speaks.

    `--corpus` names folders of speakers or manifests; without one the synthetic
    corpus is rendered.
    """

    name: str = "activity"  # of the run, a folder below `runs`
    corpus: tuple[str, ...] = ()  # folders or manifests; several are joined
    exclude_speakers: tuple[str, ...] = ()  # left out altogether
    add_synthetic: bool = False  # to a corpus of recordings, synthetic voices
    synthetic: Synthetic = field(default_factory=Synthetic)
    styles: int = 0  # retellings of each recording in other moods (`timbre.corpora.style_augmentation`)
    cache: str = "cache"  # where retellings lie side by side
    validation_speakers: int = 16  # never trained on; they choose the best weights
    validation_scenes: int = 128
    network: Network = field(default_factory=Network)
    scenes: Scenes = field(default_factory=Scenes)
    steps: int = 1000
    batch: int = 32  # scenes of a step
    optimiser: Optimiser = field(
        default_factory=lambda: Optimiser(
            learning_rate=2e-3, final_rate=1e-5, warm_up=50, clip_norm=1.0, ema=0.99
        )
    )

    def __post_init__(self):
        super().__post_init__()
        least(self, validation_speakers=1, validation_scenes=1, steps=1, batch=1)
        least(self, styles=0)
