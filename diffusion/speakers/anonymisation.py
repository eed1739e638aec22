"""Anonymisation of an embedding set: a pseudo-speaker for each speaker or utterance.

Nothing here shows that the result is anonymous; `diffusion.speakers.attacks` reports
what some attackers still find.
"""

import dataclasses

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from diffusion.speakers import preprocessing
from timbre.corpora.embeddings import EmbeddingSet

MIN_SPEAKERS = 10  # of each half of a classifier's training and test


@dataclasses.dataclass(frozen=True)
class PseudoSpeakers:
    """New embeddings, and which of them replaces each row of a set.

    Args:
        embeddings: float32 `[m, dim]`.
        cosines: Of each to the one it replaces, `[m]`.
        index: The new embedding of each row, int `[n]`.
    """

    embeddings: np.ndarray
    cosines: np.ndarray
    index: np.ndarray

    @property
    def rows(self):
        """The new embedding of each row, `[n, dim]`."""
        return self.embeddings[self.index]


def anonymise(original, anonymiser, seed, *, level, blocks=()) -> PseudoSpeakers:
    """Assigns a pseudo-speaker to each speaker, or to each utterance.

    Args:
        original: An `EmbeddingSet`.
        anonymiser: Maps embeddings `[m, dim]` and a seed to new ones `[m, dim]` and
            their cosines to the old ones, `[m]`.
        seed: Int of any size.
        level: `"speaker"`: the mean of a speaker's rows is replaced, and all of them
            get one embedding. `"utterance"`: each row gets its own.
        blocks: See `diffusion.speakers.preprocessing.mean_per_speaker`.

    Raises:
        ValueError: If there is no such level, or at level speaker a row has none.
    """
    if level not in preprocessing.LEVELS:
        raise ValueError(
            f"`level` must be one of {preprocessing.LEVELS}. Received: {level!r}"
        )
    if level == "utterance":
        new, cosines = anonymiser(original.embeddings, seed)
        return PseudoSpeakers(new, cosines, np.arange(len(original)))
    speaker = np.asarray(original.speaker, str)
    if (speaker == "").any():
        raise ValueError(
            "At level speaker every row must name its speaker. Received: "
            f"{(speaker == '').sum()} of {len(original)} rows without a speaker"
        )
    means = preprocessing.mean_per_speaker(original, blocks)
    new, cosines = anonymiser(means.embeddings, seed)
    return PseudoSpeakers(new, cosines, np.searchsorted(means.speaker, speaker))


def anonymised_set(original, new, seed, *, about, keep_names=False) -> EmbeddingSet:
    """The anonymised set, its rows in their order.

    Speakers, segments and labels identify a speaker, and are left out; pseudo-speakers
    are called `pseudo000001` and so on, in random order.

    Args:
        original: The `EmbeddingSet`.
        new: Its `PseudoSpeakers`.
        seed: Of the order.
        about: The provenance of the new embeddings.
        keep_names: Whether speakers, segments and labels stay. Defaults to `False`.
    """
    if keep_names:
        return dataclasses.replace(original, embeddings=new.rows, about=about)
    rng = np.random.default_rng(derive_seed(seed, 0))
    numbers = 1 + rng.permutation(len(new.embeddings))
    names = np.array([f"pseudo{number:06d}" for number in numbers])
    return EmbeddingSet(new.rows, names[new.index], np.full(len(original), ""), about)


def label_accuracy(original, new, seed=0) -> dict[str, dict[str, float]]:
    """Accuracy of labels before and after anonymisation.

    A logistic regression is trained on the original rows of half of the speakers and
    tested on the others.

    Args:
        original: The `EmbeddingSet`.
        new: Its `PseudoSpeakers`.
        seed: Of the halves. Defaults to `0`.

    Returns:
        Dict of each label that can be learned to the number of test `speakers`, the
        accuracies `before` and `after`, and `most_frequent`, that of always answering
        the most frequent value.
    """
    rng, found = np.random.default_rng(derive_seed(seed, 2)), {}
    for name, values in sorted(original.labels.items()):
        values, speaker = np.asarray(values, str), np.asarray(original.speaker, str)
        known = (values != "") & (speaker != "")
        names = rng.permutation(np.unique(speaker[known]))
        train = known & np.isin(speaker, names[: len(names) // 2])
        test = known & ~train
        if len(np.unique(values[train])) < 2 or len(names) < 2 * MIN_SPEAKERS:
            continue
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        model.fit(original.embeddings[train], values[train])
        _, counts = np.unique(values[test], return_counts=True)
        found[name] = {
            "speakers": len(np.unique(speaker[test])),
            "before": float(model.score(original.embeddings[test], values[test])),
            "after": float(model.score(new.rows[test], values[test])),
            "most_frequent": float(counts.max() / counts.sum()),
        }
    return found


def derive_seed(seed, number):
    """A seed that depends on another one and is not it.

    Args:
        seed: Int of any size, not negative.
        number: Which of them.
    """
    high, low = np.random.SeedSequence([seed, number]).generate_state(2).tolist()
    return high << 30 ^ low
