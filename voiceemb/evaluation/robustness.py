"""Robustness: how an encoder's error grows when speech is short or noisy.

A corpus is measured at several degrees of one difficulty, by several extractors, each
on the same sounds and the same trials, all pairs.

**Duration.** Both sides of a trial are cut to one length. What is shorter is left out
there, so the points of a line may differ in utterances; each says how many it has.

**Noise.** Every utterance gets a noise of its own, the same one at all levels, so the
points of a line differ in level only. By default both sides of a trial are noisy: a
list of all pairs has no known and no claimed side. `noisy="test"` leaves the first side
of each pair clean.

What is done to an utterance is said in `voiceemb.evaluation.corruptions`.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from timbre.metrics import scoring, verification
from timbre.metrics.trials import all_pairs
from timbre.progress import ProgressBar
from voiceemb import evaluate
from voiceemb.evaluation.corruptions import (
    PINK_FROM_HZ,
    cut,
    draw_noise,
    generator,
    mix,
    read_noises,
)

DURATIONS_S = (0.5, 1.0, 2.0, 4.0, 8.0)
SNRS_DB = (20.0, 10.0, 5.0, 0.0)
NOISY = {"both": "both sides", "test": "test side only"}
PINK = f"pink noise from {PINK_FROM_HZ:g} Hz"
LEAST_SPEAKERS = 2  # who have two utterances each


@dataclasses.dataclass(frozen=True)
class _Point:
    """One degree of difficulty: who is heard, and what is done to a waveform."""

    about: dict
    utterances: list
    names: list
    change: Callable  # of a waveform [samples] and its name

    def sounds(self, sample_rate, bar):
        """The changed waveforms, read one by one."""
        for utterance, name in zip(self.utterances, self.names, strict=True):
            waveform = utterance.read(sample_rate=sample_rate)
            yield self.change(waveform, name)
            bar.update()

    def row(self, extractor, protocol):
        """What is known before anything is measured."""
        about = {k: v for k, v in self.about.items() if k != "condition"}
        name = f"{about['corpus']}: {extractor}, {self.about['condition']}"
        about |= {"extractor": extractor, "name": name}
        about |= {"protocol": verification.PROTOCOLS[protocol]}
        return about | {"num_utterances": len(self.names)}

    def report(self, enrol, test, *, seed, **told):
        """Figures of embeddings of both sides, `[utterances, dim]` each."""
        speakers = [u.speaker for u in self.utterances]
        trials = all_pairs(speakers, segments=self.names, seed=seed)
        scores = scoring.rowwise_cosines(enrol, test, trials.enrol, trials.test)
        return verification.report(trials, scores, seed=seed, **told)

    def reason(self):
        """Why it can not be measured, or an empty string."""
        speakers = [u.speaker for u in self.utterances]
        twice = {name for name in speakers if speakers.count(name) > 1}
        if len(twice) >= LEAST_SPEAKERS:
            return ""
        return (
            f"{len(speakers)} utterances are left, and {len(twice)} speakers with two; "
            f"it takes {LEAST_SPEAKERS}"
        )


def over_durations(
    corpus, extractors, *, durations_s=DURATIONS_S, seed=0, sample_rate=16000, **options
):
    """Equal error rates of utterances cut to several lengths, both sides alike.

    Args:
        corpus: A `timbre.corpora.corpus.Corpus`.
        extractors: Name to a function of an iterable of waveforms giving embeddings
            `[utterances, dim]`, as `voiceemb.evaluate.evaluate` takes them.
        durations_s: Lengths, in seconds. Defaults to 0.5, 1, 2, 4 and 8.
        seed: Of cuts, trials and bootstrap. Defaults to `0`.
        sample_rate: In Hz. Defaults to `16000`.
        **options: `protocol`, `resamples` and `shown`, see `over_noise`.

    Returns:
        A row for each length and extractor, ready for JSON: a report of
        `timbre.metrics.verification` with `kind` (`"duration"`), `corpus`, `extractor`,
        `duration_s`, `num_utterances` that are as long, and `of_utterances`. Where two
        speakers with two such utterances are not left, `eer` and `eer_interval` are
        None and `reason` says why.

    Raises:
        ValueError: If no length can be measured.
    """
    least = evaluate.LEAST_S
    if not durations_s or not least <= min(durations_s) <= max(durations_s) < np.inf:
        raise ValueError(
            f"Durations must be finite and at least {least} s. Received: {durations_s}"
        )
    good, names = _heard(corpus, sample_rate)
    lengths = [len(u.read(sample_rate=sample_rate)) for u in good]
    points = []
    for duration_s in sorted(durations_s):
        samples = round(duration_s * sample_rate)
        rows = [row for row, length in enumerate(lengths) if length >= samples]

        def change(waveform, name, samples=samples):
            return cut(waveform, samples, rng=generator(seed, name))

        about = {"kind": "duration", "duration_s": duration_s}
        about |= {"corpus": corpus.name, "of_utterances": len(good)}
        about |= {"condition": f"{duration_s:g} s"}
        heard = [good[row] for row in rows], [names[row] for row in rows]
        points.append(_Point(about, *heard, change))
    return _measure(points, extractors, seed=seed, sample_rate=sample_rate, **options)


def over_noise(
    corpus,
    extractors,
    *,
    snrs_db=SNRS_DB,
    noises=None,
    noisy="both",
    seed=0,
    sample_rate=16000,
    **options,
):
    """Equal error rates of clean utterances and of the same in noise.

    Args:
        corpus: A `timbre.corpora.corpus.Corpus`.
        extractors: As for `over_durations`.
        snrs_db: Signal-to-noise ratios, in dB. Defaults to 20, 10, 5 and 0; clean is
            always measured too.
        noises: File or folder of recordings of noise, of which every utterance gets a
            random part, in a circle if it is short. Defaults to pink noise.
        noisy: `"both"` sides of a trial, or `"test"`, the second side only.
        seed: Of noises, trials and bootstrap. Defaults to `0`.
        sample_rate: In Hz. Defaults to `16000`.
        **options: `protocol`, `"open-set"` or `"closed-set"`; `resamples` of the
            bootstrap by speaker, by default 1000; `shown`, whether there is a bar.

    Returns:
        A row for each ratio and extractor, as of `over_durations`, with `kind`
        `"noise"`, `snr_db` (None for clean), `noise` and `noisy`.

    Raises:
        ValueError: If the corpus can not be measured, or `noises` holds no sound.
    """
    snrs_db = sorted(snrs_db, reverse=True)
    if not snrs_db or not np.isfinite(snrs_db).all() or noisy not in NOISY:
        raise ValueError(
            f"`snrs_db` must be finite, and `noisy` one of {list(NOISY)}. "
            f"Received: {snrs_db} and {noisy!r}"
        )
    recordings = None if noises is None else read_noises(noises, sample_rate)
    called = PINK
    if recordings is not None:
        called = f"{len(recordings)} recordings of {Path(noises).name}"
    good, names = _heard(corpus, sample_rate)
    points = []
    for snr_db in (None, *snrs_db):

        def change(waveform, name, snr_db=snr_db):
            if snr_db is None:
                return waveform
            rng = generator(seed, name)
            noise = draw_noise(len(waveform), recordings, rng, sample_rate)
            return mix(waveform, noise, snr_db=snr_db)

        about = {"kind": "noise", "snr_db": snr_db, "corpus": corpus.name}
        about |= {"noise": called, "noisy": NOISY[noisy], "of_utterances": len(good)}
        about |= {"condition": "clean" if snr_db is None else f"{snr_db:g} dB"}
        points.append(_Point(about, good, names, change))
    options |= {"seed": seed, "sample_rate": sample_rate}
    return _measure(points, extractors, first_enrols=noisy == "test", **options)


def table(rows):
    """Rows as text, one line each; what could not be measured says why.

    Args:
        rows: Of `over_durations` and `over_noise`.
    """
    measured = [row for row in rows if row["eer"] is not None]
    missing = [row for row in rows if row["eer"] is None]
    lines = [f"{row['name']}: not measured, {row['reason']}" for row in missing]
    return "\n".join([verification.table(measured), *lines])


def _heard(corpus, sample_rate):
    """Utterances that can be read, and their names."""
    good, _ = evaluate.audible(corpus, sample_rate=sample_rate)
    return good, evaluate.names(corpus, good)


def _measure(
    points,
    extractors,
    *,
    protocol="open-set",
    resamples=1000,
    seed=0,
    sample_rate=16000,
    shown=True,
    first_enrols=False,
):
    """Rows of all points; with `first_enrols` its embeddings are every first side."""
    if protocol not in verification.PROTOCOLS:
        raise ValueError(
            f"`protocol` must be one of {list(verification.PROTOCOLS)}. "
            f"Received: {protocol!r}"
        )
    known = [point for point in points if not point.reason()]
    if not known:
        raise ValueError(
            f"{points[0].about['corpus']!r} can not be measured: {points[0].reason()}"
        )
    told = {"protocol": protocol, "resamples": resamples, "seed": seed}
    total, first, rows = sum(len(p.names) for p in known) * len(extractors), {}, []
    with ProgressBar(
        points[0].about["kind"], total, unit=" utterances", enabled=shown
    ) as bar:
        for point in points:
            for name, extract in extractors.items():
                about = point.row(name, protocol)
                if reason := point.reason():
                    missing = {"eer": None, "eer_interval": None, "reason": reason}
                    rows.append(about | missing)
                    continue
                test = np.asarray(extract(point.sounds(sample_rate, bar)))
                enrol = first.setdefault(name, test) if first_enrols else test
                rows.append(point.report(enrol, test, **told) | about)
    return rows
