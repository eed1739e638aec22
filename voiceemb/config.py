"""Config of a speaker encoder: front end, network, training stages and data.

The fields are arguments of the functions they are named beside; `presets` has
instances. Imports neither TensorFlow nor Keras.
"""

from dataclasses import dataclass, field
from typing import Literal

from timbre.training.config import (
    CorpusConfig,
    OptimiserConfig,
    RunConfig,
    check_min,
    check_range,
)

MAX_MARGIN = 1.57  # below pi / 2


def check_margin(owner):
    """Checks `margin` and `margin_rise` of a config or a trainer."""
    check_range(owner, margin=(0, MAX_MARGIN))
    first, last = owner.margin_rise
    if not (0 <= first < last or first == last == 0):
        raise ValueError(
            "`margin_rise` must be two steps, the first before the last, or 0 0. "
            f"Received: {owner.margin_rise}"
        )


def check_speeds(speeds):
    """Checks ratios of speed, of a config or of records."""
    possible = [speed for speed in set(speeds) if 0.5 <= speed <= 2]
    if not speeds or len(possible) < len(speeds):
        rule = "`speeds` must be ratios from 0.5 to 2, each given once"
        raise ValueError(f"{rule}. Received: {speeds}")


@dataclass(frozen=True)
class FrontEndConfig:
    """Mel filterbank (`timbre.audio.filterbank.Filterbank`)."""

    sample_rate: int = 16000  # Hz
    window_s: float = 0.025
    hop_s: float = 0.01
    num_bands: int = 64
    fft_size: int = 512
    preemphasis: float = 0.97

    def __post_init__(self):
        check_min(self, sample_rate=4000, num_bands=1)


@dataclass(frozen=True)
class EncoderNetworkConfig:
    """The network and its front end (`voiceemb.networks.speaker_encoder.build`)."""

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
    front_end: FrontEndConfig = field(default_factory=FrontEndConfig)

    def __post_init__(self):
        check_min(self, num_blocks=0, embedding_dim=2)


@dataclass(frozen=True)
class SoftmaxConfig:
    """Stage one: classify the training speakers."""

    steps: int = 400  # 0 leaves the stage out
    batch: int = 64
    dropout: float = 0.5  # of the head `softmax` only
    head: Literal["softmax", "am", "aam"] = "softmax"  # without, or by which margin
    scale: float = 30.0  # of the cosines of a margin head; 30 and 32 are usual
    margin: float = 0.2  # a cosine for `am`, radians for `aam`
    margin_rise: tuple[int, int] = (0, 0)  # steps between which the margin rises from 0
    sub_centres: int = 1  # of each class; 3 is usual where labels may be wrong
    crop_frames: int | None = None  # of a crop in this stage; the run's by default
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)

    def __post_init__(self):
        check_min(self, steps=0, batch=1, scale=1e-6, sub_centres=1, crop_frames=10)
        check_range(self, dropout=(0, 1))
        check_margin(self)


@dataclass(frozen=True)
class TripletConfig:
    """Stage two: triplet loss."""

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
    crop_frames: int | None = None  # of a crop in this stage; the run's by default
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)

    def __post_init__(self):
        check_min(self, steps=0, batch=1, speakers=2, utterances=2, margin=1e-6)
        check_min(self, warm_up=0, crop_frames=10)


@dataclass(frozen=True)
class MetricConfig:
    """Stage three, left out by default: contrastive loss over a batch's speakers."""

    steps: int = 0
    contrast: Literal["ge2e", "prototypical", "supcon"] = "prototypical"
    speakers: int = 32  # in a batch: more make the choice harder
    utterances: int = 3  # of each
    temperature: float = 0.1  # the first one; supcon keeps it, the others learn theirs
    crop_frames: int | None = None  # of a crop in this stage; the run's by default
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)

    def __post_init__(self):
        check_min(self, steps=0, speakers=2, utterances=2, temperature=1e-6)
        check_min(self, crop_frames=10)


@dataclass(frozen=True)
class LargeMarginConfig:
    """Stage four, left out by default: large-margin fine-tuning.

    Its classes, their head and its scale are those of the softmax stage (Thienpondt et
    al., 2021, https://arxiv.org/abs/2010.11255).
    """

    steps: int = 0
    batch: int = 64
    margin: float = 0.5
    crop_frames: int | None = 600  # 6 s; none for the run's
    optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(learning_rate=1e-4, final_rate=2.5e-5)
    )

    def __post_init__(self):
        check_min(self, steps=0, batch=1, crop_frames=10)
        check_range(self, margin=(0, MAX_MARGIN))


@dataclass(frozen=True)
class CorruptionConfig:
    """Corruptions of training crops (`timbre.audio.augment.Augmenter`)."""

    noises: str = ""  # folder of noise recordings; without, noise of random colour
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


@dataclass(frozen=True)
class AugmentationConfig(CorruptionConfig):
    """Augmentation of training crops (`voiceemb.training.augmentation`)."""

    enabled: bool = False  # corruptions: waveforms are cached, features made each step
    # speed perturbation: each speaker at another speed is another class; needs no
    # `enabled`
    speeds: tuple[float, ...] = (1.0,)
    num_masks: int = 0  # of SpecAugment, over bands and over frames; needs no `enabled`

    def __post_init__(self):
        check_min(self, num_masks=0)
        check_speeds(self.speeds)


@dataclass(frozen=True, kw_only=True)
class SpeakerEncoderConfig(CorpusConfig, RunConfig):
    """Speaker encoder: softmax pre-training, then triplets, then what is given steps.

    Without `--corpus` the synthetic one is rendered.
    """

    name: str = "speaker_encoder"  # of the run, a folder below `runs`
    groups: str = "variant"  # manifest column whose values are never split
    held_out_corpora: tuple[str, ...] = ()  # they alone choose the best weights
    test_speakers: int = 20  # neither trained on nor used to choose
    closed_set_share: float = 0.1  # of training speakers' utterances kept for a test
    crop_frames: int = 160  # of a training crop and of a window later
    crop_lengths: tuple[int, ...] = ()  # of training crops, if several: one a batch
    balance: Literal["utterances", "speakers", "corpora"] = "utterances"  # even shares
    encoder: EncoderNetworkConfig = field(default_factory=EncoderNetworkConfig)
    softmax: SoftmaxConfig = field(default_factory=SoftmaxConfig)
    triplet: TripletConfig = field(default_factory=TripletConfig)
    metric: MetricConfig = field(default_factory=MetricConfig)
    large_margin: LargeMarginConfig = field(default_factory=LargeMarginConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)

    MAY_CHANGE = (*RunConfig.MAY_CHANGE, "corpus", "cache")
    RENAMED = {
        "kin": "groups",
        "apart": "held_out_corpora",
        "closed_share": "closed_set_share",
    }

    def __post_init__(self):
        super().__post_init__()
        check_min(self, validation_speakers=0, test_speakers=0, styles=0)
        check_min(self, crop_frames=10, crop_lengths=10)
        check_range(self, closed_set_share=(0, 1))
        named_by_margin = self.softmax.steps and self.softmax.head != "softmax"
        if self.large_margin.steps and not named_by_margin:
            raise ValueError(
                "`large_margin` continues the classes of a softmax stage that has a "
                "margin: give it steps and the head `am` or `aam`. Received: "
                f"{self.softmax.steps} steps of the head {self.softmax.head!r}"
            )

    def batch_sizes(self):
        sizes = {"softmax.batch": self.softmax, "large_margin.batch": self.large_margin}
        if self.triplet.strategy == "random":
            sizes["triplet.batch"] = self.triplet
        return {name: stage.batch for name, stage in sizes.items() if stage.steps}
