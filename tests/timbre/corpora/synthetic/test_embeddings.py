import numpy as np
import pytest

from timbre.corpora.embeddings import EmbeddingSet
from timbre.corpora.synthetic import embeddings


def nearest(queries, voices):
    return (queries @ voices.T).max(axis=1).mean()


def test_points_are_unit_vectors_with_a_name_and_a_mode():
    voices = embeddings.sample_speakers(500, seed=1)
    assert voices.embeddings.shape == (500, 64)
    assert voices.embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(voices.embeddings, axis=1), 1, atol=1e-6)
    assert len({*voices.speaker}) == 500
    high = np.mean(voices.labels["mode"] == "high")
    assert abs(high - 0.5) < 3 * 0.5 / np.sqrt(500)  # a fair coin
    assert voices.about["dim"] == 64


def test_the_same_seed_samples_the_same_speakers_and_a_larger_set_begins_with_them():
    few, many = (
        embeddings.sample_speakers(20, seed=3),
        embeddings.sample_speakers(50, seed=3),
    )
    np.testing.assert_allclose(few.embeddings, many.embeddings[:20], atol=1e-6)
    assert (few.labels["mode"] == many.labels["mode"][:20]).all()
    other = embeddings.sample_speakers(20, seed=4)
    assert np.abs(few.embeddings - other.embeddings).max() > 0.1


def test_points_follow_the_equation():
    """Without noise all would lie in the 12 directions of `unit(tanh(u) @ W)`."""
    voices = embeddings.sample_speakers(4000).embeddings.astype(float)
    variance = np.linalg.eigvalsh(voices.T @ voices / 4000)[::-1]
    share = np.cumsum(variance) / variance.sum()
    sheet = np.random.default_rng(embeddings.WORLD).normal(size=(12, 64))
    directions = np.linalg.svd(sheet)[2][:12]
    assert share[11] > 0.9 and variance[11] > 5 * variance[12]
    inside = np.square(voices @ directions.T).sum(axis=1).mean()
    assert share[11] - 0.01 < inside <= share[11]


def test_the_sheet_is_curved(rng):
    """Where it goes straight on, the coordinate of the modes would be 2.4 times wider.

    `tanh` holds it to 1.5 times.
    """
    sheet = np.random.default_rng(embeddings.WORLD).normal(size=(12, 64))
    place = embeddings.sample_speakers(4000).embeddings @ np.linalg.pinv(sheet)
    first, *others = np.sqrt(np.square(place).mean(axis=0))
    moved, still = (
        rng.normal(embeddings.MODE_SHIFT, size=10_000),
        rng.normal(size=10_000),
    )
    widths = [np.sqrt(np.square(np.tanh(u)).mean()) for u in (moved, still)]
    assert first / np.mean(others) == pytest.approx(widths[0] / widths[1], abs=0.06)
    assert np.ptp(others) < 0.1 * np.mean(others)


def test_the_modes_are_two_heaps():
    voices = embeddings.sample_speakers(2000)
    high = voices.labels["mode"] == "high"
    low, up = voices.embeddings[~high], voices.embeddings[high]
    axis = up.mean(axis=0) - low.mean(axis=0)
    guessed = (voices.embeddings @ axis) > (low.mean(0) + up.mean(0)) @ axis / 2
    assert np.mean(guessed == high) > 0.95


def test_unseen_speakers_are_as_near_as_the_measures_expect():
    voices = embeddings.sample_speakers(5000).embeddings
    assert nearest(voices[4000:], voices[:4000]) == pytest.approx(0.86, abs=0.01)


def test_utterances_are_nearer_to_their_own_speaker_than_others_are():
    voices = embeddings.sample_utterances(250, 20, seed=0)
    assert len(voices) == 5000 and len({*voices.speaker}) == 250
    assert len({*voices.segment}) == 5000
    rows = voices.embeddings.reshape(250, 20, 64)
    own = np.mean([nearest(one[:1], one[1:]) for one in rows])
    others = embeddings.sample_utterances(250, 1, seed=1).embeddings
    assert own == pytest.approx(0.977, abs=0.002)
    assert nearest(others, voices.embeddings) == pytest.approx(0.76, abs=0.02)
    np.testing.assert_allclose(np.linalg.norm(voices.embeddings, axis=1), 1, atol=1e-6)


def test_utterances_without_noise_are_their_speakers():
    one, many = (
        embeddings.sample_speakers(5, 2),
        embeddings.sample_utterances(5, 3, 2, within=0.0),
    )
    np.testing.assert_allclose(many.embeddings[::3], one.embeddings, atol=1e-6)
    assert (many.labels["mode"][::3] == one.labels["mode"]).all()


def test_any_number_of_dimensions_will_do(tmp_path):
    for dim in (1, 5, 128):
        voices = embeddings.sample_utterances(3, 2, dim=dim)
        voices.save(tmp_path / "set.npz")
        assert EmbeddingSet.load(tmp_path / "set.npz").embeddings.shape == (6, dim)


def test_nothing_to_draw_is_an_error():
    for count, dim in ((0, 64), (3, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            embeddings.sample_speakers(count, dim=dim)
    with pytest.raises(ValueError, match="`each` must be at least 1"):
        embeddings.sample_utterances(3, 0)
