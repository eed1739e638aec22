"""The benchmark of enrolment: its parts on voices that are numbers, and all of it."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from tests import programs
from tests.conftest import ROOT
from tests.references import unit
from tests.voiceemb.voices import sentence
from timbre.audio import wave
from timbre.metrics.calibration import LogisticCalibration
from timbre.metrics.score_adaptation import ScoreDistribution
from voiceemb.enrolment import cohort_calibration, identification
from voiceemb.enrolment.quality import Quality

SCRIPT = ROOT / "benchmarks" / "enrolment.py"
LINE = LogisticCalibration(slope=40.0, offset=-20.0)
OPTIONS = SimpleNamespace(samples=1, unknown_prior=0.5, people=None)


def corpus(rng, speakers=8, each=6, noise=0.2, dim=32):
    """Speakers, qualities and embeddings; cosines are about 0.96 of one, 0 of two."""
    voices = np.repeat(unit(rng, speakers, dim), each, axis=0)
    rows = voices + noise * rng.normal(size=voices.shape) / np.sqrt(dim)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    speaker = np.repeat([f"s{n}" for n in range(speakers)], each)
    return speaker, [("take", Quality(4.0, 0.0, 30.0))] * len(rows), rows


def test_clear_voices_are_all_identified_and_no_unknown_speaker_is(benchmark, rng):
    found, refused, counts = benchmark.answer(
        corpus(rng), OPTIONS, rng, benchmark.fixed(LINE)
    )
    right, said, known, named = found.T
    assert len(found) == 4 * 5 + 4 * 6 and counts == (4, 8) and refused == 0
    assert right.all() and (named == known).all() and said.min() > 0.9


def test_of_few_people_there_are_as_many_unknown_speakers(benchmark, rng):
    options = SimpleNamespace(samples=2, unknown_prior=0.5, people=3)
    found, _, counts = benchmark.answer(
        corpus(rng, 12), options, rng, benchmark.fixed(LINE)
    )
    assert counts == (3, 6) and len(found) == 3 * 4 + 3 * 6


def test_enrolled_recordings_are_not_asked_and_come_from_their_speaker(benchmark, rng):
    held = corpus(rng)
    people, used, _ = benchmark.enrol(["s1", "s4"], held, 3, rng, benchmark.fixed(LINE))
    assert [len(own) for own in people.values()] == [3, 3] and len({*used}) == 6
    assert held[0][used].tolist() == ["s1"] * 3 + ["s4"] * 3
    np.testing.assert_allclose(people["s4"].embeddings, held[2][used[3:]], atol=1e-6)


def test_a_third_that_calibrates_is_neither_enrolled_nor_asked(benchmark, rng):
    found, _, counts = benchmark.answer(corpus(rng, 9), OPTIONS, rng)
    assert counts == (3, 6) and len(found) == 6 * 6 - 3


def test_the_calibration_of_a_store_uses_its_people_and_no_corpus_but_the_others(
    benchmark, rng
):
    rest = [corpus(rng, noise=noise) for noise in (0.5, 1.0)]
    calibrate = benchmark.store(rest)
    people, _, _ = benchmark.enrol(["s0", "s1"], corpus(rng), 2, rng, calibrate)
    places = {}
    for n, (speaker, _, rows) in enumerate(rest):
        cosines, kinds = rows @ rows.T, speaker[:, None] == speaker
        above = np.triu(np.ones_like(kinds), 1)
        places[n] = tuple(
            ScoreDistribution.from_scores(cosines[kind & above])
            for kind in (kinds, ~kinds)
        )
    samples = {name: own.embeddings for name, own in people.items()}
    for given in ({}, samples):
        found = calibrate({name: people[name] for name in given})
        expected = cohort_calibration.calibrate(places, given)
        assert np.isclose(found.slope, expected.slope)
        assert np.isclose(found.offset, expected.offset)


def test_of_other_corpora_each_counts_alike_however_large(benchmark, rng):
    small, large = corpus(rng, 4, noise=1.5), corpus(rng, 20, noise=0.5)
    alone = [benchmark.others([one], 1).threshold() for one in (small, large)]
    both = benchmark.others([small, large], 1)
    assert min(alone) < both.threshold() < max(alone)
    label, scores, weights = [], [], []
    for speaker, _, rows in (small, large):
        same, found = identification.trials(rows, speaker)
        label, scores = np.append(label, same), np.append(scores, found)
        weights = np.append(weights, 1 / np.where(same, same.sum(), (~same).sum()))
    expected = LogisticCalibration.fit(label, scores, weights=weights)
    assert np.isclose(both.slope, expected.slope)


def test_the_error_is_of_decisions_and_known_where_all_are_right(benchmark):
    right, said = np.array([True, True, False, False]), np.array([0.9, 0.9, 0.1, 0.1])
    assert np.isclose(benchmark.calibration_error(right, said), 0.1)
    every = np.ones(4, bool)
    assert np.isclose(benchmark.calibration_error(every, np.full(4, 0.7)), 0.3)


@pytest.fixture
def folders(rng, tmp_path):
    """Two corpora of three made-up voices with pauses around them."""
    for name in ("one", "two"):
        for number in range(3):
            for take in range(4):
                path = tmp_path / name / f"s{number}" / f"{take}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                sound = sentence(3.0, f0_hz=90 + 60 * number + rng.uniform(-9, 9))
                noise = 1e-4 * rng.normal(size=len(sound) + 16000)
                wave.write(path, np.pad(sound, 8000) + noise.astype(np.float32))
    return tmp_path


@pytest.mark.slow
def test_the_tables_have_a_row_of_each_calibration(folders):
    one, two = str(folders / "one"), str(folders / "two")
    command = [sys.executable, SCRIPT, "--draws", "2"]
    command += ["--detector", "energy", "--corpus", one, two]
    done = programs.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    about, head, *rows = done.stdout.splitlines()
    assert about.startswith("1 a person, 2 draws") and head.startswith("corpus")
    kinds = [tuple(row.split()[:2]) for row in rows[:6]]
    expected = [(c, k) for c in ("one", "two") for k in ("encoder", "others", "store")]
    assert kinds == expected and rows[7].startswith("reliability")
