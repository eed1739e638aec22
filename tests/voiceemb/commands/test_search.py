"""`python -m voiceemb search`: the nearest voices of an embedding set."""

import numpy as np
import pytest

from timbre.corpora.embeddings import EmbeddingSet
from voiceemb import __main__ as cli
from voiceemb.commands import io

EAST, NORTH, NEAR = [1.0, 0.0], [0.0, 1.0], [0.8, 0.6]


@pytest.fixture
def voices(tmp_path):
    """Three speakers in the plane, one of them with two rows."""
    path = tmp_path / "voices.npz"
    EmbeddingSet(
        np.array([EAST, EAST, NORTH, NEAR], np.float32),
        ["anna", "anna", "ben", "cleo"],
        ["a1", "a2", "b1", "c1"],
        {"sha256": "a" * 64},
    ).save(path)
    return str(path)


def rows(text):
    """Query to pairs of cosine and name, as they are printed."""
    found, query = {}, None
    for line in text.splitlines():
        if line.startswith("  "):
            cosine, name = line.split()
            found[query].append((float(cosine), name))
        else:
            query = line.removesuffix(":")
            found[query] = []
    return found


def test_rows_are_segments_speakers_or_numbers(voices, capsys):
    cli.main(["search", voices, "--rows", "a2", "cleo", "2", "--k", "2"])
    assert rows(capsys.readouterr().out) == {
        "a2": [(1.0, "anna"), (0.8, "cleo")],
        "cleo": [(1.0, "cleo"), (0.8, "anna")],
        "2": [(1.0, "ben"), (0.6, "cleo")],
    }


class Encoder:
    """Hears the second basis vector in every file."""

    about = {"sha256": "b" * 64}

    def embed_utterance(self, path):
        if path.name == "bad.wav":
            raise ValueError("not a sound")
        return np.array(NORTH)


def test_sounds_are_embedded_and_a_bad_one_does_not_end_the_others(
    voices, monkeypatch, capsys
):
    monkeypatch.setattr(io, "load_encoder", lambda run: Encoder())
    with pytest.raises(SystemExit, match="1 of 2 files"):
        cli.main(["search", voices, "bad.wav", "b.wav", "--k", "9"])
    said = capsys.readouterr()
    assert rows(said.out) == {"b.wav": [(1.0, "ben"), (0.6, "cleo"), (0.0, "anna")]}
    assert "or its cosines say nothing" in said.err  # another encoder made the set


@pytest.mark.parametrize(
    "words, rule, status",
    [
        ([], "sounds or --rows to search for must be given", 2),
        (["--rows", "2", "--k", "0"], "--k must be at least 1", 2),
        (["--rows", "dora"], "segments or speakers of the set", 1),
        (["--rows", "4"], "numbers below 4. Received: 4", 1),
    ],
)
def test_what_can_not_be_searched_for_is_said(voices, capsys, words, rule, status):
    with pytest.raises(SystemExit) as end:
        cli.main(["search", voices, *words])
    assert rule in (str(end.value.code) + capsys.readouterr().err)
    assert status == (end.value.code if end.value.code == 2 else 1)
