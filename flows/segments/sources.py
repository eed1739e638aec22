"""Where segments come from, told before any of their features is read.

A `Source` knows the labels of all its rows and reads the features of those that are
chosen, so memory follows what is kept and not what there is.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import numpy as np

from flows.segments import segmentation
from flows.segments.features import cached
from timbre.corpora import phone_sets, phones
from timbre.corpora.corpus import some
from timbre.corpora.embeddings import EmbeddingSet
from timbre.corpora.folders import open_corpus

SAMPLE_RATE = 16000  # Hz
WINDOW = 512  # samples, 32 ms
PHONES = 10  # that are made up
STRETCH = re.compile(r"\[[^\[\],]*,[^\[\],]*\]$")  # times in a key of a corpus
SILENCES = {"sil", "sp", "pau", "epi", "h#", "silence", "<eps>", "_", "#"}


@dataclass(frozen=True, eq=False)
class Source:
    """Rows that can be learned from.

    Args:
        columns: Dict, each factor to the labels of all rows, str `[n]`; `""` is
            unknown.
        speaker: Who speaks in each row, str `[n]`; `""` is unknown.
        family: Family of the speaker, str `[n]`: voices that are nearly one share it.
        recording: Which recording each is of, int `[n]`, an index into `recordings`.
        recordings: Names of the recordings.
        read: Maps rows, int `[m]`, to their features, float32 `[m, ...]`.
        about: What it is, and how features are computed.
        left_out: Counts of rows that are no longer there, and why.
    """

    columns: dict
    speaker: np.ndarray
    family: np.ndarray
    recording: np.ndarray
    recordings: tuple[str, ...]
    read: Callable[[np.ndarray], np.ndarray]
    about: dict
    left_out: dict = field(default_factory=dict)


def open_source(
    source, *, factors, segment, path, corpus, cache, clean, fold, **made_up
):
    """Opens what `flows.config.Data` names; sound is turned into features once.

    Args:
        source: One of the sources of `flows.config.Data`.
        factors: Names of the labels wanted.
        segment: Dict of a `flows.config.Segment`, whose `bands` are a number.
        path: Of the source, where it has one.
        corpus: Folder of the synthetic corpus.
        cache: Folder in which the caches of features lie side by side.
        clean: Whether the synthetic corpus is without rooms and noise.
        fold: Whether kin are one phone, in the synthetic corpus and in TIMIT.
        **made_up: `rows`, `speakers`, `utterances`, `classes` and `seed`.

    Returns:
        A `Source`.

    Raises:
        ValueError: If there is no such source or label, or labels do not fit sounds.
    """
    if source in ("segments", "timit", "manifest", "embeddings") and not path:
        raise ValueError(f"`path` must say where {source!r} are. Received: path=''")
    if source == "spectra":
        return _spectra(factors, segment, **made_up)
    if source == "embeddings":
        return _embeddings(path, factors)
    if source == "manifest":
        return _utterances(open_corpus(path), factors, segment, cache)
    known = ()
    if source == "synthetic":
        labels, *known = _synthetic(corpus, fold, clean=clean, **made_up)
    elif source == "segments":
        table = Path(path, "segments.csv") if Path(path).is_dir() else path
        labels = phones.read(table)
    elif source == "timit":
        sounds = Path(cache) / "timit-sounds"
        labels = phones.read_timit(path, map_phones=fold, sounds=sounds)
    else:
        raise ValueError(f"There is no such source of segments. Received: {source!r}")
    about = _about(source, labels.name, segment)
    return _phones(labels, about, factors, segment, cache, *known)


def _hop(segment):
    """Samples from one frame to the next, a whole number."""
    return round(segment["hop_s"] * SAMPLE_RATE)


def _about(source, name, segment):
    return {
        "source": source,
        "name": name,
        "sample_rate": SAMPLE_RATE,
        "window": WINDOW,
        "hop": _hop(segment),
        **{k: segment[k] for k in ("bands", "high_hz", "spectrum", "frames", "fit")},
    }


def _recordings(names):
    """Which recording each row is of, int `[n]`, and the recordings' names.

    Rows whose names differ only by the times of a stretch, as in `talk.flac[1.5,4.0]`,
    are of one recording; one without a name is of its own.
    """
    whole = [STRETCH.sub("", name) or f"row {i}" for i, name in enumerate(names)]
    recordings, recording = np.unique(np.array(whole, str), return_inverse=True)
    return recording, tuple(recordings.tolist())


def _columns(factors, known, extra=(), beside=()):
    """The labels wanted, str `[n]` each.

    Args:
        factors: Names of labels.
        known: Dict, name to the labels of all rows, a list.
        extra: What else is known of each row, dicts; what one lacks is unknown.
        beside: Dicts of what is known where `extra` says nothing.
    """
    beside = beside or [{}] * len(extra)
    more = {name for row in chain(extra, beside) for name in row} - set(known)
    missing = [name for name in factors if name not in more | set(known)]
    if missing:
        raise ValueError(
            "`factors` must name columns that the source has. Received: "
            f"{', '.join(missing)}, where there are {some(sorted({*more, *known}), 20)}"
        )

    def found(name):
        for row, other in zip(extra, beside, strict=True):
            yield row.get(name) or other.get(name, "")

    return {name: np.array(known.get(name) or [*found(name)], str) for name in factors}


def _spectra(factors, segment, *, rows, speakers, classes, seed, **unused):
    from timbre.corpora.synthetic import spectra

    made = spectra.sample(
        rows=rows,
        num_phones=min(PHONES, classes),
        num_speakers=speakers,
        slots=segment["frames"],
        bands=segment["bands"],
        seed=seed,
    )
    known = {"phone": made.phone.tolist(), "speaker": made.speaker.tolist()}
    about = {"source": "spectra", "name": "spectra", "hop_s": segment["hop_s"]}
    about |= {key: segment[key] for key in ("frames", "bands")}
    speaker = np.asarray(made.speaker, str)
    return Source(
        _columns(factors, known),
        speaker,
        speaker,
        np.arange(rows),
        tuple(map(str, made.recording)),
        lambda chosen: made.x[chosen],
        about,
    )


def _embeddings(path, factors):
    voices = EmbeddingSet.load(path)
    known = {"speaker": voices.speaker, **voices.labels}
    columns = _columns(factors, {k: [*map(str, v)] for k, v in known.items()})
    speaker = np.asarray(voices.speaker, str)
    return Source(
        columns,
        speaker,
        speaker,
        *_recordings(map(str, voices.segment)),
        lambda chosen: np.asarray(voices.embeddings, np.float32)[chosen],
        {"source": "embeddings", "name": Path(path).stem, "set": voices.about},
    )


def _synthetic(folder, fold, *, clean, speakers, utterances, seed, **unused):
    """Labels of the default corpus, and what its manifest says of each recording.

    Also counts what is left out because it is two phones in one.
    """
    from timbre.corpora.synthetic import render

    told = {"num_speakers": speakers, "utterances": utterances, "seed": seed}
    corpus = render.render(folder, clean=clean, **told)
    labels = phones.read(Path(folder) / "segments.csv", name="synthetic")
    total = len(labels)
    if fold:
        kept = [(s, phone_sets.map_espeak(s.phone)) for s in labels]
        kept = (replace(s, phone=phone) for s, phone in kept if phone is not None)
        labels = phones.Labels(labels.name, tuple(kept))
    more = {u.path.resolve(): {"text": u.text, **u.extra} for u in corpus}
    return labels, more, {"two in one": total - len(labels)}


def _phones(labels, about, factors, segment, cache, more=None, left_out=None):
    """Segments around phones; those of silence and of unreadable sound are left out.

    Args:
        labels: `timbre.corpora.phones.Labels`.
        about: What `_about` says.
        factors, segment, cache: As `open_source` takes them.
        more: Dict, resolved path to what else is known of a recording, a dict; its
            `variant` is the family of who speaks.
        left_out: Counts of what was left out before.
    """
    spoken = [s for s in labels if s.phone.lower() not in SILENCES]
    if not spoken:
        raise ValueError(
            f"There must be phones other than silence. Received: {labels.name!r}, "
            f"with {len(labels)} segments of silence"
        )
    corpus = phones.Labels(labels.name, tuple(spoken)).corpus()
    found = cached(corpus, cache, about)
    place = {corpus.utterances[row].path: i for i, row in enumerate(found.row)}
    heard = [s for s in spoken if s.path in place]
    more = {path: (more or {}).get(path.resolve(), {}) for path in place}
    beside = [more[s.path] for s in heard]
    known = {"phone": [s.phone for s in heard], "speaker": [s.speaker for s in heard]}
    kin = zip(beside, known["speaker"], strict=True)
    record = np.array([place[s.path] for s in heard])
    times = np.array([(s.start_s, s.end_s) for s in heard])
    recording, recordings = _recordings(found.paths)
    silent, unreadable = len(labels) - len(spoken), len(spoken) - len(heard)
    return Source(
        _columns(factors, known, [s.extra for s in heard], beside),
        np.array(known["speaker"], str),
        np.array([row.get("variant") or name for row, name in kin], str),
        recording[record],
        recordings,
        _reader(found, record, times, segment),
        about,
        {**(left_out or {}), "silence": silent, "unreadable": unreadable},
    )


def _utterances(corpus, factors, segment, cache):
    """Whole utterances, each one segment, and several of one recording maybe."""
    about = _about("manifest", corpus.name, segment)
    found = cached(corpus, cache, about)
    heard = [corpus.utterances[row] for row in found.row]
    known = {"speaker": [u.speaker for u in heard], "text": [u.text for u in heard]}
    # the last frame is centred on the last sample or up to one hop before
    times = np.stack([np.zeros(len(found)), found.length - 0.5], 1)
    times, record = times * (_hop(segment) / SAMPLE_RATE), np.arange(len(found))
    speaker = np.array(known["speaker"], str)
    return Source(
        _columns(factors, known, [u.extra for u in heard]),
        speaker,
        speaker,
        *_recordings(found.paths),
        _reader(found, record, times, segment),
        about,
        {"unreadable": found.num_skipped},
    )


def _reader(found, record, times, segment):
    """What reads rows out of a cache, only the frames they are made of."""
    frames, fit = segment["frames"], segment["fit"]
    hop_s = _hop(segment) / SAMPLE_RATE

    def read(chosen):
        x = np.empty((len(chosen), frames, *found.shape), np.float32)
        for i in np.argsort(record[chosen], kind="stable"):
            row = chosen[i]
            of = int(record[row])
            try:
                start, end = segmentation.window(
                    *times[row], int(found.length[of]), frames, hop_s, fit
                )
            except ValueError as error:
                raise ValueError(f"{error} ({found.paths[of]})") from None
            stretch = found.crop(of, start, end - start)
            x[i] = segmentation.fitted(stretch, frames=frames, fit=fit)
        return x

    return read
