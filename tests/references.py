"""Plain NumPy answers that tests compare with."""

import numpy as np


def unit(rng, rows, dim):
    """Random unit vectors, float32 `[rows, dim]`."""
    x = rng.normal(size=(rows, dim)).astype("float32")
    return x / np.linalg.norm(x, axis=-1, keepdims=True)
