"""Utterances of a corpus that can be read and embedded, and their names."""

import sys

from timbre.audio import wave
from voiceemb.inference import MIN_S


def split_readable(corpus, *, sample_rate=16000):
    """Utterances that can be embedded, and a dict of path to reason for the others."""
    usable, skipped = [], {}
    for utterance in corpus:
        try:
            waveform = utterance.read(sample_rate=sample_rate)
            if len(waveform) < MIN_S * sample_rate:
                raise wave.AudioError(utterance.path, f"shorter than {MIN_S} s")
            usable.append(utterance)
        except (wave.AudioError, OSError) as error:
            skipped[str(utterance.path)] = str(error)
    return usable, skipped


def find_readable(corpus, *, sample_rate=16000):
    """What `split_readable` returns, after a note on stderr about skipped ones."""
    usable, skipped = split_readable(corpus, sample_rate=sample_rate)
    if skipped:
        share = f"{len(skipped)} of {len(corpus)} utterances can not be used"
        reason = f"for instance {next(iter(skipped.values()))}"
        print(f"{corpus.name}: {share}, {reason}", file=sys.stderr)
    return usable, skipped


def utterance_names(corpus, utterances):
    """Names of some utterances of a corpus, the same wherever the corpus lies."""
    keys = dict(zip(corpus.utterances, corpus.keys(), strict=True))
    return [keys[utterance] for utterance in utterances]
