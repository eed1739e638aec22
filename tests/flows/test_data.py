"""Data: every source gives rows of known labels, divided and ready to be learned."""

import csv
import dataclasses
import json

import numpy as np
import pytest
import soundfile

from audio import wave
from corpora.corpus import Utterance
from corpora.embeddings import EmbeddingSet
from flows import data, sources
from flows import segments as cutting
from flows.settings import Data, Segment
from training.run import Run

NAMES = ("train", "valid", "test", "unseen")


def prepare(segment=None, split_seed=None, **changes):
    """Data as a config has them, few rows at a time."""
    told = {"source": "spectra", "speakers": 6, "rows": 600, "least_rows": 1}
    config = dataclasses.asdict(Data(**told | changes))
    shape = {"frames": 4, "bands": 8, "high_hz": None} | (segment or {})
    shape = dataclasses.asdict(Segment(**shape))
    return data.prepare(**config, segment=shape, split_seed=split_seed)


def of(parts):
    return {name: getattr(parts, name) for name in NAMES if getattr(parts, name)}


def heard_once(parts):
    """Names of all recordings, none of which is in two parts."""
    heard = [{*rows.recording} for rows in of(parts).values()]
    assert len(set().union(*heard)) == sum(map(len, heard))
    return set().union(*heard)


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
    assert len(heard_once(parts)) == 600  # each row is its own
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
    assert {*other.unseen.recording} != {*parts.unseen.recording} or {
        *other.test.recording
    } != {*parts.test.recording}
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
    parts.remember(run)
    parts.remember(run)
    found = json.loads((run.folder / data.FACTS).read_text("utf-8"))
    assert found == parts.facts and found["shape"] == [4, 8]
    assert found["vocabulary"]["phone"] == list(parts.vocabulary["phone"])
    assert found["speakers"]["unseen"] == sorted({*parts.unseen.speaker})
    with pytest.raises(ValueError, match="goes on with the rows it began with"):
        prepare(split_seed=1).remember(run)


def test_another_number_or_label_is_another_digest(parts):
    for change in ({"x": parts.test.x + 1}, {"labels": parts.test.labels + 1}):
        test = dataclasses.replace(parts.test, **change)
        other = dataclasses.replace(parts, test=test).facts["sha256"]
        differing = {
            name for name in NAMES if other[name] != parts.facts["sha256"][name]
        }
        assert differing == {"test"}


# recordings


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """Twelve recordings of three speakers; each has ten phones and a pause."""
    folder, rng = tmp_path_factory.mktemp("spoken"), np.random.default_rng(0)
    segments = [["path", "start", "end", "phone", "speaker", "mood"]]
    manifest = [["path", "speaker", "text", "mood"]]
    for i in range(12):
        name, mood, speaker = f"{i}.wav", ["calm", "glad", ""][i % 3], "abc"[i // 4]
        wave.write(folder / name, rng.uniform(-0.5, 0.5, 9600).astype("float32"))
        manifest.append([name, speaker, "yes", mood])
        for j in range(11):
            phone = "sil" if j == 5 else "xyz"[(i + j) % 3]
            times = 0.05 * j, 0.05 * j + 0.04 + 0.002 * i
            segments.append([name, *times, phone, speaker, mood])
    for name, rows in (("segments.csv", segments), ("manifest.csv", manifest)):
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
    return folder


def rows_of(folder, name):
    with (folder / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def put(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    return str(path)


@pytest.mark.parametrize("fit", cutting.FITS)
def test_segments_are_the_frames_around_their_phones(spoken, tmp_path, fit):
    shape = {"frames": 6, "bands": 12, "high_hz": None, "fit": fit}
    told = {"source": "segments", "path": str(spoken), "cache": str(tmp_path)}
    parts = prepare(shape, **told, factors=("phone", "speaker", "mood"))
    layer = data.front_end(parts.about)
    labelled = [row for row in rows_of(spoken, "segments.csv") if row["phone"] != "sil"]
    paths, expected = {row["path"] for row in labelled}, {}
    sounds = {path: layer(wave.read(spoken / path)[None])[0].numpy() for path in paths}
    for row in labelled:
        whole = sounds[row["path"]]
        times = float(row["start"]), float(row["end"])
        place = cutting.window(*times, len(whole), 6, 0.01, fit)
        found = cutting.cut(whole, *place, frames=6, fit=fit)
        key = row["path"], row["phone"], row["mood"], row["speaker"]
        expected.setdefault(key, []).append(found)
    count = 0
    for rows in of(parts).values():
        columns = rows.x, rows.labels, rows.recording, rows.speaker
        for x, labels, path, speaker in zip(*columns, strict=True):
            phone = parts.vocabulary["phone"][labels[0]]
            mood = parts.vocabulary["mood"][labels[2]] if labels[2] >= 0 else ""
            near = [np.abs(x - e).max() for e in expected[path, phone, mood, speaker]]
            assert min(near) < 1e-4
            count += 1
    assert count == len(labelled) == 120
    assert heard_once(parts) == paths
    assert parts.about["left_out"]["silence"] == 12
    assert parts.about["left_out"]["unlabelled (kept)"]["mood"] == 40


def test_one_file_under_two_paths_is_one_recording(spoken, tmp_path):
    rows = rows_of(spoken, "segments.csv")
    for i, row in enumerate(rows):
        row["path"] = str(spoken / ["", f"../{spoken.name}"][i % 2] / row["path"])
    told = {"source": "segments", "path": put(tmp_path / "segments.csv", rows)}
    parts = prepare(**told, cache=str(tmp_path / "cache"), unseen=0.0)
    assert len(heard_once(parts)) == 12


def test_a_phone_that_nobody_told_is_unknown_and_not_silence(spoken, tmp_path):
    """No phone is known, digits and speakers are: all rows stay."""
    rows = rows_of(spoken, "segments.csv")
    for i, row in enumerate(rows):
        row |= {"phone": "", "digit": str(i % 2), "path": str(spoken / row["path"])}
    path = put(tmp_path / "segments.csv", rows)
    told = {"source": "segments", "path": path, "unseen": 0.0, "least_rows": 1}
    told |= {"cache": str(tmp_path / "cache"), "factors": ("digit", "speaker")}
    parts = prepare(**told)
    assert sum(parts.facts["sizes"].values()) == len(rows) == 132
    assert parts.about["left_out"]["silence"] == 0


def test_features_can_be_computed_again_from_what_the_facts_say(spoken, tmp_path):
    told = {"source": "segments", "path": str(spoken), "cache": str(tmp_path)}
    about = prepare({"hop_s": 0.008, "spectrum": "linear"}, **told).facts["about"]
    about = json.loads(json.dumps(about))
    wanted = {"sample_rate": 16000, "window": 512, "hop": 128, "bands": 8}
    wanted |= {"spectrum": "linear", "frames": 4, "fit": "centre"}
    assert about.items() >= (wanted | {"source": "segments"}).items()
    assert data.front_end(about)(np.zeros((1, 1280), "float32")).shape == (1, 11, 8)


def test_an_utterance_of_a_manifest_is_one_segment(spoken, tmp_path):
    told = {"source": "manifest", "path": str(spoken), "cache": str(tmp_path)}
    told |= {"factors": ("mood", "speaker"), "unseen": 0.0}
    shape = {"frames": 7, "bands": 12, "high_hz": None, "fit": "stretch"}
    parts = prepare(shape, **told)
    layer = data.front_end(parts.about)
    for rows in of(parts).values():
        for x, path in zip(rows.x, rows.recording, strict=True):
            whole = layer(wave.read(spoken / path)[None])[0].numpy()
            at = np.linspace(0, len(whole) - 1, 7)
            lines = [np.interp(at, np.arange(len(whole)), band) for band in whole.T]
            np.testing.assert_allclose(x.T, lines, atol=1e-4)
    assert sum(parts.facts["sizes"].values()) == 12
    centre = prepare(shape | {"fit": "centre"}, **told)
    whole = layer(wave.read(spoken / centre.train.recording[0])[None])[0]
    assert len(whole) == 61  # the middle of 0 ... 60 is 30, of 27 ... 33
    np.testing.assert_allclose(centre.train.x[0], whole[27:34], atol=1e-4)


def test_stretches_of_one_file_are_one_recording(spoken, tmp_path):
    """Six files, each of five stretches by two speakers."""
    rows = [
        {"path": spoken / f"{i}.wav", "start": j / 10, "end": j / 10 + 0.08}
        | {"speaker": "ab"[j % 2], "mood": ["calm", "glad"][j % 2]}
        for i in range(6)
        for j in range(5)
    ]
    told = {"source": "manifest", "path": put(tmp_path / "manifest.csv", rows)}
    told |= {"factors": ("mood", "speaker"), "cache": str(tmp_path / "cache")}
    parts = prepare({"frames": 5, "bands": 12}, **told, unseen=0.0)
    assert heard_once(parts) == {f"{i}.wav" for i in range(6)}
    assert sum(parts.facts["sizes"].values()) == 30
    layer, cut = data.front_end(parts.about), []
    for row in rows:  # 0.08 s are 9 frames, of which the middle 5 are taken
        stretch = slice(round(row["start"] * 16000), round(row["end"] * 16000))
        cut.append(layer(wave.read(row["path"])[None, stretch])[0, 2:7])
    found = np.concatenate([rows.x for rows in of(parts).values()])
    near = np.abs(found[:, None] - np.stack(cut)).max(axis=(2, 3))  # rows can be told
    assert (near < 1e-4).sum(axis=0).tolist() == [1] * 30


def test_sound_that_can_not_be_read_is_counted_and_left_out(spoken, tmp_path, capsys):
    rows = rows_of(spoken, "segments.csv")
    for row in rows:
        row["path"] = str(spoken / row["path"])
    lost = [{**row, "path": "gone.wav"} for row in rows[:4]]
    told = {"source": "segments", "path": put(tmp_path / "more.csv", rows + lost)}
    parts = prepare(**told, cache=str(tmp_path / "cache"))
    assert parts.about["left_out"]["unreadable"] == 4
    assert sum(parts.facts["sizes"].values()) == 120
    assert "gone.wav" not in np.concatenate([r.recording for r in of(parts).values()])


def test_a_phone_beyond_its_recording_is_an_error_with_its_name(tmp_path, rng):
    wave.write(tmp_path / "a.wav", rng.uniform(-0.5, 0.5, 1600).astype("float32"))
    table = "path,start,end,phone,speaker\na.wav,0,0.1,x,s\na.wav,5,6,y,t\n"
    (tmp_path / "segments.csv").write_text(table)
    found = sources.open_source(
        "segments",
        factors=("phone",),
        segment=dataclasses.asdict(Segment(bands=40)),
        path=str(tmp_path / "segments.csv"),
        corpus="",
        cache=tmp_path / "cache",
        clean=True,
        fold=True,
    )
    assert found.read(np.array([0])).shape == (1, 20, 40)
    with pytest.raises(ValueError, match=r"5.0 to 6.0 s in 11 frames.*\(a.wav\)"):
        found.read(np.array([0, 1]))


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
        family=column,
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


def test_timit_is_read_by_its_folder(tmp_path, rng):
    for part, speaker, kind in (("TRAIN", "FABC0", "NIST"), ("TEST", "MDEF0", "WAV")):
        for i in range(6):
            place = tmp_path / "timit" / part / "DR1" / speaker / f"SX{i}.WAV"
            place.parent.mkdir(parents=True, exist_ok=True)
            sound = rng.uniform(-0.5, 0.5, 8000)
            soundfile.write(place, sound, 16000, format=kind)
            text = "0 800 h#\n800 2400 ix\n2400 4000 zh\n4000 8000 epi\n"
            place.with_suffix(".PHN").write_text(text)
    told = {"source": "timit", "path": str(tmp_path / "timit"), "unseen": 0.0}
    told |= {"cache": str(tmp_path / "cache"), "factors": ("phone", "gender")}
    parts = prepare(**told)
    assert parts.vocabulary == {"phone": ("ih", "sh"), "gender": ("F", "M")}
    assert sum(parts.facts["sizes"].values()) == 24
    assert len(set(parts.train.recording)) == 12 - 2 - 1  # two to test, one to valid
    whole = prepare(**told, fold=False)
    assert whole.vocabulary["phone"] == ("ix", "zh")  # silence is silence all the same


@pytest.fixture
def rendered(monkeypatch, spoken, tmp_path):
    """What `render` makes, made of what is there: twelve speakers of four families."""
    asked, rows = [], rows_of(spoken, "segments.csv")
    phones = ["ɐ", "ʌ", "ə", "iː", "i", "aɪə"]
    for i, row in enumerate(rows):
        number = int(row["path"].removesuffix(".wav"))
        row |= {"speaker": f"s{number}", "phone": phones[i % 6]}
        row["path"] = str(spoken / row["path"])
    folder = tmp_path / "corpus"
    folder.mkdir()
    put(
        folder / "segments.csv",
        [{k: v for k, v in r.items() if k != "mood"} for r in rows],
    )

    def render(where, **told):
        asked.append((where, told))
        return [
            Utterance(
                spoken / f"{i}.wav",
                f"s{i}",
                extra={"variant": "wxyz"[i // 3], "gender": "fm"[i % 2]},
            )
            for i in range(12)
        ]

    monkeypatch.setattr("corpora.synthetic.render.render", render)
    told = {"source": "synthetic", "corpus": str(folder), "factors": ("phone",)}
    return asked, told | {"cache": str(tmp_path / "cache"), "speakers": 12}


def test_whole_families_of_synthetic_voices_are_unseen(rendered):
    _, told = rendered
    for seed in range(4):
        parts = prepare(split_seed=seed, **told, unseen=0.1)
        kin = {f"s{i}": i // 3 for i in range(12)}
        unseen = {kin[name] for name in parts.unseen.speaker}
        assert len(unseen) == 1 and len({*parts.unseen.speaker}) == 3
        for rows in (parts.train, parts.valid, parts.test):
            assert not unseen & {kin[name] for name in rows.speaker}


def test_what_the_manifest_says_of_a_recording_is_known_of_its_phones(rendered):
    parts = prepare(**rendered[1] | {"factors": ("gender", "phone")}, unseen=0.0)
    assert parts.vocabulary["gender"] == ("f", "m")
    for rows in of(parts).values():
        number = np.array([int(name.removeprefix("s")) for name in rows.speaker])
        np.testing.assert_array_equal(rows.labels[:, 0], number % 2)


def test_synthetic_phones_are_folded_and_clean_unless_it_is_said(rendered):
    asked, told = rendered
    parts = prepare(**told, unseen=0.0)
    assert parts.vocabulary["phone"] == ("iː", "ə")
    assert parts.about["left_out"]["two in one"] == 22  # a sixth of 132
    assert sum(parts.facts["sizes"].values()) == 110
    assert asked[-1][1]["clean"] is True
    whole = prepare(**told, unseen=0.0, fold=False, clean=False)
    assert whole.vocabulary["phone"] == ("aɪə", "i", "iː", "ɐ", "ə", "ʌ")
    assert asked[-1][1]["clean"] is False
    assert whole.about["left_out"]["two in one"] == 0


@pytest.mark.slow
def test_the_default_corpus_is_rendered_and_its_manifest_is_known(tmp_path):
    told = {"source": "synthetic", "speakers": 4, "utterances": 3, "least_rows": 5}
    told |= {"corpus": str(tmp_path / "corpus"), "cache": str(tmp_path / "cache")}
    parts = prepare(**told, factors=("phone", "speaker", "gender"), unseen=0.25)
    assert len(parts.vocabulary["speaker"]) == 3 and len(parts.vocabulary["phone"]) > 5
    assert parts.vocabulary["gender"] == ("f", "m")
    assert {name.split("/")[0] for name in parts.unseen.recording} == {
        *parts.unseen.speaker
    }
    left = parts.about["left_out"]
    total = len(rows_of(tmp_path / "corpus", "segments.csv"))
    gone = left["rare"] + left["by lot"] + left["two in one"]
    assert sum(parts.facts["sizes"].values()) + gone == total
    again = prepare(**told, factors=("phone", "speaker", "gender"), unseen=0.25)
    assert again.facts == parts.facts


@pytest.fixture
def voices(tmp_path, rng):
    speaker = np.array([f"s{i % 8}" for i in range(80)])
    mode = np.where(np.arange(80) % 2, "high", "low")
    mode[:4] = ""
    x = rng.normal(size=(80, 6)).astype("float32")
    about = {"extractor": "none"}
    voices = EmbeddingSet(x, speaker, np.full(80, ""), about, {"mode": mode})
    voices.save(tmp_path / "set.npz")
    return voices, str(tmp_path / "set.npz")


def test_embeddings_are_rows_of_their_own(voices):
    voices, path = voices
    parts = prepare(source="embeddings", path=path, factors=("speaker", "mode"))
    assert parts.facts["shape"] == [6] and parts.about["source"] == "embeddings"
    assert parts.about["set"] == {"extractor": "none"}
    for rows in of(parts).values():
        place = [int(name.removeprefix("row ")) for name in rows.recording]
        np.testing.assert_array_equal(rows.x, voices.embeddings[place])
        np.testing.assert_array_equal(rows.speaker, voices.speaker[place])
    assert sum((rows.labels[:, 1] == -1).sum() for rows in of(parts).values()) == 4
    with pytest.raises(ValueError, match="made of sound"):
        data.front_end(parts.about)


def test_embeddings_of_one_recording_stay_together(tmp_path, rng):
    """Ten recordings of four stretches, each twice; four rows are of no known one."""
    names = [f"r{i}.wav[{j}.0,{j + 1.5}]" for i in range(10) for j in range(4)] * 2
    names[:2], names[2:4] = ["r0.wav", "r0.wav"], ["", ""]
    names[40:42] = ["", ""]
    speaker = np.array([f"s{i // 4 % 5}" for i in range(80)])
    x = rng.normal(size=(80, 6)).astype("float32")
    EmbeddingSet(x, speaker, np.array(names), {}, {}).save(tmp_path / "set.npz")
    told = {"source": "embeddings", "path": str(tmp_path / "set.npz")}
    parts = prepare(**told, factors=("speaker",), unseen=0.0)
    alone = {f"row {i}" for i in (2, 3, 40, 41)}
    assert heard_once(parts) == {f"r{i}.wav" for i in range(10)} | alone
    for rows in of(parts).values():
        place = [np.flatnonzero((x == row).all(axis=1))[0] for row in rows.x]
        of_row = [names[i].partition("[")[0] or f"row {i}" for i in place]
        assert rows.recording.tolist() == of_row


@pytest.mark.parametrize(
    ("source", "spectrum", "bands"),
    [("segments", "mel", 40), ("segments", "linear", 200), ("spectra", "mel", 16)],
)
def test_bands_follow_the_spectrum_where_nothing_is_said(
    spoken, tmp_path, source, spectrum, bands
):
    told = {"source": source, "path": str(spoken), "cache": str(tmp_path)}
    parts = prepare({"bands": None, "spectrum": spectrum}, **told, unseen=0.0)
    assert parts.about["bands"] == bands and parts.facts["shape"] == [4, bands]


def test_mistakes_are_named(voices, spoken, tmp_path):
    path = voices[1]
    cache = {"cache": str(tmp_path / "cache")}
    with pytest.raises(ValueError, match="Received: mood, where there are mode, spe"):
        prepare(source="embeddings", path=path, factors=("speaker", "mood"))
    with pytest.raises(
        ValueError, match="Received: digit, where there are mood, phone"
    ):
        prepare(source="segments", path=str(spoken), factors=("digit",), **cache)
    with pytest.raises(ValueError, match="must say where 'timit' are"):
        prepare(source="timit")
    with pytest.raises(ValueError, match="no such source.*'tapes'"):
        prepare(source="tapes")
    with pytest.raises(ValueError, match="two classes or more. Received: 'text'"):
        prepare(source="manifest", path=str(spoken), factors=("text",), **cache)
    with pytest.raises(ValueError, match="none stays with least_rows=500"):
        prepare(least_rows=500)
    with pytest.raises(ValueError, match="recordings to learn every class from"):
        prepare(rows=8)
    with pytest.raises(ValueError, match="unseen=0.9 of 2 speakers"):
        prepare(speakers=2, unseen=0.9)


def test_silence_alone_is_nothing_to_learn_from(tmp_path):
    table = "path,start,end,phone,speaker\na.wav,0,1,SIL,s\na.wav,1,2,pau,s\n"
    (tmp_path / "segments.csv").write_text(table)
    with pytest.raises(ValueError, match="2 segments of silence"):
        prepare(source="segments", path=str(tmp_path), cache=str(tmp_path / "c"))


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
