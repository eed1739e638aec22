import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import python_speech_features
from sklearn.metrics import roc_curve

from timbre.audio import wave
from timbre.corpora import manifest
from timbre.corpora.corpus import Corpus, Utterance
from timbre.corpora.splits import split_by_speaker
from timbre.corpora.synthetic import espeak, render, speakers

ROOT = Path(__file__).resolve().parents[4]
SMALL = {"num_speakers": 3, "utterances": 2, "workers": 1, "progress": False}


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic") / "clean"
    render.render(folder, clean=True, **SMALL)
    return folder


def table(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def contents(folder):
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def test_the_folder_is_an_ordinary_corpus(clean):
    corpus = manifest.read(clean / "manifest.csv")
    assert corpus.speakers == ("s0000", "s0001", "s0002") and len(corpus) == 6
    assert [u.extra["gender"] for u in corpus] == list("ffmmff")
    for utterance in corpus:
        info = wave.inspect(utterance.path)
        assert (info.format, info.sample_rate, info.channels) == ("FLAC", 16000, 1)
        assert utterance.path.parent.name == utterance.speaker
        assert 1.5 < info.duration_s < 5.5 and utterance.text


def test_speakers_of_one_espeak_variant_are_a_group(clean):
    """More voices than variants: only the column tells which of them are alike."""
    about = json.loads((clean / "about.json").read_text())["speakers"]
    variants = {speaker["name"]: speaker["variant"]["name"] for speaker in about}
    for utterance in manifest.read(clean / "manifest.csv"):
        assert utterance.extra["variant"] == variants[utterance.speaker]
    everyone = speakers.sample_speakers(100, seed=0)
    rows = tuple(
        Utterance(Path(f"{s.name}.flac"), s.name, extra={"variant": name})
        for s in everyone
        for name in [s.variant.name]
    )
    train, test = split_by_speaker(
        Corpus("synthetic", rows), counts=(None, 20), groups="variant"
    )
    of = {s.name: s.variant.name for s in everyone}
    trained, held = ({of[name] for name in part.speakers} for part in (train, test))
    assert not trained & held
    assert 20 <= len(test.speakers) < 20 + max(map(list(of.values()).count, trained))


def test_texts_differ_within_a_speaker(clean):
    for utterances in manifest.read(clean / "manifest.csv").by_speaker().values():
        assert len({u.text for u in utterances}) == len(utterances)


@pytest.mark.parametrize(("name", "column"), [("segments", "phone"), ("words", "word")])
def test_labels_lie_on_samples_inside_their_files(clean, name, column):
    rows = table(clean / f"{name}.csv")
    assert list(rows[0]) == ["path", "start", "end", column, "speaker"]
    assert {r["path"] for r in rows} == {
        r["path"] for r in table(clean / "manifest.csv")
    }
    last = {}
    for row in rows:
        start_s, end_s = float(row["start"]), float(row["end"])
        assert last.get(row["path"], 0.0) <= start_s < end_s
        for samples in (start_s * 16000, end_s * 16000):
            assert abs(samples - round(samples)) < 1e-6
        last[row["path"]] = end_s
    for path, end_s in last.items():
        assert end_s <= wave.inspect(clean / path).duration_s


def test_words_are_those_of_the_text(clean):
    for row in table(clean / "manifest.csv"):
        words = [
            w["word"] for w in table(clean / "words.csv") if w["path"] == row["path"]
        ]
        text = "".join(c for c in row["text"] if c not in ".,!?")
        assert " ".join(words).split() == text.split()


def test_phones_sound_and_the_rest_is_silent(clean):
    """A vocal tract stretches time: labels that did not follow would miss by 100 ms."""
    segments = table(clean / "segments.csv")
    tracts = [
        s["tract"] for s in json.loads((clean / "about.json").read_text())["speakers"]
    ]
    assert max(abs(tract - 1) for tract in tracts) > 0.05
    for row in table(clean / "manifest.csv"):
        waveform = wave.read(clean / row["path"])
        rest = np.ones(len(waveform), bool)
        for s in segments:
            if s["path"] == row["path"]:
                start, end = (round(float(s[k]) * 16000) for k in ("start", "end"))
                rest[max(0, start - 32) : end + 32] = False  # resampling rings for 2 ms
                if s["phone"] in ("iː", "æ", "ɑː", "eɪ", "oʊ", "aɪ", "ɔː", "ɔɪ"):
                    assert np.sqrt(np.mean(waveform[start:end] ** 2)) > 0.01
        assert rest.mean() > 0.05
        assert np.abs(waveform[rest]).max() < 1e-3


def test_speakers_of_one_text_differ(tmp_path):
    corpus = render.render(tmp_path / "one", clean=True, texts=["Yes."], **SMALL)
    lengths = [wave.inspect(u.path).num_samples for u in corpus]
    assert len(set(lengths)) == len(lengths) and {u.text for u in corpus} == {"Yes."}


@pytest.mark.slow
def test_same_order_same_bytes_by_any_number_of_workers(tmp_path):
    for workers in (1, 3):
        order = {**SMALL, "workers": workers, "num_speakers": 4}
        render.render(tmp_path / str(workers), **order)
    one, three = (contents(tmp_path / name) for name in ("1", "3"))
    assert one == three and len(one) == 8 + 4
    render.render(tmp_path / "other", **{**SMALL, "num_speakers": 4}, seed=1)
    other = contents(tmp_path / "other")
    assert all(other[name] != one[name] for name in one if name.endswith("flac"))


@pytest.mark.slow
def test_a_smaller_corpus_is_the_beginning_of_a_larger_one(clean, tmp_path):
    render.render(tmp_path / "few", clean=True, **{**SMALL, "num_speakers": 2})
    few, many = contents(tmp_path / "few"), contents(clean)
    assert all(many[name] == few[name] for name in few if name.endswith("flac"))


def test_a_rendered_corpus_is_read_without_the_synthesiser(clean, monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    before = contents(clean)
    assert len(render.render(clean, clean=True, **SMALL)) == 6
    assert contents(clean) == before


def test_another_order_is_refused_by_name(clean):
    with pytest.raises(ValueError, match="seed=0 instead of 5"):
        render.render(clean, clean=True, seed=5, **SMALL)


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="something else"):
        render.render(tmp_path, **SMALL)
    assert contents(tmp_path) == {"thesis.txt": b"years of work"}


@pytest.mark.parametrize(
    "wrong",
    [{"num_speakers": 0}, {"utterances": 1.5}, {"seed": -1}, {"language": "de"}],
)
def test_wrong_orders_are_refused_before_work(tmp_path, wrong):
    with pytest.raises(ValueError, match="Received"):
        render.render(tmp_path / "corpus", **{**SMALL, **wrong})
    assert not any(tmp_path.iterdir())


def test_a_failing_studio_is_reported_and_leaves_nothing(tmp_path):
    wrong = {"language": "xx", "texts": ["Yes."]}
    with pytest.raises(espeak.SynthesisError, match="no such voice"):
        render.render(tmp_path / "corpus", **SMALL, **wrong)
    assert not any(tmp_path.iterdir())


def test_an_interrupted_rendering_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(render.ProgressBar, "update", interrupt)
    with pytest.raises(KeyboardInterrupt):
        render.render(tmp_path / "corpus", **SMALL)
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_a_killed_rendering_leaves_nothing_that_looks_complete(tmp_path):
    code = "from timbre.corpora.synthetic.render import render; render({!r})"
    code = code.format(str(tmp_path / "c"))
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    while not list(tmp_path.rglob("*.flac")):
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "c").exists()
    assert not list(tmp_path.rglob("about.json"))


def test_progress_goes_to_standard_error(tmp_path, capsys):
    order = {**SMALL, "num_speakers": 1, "progress": True}
    render.render(tmp_path / "corpus", **order)
    out, err = capsys.readouterr()
    assert not out and "synthetic corpus: 100%" in err and "2/2" in err


def test_workers_do_without_tensorflow():
    code = (
        "import sys, timbre.corpora.synthetic.worker; "
        "print('tensorflow' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "False"


def cepstral_statistics(path):
    """Mean and deviation of 20 cepstra over the louder 70 % of the frames."""
    cepstra = python_speech_features.mfcc(wave.read(path) * 32768, 16000, numcep=20)
    louder = cepstra[cepstra[:, 0] >= np.quantile(cepstra[:, 0], 0.3)]
    return np.concatenate([louder.mean(0), louder.std(0)])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("clean", "low", "high"), [(True, 0.0, 0.1), (False, 0.1, 0.3)]
)
def test_speakers_are_recognised_but_not_by_statistics_alone(
    tmp_path, clean, low, high
):
    order = {**SMALL, "num_speakers": 16, "utterances": 6, "workers": 2}
    corpus = render.render(tmp_path / "corpus", clean=clean, **order)
    speakers = np.array([u.speaker for u in corpus])
    x = np.stack([cepstral_statistics(u.path) for u in corpus])
    x = (x - x.mean(0)) / x.std(0)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    first, second = np.triu_indices(len(x), 1)
    same, scores = speakers[first] == speakers[second], (x @ x.T)[first, second]
    false_alarm, hit, _ = roc_curve(same, scores)
    rate = false_alarm[np.argmin(np.abs(false_alarm - (1 - hit)))]
    assert low <= rate <= high
