"""What a speaker encoder can be told: its config, from the sound to its lessons.

Frozen dataclasses whose fields are arguments of the functions they are named beside;
`configs.py` has the presets, and `timbre.training.config` what every run shares. Neither
TensorFlow nor Keras is imported.
"""

from dataclasses import dataclass, field
from typing import Literal

from timbre.training.config import Optimiser, Run, least


@dataclass(frozen=True)
class FrontEnd:
    """How sound becomes mel energies (`timbre.audio.filterbank.Filterbank`)."""

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
    """The network and what it hears (`voiceemb.networks.speaker_encoder.build`)."""

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
    """What may happen to a training crop (`timbre.audio.augment.Augmenter`)."""

    enabled: bool = False  # on: waveforms are cached and features made in each step
    # each other speed makes of each speaker another; needs no `enabled`
    speeds: tuple[float, ...] = (1.0,)
    noises: str = ""  # folder of noise recordings; without, noise of random colour
    # SpecAugment's stripes of bands, and of frames; needs no `enabled`
    num_masks: int = 0
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
    """The default corpus (`timbre.corpora.synthetic`), for who has no recordings yet."""

    folder: str = "corpus/synthetic"
    num_speakers: int = 100
    utterances: int = 16
    seed: int = 0

    def __post_init__(self):
        least(self, num_speakers=2, utterances=2)


@dataclass(frozen=True, kw_only=True)
class SpeakerEncoder(Run):
    """Deep Speaker: softmax pre-training, then the cosine triplet loss.

    `--corpus` names folders of speakers or manifests; without one the synthetic
    corpus is rendered.
    """

    name: str = "speaker_encoder"  # of the run, a folder below `runs`
    corpus: tuple[str, ...] = ()  # folders or manifests; several are joined
    add_synthetic: bool = False  # to a corpus of recordings, synthetic voices
    styles: int = 0  # retellings of each recording in other moods (`timbre.corpora.style_augmentation`)
    exclude_speakers: tuple[str, ...] = ()  # left out altogether
    synthetic: Synthetic = field(default_factory=Synthetic)
    cache: str = "cache"  # where caches lie side by side
    kin: str = "variant"  # manifest column; who shares its value stays in one part
    validation_speakers: int = 16  # never trained on; they choose the best weights
    # corpora of whom all choose the weights, and nobody else
    apart: tuple[str, ...] = ()
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

    def __post_init__(self):
        super().__post_init__()
        least(self, validation_speakers=0, test_speakers=0, closed_share=0)
        least(self, styles=0, crop_frames=10)
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
