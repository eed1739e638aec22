"""Manipulation: the same segment, but said by another, or saying another thing.

`x' = decode(encode(x) + alpha * (mu[to] - mu[source]))`

with the posterior-weighted mean of all centres where the source is not known. Centres
of models that learn classes are 0 outside of the factor's own part, so the other parts
stay what they are, to the bit.

Reference:
    Deep Generative Factorization for Speech Signal (Sun et al., 2021), section 3,
    https://arxiv.org/abs/2010.14242
"""

import keras
from keras import ops

from flows.validation import validate_alpha, validate_segments, validate_target


class Manipulation:
    """What every `flows.models.latent_model.LatentModel` can do to a factor, by its codes and centres."""

    def manipulate(self, x, factor, to, *, source=None, alpha=1.0):
        """Segments with another class of a factor.

        Args:
            x: `[batch, *shape]`.
            factor: Name of the factor, one of `factors`.
            to: What they become: name or code of a class, names or codes `[batch]`, or
                a centre, `[dim]` or `[batch, dim]`, such as `enrol` gives.
            source: What they are, the same, with code -1 where it is not known.
                Defaults to the posterior-weighted mean of all centres.
            alpha: How much of the way, a float or `[batch]`. Defaults to `1.0`.

        Returns:
            `[batch, *shape]`.

        Raises:
            ValueError: If factor or class are unknown, a code is out of range, a shape
                is wrong, or anything is not finite.
        """
        self._index(factor)
        x = validate_segments(x, self.shape)
        rows = x.shape[0]
        told = factor, self.vocabulary[factor], self.dim, rows
        to = validate_target(to, *told)
        if source is not None:
            source = validate_target(source, *told, least=-1)
        alpha = validate_alpha(alpha, rows)
        return self.shifted(x, factor, to, source, alpha)

    def shifted(self, x, factor, to, source=None, alpha=1.0):
        """What `manipulate` computes, unchecked, of codes and centres only."""
        return self.decode(self.moved(self.encode(x), factor, to, source, alpha))

    def moved(self, z, factor, to, source=None, alpha=1.0):
        """Codes `[batch, dim]`, moved; see `shifted`. Other parts stay as they are."""
        alpha = ops.convert_to_tensor(alpha, "float32")
        alpha = alpha[:, None] if alpha.ndim else alpha
        to, source = (self._centre(z, factor, given) for given in (to, source))
        return z + alpha * (to - source)

    def swap(self, x1, x2, factor):
        """Two batches of segments that exchange a factor, row by row.

        Where the factor has a part of the code, parts are exchanged as they are, and
        swapping twice brings back what was. In undivided codes the difference of the
        posterior-weighted means is given and taken, which twice over is no more than
        near.

        Args:
            x1, x2: `[batch, *shape]` each.
            factor: Name of the factor, one of `factors`.

        Returns:
            `x1` with the factor of `x2`, and `x2` with that of `x1`.
        """
        self._index(factor)
        x1, x2 = (validate_segments(x, self.shape) for x in (x1, x2))
        if x1.shape[0] != x2.shape[0]:
            raise ValueError(
                "Batches that are swapped must have as many rows each. "
                f"Received: {x1.shape[0]} and {x2.shape[0]}"
            )
        z1, z2 = self.encode(x1), self.encode(x2)
        if self.has_parts:
            part = self._mask(factor) > 0
            return tuple(
                self.decode(ops.where(part, other, z))
                for z, other in ((z1, z2), (z2, z1))
            )
        change = self._centre(z2, factor, None) - self._centre(z1, factor, None)
        return self.decode(z1 + change), self.decode(z2 - change)

    def enrol(self, x, factor):
        """The centre of a class never met: the average code of its segments.

        Args:
            x: Segments of one class, `[n, *shape]`.
            factor: Name of the factor.

        Returns:
            `[dim]`, 0 outside of the factor's part.
        """
        self._index(factor)
        z = self.encode(validate_segments(x, self.shape))
        return self._mask(factor) * ops.mean(z, axis=0)

    def _centre(self, z, factor, given):
        """Centres of `given`, codes or centres, to broadcast with `z`, `[batch, dim]`.

        Those not given, `None` or -1, are inferred from `z`.
        """
        f = self._index(factor)
        centres = self.classifier.centres(f)
        if given is None:
            return ops.matmul(ops.exp(self.classifier.log_posterior(z)[f]), centres)
        given = ops.convert_to_tensor(given)
        if not keras.backend.is_int_dtype(given.dtype):
            return ops.cast(given, "float32") * self._mask(factor)
        told = ops.take(centres, ops.maximum(given, 0), axis=0)
        return ops.where(given[..., None] < 0, self._centre(z, factor, None), told)
