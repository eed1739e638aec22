"""Data: rows of known labels, divided, ready to be learned, the same ones each time."""

import dataclasses
import json

import numpy as np
import pytest

from flows import data
from flows.segments import sources
from tests.flows import prepared
from tests.flows.prepared import NAMES, of, prepare, recorded_once
from timbre.training.run import Run


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    return prepared.spoken(tmp_path_factory.mktemp("spoken"))


@pytest.fixture(scope="module")
def parts():
    return prepare()


def test_made_up_spectra_are_divided(parts):
    assert parts.train.x.shape[1:] == (4, 8) and parts.train.x.dtype == np.float32
    assert list(parts.vocabulary) == ["phone", "speaker"]
    assert len(parts.vocabulary["phone"]) == 10
    assert parts.vocabulary["speaker"] == tuple(sorted({*parts.train.speaker}))
    assert sum(parts.facts["sizes"].values()) == 600
    for rows in of(parts).values():
        assert rows.labels.dtype == np.int32 and rows.labels.shape == (len(rows), 2)
        assert len(rows.x) == len(rows.recording) == len(rows.speaker) == len(rows)


def test_no_recording_is_in_two_parts_and_nobody_unseen_is_learned_from(parts):
    rows = of(parts)
    assert len(recorded_once(parts)) == 600  # each row is its own
    (unseen,) = set(parts.unseen.speaker)
    assert unseen not in parts.vocabulary["speaker"]
    for name in ("train", "valid", "test"):
        assert unseen not in rows[name].speaker
    assert (parts.unseen.labels[:, 1] == -1).all()
    assert (parts.unseen.labels[:, 0] >= 0).all()


def test_codes_are_places_in_the_vocabulary(parts):
    for rows in (parts.train, parts.valid, parts.test):
        names = np.array(parts.vocabulary["speaker"])[rows.labels[:, 1]]
        np.testing.assert_array_equal(names, rows.speaker)


def test_a_seed_is_a_division_to_the_byte(parts):
    assert prepare().facts == parts.facts
    other = prepare(split_seed=7)
    assert {*other.test.recording} != {*parts.test.recording}
    assert other.facts["sha256"] != parts.facts["sha256"]
    assert prepare(split_seed=0).facts == parts.facts  # `seed` is 0 unless it is said
    rows = {r: p.x[i] for p in of(parts).values() for i, r in enumerate(p.recording)}
    for part in of(other).values():  # the same rows, divided otherwise
        np.testing.assert_array_equal(part.x, [rows[r] for r in part.recording])


def test_nobody_is_unseen_where_the_share_is_0():
    parts = prepare(unseen=0.0)
    assert parts.unseen is None and set(parts.facts["sizes"]) == {*NAMES} - {"unseen"}
    assert len(parts.vocabulary["speaker"]) == 6
    with pytest.raises(ValueError, match="one of train, valid, test. Received: 'uns"):
        parts.rows("unseen")


def test_labels_are_hidden_in_what_is_learned_from_only(parts):
    hidden = prepare(missing=0.5)
    shown = hidden.rows("train")["labels"]
    assert shown is hidden.shown and shown.dtype == np.int32
    gone = (shown == -1).mean(axis=0)
    np.testing.assert_allclose(gone, 0.5, atol=0.08)  # 3 deviations of 400 coins
    np.testing.assert_array_equal(hidden.train.x, parts.train.x)
    assert (shown[shown >= 0] == parts.train.labels[shown >= 0]).all()
    for name in NAMES:  # who judges knows all of them
        np.testing.assert_array_equal(of(hidden)[name].labels, of(parts)[name].labels)
    assert hidden.rows("valid")["labels"] is hidden.valid.labels
    assert hidden.vocabulary == parts.vocabulary
    np.testing.assert_array_equal(parts.shown, parts.train.labels)


def test_what_is_shown_is_in_the_digest_of_what_is_learned_from(parts):
    hidden = prepare(missing=0.5).facts["sha256"]
    differing = {name for name in NAMES if hidden[name] != parts.facts["sha256"][name]}
    assert differing == {"train"}


def test_parts_are_batches_by_name(parts):
    rows = parts.rows("valid")
    assert rows["x"] is parts.valid.x and rows["labels"] is parts.valid.labels
    with pytest.raises(ValueError, match="Received: 'about'"):
        parts.rows("about")


def test_a_subset_keeps_rows_together(parts):
    some = parts.train.subset([3, 1])
    assert len(some) == 2 and some.recording[0] == parts.train.recording[3]
    mask = parts.train.labels[:, 0] == 0
    assert (parts.train.subset(mask).labels[:, 0] == 0).all()


def test_facts_are_json_and_a_run_goes_on_with_its_rows_only(parts, tmp_path):
    run = Run.open(tmp_path / "run", {"seed": 0})
    run.lock_data(data.FACTS, parts.facts)
    run.lock_data(data.FACTS, parts.facts)
    found = json.loads((run.folder / data.FACTS).read_text("utf-8"))
    assert found == parts.facts and found["shape"] == [4, 8]
    assert found["vocabulary"]["phone"] == list(parts.vocabulary["phone"])
    assert found["speakers"]["unseen"] == sorted({*parts.unseen.speaker})
    with pytest.raises(ValueError, match="goes on with the rows it began with"):
        run.lock_data(data.FACTS, prepare(split_seed=1).facts)


def test_another_number_or_label_is_another_digest(parts):
    for change in ({"x": parts.test.x + 1}, {"labels": parts.test.labels + 1}):
        test = dataclasses.replace(parts.test, **change)
        other = dataclasses.replace(parts, test=test).facts["sha256"]
        differing = {
            name for name in NAMES if other[name] != parts.facts["sha256"][name]
        }
        assert differing == {"test"}


def test_features_can_be_computed_again_from_what_the_facts_say(spoken, tmp_path):
    told = {"source": "segments", "path": str(spoken), "cache": str(tmp_path)}
    about = prepare({"hop_s": 0.008, "spectrum": "linear"}, **told).facts["about"]
    about = json.loads(json.dumps(about))
    wanted = {"sample_rate": 16000, "window": 512, "hop": 128, "bands": 8}
    wanted |= {"spectrum": "linear", "frames": 4, "fit": "centre"}
    assert about.items() >= (wanted | {"source": "segments"}).items()
    assert data.front_end(about)(np.zeros((1, 1280), "float32")).shape == (1, 11, 8)


def test_only_the_rows_drawn_are_read(monkeypatch):
    """Ten thousand rows are known of, a hundred are read."""
    asked = []

    def read(rows):
        asked.extend(rows)
        return np.zeros((len(rows), 2), np.float32)

    column = np.array(["a", "b"] * 5000)
    known = sources.Source(
        columns={"phone": column},
        speaker=column,
        group=column,
        recording=np.arange(10_000),
        recordings=tuple(map(str, range(10_000))),
        read=read,
        about={"source": "made up"},
    )
    monkeypatch.setattr(data, "open_source", lambda *_, **__: known)
    parts = prepare(factors=("phone",), rows=100, unseen=0.0)
    assert len(asked) == len(set(asked)) == sum(parts.facts["sizes"].values()) == 100
    assert parts.about["left_out"]["by lot"] == 9900
    broken = dataclasses.replace(
        known, read=lambda rows: np.where(rows[:, None] == rows[3], np.nan, 0.0)
    )
    monkeypatch.setattr(data, "open_source", lambda *_, **__: broken)
    with pytest.raises(
        ValueError, match=r"NaN or infinity in 1 of 100 .* recording \d"
    ):
        prepare(factors=("phone",), rows=100, unseen=0.0)


@pytest.mark.slow
@pytest.mark.real_data
def test_spoken_digits_are_divided(real_data, tmp_path):
    told = {"source": "manifest", "path": str(real_data / "fsdd"), "rows": 5000}
    told |= {"factors": ("digit", "speaker"), "cache": str(tmp_path)}
    parts = prepare({"frames": 20, "bands": 40, "fit": "stretch"}, **told)
    assert parts.vocabulary["digit"] == tuple("0123456789")
    assert len(parts.vocabulary["speaker"]) == 4 and len(parts.unseen) == 240
    assert sum(parts.facts["sizes"].values()) == 1200
    assert (np.bincount(parts.train.labels[:, 0]) > 50).all()
    assert np.isfinite(parts.train.x).all() and parts.train.x.std() > 1
