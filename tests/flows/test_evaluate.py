"""What the evaluation says of models whose virtues and faults are known by hand."""

import json

import numpy as np
import pytest

from flows import evaluate
from flows.evaluation import summary
from tests.flows import known


@pytest.fixture
def parts(rng):
    return known.parts(rng)


def test_what_recordings_leave_unknown_of_classes_is_noted(parts):
    told = {"pairs": 20, "probes": known.PROBES, "shown": False}
    assert not evaluate.evaluate({"fdnf": known.Halves()}, parts, **told)["notes"]
    rows = parts.test
    rows.recording = np.where(rows.labels[:, 0] == 2, "c", rows.recording)
    rows.recording = np.where(rows.labels[:, 1] == 1, "q", rows.recording)
    notes = evaluate.evaluate({"fdnf": known.Halves()}, parts, **told)["notes"]
    assert [note.split(":")[0] for note in notes] == ["speaker"]
    assert "also that of recordings" in notes[0]
    rows.recording = np.where(rows.labels[:, 0] == 2, "c", np.arange(60).astype(str))
    (note,) = evaluate.evaluate({"fdnf": known.Halves()}, parts, **told)["notes"]
    assert note.startswith("phone: 1 of 3 classes are in one test recording only")


def test_a_factor_without_a_labelled_test_row_is_left_out_with_a_note(parts):
    parts.test.labels[:, 1] = -1
    told = {"pairs": 20, "probes": known.PROBES, "shown": False}
    found = evaluate.evaluate(
        {"nf": known.Whole(), "fdnf": known.Halves()}, parts, **told
    )
    assert [*found["probes"]] == ["phone"]
    assert found["manipulation"]["speaker"] == {}
    assert found["manipulation"]["phone"]["fdnf"]["others"] == {}
    assert found["notes"] == [
        "speaker: no test row has a label, so it is not measured."
    ]
    said = summary.summarise(found)
    assert "Note: speaker: no test row" in said and "speaker changed" not in said


def test_probes_stop_by_other_recordings_and_train_on_all_rows(parts, monkeypatch):
    asked = []
    monkeypatch.setattr(
        evaluate.probe_classifiers,
        "fit",
        lambda *a, **told: asked.append((a, told)) or known.PROBES,
    )
    evaluate.evaluate({"fdnf": known.Halves()}, parts, pairs=20, shown=False)
    ((rows, vocabulary), told), *_ = asked
    assert rows is parts.train and told["valid"] is parts.valid
    assert vocabulary is parts.vocabulary


@pytest.mark.slow
def test_the_whole_report_has_its_form_and_is_json(parts, capsys):
    models = {
        "vae": known.Blurred(),
        "nf": known.Bursting(),
        "dnf-phone": known.OfPhones(),
        "fdnf": known.Halves(),
    }
    found = evaluate.evaluate(models, parts, pairs=50, probes=known.PROBES)
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
    assert all(f"evaluating {kind}" in err for kind in models)


@pytest.mark.slow
def test_by_default_probes_are_trained_on_the_training_rows(parts):
    found = evaluate.evaluate(
        {"fdnf": known.Halves()}, parts, pairs=50, hidden=(16,), shown=False
    )
    assert found["probes"]["phone"]["accuracy"] > 0.95
    assert found["manipulation"]["speaker"]["fdnf"]["target"]["change"] > 0.8


def test_there_must_be_a_model(parts):
    with pytest.raises(ValueError, match="There must be a model"):
        evaluate.evaluate({}, parts)
