"""Numbers that no speaker encoder can have are refused where they are written."""

import pytest

from timbre.training.config import SyntheticSpeechConfig
from voiceemb.config import (
    AugmentationConfig,
    EncoderNetworkConfig,
    FrontEndConfig,
    LargeMarginConfig,
    MetricConfig,
    SoftmaxConfig,
    SpeakerEncoderConfig,
    TripletConfig,
)


def large_margin(**softmax):
    return SpeakerEncoderConfig(
        softmax=SoftmaxConfig(**softmax), large_margin=LargeMarginConfig(steps=5)
    )


def test_a_large_margin_may_follow_a_softmax_with_a_margin():
    assert large_margin(steps=9, head="am").large_margin.margin == 0.5


def test_batches_are_those_of_the_stages_that_are_trained():
    triplet = TripletConfig(strategy="random", batch=6)
    config = SpeakerEncoderConfig(softmax=SoftmaxConfig(batch=8), triplet=triplet)
    assert config.batch_sizes() == {"softmax.batch": 8, "triplet.batch": 6}
    config = SpeakerEncoderConfig(softmax=SoftmaxConfig(steps=0))
    assert config.batch_sizes() == {}  # mined triplets come from groups of speakers


@pytest.mark.parametrize(
    "make, rule",
    [
        (lambda: TripletConfig(margin=-1.0), "`margin` of TripletConfig"),
        (lambda: TripletConfig(speakers=1), "`speakers` of TripletConfig"),
        (lambda: TripletConfig(utterances=1), "`utterances` of TripletConfig"),
        (lambda: TripletConfig(steps=-3), "`steps` of TripletConfig"),
        (lambda: TripletConfig(margin=float("nan")), "`margin` of TripletConfig"),
        (lambda: SoftmaxConfig(batch=0), "`batch` of SoftmaxConfig"),
        (lambda: SoftmaxConfig(dropout=1.0), "`dropout` of .* and below 1"),
        (lambda: SoftmaxConfig(margin=-0.1), "`margin` of SoftmaxConfig"),
        (lambda: SoftmaxConfig(margin=1.6), "`margin` of SoftmaxConfig .* below"),
        (lambda: SoftmaxConfig(margin_rise=(9, 3)), "`margin_rise` must be two"),
        (lambda: SoftmaxConfig(margin_rise=(5, 5)), "`margin_rise` must be two"),
        (lambda: SoftmaxConfig(sub_centres=0), "`sub_centres` of SoftmaxConfig"),
        (lambda: SoftmaxConfig(crop_frames=3), "`crop_frames` of SoftmaxConfig"),
        (lambda: MetricConfig(speakers=1), "`speakers` of MetricConfig"),
        (lambda: MetricConfig(temperature=0.0), "`temperature` of MetricConfig"),
        (lambda: LargeMarginConfig(margin=2.0), "`margin` of LargeMarginConfig"),
        (lambda: large_margin(steps=0, head="aam"), "`large_margin` continues"),
        (lambda: large_margin(steps=9, head="softmax"), "head `am` or `aam`"),
        (lambda: FrontEndConfig(num_bands=0), "`num_bands` of FrontEndConfig"),
        (
            lambda: EncoderNetworkConfig(embedding_dim=1),
            "`embedding_dim` of EncoderNetworkConfig",
        ),
        (
            lambda: SyntheticSpeechConfig(num_speakers=1),
            "`num_speakers` of SyntheticSpeechConfig",
        ),
        (lambda: SpeakerEncoderConfig(crop_frames=0), "`crop_frames` of Speaker"),
        (lambda: SpeakerEncoderConfig(crop_lengths=(100, 3)), "`crop_lengths` of S"),
        (
            lambda: SpeakerEncoderConfig(closed_set_share=1.0),
            "`closed_set_share` of .* below 1",
        ),
        (lambda: SpeakerEncoderConfig(styles=-1), "`styles` of SpeakerEncoderConfig"),
        (lambda: AugmentationConfig(speeds=(0.4, 1.0)), "`speeds` must be ratios"),
        (lambda: AugmentationConfig(speeds=(1.0, 1.0)), "`speeds` must be ratios"),
        (lambda: AugmentationConfig(speeds=(1.0, 3.0)), "`speeds` must be ratios"),
        (lambda: AugmentationConfig(speeds=(1, float("nan"))), "must be ratios"),
        (lambda: AugmentationConfig(speeds=()), "`speeds` must be ratios"),
        (lambda: AugmentationConfig(num_masks=-1), "`num_masks` of AugmentationConfig"),
        # What all runs share is checked here as well.
        (
            lambda: SpeakerEncoderConfig(stop_after=0),
            "`stop_after` of SpeakerEncoderConfig",
        ),
        (lambda: SpeakerEncoderConfig(name="../x"), "`name` must name one folder"),
    ],
)
def test_a_number_that_can_not_be_is_named(make, rule):
    with pytest.raises(ValueError, match=rule):
        make()
