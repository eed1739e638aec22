"""Robustness: equal error rate against duration and signal-to-noise ratio.

A corpus is evaluated at several levels of one corruption, by several extractors, each
on the same audio and the same trials, all pairs.

**Duration.** Both sides of a trial are cut to one length. Shorter utterances are left
out, so the points of a curve may differ in utterances; each row has their number.

**Noise.** Every utterance gets a noise of its own, the same one at all levels, so the
points of a curve differ in level only. By default both sides of a trial are noisy: in
a list of all pairs neither is for enrolment. `noisy="test"` leaves the first side of
each pair clean.

`voiceemb.evaluation.corruptions` has the corruptions.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from timbre.metrics import scoring, verification
from timbre.metrics.trials import all_pairs
from timbre.progress import ProgressBar
from voiceemb.evaluation import corruptions, readable
from voiceemb.inference import MIN_S

DURATIONS_S = (0.5, 1.0, 2.0, 4.0, 8.0)
SNRS_DB = (20.0, 10.0, 5.0, 0.0)
NOISY = {"both": "both sides", "test": "test side only"}
PINK = f"pink noise from {corruptions.PINK_FROM_HZ:g} Hz"
MIN_SPEAKERS = 2  # who have two utterances each


@dataclasses.dataclass(frozen=True)
class _Level:
    """One level of a corruption: its utterances, and the change of a waveform."""

    about: dict
    utterances: list
    names: list
    change: Callable  # of a waveform [samples] and its name

    def waveforms(self, sample_rate, bar):
        """The changed waveforms, read one by one."""
        for utterance, name in zip(self.utterances, self.names, strict=True):
            waveform = utterance.read(sample_rate=sample_rate)
            yield self.change(waveform, name)
            bar.update()

    def row(self, extractor, protocol):
        """The entries of its row that need no embedding."""
        about = {k: v for k, v in self.about.items() if k != "condition"}
        return about | {
            "extractor": extractor,
            "name": f"{about['corpus']}: {extractor}, {self.about['condition']}",
            "protocol": verification.PROTOCOLS[protocol],
            "num_utterances": len(self.names),
        }

    def report(self, enrol, test, *, protocol, resamples, seed):
        """Errors of embeddings of both sides, `[utterances, dim]` each."""
        speakers = [u.speaker for u in self.utterances]
        trials = all_pairs(speakers, segments=self.names, seed=seed)
        scores = scoring.rowwise_cosines(enrol, test, trials.enrol, trials.test)
        return verification.report(
            trials, scores, protocol=protocol, resamples=resamples, seed=seed
        )

    def reason(self):
        """Why it can not be evaluated, or an empty string."""
        speakers = [u.speaker for u in self.utterances]
        twice = {name for name in speakers if speakers.count(name) > 1}
        if len(twice) >= MIN_SPEAKERS:
            return ""
        return (
            f"{len(speakers)} utterances are left, and {len(twice)} speakers with two; "
            f"it takes {MIN_SPEAKERS}"
        )


def over_durations(
    corpus,
    extractors,
    *,
    durations_s=DURATIONS_S,
    protocol="open-set",
    resamples=1000,
    seed=0,
    sample_rate=16000,
    shown=True,
):
    """Equal error rates of utterances cut to several lengths, both sides alike.

    Args:
        corpus: A `timbre.corpora.corpus.Corpus`.
        extractors: Name to a function of an iterable of waveforms giving embeddings
            `[utterances, dim]`, as `voiceemb.evaluate.evaluate` takes them.
        durations_s: Lengths, in seconds. Defaults to 0.5, 1, 2, 4 and 8.
        protocol: `"open-set"` or `"closed-set"`. Defaults to `"open-set"`.
        resamples: Of the bootstrap by speaker. Defaults to `1000`.
        seed: Of cuts, trials and bootstrap. Defaults to `0`.
        sample_rate: In Hz. Defaults to `16000`.
        shown: Whether there is a progress bar. Defaults to `True`.

    Returns:
        A row for each length and extractor, ready for JSON: a report of
        `timbre.metrics.verification` with `kind` (`"duration"`), `corpus`, `extractor`,
        `duration_s`, `num_utterances` that are as long, and `of_utterances`. Where two
        speakers with two such utterances are not left, `eer` and `eer_interval` are
        None and `reason` says why.

    Raises:
        ValueError: If no length can be evaluated.
    """
    if not durations_s or not MIN_S <= min(durations_s) <= max(durations_s) < np.inf:
        raise ValueError(
            f"Durations must be finite and at least {MIN_S} s. Received: {durations_s}"
        )
    good, names = _read_corpus(corpus, sample_rate)
    lengths = [len(u.read(sample_rate=sample_rate)) for u in good]
    levels = []
    for duration_s in sorted(durations_s):
        samples = round(duration_s * sample_rate)
        rows = [row for row, length in enumerate(lengths) if length >= samples]

        def change(waveform, name, samples=samples):
            rng = corruptions.generator(seed, name)
            return corruptions.cut(waveform, samples, rng=rng)

        about = {
            "kind": "duration",
            "duration_s": duration_s,
            "corpus": corpus.name,
            "of_utterances": len(good),
            "condition": f"{duration_s:g} s",
        }
        levels.append(
            _Level(about, [good[i] for i in rows], [names[i] for i in rows], change)
        )
    return _evaluate_levels(
        levels,
        extractors,
        protocol=protocol,
        resamples=resamples,
        seed=seed,
        sample_rate=sample_rate,
        shown=shown,
    )


def over_noise(
    corpus,
    extractors,
    *,
    snrs_db=SNRS_DB,
    noises=None,
    noisy="both",
    protocol="open-set",
    resamples=1000,
    seed=0,
    sample_rate=16000,
    shown=True,
):
    """Equal error rates of clean utterances and of the same in noise.

    Args:
        corpus: A `timbre.corpora.corpus.Corpus`.
        extractors: As for `over_durations`.
        snrs_db: Signal-to-noise ratios, in dB. Defaults to 20, 10, 5 and 0; clean is
            always evaluated too.
        noises: File or folder of recordings of noise, of which every utterance gets a
            random part, repeated if it is short. Defaults to pink noise.
        noisy: `"both"` sides of a trial, or `"test"`, the second side only.
        protocol, resamples, seed, sample_rate, shown: As for `over_durations`.

    Returns:
        A row for each ratio and extractor, as of `over_durations`, with `kind`
        `"noise"`, `snr_db` (None for clean), `noise` and `noisy`.

    Raises:
        ValueError: If the corpus can not be evaluated, or `noises` has no audio.
    """
    snrs_db = sorted(snrs_db, reverse=True)
    if not snrs_db or not np.isfinite(snrs_db).all() or noisy not in NOISY:
        raise ValueError(
            f"`snrs_db` must be finite, and `noisy` one of {list(NOISY)}. "
            f"Received: {snrs_db} and {noisy!r}"
        )
    recordings = (
        None if noises is None else corruptions.read_noises(noises, sample_rate)
    )
    noise_name = PINK
    if recordings is not None:
        noise_name = f"{len(recordings)} recordings of {Path(noises).name}"
    good, names = _read_corpus(corpus, sample_rate)
    levels = []
    for snr_db in (None, *snrs_db):

        def change(waveform, name, snr_db=snr_db):
            if snr_db is None:
                return waveform
            rng = corruptions.generator(seed, name)
            noise = corruptions.sample_noise(
                len(waveform), recordings, rng, sample_rate
            )
            return corruptions.mix(waveform, noise, snr_db=snr_db)

        about = {
            "kind": "noise",
            "snr_db": snr_db,
            "corpus": corpus.name,
            "noise": noise_name,
            "noisy": NOISY[noisy],
            "of_utterances": len(good),
            "condition": "clean" if snr_db is None else f"{snr_db:g} dB",
        }
        levels.append(_Level(about, good, names, change))
    return _evaluate_levels(
        levels,
        extractors,
        protocol=protocol,
        resamples=resamples,
        seed=seed,
        sample_rate=sample_rate,
        shown=shown,
        first_enrols=noisy == "test",
    )


def table(rows):
    """Rows as text, one line each; those without an EER give the reason.

    Args:
        rows: Of `over_durations` and `over_noise`.
    """
    measured = [row for row in rows if row["eer"] is not None]
    missing = [row for row in rows if row["eer"] is None]
    lines = [f"{row['name']}: not measured, {row['reason']}" for row in missing]
    return "\n".join([verification.table(measured), *lines])


def _read_corpus(corpus, sample_rate):
    """Utterances that can be read, and their names."""
    good, _ = readable.find_readable(corpus, sample_rate=sample_rate)
    return good, readable.utterance_names(corpus, good)


def _evaluate_levels(
    levels,
    extractors,
    *,
    protocol,
    resamples,
    seed,
    sample_rate,
    shown,
    first_enrols=False,
):
    """Rows of all levels; with `first_enrols` the first embeds every enrolment side."""
    if protocol not in verification.PROTOCOLS:
        raise ValueError(
            f"`protocol` must be one of {list(verification.PROTOCOLS)}. "
            f"Received: {protocol!r}"
        )
    possible = [level for level in levels if not level.reason()]
    about = levels[0].about
    if not possible:
        raise ValueError(
            f"{about['corpus']!r} can not be evaluated: {levels[0].reason()}"
        )
    total = sum(len(level.names) for level in possible) * len(extractors)
    first, rows = {}, []
    with ProgressBar(about["kind"], total, unit=" utterances", enabled=shown) as bar:
        for level in levels:
            for name, extract in extractors.items():
                about = level.row(name, protocol)
                if reason := level.reason():
                    missing = {"eer": None, "eer_interval": None, "reason": reason}
                    rows.append(about | missing)
                    continue
                test = np.asarray(extract(level.waveforms(sample_rate, bar)))
                enrol = first.setdefault(name, test) if first_enrols else test
                report = level.report(
                    enrol, test, protocol=protocol, resamples=resamples, seed=seed
                )
                rows.append(report | about)
    return rows
