"""What a diffusion over voices learns from, and what it is judged by."""

import dataclasses
import functools
import hashlib

import numpy as np

from diffusion.speakers import preprocessing
from diffusion.speakers.generator import FACTS
from diffusion.speakers.scaling import has_unit_norm
from timbre.corpora.embeddings import EmbeddingSet
from timbre.corpora.synthetic import embeddings as made_up


@dataclasses.dataclass(frozen=True)
class Parts:
    """A set, divided by speaker.

    Args:
        train: An `EmbeddingSet` to learn from.
        held: One of other speakers.
        unit: Whether voices have length 1.
        vocabulary: Dict, each label's name to its values.
    """

    train: EmbeddingSet
    held: EmbeddingSet
    unit: bool
    vocabulary: dict

    def rows(self):
        """What is learned and what is held, as `learning.fit` takes them."""
        return tuple(
            {
                "x_0": np.asarray(part.embeddings, np.float32),
                "labels": preprocessing.class_indices(part, self.vocabulary),
            }
            for part in (self.train, self.held)
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
                "held": sorted({str(name) for name in self.held.speaker}),
            },
            "sha256": {"train": _digest(self.train), "held": _digest(self.held)},
            "about": self.train.about,
        }

    def remember(self, run):
        """Writes the facts; a run never goes on with another set.

        Raises:
            ValueError: If the run began with other rows.
        """
        run.remember(FACTS, self.facts)


def prepare(*, set, points, level, held, labels, blocks, sphere, seed):
    """Reads a set, or makes one up, and divides it by speaker.

    Args:
        set: Path of an embedding set; `""` for made-up points.
        points: Dict of `speakers`, `utterances` and `seed` of the made-up ones.
        level: `"speaker"`: a voice is the mean of a speaker's rows; `"utterance"`:
            each row is one.
        held: Share of the speakers held out.
        labels: Names of the labels to learn.
        blocks: Dimensions of the parts of a concatenation.
        sphere: `"yes"`, `"no"`, or `"auto"` to look at the lengths.
        seed: Of the division.

    Returns:
        `Parts`.
    """
    voices = EmbeddingSet.load(set) if set else _made_up(**points)
    train, rest = preprocessing.split_by_speaker(
        voices, held, seed, level=level, blocks=blocks
    )
    unit = sphere == "yes"
    if sphere == "auto":
        unit = has_unit_norm(voices.embeddings, blocks)
    return Parts(train, rest, unit, preprocessing.build_vocabularies(train, labels))


def _made_up(speakers, utterances, seed):
    if utterances == 1:
        return made_up.sample_speakers(speakers, seed)
    return made_up.sample_utterances(speakers, utterances, seed)


def _digest(part):
    """SHA-256 of who is in a part and of every number."""
    sha = hashlib.sha256("\n".join(map(str, part.speaker)).encode())
    sha.update(np.ascontiguousarray(part.embeddings, np.float32).tobytes())
    return sha.hexdigest()
