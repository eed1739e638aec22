"""Sources of labelled segments: corpora, phone tables, embeddings, synthetic spectra.

A `Source` has the labels of all its rows and reads the features of selected rows only,
so memory follows what is kept and not what there is.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import numpy as np

from flows.segments import segmentation
from flows.segments.features import NUM_BANDS, open_features
from timbre.corpora import phone_sets, phones
from timbre.corpora.corpus import some
from timbre.corpora.embeddings import EmbeddingSet
from timbre.corpora.folders import open_corpus

SAMPLE_RATE = 16000  # Hz
WINDOW = 512  # samples, 32 ms
MAX_PHONES = 10  # of synthetic spectra
TIMES = re.compile(r"\[[^\[\],]*,[^\[\],]*\]$")  # in a key of a corpus
SILENCES = {"sil", "sp", "pau", "epi", "h#", "silence", "<eps>", "_", "#"}


@dataclass(frozen=True, eq=False)
class Source:
    """Labelled rows whose features are read on demand.

    Args:
        columns: Dict, each factor to the labels of all rows, str `[n]`; `""` is
            unknown.
        speaker: Who speaks in each row, str `[n]`; `""` is unknown.
        group: Group of the speaker, str `[n]`: nearly equal voices share one.
        recording: Which recording each is of, int `[n]`, an index into `recordings`.
        recordings: Names of the recordings.
        read: Maps rows, int `[m]`, to their features, float32 `[m, ...]`.
        about: What it is, and how features are computed.
        left_out: Counts of rows that were left out, and why.
    """

    columns: dict
    speaker: np.ndarray
    group: np.ndarray
    recording: np.ndarray
    recordings: tuple[str, ...]
    read: Callable[[np.ndarray], np.ndarray]
    about: dict
    left_out: dict = field(default_factory=dict)


def open_source(config, segment):
    """Opens a `Source` of segments; features of sound are computed once.

    Args:
        config: A `flows.config.FlowDataConfig`.
        segment: A `flows.config.SegmentConfig`.

    Raises:
        ValueError: If there is no such source or label, or labels do not fit sounds.
    """
    source, path, factors = config.source, config.path, config.factors
    if source in ("segments", "timit", "manifest", "embeddings") and not path:
        raise ValueError(f"`path` must say where {source!r} are. Received: path=''")
    if segment.bands is None:
        kind = "spectra" if source == "spectra" else segment.spectrum
        segment = replace(segment, bands=NUM_BANDS[kind])
    if source == "spectra":
        return _spectra(config, segment)
    if source == "embeddings":
        return _embeddings(path, factors)
    if source == "manifest":
        corpus = open_corpus(path)
        about = _about(source, corpus.name, segment)
        return _utterances(corpus, about, factors, config.cache)
    of_recordings, left_out = {}, {}
    if source == "synthetic":
        labels, of_recordings, left_out = _synthetic(config)
    elif source == "segments":
        table = Path(path, "segments.csv") if Path(path).is_dir() else path
        labels = phones.read(table)
    elif source == "timit":
        labels = phones.read_timit(path, map_phones=config.fold)
    else:
        raise ValueError(f"There is no such source of segments. Received: {source!r}")
    about = _about(source, labels.name, segment)
    return _phones(labels, about, factors, config.cache, of_recordings, left_out)


def _about(source, name, segment):
    return {
        "source": source,
        "name": name,
        "sample_rate": SAMPLE_RATE,
        "window": WINDOW,
        "hop": round(segment.hop_s * SAMPLE_RATE),
        "bands": segment.bands,
        "high_hz": segment.high_hz,
        "spectrum": segment.spectrum,
        "frames": segment.frames,
        "fit": segment.fit,
    }


def _recordings(names):
    """Which recording each row is of, int `[n]`, and their names without times.

    Rows of `talk.flac[1.5,4.0]` and `talk.flac[6.0,9.0]` are of one; without a name a
    row is of its own.
    """
    whole = [TIMES.sub("", name) or f"row {i}" for i, name in enumerate(names)]
    recordings, recording = np.unique(np.array(whole, str), return_inverse=True)
    return recording, tuple(recordings.tolist())


def _columns(factors, known, extra=(), fallback=()):
    """Labels of the factors, str `[n]` each: `known` ones are lists of all rows.

    Others are in a dict of each row, `extra`, or in `fallback`, or unknown.
    """
    fallback = fallback or [{}] * len(extra)
    more = {name for row in chain(extra, fallback) for name in row} - set(known)
    missing = [name for name in factors if name not in more | set(known)]
    if missing:
        raise ValueError(
            "`factors` must name columns that the source has. Received: "
            f"{', '.join(missing)}, where there are {some(sorted({*more, *known}), 20)}"
        )

    def of_rows(name):
        for row, other in zip(extra, fallback, strict=True):
            yield row.get(name) or other.get(name, "")

    return {
        name: np.array(known.get(name) or [*of_rows(name)], str) for name in factors
    }


def _spectra(config, segment):
    """Synthetic spectra, without sound."""
    from timbre.corpora.synthetic import spectra

    made = spectra.sample(
        rows=config.rows,
        num_phones=min(MAX_PHONES, config.classes),
        num_speakers=config.speakers,
        slots=segment.frames,
        bands=segment.bands,
        seed=config.seed,
    )
    known = {"phone": made.phone.tolist(), "speaker": made.speaker.tolist()}
    of_segment = {name: getattr(segment, name) for name in ("hop_s", "frames", "bands")}
    speaker = np.asarray(made.speaker, str)
    return Source(
        columns=_columns(config.factors, known),
        speaker=speaker,
        group=speaker,
        recording=np.arange(config.rows),
        recordings=tuple(map(str, made.recording)),
        read=lambda rows: made.x[rows],
        about={"source": "spectra", "name": "spectra", **of_segment},
    )


def _embeddings(path, factors):
    """Rows of an embedding set."""
    embeddings = EmbeddingSet.load(path)
    known = {"speaker": embeddings.speaker, **embeddings.labels}
    speaker = np.asarray(embeddings.speaker, str)
    recording, recordings = _recordings(map(str, embeddings.segment))
    return Source(
        columns=_columns(factors, {k: [*map(str, v)] for k, v in known.items()}),
        speaker=speaker,
        group=speaker,
        recording=recording,
        recordings=recordings,
        read=lambda rows: np.asarray(embeddings.embeddings, np.float32)[rows],
        about={
            "source": "embeddings",
            "name": Path(path).stem,
            "set": embeddings.about,
        },
    )


def _synthetic(config):
    """Phones of the synthetic corpus, labels of its recordings, and counts left out."""
    from timbre.corpora.synthetic import render

    corpus = render.render(
        config.corpus,
        clean=config.clean,
        num_speakers=config.speakers,
        utterances=config.utterances,
        seed=config.seed,
    )
    labels = phones.read(Path(config.corpus) / "segments.csv", name="synthetic")
    total = len(labels)
    if config.fold:
        mapped = [(s, phone_sets.map_espeak(s.phone)) for s in labels]
        mapped = [replace(s, phone=phone) for s, phone in mapped if phone is not None]
        labels = phones.Labels(labels.name, tuple(mapped))
    of_recordings = {u.path.resolve(): {"text": u.text, **u.extra} for u in corpus}
    return labels, of_recordings, {"two in one": total - len(labels)}


def _phones(labels, about, factors, cache, of_recordings, left_out):
    """Segments around phones; those of silence and of unreadable sound are left out.

    `of_recordings` is a dict of resolved path to other labels of a recording, of which
    `variant` is the group of the speaker.
    """
    spoken = [s for s in labels if s.phone.lower() not in SILENCES]
    if not spoken:
        raise ValueError(
            f"There must be phones other than silence. Received: {labels.name!r}, "
            f"with {len(labels)} segments of silence"
        )
    corpus = phones.Labels(labels.name, tuple(spoken)).corpus()
    features = open_features(corpus, cache, about)
    place = {corpus.utterances[row].path: i for i, row in enumerate(features.row)}
    readable = [s for s in spoken if s.path in place]
    fallback = [of_recordings.get(s.path.resolve(), {}) for s in readable]
    known = {
        "phone": [s.phone for s in readable],
        "speaker": [s.speaker for s in readable],
    }
    pairs = zip(fallback, readable, strict=True)
    groups = [row.get("variant") or s.speaker for row, s in pairs]
    record = np.array([place[s.path] for s in readable])
    times = np.array([(s.start_s, s.end_s) for s in readable])
    recording, recordings = _recordings(features.paths)
    return Source(
        columns=_columns(factors, known, [s.extra for s in readable], fallback),
        speaker=np.array(known["speaker"], str),
        group=np.array(groups, str),
        recording=recording[record],
        recordings=recordings,
        read=_reader(features, record, times, about),
        about=about,
        left_out={
            **left_out,
            "silence": len(labels) - len(spoken),
            "unreadable": len(spoken) - len(readable),
        },
    )


def _utterances(corpus, about, factors, cache):
    """Whole utterances, each one segment; several may be of one recording."""
    features = open_features(corpus, cache, about)
    readable = [corpus.utterances[row] for row in features.row]
    known = {
        "speaker": [u.speaker for u in readable],
        "text": [u.text for u in readable],
    }
    # the last frame is centred on the last sample or up to one hop before
    times = np.stack([np.zeros(len(features)), features.length - 0.5], 1)
    times = times * (about["hop"] / SAMPLE_RATE)
    speaker = np.array(known["speaker"], str)
    recording, recordings = _recordings(features.paths)
    return Source(
        columns=_columns(factors, known, [u.extra for u in readable]),
        speaker=speaker,
        group=speaker,
        recording=recording,
        recordings=recordings,
        read=_reader(features, np.arange(len(features)), times, about),
        about=about,
        left_out={"unreadable": features.num_skipped},
    )


def _reader(features, record, times, about):
    """A function that reads rows from a cache, only the frames of their segments."""
    num_frames, fit, hop_s = about["frames"], about["fit"], about["hop"] / SAMPLE_RATE

    def read(rows):
        x = np.empty((len(rows), num_frames, *features.shape), np.float32)
        for i in np.argsort(record[rows], kind="stable"):
            of = int(record[rows[i]])
            size = int(features.length[of]), num_frames, hop_s, fit
            try:
                start, end = segmentation.find_segment(*times[rows[i]], *size)
            except ValueError as error:
                raise ValueError(f"{error} ({features.paths[of]})") from None
            frames = features.crop(of, start, end - start)
            x[i] = segmentation.fit_frames(frames, num_frames=num_frames, fit=fit)
        return x

    return read
