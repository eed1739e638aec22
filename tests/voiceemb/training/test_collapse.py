import re

import pytest
import tyro

from voiceemb.config import SpeakerEncoderConfig
from voiceemb.training.collapse import ADVICE, Collapsed, CollapseMonitor

HEALTHY = {"loss": 0.05, "same": 0.8, "other": 0.1, "spread": 0.9}
FLAT = {"loss": 0.1, "same": 1.0, "other": 1.0, "spread": 0.001}


def test_a_collapsed_run_stops_with_advice():
    monitor = CollapseMonitor("triplet", patience=3)
    for step in (1, 2):
        monitor(step, FLAT)
    with pytest.raises(Collapsed, match="one point.*softmax pre-training"):
        monitor(3, FLAT)


@pytest.mark.parametrize("phase", ADVICE)
def test_advice_names_options_that_there_are_of_the_phase_that_collapsed(phase):
    with pytest.raises(Collapsed) as error:
        CollapseMonitor(phase, patience=1)(3, FLAT)
    options = re.findall(r"--[a-z.-]+[a-z]", str(error.value))
    assert len(options) >= 3 and options[0] == "--softmax.steps"
    assert all(option.startswith(f"--{phase}.") for option in options[1:])
    values = {"--triplet.strategy": "semi_hard"}
    for option in options:
        tyro.cli(SpeakerEncoderConfig, args=[option, values.get(option, "1")])


def test_a_phase_that_it_can_not_advise_is_refused():
    with pytest.raises(ValueError, match="`phase` must be one of .*'softmax'"):
        CollapseMonitor("softmax")


def test_a_passing_low_stops_nothing():
    monitor = CollapseMonitor("triplet", patience=3)
    for step in range(20):
        monitor(step, HEALTHY if step % 3 == 2 else FLAT)
