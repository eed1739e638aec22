"""Validation of segments, latents, labels and targets of a manipulation.

Traced values (of a `tf.function`, of JAX) have no numbers yet: they are returned as
they are.
"""

import numpy as np
from keras import ops

RESERVED = ("code", "rest")  # names of parts that are no factor


def validate_latents(z, labels, dim, classes) -> tuple[np.ndarray, np.ndarray]:
    """Latents and labels as NumPy arrays, from which class means can be estimated.

    Raises:
        ValueError: See `FactorialNormal.adapt`.
    """
    z = np.asarray(ops.convert_to_numpy(z))
    if z.ndim != 2 or z.shape[1] != dim or len(z) < 2:
        raise ValueError(
            f"Latents must be [n, {dim}], two rows or more. Received: shape {z.shape}"
        )
    _finite(z, "Latents")
    labels = validate_labels(labels, len(z), classes)
    for f, column in enumerate(labels.T):
        if (column < 0).all():
            raise ValueError(
                "Every factor needs labelled rows. "
                f"Received: none in column {f} of labels {labels.shape}"
            )
    return z, labels


def validate_labels(labels, rows, classes) -> np.ndarray:
    """Labels as int32 `[rows, factors]`.

    Args:
        labels: `[rows, factors]`, -1 where missing; `None`: all are.
        rows: Number of rows.
        classes: Number of classes of each factor.

    Raises:
        ValueError: If they are of another shape or dtype, or out of range.
    """
    shape = (rows, len(classes))
    if labels is None:
        return np.full(shape, -1, np.int32)
    labels = np.asarray(ops.convert_to_numpy(labels))
    if labels.shape != shape or (labels.size and labels.dtype.kind not in "iu"):
        raise ValueError(
            f"Labels must be integers [{rows}, {len(classes)}]. "
            f"Received: {labels.dtype} of shape {labels.shape}"
        )
    labels = labels.astype(np.int64)
    wrong = (labels < -1) | (labels >= np.array(classes, int))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise ValueError(
            "Labels must be -1, missing, or below the number of classes, "
            f"{classes[column]} in column {column}. Received: {labels[row, column]}"
        )
    return labels.astype(np.int32)


def validate_segments(x, shape, minimum=1):
    """Segments `[n, *shape]` as float32 NumPy; traced ones as they are.

    Raises:
        ValueError: If they are of another shape, fewer than `minimum`, or not finite.
    """
    if (values := concrete(x)) is None:
        return x
    if values.ndim < 2 or values.shape[1:] != shape or len(values) < minimum:
        sizes = ", ".join(map(str, shape))
        raise ValueError(
            f"Segments must be [n, {sizes}], with n at least {minimum}. "
            f"Received: shape {values.shape}"
        )
    return _finite(values.astype(np.float32, copy=False), "Segments")


def validate_target(target, factor, names, dim, rows, minimum=0):
    """Class indices or centres, as int32 or float32 NumPy; traced ones as they are.

    Args:
        target: As `to` of `flows.models.latent_model.LatentModel.manipulate`.
        factor: What they are classes of.
        names: Names of the classes, in the order of their indices.
        dim: Of a centre.
        rows: Of the batch; `None` if not known.
        minimum: Lowest index. Defaults to `0`.

    Raises:
        ValueError: If there is no such class, they are not one or as many as rows, or
            centres are of another width or not finite.
    """
    if (values := concrete(target)) is None:
        return target
    if values.ndim > (values.dtype.kind == "f") and rows not in (None, len(values)):
        raise ValueError(
            f"Classes of {factor} must be one, or one for each of {rows} rows. "
            f"Received: {len(values)}"
        )
    if values.dtype.kind in "USO":
        found = [_class_index(factor, names, name) for name in values.ravel().tolist()]
        return np.array(found, np.int32).reshape(values.shape)
    if values.dtype.kind in "iu":
        if values.ndim > 1 or ((values < minimum) | (values >= len(names))).any():
            raise ValueError(
                f"Class indices of {factor} must be one or [batch], "
                f"{minimum} to {len(names) - 1}. Received: {target}"
            )
        return values.astype(np.int32)
    if values.ndim not in (1, 2) or values.shape[-1] != dim:
        raise ValueError(
            f"Centres of {factor} must be [{dim}] or [batch, {dim}]. "
            f"Received: shape {values.shape}"
        )
    return _finite(values.astype(np.float32, copy=False), "Centres")


def validate_alpha(alpha, rows):
    """`alpha` as float32, one or `[rows]`; traced as it is."""
    if (values := concrete(alpha)) is None:
        return alpha
    if values.dtype.kind not in "fiu" or values.shape not in ((), (rows,)):
        raise ValueError(
            f"`alpha` must be a number, or one for each of {rows} rows. "
            f"Received: {alpha}"
        )
    return _finite(values.astype(np.float32), "`alpha`")


def validate_vocabulary(vocabulary, own=()):
    """Refuses factors of fewer than two classes or reserved names, and other `own`."""
    for factor, names in vocabulary.items():
        if len(names) < 2 or len(set(names)) < len(names):
            raise ValueError(
                "Every factor needs two classes or more, of different names. "
                f"Received: {factor}={names}"
            )
        if factor in RESERVED:
            raise ValueError(
                f"Names of factors must not be reserved ones, {RESERVED}. "
                f"Received: {factor!r}"
            )
    if not set(own) <= set(vocabulary) or len(set(own)) < len(own):
        raise ValueError(
            f"Factors must be among {tuple(vocabulary)}, each once. "
            f"Received: {tuple(own)}"
        )


def class_indices(vocabulary, labels):
    """Class indices int32 `[F]` of a dict of factors to names, -1 where not given."""
    found = dict.fromkeys(vocabulary, -1)
    for factor, name in labels.items():
        if factor not in vocabulary:
            raise ValueError(
                f"Factors must be among {tuple(vocabulary)}. Received: {factor!r}"
            )
        found[factor] = _class_index(factor, vocabulary[factor], name)
    return np.array([*found.values()], np.int32)


def _class_index(factor, names, name):
    if name not in names:
        raise ValueError(
            f"Classes of {factor} must be among {', '.join(map(str, names))}. "
            f"Received: {name!r}"
        )
    return names.index(name)


def concrete(value):
    """A value as NumPy; `None` while it is traced."""
    try:
        if ops.is_tensor(value):
            return ops.convert_to_numpy(value)
        return np.asarray(value)
    except (NotImplementedError, TypeError):  # of traced values in TensorFlow and JAX
        return None


def _finite(values, what):
    if not np.isfinite(values).all():
        raise ValueError(f"{what} must be finite. Received: NaN or infinity")
    return values
