import json
from dataclasses import dataclass

import pytest

from timbre.training import script
from timbre.training.config import RunConfig
from timbre.training.run import RunError


@dataclass(frozen=True)
class Numbers:
    """A config."""

    steps: int = 3
    name: str = "one"


PRESETS = {"small": Numbers(), "large": Numbers(300, "two")}


def parse(*arguments):
    return script.parse(PRESETS, default="small", about="A.", arguments=arguments)


def test_a_preset_is_a_start_and_every_field_can_be_replaced():
    assert parse() == (Numbers(), False)
    assert parse("--preset", "large", "--fresh") == (Numbers(300, "two"), True)
    assert parse("--steps", "7", "--preset", "large")[0] == Numbers(7, "two")


@pytest.mark.parametrize("arguments", [["--preset", "huge"], ["--stepz", "3"]])
def test_an_unknown_preset_or_field_ends_the_program(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        parse(*arguments)
    assert stop.value.code == 2
    assert arguments[-1 if arguments[0] == "--preset" else 0] in capsys.readouterr().err


@dataclass(frozen=True, kw_only=True)
class ExampleConfig(RunConfig):
    """A config of a run."""

    name: str = "run"
    size: int = 1
    batch: int = 4
    RENAMED = {"length": "size"}


def open_run(folder, **changes):
    return script.open_run(ExampleConfig(runs=str(folder), **changes))


def test_another_config_ends_the_program_with_a_line(tmp_path):
    open_run(tmp_path).write_text("history.csv", "")
    with pytest.raises(SystemExit, match="error: .*another config"):
        open_run(tmp_path, size=2)


def test_a_run_of_an_older_version_is_resumed_or_refused_in_words(tmp_path):
    run = open_run(tmp_path, size=3)
    text = run.path("config.json").read_text()
    run.write_text("config.json", text.replace('"size"', '"length"'))
    assert open_run(tmp_path, size=3).resumed
    run.write_text("config.json", text.replace('"size"', '"length"'))
    with pytest.raises(SystemExit, match="size: 3 there, 1 here"):
        open_run(tmp_path)
    run.write_text("config.json", text.replace('"size"', '"mass"'))
    with pytest.raises(SystemExit, match="no field `mass`.*another version"):
        open_run(tmp_path, size=3)


def test_a_mistake_before_training_leaves_the_name_free(tmp_path):
    run = open_run(tmp_path)
    with pytest.raises(SystemExit, match="error: no such corpus"):
        with script.prepare(run):
            raise ValueError("no such corpus")
    assert not run.folder.exists()


def test_a_run_that_has_begun_survives_a_mistake(tmp_path):
    open_run(tmp_path).write_text("history.csv", "step\n")
    run = open_run(tmp_path)
    with pytest.raises(SystemExit), script.prepare(run):
        raise RunError("the disk is full")
    assert (run.folder / "history.csv").is_file()
    assert (run.folder / "config.json").is_file()


@pytest.mark.parametrize(
    "config, leads",
    [
        ("", True),
        (
            {"cluster": {"worker": ["a", "b"]}, "task": {"type": "worker", "index": 0}},
            1,
        ),
        (
            {"cluster": {"worker": ["a", "b"]}, "task": {"type": "worker", "index": 1}},
            0,
        ),
        (
            {
                "cluster": {"chief": ["c"], "worker": ["a"]},
                "task": {"type": "worker", "index": 0},
            },
            False,
        ),
    ],
)
def test_only_the_chief_of_several_workers_takes_the_folder(config, leads, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", json.dumps(config) if config else "")
    assert script._leads() == bool(leads)
