"""The store on disk: any name, any corruption, any death, and nothing is lost."""

import json
import os
import pickle
import subprocess
import sys
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.archives import endless, no_letter
from tests.references import unit
from tests.voiceemb.bands import BANDS, again, encoder, files, speak
from timbre.corpora.embeddings import EmbeddingSet
from voiceemb.enrolment import store
from voiceemb.enrolment.people import People

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    "name",
    ["a/b", "../../etc/passwd", ".", "x" * 300, "김 철수", "CON", "a\\b:*?", "نمی‌دانم"],
)
def test_any_name_that_can_be_printed_is_a_name(rng, people, name):
    people.enrol(name, speak(rng, 1))
    found = again(people)
    assert found.names == [name] and name in found
    assert found.identify(speak(rng, 1)).name == name
    outside = {p.name for p in people.store.folder.parent.iterdir()}
    assert outside == {"people"}


@pytest.mark.parametrize(
    "name", ["", "  ", "a\nb", "a\0", "x" * 501, "\ud800", "a\u202eb", None, 3]
)
def test_names_that_can_not_be_printed_are_refused(rng, people, name):
    with pytest.raises(ValueError, match="A name has 1 to 500 letters"):
        people.enrol(name, speak(rng, 1))
    assert name not in people and not files(people)


def test_a_name_is_one_however_its_letters_are_composed(rng, people):
    people.enrol(unicodedata.normalize("NFD", " Zoë "), speak(rng, 1))
    assert people.names == ["Zoë"] and unicodedata.normalize("NFD", "Zoë") in people


def test_a_store_is_made_where_nothing_lies(people, tmp_path, band_encoder):
    with pytest.raises(FileExistsError, match="absent or empty"):
        People.create(people.store.folder, band_encoder)
    with pytest.raises(FileNotFoundError, match="People.create"):
        People.open(tmp_path / "none")
    nameless = encoder()
    nameless.about.pop("sha256")
    with pytest.raises(ValueError, match="sha256"):
        People.create(tmp_path / "new", nameless)


def test_another_encoder_is_refused(people):
    with pytest.raises(ValueError, match="the encoder that embedded its people"):
        People.open(people.store.folder, encoder(sha256="b" * 64))


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 100_000, '{"kind": 1}'])
def test_facts_that_are_none_are_refused_by_name(people, text):
    (people.store.folder / "people.json").write_text(text)
    with pytest.raises(ValueError, match=r"people\.json must be what"):
        again(people)


def bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("embeddings", "speaker"):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                for _ in range(40):
                    member.write(bytes(2**20))


def torn(path):
    path.write_bytes(path.read_bytes()[:-40])


def pickled(path):
    path.write_bytes(pickle.dumps({"embeddings": [1.0]}))


def objects(path):
    np.savez(path, embeddings=np.array([{}], object), speaker=np.array(["anna"]))


def changed(**columns):
    """Writes a person's file again with something else in it."""

    def poison(path):
        held = EmbeddingSet.load(path)
        rows = columns.get("embeddings")
        if rows is not None:
            width = len(rows)
            filled = np.tile(np.array(rows, np.float32), (len(held), 1))
            filled = filled.reshape(len(held), width)
        about = held.about | columns.get("about", {})
        labels = columns.get("labels", held.labels)
        speaker = columns.get("speaker", held.speaker)
        np.savez(
            path,
            embeddings=held.embeddings if rows is None else filled,
            speaker=speaker,
            segment=held.segment,
            about=json.dumps(about),
            **{f"label_{name}": column for name, column in labels.items()},
        )

    return poison


@pytest.mark.parametrize(
    "poison, reason",
    [
        (bomb, "unfold"),
        (torn, "Not an embedding set"),
        (pickled, "Not an embedding set"),
        (objects, "Not an embedding set"),
        (endless, "Not an embedding set"),
        (no_letter, "Not an embedding set"),
        (changed(embeddings=[np.nan] * BANDS), "finite"),
        (changed(embeddings=[0.0] * BANDS), "unit vectors"),
        (changed(embeddings=[1.0, 0.0]), f"2 of {BANDS} numbers"),
        (changed(about={"sha256": "b" * 64}), "of the store's encoder"),
        (changed(speaker=np.array(["anna", "ben"])), "one name"),
        (changed(speaker=np.array(["a\nb", "a\nb"])), "A name has"),
        (changed(speaker=np.array([" a", " a"])), "as it is kept"),
        (changed(labels={}), "seconds of speech"),
    ],
)
def test_a_poisoned_file_is_named_and_does_not_hinder_the_others(
    rng, people, capsys, poison, reason
):
    people.enrol("anna", [speak(rng, 1), speak(rng, 1)])
    people.enrol("ben", speak(rng, 5))
    path = people.store.folder / "people" / store.file_of("anna")
    poison(path)
    found = again(people)
    assert found.names == ["ben"] and found.identify(speak(rng, 5)).name == "ben"
    assert list(found.corrupted) == [path.name] and reason in found.corrupted[path.name]
    assert str(path) in capsys.readouterr().err
    before = path.read_bytes()
    for ask in (found.embeddings, lambda n: found.enrol(n, speak(rng, 1))):
        with pytest.raises(ValueError, match="is corrupted: restore it.*`remove`"):
            ask("anna")
    with pytest.raises(ValueError, match="is corrupted"):
        found.rename("ben", "anna")
    assert path.read_bytes() == before  # as it may still be mended
    found.remove("anna")
    assert not found.corrupted and found.enrol("anna", speak(rng, 1)).enrolled


def test_no_damage_to_a_file_hinders_opening(rng, people):
    people.enrol("anna", speak(rng, 1))
    (path,) = files(people)
    whole = path.read_bytes()
    for _ in range(150):
        broken = bytearray(whole)
        for place in rng.integers(len(whole), size=rng.integers(1, 6)):
            broken[place] = rng.integers(256)
        path.write_bytes(broken[: rng.integers(1, len(whole) + 1)])
        found = store.EnrolmentStore(people.store.folder)
        assert len(found.people) + len(found.corrupted) == 1


def test_a_calibration_that_is_damaged_is_none_and_can_be_made_anew(rng, people):
    people.enrol("anna", speak(rng, 1))
    path = people.store.folder / "calibration.centroid.json"
    path.write_text('{"calibration": {"kind": "logistic"}, "weights": "' + "a" * 64)
    found = again(people)
    assert found.calibration is None and path.name in found.corrupted
    with pytest.raises(ValueError, match="needs a calibration"):
        found.identify(speak(rng, 1))
    label = np.arange(40) % 2 == 1
    found.calibrate(label, label + rng.normal(size=40))
    assert not found.corrupted and found.identify(speak(rng, 1)).score > 0.9


def test_a_copied_file_is_no_second_person(rng, people):
    people.enrol("anna", speak(rng, 1))
    (path,) = files(people)
    path.with_name("0" * 64 + ".npz").write_bytes(path.read_bytes())
    path.with_name("f" * 64 + ".npz").write_bytes(path.read_bytes())
    path.with_name("notes.npz").write_text("not ours")
    found = again(people)
    assert found.names == ["anna"] and len(found.corrupted) == 2
    assert path.name not in found.corrupted


def test_removing_a_person_leaves_no_trace_of_an_unfinished_writing(rng, people):
    people.enrol("anna", speak(rng, 1))
    (path,) = files(people)
    left = path.with_name(".0123.partial.npz")
    left.write_bytes(path.read_bytes())
    assert again(people).names == ["anna"]
    people.remove("anna")
    assert not left.exists() and not path.exists()


def test_who_has_the_store_open_sees_others_when_asked(rng, people):
    other = again(people)
    other.enrol("anna", speak(rng, 1))
    assert "anna" not in people
    people.refresh()
    assert people.identify(speak(rng, 1)).name == "anna"
    people.remove("anna")
    other.enrol("ben", speak(rng, 4))
    assert other.names == ["ben"]


KILLED = """
import os, sys
import numpy as np
from pathlib import Path
from timbre.corpora.embeddings import EmbeddingSet
from voiceemb.enrolment.store import EnrolmentStore

folder, action, step = sys.argv[1], sys.argv[2], sys.argv[3]
store = EnrolmentStore(folder)
new = np.load(Path(folder).parent / "new.npy")
labels = {"speech_s": np.array(["4.0"])}
added = EmbeddingSet(new, np.array(["anna"]), np.array([""]), store.about, labels)


def die(*arguments, **options):
    os._exit(9)


def half(file, **arrays):
    file.write(b"PK half of a file")
    file.flush()
    os._exit(9)


with store.lock():
    module, name = {"write": (np, "savez_compressed"), "sync": (os, "fsync"),
        "replace": (os, "replace"), "move": (os, "rename")}[step]
    setattr(module, name, half if step == "write" else die)
    if action == "add":
        store.add(added)
    else:
        store.rename("anna", "zoe")
"""


@pytest.mark.parametrize(
    "action, step",
    [
        ("add", "write"),
        ("add", "sync"),
        ("add", "replace"),
        ("rename", "write"),
        ("rename", "replace"),
        ("rename", "move"),
    ],
)
def test_a_process_killed_at_any_step_loses_nothing(
    rng, people, tmp_path, action, step
):
    people.enrol("anna", speak(rng, 1))
    people.enrol("ben", speak(rng, 5))
    own = people.embeddings("anna")
    np.save(tmp_path / "new.npy", unit(rng, 1, BANDS))
    command = [sys.executable, "-c", KILLED, people.store.folder, action, step]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 9, done.stderr
    name = "zoe" if step == "move" else "anna"  # written, and not yet in its place
    found = again(people)
    assert found.names == sorted([name, "ben"]) and not found.corrupted
    np.testing.assert_array_equal(found.embeddings(name), own)
    found.enrol(name, speak(rng, 1))  # works on, the lock is free
    assert len(again(people).embeddings(name)) == 2
    assert {p.name for p in files(people)} == {store.file_of(n) for n in found.names}


ENROLS = """
import sys, time
from pathlib import Path
import numpy as np
from timbre.corpora.embeddings import EmbeddingSet
from voiceemb.enrolment.store import EnrolmentStore

folder, own = sys.argv[1], sys.argv[2]
store = EnrolmentStore(folder)
rng = np.random.default_rng(int(own))
Path(folder, f"ready-{own}").touch()
while len([*Path(folder).glob("ready-*")]) < 2:
    time.sleep(0.001)
for number in range(12):
    for name in ("both", f"{own}-{number}"):
        row = rng.normal(size=(1, store.about["dim"]))
        row = (row / np.linalg.norm(row)).astype(np.float32)
        labels = {"speech_s": np.array(["4.0"])}
        names = np.array([name]), np.array([f"{own}-{number}"])
        with store.lock():
            store.add(EmbeddingSet(row, *names, store.about, labels))
"""


@pytest.mark.slow
def test_processes_that_enrol_at_once_lose_nobody_and_no_sample(people):
    pytest.importorskip("fcntl")
    folder = people.store.folder
    running = [
        subprocess.Popen([sys.executable, "-c", ENROLS, folder, own], cwd=ROOT)
        for own in "12"
    ]
    assert [process.wait() for process in running] == [0, 0]
    found = again(people)
    assert len(found) == 25 and not found.corrupted
    sources = found.samples("both").segment.tolist()
    assert sorted(sources) == sorted(f"{o}-{n}" for o in "12" for n in range(12))


def test_a_disk_that_refuses_leaves_everything_as_it_was(rng, people, monkeypatch):
    people.enrol("anna", speak(rng, 1))
    own = people.embeddings("anna")

    def refuse(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="No space"):
        people.enrol("anna", speak(rng, 1))
    monkeypatch.undo()
    assert len(files(people)) == 1 and not list((files(people)[0].parent).glob(".*"))
    np.testing.assert_array_equal(again(people).embeddings("anna"), own)
