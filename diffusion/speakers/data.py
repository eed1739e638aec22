"""Speaker embeddings to train on and to evaluate by, split by speaker."""

import dataclasses
import functools
import hashlib

import numpy as np

from diffusion.speakers import preprocessing
from diffusion.speakers.scaling import has_unit_norm
from timbre.corpora.embeddings import EmbeddingSet
from timbre.corpora.synthetic import embeddings as synthetic

FACTS = "voices.json"  # what the set decided: dimensions, labels, who is in which split


@dataclasses.dataclass(frozen=True)
class EmbeddingSplits:
    """An embedding set, split by speaker."""

    train: EmbeddingSet
    held_out: EmbeddingSet
    unit: bool  # whether voices have length 1
    vocabulary: dict  # each label's name to its values

    def rows(self):
        """Training and held-out rows, as `train.fit` takes them."""
        return tuple(
            {
                "x_0": np.asarray(part.embeddings, np.float32),
                "labels": preprocessing.class_indices(part, self.vocabulary),
            }
            for part in (self.train, self.held_out)
        )

    @functools.cached_property
    def facts(self):
        """All that the set decided, ready for JSON."""
        return {
            "dim": self.train.embeddings.shape[1],
            "unit": self.unit,
            "vocabulary": {name: list(v) for name, v in self.vocabulary.items()},
            "speakers": {
                "train": sorted({str(name) for name in self.train.speaker}),
                "held": sorted({str(name) for name in self.held_out.speaker}),
            },
            "sha256": {"train": _digest(self.train), "held": _digest(self.held_out)},
            "about": self.train.about,
        }


def prepare(config):
    """Read an embedding set, or synthesise one: the `EmbeddingSplits` of a config."""
    given = config.synthetic
    if config.set:
        voices = EmbeddingSet.load(config.set)
    elif given.utterances == 1:
        voices = synthetic.sample_speakers(given.speakers, given.seed)
    else:
        voices = synthetic.sample_utterances(
            given.speakers, given.utterances, given.seed
        )
    train, held_out = preprocessing.split_by_speaker(
        voices, config.held_out, config.seed, level=config.level, blocks=config.blocks
    )
    unit = config.sphere == "yes"
    if config.sphere == "auto":
        unit = has_unit_norm(voices.embeddings, config.blocks)
    vocabulary = preprocessing.build_vocabularies(train, config.labels)
    return EmbeddingSplits(train, held_out, unit, vocabulary)


def _digest(part):
    """SHA-256 of who is in a part and of every number."""
    sha = hashlib.sha256("\n".join(map(str, part.speaker)).encode())
    sha.update(np.ascontiguousarray(part.embeddings, np.float32).tobytes())
    return sha.hexdigest()
