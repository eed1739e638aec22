"""Quality: is a recording good enough to know somebody by it?

Enough speech, not clipped, well above the noise. Whoever speaks too little or into a
bad microphone is enrolled as somebody they are not, and every answer after that is
wrong; so it is said before, in words that tell what to do better.
"""

from dataclasses import dataclass

import numpy as np

from voiceemb.vad.base import SAMPLE_RATE

FULL_SCALE = 0.999  # of the largest level a file can hold; louder was cut
FLAT = 0.99  # of the peak: equal samples in a row up there are a top cut off
AUDIBLE = 0.05  # peak from which flat tops are looked for; fainter ones are rounding
FEWEST = 20  # frames of noise, and of speech, from which their ratio is known


@dataclass(frozen=True)
class Rule:
    """What a recording must have.

    Args:
        least_speech_s: Seconds of speech, of one person in all recordings together.
            Defaults to `3`.
        least_sample_s: Seconds of speech in each recording. Defaults to `1`.
        most_clipped: Share of clipped samples in speech. Defaults to `0.01`.
        least_snr_db: Level of speech above noise. Defaults to `10`.
    """

    least_speech_s: float = 3.0
    least_sample_s: float = 1.0
    most_clipped: float = 0.01
    least_snr_db: float = 10.0


@dataclass(frozen=True)
class Quality:
    """What was found in a recording.

    Args:
        speech_s: Seconds of speech.
        clipped: Share of the samples in speech that are clipped.
        snr_db: Level of speech above that of the noise in between, in dB; None where
            there is too little of either to tell.
        reasons: Why it is not good enough, in plain words; empty if it is.
    """

    speech_s: float
    clipped: float
    snr_db: float | None
    reasons: tuple[str, ...] = ()


def inspect(waveform, activity, *, rule=None, least_s=None) -> Quality:
    """Judges a recording by itself.

    Args:
        waveform: float32 `[samples]`, 16 kHz.
        activity: Its `voiceemb.vad.Activity`.
        rule: A `Rule`. Defaults to `Rule()`.
        least_s: Seconds of speech it must have. Defaults to the `least_speech_s` of
            the rule, as if there were no other recording.
    """
    rule = rule or Rule()
    least_s = rule.least_speech_s if least_s is None else least_s
    speech_s = float(sum(end - start for start, end in activity.segments))
    clipped = clipping(spoken(waveform, activity))
    snr_db = signal_to_noise(activity)
    reasons = lacking(speech_s, least_s)
    if clipped >= rule.most_clipped:
        reasons += (
            f"{100 * clipped:.1f} % of it is clipped, less than "
            f"{100 * rule.most_clipped:g} % may be: record with less gain",
        )
    if snr_db is not None and snr_db < rule.least_snr_db:
        reasons += (
            f"speech is only {snr_db:.0f} dB above the noise, {rule.least_snr_db:g} dB "
            "are needed: go nearer, or where it is quieter",
        )
    return Quality(speech_s, clipped, snr_db, reasons)


def lacking(speech_s, least_s) -> tuple[str, ...]:
    """The reason that there is too little speech, if there is."""
    if speech_s == 0:
        return ("no speech was found",)
    if speech_s < least_s:
        return (f"only {speech_s:.1f} s of speech, {least_s:g} s are needed",)
    return ()


def spoken(waveform, activity) -> np.ndarray:
    """The samples in which somebody speaks, float32 `[samples]`.

    Args:
        waveform: float32 `[samples]`, 16 kHz.
        activity: Its `voiceemb.vad.Activity`.
    """
    edges = [
        (round(s * SAMPLE_RATE), round(e * SAMPLE_RATE)) for s, e in activity.segments
    ]
    parts = [waveform[start:end] for start, end in edges]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def clipping(waveform) -> float:
    """Share of samples that were cut off, at full scale or at a flat top below it."""
    level = np.abs(waveform)
    peak = level.max(initial=0)
    cut = level >= FULL_SCALE * max(1.0, peak)
    if peak >= AUDIBLE:
        flat = (np.diff(waveform) == 0) & (level[1:] >= FLAT * peak)
        cut[1:] |= flat
        cut[:-1] |= flat
    return float(cut.mean()) if len(cut) else 0.0


def signal_to_noise(activity) -> float | None:
    """Power of speech over that of the noise around it, in dB.

    `10 log10((mean active power - noise) / noise)`, where `noise` is the lower quartile
    of the power of frames without speech: words that were missed are no noise.

    Args:
        activity: A `voiceemb.vad.Activity`.

    Returns:
        The ratio, at least -20 and at most 100; None with less than 0.2 s of either.
    """
    power = 10.0 ** (np.asarray(activity.energy_db, np.float64) / 10)
    speech, rest = power[activity.active], power[~activity.active]
    if min(len(speech), len(rest)) < FEWEST:
        return None
    noise = max(np.quantile(rest, 0.25), 1e-12)
    ratio = max((speech.mean() - noise) / noise, 1e-12)
    return float(np.clip(10 * np.log10(ratio), -20, 100))
