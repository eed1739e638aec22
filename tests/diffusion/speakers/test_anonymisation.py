"""Anonymisers of known strength: random, the identity, a fixed rotation."""

import dataclasses
import json

import numpy as np
import pytest

from diffusion.speakers import anonymisation, attacks
from tests.references import unit
from timbre.corpora.embeddings import EmbeddingSet

DIM = 12
ALL = attacks.ATTACKERS
ROTATION = np.linalg.qr(np.random.default_rng(9).normal(size=(DIM, DIM)))[0]


def make_set(num_speakers=60, each=6, within=0.1, labels=None):
    rng = np.random.default_rng(1)
    speaker = np.repeat([f"s{i:03d}" for i in range(num_speakers)], each)
    rows = np.repeat(unit(rng, num_speakers, DIM), each, axis=0)
    rows = rows + within * rng.normal(size=rows.shape)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    segment = np.array([f"{name}/{i}" for i, name in enumerate(speaker)])
    return EmbeddingSet(rows, speaker, segment, {"extractor": "x"}, labels or {})


def with_cosines(new, old):
    new = new / np.linalg.norm(new, axis=1, keepdims=True)
    return new.astype(np.float32), np.sum(new * old, axis=1)


def independent(rows, seed):
    """Embeddings that do not depend on those they replace."""
    return with_cosines(unit(np.random.default_rng(seed), *rows.shape), rows)


def identity(rows, seed):
    """No anonymisation."""
    return with_cosines(rows, rows)


def rotated(rows, seed):
    """Far from the originals, and always by the same rotation."""
    return with_cosines(rows @ ROTATION, rows)


def noisy(rows, seed):
    """The speaker in half of the dimensions, much noise in the other half."""
    noise = 3 * np.random.default_rng(seed).normal(size=rows.shape)
    noise[:, DIM // 2 :] *= 0.01
    return with_cosines(rows @ ROTATION + noise, rows)


def attack(original, anonymiser, *, level="utterance", attackers=ALL, seed=0):
    split = attacks.split_speakers(original.speaker, attackers, seed)
    new = anonymisation.anonymise(original, anonymiser, seed, level=level)
    how = {"attackers": attackers, "level": level, "seed": seed, "resamples": 20}
    found = attacks.measure(original, new, anonymiser, split, **how)
    json.dumps(found, allow_nan=False)
    return found, {row["attacker"]: row["eer_after"] for row in found["attackers"]}


def test_a_speaker_has_one_embedding_and_an_utterance_its_own():
    original = make_set(num_speakers=5)
    new = anonymisation.anonymise(original, independent, 3, level="speaker")
    assert new.embeddings.shape == (5, DIM) and new.cosines.shape == (5,)
    np.testing.assert_array_equal(new.rows, np.repeat(new.embeddings, 6, axis=0))
    shuffled = np.random.default_rng(0).permutation(len(original))
    other = anonymisation.anonymise(
        original.subset(shuffled), independent, 3, level="speaker"
    )
    np.testing.assert_allclose(other.rows, new.rows[shuffled], atol=1e-6)
    each = anonymisation.anonymise(original, independent, 3, level="utterance")
    np.testing.assert_array_equal(each.rows, independent(original.embeddings, 3)[0])


def test_rows_need_a_speaker_where_speakers_are_replaced():
    unnamed = EmbeddingSet(np.eye(2, DIM), np.array(["a", ""]), np.array(["", ""]), {})
    with pytest.raises(ValueError, match="1 of 2 rows without a speaker"):
        anonymisation.anonymise(unnamed, independent, 0, level="speaker")
    assert (
        len(
            anonymisation.anonymise(
                unnamed, independent, 0, level="utterance"
            ).embeddings
        )
        == 2
    )
    with pytest.raises(ValueError, match="`level` must be one of"):
        anonymisation.anonymise(unnamed, independent, 0, level="row")


@pytest.mark.parametrize("level, num", [("speaker", 5), ("utterance", 30)])
def test_what_is_handed_on_has_no_names_but_rows_in_their_order(level, num):
    original = make_set(num_speakers=5, labels={"gender": ["f"] * 30})
    new = anonymisation.anonymise(original, independent, 3, level=level)
    given = anonymisation.anonymised_set(original, new, 3, about={"limit": 0.7})
    np.testing.assert_array_equal(given.embeddings, new.rows)
    assert given.labels == {} and {*given.segment} == {""}
    assert given.about == {"limit": 0.7}
    names = [f"pseudo{i + 1:06d}" for i in range(num)]
    assert sorted({*given.speaker}) == names  # as many as new embeddings
    first = given.speaker[:: 30 // num].tolist()
    assert first != names and len({*first}) == num  # their order says nothing
    kept = anonymisation.anonymised_set(original, new, 3, about={}, keep_names=True)
    assert kept.speaker is original.speaker and kept.labels is original.labels
    np.testing.assert_array_equal(kept.embeddings, new.rows)


@pytest.mark.parametrize("level", ["speaker", "utterance"])
def test_no_attacker_finds_who_is_not_there(level):
    found, rates = attack(make_set(), independent, level=level)
    for row in found["attackers"]:
        assert row["eer_before"] < 0.1 and abs(row["eer_after"] - 0.5) < 0.12
        assert row["num_speakers"] == 30 and row["num_trials"] == 30 * 90
        assert abs(row["linkability"] - row["by_chance"]) < 0.1
    assert [*rates] == [*ALL] and found["missing"] == {}
    assert found["distinctiveness"]["de_identification"] > 0.9


def test_without_anonymisation_nothing_changes():
    found, rates = attack(make_set(), identity, attackers=["ignorant", "lazy"])
    before = [row["eer_before"] for row in found["attackers"]]
    assert [*rates.values()] == before
    assert found["distinctiveness"]["gain_db"] == pytest.approx(0, abs=1e-6)
    assert found["distinctiveness"]["de_identification"] == pytest.approx(0, abs=1e-6)
    assert found["cosine_most"] == pytest.approx(1)
    assert found["attackers"][0]["linkability"] > 0.8
    assert found["attackers"][0]["by_chance"] < 0.2


def test_a_lazy_attacker_defeats_an_anonymiser_without_randomness():
    _, rates = attack(make_set(), rotated)
    assert rates["ignorant"] > 0.35 and rates["lazy"] < 0.1
    assert rates["semi-informed"] < 0.1


def test_a_semi_informed_attacker_learns_to_ignore_noise():
    _, rates = attack(make_set(100, 8), noisy)
    assert rates["lazy"] > rates["semi-informed"] + 0.1
    assert rates["ignorant"] > 0.35


def test_attackers_have_seeds_that_are_not_the_published_one():
    seeds = []

    def record(rows, seed):
        seeds.append((seed, len(rows)))
        return independent(rows, seed)

    attack(make_set(), record, level="speaker", seed=5)
    published, lazy, enrolled, training = seeds
    assert published == (5, 60)  # one for each speaker
    assert lazy[1] == 30 and (enrolled[1], training[1]) == (90, 180)
    assert len({seed for seed, _ in seeds}) == 4
    seeds = {anonymisation.derive_seed(s, n) for s in range(50) for n in range(6)}
    assert len(seeds) == 300 and max(seeds) < 2**62


def test_independent_is_on_both_sides_and_sides_share_no_row():
    original = make_set(num_speakers=50, each=5)
    split = attacks.split_speakers(original.speaker, ALL, 0)
    who = [{*original.speaker[rows]} for rows in (split.enrolled, split.trials)]
    assert who[0] == who[1] and len(who[0]) == 25
    assert not who[0] & {*original.speaker[split.training]}
    rows = np.concatenate([split.enrolled, split.trials, split.training])
    assert len({*rows.tolist()}) == len(rows) == 250
    assert len(split.enrolled) == 25 * 2 and len(split.trials) == 25 * 3
    alone = attacks.split_speakers(original.speaker, ["lazy"], 0)
    assert len({*original.speaker[alone.trials]}) == 50 and not len(alone.training)


def test_large_sets_are_thinned():
    speaker = np.repeat([f"s{i}" for i in range(1500)], 25)
    split = attacks.split_speakers(speaker, ALL, 0)
    assert len({*speaker[split.trials]}) == 300 and len(split.trials) == 300 * 10
    assert len({*speaker[split.training]}) == 1000 and len(split.training) == 1000 * 20


def test_attackers_that_can_not_take_part_are_reported_missing():
    one_each = make_set(num_speakers=30, each=1)
    found, rates = attack(one_each, independent)
    assert rates == {} and [*found["missing"]] == [*ALL]
    assert found["threshold"] is None and found["collisions"] == []
    text = attacks.format_report(found)
    assert "lazy: not measured, it needs 2 speakers of two utterances" in text
    assert "do not call the result anonymous" in text
    found, rates = attack(make_set(num_speakers=12), independent)
    assert [*rates] == ["ignorant", "lazy"]
    assert "semi-informed: not measured, it needs 20 speakers" in attacks.format_report(
        found
    )
    nameless = np.full(8, "")
    assert [*attacks.split_speakers(nameless, ALL, 0).missing] == [*ALL]


def test_one_embedding_for_all_collides_and_is_not_distinctive():
    def same(rows, seed):
        return with_cosines(np.tile(np.eye(1, DIM), (len(rows), 1)), rows)

    original = make_set(num_speakers=30)
    split = attacks.split_speakers(original.speaker, ["ignorant"], 0)
    new = anonymisation.anonymise(original, same, 0, level="speaker")
    options = {"attackers": ["ignorant"], "level": "speaker", "seed": 0}
    found = attacks.measure(original, new, same, split, resamples=20, **options)
    assert [row["voices"] for row in found["collisions"]] == [10, 30]
    assert found["collisions"][0]["doubles"] == pytest.approx(1)
    assert found["distinctiveness"]["gain_db"] is None  # -inf, which JSON has not
    assert "gain of voice distinctiveness < -60 dB" in attacks.format_report(found)
    assert "100.00% are like another one" in attacks.format_report(found)


def test_the_accuracy_of_a_label_stays_or_falls_to_chance():
    original = make_set(num_speakers=80)
    side = np.arange(480) // 6 % 2
    original.embeddings[:, 0] = 2 * side - 1
    empty, one = np.full(480, ""), np.full(480, "x")
    labels = {"gender": np.where(side, "f", "m"), "room": empty, "one": one}
    original = dataclasses.replace(original, labels=labels)
    kept, lost = (
        anonymisation.label_accuracy(
            original, anonymisation.anonymise(original, p, 1, level="speaker")
        )
        for p in (identity, independent)
    )
    assert [*kept] == [*lost] == ["gender"] and kept["gender"]["speakers"] == 40
    assert kept["gender"]["after"] > 0.9 and kept["gender"]["before"] > 0.9
    assert abs(lost["gender"]["after"] - 0.5) < 0.2 < kept["gender"]["most_frequent"]


def test_the_report_names_attackers_and_their_protocol():
    found, _ = attack(make_set(), independent, level="speaker")
    text = attacks.format_report(found)
    for words in (
        "60 new voices for 360 rows",
        "ignorant  ",
        "lazy  ",
        "semi-informed  ",
        "EER before",
        "30 speakers, 2700 comparisons",
        "seeds of their own",
        "de-identification",
        "do not call the result anonymous",
    ):
        assert words in text
    assert "is anonymous" not in text
