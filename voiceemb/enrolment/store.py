"""The enrolment store: enrolled people on disk, one file each.

    people.json                       the encoder of all embeddings
    calibration.<scoring>.json        score calibrations (`voiceemb.calibration`)
    people/<sha256 of a name>.npz     samples of one person, an embedding set

The name itself is inside the file, so any name can be enrolled. Files are replaced
atomically (`timbre.files.atomic_write`). Writers hold a lock where the system has locks
that end with the process; without them only two writers of one *person* at once could
lose a sample, as no two people share a file.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import re
from pathlib import Path

import numpy as np

from timbre.corpora.embeddings import BAD_FILE, EmbeddingSet
from timbre.files import PARTIAL, atomic_folder, lock_folder
from voiceemb import calibration as calibrations
from voiceemb.enrolment.identification import SCORINGS
from voiceemb.names import normalise_name

FACTS, FOLDER, KIND, FORMAT = "people.json", "people", "enrolled people", 1
FILE = re.compile(r"[0-9a-f]{64}\.npz")
MAX_BYTES = 2**20  # of `people.json`


class EnrolmentStore:
    """The samples of enrolled people, in a folder.

    Args:
        folder: What `create` made.

    Attributes:
        about: Dict of what made the embeddings, with `sha256` and `dim`.
        people: Name to `EmbeddingSet` of the samples, names sorted.
        corrupted: File name to the reason why it is ignored.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self.about = _read_facts(self.folder / FACTS)
        self.people, self.corrupted, self._seen = {}, {}, {}
        self.refresh()

    @classmethod
    def create(cls, folder, about):
        """Create an empty store, atomically.

        Args:
            folder: Absent or empty; anything else is a `FileExistsError`.
            about: Dict of what makes the embeddings, with `sha256` and `dim`.
        """
        folder = Path(folder)
        check_new_folder(folder)
        with atomic_folder(folder) as unfinished:
            (unfinished / FOLDER).mkdir()
            facts = {"kind": KIND, "format": FORMAT, "encoder": about}
            text = json.dumps(facts, indent=2, ensure_ascii=False)
            (unfinished / FACTS).write_text(text + "\n", encoding="utf-8")
        return cls(folder)

    def all_samples(self) -> EmbeddingSet:
        """The samples of all people in one set."""
        rows, names = np.zeros((0, self.about["dim"]), np.float32), np.zeros(0, "U1")
        empty = EmbeddingSet(rows, names, names, self.about)
        return concatenate([empty, *self.people.values()])

    def refresh(self):
        """Read what other processes have changed."""
        seen, people, corrupted = {}, {}, {}
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
                named = str(path) in reason
                corrupted[path.name] = reason if named else f"{path}: {reason}"
        moved = [file for file, (_, held) in seen.items() if file != _file_of(held)]
        for file in [*(seen.keys() - moved), *moved]:  # files in their place go first
            name = str(seen[file][1].speaker[0])
            if name in people:
                path = self._path(file)
                corrupted[file] = f"{name!r} has another file already: {path}"
            else:
                people[name] = seen[file][1]
        self._seen, self.corrupted = seen, corrupted
        self.people = {name: people[name] for name in sorted(people)}

    @contextlib.contextmanager
    def lock(self):
        """Let one writer at a time change the store, after a refresh."""
        with lock_folder(self.folder):
            self.refresh()
            for file, (_, samples) in self._seen.items():
                target = _file_of(samples)
                if file != target and target not in {*self._seen, *self.corrupted}:
                    os.rename(self._path(file), self._path(target))
            self.refresh()
            yield

    def add(self, samples):
        """Add samples of a person; call it inside `lock`."""
        name = str(samples.speaker[0])
        if name in self.people:
            samples = concatenate([self.people[name], samples])
        samples.save(self._path(_file_of(samples)))
        self.refresh()

    def rename(self, old, new):
        """Rename a person; call it inside `lock`.

        The new name is written into the old file, where it is found if the process is
        killed before that is renamed.
        """
        samples = self.people[old]
        named = dataclasses.replace(samples, speaker=np.full(len(samples), new))
        named.save(self._path(file_of(old)))
        os.rename(self._path(file_of(old)), self._path(file_of(new)))
        self.refresh()

    def delete(self, name):
        """Delete a person, and files of killed writers; call it inside `lock`."""
        self._path(file_of(name)).unlink()
        for path in (self.folder / FOLDER).glob(f".*{PARTIAL}*"):
            path.unlink(missing_ok=True)
        self.refresh()

    def corruption(self, name) -> str | None:
        """Why the file of a person can not be read, or None if it can."""
        return self.corrupted.get(file_of(name))

    def calibrations(self):
        """Scoring to its `EncoderCalibration`, and file name to its corruption."""
        found, corrupted = {}, {}
        for scoring in SCORINGS:
            path, sha256 = self._calibration_path(scoring), self.about["sha256"]
            if path.is_file():
                try:
                    found[scoring] = calibrations.read(path, sha256=sha256)
                except (ValueError, OSError) as error:
                    corrupted[path.name] = f"{path}: {error}"
        return found, corrupted

    def write_calibration(self, scoring, calibration, about):
        """Write the calibration of one scoring; `about` describes its trials."""
        path = self._calibration_path(scoring)
        calibrations.write(path, calibration, sha256=self.about["sha256"], about=about)

    def _path(self, file):
        return self.folder / FOLDER / file

    def _calibration_path(self, scoring):
        return self.folder / f"calibration.{scoring}.json"

    def _read(self, path):
        samples = EmbeddingSet.load(path)
        names = {*samples.speaker.tolist()}
        if len(names) != 1 or normalise_name(*names) not in names:
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
        if not _are_durations(samples.labels.get("speech_s")):
            raise ValueError(
                f"A person's samples have their seconds of speech, `speech_s`: {path}"
            )
        return samples


def check_new_folder(folder):
    """Raise FileExistsError where no new store can be created."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(
            f"A store needs an absent or empty folder. Received: {folder}"
        )


def _are_durations(column) -> bool:
    try:
        seconds = np.array(column, np.float64)
    except ValueError:
        return False
    return bool(np.isfinite(seconds).all() and (seconds >= 0).all())


def file_of(name) -> str:
    """Name of the file of a person."""
    return hashlib.sha256(name.encode("utf-8")).hexdigest() + ".npz"


def _file_of(samples) -> str:
    return file_of(str(samples.speaker[0]))


def concatenate(sets) -> EmbeddingSet:
    """Concatenate embedding sets; a label that one of them lacks is empty there."""
    labels = {
        label: np.concatenate([s.labels.get(label, np.full(len(s), "")) for s in sets])
        for label in dict.fromkeys(label for s in sets for label in s.labels)
    }
    columns = [(s.embeddings, s.speaker, s.segment) for s in sets]
    rows = [np.concatenate(column) for column in zip(*columns, strict=True)]
    return EmbeddingSet(*rows, sets[0].about, labels)


def _read_facts(path):
    """The encoder of a store."""
    if not path.is_file():
        raise FileNotFoundError(
            f"Enrolled people lie in a folder with {FACTS}; `People.create` makes one. "
            f"Received: {path.parent}"
        )
    try:
        if path.stat().st_size > MAX_BYTES:
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
