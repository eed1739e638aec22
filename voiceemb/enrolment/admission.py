"""Admission: which recordings are kept of a person, and why the others are not.

A recording is kept if it is good enough (`voiceemb.enrolment.quality`), sounds like the
person's other ones, and not like somebody else who is enrolled.
"""

import dataclasses
import datetime

import numpy as np

from timbre.corpora.embeddings import EmbeddingSet
from voiceemb.encoder import unit
from voiceemb.enrolment import identification, quality
from voiceemb.enrolment.identification import Gallery

NEW = 0.95  # of new names, how many are new voices
TWICE = 1 - 1e-6  # cosine from which two samples are one recording


@dataclasses.dataclass(frozen=True)
class Sample:
    """One recording on its way in.

    Args:
        source: What it is called.
        quality: A `voiceemb.enrolment.quality.Quality`.
        score: Cosine with the mean of the person's other samples; None if there are
            none.
        probability: That those are the same voice; None without a calibration too.
        reasons: What speaks against it, in plain words.
        enrolled: Whether it is kept.
        double: Whether it is there already, and so never kept.
    """

    source: str
    quality: quality.Quality
    score: float | None
    probability: float | None
    reasons: tuple[str, ...]
    enrolled: bool
    double: bool = False


@dataclasses.dataclass(frozen=True)
class Report:
    """What came of an enrolment.

    Args:
        name: Of the person.
        enrolled: Whether anything was.
        speech_s: Seconds of speech in the person's samples, with those that would
            have been kept if nothing was.
        samples: A `Sample` for each recording.
        reasons: What speaks against all of them together.
        forced: Whether anything was enrolled against a reason.
    """

    name: str
    enrolled: bool
    speech_s: float
    samples: tuple[Sample, ...]
    reasons: tuple[str, ...]
    forced: bool

    def __str__(self):
        num = sum(sample.enrolled for sample in self.samples)
        lines = [
            f"{self.name}: {num} of {len(self.samples)} recordings enrolled, "
            f"{self.speech_s:.1f} s of speech{', forced' if self.forced else ''}"
        ]
        lines += [f"  {reason}" for reason in self.reasons]
        for sample in self.samples:
            lines += [f"  {sample.source}: {reason}" for reason in sample.reasons]
        return "\n".join(lines)


def admit(name, heard, embeddings, people, *, calibration, rule, force=False):
    """Decides which recordings of a person are kept.

    Args:
        name: Of the person.
        heard: `(source, Quality)` of each recording.
        embeddings: Unit vectors, `[recordings, dim]`; zero where there was too little
            sound for any, which is never kept.
        people: Name to the `EmbeddingSet` of everybody enrolled, with the label
            `speech_s`.
        calibration: A `timbre.metrics.calibration.Calibration` of cosines with the mean
            of
            samples, or None: then only ranks can speak against a recording.
        rule: A `voiceemb.enrolment.quality.Rule`.
        force: Keep recordings against all reasons but that they are there already.
            Defaults to `False`.

    Returns:
        A `Report`.
    """
    own = people.get(name)
    before = embeddings[:0] if own is None else own.embeddings
    others = {n: s.embeddings for n, s in people.items() if n != name}
    doubles = [_double(row, embeddings, before) for row in range(len(heard))]
    fit = [
        not (twice or f.reasons) for twice, (_, f) in zip(doubles, heard, strict=True)
    ]
    samples = []
    for row, (source, found) in enumerate(heard):
        voice, double = embeddings[row], doubles[row]
        peers = np.array(fit, bool) & (np.arange(len(heard)) != row)
        rest = np.concatenate([before, embeddings[peers]])
        against, score, chance = (), None, None
        if voice.any():
            against, score, chance = _compare(voice, rest, others, calibration)
        reasons = double + found.reasons + against
        good = not double and bool(voice.any()) and (force or not reasons)
        one = Sample(source, found, score, chance, reasons, good, bool(double))
        samples.append(one)
    seconds = 0.0 if own is None else sum(map(float, own.labels["speech_s"]))
    seconds += sum(sample.quality.speech_s for sample in samples if sample.enrolled)
    some = any(sample.enrolled for sample in samples)
    reasons = quality.lacking(seconds, rule.least_speech_s) if some else ()
    if reasons and not force:
        samples = [dataclasses.replace(sample, enrolled=False) for sample in samples]
    enrolled = any(sample.enrolled for sample in samples)
    against = any(sample.enrolled and sample.reasons for sample in samples)
    forced = enrolled and bool(against or reasons)
    return Report(name, enrolled, seconds, tuple(samples), reasons, forced)


def _double(row, embeddings, before):
    """The reason that a recording is there already, if it is."""
    if (before @ embeddings[row] > TWICE).any():
        return ("this recording is enrolled already",)
    if (embeddings[:row] @ embeddings[row] > TWICE).any():
        return ("this recording is given twice",)
    return ()


def _compare(voice, rest, others, calibration):
    """What other voices say against one: reasons, score and probability of its own."""
    score = chance = None
    if len(rest):
        score = float(Gallery({"": rest}).scores(voice)[0])
    if score is not None and calibration is not None:
        chance = float(calibration.probability(score))
    reasons = ()
    if chance is not None and chance < 0.5:
        reasons += (
            "sounds like somebody else: the probability that it is the voice of the "
            f"other recordings is {100 * chance:.0f} %",
        )
    rival = _rival(voice, score, others, calibration)
    if rival is not None:
        reasons += (f"sounds like {rival!r}, who is enrolled",)
    return reasons, score, chance


def _rival(voice, score, others, calibration):
    """The name of somebody enrolled whose voice it is rather than its own, or None."""
    if not others or (score is None and calibration is None):
        return None
    gallery = Gallery(others)
    scores = gallery.scores(voice)
    if score is None:
        options = {"calibration": calibration, "stranger": NEW}
        return identification.identify(gallery.names, scores, **options).name
    best = int(np.argmax(scores))
    if scores[best] <= score:
        return None
    if calibration is not None and calibration.probability(scores[best]) < 0.5:
        return None
    return gallery.names[best]


def kept(report, embeddings, about) -> EmbeddingSet:
    """The samples that a report says are enrolled, with what is known of them.

    Args:
        report: A `Report`.
        embeddings: Of all its recordings, `[recordings, dim]`.
        about: What made them.
    """
    rows = [row for row, sample in enumerate(report.samples) if sample.enrolled]
    samples = [report.samples[row] for row in rows]
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    ratios = [sample.quality.snr_db for sample in samples]
    labels = {
        "speech_s": [f"{sample.quality.speech_s:.2f}" for sample in samples],
        "clipped": [f"{sample.quality.clipped:.4f}" for sample in samples],
        "snr_db": ["" if ratio is None else f"{ratio:.1f}" for ratio in ratios],
        "date": [now] * len(rows),
        "forced": ["; ".join(sample.reasons + report.reasons) for sample in samples],
    }
    return EmbeddingSet(
        unit(embeddings[rows]).astype(np.float32),
        np.full(len(rows), report.name),
        np.array([sample.source for sample in samples], str),
        about,
        {name: np.array(column, str) for name, column in labels.items()},
    )
