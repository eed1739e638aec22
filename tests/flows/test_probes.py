"""Judges from outside: what they learn, and that they say it in the right column."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from flows import probes
from flows.probes import Probe


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


def test_the_same_seed_makes_the_same_judge(rng):
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
    """Labels drawn by lot: who knew the rows by heart would be sure, and wrong."""
    x, labels = rng.normal(size=(200, 40)), np.arange(200) % 2
    probe = Probe.fit(x, labels, 2)
    sure = probe.posterior(rng.normal(size=(500, 40))).max(axis=1).mean()
    assert sure < 0.63  # 0.58; 0.68 at the last epoch


def test_each_factor_gets_the_judge_of_its_own_column(rng, capsys, monkeypatch):
    monkeypatch.setattr(probes, "STEPS", 400)
    x, phone = points(rng, [0, 1, 2], rows=120)
    speaker = rng.integers(2, size=360)
    x[:, 0, 0] += 500 * speaker
    labels = np.column_stack([phone, speaker]).astype("int32")
    vocabulary = {"phone": ("a", "b", "c"), "speaker": ("p", "q")}
    found = probes.fit(SimpleNamespace(x=x, labels=labels), vocabulary, hidden=(16,))
    assert list(found) == ["phone", "speaker"]
    assert found["phone"].accuracy(x, phone) > 0.95
    assert found["speaker"].accuracy(x, speaker) > 0.95
    assert found["phone"].num_classes == 3 and found["speaker"].num_classes == 2
    assert "probes" in capsys.readouterr().err


def test_bad_rows_and_labels_are_refused(rng):
    x, labels = points(rng, [0, 1], rows=5)
    for bad in ([0] * 10, [-1] * 10, [0] * 9 + [1]):
        with pytest.raises(ValueError, match="two classes"):
            Probe.fit(x, np.array(bad), 2)
    for bad in (labels + 1, labels - 2):
        with pytest.raises(ValueError, match="below 2"):
            Probe.fit(x, bad, 2)
    with pytest.raises(ValueError, match="one a row"):
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
