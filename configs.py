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

    network: Literal["rescnn", "gru", "ecapa", "resnet"] = "rescnn"
    stages: tuple[int, ...] = (64, 128, 256)  # filters of each stage of ResCNN
    block: Literal["simple", "basic"] = "simple"
    num_blocks: int = 3
    filters: int = 64  # of the GRU network's convolution
    units: tuple[int, ...] = (1024, 1024, 1024)  # of its recurrent layers
    channels: int = 512  # of ECAPA-TDNN, a multiple of `scale`; the large one has 1024
    aggregation: int | None = None  # its pooled channels; 3 * channels, at most 1536
    scale: int = 8  # groups of its Res2 convolutions
    squeeze: int = 128  # width of its gates
    attention: int = 128  # width of its pooling's attention
    widths: tuple[int, ...] = (32, 64, 128, 256)  # filters of each stage of ResNet
    depths: tuple[int, ...] = (3, 4, 6, 3)  # its blocks in each stage
    first_stride: int = 1  # of its first convolution; 2 is about four times as quick
    embedding_dim: int = 512  # usual for ECAPA-TDNN is 192, for ResNet 256
    weight_decay: float = 1e-5
    log: bool = True  # logarithm of the energies
    norm: Literal["frame", "utterance", "mean", "sliding", "none"] = "frame"
    front_end: FrontEnd = field(default_factory=FrontEnd)

    def __post_init__(self):
        least(self, num_blocks=0, filters=1, embedding_dim=2, weight_decay=0)
        least(self, channels=1, aggregation=1, scale=2, squeeze=1, attention=1)
        least(self, first_stride=1)


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
    dropout: float = 0.5  # of the head `softmax` only
    head: Literal["softmax", "am", "aam"] = "softmax"  # without, or by which margin
    scale: float = 30.0  # of the cosines of a margin head; 30 and 32 are usual
    margin: float = 0.2  # a cosine for `am`, radians for `aam`
    margin_rise: tuple[int, int] = (0, 0)  # steps between which the margin rises from 0
    sub_centres: int = 1  # of each class; 3 is usual where labels may be wrong
    crop_frames: int | None = None  # of a crop in this phase, if not the run's
    optimiser: Optimiser = field(default_factory=Optimiser)

    def __post_init__(self):
        least(self, steps=0, batch=1, dropout=0, scale=1e-6, margin=0, sub_centres=1)
        least(self, crop_frames=10)
        if self.dropout >= 1:
            raise ValueError(f"`dropout` must be below 1. Received: {self.dropout}")
        if self.margin >= 1.57:
            raise ValueError(
                f"`margin` of Softmax must be below pi / 2. Received: {self.margin}"
            )
        first, last = self.margin_rise
        if not (0 <= first < last or first == last == 0):
            raise ValueError(
                "`margin_rise` must be two steps, the first before the last, or 0 0. "
                f"Received: {self.margin_rise}"
            )


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
    crop_frames: int | None = None  # of a crop in this phase, if not the run's
    optimiser: Optimiser = field(default_factory=Optimiser)

    def __post_init__(self):
        least(self, steps=0, batch=1, speakers=2, utterances=2, margin=1e-6, warm_up=0)
        least(self, crop_frames=10)


@dataclass(frozen=True)
class Metric:
    """Phase three, left out by default: choose among the speakers of a batch."""

    steps: int = 0
    contrast: Literal["ge2e", "prototypical", "supcon"] = "prototypical"
    speakers: int = 32  # in a batch: more make the choice harder
    utterances: int = 3  # of each
    temperature: float = 0.1  # the first one; supcon keeps it, the others learn theirs
    crop_frames: int | None = None  # of a crop in this phase, if not the run's
    optimiser: Optimiser = field(default_factory=Optimiser)

    def __post_init__(self):
        least(self, steps=0, speakers=2, utterances=2, temperature=1e-6)
        least(self, crop_frames=10)


@dataclass(frozen=True)
class LargeMargin:
    """Phase four, left out by default: name the speakers by a larger margin.

    Long crops and a small rate; the classes, their head and its scale are those of
    the softmax phase (Thienpondt et al., 2021, https://arxiv.org/abs/2010.11255).
    """

    steps: int = 0
    batch: int = 64
    margin: float = 0.5
    crop_frames: int | None = 600  # 6 s; none for the run's
    optimiser: Optimiser = field(
        default_factory=lambda: Optimiser(learning_rate=1e-4, final_rate=2.5e-5)
    )

    def __post_init__(self):
        least(self, steps=0, batch=1, margin=0, crop_frames=10)
        if self.margin >= 1.57:
            raise ValueError(
                f"`margin` of LargeMargin must be below pi / 2. Received: {self.margin}"
            )


@dataclass(frozen=True)
class Augmentation:
    """What may happen to a training crop (`audio.augment.Augmenter`)."""

    enabled: bool = False  # on: waveforms are cached and features made in each step
    speeds: tuple[float, ...] = (
        1.0,  # each other speed makes of each speaker another; needs no `enabled`
    )
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
    equaliser_probability: float = 0.0  # a microphone of random colour
    equaliser_db: float = 8.0  # its largest gain and loss
    gain_probability: float = 0.5
    gain_db: tuple[float, float] = (-10.0, 6.0)

    def __post_init__(self):
        least(self, num_masks=0)
        low, high = min(self.speeds, default=0), max(self.speeds, default=0)
        if not 0.5 <= low <= high <= 2 or len(set(self.speeds)) < len(self.speeds):
            raise ValueError(
                "`speeds` must be ratios from 0.5 to 2, each given once. "
                f"Received: {self.speeds}"
            )


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
    add_synthetic: bool = False  # to a corpus of recordings, synthetic voices
    styles: int = 0  # retellings of each recording in other moods (`corpora.styles`)
    exclude_speakers: tuple[str, ...] = ()  # left out altogether
    synthetic: Synthetic = field(default_factory=Synthetic)
    runs: str = "runs"  # where runs lie side by side
    cache: str = "cache"  # where caches lie side by side
    kin: str = "variant"  # manifest column; who shares its value stays in one part
    validation_speakers: int = 16  # never trained on; they choose the best weights
    apart: tuple[
        str, ...
    ] = ()  # corpora of whom all choose the weights, and nobody else
    test_speakers: int = 20  # neither trained on nor used to choose
    closed_share: float = 0.1  # share of training speakers' utterances kept for a test
    crop_frames: int = 160  # of a training crop and of a window later
    crop_lengths: tuple[int, ...] = ()  # of training crops, if several: one a batch
    balance: Literal["utterances", "speakers", "corpora"] = "utterances"  # even shares
    encoder: Encoder = field(default_factory=Encoder)
    softmax: Softmax = field(default_factory=Softmax)
    triplet: Triplet = field(default_factory=Triplet)
    metric: Metric = field(default_factory=Metric)
    large_margin: LargeMargin = field(default_factory=LargeMargin)
    augmentation: Augmentation = field(default_factory=Augmentation)
    log_every: int = 20  # steps between rows of the history
    validate_every: int = 200  # steps between validations
    save_every: int = 200  # steps between checkpoints
    patience: int = 20  # steps without a finite gradient, in a row
    stop_after: int | None = None  # steps of one sitting; the same command goes on
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
            styles=0,
            test_speakers=0,
            closed_share=0,
            crop_frames=10,
            log_every=1,
            validate_every=1,
            save_every=1,
            patience=1,
            stop_after=1,
        )
        if min(self.crop_lengths, default=10) < 10:
            raise ValueError(
                "`crop_lengths` of SpeakerEncoder must be at least 10. "
                f"Received: {self.crop_lengths}"
            )
        if self.closed_share >= 1:
            raise ValueError(
                f"`closed_share` must be below 1. Received: {self.closed_share}"
            )
        named_by_margin = self.softmax.steps and self.softmax.head != "softmax"
        if self.large_margin.steps and not named_by_margin:
            raise ValueError(
                "`large_margin` goes on with the classes of a softmax phase that has a "
                "margin: give it steps and the head `am` or `aam`. Received: "
                f"{self.softmax.steps} steps of the head {self.softmax.head!r}"
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

_small = SpeakerEncoder(
    # One of three that make the encoder that comes with the package (`train_small.py`):
    # every recording said again in eight moods, in other rooms and noises.
    name="small-margin",
    styles=8,
    test_speakers=0,
    closed_share=0.0,
    crop_frames=300,
    crop_lengths=(120, 160, 200),
    balance="speakers",
    encoder=Encoder(stages=(16, 32, 64, 128), num_blocks=1, embedding_dim=128),
    softmax=Softmax(
        steps=4000,
        head="aam",
        margin_rise=(0, 1600),
        optimiser=Optimiser(
            learning_rate=2e-3, final_rate=1e-6, warm_up=200, clip_norm=5.0, ema=0.998
        ),
    ),
    triplet=Triplet(steps=0),
    augmentation=Augmentation(enabled=True, num_masks=1),
    validate_every=500,
)
_smaller = replace(
    _small,
    name="small-speeds",
    crop_lengths=(160,),
    encoder=replace(_small.encoder, stages=(16, 32, 64)),
    softmax=replace(
        _small.softmax,
        steps=1500,
        margin_rise=(0, 600),
        optimiser=replace(_small.softmax.optimiser, warm_up=100, ema=0.99),
    ),
)

SPEAKER_ENCODERS = {
    "tiny": _tiny,
    "small-names": replace(
        _smaller,
        name="small-names",
        softmax=replace(_smaller.softmax, head="softmax", dropout=0.2),
    ),
    "small-margin": _small,
    "small-speeds": replace(
        _smaller,
        augmentation=replace(_small.augmentation, speeds=(1.0, 0.9, 1.1)),
    ),
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
