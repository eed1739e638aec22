"""LibriSpeech: its tree is read, and fetched whole from a server that fails."""

import hashlib
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from timbre.corpora import librispeech
from timbre.corpora.folders import open_corpus

SPEAKERS = """; some comment
;ID |SEX| SUBSET           |MINUTES| NAME
19   | F | dev-clean        | 25.19 | Kara | Shallenberg
26   | M | train-clean-100  | 25.08 | Denny Sayers
"""


def tree(root):
    files = {
        "LibriSpeech/SPEAKERS.TXT": SPEAKERS,
        "LibriSpeech/dev-clean/19/198/19-198-0000.flac": "",
        "LibriSpeech/dev-clean/19/198/19-198-0001.flac": "",
        "LibriSpeech/dev-clean/19/198/19-198.trans.txt": (
            "19-198-0000 NORTHANGER ABBEY\n19-198-0001 THIS LITTLE WORK\n"
        ),
        "LibriSpeech/train-clean-100/26/495/26-495-0000.flac": "",
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize("below", ["", "LibriSpeech"])
def test_a_tree_is_read_with_its_sentences_and_readers(tmp_path, below):
    corpus = librispeech.read(tree(tmp_path) / below)
    assert corpus.name == "librispeech"
    assert [(u.speaker, u.text) for u in corpus] == [
        ("19", "NORTHANGER ABBEY"),
        ("19", "THIS LITTLE WORK"),
        ("26", ""),
    ]
    extra = {"subset": "dev-clean", "chapter": "198", "gender": "F"}
    assert corpus.utterances[0].extra == extra
    assert open_corpus(tmp_path / below) == corpus


def test_only_the_subsets_asked_for_are_read(tmp_path):
    corpus = librispeech.read(tree(tmp_path), ["train-clean-100"])
    assert corpus.speakers == ("26",)
    with pytest.raises(ValueError, match=r"lacks \['dev-other'\]"):
        librispeech.read(tmp_path, ["dev-clean", "dev-other"])
    with pytest.raises(ValueError, match=r"which has \[\]"):
        librispeech.read(tmp_path / "LibriSpeech" / "dev-clean")


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server on this machine with one subset, and its checksum."""
    folder = tmp_path / "server"
    folder.mkdir()
    archive = folder / "dev-clean.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        source = tree(tmp_path / "source") / "LibriSpeech"
        for name in ("SPEAKERS.TXT", "dev-clean"):
            tar.add(source / name, f"LibriSpeech/{name}")
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    monkeypatch.setitem(librispeech.SUBSETS, "dev-clean", sha256)
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *a: None)
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.url = f"http://127.0.0.1:{server.server_port}"
        server.archive = archive
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield server
        server.shutdown()


def test_a_subset_is_downloaded_unpacked_and_not_fetched_again(tmp_path, server):
    root = tmp_path / "new"
    folder = librispeech.download(root, "dev-clean", url=server.url)
    assert folder == root / "LibriSpeech" / "dev-clean"
    assert [u.text for u in librispeech.read(root)][0] == "NORTHANGER ABBEY"
    assert [p.name for p in root.iterdir()] == ["LibriSpeech"]
    server.archive.unlink()
    assert librispeech.download(root, "dev-clean", url=server.url) == folder


def test_an_archive_of_another_checksum_is_not_unpacked(tmp_path, server):
    server.archive.write_bytes(server.archive.read_bytes() + b"x")
    with pytest.raises(ValueError, match="must have the SHA-256"):
        librispeech.download(tmp_path / "new", "dev-clean", url=server.url)
    assert not list((tmp_path / "new").iterdir())


def test_an_unknown_subset_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="one of .*'dev-clean'.*Received: 'dev'"):
        librispeech.download(tmp_path, "dev")
    assert all(len(sha256) == 64 for sha256 in librispeech.SUBSETS.values())
