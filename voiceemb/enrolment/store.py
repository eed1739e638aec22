"""Roster: people on disk, a file for each.

    people.json                       which encoder all embeddings are from
    calibration.<way>.json            what a score is worth (`voiceemb.calibration`)
    people/<sha256 of a name>.npz     samples of one person, an embedding set

The name itself stands inside the file, so any name can be enrolled, and every file
takes its place when it is complete (`files.replacing`): a reader sees the old person
or the new one, and what a killed process leaves behind is passed over. Writers take
turns by a lock, where the system has locks that end with the process; without them
only two writers of one *person* at once could lose a sample, as no two people share a
file.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import re
from pathlib import Path

import numpy as np

from timbre.corpora.cache.build import alone_in
from timbre.corpora.embeddings import BAD_FILE, EmbeddingSet
from timbre.files import PARTIAL, making
from voiceemb import calibration as calibrations
from voiceemb.enrolment.identification import WAYS
from voiceemb.names import checked_name

FACTS, FOLDER, KIND, FORMAT = "people.json", "people", "enrolled people", 1
FILE = re.compile(r"[0-9a-f]{64}\.npz")
LARGEST = 2**20  # bytes of facts


class Roster:
    """The samples of people, kept in a folder.

    Args:
        folder: What `create` made.

    Attributes:
        about: Dict of what made the embeddings, with `sha256` and `dim`.
        people: Name to `EmbeddingSet` of the samples, names sorted.
        damaged: File name to the reason why it was passed over.

    Raises:
        FileNotFoundError: If there is no roster at `folder`.
        ValueError: If its `people.json` is none.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self.about = _read_facts(self.folder / FACTS)
        self.people, self.damaged, self._seen = {}, {}, {}
        self.refresh()

    @classmethod
    def create(cls, folder, about):
        """Makes an empty roster, whole or not at all.

        Args:
            folder: Absent or empty.
            about: Dict of what makes the embeddings, with `sha256` and `dim`.

        Raises:
            FileExistsError: If something lies at `folder`.
        """
        folder = Path(folder)
        check_place(folder)
        with making(folder) as unfinished:
            (unfinished / FOLDER).mkdir()
            facts = {"kind": KIND, "format": FORMAT, "encoder": about}
            text = json.dumps(facts, indent=2, ensure_ascii=False)
            (unfinished / FACTS).write_text(text + "\n", encoding="utf-8")
        return cls(folder)

    def everybody(self) -> EmbeddingSet:
        """The samples of all people in one set."""
        rows = np.zeros((0, self.about["dim"]), np.float32)
        nobody = EmbeddingSet(rows, *np.zeros((2, 0), "U1"), self.about)
        return joined([nobody, *self.people.values()])

    def refresh(self):
        """Reads what others have changed since."""
        seen, people, damaged = {}, {}, {}
        for path in sorted((self.folder / FOLDER).glob("*.npz")):
            if not FILE.fullmatch(path.name):
                continue
            try:
                status = path.stat()
                key = (status.st_ino, status.st_size, status.st_mtime_ns)
                known, samples = self._seen.get(path.name, (None, None))
                seen[path.name] = (key, samples if known == key else self._read(path))
            except FileNotFoundError:  # removed meanwhile
                continue
            except (ValueError, OSError) as error:
                reason = str(error)
                told = str(path) in reason
                damaged[path.name] = reason if told else f"{path}: {reason}"
        strays = [file for file, (_, held) in seen.items() if file != _place(held)]
        for file in [*(seen.keys() - strays), *strays]:  # who lies in place goes first
            name = str(seen[file][1].speaker[0])
            if name in people:
                path = self._path(file)
                damaged[file] = f"{name!r} has another file: {path}. Received: a second"
            else:
                people[name] = seen[file][1]
        self._seen, self.damaged = seen, damaged
        self.people = {name: people[name] for name in sorted(people)}

    @contextlib.contextmanager
    def alone(self):
        """Lets one writer at a time change the roster, on what is there now."""
        with alone_in(self.folder):
            self.refresh()
            for file, (_, samples) in self._seen.items():
                place = _place(samples)
                if file != place and place not in {*self._seen, *self.damaged}:
                    os.rename(self._path(file), self._path(place))
            self.refresh()
            yield

    def add(self, samples):
        """Writes a person's new samples beside those that are there, in `alone`."""
        name = str(samples.speaker[0])
        if name in self.people:
            samples = joined([self.people[name], samples])
        samples.save(self._path(_place(samples)))
        self.refresh()

    def rename(self, old, new):
        """Gives a person another name, in `alone`.

        The new name is written where the old one was, then the file goes to its place;
        killed in between, it is found under the new name where it is.
        """
        samples = self.people[old]
        named = dataclasses.replace(samples, speaker=np.full(len(samples), new))
        named.save(self._path(file_of(old)))
        os.rename(self._path(file_of(old)), self._path(file_of(new)))
        self.refresh()

    def delete(self, name):
        """Deletes a person, in `alone`, and whatever a killed writer left behind."""
        self._path(file_of(name)).unlink()
        for path in (self.folder / FOLDER).glob(f".*{PARTIAL}*"):
            path.unlink(missing_ok=True)
        self.refresh()

    def damage(self, name) -> str | None:
        """Why the file of a person can not be used, or None if it can or is none."""
        return self.damaged.get(file_of(name))

    def calibrations(self):
        """Way to score to its `calibrations.Kept`, and file name to its damage."""
        found, damaged = {}, {}
        for way in WAYS:
            path = self._calibration(way)
            if path.is_file():
                try:
                    sha256 = self.about["sha256"]
                    found[way] = calibrations.read(path, sha256=sha256)
                except (ValueError, OSError) as error:
                    damaged[path.name] = f"{path}: {error}"
        return found, damaged

    def write_calibration(self, way, calibration, about):
        """Writes the calibration of one way to score; `about` says of what."""
        sha256 = self.about["sha256"]
        path = self._calibration(way)
        calibrations.write(path, calibration, sha256=sha256, about=about)

    def _path(self, file):
        return self.folder / FOLDER / file

    def _calibration(self, way):
        return self.folder / f"calibration.{way}.json"

    def _read(self, path):
        samples = EmbeddingSet.load(path)
        names = {*samples.speaker.tolist()}
        if len(names) != 1 or checked_name(*names) not in names:
            raise ValueError(
                f"A person's file holds samples of one name, as it is kept: {path}. "
                f"Received: {len(names)} names in {len(samples)} samples"
            )
        shape, dim = samples.embeddings.shape, self.about["dim"]
        if shape[1] != dim or samples.about.get("sha256") != self.about["sha256"]:
            raise ValueError(
                f"A person's samples must be of the store's encoder: {path}. Received: "
                f"{shape[1]} of {dim} numbers, sha256 {samples.about.get('sha256')}"
            )
        lengths = np.linalg.norm(samples.embeddings.astype(np.float64), axis=1)
        if not np.allclose(lengths, 1, atol=1e-3):
            raise ValueError(
                f"A person's samples must be unit vectors: {path}. "
                f"Received: lengths from {lengths.min():.3g} to {lengths.max():.3g}"
            )
        if not _are_seconds(samples.labels.get("speech_s")):
            raise ValueError(
                f"A person's samples say their seconds of speech: {path}. "
                "Received: none, or no numbers"
            )
        return samples


def check_place(folder):
    """Raises FileExistsError where no new store can be made."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(
            f"A store needs an absent or empty folder. Received: {folder}"
        )


def _are_seconds(column) -> bool:
    try:
        seconds = np.array(column, np.float64)
    except ValueError:
        return False
    return bool(np.isfinite(seconds).all() and (seconds >= 0).all())


def file_of(name) -> str:
    """Name of the file in which a person of this name lies."""
    return hashlib.sha256(name.encode("utf-8")).hexdigest() + ".npz"


def _place(samples) -> str:
    return file_of(str(samples.speaker[0]))


def joined(sets) -> EmbeddingSet:
    """One embedding set of several; a label that one of them lacks is empty there."""
    labels = {
        label: np.concatenate([s.labels.get(label, np.full(len(s), "")) for s in sets])
        for label in dict.fromkeys(label for s in sets for label in s.labels)
    }
    columns = [(s.embeddings, s.speaker, s.segment) for s in sets]
    rows = [np.concatenate(column) for column in zip(*columns, strict=True)]
    return EmbeddingSet(*rows, sets[0].about, labels)


def _read_facts(path):
    """What made the embeddings of a roster."""
    if not path.is_file():
        raise FileNotFoundError(
            f"Enrolled people lie in a folder with {FACTS}; `People.create` makes one. "
            f"Received: {path.parent}"
        )
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"{path.stat().st_size} bytes")
        facts = json.loads(path.read_text("utf-8"))
        about = facts["encoder"]
        known = (facts["kind"], facts["format"]) == (KIND, FORMAT)
        if not known or not isinstance(about["sha256"], str) or about["dim"] < 1:
            raise ValueError(f"{facts['kind']!r} of format {facts['format']!r}")
        return about
    except (*BAD_FILE, RecursionError) as error:
        raise ValueError(
            f"{FACTS} must be what `People.create` wrote; restore it from a copy, the "
            f"people beside it are not lost. Received: {path} ({error!r})"
        ) from error
