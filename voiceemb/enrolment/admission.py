"""Admission: which recordings of a person are enrolled, and why the others are not.

A recording is enrolled if its quality suffices (`voiceemb.enrolment.quality`), and if
it sounds like the person's other recordings and not like another enrolled person.
"""

import dataclasses
import datetime

import numpy as np

from timbre.corpora.embeddings import EmbeddingSet
from voiceemb.enrolment import identification, quality
from voiceemb.enrolment.identification import Gallery
from voiceemb.inference import unit

UNKNOWN_PRIOR = 0.95  # that a new name is a new voice
SAME_COSINE = 1 - 1e-6  # from which two samples are the same recording


@dataclasses.dataclass(frozen=True)
class Sample:
    """The decision on one recording.

    Args:
        source: Path or name of the recording.
        quality: A `voiceemb.enrolment.quality.Quality`.
        score: Cosine with the mean of the person's other samples; None without any.
        probability: That those are the same voice; None without a calibration too.
        reasons: Reasons against it, in plain words.
        enrolled: Whether it is enrolled.
        duplicate: Whether it is enrolled already, and so never once more.
    """

    source: str
    quality: quality.Quality
    score: float | None
    probability: float | None
    reasons: tuple[str, ...]
    enrolled: bool
    duplicate: bool = False


@dataclasses.dataclass(frozen=True)
class Report:
    """The result of an enrolment.

    Args:
        name: Of the person.
        enrolled: Whether any recording was enrolled.
        speech_s: Seconds of speech in the person's samples, with those that would
            have been enrolled if none was.
        samples: A `Sample` for each recording.
        reasons: Reasons against all of them together.
        forced: Whether any was enrolled against a reason.
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


def admit(
    name, recordings, embeddings, people, *, calibration, thresholds, force=False
):
    """Decide which recordings of a person are enrolled.

    Args:
        name: Of the person.
        recordings: `(source, Quality)` of each recording.
        embeddings: Unit vectors, `[recordings, dim]`; zero where a recording was too
            short for any, which is never enrolled.
        people: Name to the `EmbeddingSet` of everybody enrolled, with the label
            `speech_s`.
        calibration: A `timbre.metrics.calibration.Calibration` of cosines with the
            mean of samples, or None: then only ranks can be reasons.
        thresholds: A `voiceemb.enrolment.quality.QualityThresholds`.
        force: Enrol against all reasons but that a recording is a duplicate. Defaults
            to `False`.

    Returns:
        A `Report`.
    """
    own = people.get(name)
    enrolled = embeddings[:0] if own is None else own.embeddings
    others = {n: s.embeddings for n, s in people.items() if n != name}
    gallery = Gallery(others) if others else None
    rows = range(len(recordings))
    duplicates = [_duplicate_reasons(row, embeddings, enrolled) for row in rows]
    good = [not (duplicates[row] or recordings[row][1].reasons) for row in rows]
    samples = []
    for row, (source, found) in enumerate(recordings):
        embedding, reasons = embeddings[row], duplicates[row] + found.reasons
        score, probability = None, None
        if embedding.any():
            rest = [r for r in rows if good[r] and r != row]
            own_samples = np.concatenate([enrolled, embeddings[rest]])
            score, probability = _score_own(embedding, own_samples, calibration)
            reasons += _voice_reasons(probability)
            impostor = _find_impostor(embedding, score, gallery, calibration)
            if impostor is not None:
                reasons += (f"sounds like {impostor!r}, who is enrolled",)
        duplicate = bool(duplicates[row])
        admitted = not duplicate and bool(embedding.any()) and (force or not reasons)
        samples.append(
            Sample(source, found, score, probability, reasons, admitted, duplicate)
        )
    speech_s = 0.0 if own is None else sum(map(float, own.labels["speech_s"]))
    speech_s += sum(sample.quality.speech_s for sample in samples if sample.enrolled)
    reasons = ()
    if any(sample.enrolled for sample in samples):
        reasons = quality.duration_reasons(speech_s, thresholds.min_speech_s)
    if reasons and not force:
        samples = [dataclasses.replace(sample, enrolled=False) for sample in samples]
    admitted = [sample for sample in samples if sample.enrolled]
    forced = any(sample.reasons or reasons for sample in admitted)
    return Report(name, bool(admitted), speech_s, tuple(samples), reasons, forced)


def _duplicate_reasons(row, embeddings, enrolled):
    """The reason against a recording that is enrolled already or given twice."""
    if (enrolled @ embeddings[row] > SAME_COSINE).any():
        return ("this recording is enrolled already",)
    if (embeddings[:row] @ embeddings[row] > SAME_COSINE).any():
        return ("this recording is given twice",)
    return ()


def _score_own(embedding, own_samples, calibration):
    """Cosine with the mean of the person's other samples, and its probability."""
    if not len(own_samples):
        return None, None
    score = float(Gallery({"": own_samples}).scores(embedding)[0])
    if calibration is None:
        return score, None
    return score, float(calibration.probability(score))


def _voice_reasons(probability):
    """The reason against a recording that is unlike the person's other ones."""
    if probability is None or probability >= 0.5:
        return ()
    return (
        "sounds like somebody else: the probability that it is the voice of the "
        f"other recordings is {100 * probability:.0f} %",
    )


def _find_impostor(embedding, score, gallery, calibration):
    """The name of somebody in the gallery of others whose voice it is, or None.

    Without samples of its own (`score` is None), whoever `identify` names; else whoever
    scores higher than those and is likely by the calibration, if any.
    """
    if gallery is None or (score is None and calibration is None):
        return None
    scores = gallery.scores(embedding)
    if score is None:
        return identification.identify(
            gallery.names, scores, calibration=calibration, unknown_prior=UNKNOWN_PRIOR
        ).name
    best = int(np.argmax(scores))
    unlikely = calibration is not None and calibration.probability(scores[best]) < 0.5
    return None if scores[best] <= score or unlikely else gallery.names[best]


def admitted_samples(report, embeddings, about) -> EmbeddingSet:
    """The enrolled samples of a `Report` as an embedding set.

    Args:
        report, embeddings: Of all recordings; embeddings are `[recordings, dim]`.
        about: Dict of what made the embeddings.
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
