"""Readings: clean utterances, and when in them there is speech.

A frame is speech if it is at most 38 dB below the loud ones and 6 dB above the
silence of its reader; where that silence is not much lower than speech, all frames at
most 24 dB below the loud ones are. Pauses shorter than 50 ms, within a word, are speech
too: as much as a detector that looks 50 ms ahead can know. Longer ones are bridged by
the rule that makes segments (`voiceemb.vad.segmentation`).
"""

from dataclasses import dataclass

import numpy as np

from voiceemb.vad.base import HOP, energies_db

SPAN_DB = 38.0  # from the loud frames of a voice to what is still speech
ABOVE_DB = 6.0  # over the silence of the recording
LEAST_SPAN_DB = 24.0  # with less between them, speech and silence can not be told apart
BRIDGED = 5  # frames; a shorter pause is part of the speech around it
LEAST_FRAMES = 20  # of an utterance


@dataclass(frozen=True, eq=False)
class Reading:
    """One clean utterance and where in it there is speech.

    Args:
        waveform: Float32 `[frames * HOP]`.
        active: Bool `[frames]`.
    """

    waveform: np.ndarray
    active: np.ndarray


def speech_frames(energy_db, silence_db=None):
    """Which frames of a clean recording are speech.

    Args:
        energy_db: Level of each frame, `[frames]`.
        silence_db: Level of the recording without speech. Defaults to the lowest mean
            of eight frames.

    Returns:
        Bool `[frames]`, or `None` if speech and silence can not be told apart.
    """
    loud = np.percentile(energy_db, 95)
    silence_db = quietest(energy_db) if silence_db is None else silence_db
    if loud - silence_db < LEAST_SPAN_DB:
        return None
    least = min(max(loud - SPAN_DB, silence_db + ABOVE_DB), loud - LEAST_SPAN_DB)
    return bridged(energy_db > least)


def quietest(energy_db):
    """The lowest mean of eight frames."""
    return np.convolve(energy_db, np.full(8, 1 / 8), "valid").min()


def bridged(active, pause=BRIDGED):
    """Frames of speech, with pauses of fewer frames than `pause` filled.

    Args:
        active: Bool `[frames]`.
        pause: Number of frames.
    """
    active = active.copy()
    (places,) = np.nonzero(active)
    for before, after in zip(places[:-1], places[1:], strict=True):
        if after - before <= pause:
            active[before:after] = True
    return active


def read(corpus):
    """The utterances of a corpus whose speech can be told from their silence.

    Args:
        corpus: A `timbre.corpora.corpus.Corpus` of clean speech.

    Returns:
        List of `Reading`.

    Raises:
        ValueError: If there is none.
    """
    found = []
    for group in corpus.by_speaker().values():
        sounds = [u.read() for u in group]
        sounds = [x[: len(x) // HOP * HOP] for x in sounds]
        sounds = [x for x in sounds if len(x) >= LEAST_FRAMES * HOP]
        levels = [energies_db(x) for x in sounds]
        silence = min(map(quietest, levels), default=None)
        for sound, level in zip(sounds, levels, strict=True):
            active = speech_frames(level, silence)
            if active is not None:
                found.append(Reading(sound, active))
    if not found:
        raise ValueError(
            "Readings are clean recordings, in which speech stands at least "
            f"{LEAST_SPAN_DB:.0f} dB above silence. Received: none of "
            f"{len(corpus)} in {corpus.name!r}"
        )
    return found
