"""Diarization errors are those of pyannote.metrics."""

import numpy as np
import pytest

from tests.timbre.metrics.conversations import (
    OPTIONS,
    conversation,
    imperfect_hypothesis,
    overlapping,
    turns,
)
from timbre.metrics.diarization import score
from timbre.turns import read_rttm, read_uem


def annotation(turns):
    """The turns for pyannote; turns that overlap are several tracks."""
    core = pytest.importorskip("pyannote.core")
    result = core.Annotation()
    for track, turn in enumerate(turns):
        result[core.Segment(turn.start, turn.end), track] = turn.speaker
    return result


def by_pyannote(truth, found, *, uem=None, collar=0.0, skip_overlap=False):
    """What pyannote.metrics says of two annotations, under our names."""
    peer = pytest.importorskip("pyannote.metrics.diarization")
    core = pytest.importorskip("pyannote.core")
    options = {"collar": 2 * collar, "skip_overlap": skip_overlap}
    der, jer = peer.DiarizationErrorRate(**options), peer.JaccardErrorRate(**options)
    scored_parts = core.Timeline([core.Segment(*part) for part in uem or [(0, 1000)]])
    parts = der.compute_components(truth, found, uem=scored_parts)
    jaccard = jer.compute_components(truth, found, uem=scored_parts)
    scored = der.uemify(truth, found, uem=scored_parts, **options)
    return {
        "total": parts["total"],
        "missed": parts["missed detection"],
        "false_alarm": parts["false alarm"],
        "confusion": parts["confusion"],
        "der": der.compute_metric(parts),
        "jer": jer.compute_metric(jaccard),
        "num_scored": jaccard["speaker count"],
        "num_speakers": len(truth.crop(scored_parts).labels()),
        "num_found": len(found.crop(scored_parts).labels()),
        "purity": peer.DiarizationPurity()(*scored, uem=scored_parts),
        "coverage": peer.DiarizationCoverage()(*scored, uem=scored_parts),
    }


def check(found, expected):
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, rel=0, abs=1e-9), name


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("seed", range(2))
def test_every_figure_is_that_of_pyannote(options, seed):
    rng = np.random.default_rng(seed)
    for _ in range(8):
        truth, found = conversation(rng), conversation(rng)
        expected = by_pyannote(annotation(truth), annotation(found), **options)
        check(score(truth, found, **options), expected)
        found = imperfect_hypothesis(rng, truth)
        one_at_once = annotation(found).support()
        expected = by_pyannote(annotation(truth), one_at_once, **options)
        check(score(truth, found, **options), expected)


@pytest.mark.parametrize("skip_overlap", [False, True])
@pytest.mark.parametrize("uem", [None, [(3.0, 8.0), (10.5, 20.0)]])
def test_who_overlaps_themselves_is_scored_as_the_support_by_pyannote(
    rng, uem, skip_overlap
):
    options = {"uem": uem, "skip_overlap": skip_overlap}
    for _ in range(15):
        truth, found = overlapping(rng), overlapping(rng)
        joined = (annotation(turns).support() for turns in (truth, found))
        check(score(truth, found, **options), by_pyannote(*joined, **options))


def test_nobody_speaks_twice_at_once():
    """pyannote, which scores tracks, says 2.5 s of the same."""
    truth = turns(a=[(0, 1), (0.5, 2)])
    result = score(truth, turns(x=[(0, 2)]))
    assert (result.total, result.der) == (2.0, 0.0)
    assert by_pyannote(annotation(truth), annotation(truth))["total"] == 2.5
    assert score(truth, truth, skip_overlap=True).total == 2.0


def test_of_equal_mappings_the_one_of_pyannote_is_taken():
    """Each of x and y agrees with a for 1 s, and x talks longer: JER 9/10 or 1/2."""
    truth, long, short = turns(a=[(0, 2)]), [(0, 1), (2, 10)], [(1, 2)]
    for found, jer in (
        (turns(x=long, y=short), 9 / 10),
        (turns(y=long, x=short), 1 / 2),
    ):
        result = score(truth, found)
        assert (result.mapping, result.jer) == ({"x": "a"}, pytest.approx(jer))
        check(result, by_pyannote(annotation(truth), annotation(found)))


@pytest.mark.real_data
@pytest.mark.parametrize("collar", [0.0, 0.25])
def test_real_meetings_score_as_by_pyannote(real_data, rng, collar):
    paths = sorted((real_data / "diarization").glob("*.rttm"))
    assert paths
    for path in paths:
        ((name, truth),) = read_rttm(path).items()
        uem = read_uem(path.with_suffix(".uem"))[name]
        found = imperfect_hypothesis(rng, truth)
        options = {"uem": uem, "collar": collar}
        one_at_once = annotation(found).support()
        expected = by_pyannote(annotation(truth), one_at_once, **options)
        check(score(truth, found, **options), expected)
