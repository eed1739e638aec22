"""The commands about people and talks, on synthetic voices and the shipped encoder."""

import csv

import numpy as np
import pytest

from audio import wave
from corpora.embeddings import EmbeddingSet
from metrics.rttm import read_rttm
from voiceemb import __main__ as cli
from voiceemb import timeline

RATE = 16000


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
    assert "2 of 2 recordings enrolled" in capsys.readouterr().out
    cli.main(["people", *store])
    assert capsys.readouterr().out.startswith("a/b: 2 samples, ")
    cli.main(["people", *store, "--rename", "a/b", "anna"])
    cli.main(["people", *store, "--export", "anna", str(tmp_path / "anna.npz")])
    assert len(EmbeddingSet.load(tmp_path / "anna.npz")) == 2
    cli.main(["people", *store, "--remove", "anna"])
    capsys.readouterr()
    cli.main(["people", *store])
    assert capsys.readouterr() == ("", f"0 people in {tmp_path / 'people'}\n")


@pytest.mark.slow
def test_what_will_not_do_is_not_enrolled_and_says_why(sounds, tmp_path, capsys):
    command = ["enrol", "nobody", sounds["silence"], "--people", str(tmp_path / "p")]
    with pytest.raises(SystemExit, match="'nobody' was not enrolled"):
        cli.main(command)
    assert "0 of 1 recordings" in capsys.readouterr().out


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
    with pytest.raises(SystemExit, match="--people and --name need each other"):
        cli.main(["verify", sounds["ben"][3], "--people", people])


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
        (turns,) = read_rttm(out).values()
        assert {turn.speaker for turn in turns} == {"anna", "ben"}
    else:
        assert out.read_bytes().startswith(b"\x89PNG")


def test_a_kind_of_timeline_that_there_is_not_is_refused_before_any_work(tmp_path):
    with pytest.raises(SystemExit, match="--out ends in one of"):
        cli.main(["timeline", "nothing.wav", "--out", str(tmp_path / "a.doc")])


@pytest.mark.slow
def test_diarize_names_the_enrolled_and_writes_turns(sounds, people, tmp_path, capsys):
    out = tmp_path / "talk.rttm"
    cli.main(
        ["diarize", sounds["talk"], "--people", people, "--out", str(out)]
        + ["--num-speakers", "2"]
    )
    said = capsys.readouterr()
    (turns,) = read_rttm(out).values()
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
