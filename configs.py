"""Every number of every experiment, as frozen dataclasses.

A preset is an instance; a command line replaces fields of it, and `config.json` in the
run folder holds the whole of it, so a model explains itself. This module imports
neither TensorFlow nor Keras.
"""

from dataclasses import dataclass, field, replace
from typing import Literal


def least(config, **limits):
    """Refuses a config whose fields are below their limits, with the field's name."""
    for name, limit in limits.items():
        value = getattr(config, name)
        if value is not None and not value >= limit:
            raise ValueError(
                f"`{name}` of {type(config).__name__} must be at least {limit}. "
                f"Received: {value}"
            )


@dataclass(frozen=True)
class FrontEnd:
    """How sound becomes mel energies (`audio.fbank.Filterbank`)."""

    sample_rate: int = 16000  # Hz
    window_s: float = 0.025
    hop_s: float = 0.01
    num_bands: int = 64
    fft_size: int = 512
    preemphasis: float = 0.97

    def __post_init__(self):
        least(self, sample_rate=4000, num_bands=1, fft_size=1, window_s=0, hop_s=1e-4)


@dataclass(frozen=True)
class Encoder:
    """The network and what it hears (`voiceemb.encoders.build`)."""

    network: Literal["rescnn", "gru"] = "rescnn"
    stages: tuple[int, ...] = (64, 128, 256)  # filters of each stage of ResCNN
    block: Literal["simple", "basic"] = "simple"
    num_blocks: int = 3
    filters: int = 64  # of the GRU network's convolution
    units: tuple[int, ...] = (1024, 1024, 1024)  # of its recurrent layers
    embedding_dim: int = 512
    weight_decay: float = 1e-5
    log: bool = True  # logarithm of the energies
    norm: Literal["frame", "utterance", "mean", "sliding", "none"] = "frame"
    front_end: FrontEnd = field(default_factory=FrontEnd)

    def __post_init__(self):
        least(self, num_blocks=0, filters=1, embedding_dim=2, weight_decay=0)


@dataclass(frozen=True)
class Optimiser:
    """How a phase takes its steps."""

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


@dataclass(frozen=True)
class Softmax:
    """Phase one: name the training speakers."""

    steps: int = 400  # 0 leaves the phase out
    batch: int = 64
    dropout: float = 0.5
    optimiser: Optimiser = field(default_factory=Optimiser)

    def __post_init__(self):
        least(self, steps=0, batch=1, dropout=0)
        if self.dropout >= 1:
            raise ValueError(f"`dropout` must be below 1. Received: {self.dropout}")


@dataclass(frozen=True)
class Triplet:
    """Phase two: learn distances."""

    steps: int = 400
    strategy: Literal["random", "semi_hard", "hard", "batch_hard", "batch_all"] = (
        "semi_hard"
    )
    batch: int = 32  # triplets, when strategy is random
    speakers: int = 24  # otherwise: speakers in a batch
    utterances: int = 4  # otherwise: utterances of each
    margin: float = 0.1
    reduction: Literal["sum_over_batch_size", "sum"] = "sum_over_batch_size"
    warm_up: int = 100  # steps until the strategy counts in full
    optimiser: Optimiser = field(default_factory=Optimiser)

    def __post_init__(self):
        least(self, steps=0, batch=1, speakers=2, utterances=2, margin=1e-6, warm_up=0)


@dataclass(frozen=True)
class Augmentation:
    """What may happen to a training crop (`audio.augment.Augmenter`)."""

    enabled: bool = False  # on: waveforms are cached and features made in each step
    noises: str = ""  # folder of noise recordings; without, noise of random colour
    num_masks: int = (
        0  # SpecAugment's stripes of bands, and of frames; needs no `enabled`
    )
    speed_probability: float = 0.0
    noise_probability: float = 0.5
    snr_db: tuple[float, float] = (5.0, 30.0)
    room_probability: float = 0.3
    rt60_s: tuple[float, float] = (0.1, 0.6)
    bandwidth_probability: float = 0.2
    codec_probability: float = 0.1
    gain_probability: float = 0.5
    gain_db: tuple[float, float] = (-10.0, 6.0)

    def __post_init__(self):
        least(self, num_masks=0)


@dataclass(frozen=True)
class Synthetic:
    """The default corpus (`corpora.synthetic`), for who has no recordings yet."""

    folder: str = "corpus/synthetic"
    num_speakers: int = 100
    utterances: int = 16
    seed: int = 0

    def __post_init__(self):
        least(self, num_speakers=2, utterances=2)


@dataclass(frozen=True)
class SpeakerEncoder:
    """Deep Speaker: softmax pre-training, then the cosine triplet loss.

    `--corpus` names folders of speakers or manifests; without one the synthetic
    corpus is rendered.
    """

    name: str = "speaker_encoder"  # of the run, a folder below `runs`
    corpus: tuple[str, ...] = ()  # folders or manifests; several are joined
    exclude_speakers: tuple[str, ...] = ()  # left out altogether
    synthetic: Synthetic = field(default_factory=Synthetic)
    runs: str = "runs"  # where runs lie side by side
    cache: str = "cache"  # where caches lie side by side
    kin: str = "variant"  # manifest column; who shares its value stays in one part
    validation_speakers: int = 16  # never trained on; they choose the best weights
    test_speakers: int = 20  # neither trained on nor used to choose
    closed_share: float = 0.1  # share of training speakers' utterances kept for a test
    crop_frames: int = 160  # of a training crop and of a window later
    encoder: Encoder = field(default_factory=Encoder)
    softmax: Softmax = field(default_factory=Softmax)
    triplet: Triplet = field(default_factory=Triplet)
    augmentation: Augmentation = field(default_factory=Augmentation)
    log_every: int = 20  # steps between rows of the history
    validate_every: int = 200  # steps between validations
    save_every: int = 200  # steps between checkpoints
    patience: int = 20  # steps without a finite gradient, in a row
    seed: int = 0  # of everything drawn
    policy: Literal["float32", "mixed_bfloat16", "mixed_float16"] = (
        "float32"  # of layers
    )
    jit_compile: bool = False  # XLA; slower on CPU
    strategy: Literal["default", "mirrored", "multiworker"] = "default"  # of devices

    def __post_init__(self):
        least(
            self,
            validation_speakers=0,
            test_speakers=0,
            closed_share=0,
            crop_frames=10,
            log_every=1,
            validate_every=1,
            save_every=1,
            patience=1,
        )
        if self.closed_share >= 1:
            raise ValueError(
                f"`closed_share` must be below 1. Received: {self.closed_share}"
            )
        if not self.name or self.name in (".", "..") or set(self.name) & set("/\\\0"):
            raise ValueError(
                f"`name` must name one folder below `runs`. Received: {self.name!r}"
            )


_tiny = SpeakerEncoder(
    name="tiny",
    encoder=Encoder(stages=(16, 32, 64), num_blocks=1, embedding_dim=128),
    softmax=Softmax(steps=300, dropout=0.2),
    triplet=Triplet(
        steps=200, speakers=16, utterances=4, optimiser=Optimiser(learning_rate=5e-4)
    ),
    validate_every=100,
    save_every=100,
)

_seed = SpeakerEncoder(
    # The original: raw energies normalised frame by frame, random triplets, their sum,
    # no first phase. Random triplets and no pre-training learn slowly and may collapse.
    name="seed",
    encoder=Encoder(log=False, norm="frame"),
    softmax=Softmax(steps=0),
    triplet=Triplet(
        steps=90_000,
        strategy="random",
        margin=0.2,
        reduction="sum",
        optimiser=Optimiser(decay="none"),
    ),
    validate_every=5000,
    save_every=1000,
)

_paper = SpeakerEncoder(
    # Deep Speaker (Li et al., 2017); the optimiser's numbers are from memory.
    name="paper",
    encoder=Encoder(stages=(64, 128, 256, 512), block="basic", norm="utterance"),
    softmax=Softmax(
        steps=100_000,
        optimiser=Optimiser("sgd", 0.05, 0.005, "linear", momentum=0.99),
    ),
    triplet=Triplet(
        steps=150_000,
        strategy="hard",
        speakers=32,
        utterances=2,
        optimiser=Optimiser("sgd", 0.05, 0.005, "linear", momentum=0.99),
    ),
    validate_every=5000,
    save_every=1000,
)

SPEAKER_ENCODERS = {
    "tiny": _tiny,
    "seed": _seed,
    "paper": _paper,
    "smoke": replace(
        _tiny,
        # A minute from end to end: shows that everything runs, not that it learns.
        name="smoke",
        synthetic=Synthetic("corpus/smoke", num_speakers=24, utterances=6),
        validation_speakers=4,
        test_speakers=4,
        encoder=Encoder(stages=(8, 16), num_blocks=1, embedding_dim=32),
        softmax=Softmax(steps=10, batch=16),
        triplet=Triplet(steps=10, speakers=4, utterances=3, warm_up=5),
        log_every=5,
        validate_every=10,
        save_every=10,
    ),
}
