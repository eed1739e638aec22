"""Every experiment by its name: presets, instances of each system's own config.

A system's config stands beside the system (`voiceemb.config`), what all share in
`timbre.training.config`. A preset is an instance; a command line replaces fields of it, and
`config.json` in the run folder holds the whole of it, so a model explains itself. This
module imports neither TensorFlow nor Keras.
"""

from dataclasses import replace

from diffusion.speakers.config import (
    Network,
    Points,
    Sampling,
    Schedule,
    SpeakerDiffusion,
)
from diffusion.speakers.config import Optimiser as DiffusionOptimiser
from flows.config import Backbone, Data, Segment, SpeechFlow, Vae
from flows.config import Optimiser as FlowOptimiser
from timbre.training.config import Optimiser
from voiceemb.config import (
    Augmentation,
    Encoder,
    Softmax,
    SpeakerEncoder,
    Synthetic,
    Triplet,
)
from voiceemb.vad import config as activity
from voiceemb.vad.config import ActivityDetector

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
_all_readers = replace(  # nobody is left to choose weights: the last ones are taken
    _small,
    validation_speakers=0,
    augmentation=replace(
        _small.augmentation, noise_probability=0.7, snr_db=(0.0, 30.0)
    ),
)

SPEAKER_ENCODERS = {
    "tiny": _tiny,
    "small-names": replace(
        _all_readers,
        name="small-names",
        crop_lengths=(160,),
        encoder=replace(_small.encoder, stages=(16, 32, 64)),
        softmax=replace(
            _small.softmax,
            steps=2500,
            head="softmax",
            dropout=0.2,
            margin_rise=(0, 600),
            optimiser=replace(_small.softmax.optimiser, warm_up=100, ema=0.99),
        ),
    ),
    "small-margin": _small,
    "small-long": replace(
        _all_readers,
        name="small-long",
        softmax=replace(_small.softmax, steps=6000, margin_rise=(0, 2400)),
        augmentation=replace(_all_readers.augmentation, speeds=(1.0, 0.9, 1.1)),
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

_voices = SpeakerDiffusion(name="voices")

SPEAKER_DIFFUSIONS = {
    "default": _voices,
    "64": replace(_voices, name="voices-64"),
    "128": replace(_voices, name="voices-128"),
    "704": replace(  # ECAPA-TDNN's 192 dimensions and an x-vector's 512
        _voices, name="voices-704", network=Network(width=768), blocks=(192, 512)
    ),
    "faithful": replace(
        _voices,
        # The original, for comparison: its schedule leaves 88 % of the signal, so its
        # samples, which start from noise, stay noise.
        name="voices-faithful",
        network=Network("linear"),
        schedule=Schedule("sigmoid", steps=100, start=1e-5, end=5e-3),
        prediction="noise",
        batch=64,
        steps=6300,
        optimiser=DiffusionOptimiser(
            learning_rate=1e-4, decay="none", warm_up=0, ema=0.9, ema_warm_up=False
        ),
        sampling=Sampling("ddpm", steps=100, variance="beta"),
    ),
    "smoke": replace(
        _voices,
        # A minute from end to end: shows that everything runs, not that it learns.
        name="voices-smoke",
        points=Points(speakers=300),
        network=Network(width=32, num_blocks=1),
        steps=20,
        batch=32,
        log_every=5,
        validate_every=10,
        save_every=10,
    ),
}

_flow = SpeechFlow(name="flow")
_some_hundred = replace(  # recordings, whole, of few speakers: stretched to one length
    _flow,
    data=Data(source="manifest", least_rows=5, unseen=0.0),
    segment=Segment(fit="stretch"),
    backbone=Backbone(hidden=128),
    steps=800,
    batch=64,
    validate_every=100,
)
_embeddings = replace(  # few rows of many numbers: a small flow, much noise, few steps
    _flow,
    data=Data(source="embeddings", rows=200_000, classes=10_000, least_rows=2),
    backbone=Backbone(steps=2, hidden=64),
    optimiser=FlowOptimiser(learning_rate=1e-3),
    jitter=0.3,
    steps=400,
    batch=128,
    validate_every=50,
)

SPEECH_FLOWS = {
    "default": replace(
        _flow,
        # Of phone and speaker. Phones differ in few directions more than these; with
        # all 37 that 38 classes can have, speakers are heard in their part.
        dims=(12, 21),
    ),
    "tiny": replace(
        _flow,
        # Spectra made of numbers, 10 phones said by 12 speakers; 12,000 rows to learn
        # from, 50 times. All five models in ten minutes on two cores.
        name="flow-tiny",
        data=Data(
            source="spectra",
            speakers=12,
            rows=16_000,
            valid=0.125,
            test=0.125,
            unseen=0.0,
        ),
        segment=Segment(frames=4, bands=16),
        backbone=Backbone(steps=8, hidden=128, mixing="permutation"),
        vae=Vae(latent=32, hidden=128),
        optimiser=FlowOptimiser(learning_rate=1e-3),
        steps=2350,
        validate_every=235,
        save_every=470,
    ),
    "paper": replace(
        _flow,
        # What is known of the original (Sun et al., 2021), as wide as its segments. For
        # a GPU: a segment out of a code takes 4000 passes of each step.
        name="flow-paper",
        data=Data(source="timit", classes=40, unseen=0.0),  # 38 phones and no silence
        segment=Segment(bands=200, spectrum="linear"),
        backbone=Backbone("maf", steps=10, hidden=4000, mixing="reverse"),
        vae=Vae(latent=64, hidden=1024),
        residual=0,  # half of the code for each factor
        steps=10_000,
        batch=300,
        optimiser=FlowOptimiser(learning_rate=3e-3, decay="none"),
        jitter=0.0,
        pairs=2000,
        validate_every=500,
    ),
    "maf": replace(
        _flow,
        # One pass to learn, one pass for each number and step to draw: few pairs.
        name="flow-maf",
        backbone=Backbone("maf", steps=5, hidden=800, mixing="reverse"),
        pairs=500,
    ),
    "digits": replace(
        _some_hundred,
        # Whole words: --data.path names the manifest. FSDD was a telephone's: above
        # 4 kHz there is nothing, and nothing has no density.
        name="flow-digits",
        data=replace(_some_hundred.data, factors=("digit", "speaker")),
        segment=Segment(high_hz=4000.0, fit="stretch"),
        steps=1000,
    ),
    "emotions": replace(
        _some_hundred,
        # Whole sentences in several moods, as in EmoDB: --data.path names the manifest.
        name="flow-emotions",
        data=replace(_some_hundred.data, factors=("text_code", "emotion", "speaker")),
        segment=Segment(frames=12, bands=24, fit="stretch"),
    ),
    "embeddings": replace(
        _embeddings,
        # A flow between an encoder and its cosines: --data.path names the set. What is
        # verified are speakers it never saw.
        name="flow-embeddings",
        models=("nf", "dnf"),
        data=replace(_embeddings.data, factors=("speaker",), unseen=0.3),
    ),
    "attributes": replace(
        _embeddings,
        # An editor of embeddings: --data.path names a set with labels of gender.
        name="flow-attributes",
        models=("fdnf",),
        data=replace(_embeddings.data, factors=("speaker", "gender")),
    ),
    "smoke": replace(
        _flow,
        # A minute from end to end: shows that everything runs, not that it learns.
        name="flow-smoke",
        data=Data(source="spectra", speakers=5, rows=400, unseen=0.0),
        segment=Segment(frames=4, bands=8),
        backbone=Backbone(steps=2, hidden=16),
        vae=Vae(latent=8, hidden=16),
        steps=20,
        batch=32,
        pairs=200,
        log_every=5,
        validate_every=10,
        save_every=10,
    ),
}

_activity = ActivityDetector(name="activity")

ACTIVITY = {
    "default": _activity,
    "smoke": replace(
        _activity,
        # A minute from end to end: shows that everything runs, not that it learns.
        name="activity-smoke",
        synthetic=activity.Synthetic("corpus/smoke-activity", 6, 2),
        validation_speakers=1,
        validation_scenes=4,
        network=activity.Network(bands=20, filters=8, units=8),
        scenes=activity.Scenes(seconds=2.0, noises=3),
        steps=10,
        batch=4,
        log_every=5,
        validate_every=10,
        save_every=10,
    ),
}
