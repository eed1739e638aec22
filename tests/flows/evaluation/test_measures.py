"""Measures of one model: densities, reconstruction, and structure of its latents."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from flows import evaluate
from flows.evaluation import measures
from flows.evaluation.manipulation import encode_rows
from flows.evaluation.measures import classification_accuracy
from tests.flows import known
from timbre.metrics import clusters


@pytest.fixture
def parts(rng):
    return known.parts(rng)


def structure(model, rows):
    latents = encode_rows(model, rows)
    return measures.class_separability(latents, model.vocabulary, rows)


def gaussianity(model, rows):
    return measures.gaussianity(model, encode_rows(model, rows), rows)


def test_parts_encode_their_own_factor_and_no_other(parts):
    found = structure(known.Halves(), parts.test)
    assert list(found) == ["code", "phone", "speaker"]
    for part in ("phone", "speaker"):
        for factor in ("phone", "speaker"):
            row = found[part][factor]
            if part == factor:
                assert row["knn"] == row["probe"] == 1 and row["silhouette"] > 0.7
            else:
                assert row["knn"] < 0.65 and row["fisher"] < 0.2
    assert found["code"]["phone"]["knn"] == found["code"]["speaker"]["knn"] == 1
    known.OfPhones.split_latents = lambda self, z: {"phone": z}  # one part is the whole
    whole = structure(known.OfPhones(), parts.test)
    del known.OfPhones.split_latents
    assert list(whole) == ["code"] and list(whole["code"]) == ["phone", "speaker"]
    assert list(structure(known.Halves(), parts.unseen)["code"]) == ["phone"]


def test_bits_are_those_of_the_density_in_the_unit_of_the_features(parts):
    """x is N(centre, 1 / 2**2) to the model; of unknown classes an equal share of each.

    Without labels models of any classes compare, and voices with unseen ones.
    """

    def bits(rows, given=()):
        x, nats = rows.x.reshape(-1, 4).astype(float), 0
        for i, (factor, centres) in enumerate(known.CENTRES.items()):
            own = x[:, known.PLACES[factor]]
            each = [stats.norm(c, 0.5).logpdf(own).sum(axis=1) for c in centres]
            told = np.choose(rows.labels[:, i] % len(each), each)
            mixed = logsumexp(each, axis=0) - np.log(len(each))
            nats = nats + (told if factor in given else mixed)
        return pytest.approx(-nats.mean() / 4 / np.log(2), rel=1e-5)

    assert measures.density(known.Halves(), parts) == {
        "test": bits(parts.test),
        "unseen": bits(parts.unseen),
        "given": {
            "test": bits(parts.test, known.VOCABULARY),
            "unseen": bits(parts.unseen, ["phone"]),
        },
    }


def test_a_bound_is_called_a_bound_and_missing_rows_have_no_bits(parts):
    parts.unseen = None
    found = measures.density(known.Blurred(), parts)
    assert found["bound"] is True and found["unseen"] is None
    assert found["test"] == measures.density(known.Halves(), parts)["test"]

    class Silent(known.Halves):
        log_prob = property()

    assert measures.density(Silent(), parts) is None

    class Broken(known.Halves):
        def log_prob(self, x, labels):
            return super().log_prob(x, labels) * float("inf")

    found = measures.density(Broken(), parts)
    assert found["test"] is found["given"]["test"] is None


def test_a_reconstruction_error_is_measured_in_deviations_of_each_number(parts):
    assert measures.reconstruction_error(known.Halves(), parts.test) == 0
    flat = parts.test.x.reshape(-1, 4).astype(float)
    errors = np.array([0.3, 0.4, 0, 0]) / flat.std(axis=0)

    class Off(known.Halves):
        decode = known.Blurred.__dict__["decode"]

    Off.decode = lambda self, z: known.Blurred.decode(known.Blurred(), z)
    assert measures.reconstruction_error(Off(), parts.test) == pytest.approx(
        errors.max(), rel=1e-4
    )
    some = measures.reconstruction_error(
        Off(), parts.test, max_rows=3
    )  # in deviations of all
    assert some == pytest.approx(errors.max(), rel=1e-4)  # in deviations of all
    root = np.sqrt((errors**2).mean())
    assert measures.reconstruction_error(known.Blurred(), parts.test) == pytest.approx(
        root, rel=1e-4
    )


def test_no_more_rows_are_reconstructed_than_were_asked_for(parts, monkeypatch):
    decoded = []

    class Counted(known.Halves):
        def decode(self, z):
            decoded.append(np.round(z / 2, 4).tolist())
            return super().decode(z)

    for told in ({"max_rows": 7}, {"max_rows": 7}, {"max_rows": 7, "seed": 1}, {}):
        measures.reconstruction_error(Counted(), parts.test, **told)
    assert [*map(len, decoded)] == [7, 7, 7, 60]
    assert decoded[0] == decoded[1] != decoded[2]
    monkeypatch.setattr(measures, "MAX_RECONSTRUCTED", 20)
    for pairs in (9, 30):
        decoded.clear()
        told = {"pairs": pairs, "probes": known.PROBES, "shown": False}
        evaluate.evaluate({"fdnf": Counted()}, parts, **told)
        assert [*map(len, decoded)] == [min(pairs, 20), pairs, pairs]


def test_windows_of_one_recording_do_not_vote_for_each_other(rng, parts):
    """Latents that are a place of the recording know a class from it, and no class."""
    rows, number = known.rows_of(rng, each=40), np.arange(240) // 6
    rows.labels[:, 0] = number % 3
    rows.x = 100 * rng.normal(size=(40, 2, 2))[number] + 0.01 * rows.x
    rows.x = rows.x.astype("float32")
    rows.recording = np.array([f"r{i}" for i in number])
    found = structure(known.Whole(), rows)["code"]["phone"]
    assert found["knn"] < 0.55 and found["probe"] < 0.55
    rows.recording = np.arange(240).astype(str)
    assert structure(known.Whole(), rows)["code"]["phone"]["knn"] == 1


def test_a_model_is_asked_only_for_factors_it_knows(parts):
    assert classification_accuracy(known.Halves(), parts.test) == {
        "phone": 1,
        "speaker": 1,
    }
    parts.test.labels[:6, 0] = [1, 1, 2, 2, 0, 0]  # what is wrong is counted
    parts.test.labels[6:, 0][::2] = -1
    assert classification_accuracy(known.OfPhones(), parts.test) == {"phone": 27 / 33}


def test_normality_is_looked_at_in_the_factors_own_part_around_its_centre(parts):
    parts.test = known.rows_of(np.random.default_rng(5), each=100)
    found = gaussianity(known.Halves(), parts.test)
    for factor in known.VOCABULARY:
        assert found[factor]["deviation"] == pytest.approx(2, rel=0.05)
        assert found[factor]["ks"] < 0.06 and found[factor]["skewness"] < 0.2
    alone = gaussianity(known.OfPhones(), parts.test)
    z = 2 * parts.test.x.reshape(-1, 4)
    speakers = clusters.gaussianity(z, parts.test.labels[:, 1])
    assert alone["speaker"] == speakers  # no centres of its own: averages
    phones = clusters.gaussianity(
        z, parts.test.labels[:, 0], known.OfPhones().centres("phone")
    )
    assert alone["phone"] == phones and phones["deviation"] > 20
