"""Similarity matrices against plain loops; linkability where its value is known."""

import numpy as np
import pytest

from timbre.metrics import arrays
from timbre.metrics.linkability import (
    diagonal_dominance,
    distinctiveness,
    linkability,
    similarity_matrix,
)


def llr(cosine):
    return 8 * cosine - 3


def recordings(rng, speakers=6, each=4, dim=12, spread=0.3):
    voices = rng.normal(size=(speakers, dim)).repeat(each, axis=0)
    names = np.repeat([f"s{i}" for i in range(speakers)], each)
    return voices + spread * rng.normal(size=voices.shape), names


@pytest.mark.parametrize("block_bytes", [1, 2**25])
def test_the_matrix_is_the_formula_of_the_paper(rng, monkeypatch, block_bytes):
    monkeypatch.setattr(arrays, "BLOCK_BYTES", block_bytes)
    left, names = recordings(rng, speakers=3)
    names[:2] = "s1"  # six, two and four utterances
    order = rng.permutation(len(names))
    left, names = left[order], names[order]
    right = left + rng.normal(size=left.shape)
    expected = np.zeros((3, 3))
    for i, a in enumerate(np.unique(names)):
        for j, b in enumerate(np.unique(names)):
            ratios = [
                llr(x @ y / np.linalg.norm(x) / np.linalg.norm(y))
                for k, x in enumerate(left)
                for m, y in enumerate(right)
                if names[k] == a and names[m] == b and k != m
            ]
            expected[i, j] = 1 / (1 + np.exp(-np.mean(ratios)))
    found = similarity_matrix(left, right, names, llr)
    np.testing.assert_allclose(found, expected)


def test_dominance_is_of_the_diagonal_either_way():
    assert diagonal_dominance(np.eye(4)) == 1
    assert diagonal_dominance(1 - np.eye(4)) == 1
    assert diagonal_dominance(np.full((4, 4), 0.3)) == pytest.approx(0)
    with pytest.raises(ValueError, match="square"):
        diagonal_dominance(np.ones((2, 3)))


def test_no_protection_takes_and_leaves_everything_as_it_was(rng):
    original, names = recordings(rng)
    found = distinctiveness(original, original, names, llr)
    assert found == pytest.approx({"de_identification": 0, "gain_db": 0})


def test_new_voices_hide_speakers_and_stay_apart(rng):
    original, names = recordings(rng, speakers=20, dim=64)
    others, _ = recordings(rng, speakers=20, dim=64)
    found = distinctiveness(original, others, names, llr)
    assert found["de_identification"] > 0.95
    assert found["gain_db"] == pytest.approx(0, abs=0.5)


def test_one_voice_for_all_hides_them_and_says_nothing(rng):
    original, names = recordings(rng)
    one = np.ones_like(original)
    found = distinctiveness(original, one, names, llr)
    assert found["gain_db"] < -100
    assert found["de_identification"] > 0.8


def test_matrices_need_utterances_to_compare(rng):
    rows, names = recordings(rng)
    for wrong in (names[:-1], np.arange(len(rows)), np.zeros(len(rows))):
        with pytest.raises(ValueError, match="two versions"):
            similarity_matrix(rows, rows, wrong, llr)
    with pytest.raises(ValueError, match="two versions"):
        similarity_matrix(rows, rows[:-1], names, llr)
    with pytest.raises(ValueError, match="`right` must be finite"):
        similarity_matrix(rows, rows * np.nan, names, llr)
    with pytest.raises(ValueError, match="must distinguish the speakers"):
        distinctiveness(np.ones_like(rows), rows, names, lambda x: 0 * x)


def test_scores_that_never_meet_link_every_pair(rng):
    found = linkability(2 + rng.random(500), rng.random(300))
    assert found["linkability"] == pytest.approx(1)
    assert found["by_chance"] < 0.3


def test_scores_of_one_distribution_link_none_but_by_chance(rng):
    found = linkability(rng.normal(size=50_000), rng.normal(size=50_000))
    assert found["linkability"] < 0.02
    few = linkability(rng.normal(size=1000), rng.normal(size=1000))
    assert few["linkability"] == pytest.approx(few["by_chance"], abs=0.03)
    assert few["by_chance"] == pytest.approx(0.1, abs=0.02)
    assert linkability(np.ones(50), np.ones(50))["linkability"] == 0


def test_two_uniform_densities_have_the_linkability_of_the_integral(rng):
    """Mated on [0, 1], others on [.5, 1.5] with density 1 each: half is free of others.

    There `D = 1`, elsewhere `LR = 1` and `D = 0`: `D_sys = .5`. With `w = 3` the shared
    half has `D = 2 * 3 / 4 - 1 = .5`, so `D_sys = .75`.
    """
    mated, other = rng.random(100_000), 0.5 + rng.random(100_000)
    found = linkability(mated, other, permutations=0)["linkability"]
    assert found == pytest.approx(0.5, abs=0.02)
    found = linkability(mated, other, prior_ratio=3, permutations=0)["linkability"]
    assert found == pytest.approx(0.75, abs=0.02)


def test_bins_follow_the_scores_and_bad_scores_are_refused(rng):
    assert linkability(rng.random(200), rng.random(999))["bins"] == 20
    assert linkability(rng.random(5000), rng.random(999))["bins"] == 100
    for mated in ([], [[1.0]], [np.nan]):
        with pytest.raises(ValueError, match="finite scores"):
            linkability(mated, [1.0])
    with pytest.raises(ValueError, match="`bins` must be 1 to 100"):
        linkability([1.0], [0.0], bins=101)
    with pytest.raises(ValueError, match="`prior_ratio`"):
        linkability([1.0], [0.0], prior_ratio=0)
