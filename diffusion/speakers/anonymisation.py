"""Other voices for a set: one for each speaker, or one for each utterance.

Nothing here shows that a voice is anonymous; `diffusion.speakers.attacks` reports what
some attackers still find.
"""

import dataclasses

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from diffusion.speakers import preprocessing
from timbre.corpora.embeddings import EmbeddingSet

LEAST = 10  # speakers on each side, for one to learn from the other


@dataclasses.dataclass(frozen=True)
class PseudoSpeakers:
    """New voices, and which of them each row of a set is given.

    Args:
        voices: float32 `[m, dim]`.
        cosines: Of each to what it replaces, `[m]`.
        row: Which of the voices each row has, int `[n]`.
    """

    voices: np.ndarray
    cosines: np.ndarray
    row: np.ndarray

    @property
    def rows(self):
        """The new voice of each row, `[n, dim]`."""
        return self.voices[self.row]


def anonymise(voices, protect, seed, *, level, blocks=()) -> PseudoSpeakers:
    """Gives each speaker, or each utterance, another voice.

    Args:
        voices: An `EmbeddingSet`.
        protect: Maps embeddings `[m, dim]` and a seed to new voices `[m, dim]` and
            their cosines to the old ones, `[m]`.
        seed: Int of any size.
        level: `"speaker"`: the mean of a speaker's rows is replaced, and all of them
            get one voice. `"utterance"`: each row gets its own.
        blocks: See `diffusion.speakers.preprocessing.pooled`.

    Raises:
        ValueError: If there is no such level, or a speaker is to be replaced and some
            row does not say whose it is.
    """
    if level not in preprocessing.LEVELS:
        raise ValueError(
            f"`level` must be one of {preprocessing.LEVELS}. Received: {level!r}"
        )
    if level == "utterance":
        return PseudoSpeakers(*protect(voices.embeddings, seed), np.arange(len(voices)))
    speaker = np.asarray(voices.speaker, str)
    if (speaker == "").any():
        raise ValueError(
            "At level speaker every row must say whose it is. "
            f"Received: {(speaker == '').sum()} of {len(voices)} rows without a speaker"
        )
    means = preprocessing.mean_per_speaker(voices, blocks)
    row = np.searchsorted(means.speaker, speaker)
    return PseudoSpeakers(*protect(means.embeddings, seed), row)


def anonymised_set(voices, new, seed, *, about, keep_names=False) -> EmbeddingSet:
    """The set to hand on: its rows in the order they had, with their new voices.

    Names, segments and labels say whose voice it was, and are left out; voices are
    called `pseudo000001` and so on, in an order drawn by lot.

    Args:
        voices: The `EmbeddingSet` as it was.
        new: The `PseudoSpeakers`.
        seed: Of the order.
        about: What made the new voices.
        keep_names: Whether speakers, segments and labels stay. Defaults to `False`.
    """
    if keep_names:
        return dataclasses.replace(voices, embeddings=new.rows, about=about)
    rng = np.random.default_rng(derive_seed(seed, 0))
    numbers = 1 + rng.permutation(len(new.voices))
    names = np.array([f"pseudo{number:06d}" for number in numbers])
    return EmbeddingSet(new.rows, names[new.row], np.full(len(voices), ""), about)


def label_accuracy(voices, new, seed=0) -> dict[str, dict[str, float]]:
    """How often a new voice sounds as its speaker's label says.

    A logistic regression learns each label from half of the speakers and is asked
    about the rows of the others.

    Args:
        voices: The `EmbeddingSet` as it was.
        new: The `PseudoSpeakers`.
        seed: Of the halves. Defaults to `0`.

    Returns:
        Dict of each label that can be learned to its `speakers` asked about, and the
        shares of rows with the right answer `before` and `after`, and of
        `most_frequent`, what one without ears can answer always.
    """
    rng, found = np.random.default_rng(derive_seed(seed, 2)), {}
    for name, values in sorted(voices.labels.items()):
        values, speaker = np.asarray(values, str), np.asarray(voices.speaker, str)
        known = (values != "") & (speaker != "")
        names = rng.permutation(np.unique(speaker[known]))
        ours = known & np.isin(speaker, names[: len(names) // 2])
        theirs = known & ~ours
        if len(np.unique(values[ours])) < 2 or len(names) < 2 * LEAST:
            continue
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        model.fit(voices.embeddings[ours], values[ours])
        _, counts = np.unique(values[theirs], return_counts=True)
        found[name] = {
            "speakers": len(np.unique(speaker[theirs])),
            "before": float(model.score(voices.embeddings[theirs], values[theirs])),
            "after": float(model.score(new.rows[theirs], values[theirs])),
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
