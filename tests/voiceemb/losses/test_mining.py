"""Every strategy against loops over a small table of cosines."""

import numpy as np
import pytest

from tests.references import unit
from voiceemb.losses import mining

LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 3])  # the last one has no positive


def table(rng, labels=LABELS):
    rows = unit(rng, len(labels), 6)
    cosine = rows @ rows.T
    relations = mining.relations(labels)
    return cosine, *(np.asarray(r) for r in relations)


def choose(name, rng, labels=LABELS):
    cosine, positive, negative = table(rng, labels)
    chance = rng.uniform(size=(2, *cosine.shape)).astype("float32")
    chosen = mining.STRATEGIES[name](cosine, positive, negative, chance=chance)
    same, other, weight = (np.asarray(x) for x in chosen)
    return cosine, same, other, weight


def positives(a, labels=LABELS):
    return [b for b in range(len(labels)) if labels[b] == labels[a] and b != a]


def negatives(a, labels=LABELS):
    return [b for b in range(len(labels)) if labels[b] != labels[a]]


def test_relations_leave_out_the_row_itself():
    positive, negative = (np.asarray(r) for r in mining.relations(LABELS))
    for a in range(len(LABELS)):
        assert np.flatnonzero(positive[a]).tolist() == positives(a)
        assert np.flatnonzero(negative[a]).tolist() == negatives(a)


def test_batch_hard_takes_the_farthest_positive_and_the_nearest_negative(rng):
    cosine, same, other, weight = choose("batch_hard", rng)
    assert weight.tolist() == [1] * 7 + [0]
    for a in range(7):
        assert same[a] == min(cosine[a, p] for p in positives(a))
        assert other[a] == max(cosine[a, n] for n in negatives(a))


def test_hard_takes_any_positive_and_the_nearest_negative(rng):
    cosine, same, other, weight = choose("hard", rng)
    assert weight.tolist() == [1] * 7 + [0]
    for a in range(7):
        assert same[a] in [cosine[a, p] for p in positives(a)]
        assert other[a] == max(cosine[a, n] for n in negatives(a))


def test_semi_hard_takes_the_nearest_negative_beyond_each_positive(rng):
    cosine, same, other, weight = choose("semi_hard", rng)
    for a in range(len(LABELS)):
        assert np.flatnonzero(weight[a]).tolist() == positives(a)
        for p in positives(a):
            beyond = [cosine[a, n] for n in negatives(a) if cosine[a, n] < cosine[a, p]]
            nearest = max(beyond) if beyond else min(cosine[a, n] for n in negatives(a))
            assert same[a, p] == cosine[a, p]
            assert other[a, p] == nearest


def test_batch_all_counts_every_triplet_once(rng):
    cosine, same, other, weight = choose("batch_all", rng)
    expected = [
        (cosine[a, p], cosine[a, n])
        for a in range(len(LABELS))
        for p in positives(a)
        for n in negatives(a)
    ]
    same, other = (np.broadcast_to(x, weight.shape)[weight > 0] for x in (same, other))
    assert list(zip(same, other, strict=True)) == expected


def test_random_takes_valid_triplets_and_in_time_all_of_them(rng):
    cosine, positive, negative = table(rng)
    seen = set()
    for _ in range(60):
        chance = rng.uniform(size=(2, 8, 8)).astype("float32")
        same, other, weight = mining.random(cosine, positive, negative, chance=chance)
        assert np.asarray(weight).tolist() == [1] * 7 + [0]
        seen.add((float(same[0]), float(other[0])))
    valid = {(cosine[0, p], cosine[0, n]) for p in positives(0) for n in negatives(0)}
    assert seen == {(float(p), float(n)) for p, n in valid}


@pytest.mark.parametrize("name", mining.STRATEGIES)
def test_two_speakers_with_two_utterances_are_enough(name, rng):
    labels = np.array([5, 5, 9, 9])
    _, same, other, weight = choose(name, rng, labels)
    assert weight.sum() >= 4
    same, other = (np.broadcast_to(x, weight.shape)[weight > 0] for x in (same, other))
    assert (np.abs(same) <= 1.001).all() and (np.abs(other) <= 1.001).all()


@pytest.mark.parametrize("name", mining.STRATEGIES)
def test_one_speaker_alone_makes_no_triplet(name, rng):
    assert choose(name, rng, np.zeros(4, int))[-1].sum() == 0
