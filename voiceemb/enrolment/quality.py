"""Recording quality for enrolment: duration of speech, clipping, signal-to-noise ratio.

An embedding of too little speech or of a bad recording is not the speaker's. So
recordings are checked before they are enrolled; each reason says what to do better.
"""

from dataclasses import dataclass

import numpy as np

from voiceemb.vad.base import SAMPLE_RATE

FULL_SCALE = 0.999  # of the largest level a file can hold; louder samples are clipped
FLAT = 0.99  # of the peak: equal samples in a row above it are a clipped top
MIN_PEAK = 0.05  # from which flat tops count; fainter ones are rounding
MIN_FRAMES = 20  # of noise, and of speech, for an estimate of their ratio


@dataclass(frozen=True)
class QualityThresholds:
    """What a recording must have to be enrolled.

    Args:
        min_speech_s: Seconds of speech, of one person in all recordings together.
            Defaults to `3`.
        min_sample_s: Seconds of speech in each recording. Defaults to `1`.
        max_clipped: Share of clipped samples in speech. Defaults to `0.01`.
        min_snr_db: Level of speech above noise. Defaults to `10`.
    """

    min_speech_s: float = 3.0
    min_sample_s: float = 1.0
    max_clipped: float = 0.01
    min_snr_db: float = 10.0


@dataclass(frozen=True)
class Quality:
    """Quality of a recording.

    Args:
        speech_s: Seconds of speech.
        clipped: Share of the samples in speech that are clipped.
        snr_db: Level of speech above that of the noise in between; None where there is
            too little of either to tell.
        reasons: Reasons against it, in plain words; empty if it is good enough.
    """

    speech_s: float
    clipped: float
    snr_db: float | None
    reasons: tuple[str, ...] = ()


def inspect(waveform, activity, thresholds) -> Quality:
    """Measure the quality of one recording.

    Args:
        waveform: float32 `[samples]`, 16 kHz.
        activity: Its `voiceemb.vad.Activity`.
        thresholds: A `QualityThresholds`.
    """
    clipped = clipping(extract_speech(waveform, activity))
    snr_db = signal_to_noise(activity)
    reasons = duration_reasons(activity.speech_s, thresholds.min_sample_s)
    if clipped >= thresholds.max_clipped:
        reasons += (
            f"{100 * clipped:.1f} % of it is clipped, less than "
            f"{100 * thresholds.max_clipped:g} % may be: record with less gain",
        )
    if snr_db is not None and snr_db < thresholds.min_snr_db:
        reasons += (
            f"speech is only {snr_db:.0f} dB above the noise, "
            f"{thresholds.min_snr_db:g} dB are needed: go nearer, or where it is "
            "quieter",
        )
    return Quality(activity.speech_s, clipped, snr_db, reasons)


def duration_reasons(speech_s, min_speech_s) -> tuple[str, ...]:
    """The reason against too little speech, if there is too little."""
    if speech_s == 0:
        return ("no speech was found",)
    if speech_s < min_speech_s:
        return (f"only {speech_s:.1f} s of speech, {min_speech_s:g} s are needed",)
    return ()


def extract_speech(waveform, activity) -> np.ndarray:
    """Concatenate the speech segments of a waveform, float32 `[samples]` as it is."""
    parts = [np.zeros(0, np.float32)]
    for start, end in activity.segments:
        parts.append(waveform[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)])
    return np.concatenate(parts)


def clipping(waveform) -> float:
    """Share of samples that are clipped, at full scale or at a flat top below it."""
    level = np.abs(waveform)
    peak = level.max(initial=0)
    clipped = level >= FULL_SCALE * max(1.0, peak)
    if peak >= MIN_PEAK:
        flat = (np.diff(waveform) == 0) & (level[1:] >= FLAT * peak)
        clipped[1:] |= flat
        clipped[:-1] |= flat
    return float(clipped.mean()) if len(clipped) else 0.0


def signal_to_noise(activity) -> float | None:
    """Signal-to-noise ratio of a recording, in dB.

    `10 log10((mean active power - noise) / noise)`, at least -20 and at most 100, where
    `noise` is the lower quartile of the power of frames without speech, so that missed
    words do not count as noise. None with less than 0.2 s of either.
    """
    power = 10.0 ** (np.asarray(activity.energy_db, np.float64) / 10)
    speech, rest = power[activity.active], power[~activity.active]
    if min(len(speech), len(rest)) < MIN_FRAMES:
        return None
    noise = max(np.quantile(rest, 0.25), 1e-12)
    ratio = max((speech.mean() - noise) / noise, 1e-12)
    return float(np.clip(10 * np.log10(ratio), -20, 100))
