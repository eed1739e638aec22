"""Numbers that no speaker encoder can have are refused where they are written."""

import pytest

from voiceemb.config import (
    Augmentation,
    Encoder,
    FrontEnd,
    LargeMargin,
    Metric,
    Softmax,
    SpeakerEncoder,
    Synthetic,
    Triplet,
)


def large_margin(**softmax):
    return SpeakerEncoder(softmax=Softmax(**softmax), large_margin=LargeMargin(steps=5))


def test_a_large_margin_may_follow_a_softmax_with_a_margin():
    assert large_margin(steps=9, head="am").large_margin.margin == 0.5


@pytest.mark.parametrize(
    "make, rule",
    [
        (lambda: Triplet(margin=-1.0), "`margin` of Triplet"),
        (lambda: Triplet(speakers=1), "`speakers` of Triplet"),
        (lambda: Triplet(utterances=1), "`utterances` of Triplet"),
        (lambda: Triplet(steps=-3), "`steps` of Triplet"),
        (lambda: Triplet(margin=float("nan")), "`margin` of Triplet"),
        (lambda: Softmax(batch=0), "`batch` of Softmax"),
        (lambda: Softmax(dropout=1.0), "`dropout` must be below 1"),
        (lambda: Softmax(margin=-0.1), "`margin` of Softmax"),
        (lambda: Softmax(margin=1.6), "`margin` of Softmax must be below"),
        (lambda: Softmax(margin_rise=(9, 3)), "`margin_rise` must be two"),
        (lambda: Softmax(sub_centres=0), "`sub_centres` of Softmax"),
        (lambda: Softmax(crop_frames=3), "`crop_frames` of Softmax"),
        (lambda: Metric(speakers=1), "`speakers` of Metric"),
        (lambda: Metric(temperature=0.0), "`temperature` of Metric"),
        (lambda: LargeMargin(margin=2.0), "`margin` of LargeMargin"),
        (lambda: large_margin(steps=0, head="aam"), "`large_margin` goes on with"),
        (lambda: large_margin(steps=9, head="softmax"), "head `am` or `aam`"),
        (lambda: FrontEnd(num_bands=0), "`num_bands` of FrontEnd"),
        (lambda: Encoder(embedding_dim=1), "`embedding_dim` of Encoder"),
        (lambda: Synthetic(num_speakers=1), "`num_speakers` of Synthetic"),
        (lambda: SpeakerEncoder(crop_frames=0), "`crop_frames` of Speaker"),
        (lambda: SpeakerEncoder(crop_lengths=(100, 3)), "`crop_lengths` of"),
        (lambda: SpeakerEncoder(closed_share=1.0), "`closed_share` must be below 1"),
        (lambda: SpeakerEncoder(styles=-1), "`styles` of SpeakerEncoder"),
        (lambda: Augmentation(speeds=(0.4, 1.0)), "`speeds` must be ratios"),
        (lambda: Augmentation(speeds=(1.0, 1.0)), "`speeds` must be ratios"),
        (lambda: Augmentation(speeds=()), "`speeds` must be ratios"),
        (lambda: Augmentation(num_masks=-1), "`num_masks` of Augmentation"),
        # What all runs share is checked here as well.
        (lambda: SpeakerEncoder(stop_after=0), "`stop_after` of SpeakerEncoder"),
        (lambda: SpeakerEncoder(name="../x"), "`name` must name one folder"),
    ],
)
def test_a_number_that_can_not_be_is_named(make, rule):
    with pytest.raises(ValueError, match=rule):
        make()
