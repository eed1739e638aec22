"""The benchmark of diarization runs from end to end, on little."""

import sys

import numpy as np
import pytest

from tests import programs
from tests.conftest import ROOT
from tests.voiceemb.dialogues import conversation, drawn
from timbre.audio import wave
from timbre.turns import write_rttm

SCRIPT = ROOT / "benchmarks" / "diarization.py"


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


@pytest.fixture
def lines_of(benchmark, folder, pretrained, monkeypatch, capsys):
    """What the benchmark prints of these arguments, in this process."""
    monkeypatch.setattr(benchmark.Encoder, "pretrained", lambda: pretrained)
    monkeypatch.setattr(benchmark.timing, "run_apart", lambda run, *a: run(*a))

    def run(*arguments):
        command = [str(SCRIPT), "--folder", str(folder), *arguments]
        monkeypatch.setattr(sys, "argv", command)
        benchmark.main()
        return capsys.readouterr().out.splitlines()

    return run


@pytest.mark.slow
def test_the_table_has_every_recording_its_means_and_the_ratios(lines_of):
    about, _, _, *rows = lines_of("--detector", "truth")
    assert about.startswith("2 recordings, activity by truth")
    assert [row.split()[0] for row in rows[:2]] == ["one", "two"]
    assert [row.split(",")[0].split()[0] for row in rows[2:8]] == [
        *("pooled", "mean", "pooled", "pooled", "pooled", "mean")
    ]
    assert all(row.startswith("ours over baseline") for row in rows[8:])


@pytest.mark.slow
def test_an_hour_reports_real_time_factor_and_memory(folder, lines_of):
    """Of a process of its own; then of more lengths, in this one."""
    options = ["--hour", "--detector", "energy", "--minutes"]
    command = [sys.executable, SCRIPT, "--folder", folder, *options, "1"]
    done = programs.run(command)
    assert done.returncode == 0, done.stderr[-2000:]
    apart = done.stdout.splitlines()
    here = lines_of(*options, "1", "2")
    assert apart[0] == here[0] and here[0].split()[:2] == ["minutes", "windows"]
    assert apart[1].split()[:2] == here[1].split()[:2]
    assert [row.split()[0] for row in here[1:]] == ["1", "2"]
    for row in (apart[1], *here[1:]):
        assert "embed" in row and "1/" in row
