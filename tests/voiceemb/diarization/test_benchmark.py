"""The benchmark of diarization runs from end to end, on little."""

import sys

import numpy as np
import pytest

from tests import programs
from tests.conftest import ROOT
from tests.voiceemb.dialogues import conversation, drawn
from timbre.audio import wave
from timbre.turns import write_rttm

BENCHMARK = ROOT / "benchmarks" / "diarization.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two short conversations with their truth."""
    folder, rng = tmp_path_factory.mktemp("talks"), np.random.default_rng(0)
    for name in ("one", "two"):
        waveform, turns = conversation(rng, drawn(rng, 2, 6))
        wave.write(folder / f"{name}.flac", waveform)
        write_rttm(folder / f"{name}.rttm", {name: turns})
        end = len(waveform) / 16000
        (folder / f"{name}.uem").write_text(f"{name} 1 0.000 {end:.3f}\n")
    return folder


def lines_of(*arguments):
    command = [sys.executable, BENCHMARK, *arguments]
    done = programs.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


@pytest.mark.slow
def test_the_table_has_every_recording_its_means_and_the_ratios(folder):
    about, _, _, *rows = lines_of("--folder", str(folder), "--detector", "truth")
    assert about.startswith("2 recordings, activity by truth")
    assert [row.split()[0] for row in rows[:2]] == ["one", "two"]
    assert [row.split(",")[0].split()[0] for row in rows[2:8]] == [
        *("pooled", "mean", "pooled", "pooled", "pooled", "mean")
    ]
    assert all(row.startswith("ours over baseline") for row in rows[8:])


@pytest.mark.slow
def test_an_hour_reports_real_time_factor_and_memory(folder):
    arguments = ("--hour", "--minutes", "1", "2", "--detector", "energy")
    head, *rows = lines_of("--folder", str(folder), *arguments)
    assert head.split()[:2] == ["minutes", "windows"]
    assert [row.split()[0] for row in rows] == ["1", "2"]
    assert all("embed" in row and "1/" in row for row in rows)
