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


def large_margin(**softmax):
    return configs.SpeakerEncoder(
        softmax=configs.Softmax(**softmax), large_margin=configs.LargeMargin(steps=5)
    )


def test_a_large_margin_may_follow_a_softmax_with_a_margin():
    assert large_margin(steps=9, head="am").large_margin.margin == 0.5


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
        (lambda: configs.Softmax(margin=-0.1), "`margin` of Softmax"),
        (lambda: configs.Softmax(margin=1.6), "`margin` of Softmax must be below"),
        (lambda: configs.Softmax(margin_rise=(9, 3)), "`margin_rise` must be two"),
        (lambda: configs.Softmax(sub_centres=0), "`sub_centres` of Softmax"),
        (lambda: configs.Softmax(crop_frames=3), "`crop_frames` of Softmax"),
        (lambda: configs.Metric(speakers=1), "`speakers` of Metric"),
        (lambda: configs.Metric(temperature=0.0), "`temperature` of Metric"),
        (lambda: configs.LargeMargin(margin=2.0), "`margin` of LargeMargin"),
        (lambda: large_margin(steps=0, head="aam"), "`large_margin` goes on with"),
        (lambda: large_margin(steps=9, head="softmax"), "head `am` or `aam`"),
        (lambda: configs.Optimiser(learning_rate=-1.0), "`learning_rate` must be"),
        (lambda: configs.Optimiser(ema=1.5), "`ema` below 1"),
        (lambda: configs.FrontEnd(num_bands=0), "`num_bands` of FrontEnd"),
        (lambda: configs.SpeakerEncoder(crop_frames=0), "`crop_frames` of Speaker"),
        (lambda: configs.SpeakerEncoder(crop_lengths=(100, 3)), "`crop_lengths` of"),
        (lambda: configs.SpeakerEncoder(stop_after=0), "`stop_after` of Speaker"),
        (lambda: configs.Augmentation(speeds=(0.4, 1.0)), "`speeds` must be ratios"),
        (lambda: configs.Augmentation(speeds=(1.0, 1.0)), "`speeds` must be ratios"),
        (lambda: configs.Augmentation(speeds=()), "`speeds` must be ratios"),
        (lambda: configs.SpeakerEncoder(patience=0), "`patience` of SpeakerEncoder"),
        (lambda: configs.SpeakerEncoder(name=""), "`name` must name one folder"),
        (lambda: configs.SpeakerEncoder(name="../x"), "`name` must name one folder"),
    ],
)
def test_a_number_that_can_not_be_is_named(make, rule):
    with pytest.raises(ValueError, match=rule):
        make()
