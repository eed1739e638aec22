"""Config of flows on speech; `presets` has instances.

Imports neither TensorFlow nor Keras.
"""

from dataclasses import dataclass, field
from typing import Literal

from timbre.training.config import OptimiserConfig, RunConfig, check_min


@dataclass(frozen=True)
class SegmentConfig:
    """Segments around phones and their features (`flows.segments.segmentation`)."""

    frames: int = 20
    # mel bands, 40 by default; bins of a linear spectrum, 200; 16 of made-up spectra
    bands: int | None = None
    spectrum: Literal["mel", "linear"] = "mel"
    hop_s: float = 0.01
    high_hz: float | None = None  # end of the highest mel band; half the rate
    # what is shorter takes in what is around its middle, is filled up with its quietest
    # number, or with itself; or everything is stretched to one length
    fit: Literal["centre", "pad", "repeat", "stretch"] = "centre"

    def __post_init__(self):
        check_min(self, frames=1, bands=1, hop_s=1e-4)


@dataclass(frozen=True)
class FlowDataConfig:
    """Data and its splits (`flows.data`)."""

    # `synthetic`: the default corpus; `spectra`: made-up spectra without sound;
    # `segments`: a segments.csv; `timit`: its folder; `manifest`: whole utterances
    # with labels in columns; `embeddings`: an embedding set (.npz)
    source: Literal[
        "synthetic", "spectra", "segments", "timit", "manifest", "embeddings"
    ] = "synthetic"
    path: str = ""  # of the source, where it has one
    factors: tuple[str, ...] = ("phone", "speaker")  # columns of labels
    speakers: int = 24  # of the two that are made up
    utterances: int = 30  # of each synthetic speaker
    rows: int = 40_000  # most segments to keep, sampled at random
    classes: int = 40  # most classes of a factor; those with most rows stay
    min_rows: int = 20  # classes with fewer are left out
    valid: float = 0.1  # share of the recordings by which weights are chosen
    test: float = 0.15  # share of the recordings kept for the report
    unseen: float = 0.1  # share of the speakers kept for the report
    missing: float = 0.0  # share of the labels hidden from learning
    corpus: str = "corpus/flows"  # folder of the synthetic corpus
    clean: bool = True  # synthetic recordings without rooms, noise and microphones
    fold: bool = True  # similar phones are one class, TIMIT's 61 become 39
    cache: str = "cache/flows"  # folder of the features
    seed: int = 0  # of what is made up

    RENAMED = {"least_rows": "min_rows"}

    def __post_init__(self):
        check_min(self, speakers=2, utterances=1, rows=1, classes=2, min_rows=1)
        check_min(self, valid=0, test=0, unseen=0, missing=0)
        shares = (self.valid + self.test, self.unseen, self.missing)
        if max(shares) >= 1 or not self.valid or not self.test:
            raise ValueError(
                "`valid` and `test` must be above 0 and below 1 together, `unseen` and "
                f"`missing` below 1. Received: {self}"
            )
        if not self.factors or len(set(self.factors)) < len(self.factors):
            raise ValueError(
                f"`factors` must name columns, each once. Received: {self.factors}"
            )


@dataclass(frozen=True)
class BackboneConfig:
    """The bijectors (`flows.bijectors.backbones.build`)."""

    name: Literal["realnvp", "spline", "maf", "iaf", "maf-plain"] = "realnvp"
    steps: int = 4
    hidden: int = 256
    depth: int = 2  # hidden layers of a coupling
    mixing: Literal["permutation", "linear", "reverse"] = "linear"
    bound: float = 2.0  # of log-scales
    num_bins: int = 8  # of spline
    tail: float = 5.0  # of spline: beyond it the identity

    def __post_init__(self):
        check_min(self, steps=1, hidden=1, depth=1, bound=1e-3, num_bins=2, tail=1e-3)


@dataclass(frozen=True)
class VaeConfig:
    """The baseline without a flow (`flows.models.vae.VAE`)."""

    latent: int = 64
    hidden: int = 256
    depth: int = 2
    beta: float = 1.0  # weight of the divergence
    deviation: float | None = None  # of the decoder; `None` learns one

    def __post_init__(self):
        check_min(self, latent=1, hidden=1, depth=1, beta=0, deviation=1e-6)


@dataclass(frozen=True, kw_only=True)
class FlowModelConfig:
    """What every model of a run is built from (`flows.models.registry.build`)."""

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    vae: VaeConfig = field(default_factory=VaeConfig)
    # of the factors' parts; where none are given one fewer than classes each
    dims: tuple[int, ...] = ()
    residual: int | None = None  # dimensions of no factor; the rest by default
    variance: Literal["unit", "shared", "class"] = "unit"  # of a class
    label_dropout: float = 0.0  # how often a label is hidden in training
    ce_weight: float = 0.0  # of the classes' cross-entropy
    cross_penalty: float = 0.0  # on what a part tells of other factors
    jitter: float = 0.1  # noise added in training, in deviations of the data


@dataclass(frozen=True, kw_only=True)
class SpeechFlowConfig(FlowModelConfig, RunConfig):
    """VAE, flow, discriminative flow and factorial flow on speech."""

    name: str = "flow"
    models: tuple[Literal["vae", "nf", "dnf", "fdnf"], ...] = (
        "vae",
        "nf",
        "dnf",  # one for each factor
        "fdnf",
    )
    data: FlowDataConfig = field(default_factory=FlowDataConfig)
    segment: SegmentConfig = field(default_factory=SegmentConfig)
    steps: int = 1600
    batch: int = 256
    optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(
            learning_rate=2e-3, final_rate=0.0, clip_norm=5.0
        )
    )
    pairs: int = 20_000  # of a segment and a wrong class, manipulated for the report
    log_every: int = 50
    validate_every: int = 250
    save_every: int = 500

    MAY_CHANGE = (
        *RunConfig.MAY_CHANGE,
        "pairs",
        "data.path",
        "data.cache",
        "data.corpus",
    )

    def __post_init__(self):
        super().__post_init__()
        check_min(self, residual=0, label_dropout=0, ce_weight=0, cross_penalty=0)
        check_min(self, jitter=0, steps=1, batch=1, pairs=1)
        if not self.models or len(set(self.models)) < len(self.models):
            raise ValueError(
                f"`models` must name models, each once. Received: {self.models}"
            )
        if self.dims and len(self.dims) != len(self.data.factors):
            raise ValueError(
                "`dims` must have one number for each of `data.factors`. "
                f"Received: {self.dims} for {self.data.factors}; `--dims` with nothing "
                "behind it is one fewer than classes each"
            )
