"""Every system has the same rooms, each with the same signatures.

A new system is its folder and one line in `SYSTEMS`; `timbre.training.script.run` is
then its training script.
"""

import dataclasses
import importlib
import inspect
import sys
import types

import pytest

import configs
from timbre.training import config as shared
from timbre.training import interrupts, script
from timbre.training.config import RunConfig

SYSTEMS = {
    "voiceemb": "SpeakerEncoderConfig",
    "voiceemb.vad": "VadConfig",
    "flows": "SpeechFlowConfig",
    "diffusion.speakers": "SpeakerDiffusionConfig",
}
SIGNATURES = {
    "data.prepare": ["config"],
    "model.build": ["config", "data"],
    "train.fit": ["config", "model", "data", "*run", "*strategy"],
    "report.finish": ["config", "model", "data", "results", "*run"],
}
# A detector is part of another system: it is not served, and that one has its commands.
PARTS = {"voiceemb.vad"}
FORMER = {  # fields as runs have them that were made before their names changed
    "voiceemb": {"kin": "variant", "apart": [], "closed_share": 0.1},
    "voiceemb.vad": {"scenes": {"seconds": 5.0}, "validation_scenes": 128},
    "flows": {"data": {"least_rows": 20}},
    "diffusion.speakers": {"points": {"speakers": 5000}, "held": 0.2},
}
PRESETS = [
    pytest.param(system, name, id=f"{system}-{name}")
    for system in SYSTEMS
    for name in importlib.import_module(f"{system}.presets").PRESETS
]


def open_room(system, room):
    return importlib.import_module(f"{system}.{room}")


def parameters(function):
    """Names in order; those that go by keyword alone have an asterisk before them."""
    return [
        "*" * (parameter.kind is parameter.KEYWORD_ONLY) + name
        for name, parameter in inspect.signature(function).parameters.items()
    ]


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("path", SIGNATURES)
def test_a_room_has_one_signature_in_all_systems(system, path):
    room, _, function = path.partition(".")
    assert parameters(getattr(open_room(system, room), function)) == SIGNATURES[path]


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_system_has_its_config_presets_facts_and_evaluation(system):
    kind = getattr(open_room(system, "config"), SYSTEMS[system])
    presets = open_room(system, "presets")
    assert issubclass(kind, RunConfig)
    assert all(type(preset) is kind for preset in presets.PRESETS.values())
    assert presets.DEFAULT in presets.PRESETS and "smoke" in presets.PRESETS
    assert presets.__doc__ and "python -m" in presets.__doc__  # shown by `--help`
    assert open_room(system, "data").FACTS.endswith(".json")
    assert callable(open_room(system, "evaluate").evaluate)


@pytest.mark.parametrize("system", sorted(SYSTEMS.keys() - PARTS))
def test_a_system_is_served_and_has_commands(system):
    assert callable(open_room(system, "signatures").signatures)
    assert open_room(system, "commands").COMMANDS
    assert "train" in open_room(system.partition(".")[0], "commands").COMMANDS


def configs_in(value):
    """A config and all configs nested in it, with their dotted names."""
    yield "", value
    for field in dataclasses.fields(value):
        inner = getattr(value, field.name)
        if dataclasses.is_dataclass(inner):
            for name, config in configs_in(inner):
                yield f"{field.name}.{name}".rstrip("."), config


@pytest.mark.parametrize(("system", "name"), PRESETS)
def test_a_preset_comes_back_from_json(system, name):
    preset = open_room(system, "presets").PRESETS[name]
    assert shared.from_dict(type(preset), dataclasses.asdict(preset)) == preset
    for _, config in configs_in(preset):
        assert type(config).__name__.endswith("Config")
        names = {field.name for field in dataclasses.fields(config)}
        renamed = getattr(config, "RENAMED", {})
        assert not names & renamed.keys() and names >= set(renamed.values())


@pytest.mark.parametrize("system", FORMER)
def test_a_run_with_the_former_names_of_fields_can_be_read(system):
    kind = getattr(open_room(system, "config"), SYSTEMS[system])
    assert shared.from_dict(kind, {"name": "a", **FORMER[system]}) == kind(name="a")


@pytest.mark.parametrize("system", SYSTEMS)
def test_what_may_change_are_fields(system):
    kind = getattr(open_room(system, "config"), SYSTEMS[system])
    config = next(iter(open_room(system, "presets").PRESETS.values()))
    names = {
        f"{path}.{field.name}".lstrip(".")
        for path, one in configs_in(config)
        for field in dataclasses.fields(one)
    }
    assert {pattern.removesuffix(".*") for pattern in kind.MAY_CHANGE} <= names


def test_the_door_gathers_the_presets_of_every_system():
    gathered = [getattr(configs, name) for name in configs.__all__]
    presets = [open_room(system, "presets").PRESETS for system in SYSTEMS]
    assert sorted(map(id, gathered)) == sorted(map(id, presets))


def test_the_script_runs_whatever_has_the_rooms(tmp_path, monkeypatch):
    """In order, each with what the ones before have made."""
    calls = []
    monkeypatch.setattr(interrupts, "make_deterministic", lambda seed: None)
    data = types.SimpleNamespace(facts={"sha256": {"train": "a"}})

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class SmallestConfig(RunConfig):
        name: str = "smallest"
        batch: int = 4

    def fit(config, model, data, *, run, strategy):
        calls.append(("fit", model, data, run.folder.name))
        return "results"

    def finish(config, model, data, results, *, run):
        calls.append(("finish", results, (run.folder / "facts.json").is_file()))

    rooms = {
        "presets": {"PRESETS": {"only": SmallestConfig()}, "DEFAULT": "only"},
        "data": {"FACTS": "facts.json", "prepare": lambda config: data},
        "model": {"build": lambda config, data: "model"},
        "train": {"fit": fit},
        "report": {"finish": finish},
    }
    for room, names in rooms.items():
        module = types.SimpleNamespace(**names)
        monkeypatch.setitem(sys.modules, f"smallest.{room}", module)
    folder = script.run("smallest", ["--runs", str(tmp_path), "--seed", "3"])
    assert folder == tmp_path / "smallest" and (folder / "config.json").is_file()
    assert calls == [("fit", "model", data, "smallest"), ("finish", "results", True)]
    data.facts = {"sha256": {"train": "b"}}
    with pytest.raises(SystemExit, match="goes on with the rows it began with"):
        script.run("smallest", ["--runs", str(tmp_path), "--seed", "3"])
