"""A preset is a config of its system, and named after itself."""

import dataclasses

import pytest

import configs
from training.settings import Run

PRESETS = {**configs.SPEAKER_ENCODERS}


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_frozen_and_named_after_itself(name):
    preset = PRESETS[name]
    assert preset.name == name and isinstance(preset, Run)
    with pytest.raises(dataclasses.FrozenInstanceError):
        preset.seed = 3
