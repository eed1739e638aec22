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
from timbre.training.networks import check_choice

MIN_SPEAKERS = 10  # of each half of a classifier's training and test


@dataclasses.dataclass(frozen=True)
class PseudoSpeakers:
    """New embeddings, and which of them replaces each row of a set.

    `rows` has the new embedding of each row, `[n, dim]`.
    """

    embeddings: np.ndarray  # float32 `[m, dim]`
    cosines: np.ndarray  # of each to the one it replaces, `[m]`
    index: np.ndarray  # the new embedding of each row, int `[n]`

    @property
    def rows(self):
        """`embeddings[index]`."""
        return self.embeddings[self.index]


def anonymise(original, anonymiser, seed, *, level, blocks=()) -> PseudoSpeakers:
    """Assigns a pseudo-speaker to each speaker, or to each utterance.

    Args:
        original: An `EmbeddingSet`.
        anonymiser: Maps embeddings `[m, dim]` and a seed to new ones `[m, dim]` and
            their cosines to the old ones, `[m]`.
        seed: Int of any size.
        level: `"speaker"` replaces the mean of a speaker's rows, which all get one
            embedding; with `"utterance"` each row gets its own.
        blocks: See `diffusion.speakers.preprocessing.mean_per_speaker`.

    Raises:
        ValueError: If there is no such level, or at level speaker a row has none.
    """
    check_choice("level", level, preprocessing.LEVELS)
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

    Args:
        original: The `EmbeddingSet`.
        new: Its `PseudoSpeakers`.
        seed: Of the order of names.
        about: The provenance of the new embeddings.
        keep_names: Whether speakers, segments and labels stay, which identify. Defaults
            to `False`: speakers are `pseudo000001` and so on, in random order.
    """
    if keep_names:
        return dataclasses.replace(original, embeddings=new.rows, about=about)
    rng = np.random.default_rng(derive_seed(seed, 0))
    numbers = 1 + rng.permutation(len(new.embeddings))
    names = np.array([f"pseudo{number:06d}" for number in numbers])
    return EmbeddingSet(new.rows, names[new.index], np.full(len(original), ""), about)


def label_accuracy(original, new, seed=0) -> dict[str, dict[str, float]]:
    """Accuracy of labels before and after anonymisation.

    A logistic regression is trained on the original rows of half of the speakers, by
    `seed`, and tested on the others.

    Returns:
        Dict of each label that can be learned to the number of test `speakers`, the
        accuracies `before` and `after`, and `most_frequent`, that of always predicting
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
    """The seed of a number that depends on another seed, an int of any size >= 0."""
    high, low = np.random.SeedSequence([seed, number]).generate_state(2).tolist()
    return high << 30 ^ low
