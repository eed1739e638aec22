"""Gaussian class posteriors in latent space, for models trained without labels.

After the training of a VAE or a plain flow, each factor's classes are modelled as
normals around their mean latents, with one diagonal within-class covariance (linear
discriminant analysis):

`p(k | z) = prior[f, k] N(z; mean[f, k], within[f]) / sum_j ...`
"""

import keras
import numpy as np
from keras import ops

from flows.bijectors.base import ConfigurableLayer, add_constant
from flows.gaussian import class_means, log_normals, log_priors
from flows.validation import validate_latents

MIN_VARIANCE = 1e-4  # as a share of the mean variance of a factor


@keras.saving.register_keras_serializable(package="flows")
class ClassMeans(ConfigurableLayer):
    """Class means of whole latents, set by `adapt` and not trained.

    Args:
        classes: How many classes each factor has.
        dim: Dimensions of a latent.

    Attributes:
        is_set: 1 from `adapt` on, saved with the weights.

    Call arguments:
        z: Latents `[batch, dim]`.

    Returns:
        Log-posteriors, for each factor `[batch, classes[f]]`.
    """

    def __init__(self, classes, dim, dtype="float32", **kwargs):
        super().__init__(dtype=dtype, autocast=False, **kwargs)
        self.classes = tuple(classes)
        self.dim = dim
        self.check_min(classes=2)

        def weight(name, *shape):
            return add_constant(self, name, np.zeros(shape))

        each = list(enumerate(self.classes))
        self._centres = [weight(f"centres_{f}", k, dim) for f, k in each]
        self._log_variances = [weight(f"log_variance_{f}", 1, dim) for f, _ in each]
        self._log_priors = [weight(f"log_priors_{f}", k) for f, k in each]
        self.is_set = weight("is_set")
        self.built = True

    def call(self, z):
        return self.log_posterior(z)

    def centres(self, f):
        """Means of the classes of factor `f`, `[classes[f], dim]`."""
        return ops.convert_to_tensor(self._centres[f])

    def log_posterior(self, z):
        """Logarithms of `p(class | z)`, for each factor `[batch, classes[f]]`."""
        z = ops.convert_to_tensor(z, self.compute_dtype)
        joints = (
            prior + log_normals(z, self.centres(f), self._log_variances[f])
            for f, prior in enumerate(self._log_priors)
        )
        return tuple(ops.log_softmax(joint, axis=-1) for joint in joints)

    def adapt(self, z, labels):
        """Estimates class means, within-class variances and priors, `rows + 1`.

        A class without rows gets the mean of all rows. Arguments and errors are as for
        `flows.models.base_distribution.FactorialNormal.adapt`.
        """
        z, labels = validate_latents(z, labels, self.dim, self.classes)
        for f, num_classes in enumerate(self.classes):
            column = labels[:, f]
            centres, rows = class_means(z, column, num_classes)
            spread = z[column >= 0] - centres[column[column >= 0]]
            within = np.square(spread).mean(axis=0)
            within = np.maximum(within, max(MIN_VARIANCE * within.mean(), 1e-12))
            self._centres[f].assign(centres)
            self._log_variances[f].assign(np.log(within)[None])
            self._log_priors[f].assign(log_priors(rows))
        self.is_set.assign(1.0)

    def compute_output_shape(self, shape):
        return tuple((shape[0], count) for count in self.classes)
