"""The command line of the corpora: instant help, results to stdout, plain errors."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from timbre.corpora import __main__ as command_line
from timbre.corpora import folders, librispeech
from timbre.corpora.embeddings import EmbeddingSet

ROOT = Path(__file__).resolve().parents[3]
main = command_line.main


@pytest.fixture
def recordings(tmp_path, rng):
    folder = tmp_path / "mine"
    for name in ("a/1.wav", "a/2.flac", "b/1.wav"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, rng.uniform(-0.5, 0.5, 8000), 8000)
    return folder


def test_help_comes_without_tensorflow_or_sound():
    code = (
        "import sys, timbre.corpora.__main__ as m\n"
        "try: m.main(['--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(bool({'tensorflow', 'soundfile', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "librispeech" in done.stdout


def test_a_manifest_is_written_once(recordings, capsys):
    assert main(["manifest", str(recordings)]) == 0
    assert "3 utterances of 2 speakers" in capsys.readouterr().out
    assert len(folders.open_corpus(recordings / "manifest.csv")) == 3
    with pytest.raises(SystemExit, match="error: A manifest is not replaced"):
        main(["manifest", str(recordings)])


def test_corpora_are_joined(recordings, tmp_path):
    again = tmp_path / "again" / "mine"
    again.parent.mkdir()
    recordings.rename(again)
    out = tmp_path / "lists" / "all.csv"
    other = tmp_path / "other" / "mine"
    other.mkdir(parents=True)
    (again / "b").rename(other / "a")
    assert main(["join", str(out), str(again), str(other)]) == 0
    joined = folders.open_corpus(out)
    assert joined.speakers == ("again/mine/a", "other/mine/a")
    assert all(u.path.is_file() for u in joined)


def test_checking_tells_what_is_there_and_what_is_damaged(recordings, capsys):
    assert main(["check", str(recordings)]) == 0
    out = capsys.readouterr().out
    for line in (
        *("3 utterances of 2 speakers", "1 to 2, half have 2"),
        *("hours: 0.00", "8000 Hz (3)", "damaged: 0"),
    ):
        assert line in out
    whole = (recordings / "a" / "2.flac").read_bytes()
    (recordings / "a" / "2.flac").write_bytes(whole[: len(whole) // 2])
    assert main(["check", str(recordings), "--decode"]) == 1
    assert "a/2.flac: " in capsys.readouterr().out


def test_a_corpus_is_cached(recordings, tmp_path, capsys):
    (recordings / "b" / "2.wav").touch()
    assert main(["cache", str(recordings), str(tmp_path / "c")]) == 0
    assert "3 utterances, 0.00 h, of 2 speakers" in capsys.readouterr().out
    from timbre.corpora.cache.records import Records

    np.testing.assert_array_equal(Records(tmp_path / "c").length, [16000] * 3)


def test_librispeech_is_downloaded_subset_by_subset(tmp_path, monkeypatch, capsys):
    def download(root, subset):
        chapter = Path(root) / "LibriSpeech" / subset / "19" / "198"
        chapter.mkdir(parents=True)
        (chapter / "19-198-0000.flac").touch()

    monkeypatch.setattr(librispeech, "download", download)
    assert main(["librispeech", str(tmp_path), "dev-clean", "dev-other"]) == 0
    assert "2 utterances of 1 speakers" in capsys.readouterr().out


@pytest.mark.parametrize("error", [ValueError, OSError, ImportError])
def test_an_error_is_a_line_and_a_status(tmp_path, capsys, monkeypatch, error):
    def fail(*arguments, **options):
        raise error("the reason")

    monkeypatch.setattr(folders, "open_corpus", fail)
    with pytest.raises(SystemExit) as end:
        main(["check", str(tmp_path)])
    assert end.value.code == "error: the reason" and not capsys.readouterr().out


def test_speakers_are_sampled_as_embeddings(tmp_path, capsys):
    out = tmp_path / "deep" / "set.npz"
    command = ["embeddings", "--out", str(out), "--speakers", "7", "--dim", "16"]
    assert main(command) == 0
    assert "7 embeddings of 7 speakers" in capsys.readouterr().out
    assert EmbeddingSet.load(out).embeddings.shape == (7, 16)
    assert main([*command, "--utterances", "3", "--seed", "1"]) == 0
    assert "21 embeddings of 7 speakers" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="`each` must be at least 1"):
        main([*command, "--utterances", "0"])
