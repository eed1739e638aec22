"""Frame-level speech labels (VAD labels) for clean utterances, by energy thresholds.

A frame is speech if it is at most 38 dB below the utterance's peak level (95th
percentile) and at least 6 dB above the speaker's noise floor; where the two are close,
all frames at most 24 dB below the peak are. Pauses shorter than 50 ms, within a word,
are speech too: as much as a detector with a look-ahead of 50 ms can know.
"""

from dataclasses import dataclass

import numpy as np

from voiceemb.vad.base import HOP, energies_db

SPAN_DB = 38.0  # from the peak level of a voice down to the weakest speech
ABOVE_DB = 6.0  # from the noise floor up to the weakest speech
MIN_SPAN_DB = 24.0  # with less between peak and floor, utterances are not labelled
MIN_PAUSE = 5  # frames; shorter pauses are part of the speech around them
MIN_FRAMES = 20  # of an utterance


@dataclass(frozen=True, eq=False)
class LabelledUtterance:
    """A clean utterance, float32 `[frames * HOP]`, and its labels, bool `[frames]`."""

    waveform: np.ndarray
    active: np.ndarray


def speech_frames(energy_db, floor_db=None):
    """Which frames of a clean recording are speech, bool `[frames]`, or None.

    It is None if speech and silence can not be told apart.

    Args:
        energy_db: Level of each frame, `[frames]`.
        floor_db: Noise floor. Defaults to that of the recording, see `noise_floor_db`.
    """
    loud = np.percentile(energy_db, 95)
    floor_db = noise_floor_db(energy_db) if floor_db is None else floor_db
    if loud - floor_db < MIN_SPAN_DB:
        return None
    threshold = min(max(loud - SPAN_DB, floor_db + ABOVE_DB), loud - MIN_SPAN_DB)
    return fill_pauses(energy_db > threshold)


def noise_floor_db(energy_db):
    """Noise floor of a recording: the lowest mean level of eight frames in a row."""
    return np.convolve(energy_db, np.full(8, 1 / 8), "valid").min()


def fill_pauses(active, min_pause=MIN_PAUSE):
    """Label pauses of fewer than `min_pause` frames as speech, bool `[frames]`."""
    active = active.copy()
    (places,) = np.nonzero(active)
    for before, after in zip(places[:-1], places[1:], strict=True):
        if after - before <= min_pause:
            active[before:after] = True
    return active


def label_corpus(corpus):
    """The `LabelledUtterance`s of a corpus whose speech stands out from their silence.

    Args:
        corpus: A `timbre.corpora.corpus.Corpus` of clean speech; if no utterance of it
            can be labelled, that is a `ValueError`.
    """
    found = []
    for group in corpus.by_speaker().values():
        sounds = [u.read() for u in group]
        sounds = [x[: len(x) // HOP * HOP] for x in sounds]
        sounds = [x for x in sounds if len(x) >= MIN_FRAMES * HOP]
        levels = [energies_db(x) for x in sounds]
        floor_db = min(map(noise_floor_db, levels), default=None)
        for sound, level in zip(sounds, levels, strict=True):
            active = speech_frames(level, floor_db)
            if active is not None:
                found.append(LabelledUtterance(sound, active))
    if not found:
        raise ValueError(
            "VAD labels need clean recordings, in which speech stands at least "
            f"{MIN_SPAN_DB:.0f} dB above silence. Received: none of "
            f"{len(corpus)} in {corpus.name!r}"
        )
    return found
