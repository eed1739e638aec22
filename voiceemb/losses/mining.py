"""Triplet mining: the positives and negatives of the anchors in a batch.

Every strategy takes the cosines `cosine[a, b]` between all rows of a batch and returns
three arrays that broadcast together: `same`, the cosine of anchor and positive,
`other`, that of anchor and negative, and `weight`, 1 for valid triplets and else 0.

Every row is an anchor if its speaker has another row and some other speaker has one.
One forward pass serves both the mining and the gradient.

Reference:
    FaceNet (Schroff et al., 2015), section 3.2, https://arxiv.org/abs/1503.03832;
    In Defense of the Triplet Loss (Hermans et al., 2017),
    https://arxiv.org/abs/1703.07737
"""

from keras import ops

MAX_GAP = 4.0  # beyond every difference of two cosines


def relations(labels):
    """Which rows share a speaker, and which do not, by their labels, int `[rows]`.

    Returns:
        Bool `positive` and `negative`, both `[rows, rows]`; no row is its own positive.
    """
    equal = labels[:, None] == labels[None, :]
    itself = ops.eye(ops.shape(labels)[0], dtype="bool")
    return ops.logical_and(equal, ops.logical_not(itself)), ops.logical_not(equal)


def _pick(cosine, allowed, order):
    """The cosine of the allowed column with the greatest `order`, per row."""
    column = ops.argmax(ops.where(allowed, order, -MAX_GAP), axis=-1)
    return ops.take_along_axis(cosine, column[:, None], axis=-1)[:, 0]


def _both(positive, negative):
    """1 for each anchor that has a positive and a negative, else 0, `[rows]`."""
    usable = ops.logical_and(ops.any(positive, axis=-1), ops.any(negative, axis=-1))
    return ops.cast(usable, "float32")


def random(cosine, positive, negative, *, chance):
    """A random positive and a random negative of each anchor: `[rows]`."""
    same = _pick(cosine, positive, chance[0])
    other = _pick(cosine, negative, chance[1])
    return same, other, _both(positive, negative)


def semi_hard(cosine, positive, negative, *, chance):
    """For each positive, the nearest negative that is farther than it: `[rows, rows]`.

    Where no negative is farther than the positive, the farthest one serves.
    """
    farther = ops.logical_and(
        negative[:, None, :], cosine[:, None, :] < cosine[:, :, None]
    )  # [anchor, positive, negative]
    nearest = ops.max(ops.where(farther, cosine[:, None, :], -MAX_GAP), axis=-1)
    farthest = ops.min(ops.where(negative, cosine, MAX_GAP), axis=-1, keepdims=True)
    other = ops.where(ops.any(farther, axis=-1), nearest, farthest)
    weight = ops.cast(positive, "float32") * _both(positive, negative)[:, None]
    return cosine, other, weight


def hard(cosine, positive, negative, *, chance):
    """A random positive and the nearest negative of each anchor: `[rows]`."""
    same = _pick(cosine, positive, chance[0])
    other = ops.max(ops.where(negative, cosine, -MAX_GAP), axis=-1)
    return same, other, _both(positive, negative)


def batch_hard(cosine, positive, negative, *, chance):
    """The farthest positive and the nearest negative of each anchor: `[rows]`."""
    same = ops.min(ops.where(positive, cosine, MAX_GAP), axis=-1)
    other = ops.max(ops.where(negative, cosine, -MAX_GAP), axis=-1)
    return same, other, _both(positive, negative)


def batch_all(cosine, positive, negative, *, chance):
    """Every triplet the batch holds, `[rows, rows, rows]`."""
    weight = ops.logical_and(positive[:, :, None], negative[:, None, :])
    return cosine[:, :, None], cosine[:, None, :], ops.cast(weight, "float32")


STRATEGIES = {
    strategy.__name__: strategy
    for strategy in (random, semi_hard, hard, batch_hard, batch_all)
}
