"""Numbers that can not be are refused where they are written, before any work."""

import dataclasses

import pytest

import configs


@pytest.mark.parametrize("name", configs.SPEAKER_ENCODERS)
def test_every_preset_is_frozen_and_named_after_itself(name):
    preset = configs.SPEAKER_ENCODERS[name]
    assert preset.name == name
    with pytest.raises(dataclasses.FrozenInstanceError):
        preset.seed = 3


@pytest.mark.parametrize(
    "make, rule",
    [
        (lambda: configs.Triplet(margin=-1.0), "`margin` of Triplet"),
        (lambda: configs.Triplet(speakers=1), "`speakers` of Triplet"),
        (lambda: configs.Triplet(utterances=1), "`utterances` of Triplet"),
        (lambda: configs.Triplet(steps=-3), "`steps` of Triplet"),
        (lambda: configs.Triplet(margin=float("nan")), "`margin` of Triplet"),
        (lambda: configs.Softmax(batch=0), "`batch` of Softmax"),
        (lambda: configs.Softmax(dropout=1.0), "`dropout` must be below 1"),
        (lambda: configs.Optimiser(learning_rate=-1.0), "`learning_rate` must be"),
        (lambda: configs.Optimiser(ema=1.5), "`ema` below 1"),
        (lambda: configs.FrontEnd(num_bands=0), "`num_bands` of FrontEnd"),
        (lambda: configs.SpeakerEncoder(crop_frames=0), "`crop_frames` of Speaker"),
        (lambda: configs.SpeakerEncoder(patience=0), "`patience` of SpeakerEncoder"),
        (lambda: configs.SpeakerEncoder(name=""), "`name` must name one folder"),
        (lambda: configs.SpeakerEncoder(name="../x"), "`name` must name one folder"),
    ],
)
def test_a_number_that_can_not_be_is_named(make, rule):
    with pytest.raises(ValueError, match=rule):
        make()
