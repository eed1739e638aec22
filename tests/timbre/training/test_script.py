import json
from dataclasses import dataclass

import pytest

from timbre.training import script
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


def test_another_config_ends_the_program_with_a_line(tmp_path):
    script.open_run(tmp_path, "run", {"a": 1}).write_text("history.csv", "")
    with pytest.raises(SystemExit, match="error: .*another config"):
        script.open_run(tmp_path, "run", {"a": 2})


def test_a_mistake_before_training_leaves_the_name_free(tmp_path):
    run = script.open_run(tmp_path, "run", {"a": 1})
    with pytest.raises(SystemExit, match="error: no such corpus"):
        with script.preparing(run):
            raise ValueError("no such corpus")
    assert not run.folder.exists()


def test_a_run_that_has_begun_survives_a_mistake(tmp_path):
    script.open_run(tmp_path, "run", {"a": 1}).write_text("history.csv", "step\n")
    run = script.open_run(tmp_path, "run", {"a": 1})
    with pytest.raises(SystemExit), script.preparing(run):
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
