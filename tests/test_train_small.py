"""The shipped encoder's script: three trainings, one encoder, errors before work."""

import sys

import pytest

import train_small
from tests import programs
from tests.conftest import ROOT
from tests.voiceemb.runs import make, record
from voiceemb import Encoder, train_ensemble
from voiceemb.presets import PRESETS


def test_every_member_is_a_preset_of_one_front_end():
    presets = [PRESETS[name] for name in train_ensemble.MEMBERS]
    assert [preset.name for preset in presets] == list(train_ensemble.MEMBERS)
    for preset in presets:
        assert preset.crop_frames == presets[0].crop_frames
        assert preset.encoder.front_end == presets[0].encoder.front_end
        assert preset.encoder.norm == presets[0].encoder.norm


@pytest.mark.slow
def test_members_are_trained_with_all_options_and_fused(tmp_path, monkeypatch):
    asked = []
    voices = record(tmp_path / "voices", ["anna", "bert"])

    def train(name, runs, arguments):
        asked.append([name, runs, *arguments])
        return make(tmp_path / name, ["anna", "bert"], corpus=voices)

    monkeypatch.setattr(train_ensemble, "train", train)
    folder = train_small.main(["--corpus", "mine", "--runs", str(tmp_path)])
    expected = [tmp_path, "--corpus", "mine"]
    assert asked == [[name, *expected] for name in train_ensemble.MEMBERS]
    assert folder == tmp_path / "small" and Encoder.load(folder).dim == 24
    with pytest.raises(SystemExit, match="is there already"):
        train_small.main(["--runs", str(tmp_path)])
    assert len(asked) == 3


def test_options_that_the_command_sets_are_refused(tmp_path):
    for option in ("--preset", "--name"):
        with pytest.raises(SystemExit, match="what this command decides"):
            train_small.main([option, "tiny", "--runs", str(tmp_path)])


def test_a_member_that_fails_ends_the_script(tmp_path):
    done = programs.run(
        [sys.executable, str(ROOT / "train_small.py"), "--corpus", "nowhere"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "must be a manifest or a folder" in done.stderr
    assert "Traceback" not in done.stderr
