"""What the evaluation says of models whose virtues and faults are known by hand.

Rows are `[phone part, speaker part]`, two numbers each, of three phones and two
speakers that are far apart; the judges know the true densities.
"""

import dataclasses
import json
import math

import numpy as np
import pytest
from keras import ops
from scipy import stats
from scipy.special import logsumexp, softmax
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from flows import evaluation, measures, report, tables
from flows.tables import drawn_pairs, mapped
from metrics import clusters

VOCABULARY = {"phone": ("a", "b", "c"), "speaker": ("p", "q")}
CENTRES = {
    "phone": np.array([[10.0, 0.0], [0.0, 10.0], [-10.0, -10.0]]),
    "speaker": np.array([[10.0, 0.0], [-10.0, 0.0]]),
}
PLACES = {"phone": slice(0, 2), "speaker": slice(2, 4)}


@dataclasses.dataclass
class Rows:
    x: np.ndarray
    labels: np.ndarray
    speaker: np.ndarray
    recording: np.ndarray = None

    def __post_init__(self):
        if self.recording is None:  # each row is its own
            self.recording = np.arange(len(self.x)).astype(str)

    def __len__(self):
        return len(self.x)

    def subset(self, index):
        return Rows(*(v[index] for v in vars(self).values()))


@dataclasses.dataclass
class Parts:
    train: Rows
    valid: Rows
    test: Rows
    unseen: Rows | None
    vocabulary: dict = dataclasses.field(default_factory=lambda: VOCABULARY)
    about: dict = dataclasses.field(default_factory=lambda: {"source": "synthetic"})


def rows_of(rng, each=10):
    """Every phone of every speaker equally often, shaped as segments are."""
    labels = np.array([(k, s) for k in range(3) for s in range(2)] * each)
    x = np.concatenate([CENTRES[f][labels[:, i]] for i, f in enumerate(CENTRES)], 1)
    x = (x + rng.normal(size=x.shape)).astype("float32").reshape(-1, 2, 2)
    return Rows(x, labels.astype("int32"), np.array(["p", "q"])[labels[:, 1]])


class Judge:
    """Knows the truth about one factor."""

    mean, deviation = np.zeros(4, "float32"), np.ones(4, "float32")

    def __init__(self, factor):
        self.factor = factor
        self.num_classes = len(CENTRES[factor])

    def posterior(self, x):
        part = np.reshape(x, (len(x), 4)).astype(float)[:, PLACES[self.factor]]
        distance = ((part[:, None] - CENTRES[self.factor]) ** 2).sum(axis=-1)
        assert np.isfinite(distance).all()
        return softmax(-distance / 2, axis=1)

    def accuracy(self, x, labels):
        return float((self.posterior(x).argmax(axis=1) == labels).mean())


JUDGES = {factor: Judge(factor) for factor in VOCABULARY}


class Halves:
    """A perfect factorial flow: codes are rows, twice as large."""

    vocabulary, factors, divides, scale = VOCABULARY, ("phone", "speaker"), True, 2.0

    def encode(self, x):
        return self.scale * ops.reshape(x, (-1, 4))

    def decode(self, z):
        return ops.reshape(z / self.scale, (-1, 2, 2))

    def parts(self, z):
        if not self.divides:
            return {"code": z}
        return {factor: z[:, place] for factor, place in PLACES.items()}

    def centres(self, factor):
        centres = np.zeros((len(CENTRES[factor]), 4), "float32")
        centres[:, PLACES[factor]] = self.scale * CENTRES[factor]
        return centres

    def manipulate(self, x, factor, to, *, source):
        centres = ops.convert_to_tensor(self.centres(factor))
        return self.decode(
            self.encode(x)
            + ops.take(centres, to, axis=0)
            - ops.take(centres, source, 0)
        )

    def posterior(self, x):
        z, found = self.encode(x), {}
        for factor in self.factors:
            apart = ops.square(z[:, None] - self.centres(factor))[..., PLACES[factor]]
            found[factor] = ops.softmax(-ops.sum(apart, axis=-1) / (2 * self.scale**2))
        return found

    def log_prob(self, x, labels):
        """Codes are N(centre, 1): what is twice as large costs 4 log 2 less."""
        z, found = self.encode(x), 4 * math.log(self.scale)
        for i, factor in enumerate(VOCABULARY):
            apart = ops.square(z[:, None] - Halves.centres(self, factor))
            apart = ops.sum(apart[..., PLACES[factor]], axis=-1)
            each = -apart / 2 - math.log(2 * math.pi)
            mixture = ops.logsumexp(each, axis=-1) - math.log(each.shape[-1])
            label = labels[:, i]
            own = ops.take_along_axis(each, ops.maximum(label, 0)[:, None], axis=1)
            found = found + ops.where(label < 0, mixture, own[:, 0])
        return found


class Whole(Halves):
    """An undivided code, in which another phone lies towards another speaker."""

    divides = False

    def centres(self, factor):
        centres = super().centres(factor)
        if factor == "phone":
            centres[:, 2] = [0, 40, 80]  # rows: 0, 20 and 40 along the speakers
        return centres


class OfPhones(Whole):
    """A discriminative flow: knows phones, and of speakers nothing."""

    factors = ("phone",)

    def centres(self, factor):
        assert factor == "phone"
        return super().centres(factor)

    def log_prob(self, x, labels):
        return Halves().log_prob(x, labels)


class Blurred(Halves):
    """No exact inverse, and a bound only."""

    def decode(self, z):
        return super().decode(z) + 0.1 * ops.convert_to_tensor([[3.0, 4.0], [0.0, 0.0]])

    def elbo(self, x):
        return self.log_prob(x, ops.full((ops.shape(x)[0], 2), -1))


class Bursting(Halves):
    """Of phone b it makes something that is no sound."""

    def manipulate(self, x, factor, to, *, source):
        found = super().manipulate(x, factor, to, source=source)
        bad = ops.reshape(ops.logical_and(to == 1, factor == "phone"), (-1, 1, 1))
        return ops.where(bad, float("nan"), found)


@pytest.fixture
def parts(rng):
    sets = [rows_of(rng) for _ in range(4)]
    sets[3].labels[:, 1] = -1
    return Parts(*sets)


def test_a_perfect_model_changes_what_it_should_and_nothing_else(parts):
    for factor, other in (("phone", "speaker"), ("speaker", "phone")):
        found = evaluation.manipulation({"fdnf": Halves()}, parts.test, JUDGES, factor)
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
    models = {"fdnf": Halves(), "dnf-phone": OfPhones()}
    found = evaluation.manipulation(models, parts.test, JUDGES, "phone")["dnf-phone"]
    assert found["target"]["change"] == pytest.approx(1, abs=1e-6)
    expected = {"before": 1, "after": 0.5, "change": -0.5}
    assert found["others"]["speaker"] == pytest.approx(expected, abs=1e-6)


def test_judges_are_asked_for_the_new_class_and_the_rows_own(parts):
    """A judge that only ever hears phone c: a third of the pairs go there."""

    class Deaf(Judge):
        def posterior(self, x):
            return np.tile([0.0, 0.0, 1.0][: self.num_classes], (len(x), 1))

    judges = {factor: Deaf(factor) for factor in VOCABULARY}
    found = evaluation.manipulation({"m": Halves()}, parts.test, judges, "phone")["m"]
    assert found["target"]["before"] == found["target"]["after"] == pytest.approx(1 / 3)
    found = evaluation.manipulation({"m": Halves()}, parts.test, judges, "speaker")["m"]
    assert found["others"]["phone"]["after"] == pytest.approx(1 / 3)


def test_rows_without_a_label_are_not_changed_and_have_no_side_effect(parts):
    """Half of the speakers are unknown: the mean is that of the other half."""
    rows = parts.test
    rows.labels[:6, 0] = -1
    rows.labels[::2, 1] = -1  # only those of q are known
    found = evaluation.manipulation({"m": Whole()}, rows, JUDGES, "phone")["m"]
    assert found["pairs"] == 2 * 54
    assert found["others"]["speaker"]["before"] == pytest.approx(1, abs=1e-6)
    rows.labels[:, 1] = -1
    found = evaluation.manipulation({"m": Whole()}, rows, JUDGES, "phone")["m"]
    assert found["others"] == {}
    with pytest.raises(ValueError, match="0 labelled rows"):
        evaluation.manipulation({"m": Whole()}, rows, JUDGES, "speaker")


def test_what_is_no_sound_any_more_counts_as_nothing_and_is_said(parts):
    asked = {"fdnf": Bursting()}, parts.test, JUDGES
    row = evaluation.manipulation(*asked, "phone")["fdnf"]
    assert row["lost"] == 40  # a third of 120 pairs
    assert row["target"]["after"] == pytest.approx(2 / 3, abs=1e-6)
    assert row["others"]["speaker"]["after"] == pytest.approx(2 / 3, abs=1e-6)
    assert "lost" not in evaluation.manipulation(*asked, "speaker")["fdnf"]


def test_pairs_are_all_there_are_or_so_many(parts):
    labels = np.array([2, -1, 0, 1])
    index, source, target = drawn_pairs(labels, 3, 100)
    pairs = list(zip(index, source, target, strict=True))
    assert pairs == [(0, 2, 0), (0, 2, 1), (2, 0, 1), (2, 0, 2), (3, 1, 0), (3, 1, 2)]
    some = drawn_pairs(labels, 3, 4, seed=1)
    assert len({*zip(*some, strict=True)}) == 4
    assert {*zip(*some, strict=True)} <= {*pairs}
    for bad in ((labels, 1, 9), (labels * 0 - 1, 3, 9), (labels, 3, 0)):
        with pytest.raises(ValueError, match="a pair of a row and a wrong class"):
            drawn_pairs(*bad)


def test_every_pair_is_as_likely_as_any_other():
    """20 of 60 drawn, 900 times: each pair 300 times, give or take 14."""
    labels, counts = np.arange(20) % 4, np.zeros((20, 4))
    for seed in range(900):
        index, source, target = drawn_pairs(labels, 4, 20, seed)
        counts[index, target] += 1
        assert (source == labels[index]).all() and (source != target).all()
    drawn = counts[counts > 0]
    assert drawn.size == 60 and np.abs(drawn - 300).max() < 60


def test_all_models_get_the_same_pairs(parts):
    seen = []

    class Listening(Halves):
        def manipulate(self, x, factor, to, *, source):
            return super().manipulate(x, factor, to, source=source)

    def noted(function, *arrays):
        seen.append(arrays)
        return mapped(function, *arrays)

    models = {"a": Listening(), "b": Listening()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "mapped", noted)
        for seed in (3, 3, 4):
            tables.manipulation(
                models, parts.test, JUDGES, "phone", pairs=30, seed=seed
            )
    for other in seen[1:4]:
        assert all((a == b).all() for a, b in zip(seen[0], other, strict=True))
    assert (seen[0][1] != seen[4][1]).any() and len(seen[0][0]) == 30


def test_parts_tell_of_their_own_factor_and_of_no_other(parts):
    found = evaluation.structures(Halves(), parts.test)
    assert list(found) == ["code", "phone", "speaker"]
    for part in ("phone", "speaker"):
        for factor in ("phone", "speaker"):
            row = found[part][factor]
            if part == factor:
                assert row["knn"] == row["probe"] == 1 and row["silhouette"] > 0.7
            else:
                assert row["knn"] < 0.65 and row["fisher"] < 0.2
    assert found["code"]["phone"]["knn"] == found["code"]["speaker"]["knn"] == 1
    OfPhones.parts = lambda self, z: {"phone": z}  # one part is the whole
    whole = evaluation.structures(OfPhones(), parts.test)
    del OfPhones.parts
    assert list(whole) == ["code"] and list(whole["code"]) == ["phone", "speaker"]
    assert list(evaluation.structures(Halves(), parts.unseen)["code"]) == ["phone"]


def test_bits_are_those_of_the_density_in_the_unit_of_the_features(parts):
    """x is N(centre, 1 / 2**2) to the model; of unknown classes an equal share of each.

    Without labels models of any classes compare, and voices with unseen ones.
    """

    def bits(rows, known=()):
        x, nats = rows.x.reshape(-1, 4).astype(float), 0
        for i, (factor, centres) in enumerate(CENTRES.items()):
            own = x[:, PLACES[factor]]
            each = [stats.norm(c, 0.5).logpdf(own).sum(axis=1) for c in centres]
            told = np.choose(rows.labels[:, i] % len(each), each)
            mixed = logsumexp(each, axis=0) - np.log(len(each))
            nats = nats + (told if factor in known else mixed)
        return pytest.approx(-nats.mean() / 4 / np.log(2), rel=1e-5)

    assert evaluation.density(Halves(), parts) == {
        "test": bits(parts.test),
        "unseen": bits(parts.unseen),
        "given": {
            "test": bits(parts.test, VOCABULARY),
            "unseen": bits(parts.unseen, ["phone"]),
        },
    }


def test_a_bound_is_called_a_bound_and_missing_rows_have_no_bits(parts):
    parts.unseen = None
    found = evaluation.density(Blurred(), parts)
    assert found["bound"] is True and found["unseen"] is None
    assert found["test"] == evaluation.density(Halves(), parts)["test"]

    class Silent(Halves):
        log_prob = property()

    assert evaluation.density(Silent(), parts) is None

    class Broken(Halves):
        def log_prob(self, x, labels):
            return super().log_prob(x, labels) * float("inf")

    found = evaluation.density(Broken(), parts)
    assert found["test"] is found["given"]["test"] is None


def test_a_round_trip_is_measured_in_deviations_of_each_number(parts):
    assert evaluation.round_trip(Halves(), parts.test) == 0
    flat = parts.test.x.reshape(-1, 4).astype(float)
    errors = np.array([0.3, 0.4, 0, 0]) / flat.std(axis=0)

    class Off(Halves):
        decode = Blurred.__dict__["decode"]

    Off.decode = lambda self, z: Blurred.decode(Blurred(), z)
    assert evaluation.round_trip(Off(), parts.test) == pytest.approx(
        errors.max(), rel=1e-4
    )
    some = evaluation.round_trip(Off(), parts.test, most=3)  # in deviations of all
    assert some == pytest.approx(errors.max(), rel=1e-4)
    root = np.sqrt((errors**2).mean())
    assert evaluation.round_trip(Blurred(), parts.test) == pytest.approx(root, rel=1e-4)


def test_no_more_rows_are_turned_back_than_were_asked_for(parts, monkeypatch):
    decoded = []

    class Counted(Halves):
        def decode(self, z):
            decoded.append(np.round(z / 2, 4).tolist())
            return super().decode(z)

    for told in ({"most": 7}, {"most": 7}, {"most": 7, "seed": 1}, {}):
        evaluation.round_trip(Counted(), parts.test, **told)
    assert [*map(len, decoded)] == [7, 7, 7, 60]
    assert decoded[0] == decoded[1] != decoded[2]
    monkeypatch.setattr(measures, "ROUNDS", 20)
    for pairs in (9, 30):
        decoded.clear()
        told = {"pairs": pairs, "probes": JUDGES, "shown": False}
        evaluation.evaluate({"fdnf": Counted()}, parts, **told)
        assert [*map(len, decoded)] == [min(pairs, 20), pairs, pairs]


def test_windows_of_one_recording_do_not_vote_for_each_other(rng, parts):
    """Codes that are a place of the recording know a class from it, and no class."""
    rows, number = rows_of(rng, each=40), np.arange(240) // 6
    rows.labels[:, 0] = number % 3
    rows.x = 100 * rng.normal(size=(40, 2, 2))[number] + 0.01 * rows.x
    rows.x = rows.x.astype("float32")
    rows.recording = np.array([f"r{i}" for i in number])
    found = evaluation.structures(Whole(), rows)["code"]["phone"]
    assert found["knn"] < 0.55 and found["probe"] < 0.55
    rows.recording = np.arange(240).astype(str)
    assert evaluation.structures(Whole(), rows)["code"]["phone"]["knn"] == 1


def test_what_recordings_leave_unknown_of_classes_is_noted(parts):
    told = {"pairs": 20, "probes": JUDGES, "shown": False}
    assert not evaluation.evaluate({"fdnf": Halves()}, parts, **told)["notes"]
    rows = parts.test
    rows.recording = np.where(rows.labels[:, 0] == 2, "c", rows.recording)
    rows.recording = np.where(rows.labels[:, 1] == 1, "q", rows.recording)
    notes = evaluation.evaluate({"fdnf": Halves()}, parts, **told)["notes"]
    assert [note.split(":")[0] for note in notes] == ["speaker"]
    assert "also that of recordings" in notes[0]
    rows.recording = np.where(rows.labels[:, 0] == 2, "c", np.arange(60).astype(str))
    (note,) = evaluation.evaluate({"fdnf": Halves()}, parts, **told)["notes"]
    assert note.startswith("phone: 1 of 3 classes are in one test recording only")


def test_a_factor_without_a_labelled_test_row_is_left_out_with_a_note(parts):
    parts.test.labels[:, 1] = -1
    told = {"pairs": 20, "probes": JUDGES, "shown": False}
    found = evaluation.evaluate({"nf": Whole(), "fdnf": Halves()}, parts, **told)
    assert [*found["probes"]] == ["phone"]
    assert found["manipulation"]["speaker"] == {}
    assert found["manipulation"]["phone"]["fdnf"]["others"] == {}
    assert found["notes"] == [
        "speaker: no test row has a label, so nothing is said of it."
    ]
    said = report.text(found)
    assert "Note: speaker: no test row" in said and "speaker changed" not in said


def test_judges_end_by_other_recordings_and_see_all_that_is_learned_from(
    parts, monkeypatch
):
    asked = []
    monkeypatch.setattr(
        evaluation.judges, "fit", lambda *a, **told: asked.append((a, told)) or JUDGES
    )
    evaluation.evaluate({"fdnf": Halves()}, parts, pairs=20, shown=False)
    ((rows, vocabulary), told), *_ = asked
    assert rows is parts.train and told["valid"] is parts.valid
    assert vocabulary is parts.vocabulary


def test_posteriors_of_all_classes_are_kept_of_one_block_only(parts, monkeypatch):
    sizes = []

    class Counting(Judge):
        def posterior(self, x):
            sizes.append(len(x))
            return super().posterior(x)

    asked = {"m": Whole()}, parts.test, JUDGES, "phone"
    whole = evaluation.manipulation(*asked)
    monkeypatch.setattr(tables, "BLOCK", 25)
    judges = {factor: Counting(factor) for factor in VOCABULARY}
    found = evaluation.manipulation(*asked[:2], judges, "phone")
    assert sizes == [60, 60] + [25, 25, 25, 25, 20] * 2
    for name in ("target", "others"):
        assert str(found["m"][name])[:40] == str(whole["m"][name])[:40]
    expected = whole["m"]["others"]["speaker"]
    assert found["m"]["others"]["speaker"] == pytest.approx(expected)


def test_a_model_is_asked_only_for_factors_it_knows(parts):
    assert evaluation.bayes(Halves(), parts.test) == {"phone": 1, "speaker": 1}
    parts.test.labels[:6, 0] = [1, 1, 2, 2, 0, 0]  # what is wrong is counted
    parts.test.labels[6:, 0][::2] = -1
    assert evaluation.bayes(OfPhones(), parts.test) == {"phone": 27 / 33}


def test_normality_is_looked_at_in_the_factors_own_part_around_its_centre(parts):
    parts.test = rows_of(np.random.default_rng(5), each=100)
    found = evaluation.gaussianity(Halves(), parts.test)
    for factor in VOCABULARY:
        assert found[factor]["deviation"] == pytest.approx(2, rel=0.05)
        assert found[factor]["ks"] < 0.06 and found[factor]["skewness"] < 0.2
    alone = evaluation.gaussianity(OfPhones(), parts.test)
    z = 2 * parts.test.x.reshape(-1, 4)
    speakers = clusters.gaussianity(z, parts.test.labels[:, 1])
    assert alone["speaker"] == speakers  # no centres of its own: averages
    phones = clusters.gaussianity(
        z, parts.test.labels[:, 0], OfPhones().centres("phone")
    )
    assert alone["phone"] == phones and phones["deviation"] > 20


@pytest.mark.slow
def test_the_whole_report_has_its_form_and_is_json(parts, capsys):
    models = {
        "vae": Blurred(),
        "nf": Bursting(),
        "dnf-phone": OfPhones(),
        "fdnf": Halves(),
    }
    found = evaluation.evaluate(models, parts, pairs=50, probes=JUDGES)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["factors"] == {"phone": 3, "speaker": 2}
    sizes = {"train": 60, "valid": 60, "test": 60, "unseen": 60, "dim": 4}
    assert found["sizes"] == sizes
    assert found["probes"] == {
        "phone": {"accuracy": 1, "chance": pytest.approx(1 / 3)},
        "speaker": {"accuracy": 1, "chance": 0.5},
    }
    assert list(found["manipulation"]["phone"]) == list(models)
    assert list(found["manipulation"]["speaker"]) == ["vae", "nf", "fdnf"]
    for rows in found["manipulation"].values():
        for kind, row in rows.items():
            lost = {"lost"} if kind == "nf" and "dnf-phone" in rows else set()
            assert set(row) == {"pairs", "target", "others"} | lost
            assert row["pairs"] == 50
    for row in found["models"].values():
        keys = {"bits", "round_trip", "bayes", "parts", "gaussianity"}
        assert set(row) == keys
    assert found["verification"] == {}
    assert [
        note for note in found["notes"] if note.startswith("vae: bits are an upper")
    ]
    err = capsys.readouterr().err
    assert all(f"judging {kind}" in err for kind in models)


@pytest.mark.slow
def test_without_judges_they_are_trained_on_the_rows_learned_from(parts):
    found = evaluation.evaluate(
        {"fdnf": Halves()}, parts, pairs=50, hidden=(16,), shown=False
    )
    assert found["probes"]["phone"]["accuracy"] > 0.95
    assert found["manipulation"]["speaker"]["fdnf"]["target"]["change"] > 0.8


def test_there_must_be_a_model(parts):
    with pytest.raises(ValueError, match="There must be a model"):
        evaluation.evaluate({}, parts)


class Voices(Halves):
    """Codes of embeddings, in which a channel is loud; it turns it down."""

    divides = False

    def encode(self, x):
        return ops.reshape(x, (-1, 8)) * ops.convert_to_tensor([1.0] * 7 + [1e-3]) + 5


def embeddings(rng, names):
    """Voices with a loud channel that says nothing, and a mean that is far away."""
    speaker = np.repeat(names, 12)
    x = np.repeat(3 * rng.normal(size=(len(names), 8)), 12, axis=0)
    x = x + rng.normal(size=x.shape) + 20
    x[:, 7] = 20 * rng.normal(size=len(x))
    return Rows(x.astype("float32"), np.full((len(x), 2), -1, "int32"), speaker)


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
    return Parts(train, train, train, unseen, about={"source": "embeddings"})


def test_error_rates_are_those_of_all_pairs_of_unseen_speakers(voices):
    voices.unseen.x[:, 0] += 20  # what is taken away is learned from others
    voices.unseen.x[:, 7] *= 0.1
    found, note = evaluation.verification({"nf": Voices()}, voices)
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
    found, _ = evaluation.verification({"fdnf": Halves()}, parts)
    assert list(found) == ["before", "centred", "lda", "fdnf", "fdnf/speaker"]
    assert found["fdnf/speaker"] < 0.1 < 0.3 < found["fdnf"]


def test_rates_are_left_out_where_there_are_no_pairs(voices):
    lone = voices.unseen
    for unseen in (None, lone.subset(slice(0, 12)), lone.subset(slice(0, None, 12))):
        voices.unseen = unseen
        found, note = evaluation.verification({"nf": Voices()}, voices)
        assert found == {} and "two unseen speakers" in note
    lone.speaker[12:] = ""  # nobody knows who they are
    voices.unseen = lone
    assert evaluation.verification({"nf": Voices()}, voices)[0] == {}


@pytest.mark.parametrize("block, calls", [(25, 1), (40, 2), (100, 1)])
def test_blocks_join_in_order_and_many_are_compiled(parts, block, calls):
    """Of 60 rows: 25, 25 and 10 are traced once; two blocks are as well called."""
    traced = []

    def function(x, labels):
        traced.append(1)
        return {
            "x": 2 * x,
            "sum": ops.sum(x, axis=(1, 2)) + ops.cast(labels[:, 0], "float32"),
        }

    rows = parts.test
    found = mapped(function, rows.x, rows.labels, block=block)
    np.testing.assert_array_equal(found["x"], 2 * rows.x)
    expected = rows.x.sum(axis=(1, 2)) + rows.labels[:, 0]
    np.testing.assert_allclose(found["sum"], expected, rtol=1e-5, atol=1e-5)
    assert len(traced) == calls


def test_a_compiled_change_is_that_of_a_call(parts, monkeypatch):
    asked = {"m": Whole()}, parts.test, JUDGES, "phone"
    called = tables.manipulation(*asked)
    monkeypatch.setattr(tables.mapped, "__kwdefaults__", {"block": 50})
    compiled = tables.manipulation(*asked)
    assert compiled["m"]["others"]["speaker"] == called["m"]["others"]["speaker"]


def test_a_factor_that_is_not_there_is_refused(parts):
    with pytest.raises(ValueError, match="A factor must be one of"):
        evaluation.manipulation({"m": Halves()}, parts.test, JUDGES, "mood")
