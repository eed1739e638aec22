"""Validation EER within each corpus, and detection of a collapse."""

import re

import numpy as np
import pytest
import tensorflow as tf
import tyro

from voiceemb.config import SpeakerEncoderConfig
from voiceemb.training.validation import (
    ADVICE,
    CollapseDetector,
    CollapseError,
    validation_eer,
)

CLEAR = {"a": (0, 0), "b": (90, 90)}  # two voices of two recordings, EER 0
MIXED = {"a": (0, 180), "b": (90, 270)}  # each voice nearer to the other, EER 1


class Cache:
    """Recordings of known directions: every frame is a point of the unit circle."""

    shape = (2,)

    def __init__(self, **corpora):
        said = [
            (f"{corpus}/{name}", np.radians(angle))
            for corpus, voices in corpora.items()
            for name, angles in voices.items()
            for angle in angles
        ]
        names = [name for name, _ in said]
        self.speakers = tuple(sorted(set(names)))
        self.speaker = np.array([self.speakers.index(name) for name in names])
        self.length = np.full(len(names), 5)
        self.points = np.array([(np.cos(a), np.sin(a)) for _, a in said], np.float32)

    def __len__(self):
        return len(self.speaker)

    def crops(self, i, start, length):
        return np.repeat(self.points[i][:, None], length, axis=1)


def mean(features, training):
    """An encoder that hears the direction of the frames."""
    return tf.reduce_mean(features, axis=1)


@pytest.mark.parametrize(
    "first, second, eers",
    [
        (CLEAR, MIXED, (0, 1)),
        (MIXED, CLEAR, (1, 0)),
        (CLEAR, CLEAR, (0, 0)),
    ],
)
def test_the_eer_of_each_corpus_is_of_its_own_recordings(first, second, eers):
    found = validation_eer(mean, Cache(one=first, two=second), window=3)()
    assert found == {"eer": np.mean(eers), "eer_one": eers[0], "eer_two": eers[1]}


def test_a_corpus_that_can_not_be_tried_is_left_out():
    """One voice has no other, and voices of one recording each have no same pair."""
    for lone in ({"c": (0, 180)}, {"c": (0,), "d": (90,)}):
        assert validation_eer(mean, Cache(lone=lone, two=CLEAR), window=3)() == {
            "eer": 0
        }


def test_only_where_no_corpus_can_be_tried_do_trials_cross():
    """A single voice in each: `a` and `b` are then told apart across the corpora."""
    lone = Cache(one={"a": CLEAR["a"]}, two={"b": CLEAR["b"]})
    assert validation_eer(mean, lone, window=3)() == {"eer": 0}
    mixed = Cache(one={"a": MIXED["a"]}, two={"b": MIXED["b"]})
    assert validation_eer(mean, mixed, window=3)() == {"eer": 1}


HEALTHY = {"loss": 0.05, "same": 0.8, "other": 0.1, "spread": 0.9}
FLAT = {"loss": 0.1, "same": 1.0, "other": 1.0, "spread": 0.001}


def test_a_collapsed_run_stops_with_advice():
    detector = CollapseDetector("triplet", patience=3)
    for step in (1, 2):
        detector(step, FLAT)
    with pytest.raises(CollapseError, match="one point.*softmax pre-training"):
        detector(3, FLAT)


@pytest.mark.parametrize("stage", ADVICE)
def test_advice_names_options_that_there_are_of_the_stage_that_collapsed(stage):
    with pytest.raises(CollapseError) as error:
        CollapseDetector(stage, patience=1)(3, FLAT)
    options = re.findall(r"--[a-z.-]+[a-z]", str(error.value))
    assert len(options) >= 3 and options[0] == "--softmax.steps"
    assert all(option.startswith(f"--{stage}.") for option in options[1:])
    values = {"--triplet.strategy": "semi_hard"}
    for option in options:
        tyro.cli(SpeakerEncoderConfig, args=[option, values.get(option, "1")])


def test_a_stage_without_advice_is_refused():
    with pytest.raises(ValueError, match="`stage` must be one of .*'softmax'"):
        CollapseDetector("softmax")


def test_a_passing_low_stops_nothing():
    detector = CollapseDetector("triplet", patience=3)
    for step in range(20):
        detector(step, HEALTHY if step % 3 == 2 else FLAT)
