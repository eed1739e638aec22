"""Probe classifiers: training, early stopping, and posteriors in the right column."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from flows.evaluation import probes
from flows.evaluation.probes import Probe


def points(rng, classes, rows=60, shape=(3, 2), apart=4.0):
    """Rows around far centres, shaped as segments are; classes as given."""
    labels = np.repeat(classes, rows)
    centres = apart * np.random.default_rng(9).normal(size=(max(classes) + 1, *shape))
    x = centres[labels] + rng.normal(size=(len(labels), *shape))
    return (100 + 10 * x).astype("float32"), labels


def test_a_probe_knows_clear_classes_and_says_so_in_their_columns(rng):
    x, labels = points(rng, [0, 1, 2])
    probe = Probe.fit(x, labels, 3, hidden=(16,), epochs=40)
    more, truth = points(rng, [2, 0, 1])
    posterior = probe.posterior(more)
    assert posterior.shape == (180, 3) and posterior.dtype == np.float32
    np.testing.assert_allclose(posterior.sum(axis=1), 1, atol=1e-5)
    assert posterior[np.arange(180), truth].mean() > 0.9
    assert probe.accuracy(more, truth) > 0.98


def test_a_class_it_was_not_taught_keeps_its_column_and_is_never_found(rng):
    x, labels = points(rng, [1, 3])
    x, labels = np.concatenate([x, x[:1]]), np.append(labels, 4)  # a class of one row
    probe = Probe.fit(x, labels, 6, hidden=(16,), epochs=30)
    posterior = probe.posterior(x)
    assert posterior.shape == (121, 6)
    assert not posterior[:, [0, 2, 4, 5]].any() and posterior[:, [1, 3]].all()
    assert (posterior[:60, 1] > posterior[:60, 3]).mean() > 0.98


def test_rows_without_a_label_teach_nothing_and_are_not_counted(rng):
    x, labels = points(rng, [0, 1])
    wrong = np.concatenate([x, x[::-1] * 7])
    unknown = np.concatenate([labels, np.full(120, -1)])
    probes_ = [
        Probe.fit(*rows, 2, hidden=(8,), epochs=9)
        for rows in ((x, labels), (wrong, unknown))
    ]
    np.testing.assert_array_equal(*(probe.posterior(x) for probe in probes_))
    assert probes_[0].accuracy(wrong, unknown) == probes_[0].accuracy(x, labels)


def test_posteriors_are_those_of_bayes_rule_where_classes_overlap(rng):
    """Two normals a deviation from 0: `p(1 | x) = 1 / (1 + exp(-2 x))`."""
    labels = rng.integers(2, size=4000)
    x = rng.normal(size=(4000, 1)) + np.where(labels, 1, -1)[:, None]
    probe = Probe.fit(x, labels, 2, hidden=(16,))
    grid = np.linspace(-2, 2, 9)[:, None]
    expected = 1 / (1 + np.exp(-2 * grid[:, 0]))
    np.testing.assert_allclose(probe.posterior(grid)[:, 1], expected, atol=0.06)
    assert probe.accuracy(x, labels) == pytest.approx(stats.norm.cdf(1), abs=0.02)


def test_the_same_seed_makes_the_same_probe(rng):
    x, labels = points(rng, [0, 1], apart=0.5)
    a, b, other = (
        Probe.fit(x, labels, 2, hidden=(8,), seed=seed, epochs=5).posterior(x)
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(a, b)
    assert (a != other).any()


def test_neither_the_unit_of_a_number_nor_one_that_stands_still_matters(rng):
    x, labels = points(rng, [0, 1, 2])
    scale = np.float32(2.0) ** np.arange(-6, 6, 2).reshape(3, 2)
    x[:, 0, 0] = 7
    plain, scaled = (
        Probe.fit(r, labels, 3, hidden=(8,), epochs=9) for r in (x, x * scale)
    )
    np.testing.assert_allclose(
        plain.posterior(x), scaled.posterior(x * scale), atol=1e-4
    )


def test_blocks_join_in_order(rng, monkeypatch):
    x, labels = points(rng, [0, 1])
    probe = Probe.fit(x, labels, 2, hidden=(8,), epochs=2)
    whole = probe.posterior(x)
    monkeypatch.setattr(probes, "BLOCK", 50)
    np.testing.assert_allclose(probe.posterior(x), whole, atol=1e-6)


def test_a_class_of_two_rows_is_taught(rng):
    x, labels = points(rng, list(range(12)), rows=2)
    posterior = Probe.fit(x, labels, 12, hidden=(32,)).posterior(x)
    assert posterior[np.arange(24), labels].reshape(12, 2).mean(axis=1).min() > 0.5


@pytest.mark.parametrize("rows", [2, 3, 4])
def test_few_rows_of_many_classes_are_enough(rng, rows):
    x, labels = points(rng, list(range(12)), rows=rows)
    probe = Probe.fit(x, labels, 12, hidden=(8,), epochs=2)
    assert list(probe.network.classes_) == list(range(12))


def test_few_rows_are_met_often_enough_and_training_still_ends(rng):
    """A batch is a tenth of few rows; a thousand steps at most, or as told."""
    x, labels = points(rng, [0, 1], rows=30)
    labels = rng.permutation(labels)  # nothing to learn: the best epoch comes early
    steps = [
        round(Probe.fit(x, labels, 2, hidden=(8,), **told).network.t_ / 54)
        for told in ({}, {"epochs": 3})
    ]
    assert 12 <= steps[0] < 92 and steps[1] <= 3


def test_the_weights_are_those_of_the_best_epoch(rng):
    """Random labels: who knew the rows by heart would be sure, and wrong."""
    x, labels = rng.normal(size=(200, 40)), np.arange(200) % 2
    probe = Probe.fit(x, labels, 2)
    sure = probe.posterior(rng.normal(size=(500, 40))).max(axis=1).mean()
    assert sure < 0.63  # 0.58; 0.68 at the last epoch


def test_each_factor_gets_the_probe_of_its_own_column(rng, capsys, monkeypatch):
    monkeypatch.setattr(probes, "MIN_STEPS", 400)
    x, phone = points(rng, [0, 1, 2], rows=120)
    speaker = rng.integers(2, size=360)
    x[:, 0, 0] += 500 * speaker
    labels = np.column_stack([phone, speaker]).astype("int32")
    vocabulary = {"phone": ("a", "b", "c"), "speaker": ("p", "q")}
    rows = SimpleNamespace(x=x, labels=labels, recording=np.arange(360).astype(str))
    found = probes.fit(rows, vocabulary, hidden=(16,))
    assert list(found) == ["phone", "speaker"]
    assert found["phone"].accuracy(x, phone) > 0.95
    assert found["speaker"].accuracy(x, speaker) > 0.95
    assert found["phone"].num_classes == 3 and found["speaker"].num_classes == 2
    assert "probes" in capsys.readouterr().err


def recordings(rng, count=20, rows=30):
    """Labels by lot, one for each recording, and codes that tell recordings apart."""
    label = np.arange(count) % 2
    x = 4 * rng.normal(size=(count, 20))
    groups = np.repeat(np.arange(count), rows)
    x = x[groups] + rng.normal(size=(len(groups), 20))
    return x, label[groups], np.array([f"r{i}" for i in groups])


def test_who_only_knows_recordings_does_not_become_sure(rng):
    """Windows of recordings it has met would say that all is well, and go on."""
    x, labels, groups = recordings(rng)
    other, truth, _ = recordings(rng)
    told = {"hidden": (32,), "epochs": 60}

    def cost(**given):
        found = Probe.fit(x, labels, 2, **told, **given).posterior(other)
        return -np.log(np.maximum(found[np.arange(600), truth], 1e-9)).mean()

    valid = recordings(rng)[:2]
    alone = cost()
    assert max(cost(groups=groups), cost(valid=valid)) < 0.6 * alone


def test_what_is_held_out_shares_no_recording_and_takes_no_class_away(rng):
    labels, groups = rng.integers(4, size=400), np.repeat(np.arange(40), 10)
    labels[groups == 7] = 5  # a class of one recording
    for seed in range(20):
        aside = probes._hold_out(labels, groups, seed)
        assert not {*groups[aside]} & {*groups[~aside]} and 40 <= aside.sum() <= 50
        assert {*labels[~aside]} == {*labels} and not aside[groups == 7].any()
    alone = probes._hold_out(labels, labels, 0)  # none can be spared
    assert alone.sum() == 40
    np.testing.assert_array_equal(alone, probes._hold_out(labels, None, 0))
    np.testing.assert_array_equal(alone, probes._hold_out(labels, np.arange(400), 0))


def test_rows_given_to_end_by_are_not_learned_from_and_all_others_are(rng, monkeypatch):
    seen = []
    whole = probes._train

    def noted(*given, **settings):
        seen.append([len(given[0]), len(given[2])])  # rows, held-out rows
        return whole(*given, **settings)

    monkeypatch.setattr(probes, "_train", noted)
    x, labels = points(rng, [0, 1], rows=30)
    valid, truth = points(rng, [0, 1, 2], rows=4)
    unknown = np.where(truth == 1, -1, truth)
    for told in (truth, unknown, np.full(12, 2), np.full(12, -1)):
        Probe.fit(x, labels, 3, valid=(valid, told), hidden=(4,), epochs=1)
    groups = np.arange(60) // 3
    Probe.fit(x, labels, 3, groups=groups, hidden=(4,), epochs=1)
    assert seen == [[60, 8], [60, 4], *[[54, 6]] * 3]
    rows = SimpleNamespace(x=x, labels=labels[:, None], recording=groups)
    held = SimpleNamespace(x=valid, labels=truth[:, None])
    few = {"hidden": (4,), "shown": False, "epochs": 1}
    for given in (held, None, SimpleNamespace(x=valid[:0], labels=truth[:0, None])):
        probes.fit(rows, {"phone": "abc"}, valid=given, **few)
    assert seen[5:] == [[60, 8], *[[54, 6]] * 2]


def test_bad_rows_and_labels_are_refused(rng):
    x, labels = points(rng, [0, 1], rows=5)
    for bad in ([0] * 10, [-1] * 10, [0] * 9 + [1]):
        with pytest.raises(ValueError, match="two classes"):
            Probe.fit(x, np.array(bad), 2)
    for bad in (labels + 1, labels - 2):
        with pytest.raises(ValueError, match="below the number of classes, 2"):
            Probe.fit(x, bad, 2)
    with pytest.raises(ValueError, match=r"integers \[10, 1\]"):
        Probe.fit(x, labels[:-1], 2)
    with pytest.raises(ValueError, match="finite"):
        Probe.fit(np.where(x > x.mean(), np.nan, x), labels, 2)
    probe = Probe.fit(x, labels, 2, hidden=(4,), epochs=1)
    with pytest.raises(ValueError, match="6 numbers"):
        probe.posterior(x[:, :2])
    with pytest.raises(ValueError, match="finite"):
        probe.posterior(x * np.inf)
    with pytest.raises(ValueError, match="known class"):
        probe.accuracy(x, labels * 0 - 1)
