"""Alignment: parts begin where their classes differ, and nothing is stretched."""

import numpy as np
import pytest

from flows.bijectors.lda_rotation import Alignment, discriminant_directions
from tests.contracts import check_bijector

DIM = 8
SIZES = (3, 4)


def told_apart(rng, count=480, spread=3.0):
    """Rows of two factors; the classes of each differ in places of their own.

    All pairs of classes are equally many, so no average tells of the other factor.

    Returns:
        x `[count, 8]`, labels `[count, 2]`, and the axes of each factor's differences.
    """
    axes = np.linalg.qr(rng.normal(size=(DIM, DIM)))[0].T
    places = axes[:2], axes[2:5]
    labels = np.stack(np.unravel_index(np.arange(count) % np.prod(SIZES), SIZES), 1)
    labels = rng.permutation(labels)
    x = rng.normal(size=(count, DIM))
    for f, (size, place) in enumerate(zip(SIZES, places, strict=True)):
        means = spread * (f + 1) * rng.normal(size=(size, len(place))) @ place
        x += means[labels[:, f]]
    return x, labels, places


def between(z, labels):
    """The scatter of class averages, `[dim]`, by a loop over the classes."""
    scatter = np.zeros(z.shape[1])
    for label in set(labels.tolist()) - {-1}:
        own = z[labels == label]
        scatter += len(own) * (own.mean(0) - z[labels >= 0].mean(0)) ** 2
    return scatter / (labels >= 0).sum()


def started(dims, x, labels, dtype="float64"):
    bijector = Alignment(dims, dtype=dtype)
    return bijector, np.asarray(bijector.adapt(x, labels=labels))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_contract(dtype, rng):
    x, labels, _ = told_apart(rng)
    check_bijector(Alignment((2, 3), dtype=dtype), x[:8], identity=True)
    bijector, _ = started((2, 3), x, labels, dtype)
    check_bijector(bijector, x[:8])


def test_it_turns_and_does_not_stretch(rng):
    x, labels, _ = told_apart(rng)
    for dims in [(2, 3), (4, 4), (1, 1), (3, 5)]:
        rotation = discriminant_directions(x, labels, dims)
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(DIM), atol=1e-12)
        _, z = started(dims, x, labels)
        np.testing.assert_allclose(z, x @ rotation.T, atol=1e-12)


def test_first_part_holds_all_that_averages_of_its_classes_differ_in(rng):
    x, labels, _ = told_apart(rng)
    _, z = started((2, 3), x, labels)
    phone, speaker = between(z, labels[:, 0]), between(z, labels[:, 1])
    np.testing.assert_allclose(phone[2:], 0, atol=1e-12)
    np.testing.assert_allclose(phone.sum(), between(x, labels[:, 0]).sum())
    np.testing.assert_allclose(speaker[5:], 0, atol=1e-12)
    assert speaker[2:5].sum() > 0.99 * speaker.sum()  # the rest is noise
    assert phone[0] > phone[1] and speaker[2] > speaker[3] > speaker[4]


def test_true_places_are_found(rng):
    """With many rows, the principal angles to where classes really differ are small."""
    x, labels, places = told_apart(rng, count=24_000)
    rotation = discriminant_directions(x, labels, (2, 3))
    for found, place in zip((rotation[:2], rotation[2:5]), places, strict=True):
        cosines = np.linalg.svd(found @ place.T)[1]
        assert cosines.min() > 0.999


def test_small_part_gets_the_leading_directions(rng):
    """They count rows, not classes: one class is nearly gone."""
    x, labels, _ = told_apart(rng)
    stays = (labels[:, 0] != 2) | (np.arange(len(x)) < 30)
    x, labels = x[stays], labels[stays]
    full, small = (
        discriminant_directions(x, labels, dims) for dims in ((2, 3), (1, 2))
    )
    np.testing.assert_allclose(np.abs(small[0] @ full[0]), 1)
    means = np.stack([x[labels[:, 0] == k].mean(axis=0) for k in range(3)])
    most = np.linalg.eigvalsh(
        np.cov(means.T, fweights=np.bincount(labels[:, 0]), ddof=0)
    )[-1]
    assert between(x @ small.T, labels[:, 0])[0] == pytest.approx(most)


def test_factor_within_another_keeps_its_direction(rng):
    """Where speaker says the gender, the speaker's part has what is left of both."""
    x, labels, _ = told_apart(rng)
    nested = np.stack([labels[:, 1], labels[:, 1] // 2], axis=1)
    rotation = discriminant_directions(x, nested, (3, 1))
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(DIM), atol=1e-12)
    gender, speaker = (between(x @ rotation.T, nested[:, f]) for f in (1, 0))
    np.testing.assert_allclose(np.delete(gender, 3), 0, atol=1e-12)
    np.testing.assert_allclose(speaker[[2, 4, 5, 6, 7]], 0, atol=1e-12)
    assert speaker[:2].min() > 0.1


def test_missing_labels_and_missing_classes_count_for_nothing(rng):
    x, labels, _ = told_apart(rng)
    hidden = labels.copy()
    hidden[200:] = -1
    found = discriminant_directions(x, hidden, (2, 3))
    expected = discriminant_directions(x[:200], labels[:200], (2, 3))
    np.testing.assert_allclose(np.abs(found[:5] @ expected[:5].T), np.eye(5), atol=1e-9)
    higher = labels + [[1, 0]]  # nobody is of class 0
    found, expected = (
        discriminant_directions(x, given, (2, 3)) for given in (higher, labels)
    )
    np.testing.assert_allclose(np.abs(found[:5] @ expected[:5].T), np.eye(5), atol=1e-9)
    for given in (None, np.full_like(labels, -1)):
        _, z = started((2, 3), x, given)
        np.testing.assert_allclose(np.sort(z**2).sum(1), (x**2).sum(1))
    np.testing.assert_array_equal(started((2, 3), x, None)[1], x)
