"""What the commands of voices share: their options, encoders, corpora and stores."""

import contextlib
import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from timbre import cli
from timbre.corpora import folders
from timbre.corpora.corpus import Corpus, Utterance
from timbre.files import atomic_folder
from voiceemb.diarization.result import FORMATS
from voiceemb.encoder import Encoder
from voiceemb.enrolment.people import People
from voiceemb.enrolment.store import FACTS, check_new_folder
from voiceemb.vad import detection

MANY = {"help_behavior_hint": "(at least one)"}
Files = Positional[Annotated[tuple[Path, ...], arg(metavar="FILE [FILE ...]", **MANY)]]
Sources = Annotated[tuple[Path, ...], arg(metavar="PATH [PATH ...]", **MANY)]
RUN = "A run folder, an export, or the name of weights that come with the package."
Run = Annotated[Path, arg(help=RUN)]
SMALL = Path("small")
DETECTORS = Literal["network", "energy", "webrtc"]
Detector = Annotated[DETECTORS, arg(help="Of voice activity.")]
Store = Annotated[Path, arg(help="Folder of enrolled people.")]
NAMED = "Folder of enrolled people, to name speakers; else they are numbered."
Named = Annotated[Path | None, arg(help=NAMED)]
CALIBRATION = "What `calibrate` wrote, instead of what lies beside the weights."
Calibration = Annotated[Path | None, arg(help=CALIBRATION)]


def load_encoder(run, calibration=None):
    """The encoder at `run`, a path or the name of shipped weights.

    Whatever is wrong with its files is one error. A `calibration` file, if named,
    takes the place of the encoder's own.
    """
    with cli.loading(run):
        if run.exists() or len(run.parts) > 1:
            return Encoder.load(run, calibration_file=calibration)
        try:
            return Encoder.pretrained(str(run), calibration_file=calibration)
        except ValueError as error:
            raise FileNotFoundError(f"There is no {run} here. {error}") from error


def open_corpus(paths):
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


def load(run, detector, people=None):
    """The encoder, the detector, and the people by whom speakers are named, if any."""
    encoder, detector = load_encoder(run), detection.load(detector)
    if people is not None:
        people = People.open(people, encoder, detector=detector)
    return encoder, detector, people


@contextlib.contextmanager
def open_or_create_store(folder, encoder, detector):
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
        cli.warn(f"a new store: {folder}")
    except _Nobody:
        pass
    finally:
        for path in missing:
            with contextlib.suppress(OSError):  # of those that are not empty
                path.rmdir()


class _Nobody(Exception):
    """Nobody is in a new store, so it is not kept."""


def turn_files(paths, out):
    """Sound to the file for its turns, all checked before any work."""
    if out is None:
        return {}
    if len(paths) == 1 and not out.is_dir():
        cli.check_output(out, FORMATS)
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
        cli.check_output(file)
    return outs


def format_probability(probability) -> str:
    """A probability to be put behind an answer; nothing where it is not known."""
    return "" if probability is None else f" (probability {probability:.2f})"
