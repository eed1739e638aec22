"""Sources: each gives rows of known labels, and the features that belong to them."""

import numpy as np
import pytest
import soundfile

from flows import data
from flows.config import FlowDataConfig, SegmentConfig
from flows.segments import segmentation, sources
from tests.flows import prepared
from tests.flows.prepared import of, prepare, put, recorded_once, rows_of
from timbre.audio import wave
from timbre.corpora.embeddings import EmbeddingSet


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    return prepared.spoken(tmp_path_factory.mktemp("spoken"))


@pytest.mark.parametrize("fit", segmentation.FITS)
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
        place = segmentation.find_segment(*times, len(whole), 6, 0.01, fit)
        found = segmentation.extract(whole, *place, frames=6, fit=fit)
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
    assert recorded_once(parts) == paths
    assert parts.about["left_out"]["silence"] == 12
    assert parts.about["left_out"]["unlabelled (kept)"]["mood"] == 40


def test_one_file_under_two_paths_is_one_recording(spoken, tmp_path):
    rows = rows_of(spoken, "segments.csv")
    for i, row in enumerate(rows):
        row["path"] = str(spoken / ["", f"../{spoken.name}"][i % 2] / row["path"])
    told = {"source": "segments", "path": put(tmp_path / "segments.csv", rows)}
    parts = prepare(**told, cache=str(tmp_path / "cache"), unseen=0.0)
    assert len(recorded_once(parts)) == 12


def test_a_phone_without_a_label_is_unknown_and_not_silence(spoken, tmp_path):
    """No phone is known, digits and speakers are: all rows stay."""
    rows = rows_of(spoken, "segments.csv")
    for i, row in enumerate(rows):
        row |= {"phone": "", "digit": str(i % 2), "path": str(spoken / row["path"])}
    path = put(tmp_path / "segments.csv", rows)
    told = {"source": "segments", "path": path, "unseen": 0.0, "min_rows": 1}
    told |= {"cache": str(tmp_path / "cache"), "factors": ("digit", "speaker")}
    parts = prepare(**told)
    assert sum(parts.facts["sizes"].values()) == len(rows) == 132
    assert parts.about["left_out"]["silence"] == 0


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
    assert recorded_once(parts) == {f"{i}.wav" for i in range(6)}
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
    config = FlowDataConfig(
        source="segments",
        factors=("phone",),
        path=str(tmp_path / "segments.csv"),
        cache=str(tmp_path / "cache"),
    )
    found = sources.open_source(config, SegmentConfig(bands=40))
    assert found.read(np.array([0])).shape == (1, 20, 40)
    with pytest.raises(ValueError, match=r"5.0 to 6.0 s in 11 frames.*\(a.wav\)"):
        found.read(np.array([0, 1]))


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
    """What `render` was asked, and how to be given what is made in its place."""
    asked, folder = [], tmp_path / "corpus"
    made = prepared.rendered(spoken, folder)

    def render(where, **told):
        asked.append((where, told))
        return made

    monkeypatch.setattr("timbre.corpora.synthetic.render.render", render)
    told = {"source": "synthetic", "corpus": str(folder), "factors": ("phone",)}
    return asked, told | {"cache": str(tmp_path / "cache"), "speakers": 12}


def test_whole_groups_of_synthetic_voices_are_unseen(rendered):
    _, told = rendered
    for seed in range(4):
        parts = prepare(split_seed=seed, **told, unseen=0.1)
        group = {f"s{i}": i // 3 for i in range(12)}
        unseen = {group[name] for name in parts.unseen.speaker}
        assert len(unseen) == 1 and len({*parts.unseen.speaker}) == 3
        for rows in (parts.train, parts.valid, parts.test):
            assert not unseen & {group[name] for name in rows.speaker}


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
    told = {"source": "synthetic", "speakers": 4, "utterances": 3, "min_rows": 5}
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
    with pytest.raises(ValueError, match="features of sound"):
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
    assert recorded_once(parts) == {f"r{i}.wav" for i in range(10)} | alone
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
    with pytest.raises(ValueError, match="none stays with min_rows=500"):
        prepare(min_rows=500)
    with pytest.raises(ValueError, match="recordings to train every class on"):
        prepare(rows=8)
    with pytest.raises(ValueError, match="unseen=0.9 of 2 speakers"):
        prepare(speakers=2, unseen=0.9)


def test_silence_alone_is_nothing_to_learn_from(tmp_path):
    table = "path,start,end,phone,speaker\na.wav,0,1,SIL,s\na.wav,1,2,pau,s\n"
    (tmp_path / "segments.csv").write_text(table)
    with pytest.raises(ValueError, match="2 segments of silence"):
        prepare(source="segments", path=str(tmp_path), cache=str(tmp_path / "c"))
