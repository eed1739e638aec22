"""Scorings: ways from embeddings to scores that stand beside the bare cosine.

The name of each says what was done and what it was fitted on, so that its row and its
curve can not be taken for a cosine's.
"""

import dataclasses
from collections.abc import Callable

from timbre.metrics import scoring

FITTED = "centred rows know the test's own mean; of few speakers that flatters them"


@dataclasses.dataclass(frozen=True)
class Scoring:
    """A way from an extractor's embeddings to scores that is not the bare cosine.

    Args:
        extractor: Name of the one whose embeddings it takes.
        normalise: `"centre"` or `"as-norm"`.
        score: Function of embeddings `[utterances, dim]` and
            `timbre.metrics.trials.Trials` giving scores `[trials]`.
        cohort: Name of the corpus that gave the strangers, empty without one.
        note: What a reader of the figure must know.
    """

    extractor: str
    normalise: str
    score: Callable
    cohort: str = ""
    note: str = ""


def centred(extractor):
    """Cosines after the mean of the evaluated corpus itself was taken away.

    No label is used, but all utterances of the evaluation are, so the figure is one of
    a system that has seen its test. See `timbre.metrics.scoring.centre`.

    Returns:
        Dict of the name, which says so, to the `Scoring`.
    """

    def score(embeddings, trials):
        return scoring.cosine_scores(scoring.centre(embeddings), trials)

    name = f"{extractor}, centred on this corpus (unsupervised)"
    return {name: Scoring(extractor, "centre", score, note=FITTED)}


def normed(extractor, cohort, *, name, top=200):
    """Cosines measured by those with strangers, see `timbre.metrics.scoring.as_norm`.

    Args:
        extractor: Name of the one whose embeddings are scored.
        cohort: Its mean embedding of each stranger, `[speakers, dim]`.
        name: Of the corpus the strangers are from.
        top: How many of the nearest count, or all if there are fewer. Defaults to
            `200`.

    Returns:
        Dict of the name, which says cohort and `top`, to the `Scoring`.
    """
    top = min(top, len(cohort))

    def score(embeddings, trials):
        cosines = scoring.cosine_scores(embeddings, trials)
        return scoring.as_norm(cosines, trials, embeddings, cohort, top=top)

    called = f"{extractor}, AS-norm by {name} (top {top} of {len(cohort)})"
    return {called: Scoring(extractor, "as-norm", score, name)}
