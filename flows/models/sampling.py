"""Drawing segments: noise and classes into codes, codes into segments."""

import numpy as np
from keras import ops

from flows.validation import class_indices, validate_labels


class Sampling:
    """What every `flows.models.latent_model.LatentModel` draws."""

    def sample(self, labels=None, count=None, seed=0, temperature=1.0):
        """Draws segments.

        Args:
            labels: Dict of factors to names of classes, for all; or int `[n, F]` with
                -1 for a class drawn by the priors, of which a model heeds the columns
                of the factors it learns. Defaults to classes drawn by the priors.
            count: How many. Defaults to the rows of `labels`, or 1.
            seed: Which; the first of many are those of few. Defaults to `0`.
            temperature: Scales the noise. Defaults to `1.0`.

        Returns:
            `[count, *shape]`.

        Raises:
            ValueError: If a class is unknown or the model does not learn its factor,
                or `count` is below 1 or not that of `labels`.
        """
        if isinstance(labels, dict):
            known = {name: self.vocabulary[name] for name in self.own}
            class_indices(known, labels)  # refuses factors that it does not learn
            labels = np.tile(self.codes(labels), (1 if count is None else count, 1))
        rows = len(labels) if labels is not None else 1
        count = rows if count is None else count
        if count < 1:
            raise ValueError(f"`count` must be at least 1. Received: {count}")
        labels = validate_labels(labels, count, self.sizes)
        noise = np.random.default_rng(seed).standard_normal((count, self.dim))
        uniform = np.random.default_rng([seed, 1]).random(labels.shape)
        noise, uniform = noise.astype("float32"), uniform.astype("float32")
        return self.drawn(noise, uniform, labels, temperature)

    def drawn(self, noise, uniform, labels, temperature=1.0):
        """Segments out of noise, unchecked.

        Args:
            noise: Standard normal `[batch, dim]`.
            uniform: In [0, 1), `[batch, F]`; says which class where none is given.
            labels: Int `[batch, F]`, -1 where none is given.
            temperature: Scales the noise. Defaults to `1.0`.
        """
        return self.decode(ops.convert_to_tensor(noise) * temperature)
