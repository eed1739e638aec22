"""What may come in: labels, codes, segments, and what these shall become.

Checked are numbers that are there; inside of a `tf.function` (or a traced function of
JAX) there are none yet, and what is checked passes as it came.
"""

import numpy as np
from keras import ops

TAKEN = ("code", "rest")  # names of parts that are no factor


def validate_latents(z, labels, dim, classes) -> tuple[np.ndarray, np.ndarray]:
    """Codes and labels as NumPy arrays, if classes can be made out of them.

    Raises:
        ValueError: If not: see `FactorialNormal.adapt`.
    """
    z = np.asarray(ops.convert_to_numpy(z))
    if z.ndim != 2 or z.shape[1] != dim or len(z) < 2:
        raise ValueError(
            f"Codes must be [n, {dim}], two rows or more. Received: shape {z.shape}"
        )
    if not np.isfinite(z).all():
        raise ValueError("Codes must be finite. Received: NaN or infinity")
    labels = validate_labels(labels, len(z), classes)
    for f, column in enumerate(labels.T):
        if (column < 0).all():
            raise ValueError(
                "Every factor needs rows that are labelled. "
                f"Received: none in column {f} of labels {labels.shape}"
            )
    return z, labels


def validate_labels(labels, rows, classes) -> np.ndarray:
    """Labels as int32 `[rows, factors]`.

    Args:
        labels: `[rows, factors]`, -1 where missing; `None`: all are.
        rows: How many.
        classes: How many classes each factor has.

    Raises:
        ValueError: If they are of another shape or kind, or name no class.
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


def extract_arrays(x):
    """Segments and labels, if `x` holds arrays of them as models take it."""
    inputs = x if isinstance(x, dict) else {"x": x}
    segments, labels = inputs.get("x"), inputs.get("labels")
    if not hasattr(segments, "__array__"):
        return None
    return np.asarray(segments), labels


def validate_segments(x, shape, least=1):
    """Segments as float32 NumPy; what is traced as it came.

    Args:
        x: `[n, *shape]`.
        shape: Of a segment.
        least: How many there must be. Defaults to `1`.

    Raises:
        ValueError: If they are of another shape, too few, or not finite.
    """
    values = concrete(x)
    if values is None:
        return x
    if values.ndim < 2 or values.shape[1:] != shape or len(values) < least:
        sizes = ", ".join(map(str, shape))
        raise ValueError(
            f"Segments must be [n, {sizes}], with n at least {least}. "
            f"Received: shape {values.shape}"
        )
    return _finite(values.astype(np.float32, copy=False), "Segments")


def validate_target(given, factor, names, dim, rows, least=0):
    """Classes or centres, as int32 or float32 NumPy; what is traced as it came.

    Args:
        given: Name or code of a class, or several; or centres `[dim]`, `[batch, dim]`.
        factor: What they are classes of.
        names: Names of the classes, in the order of their codes.
        dim: Of a centre.
        rows: Of the batch; `None` if not known.
        least: Least code. Defaults to `0`.

    Raises:
        ValueError: If there is no such class, they are not one or as many as rows, or
            centres are of another width or not finite.
    """
    values = concrete(given)
    if values is None:
        return given
    if values.ndim > (values.dtype.kind == "f") and rows not in (None, len(values)):
        raise ValueError(
            f"Classes of {factor} must be one, or one for each of {rows} rows. "
            f"Received: {len(values)}"
        )
    if values.dtype.kind in "USO":
        codes = [class_index(factor, names, name) for name in values.ravel().tolist()]
        return np.array(codes, np.int32).reshape(values.shape)
    if values.dtype.kind in "iu":
        if values.ndim > 1 or ((values < least) | (values >= len(names))).any():
            raise ValueError(
                f"Codes of {factor} must be one or [batch], "
                f"{least} to {len(names) - 1}. Received: {given}"
            )
        return values.astype(np.int32)
    if values.ndim not in (1, 2) or values.shape[-1] != dim:
        raise ValueError(
            f"Centres of {factor} must be [{dim}] or [batch, {dim}]. "
            f"Received: shape {values.shape}"
        )
    return _finite(values.astype(np.float32, copy=False), "Centres")


def validate_alpha(alpha, rows):
    """How much of the way, float32, one or `[rows]`; what is traced as it came."""
    values = concrete(alpha)
    if values is None:
        return alpha
    if values.dtype.kind not in "fiu" or values.shape not in ((), (rows,)):
        raise ValueError(
            f"`alpha` must be a number, or one for each of {rows} rows. "
            f"Received: {alpha}"
        )
    return _finite(values.astype(np.float32), "`alpha`")


def validate_vocabulary(vocabulary, own=()):
    """Refuses factors of fewer than two classes, or named as other parts are.

    Args:
        vocabulary: Dict, each factor to the names of its classes.
        own: Names that must be among the factors, each once.
    """
    for factor, names in vocabulary.items():
        if len(names) < 2 or len(set(names)) < len(names):
            raise ValueError(
                "Every factor needs two classes or more, of different names. "
                f"Received: {factor}={names}"
            )
        if factor in TAKEN:
            raise ValueError(
                f"Factors must not be named as other parts, {TAKEN}. "
                f"Received: {factor!r}"
            )
    if not set(own) <= set(vocabulary) or len(set(own)) < len(own):
        raise ValueError(
            f"Factors must be among {tuple(vocabulary)}, each once. "
            f"Received: {tuple(own)}"
        )


def class_indices(vocabulary, labels):
    """Codes int32 `[F]` of a dict of factors to names, -1 for those not given.

    Raises:
        ValueError: If there is no such factor, or no such class of it.
    """
    for factor in labels:
        if factor not in vocabulary:
            raise ValueError(
                f"Factors must be among {tuple(vocabulary)}. Received: {factor!r}"
            )
    given = [
        class_index(factor, names, labels[factor]) if factor in labels else -1
        for factor, names in vocabulary.items()
    ]
    return np.array(given, np.int32)


def class_index(factor, names, name):
    """The code of a class by its name.

    Raises:
        ValueError: If there is no such class.
    """
    if name not in names:
        raise ValueError(
            f"Classes of {factor} must be among {', '.join(map(str, names))}. "
            f"Received: {name!r}"
        )
    return names.index(name)


def concrete(value):
    """The numbers or names of a value, as NumPy; `None` while it is traced."""
    try:
        if ops.is_tensor(value):
            return ops.convert_to_numpy(value)
        return np.asarray(value)
    except (NotImplementedError, TypeError):  # TensorFlow's and JAX's way to say so
        return None


def _finite(values, what):
    if not np.isfinite(values).all():
        raise ValueError(f"{what} must be finite. Received: NaN or infinity")
    return values
