"""Scores against plain loops, posteriors against Bayes' rule written down."""

import numpy as np
import pytest

from tests.references import unit
from timbre.metrics.calibration import LogisticCalibration
from voiceemb.enrolment import identification
from voiceemb.enrolment.identification import SCORINGS, Gallery

LINE = LogisticCalibration(slope=10.0, offset=-4.0)


@pytest.fixture
def samples(rng):
    return {name: unit(rng, num, 16) for name, num in (("a", 1), ("b", 2), ("c", 5))}


def plain(voice, rows, scoring):
    """One score by a loop over the samples."""
    cosines = sorted(float(np.dot(row.astype(float), voice)) for row in rows)
    if scoring == "centroid":
        mean = sum(row.astype(float) for row in rows)
        return float(np.dot(mean, voice)) / np.sqrt(np.dot(mean, mean))
    if scoring == "mean-distance":
        return -sum(np.sqrt(sum((row - voice) ** 2)) for row in rows) / len(rows)
    most = {"max": 1, "top": 3}[scoring]
    return sum(cosines[-most:]) / min(most, len(cosines))


@pytest.mark.parametrize("scoring", SCORINGS)
def test_scores_are_those_of_a_plain_loop(rng, samples, scoring):
    voices = unit(rng, 6, 16).astype(float)
    voices /= np.linalg.norm(voices, axis=1, keepdims=True)
    found = Gallery(samples).scores(voices, scoring=scoring)
    expected = [[plain(v, rows, scoring) for rows in samples.values()] for v in voices]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(
        Gallery(samples).scores(voices[0], scoring=scoring), found[0]
    )


def test_of_one_sample_all_ways_give_one_order(rng):
    rows = unit(rng, 9, 16)
    gallery = Gallery({str(i): row[None] for i, row in enumerate(rows)})
    voice = unit(rng, 1, 16)[0]
    orders = {
        tuple(np.argsort(gallery.scores(voice, scoring=scoring)))
        for scoring in SCORINGS
    }
    assert len(orders) == 1
    distance = -gallery.scores(voice, scoring="mean-distance")
    cosine = gallery.scores(voice)
    np.testing.assert_allclose(distance**2, 2 - 2 * cosine, atol=1e-6)


def test_an_unknown_way_is_refused(samples):
    with pytest.raises(ValueError, match="`scoring` must be one of"):
        Gallery(samples).scores(np.ones(16), scoring="plda")


def test_the_posterior_is_bayes_rule():
    """Priors .3 / 3 each and .7; ratios 2, 1 and 20: weights .2, .1, 2 and .7."""
    found = identification.posterior(np.log([2, 1, 20]), unknown_prior=0.7)
    np.testing.assert_allclose(found, np.array([0.2, 0.1, 2.0, 0.7]) / 3.0)


@pytest.mark.parametrize("unknown_prior", [0.0, 0.3, 0.999])
def test_scores_that_say_nothing_leave_the_prior(unknown_prior):
    found = identification.posterior(np.zeros(4), unknown_prior=unknown_prior)
    np.testing.assert_allclose(found, [(1 - unknown_prior) / 4] * 4 + [unknown_prior])


def test_probabilities_sum_to_one_and_stay_finite_for_any_ratio(rng):
    for scale in (1, 1e3, 1e300):
        found = identification.posterior(scale * rng.normal(size=50), unknown_prior=0.5)
        assert np.isfinite(found).all() and np.isclose(found.sum(), 1)


def test_one_person_and_an_unknown_speaker_is_verification():
    scores = np.array([0.45])
    found = identification.posterior(LINE.llr(scores), unknown_prior=0.8)
    assert np.isclose(found[0], LINE.probability(0.45, prior=0.2))
    decision = identification.verify(0.45, calibration=LINE, prior=0.2)
    assert np.isclose(decision.probability, found[0]) and not decision.same


def test_the_posterior_of_made_scores_is_honest(rng):
    """Gaussian scores of independent people: of answers said 80 %, four in five hold.

    Same ~ N(.6, .2**2), different ~ N(.2, .2**2): llr = 10 x - 4, the line above.
    """
    people, said, right = 5, [], []
    for _ in range(4000):
        speaker = rng.integers(people) if rng.uniform() < 0.5 else None
        scores = rng.normal(0.2, 0.2, people)
        if speaker is not None:
            scores[speaker] += 0.4
        names = [*range(people)]
        found = identification.identify(names, scores, calibration=LINE)
        said.append(found.probability)
        right.append(found.name == speaker)
    said, right = np.array(said), np.array(right)
    for low in (0.5, 0.7, 0.9):
        some = (said >= low) & (said < low + 0.2)
        error = np.sqrt(0.25 / some.sum())
        assert abs(said[some].mean() - right[some].mean()) < 3 * error


def test_nobody_is_identified_when_unknown_is_likeliest():
    scores = np.array([0.1, 0.35])
    found = identification.identify(["anna", "ben"], scores, calibration=LINE)
    assert found.name is None and found.score == 0.35
    chances = identification.posterior(LINE.llr(scores))
    assert np.isclose(found.probability, chances[-1])
    assert [c[0] for c in found.candidates] == ["ben", "anna"]
    np.testing.assert_allclose([c[2] for c in found.candidates], chances[[1, 0]])
    surely = identification.identify(
        ["anna", "ben"], scores, calibration=LINE, unknown_prior=0.0
    )
    assert surely.name == "ben"


def test_with_nobody_enrolled_nobody_speaks():
    found = identification.identify([], np.zeros(0), calibration=LINE)
    assert (found.name, found.probability, found.score) == (None, 1.0, None)


def test_without_a_calibration_only_a_threshold_decides():
    names, scores = ["anna", "ben"], np.array([0.1, 0.35])
    with pytest.raises(ValueError, match="calibration.*or a `threshold`"):
        identification.identify(names, scores)
    with pytest.raises(ValueError, match="calibration.*or a `threshold`"):
        identification.verify(0.4)
    found = identification.identify(names, scores, threshold=0.35)
    assert found.name == "ben" and found.probability is None
    assert found.candidates == [("ben", 0.35, None), ("anna", 0.1, None)]
    assert identification.identify(names, scores, threshold=0.36).name is None
    assert identification.verify(0.4, threshold=0.4).same


def test_a_threshold_goes_before_the_calibration():
    found = identification.identify(
        ["a"], np.array([0.9]), calibration=LINE, threshold=1
    )
    assert found.name is None and found.probability < 0.1
    assert not identification.verify(0.9, calibration=LINE, threshold=1).same


@pytest.mark.parametrize("unknown_prior", [-0.1, 1, np.nan])
def test_the_unknown_prior_is_a_probability_below_one(unknown_prior):
    with pytest.raises(ValueError, match=r"`unknown_prior` must be in \[0, 1\)"):
        identification.posterior(np.zeros(2), unknown_prior=unknown_prior)


def test_trials_score_what_is_not_enrolled_against_all_who_are(rng):
    """4 speakers of 5, 2 enrolled: 3 same and 9 different a speaker and draw."""
    speaker = np.repeat([*"abcd"], 5)
    embeddings = np.eye(4)[np.searchsorted([*"abcd"], speaker)]
    label, scores = identification.trials(embeddings, speaker, samples=2, repeats=3)
    assert label.sum() == 3 * 4 * 3 and (~label).sum() == 3 * 4 * 9
    np.testing.assert_allclose(scores, label)  # one voice 1, two voices 0
    again = identification.trials(embeddings, speaker, samples=2, repeats=3)
    np.testing.assert_array_equal(again[0], label)


def test_trials_of_speakers_with_too_little_are_refused(rng):
    with pytest.raises(ValueError, match="two speakers or more"):
        identification.trials(unit(rng, 4, 8), [*"aabc"])
