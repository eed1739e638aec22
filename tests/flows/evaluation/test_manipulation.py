"""How well models change a factor and discriminate speakers, known by hand."""

import numpy as np
import pytest
from keras import ops
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from flows.batching import map_batches
from flows.evaluation import manipulation
from flows.evaluation.manipulation import evaluate_manipulation, sample_pairs
from tests.flows import known


@pytest.fixture
def parts(rng):
    return known.parts(rng)


def test_a_perfect_model_changes_what_it_should_and_nothing_else(parts):
    for factor, other in (("phone", "speaker"), ("speaker", "phone")):
        found = evaluate_manipulation(
            {"fdnf": known.Halves()}, parts.test, known.PROBES, factor
        )
        found = found["fdnf"]
        assert found["pairs"] == {"phone": 120, "speaker": 60}[factor]
        expected = {"before": 0, "after": 1, "change": 1}
        assert found["target"] == pytest.approx(expected, abs=1e-6)
        expected = {"before": 1, "after": 1, "change": 0}
        assert found["others"] == {other: pytest.approx(expected, abs=1e-6)}


def test_a_model_that_moves_both_halves_has_a_side_effect(parts):
    """A phone further on drags speaker q along to p; p on the way back to q.

    Of the six changes of phone three go on and three go back, and each does it to one
    of two speakers: half of all rows lose their speaker.
    """
    models = {"fdnf": known.Halves(), "dnf-phone": known.OfPhones()}
    found = evaluate_manipulation(models, parts.test, known.PROBES, "phone")[
        "dnf-phone"
    ]
    assert found["target"]["change"] == pytest.approx(1, abs=1e-6)
    expected = {"before": 1, "after": 0.5, "change": -0.5}
    assert found["others"]["speaker"] == pytest.approx(expected, abs=1e-6)


def test_probes_are_asked_for_the_new_class_and_the_rows_own(parts):
    """A probe that only ever finds phone c: a third of the pairs go there."""

    class Constant(known.Probe):
        def posterior(self, x):
            return np.tile([0.0, 0.0, 1.0][: self.num_classes], (len(x), 1))

    probes = {factor: Constant(factor) for factor in known.VOCABULARY}
    found = evaluate_manipulation({"m": known.Halves()}, parts.test, probes, "phone")[
        "m"
    ]
    assert found["target"]["before"] == found["target"]["after"] == pytest.approx(1 / 3)
    found = evaluate_manipulation({"m": known.Halves()}, parts.test, probes, "speaker")[
        "m"
    ]
    assert found["others"]["phone"]["after"] == pytest.approx(1 / 3)


def test_rows_without_a_label_are_not_changed_and_have_no_side_effect(parts):
    """Half of the speakers are unknown: the mean is that of the other half."""
    rows = parts.test
    rows.labels[:6, 0] = -1
    rows.labels[::2, 1] = -1  # only those of q are known
    found = evaluate_manipulation({"m": known.Whole()}, rows, known.PROBES, "phone")[
        "m"
    ]
    assert found["pairs"] == 2 * 54
    assert found["others"]["speaker"]["before"] == pytest.approx(1, abs=1e-6)
    rows.labels[:, 1] = -1
    found = evaluate_manipulation({"m": known.Whole()}, rows, known.PROBES, "phone")[
        "m"
    ]
    assert found["others"] == {}
    with pytest.raises(ValueError, match="0 labelled rows"):
        evaluate_manipulation({"m": known.Whole()}, rows, known.PROBES, "speaker")


def test_features_out_of_range_count_as_nothing_and_are_reported(parts):
    asked = {"fdnf": known.Bursting()}, parts.test, known.PROBES
    row = evaluate_manipulation(*asked, "phone")["fdnf"]
    assert row["lost"] == 40  # a third of 120 pairs
    assert row["target"]["after"] == pytest.approx(2 / 3, abs=1e-6)
    assert row["others"]["speaker"]["after"] == pytest.approx(2 / 3, abs=1e-6)
    assert "lost" not in evaluate_manipulation(*asked, "speaker")["fdnf"]


def test_pairs_are_all_there_are_or_so_many(parts):
    labels = np.array([2, -1, 0, 1])
    index, source, target = sample_pairs(labels, 3, 100)
    pairs = list(zip(index, source, target, strict=True))
    assert pairs == [(0, 2, 0), (0, 2, 1), (2, 0, 1), (2, 0, 2), (3, 1, 0), (3, 1, 2)]
    some = sample_pairs(labels, 3, 4, seed=1)
    assert len({*zip(*some, strict=True)}) == 4
    assert {*zip(*some, strict=True)} <= {*pairs}
    for bad in ((labels, 1, 9), (labels * 0 - 1, 3, 9), (labels, 3, 0)):
        with pytest.raises(ValueError, match="a pair of a row and a wrong class"):
            sample_pairs(*bad)


def test_every_pair_is_as_likely_as_any_other():
    """20 of 60 sampled, 900 times: each pair 300 times, give or take 14."""
    labels, counts = np.arange(20) % 4, np.zeros((20, 4))
    for seed in range(900):
        index, source, target = sample_pairs(labels, 4, 20, seed)
        counts[index, target] += 1
        assert (source == labels[index]).all() and (source != target).all()
    sampled = counts[counts > 0]
    assert sampled.size == 60 and np.abs(sampled - 300).max() < 60


def test_all_models_get_the_same_pairs(parts):
    seen = []

    def noted(function, *arrays):
        seen.append(arrays)
        return map_batches(function, *arrays)

    models = {"a": known.Halves(), "b": known.Halves()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manipulation, "map_batches", noted)
        for seed in (3, 3, 4):
            evaluate_manipulation(
                models, parts.test, known.PROBES, "phone", pairs=30, seed=seed
            )
    for other in seen[1:4]:
        assert all((a == b).all() for a, b in zip(seen[0], other, strict=True))
    assert (seen[0][1] != seen[4][1]).any() and len(seen[0][0]) == 30


def test_posteriors_of_all_classes_are_kept_of_one_block_only(parts, monkeypatch):
    sizes = []

    class Counting(known.Probe):
        def posterior(self, x):
            sizes.append(len(x))
            return super().posterior(x)

    asked = {"m": known.Whole()}, parts.test, known.PROBES, "phone"
    whole = evaluate_manipulation(*asked)
    monkeypatch.setattr(manipulation, "BLOCK", 25)
    probes = {factor: Counting(factor) for factor in known.VOCABULARY}
    found = evaluate_manipulation(*asked[:2], probes, "phone")
    assert sizes == [60, 60] + [25, 25, 25, 25, 20] * 2
    assert found["m"]["target"] == pytest.approx(whole["m"]["target"])
    expected = whole["m"]["others"]["speaker"]
    assert found["m"]["others"]["speaker"] == pytest.approx(expected)


class Voices(known.Halves):
    """Latents of embeddings, in which a channel is loud; it turns it down."""

    divides = False

    def encode(self, x):
        return ops.reshape(x, (-1, 8)) * ops.convert_to_tensor([1.0] * 7 + [1e-3]) + 5


def embeddings(rng, names):
    """Voices with a loud channel that says nothing, and a mean that is far away."""
    speaker = np.repeat(names, 12)
    x = np.repeat(3 * rng.normal(size=(len(names), 8)), 12, axis=0)
    x = x + rng.normal(size=x.shape) + 20
    x[:, 7] = 20 * rng.normal(size=len(x))
    return known.Rows(x.astype("float32"), np.full((len(x), 2), -1, "int32"), speaker)


def rate(z, speaker):
    """The rate at which as many pairs are wrongly accepted as rejected, in steps."""
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    i, j = np.triu_indices(len(z), 1)
    score, same = (z @ z.T)[i, j], speaker[i] == speaker[j]
    limits = np.quantile(score, np.linspace(0, 1, 2001))
    accepted = np.array([(score[~same] >= t).mean() for t in limits])
    rejected = np.array([(score[same] < t).mean() for t in limits])
    k = np.abs(accepted - rejected).argmin()
    return (accepted[k] + rejected[k]) / 2


@pytest.fixture
def voices(rng):
    names = np.array([f"s{i:02d}" for i in range(24)])
    train, unseen = embeddings(rng, names[:16]), embeddings(rng, names[16:])
    unseen.speaker = unseen.speaker.astype(object)
    return known.Parts(train, train, train, unseen, about={"source": "embeddings"})


def test_error_rates_are_those_of_all_pairs_of_unseen_speakers(voices):
    voices.unseen.x[:, 0] += 20  # what is taken away is learned from others
    voices.unseen.x[:, 7] *= 0.1
    found, note = manipulation.evaluate_verification({"nf": Voices()}, voices)
    x, speaker = voices.unseen.x.astype(float), voices.unseen.speaker
    learned = voices.train.x.astype(float)
    lda = LinearDiscriminantAnalysis().fit(learned, voices.train.speaker)
    expected = {
        "before": rate(x, speaker),
        "centred": rate(x - learned.mean(axis=0), speaker),
        "lda": rate(lda.transform(x), speaker),
        "nf": rate((x - learned.mean(axis=0)) / learned.std(axis=0), speaker),
    }
    assert found == pytest.approx(expected, abs=0.005) and note == ""
    assert found["lda"] < found["before"]


def test_a_part_for_speakers_is_compared_on_its_own(parts):
    found, _ = manipulation.evaluate_verification({"fdnf": known.Halves()}, parts)
    assert list(found) == ["before", "centred", "lda", "fdnf", "fdnf/speaker"]
    assert found["fdnf/speaker"] < 0.1 < 0.3 < found["fdnf"]


def test_rates_are_left_out_where_there_are_no_pairs(voices):
    lone = voices.unseen
    for unseen in (None, lone.subset(slice(0, 12)), lone.subset(slice(0, None, 12))):
        voices.unseen = unseen
        found, note = manipulation.evaluate_verification({"nf": Voices()}, voices)
        assert found == {} and "two unseen speakers" in note
    lone.speaker[12:] = ""  # nobody knows who they are
    voices.unseen = lone
    assert manipulation.evaluate_verification({"nf": Voices()}, voices)[0] == {}


def test_a_traced_change_is_that_of_a_call(parts, monkeypatch):
    asked = {"m": known.Whole()}, parts.test, known.PROBES, "phone"
    called = evaluate_manipulation(*asked)
    monkeypatch.setattr(manipulation.map_batches, "__kwdefaults__", {"block": 50})
    traced = evaluate_manipulation(*asked)
    assert traced["m"]["others"]["speaker"] == called["m"]["others"]["speaker"]


def test_a_factor_that_is_not_there_is_refused(parts):
    with pytest.raises(ValueError, match="A factor must be one of"):
        evaluate_manipulation({"m": known.Halves()}, parts.test, known.PROBES, "mood")
