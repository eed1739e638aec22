"""The commands about people and talks, on synthetic voices and the shipped encoder."""

import csv
import signal
from pathlib import Path

import numpy as np
import pytest

from timbre.audio import wave
from timbre.corpora.embeddings import EmbeddingSet
from timbre.turns import Turn, read_rttm
from voiceemb import __main__ as cli
from voiceemb.commands import io, speech
from voiceemb.diarization import pipeline
from voiceemb.diarization.result import Diarization
from voiceemb.enrolment.people import People
from voiceemb.page import gradio_offline, server
from voiceemb.streaming import sources, timeline
from voiceemb.streaming.events import TimelineEvent
from voiceemb.vad import detection

RATE = 16000
pytestmark = pytest.mark.usefixtures("networks_loaded_once")


@pytest.fixture(scope="module")
def sounds(trained_run, tmp_path_factory):
    """Recordings of two voices, as files by name, and a talk of both in turns."""
    folder = tmp_path_factory.mktemp("sounds")
    corpus = trained_run / "corpus" / "smoke"
    anna, ben = (sorted((corpus / name).glob("*.flac")) for name in speakers(corpus))
    pause = np.zeros(RATE // 2, np.float32)
    talk = []
    for one, other in zip(anna[3:5], ben[3:5], strict=True):
        talk += [wave.read(one), pause, wave.read(other), pause]
    wave.write(folder / "talk.wav", np.concatenate(talk))
    wave.write(folder / "silence.wav", np.zeros(3 * RATE, np.float32))
    return {
        "anna": [str(path) for path in anna],
        "ben": [str(path) for path in ben],
        "talk": str(folder / "talk.wav"),
        "silence": str(folder / "silence.wav"),
    }


def speakers(corpus):
    """A woman and a man."""
    with (corpus / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    sex = {row["speaker"]: row["gender"] for row in rows}
    return [next(name for name, has in sex.items() if has == one) for one in "fm"]


@pytest.fixture(scope="module")
def people(sounds, tmp_path_factory):
    folder = tmp_path_factory.mktemp("store") / "people"
    for name in ("anna", "ben"):
        cli.main(["enrol", name, *sounds[name][:3], "--people", str(folder), "--force"])
    return str(folder)


@pytest.mark.slow
def test_who_is_enrolled_is_listed_renamed_exported_and_forgotten(
    sounds, tmp_path, capsys
):
    store = ["--people", str(tmp_path / "people")]
    cli.main(["enrol", "a/b", *sounds["anna"][:2], *store, "--force"])
    said = capsys.readouterr()
    assert "2 of 2 recordings enrolled" in said.out
    assert f"a new store: {tmp_path / 'people'}\n" in said.err
    cli.main(["people", *store])
    assert capsys.readouterr().out.startswith("a/b: 2 samples, ")
    cli.main(["people", *store, "--rename", "a/b", "anna"])
    cli.main(["people", *store, "--export", "anna", str(tmp_path / "anna.npz")])
    assert len(EmbeddingSet.load(tmp_path / "anna.npz")) == 2
    cli.main(["people", *store, "--remove", "anna"])
    capsys.readouterr()
    cli.main(["people", *store])
    said = capsys.readouterr()
    assert said.out == "" and f"0 people in {tmp_path / 'people'}\n" in said.err
    assert "probabilities rest on " in said.err


@pytest.mark.slow
def test_what_will_not_do_is_not_enrolled_and_says_why(sounds, tmp_path, capsys):
    command = ["enrol", "nobody", sounds["silence"], "--people", str(tmp_path / "p")]
    with pytest.raises(SystemExit, match="'nobody' was not enrolled"):
        cli.main(command)
    said = capsys.readouterr()
    assert "0 of 1 recordings" in said.out and "a new store" not in said.err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_what_is_enrolled_already_is_no_error_and_no_new_store(sounds, people, capsys):
    cli.main(["enrol", "anna", *sounds["anna"][:2], "--people", people, "--force"])
    said = capsys.readouterr()
    assert "0 of 2 recordings" in said.out and "a new store" not in said.err
    assert "all of this is enrolled already as anna" in said.out


def test_what_can_not_be_read_makes_no_store(tmp_path):
    with pytest.raises(SystemExit, match="none.wav"):
        cli.main(["enrol", "a", "none.wav", "--people", str(tmp_path / "people")])
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_identify_and_verify_know_the_enrolled(sounds, people, capsys):
    cli.main(["identify", sounds["ben"][3], "--people", people])
    first, best, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{sounds['ben'][3]}: ben (probability ")
    assert best.startswith("  ben: cosine 0.")
    for name, answer in (
        ("ben", "the voice of ben"),
        ("anna", "not the voice of anna"),
    ):
        cli.main(["verify", sounds["ben"][3], "--people", people, "--name", name])
        assert capsys.readouterr().out.splitlines()[1] == answer
    energy = ["--people", people, "--name", "ben", "--detector", "energy"]
    cli.main(["verify", sounds["ben"][3], *energy])
    assert "\nthe voice of ben\n" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="--people and --name need each other"):
        cli.main(["verify", sounds["ben"][3], "--people", people])


@pytest.mark.parametrize(
    "command, rule",
    [
        (["verify", "a", "--people", "p", "--name", "b", "--calibration", "c"], "own"),
        (["verify", "a", "b", "--detector", "energy"], "as they are"),
        (["identify", "a", "--top", "-1"], "at least 0"),
    ],
)
def test_options_that_can_not_count_are_refused(command, rule):
    with pytest.raises(SystemExit, match=f"{rule}.*Received"):
        cli.main(command)


def test_a_file_that_can_not_be_used_does_not_end_the_others(tmp_path, capsys):
    wave.write(tmp_path / "good.wav", np.zeros(RATE, np.float32))
    (tmp_path / "bad.wav").write_text("words")
    paths = [str(tmp_path / name) for name in ("none.wav", "bad.wav", "good.wav")]
    with pytest.raises(SystemExit, match="2 of 3 files could not be used"):
        cli.main(["activity", *paths, "--detector", "energy"])
    said = capsys.readouterr()
    none, bad = said.err.splitlines()
    assert none.startswith("error: ") and paths[0] in none and paths[1] in bad
    assert said.out.startswith(f"{paths[2]}: 0.00 s of speech")


@pytest.mark.slow
def test_activity_prints_segments_and_none_for_silence(sounds, capsys):
    cli.main(["activity", sounds["talk"], sounds["silence"], "--detector", "energy"])
    talk, *segments, silence = capsys.readouterr().out.splitlines()
    assert talk.startswith(sounds["talk"]) and silence.endswith("(0%)")
    bounds = [tuple(map(float, line.split())) for line in segments]
    assert len(bounds) >= 4 and all(start < end for start, end in bounds)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["jsonl", "rttm", "png"])
def test_timeline_writes_what_its_suffix_names(sounds, people, tmp_path, suffix):
    out = tmp_path / f"talk.{suffix}"
    cli.main(["timeline", sounds["talk"], "--out", str(out), "--people", people])
    if suffix == "jsonl":
        named = {one.speaker for one in timeline.read(out) if one.speaker}
        assert named == {"anna", "ben"}
    elif suffix == "rttm":
        turns = read_rttm(out)[Path(sounds["talk"]).stem]
        assert {turn.speaker for turn in turns} == {"anna", "ben"}
    else:
        assert out.read_bytes().startswith(b"\x89PNG")


def test_a_kind_of_timeline_that_there_is_not_is_refused_before_any_work(tmp_path):
    with pytest.raises(SystemExit, match="--out must end in"):
        cli.main(["timeline", "nothing.wav", "--out", str(tmp_path / "a.doc")])


@pytest.mark.parametrize(
    "paths, out, rule",
    [
        (["a/x.wav", "b/x.wav", "y.wav"], "new", "another name.*Received: x more"),
        (["x.wav", "y.wav"], "file.rttm", "a folder where"),
        (["x.wav"], "x.doc", "--out must end in"),
        (["x.wav"], "file.rttm/x.csv", "file.rttm"),
    ],
)
def test_where_turns_can_not_go_is_said_before_any_work(tmp_path, paths, out, rule):
    (tmp_path / "file.rttm").write_text("")
    with pytest.raises(SystemExit, match=rule):
        cli.main(["diarize", *paths, "--out", str(tmp_path / out)])
    assert not (tmp_path / "new").exists()


def test_diarize_goes_on_and_writes_a_file_of_each(tmp_path, monkeypatch, stubbed):
    def diarize(path, **options):
        if path.stem == "bad":
            raise ValueError("not a sound")
        return Diarization([Turn(0.0, 1.0, path.stem)], 2.0)

    monkeypatch.setattr(pipeline, "diarize", diarize)
    with pytest.raises(SystemExit, match="1 of 3 files"):
        cli.main(["diarize", "a.wav", "bad.wav", "c.wav", "--out", str(tmp_path / "o")])
    assert {path.name for path in (tmp_path / "o").iterdir()} == {"a.rttm", "c.rttm"}
    cli.main(["diarize", "a.wav", "--out", str(tmp_path / "A.RTTM")])
    assert (tmp_path / "A.RTTM").is_file()


@pytest.fixture
def stubbed(monkeypatch):
    """No models: the encoder and the detector are names."""
    monkeypatch.setattr(io, "load_encoder", lambda run: "encoder")
    monkeypatch.setattr(detection, "load", lambda name: name)


def test_the_page_gets_all_that_was_asked_for(monkeypatch, stubbed, tmp_path):
    asked = {}
    monkeypatch.setattr(server, "launch", lambda port, **given: asked.update(given))
    monkeypatch.setattr(server, "check_port", lambda port, host: None)
    monkeypatch.setattr(gradio_offline, "load", lambda: None)

    def store(folder, encoder, *, detector):
        return folder.name, encoder, detector

    monkeypatch.setattr(People, "open", store)
    cli.main(["page", "--people", str(tmp_path / "p"), "--detector", "webrtc"])
    assert asked["detector"] == "webrtc" and asked["encoder"] == "encoder"
    assert asked["people"] == ("p", "encoder", "webrtc")


@pytest.mark.parametrize("fault", ["port", "extra"])
def test_a_page_that_can_not_be_served_is_said_before_any_work(monkeypatch, fault):
    def load():
        if fault == "extra":
            raise ImportError("pip install")

    def check_port(port, host):
        if fault == "port":
            raise OSError("Port 1 is taken")

    monkeypatch.setattr(gradio_offline, "load", load)
    monkeypatch.setattr(server, "check_port", check_port)
    monkeypatch.setattr(io, "load_encoder", lambda run: pytest.fail("too early"))
    with pytest.raises(SystemExit, match="pip" if fault == "extra" else "Port 1"):
        cli.main(["page"])


@pytest.mark.slow
def test_diarize_names_the_enrolled_and_writes_turns(sounds, people, tmp_path, capsys):
    out = tmp_path / "hyp.rttm"
    cli.main(
        ["diarize", sounds["talk"], "--people", people, "--out", str(out)]
        + ["--num-speakers", "2"]
    )
    said = capsys.readouterr()
    turns = read_rttm(out)[Path(sounds["talk"]).stem]
    assert {turn.speaker for turn in turns} == {"anna", "ben"}
    assert len(said.out.splitlines()) == len(turns)
    assert "2 speakers in" in said.err and "real-time factors: read" in said.err


@pytest.mark.slow
def test_diarize_of_silence_finds_nobody(sounds, capsys):
    cli.main(["diarize", sounds["silence"]])
    said = capsys.readouterr()
    assert said.out == "" and "0 speakers" in said.err


@pytest.mark.slow
def test_listen_prints_a_line_each_half_second_and_adds_to_a_timeline(
    sounds, people, tmp_path, capsys
):
    out = tmp_path / "heard.jsonl"
    cli.main(
        ["listen", sounds["talk"], "--fast", "--people", people, "--out", str(out)]
    )
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(timeline.read(out))
    assert any("anna" in line for line in lines) and any(
        " ben " in line for line in lines
    )
    assert " -" in lines[-1]  # the talk ends with a pause


@pytest.mark.slow
def test_without_people_voices_are_numbered_as_they_come(sounds, tmp_path):
    out = tmp_path / "talk.jsonl"
    cli.main(["timeline", sounds["talk"], "--out", str(out)])
    found = [one.speaker for one in timeline.read(out) if one.speaker]
    assert {*found} == {"speaker 1", "speaker 2"} and found[0] == "speaker 1"


class Counts:
    """A listener of which each block is a slice, interrupted in the work of one."""

    def __init__(self, *at):
        self.at, self.heard = at, 0

    def push(self, block):
        self.heard += 1
        if self.heard in self.at:
            signal.raise_signal(signal.SIGINT)
        return [TimelineEvent(self.heard - 1, self.heard, 0.0, False, -60.0)]

    def finish(self):
        end = self.heard
        return [TimelineEvent(end, end + 0.5, 0.0, False, -60.0)]


@pytest.mark.parametrize("where", ["source", "listener"])
def test_an_interrupt_ends_listening_and_loses_nothing(
    tmp_path, monkeypatch, capsys, ours, where
):
    def source():
        for number in range(1, 10):
            if where == "source" and number == 3:
                signal.raise_signal(signal.SIGINT)
            yield number

    listener = Counts(3) if where == "listener" else Counts()
    monkeypatch.setattr(speech, "_load_listener", lambda *_: listener)
    monkeypatch.setattr(sources, "Microphone", source)
    out = tmp_path / "heard.jsonl"
    cli.main(["listen", "--out", str(out)])
    assert [one.end for one in timeline.read(out)] == [1, 2, 3, 3.5]
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert signal.getsignal(signal.SIGINT) is ours


@pytest.fixture
def ours():
    """A handler of interrupts that was there before."""

    def handle(*interrupt):
        raise RuntimeError("not for us")

    before = signal.signal(signal.SIGINT, handle)
    yield handle
    signal.signal(signal.SIGINT, before)


def test_a_second_interrupt_is_one_at_once(monkeypatch, ours):
    def source():
        yield 1
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        yield 2

    listener = Counts()
    monkeypatch.setattr(speech, "_load_listener", lambda *_: listener)
    monkeypatch.setattr(sources, "Microphone", source)
    with pytest.raises(SystemExit) as end:
        cli.main(["listen"])
    assert end.value.code == 130 and listener.heard == 1
    assert signal.getsignal(signal.SIGINT) is ours
