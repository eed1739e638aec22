"""Robustness: equal error rate against duration and signal-to-noise ratio.

A corpus is evaluated at several levels of one corruption, by several extractors, each
on the same audio and the same trials, all pairs.

**Duration.** Both sides of a trial are cut to one length. Shorter utterances are left
out, so the points of a curve may differ in utterances; each row has their number.

**Noise.** Every utterance gets a noise of its own, the same one at all levels, so the
points of a curve differ in level only. By default both sides of a trial are noisy: in
a list of all pairs neither is for enrolment. `noisy="test"` leaves the first clean.
"""

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from timbre.corpora.corpus import Corpus
from timbre.metrics import scoring, verification
from timbre.metrics.trials import all_pairs
from timbre.progress import ProgressBar
from timbre.training.networks import check_choice
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

    condition: str  # of its row's name
    about: dict
    utterances: list
    names: list
    change: Callable  # of a waveform [samples] and the utterance's name

    @property
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


@dataclasses.dataclass(frozen=True)
class Robustness:
    """Equal error rates of a corpus at several levels of a corruption.

    Args:
        corpus: A `timbre.corpora.corpus.Corpus`.
        extractors: Name to a function of an iterable of waveforms giving embeddings
            `[utterances, dim]`, as `voiceemb.evaluate.evaluate` takes them.
        protocol: `"open-set"` or `"closed-set"`. Defaults to `"open-set"`.
        resamples: Of the bootstrap by speaker. Defaults to `1000`.
        seed: Of cuts, noises, trials and bootstrap. Defaults to `0`.
        sample_rate: In Hz. Defaults to `16000`.
        shown: Whether there is a progress bar. Defaults to `True`.
    """

    corpus: Corpus
    extractors: dict[str, Callable]
    _: dataclasses.KW_ONLY
    protocol: str = "open-set"
    resamples: int = 1000
    seed: int = 0
    sample_rate: int = 16000
    shown: bool = True

    def __post_init__(self):
        check_choice("protocol", self.protocol, list(verification.PROTOCOLS))

    def over_durations(self, durations_s=DURATIONS_S):
        """Errors of utterances cut to several lengths, both sides alike.

        Args:
            durations_s: Lengths, in seconds. Defaults to 0.5, 1, 2, 4 and 8.

        Returns:
            A row for each length and extractor, ready for JSON: a report of
            `timbre.metrics.verification` with `kind` (`"duration"`), `corpus`,
            `extractor`, `duration_s`, `num_utterances` that are as long, and
            `of_utterances`. Where two speakers with two such utterances are not left,
            `eer` and `eer_interval` are None and `reason` says why.

        Raises:
            ValueError: If no length can be evaluated.
        """
        low, high = min(durations_s, default=0), max(durations_s, default=0)
        if not MIN_S <= low <= high < np.inf:
            raise ValueError(
                f"Durations must be finite and at least {MIN_S} s. "
                f"Received: {durations_s}"
            )
        good, names = self._find_readable()
        lengths = [len(u.read(sample_rate=self.sample_rate)) for u in good]
        levels = []
        for duration_s in sorted(durations_s):
            samples = round(duration_s * self.sample_rate)
            rows = [row for row, length in enumerate(lengths) if length >= samples]

            def change(waveform, name, samples=samples):
                rng = corruptions.generator(self.seed, name)
                return corruptions.cut(waveform, samples, rng=rng)

            about = {
                "kind": "duration",
                "duration_s": duration_s,
                "corpus": self.corpus.name,
                "of_utterances": len(good),
            }
            own = [good[i] for i in rows], [names[i] for i in rows]
            levels.append(_Level(f"{duration_s:g} s", about, *own, change))
        return self._evaluate(levels)

    def over_noise(self, snrs_db=SNRS_DB, *, noises=None, noisy="both"):
        """Errors of clean utterances and of the same in noise.

        Args:
            snrs_db: Signal-to-noise ratios, in dB. Defaults to 20, 10, 5 and 0; clean
                is always evaluated too.
            noises: File or folder of recordings of noise, of which every utterance gets
                a random part, repeated if it is short. Defaults to pink noise.
            noisy: `"both"` sides of a trial, or `"test"`, the second side only.

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
        recordings, noise_name = None, PINK
        if noises is not None:
            recordings = corruptions.read_noises(noises, self.sample_rate)
            noise_name = f"{len(recordings)} recordings of {Path(noises).name}"
        good, names = self._find_readable()
        levels = []
        for snr_db in (None, *snrs_db):

            def change(waveform, name, snr_db=snr_db):
                if snr_db is None:
                    return waveform
                noise = corruptions.sample_noise(
                    len(waveform),
                    recordings,
                    corruptions.generator(self.seed, name),
                    self.sample_rate,
                )
                return corruptions.mix(waveform, noise, snr_db=snr_db)

            about = {
                "kind": "noise",
                "snr_db": snr_db,
                "corpus": self.corpus.name,
                "noise": noise_name,
                "noisy": NOISY[noisy],
                "of_utterances": len(good),
            }
            condition = "clean" if snr_db is None else f"{snr_db:g} dB"
            levels.append(_Level(condition, about, good, names, change))
        return self._evaluate(levels, first_enrols=noisy == "test")

    def _find_readable(self):
        """Utterances that can be read, and their names."""
        good, _ = readable.find_readable(self.corpus, sample_rate=self.sample_rate)
        return good, readable.utterance_names(self.corpus, good)

    def _evaluate(self, levels, *, first_enrols=False):
        """Rows of levels; with `first_enrols` the first embeds every enrolment side."""
        total = sum(len(level.names) for level in levels if not level.reason)
        if not total:
            raise ValueError(
                f"{self.corpus.name!r} can not be evaluated: {levels[0].reason}"
            )
        first, rows = {}, []
        with ProgressBar(
            levels[0].about["kind"],
            total * len(self.extractors),
            unit=" utterances",
            enabled=self.shown,
        ) as bar:
            for level, name in itertools.product(levels, self.extractors):
                about = level.about | {
                    "extractor": name,
                    "name": f"{self.corpus.name}: {name}, {level.condition}",
                    "protocol": verification.PROTOCOLS[self.protocol],
                    "num_utterances": len(level.names),
                }
                if reason := level.reason:
                    missing = {"eer": None, "eer_interval": None, "reason": reason}
                    rows.append(about | missing)
                    continue
                test = np.asarray(self.extractors[name](self._waveforms(level, bar)))
                enrol = first.setdefault(name, test) if first_enrols else test
                rows.append(self._report(level, enrol, test) | about)
        return rows

    def _waveforms(self, level, bar):
        """The changed waveforms of a level, read one by one."""
        for utterance, name in zip(level.utterances, level.names, strict=True):
            yield level.change(utterance.read(sample_rate=self.sample_rate), name)
            bar.update()

    def _report(self, level, enrol, test):
        """Errors of embeddings of both sides, `[utterances, dim]` each."""
        speakers = [u.speaker for u in level.utterances]
        trials = all_pairs(speakers, segments=level.names, seed=self.seed)
        return verification.report(
            trials,
            scoring.rowwise_cosines(enrol, test, trials.enrol, trials.test),
            protocol=self.protocol,
            resamples=self.resamples,
            seed=self.seed,
        )


def table(rows):
    """Rows of `Robustness` as text, one line each; those without an EER say why."""
    measured = [row for row in rows if row["eer"] is not None]
    missing = [row for row in rows if row["eer"] is None]
    lines = [f"{row['name']}: not measured, {row['reason']}" for row in missing]
    return "\n".join([verification.table(measured), *lines])
