"""The benchmark of voice activity: its reference labels, and all of it."""

import sys

import numpy as np
import pytest

from tests import programs
from tests.conftest import ROOT
from tests.voiceemb.voices import vowel

SCRIPT = ROOT / "benchmarks" / "activity.py"


def recording(rng, *parts):
    """Seconds of a voice, or if below zero of a pause, with a soft background."""
    sounds = [vowel(s) if s > 0 else np.zeros(round(-16000 * s)) for s in parts]
    clean = np.concatenate(sounds)
    return clean + rng.normal(0, 2e-4, len(clean))


@pytest.mark.parametrize("gain", [1.0, 0.01])
def test_the_truth_is_where_the_voice_is(rng, benchmark, gain):
    clean = recording(rng, -1, 1.0, -0.15, 1.0, -0.3, 1.0, -0.5, 0.03, -0.5)
    spoken = benchmark.runs(benchmark.truth(gain * clean))
    # a pause of 0.15 s is bridged, a click of 0.03 s left out
    assert np.abs(spoken - [(100, 315), (345, 445)]).max() <= 1


def test_the_ratio_is_that_of_the_frames_with_speech(rng, benchmark):
    clean = recording(rng, -1, 1.0, -1)
    spoken = benchmark.truth(clean)
    assert np.isclose(benchmark.power(clean, spoken), 0.05**2, rtol=0.05)


def test_misses_and_false_alarms_are_counted_apart(benchmark):
    spoken = np.array([True, True, False, False, False])
    sound = benchmark.Sound(np.zeros(800, np.float32), spoken, "clean")
    active = np.array([True, False, True, True, False])
    errors, _ = benchmark.measure(lambda waveform: active, [sound])
    np.testing.assert_array_equal(errors, [[1, 2]])


@pytest.mark.real_data
@pytest.mark.slow
def test_the_table_of_real_recordings_is_sane(real_data):
    command = [sys.executable, SCRIPT, "--quick", "--detectors", "energy"]
    done = programs.run([*command, "--data", real_data], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (row,) = (line for line in done.stdout.splitlines() if line.startswith("energy"))
    total, missed, false = (float(row[a:b]) for a, b in ((16, 22), (24, 29), (31, 35)))
    assert np.isclose(total, missed + false, atol=0.15) and 2 < total < 25
