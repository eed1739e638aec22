"""The enrolled cohort says what impostors score in a store."""

import tracemalloc

import numpy as np
import pytest

from tests.references import unit
from timbre.metrics import reliability, score_adaptation
from timbre.metrics.score_adaptation import ScoreDistribution
from voiceemb.enrolment import cohort_calibration, identification

PLACES = {
    "studio": (ScoreDistribution(0.7, 0.12), ScoreDistribution(0.0, 0.15)),
    "street": (ScoreDistribution(0.72, 0.14), ScoreDistribution(0.1, 0.2)),
}
ELSEWHERE = cohort_calibration.calibrate(PLACES, {})


def cohort(rng, people, samples=1, *, alike=0.0, dim=16, noise=0.7):
    """Samples by name. What all voices share is `alike` of the power of each."""
    place = np.sqrt(alike) * unit(rng, 1, dim)
    voices = place + np.sqrt(1 - alike) * unit(rng, people, dim)
    other = noise * rng.normal(size=(people, samples, dim)) / np.sqrt(dim)
    rows = voices[:, None] + other
    rows /= np.linalg.norm(rows, axis=-1, keepdims=True)
    return {f"p{n}": row for n, row in enumerate(rows)}


def anywhere():
    """Scores of one voice and of two where nobody knows."""
    return [
        ScoreDistribution.from_corpora([kinds[n] for kinds in PLACES.values()])
        for n in (0, 1)
    ]


def test_impostor_moments_are_those_of_all_pairs(rng):
    people = [*cohort(rng, 5).values(), *cohort(rng, 3, 4).values()]
    means, squares = [], []
    for a, own in enumerate(people):
        for b, other in enumerate(people):
            if a != b:
                head = other.mean(axis=0) / np.linalg.norm(other.mean(axis=0))
                means.append(np.mean(own @ head))
                squares.append(np.mean((own @ head) ** 2))
    expected = np.mean(means), np.mean(squares)
    np.testing.assert_allclose(
        cohort_calibration.impostor_moments(people), expected, atol=1e-12
    )


def test_nobody_and_somebody_alone_leave_what_is_known_of_elsewhere(rng):
    assert ELSEWHERE == score_adaptation.fit_calibration(*anywhere())
    assert cohort_calibration.calibrate(PLACES, cohort(rng, 1)) == ELSEWHERE


def test_two_alone_are_hardly_surer_than_nobody():
    """They score what impostors elsewhere do, so nothing was learned."""
    mean = anywhere()[1].mean
    two = {"a": np.eye(1, 2), "b": np.array([[mean, np.sqrt(1 - mean**2)]])}
    assert cohort_calibration.calibrate(PLACES, two).slope <= 1.05 * ELSEWHERE.slope


def test_samples_that_cancel_each_other_out_do_no_harm():
    opposite = np.array([[1.0, 0.0], [-1.0, 0.0]])
    for others in ({}, {"ben": np.array([[0.0, 1.0]])}):
        found = cohort_calibration.calibrate(PLACES, {"anna": opposite} | others)
        assert np.isfinite([found.slope, found.offset]).all()


def test_the_more_people_sound_alike_the_more_it_takes_to_be_one_of_them(rng):
    limits = [
        cohort_calibration.calibrate(PLACES, cohort(rng, 12, alike=alike)).threshold()
        for alike in (0.0, 0.3, 0.6)
    ]
    assert (np.diff(limits) > 0.02).all()
    few = cohort_calibration.calibrate(PLACES, cohort(rng, 2, alike=0.6)).threshold()
    assert ELSEWHERE.threshold() < few < limits[-1]


def test_several_samples_make_scores_higher_and_the_threshold_too(rng):
    """Of `k` samples with cosines `c` the mean has length `(c + (1 - c) / k)**.5`."""
    own = cohort(rng, 1, 8)["p0"]
    cosines = (own @ own.T)[np.triu_indices(8, 1)]
    length = np.sqrt(cosines.mean() + (1 - cosines.mean()) / 8)
    assert np.isclose(np.linalg.norm(own.mean(axis=0)), length)
    same, different = (kind.scale(1 / length) for kind in anywhere())
    others = own @ own.sum(axis=0) - 1
    seen = others / 7 / length
    same = same.adapt(seen.mean(), seen.var(), 1, relevance=cohort_calibration.STRENGTH)
    expected = score_adaptation.fit_calibration(same, different)
    found = cohort_calibration.calibrate(PLACES, {"p0": own})
    np.testing.assert_allclose(
        [found.slope, found.offset], [expected.slope, expected.offset]
    )


def test_voices_that_differ_much_from_themselves_may_differ_from_what_is_known(rng):
    limits = [
        cohort_calibration.calibrate(
            PLACES, cohort(rng, 10, 3, noise=noise)
        ).threshold()
        for noise in (0.4, 0.7, 1.0)
    ]
    assert (np.diff(limits) < -0.02).all()


def test_a_store_that_contradicts_itself_tells_nothing(rng):
    """Everybody's two samples are opposite, and all have one of them in common."""
    voice = unit(rng, 1, 16)
    people = {
        f"p{n}": np.concatenate([voice, -0.8 * voice + 0.6 * unit(rng, 1, 16)])
        for n in range(60)
    }
    people = {
        name: rows / np.linalg.norm(rows, axis=1, keepdims=True)
        for name, rows in people.items()
    }
    assert cohort_calibration.calibrate(PLACES, people) == ELSEWHERE


def identify_all(people, samples, line_of):
    """Right or not, probability, and whether an unknown speaker was named."""
    enrolled = {name: people[name][:samples] for name in [*people][::2]}
    gallery, line = identification.Gallery(enrolled), line_of(enrolled)
    for name, rows in people.items():
        for voice in rows[samples:]:
            scores = gallery.scores(voice)
            found = identification.identify(gallery.names, scores, calibration=line)
            known = name in enrolled
            right = found.name == (name if known else None)
            yield right, found.probability, not known and not right


@pytest.mark.parametrize("samples", [1, 3])
def test_in_a_strange_place_probabilities_become_honest(rng, samples):
    """Nearly half of every voice is the room's, and elsewhere's line names it."""
    cohorts = [cohort(rng, 20, samples + 4, alike=0.45) for _ in range(10)]
    named, errors = [], []
    for line_of in (
        lambda people: ELSEWHERE,
        lambda people: cohort_calibration.calibrate(PLACES, people),
    ):
        found = [row for one in cohorts for row in identify_all(one, samples, line_of)]
        right, said, wrong = np.array(found, float).T
        named.append(2 * wrong.mean())  # every second voice is unknown
        options = {"bins": 10, "prior": None}
        errors.append(reliability.expected_calibration_error(right, said, **options))
    assert named[1] < 0.6 * named[0] and errors[1] < min(0.08, 0.6 * errors[0])


def test_memory_grows_with_the_people_and_not_with_their_pairs(rng):
    """All pairs of 4000 people would be 128 MB; their embeddings are half a MB."""
    people = cohort(rng, 4000)
    tracemalloc.start()
    cohort_calibration.calibrate(PLACES, people)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16e6
