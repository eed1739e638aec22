"""A preset is a config of its system, and named after the system and itself."""

import dataclasses
import inspect

import pytest

import configs
from timbre.training.config import RunConfig

SYSTEMS = {
    "": configs.SPEAKER_ENCODERS,
    "voices": configs.SPEAKER_DIFFUSIONS,
    "activity": configs.ACTIVITY,
    "flow": configs.SPEECH_FLOWS,
}
PRESETS = {
    f"{system}-{name}".removesuffix("-default").removeprefix("-"): preset
    for system, presets in SYSTEMS.items()
    for name, preset in presets.items()
}


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_frozen_and_named_after_itself(name):
    preset = PRESETS[name]
    assert preset.name == name and isinstance(preset, RunConfig)
    with pytest.raises(dataclasses.FrozenInstanceError):
        preset.seed = 3


def test_presets_of_flows_are_what_they_are_for():
    flows = configs.SPEECH_FLOWS
    for name in ("paper", "digits", "emotions"):  # speakers are classes, all are kept
        assert flows[name].data.unseen == 0
    for name in ("digits", "emotions"):  # sets of some hundred rows
        assert flows[name].batch <= 64 and flows[name].backbone.hidden == 128
        assert flows[name].data.min_rows == 5 and flows[name].segment.fit == "stretch"
    assert flows["attributes"].models == ("fdnf",)
    assert flows["attributes"].data.factors == ("speaker", "gender")
    assert flows["attributes"].data.source == "embeddings"


def test_no_system_is_forgotten():
    tables = [value for name, value in inspect.getmembers(configs) if name.isupper()]
    assert sorted(map(id, tables)) == sorted(map(id, SYSTEMS.values()))
    assert len(PRESETS) == sum(map(len, tables))
