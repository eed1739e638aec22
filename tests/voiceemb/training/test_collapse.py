import re

import pytest
import tyro

from voiceemb.config import SpeakerEncoderConfig
from voiceemb.training.validation import ADVICE, CollapseDetector, CollapseError

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
