"""Errands: what commands do around their work.

Encoders and stores found by what a user says, sounds taken one after the other, outputs
checked before any work, and an interrupt that ends work but does not spoil it.
"""

import contextlib
import dataclasses
import signal
import sys
import tempfile

from timbre.corpora import folders
from timbre.corpora.corpus import Corpus, Utterance
from timbre.files import atomic_folder
from voiceemb.diarization import result
from voiceemb.enrolment.people import People
from voiceemb.enrolment.store import FACTS, check_new_folder


def loaded(run, calibration=None):
    """The encoder at `run`, a path or the name of shipped weights.

    Whatever is wrong with its files is one error. A `calibration` file, if named,
    takes the place of the encoder's own.
    """
    from voiceemb.encoder import Encoder

    shipped = not run.exists() and len(run.parts) == 1
    try:
        if shipped:
            return Encoder.pretrained(str(run), calibration_file=calibration)
        return Encoder.load(run, calibration_file=calibration)
    except FileNotFoundError:
        raise
    except Exception as error:  # h5py, Keras and TensorFlow each raise their own
        reason = " ".join(str(error).split())
        if shipped:
            raise ValueError(f"There is no {run} here. {reason}") from error
        raise ValueError(f"{run} can not be loaded. Received: {reason}") from error


def opened(paths):
    """A corpus out of files, folders and manifests.

    Files have no speaker, nor has a folder in which recordings lie side by side.
    """
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise FileNotFoundError(f"There is no {', '.join(missing)}")
    alone, sources = [], []
    for path in paths:
        if path.suffix.lower() == ".csv" or (path / "manifest.csv").is_file():
            sources.append(path)
        elif path.is_file():
            alone.append(Utterance(path, ""))
        elif any(sound.parent == path for sound in folders.recordings(path)):
            for sound in folders.recordings(path):
                *speaker, _ = sound.relative_to(path).parts
                alone.append(Utterance(sound, speaker[0] if speaker else ""))
        else:
            sources.append(path)
    corpus = folders.open_corpus(sources) if sources else Corpus("files", ())
    return dataclasses.replace(corpus, utterances=(*alone, *corpus.utterances))


def known_people(options, encoder, detector):
    """The enrolled people by whom speakers are named, or None."""
    if options.people is None:
        return None
    return People.open(options.people, encoder, detector=detector)


@contextlib.contextmanager
def store_of(folder, encoder, detector):
    """The store at `folder`, or a new one, which goes there with somebody in it."""
    if (folder / FACTS).is_file():
        yield People.open(folder, encoder, detector=detector)
        return
    check_new_folder(folder)
    missing = [path for path in folder.parents if not path.exists()]
    try:
        with atomic_folder(folder) as unfinished:
            people = People.create(unfinished, encoder, detector=detector)
            yield people
            if not people.names:
                raise _Nobody
            check_new_folder(folder)
        print(f"a new store: {folder}", file=sys.stderr)
    except _Nobody:
        pass
    finally:
        for path in missing:
            with contextlib.suppress(OSError):  # of those that are not empty
                path.rmdir()


class _Nobody(Exception):
    """Nobody is in a new store, so it is not kept."""


def each(paths, work):
    """Does the work of every file; one that can not be used does not end the rest."""
    failed = 0
    for path in paths:
        try:
            work(path)
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            named = reason if str(path) in reason else f"{path}: {reason}"
            print(f"error: {named}", file=sys.stderr)
            failed += 1
    if failed:
        raise ValueError(f"{failed} of {len(paths)} files could not be used")


def outputs(paths, out):
    """Sound to the file that is to be written of it, all checked before any work."""
    if out is None:
        return {}
    if len(paths) == 1 and not out.is_dir():
        check_kind(out, result.FORMATS)
        return {paths[0]: out}
    stems = [path.stem for path in paths]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise ValueError(
            "Of several sounds each needs another name, as its .rttm is called by it. "
            f"Received: {', '.join(twice)} more than once"
        )
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(
            f"--out is a folder where there are several sounds. Received: a file, {out}"
        )
    outs = {path: out / f"{path.stem}.rttm" for path in paths}
    for file in outs.values():
        check_writable(file)
    return outs


def check_kind(path, suffixes):
    """Raises before any work if a file can not be written later."""
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"--out ends in one of {suffixes}. Received: {path}")
    check_writable(path)


def check_writable(path):
    """Raises `OSError` before any work if a file can not be written later."""
    if path.is_dir():
        raise IsADirectoryError(f"A file is to be written, but {path} is a folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path.parent):
        pass


@contextlib.contextmanager
def until_interrupted(source):
    """Within it, the source ends after the block in which the user interrupts.

    So no work is left in the middle. A second interrupt is one as ever.
    """
    interrupts = []

    def note(*interrupt):
        interrupts.append(interrupt)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def blocks():
        for block in source:
            yield block
            if interrupts:
                return

    before = signal.signal(signal.SIGINT, note)
    try:
        yield blocks()
    finally:
        signal.signal(signal.SIGINT, before)


def sure(probability):
    """How sure an answer is, to be put behind it; nothing where that is not known."""
    return "" if probability is None else f" (probability {probability:.2f})"
