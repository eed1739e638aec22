"""Score normalisation: centring and adaptive S-norm (AS-norm), beside the plain cosine.

The name of each says what was done and on which data.
"""

import dataclasses
from collections.abc import Callable

from timbre.metrics import scoring

FITTED = "centred rows use the mean of the test data: optimistic with few speakers"


@dataclasses.dataclass(frozen=True)
class ScoreNormalisation:
    """A map from an extractor's embeddings to scores.

    Args:
        extractor: Name of the one whose embeddings it takes.
        normalise: `"centre"` or `"as-norm"`.
        score: Function of embeddings `[utterances, dim]` and
            `timbre.metrics.trials.Trials` giving scores `[trials]`.
        cohort: Name of the impostor corpus, empty without one.
        note: A caveat for the reader of the figure.
    """

    extractor: str
    normalise: str
    score: Callable
    cohort: str = ""
    note: str = ""


def centre_scores(extractor):
    """Cosines after the mean of the evaluated corpus itself is subtracted.

    It uses no label, but all utterances of the evaluation: the system has seen its test
    data. Returns a dict of its name to the `ScoreNormalisation`.
    """

    def score(embeddings, trials):
        return scoring.cosine_scores(scoring.centre(embeddings), trials)

    name = f"{extractor}, centred on this corpus (unsupervised)"
    return {name: ScoreNormalisation(extractor, "centre", score, note=FITTED)}


def as_norm_scores(extractor, cohort, *, name, top=200):
    """AS-norm by an impostor cohort, see `timbre.metrics.scoring.as_norm`.

    Args:
        extractor: Name of the one whose embeddings are scored.
        cohort: Its mean embedding of each impostor, `[speakers, dim]`.
        name: Of the corpus of the impostors.
        top: Number of nearest impostors, or all if there are fewer. Defaults to `200`.

    Returns:
        Dict of its name, with cohort and `top`, to the `ScoreNormalisation`.
    """
    top = min(top, len(cohort))

    def score(embeddings, trials):
        cosines = scoring.cosine_scores(embeddings, trials)
        return scoring.as_norm(cosines, trials, embeddings, cohort, top=top)

    label = f"{extractor}, AS-norm by {name} (top {top} of {len(cohort)})"
    return {label: ScoreNormalisation(extractor, "as-norm", score, name)}
