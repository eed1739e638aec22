"""Privacy: copies are caught, honest draws pass, and attackers know what they may."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from tests.references import unit
from timbre.metrics import arrays
from timbre.metrics.privacy import (
    collisions,
    fit_semi_informed,
    memorisation,
    reidentification,
)


def test_copies_of_training_voices_are_caught(rng):
    train, held = unit(rng, 80, 12), unit(rng, 80, 12)
    found = memorisation(train, train, held, threshold=0.99)
    assert found["nearest_train"] == pytest.approx(1)
    assert found["authenticity"] == 0
    assert found["membership_auc"] == 1
    assert found["nearer_train"] == found["above_train"] == 1
    assert found["above_held"] == 0


def test_blurred_copies_are_caught_too(rng):
    train, held = unit(rng, 200, 12), unit(rng, 200, 12)
    fake = train[:100] + 0.05 * rng.normal(size=(100, 12))
    found = memorisation(fake, train, held)
    assert found["authenticity"] < 0.05 < 0.3 < found["authenticity_held"]
    assert found["nearer_train_low"] > 0.9 and found["membership_auc"] > 0.7


def test_an_honest_generator_owes_nothing_to_the_training_voices(rng):
    """Sizes differ fourfold; subsampled to equal ones, neither set is nearer."""
    fake, train, held = unit(rng, 1000, 8), unit(rng, 800, 8), unit(rng, 200, 8)
    found = memorisation(fake, train, held)
    assert found["nearer_train_low"] < 0.5 < found["nearer_train_high"]
    assert found["membership_auc"] == pytest.approx(0.5, abs=0.08)
    assert found["nearest_train"] == pytest.approx(found["nearest_held"], abs=0.02)
    gap = found["authenticity"] - found["authenticity_held"]
    assert gap == pytest.approx(0, abs=0.1)


def test_authenticity_is_the_count_of_a_plain_loop(rng):
    fake, train = unit(rng, 30, 3), unit(rng, 25, 3)
    real = 0
    for x in fake:
        near = np.argmin(np.linalg.norm(train - x, axis=1))
        own = np.sort(np.linalg.norm(train - train[near], axis=1))[1]
        real += np.linalg.norm(train[near] - x) > own
    found = memorisation(fake, train, unit(rng, 25, 3))
    assert found["authenticity"] == pytest.approx(real / 30)


def test_memorisation_refuses_bad_sets(rng):
    a, b, c = rng.normal(size=(3, 9, 4))
    with pytest.raises(ValueError, match="`held_out` must be finite"):
        memorisation(a, b, c * np.inf)
    with pytest.raises(ValueError, match="as many columns"):
        memorisation(a, b[:, :3], c)
    with pytest.raises(ValueError, match="`fake` must be"):
        memorisation(a[:1], b, c)


@pytest.mark.parametrize("block_bytes", [1, 2**25])
def test_collisions_are_counted_as_by_hand(monkeypatch, block_bytes):
    monkeypatch.setattr(arrays, "BLOCK_BYTES", block_bytes)
    """Rows 0 and 2 are one voice, 1, 3 and 4 are three others."""
    voices = np.eye(4)[[0, 1, 0, 2, 3]]
    found = collisions(voices, 0.9, counts=(2, 3, 5, 9))
    assert [row["voices"] for row in found] == [2, 3, 5]
    assert [row["nearest"] for row in found] == [0, 1, 1]
    assert [row["pairs"] for row in found] == pytest.approx([0.1] * 3)
    # Of the two twins, the other is among n - 1 of 4 with chance (n - 1) / 4.
    expected = [2 / 5 * (n - 1) / 4 for n in (2, 3, 5)]
    assert [row["doubles"] for row in found] == pytest.approx(expected)


def test_expected_doubles_are_those_of_random_choices(rng):
    voices = unit(rng, 60, 3)
    found = collisions(voices, 0.95, counts=(10,))[0]["doubles"]
    shares = []
    for _ in range(2000):
        some = voices[rng.choice(60, 10, replace=False)]
        shares.append(np.mean(np.sum(some @ some.T >= 0.95, axis=1) > 1))
    assert found == pytest.approx(np.mean(shares), abs=0.02)


def test_more_voices_have_more_doubles_and_few_rows_are_refused(rng):
    found = [r["doubles"] for r in collisions(unit(rng, 1000, 4), 0.95)]
    assert len(found) == 3 and found == sorted(found) and found[-1] > 0.9
    with pytest.raises(ValueError, match="`counts`"):
        collisions(unit(rng, 5, 4), 0.9)
    with pytest.raises(ValueError, match="finite"):
        collisions(np.full((5, 4), np.nan), 0.9)


def recordings(rng, names, dim=16, spread=0.5):
    """Utterances of speakers, and which of them the attacker enrols."""
    speakers = np.repeat(names, 6)
    voices = rng.normal(size=(len(names), dim)).repeat(6, axis=0)
    enrolled = np.tile([True, True, True, False, False, False], len(names))
    return voices + spread * rng.normal(size=voices.shape), speakers, enrolled


def test_unprotected_speakers_are_found_by_everyone(rng):
    rows, speakers, enrolled = recordings(rng, range(12))
    for attacker in ("ignorant", "lazy"):
        found = reidentification(rows, rows, speakers, enrolled, attacker=attacker)
        assert found["eer_after"] == found["eer_before"] < 0.05
        assert found["interval_after"] == found["interval_before"]
        assert (found["num_speakers"], found["num_trials"]) == (12, 12 * 36)
        low, high = found["interval_before"]
        assert low <= found["eer_before"] <= high


def test_voices_of_no_one_leave_every_attacker_guessing(rng):
    rows, speakers, enrolled = recordings(rng, range(30))
    random = rng.normal(size=rows.shape)
    for attacker in ("ignorant", "lazy"):
        found = reidentification(rows, random, speakers, enrolled, attacker=attacker)
        assert found["eer_after"] == pytest.approx(0.5, abs=0.1)
        assert found["eer_before"] < 0.05


def test_a_turn_of_the_space_fools_only_the_ignorant(rng):
    """Originals and rotated embeddings do not match; rotated and rotated ones do."""
    rows, speakers, enrolled = recordings(rng, range(30))
    turned = rows @ np.linalg.qr(rng.normal(size=(16, 16)))[0]
    rates = {
        attacker: reidentification(rows, turned, speakers, enrolled, attacker=attacker)
        for attacker in ("ignorant", "lazy")
    }
    assert rates["ignorant"]["eer_after"] > 0.35
    assert rates["lazy"]["eer_after"] == rates["lazy"]["eer_before"]


def test_who_learned_the_protection_sees_through_noise_it_repeats(rng):
    """Loud noise in four directions dominates cosines; LDA ignores them."""
    directions = rng.normal(size=(4, 16))

    def protect(rows):
        return rows + 6 * rng.normal(size=(len(rows), 4)) @ directions

    rows, speakers, enrolled = recordings(rng, range(30))
    train, train_speakers, _ = recordings(rng, range(100, 160))
    backend = fit_semi_informed(protect(train), train_speakers)
    sides = rows, protect(rows), speakers, enrolled
    lazy = reidentification(*sides, attacker="lazy")
    learned = reidentification(*sides, attacker="semi-informed", backend=backend)
    assert lazy["eer_after"] > 0.25
    assert learned["eer_after"] < 0.5 * lazy["eer_after"]
    assert learned["eer_before"] == lazy["eer_before"]
    assert learned["attacker"] == "semi-informed"


def test_a_voice_for_each_speaker_leaves_the_back_end_nothing_to_learn(rng):
    train = rng.normal(size=(5, 8)).repeat(3, axis=0)
    backend = fit_semi_informed(train, np.repeat(range(5), 3))
    rows = rng.normal(size=(4, 8))
    np.testing.assert_allclose(backend(rows), rows - train.mean(axis=0))


def test_the_back_end_is_linear_discriminant_analysis(rng):
    """Many utterances need hardly any shrinkage: scikit-learn's axes come out."""
    speakers = np.repeat(range(5), 600)
    rows = rng.normal(size=(5, 6))[speakers]
    rows += rng.normal(size=rows.shape) * [1, 1, 1, 3, 3, 3]
    ours = fit_semi_informed(rows, speakers)(rows)
    model = LinearDiscriminantAnalysis(solver="eigen").fit(rows, speakers)
    theirs = model.transform(rows - rows.mean(axis=0))
    assert ours.shape == theirs.shape == (3000, 4)
    alike = np.corrcoef(ours.T, theirs.T)[:4, 4:]
    np.testing.assert_allclose(np.abs(alike[:, ::-1]), np.eye(4), atol=0.02)


def test_attackers_without_a_name_or_their_means_are_refused(rng):
    rows, speakers, enrolled = recordings(rng, range(4))
    sides = rows, rows, speakers, enrolled
    for attacker, backend in (
        ("informed", None),
        ("semi-informed", None),
        ("lazy", np.tanh),
    ):
        with pytest.raises(ValueError, match="`attacker`"):
            reidentification(*sides, attacker=attacker, backend=backend)
    for wrong in (enrolled[:-1], enrolled.astype(int), np.ones_like(enrolled)):
        with pytest.raises(ValueError, match="`enrolled`"):
            reidentification(rows, rows, speakers, wrong, attacker="lazy")
    with pytest.raises(ValueError, match="`protected` must be finite"):
        reidentification(rows, rows * np.nan, speakers, enrolled, attacker="lazy")
    for names in (np.zeros(len(rows)), np.arange(len(rows)), speakers[1:]):
        with pytest.raises(ValueError, match="`speakers` must name"):
            fit_semi_informed(rows, names)
