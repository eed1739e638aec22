"""Presets of speaker encoders: instances of `voiceemb.config.SpeakerEncoderConfig`.

    python -m voiceemb train                              # tiny, on synthetic voices
    python -m voiceemb train --corpus my_recordings       # folders named after speakers
    python -m voiceemb train --preset paper --corpus LibriSpeech --strategy mirrored

The run folder ends with weights, figures, a card and a SavedModel. A run that was
stopped goes on when the same command is given again.
"""

from dataclasses import replace

from timbre.training.config import OptimiserConfig, SyntheticSpeechConfig
from voiceemb.config import (
    AugmentationConfig,
    EncoderNetworkConfig,
    SoftmaxConfig,
    SpeakerEncoderConfig,
    TripletConfig,
)

DEFAULT = "tiny"

_tiny = SpeakerEncoderConfig(
    name="tiny",
    encoder=EncoderNetworkConfig(stages=(16, 32, 64), num_blocks=1, embedding_dim=128),
    softmax=SoftmaxConfig(steps=300, dropout=0.2),
    triplet=TripletConfig(
        steps=200, speakers=16, optimiser=OptimiserConfig(learning_rate=5e-4)
    ),
    validate_every=100,
    save_every=100,
)

_seed = SpeakerEncoderConfig(
    # The original: raw energies normalised frame by frame, the sum of random triplets,
    # no first stage; it learns slowly and may collapse.
    name="seed",
    encoder=EncoderNetworkConfig(log=False, norm="frame"),
    softmax=SoftmaxConfig(steps=0),
    triplet=TripletConfig(
        steps=90_000,
        strategy="random",
        margin=0.2,
        reduction="sum",
        optimiser=OptimiserConfig(decay="none"),
    ),
    validate_every=5000,
    save_every=1000,
)

_paper = SpeakerEncoderConfig(
    # Deep Speaker (Li et al., 2017); the optimiser's numbers are from memory.
    name="paper",
    encoder=EncoderNetworkConfig(
        stages=(64, 128, 256, 512), block="basic", norm="utterance"
    ),
    softmax=SoftmaxConfig(
        steps=100_000,
        optimiser=OptimiserConfig("sgd", 0.05, 0.005, "linear", momentum=0.99),
    ),
    triplet=TripletConfig(
        steps=150_000,
        strategy="hard",
        speakers=32,
        utterances=2,
        optimiser=OptimiserConfig("sgd", 0.05, 0.005, "linear", momentum=0.99),
    ),
    validate_every=5000,
    save_every=1000,
)

_small = SpeakerEncoderConfig(
    # One of three that make the encoder that comes with the package (`train_small.py`):
    # every recording said again in eight moods, in other rooms and noises.
    name="small-margin",
    styles=8,
    test_speakers=0,
    closed_set_share=0.0,
    crop_frames=300,
    crop_lengths=(120, 160, 200),
    balance="speakers",
    encoder=EncoderNetworkConfig(
        stages=(16, 32, 64, 128), num_blocks=1, embedding_dim=128
    ),
    softmax=SoftmaxConfig(
        steps=4000,
        head="aam",
        margin_rise=(0, 1600),
        optimiser=OptimiserConfig(
            learning_rate=2e-3, final_rate=1e-6, warm_up=200, clip_norm=5.0, ema=0.998
        ),
    ),
    triplet=TripletConfig(steps=0),
    augmentation=AugmentationConfig(enabled=True, num_masks=1),
    validate_every=500,
)
_noisy = replace(_small.augmentation, noise_probability=0.7, snr_db=(0.0, 30.0))
# nobody is left to choose weights: the last ones are taken
_all_readers = replace(_small, validation_speakers=0, augmentation=_noisy)

PRESETS = {
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
        augmentation=replace(_noisy, speeds=(1.0, 0.9, 1.1)),
    ),
    "seed": _seed,
    "paper": _paper,
    "smoke": replace(
        _tiny,
        # A minute from end to end: shows that everything runs, not that it learns.
        name="smoke",
        synthetic=SyntheticSpeechConfig("corpus/smoke", num_speakers=24, utterances=6),
        validation_speakers=4,
        test_speakers=4,
        encoder=EncoderNetworkConfig(stages=(8, 16), num_blocks=1, embedding_dim=32),
        softmax=SoftmaxConfig(steps=10, batch=16),
        triplet=TripletConfig(steps=10, speakers=4, utterances=3, warm_up=5),
        log_every=5,
        validate_every=10,
        save_every=10,
    ),
}
