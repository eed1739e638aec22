"""Training mixtures of voice activity detection, and those that select weights."""

import dataclasses
import hashlib

import numpy as np

from timbre.corpora import splits
from timbre.corpora.gather import gather_config
from voiceemb.vad import labels
from voiceemb.vad.simulation import MixtureSimulator

BATCH = 32  # mixtures simulated at a time for validation
FACTS = "speakers.json"  # who is in which split, and the digests of the rows
VALIDATION_SEED = 1 << 30  # added to the seed: held-out noises are other ones


@dataclasses.dataclass(frozen=True)
class VadData:
    """Mixtures to train on, and fixed ones of held-out speakers.

    Args:
        train: A `voiceemb.vad.simulation.MixtureSimulator`.
        waveforms: Of validation, float32 `[mixtures, samples]`.
        active: Which of their frames are speech, 0 or 1, `[mixtures, frames]`.
        facts: Speakers, sizes and digests, for `Run.lock_data`.
    """

    train: MixtureSimulator
    waveforms: np.ndarray
    active: np.ndarray
    facts: dict


def prepare(config):
    """Open and split a corpus of clean speech and simulate mixtures of it.

    At most a fifth of the speakers are held out.

    Args:
        config: A `voiceemb.vad.config.VadConfig`.

    Returns:
        `VadData`.
    """
    corpus = splits.without(gather_config(config), config.exclude_speakers)
    count = min(config.validation_speakers, max(len(corpus.speakers) // 5, 1))
    seed, mixtures = config.seed, config.mixtures
    train, held_out = splits.split_by_speaker(corpus, counts=[None, count], seed=seed)
    simulator = MixtureSimulator(labels.label_corpus(train), mixtures, seed=seed)
    fewer = dataclasses.replace(mixtures, noises=max(mixtures.noises // 5, 1))
    validation = MixtureSimulator(
        labels.label_corpus(held_out), fewer, seed=seed + VALIDATION_SEED
    )
    count = config.validation_mixtures
    batches = validation.batches(batch=min(BATCH, count), ahead=0)(0)
    pairs = list(batches.take(-(-count // BATCH)))
    parts = {"train": train, "validation": held_out}
    facts = {
        "corpus": corpus.name,
        "speakers": {name: list(part.speakers) for name, part in parts.items()},
        "utterances": {name: len(part) for name, part in parts.items()},
        "sha256": {
            **{name: part.digest() for name, part in parts.items()},
            "sounds": _digest(simulator.utterances),
        },
    }
    return VadData(
        train=simulator,
        waveforms=np.concatenate([waveforms for waveforms, _ in pairs])[:count],
        active=np.concatenate([active for _, active in pairs])[:count],
        facts=facts,
    )


def _digest(utterances):
    """SHA-256 of the training data: sounds and their labels."""
    sha = hashlib.sha256()
    for utterance in utterances:
        sha.update(np.ascontiguousarray(utterance.waveform))
        sha.update(np.packbits(utterance.active))
    return sha.hexdigest()
