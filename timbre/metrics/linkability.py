"""Linkability of anonymised voices to their speakers.

Voice similarity matrices `S[i, j]` between speakers, of calibrated log-likelihood
ratios, have a dominant diagonal where speakers can be recognised: anonymisation should
remove it against the originals (de-identification) and keep it among anonymised voices
(voice distinctiveness). Global linkability `D_sys` measures how well scores separate
pairs of one speaker from pairs of two.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from timbre.metrics.arrays import check_same_width, normalise_rows, row_blocks
from timbre.metrics.likelihood_ratio import logistic


def similarity_matrix(
    left: ArrayLike,
    right: ArrayLike,
    speakers: ArrayLike,
    llr: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Voice similarity matrix of speakers, from two versions of the same utterances.

    `S[i, j] = logistic(mean llr over utterances of i on the left and j on the right)`

    An utterance is not compared with itself, nor with its other version.

    Args:
        left, right: Embeddings of the same utterances in the same order, original or
            anonymised, `[utterances, dim]` each.
        speakers: Who speaks in each, `[utterances]`, each at least twice.
        llr: From cosines to log-likelihood ratios, any shape, such as the `llr` of a
            `timbre.metrics.calibration.Calibration`.

    Returns:
        float64 `[speakers, speakers]`, in order of name.

    Reference:
        Speech Pseudonymisation Assessment Using Voice Similarity Matrices (Noé et
        al., 2020), https://arxiv.org/abs/2008.13144
    """
    left, right = check_same_width(left=left, right=right)
    names, rows, counts = np.unique(
        np.asarray(speakers), return_inverse=True, return_counts=True
    )
    if not len(left) == len(right) == len(rows) or len(names) < 2 or counts.min() < 2:
        raise ValueError(
            "Similarities need two versions of the same utterances, and two speakers "
            f"of two utterances each. Received: {len(left)} and {len(right)} rows, "
            f"{len(rows)} utterances of {len(names)} speakers, fewest {counts.min()}"
        )
    left, right = normalise_rows(left), normalise_rows(right)
    member = np.eye(len(names))[rows]  # [utterances, speakers]
    sums = np.zeros((len(names), len(names)))
    for block in row_blocks(len(left), len(right)):
        ratios = np.array(llr(left[block] @ right.T), np.float64)
        inside = np.arange(len(ratios))
        ratios[inside, inside + block.start] = 0
        sums += member[block].T @ ratios @ member
    pairs = np.outer(counts, counts) - np.diag(counts)
    return logistic(sums / pairs)


def diagonal_dominance(matrix: ArrayLike) -> float:
    """`|mean of the diagonal - mean of the rest|` of a matrix `[speakers, speakers]`.

    Of a `similarity_matrix` it tells how well speakers are recognised.
    """
    matrix = np.asarray(matrix, np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) < 2:
        raise ValueError(
            f"`matrix` must be square, of 2 speakers or more. Received: {matrix.shape}"
        )
    own = np.trace(matrix) / len(matrix)
    others = (matrix.sum() - np.trace(matrix)) / (matrix.size - len(matrix))
    return float(abs(own - others))


def distinctiveness(
    original: ArrayLike,
    protected: ArrayLike,
    speakers: ArrayLike,
    llr: Callable[[np.ndarray], np.ndarray],
) -> dict[str, float]:
    """De-identification and gain of voice distinctiveness of an anonymisation.

        de_identification = 1 - D(original, protected) / D(original, original)
        gain_db = 10 * log10(D(protected, protected) / D(original, original))

    with `D` the `diagonal_dominance` of the `similarity_matrix`, whose paper and
    arguments these are; the `llr` is to be calibrated on other speakers.

    Returns:
        `de_identification`, 1 if anonymised voices can not be linked to their speakers,
        0 if they can as before; `gain_db`, 0 if anonymised voices differ as much as the
        originals do, -10 if a tenth of that is left, `-inf` if all are one.
    """
    pairs = (original, original), (original, protected), (protected, protected)
    before, between, after = [
        diagonal_dominance(similarity_matrix(*pair, speakers, llr)) for pair in pairs
    ]
    if not before:
        raise ValueError("`original` must distinguish the speakers")
    with np.errstate(divide="ignore"):
        gain = 10 * np.log10(after / before)
    return {"de_identification": 1 - between / before, "gain_db": float(gain)}


def linkability(
    mated: ArrayLike,
    other: ArrayLike,
    *,
    bins: int = 100,
    prior_ratio: float = 1.0,
    permutations: int = 20,
    seed: int = 0,
) -> dict[str, float]:
    """Global linkability `D_sys` of the scores of mated and non-mated pairs.

    `D(s) = max(0, 2 * w * LR / (1 + w * LR) - 1)`, `LR = p(s | mated) / p(s | other)`

    and `D_sys` is the mean of `D` over mated scores: 1 if the densities do not overlap,
    0 if they are equal. Histograms never are: of equal densities, chance alone gives a
    positive value, larger with fewer scores a bin (measured: .10 for 1,000 of each kind
    in 100 bins, .007 for 100,000). It is estimated by permuting the kinds and returned
    as `by_chance`; a linkability near it is none.

    Args:
        mated, other: Scores of pairs of one and of two speakers, `[pairs]`.
        bins: Most bins of the histograms, 1 to 100; at most one for ten mated scores
            is used. Defaults to `100`.
        prior_ratio: `w`, prior odds of a mated pair. Defaults to `1`.
        permutations, seed: Of `by_chance`. Default to `20` and `0`.

    Returns:
        `linkability`, `by_chance` and the number of `bins` used.

    Reference:
        General Framework to Evaluate Unlinkability in Biometric Template Protection
        Systems (Gomez-Barrero et al., 2018), https://doi.org/10.1109/TIFS.2017.2788000
    """
    kinds = [np.asarray(scores, np.float64) for scores in (mated, other)]
    if any(s.ndim != 1 or not len(s) or not np.isfinite(s).all() for s in kinds):
        raise ValueError(
            "`mated` and `other` must be vectors of finite scores. "
            f"Received: shapes {kinds[0].shape} and {kinds[1].shape}"
        )
    if not 1 <= bins <= 100 or not 0 < prior_ratio < np.inf:
        raise ValueError(
            "`bins` must be 1 to 100 and `prior_ratio` above 0. "
            f"Received: {bins} and {prior_ratio}"
        )
    bins = max(2, min(bins, len(kinds[0]) // 10))
    scores = np.concatenate(kinds)
    edges = np.linspace(scores.min(), scores.max(), bins + 1)
    cells = np.clip(np.searchsorted(edges, scores, "right") - 1, 0, bins - 1)
    rng, split = np.random.default_rng(seed), len(kinds[0])
    shuffled = (rng.permutation(cells) for _ in range(permutations))
    chance = [_linkability(x[:split], x[split:], bins, prior_ratio) for x in shuffled]
    return {
        "linkability": _linkability(cells[:split], cells[split:], bins, prior_ratio),
        "by_chance": float(np.mean(chance)) if chance else float("nan"),
        "bins": bins,
    }


def _linkability(mated, other, bins, w) -> float:
    mated = np.bincount(mated, minlength=bins) / len(mated)
    other = np.bincount(other, minlength=bins) / len(other)
    some = mated > 0  # where `other` is 0 the ratio is infinite and `D` is 1
    local = 2 * w * mated[some] / (w * mated[some] + other[some]) - 1
    return float(mated[some] @ np.maximum(local, 0))
