"""Bases: densities against SciPy, Bayes' rule by hand, starts and errors."""

import keras
import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from flows import gaussian
from flows.models.base_distribution import FactorialNormal
from flows.models.class_means import ClassMeans
from tests.contracts import check_gradients, check_layer

BASES = {
    "nf": {"classes": (), "dims": (), "residual": 4},
    "dnf": {"classes": (3,), "dims": (4,), "residual": 0},
    "fdnf": {"classes": (3, 2), "dims": (2, 2), "residual": 0, "variance": "class"},
    "rest": {"classes": (3, 2), "dims": (2, 1), "residual": 1, "variance": "shared"},
}


def base(kind, variance=None):
    """A base whose means, variances and priors are anything."""
    made = FactorialNormal(**BASES[kind] | ({"variance": variance} if variance else {}))
    rng = np.random.default_rng(3)
    for weight in made.trainable_weights:
        weight.assign(rng.normal(size=weight.shape))
    for prior in made._log_priors:
        prior.assign(np.log(rng.dirichlet(np.ones(prior.shape[0]))))
    return made


def pieces(made):
    """Means, variances `[K, d]` and priors `[K]` of each factor, float64."""
    for f, (k, d) in enumerate(zip(made.classes, made.dims, strict=True)):
        means = np.asarray(made.means(f), "float64")
        variances = np.exp(np.asarray(made.log_variance(f), "float64"))
        priors = np.exp(np.asarray(made._log_priors[f], "float64"))
        yield means, np.broadcast_to(variances, (k, d)), priors


def reference(made, z, labels):
    """Log-densities and log-joints by SciPy, row by row."""
    total, joints, start = np.zeros(len(z)), [], 0
    for f, (means, variances, priors) in enumerate(pieces(made)):
        part = z[:, start : start + made.dims[f]]
        start += made.dims[f]
        each = np.stack(
            [
                np.atleast_1d(multivariate_normal(m, np.diag(v)).logpdf(part))
                for m, v in zip(means, variances, strict=True)
            ],
            axis=1,
        )
        joints.append(np.log(priors) + each)
        mixture = logsumexp(joints[-1], axis=1)
        told = each[np.arange(len(z)), np.maximum(labels[:, f], 0)]
        total += np.where(labels[:, f] < 0, mixture, told)
    if made.residual:
        total += multivariate_normal(np.zeros(made.residual)).logpdf(z[:, start:])
    return total, joints


def latents(made, rng, count=9):
    z = rng.normal(size=(count, made.dim)).astype("float32")
    return z, rng.integers(-1, [*made.classes], size=(count, len(made.classes)))


@pytest.mark.parametrize("variance", ["unit", "shared", "class"])
@pytest.mark.parametrize("kind", BASES)
def test_densities_are_those_of_scipy(kind, variance, rng):
    made = base(kind, variance)
    z, labels = latents(made, rng)
    expected, _ = reference(made, z, labels)
    np.testing.assert_allclose(made.log_prob(z, labels), expected, rtol=1e-5)
    nothing = np.full_like(labels, -1)
    expected, _ = reference(made, z, nothing)
    np.testing.assert_allclose(made.log_prob(z), expected, rtol=1e-5)
    np.testing.assert_array_equal(made.log_prob(z, nothing), made.log_prob(z))


@pytest.mark.parametrize("kind", BASES)
def test_posteriors_are_bayes_rule(kind, rng):
    made = base(kind)
    z, labels = latents(made, rng)
    _, joints = reference(made, z, labels)
    told = made.log_posterior(z)
    assert len(told) == len(made.classes)
    for values, joint in zip(told, joints, strict=True):
        np.testing.assert_allclose(np.exp(values).sum(axis=1), 1, rtol=1e-5)
        joint = np.exp(joint)
        by_hand = joint / joint.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(np.exp(values), by_hand, atol=1e-6)


def test_a_far_code_has_a_posterior_and_a_density():
    """e**-5000 is 0 in float32: sums of logarithms must never leave them."""
    made = base("fdnf", "unit")
    z = np.full((1, 4), 50, "float32")
    values = [made.log_prob(z), *made.log_posterior(z)]
    assert all(np.isfinite(value).all() for value in values)


def test_many_wide_normals_keep_their_digits(rng):
    """Around the middle of the means, squares are small however far all lie away."""
    z, means = rng.normal(size=(20, 400)) + 30, rng.normal(size=(7, 400)) + 30
    found = gaussian.log_normals(*(v.astype("float32") for v in (z, means)), 0.0)
    square = np.square(z[:, None] - means).sum(axis=-1)
    expected = -0.5 * (square + 400 * np.log(2 * np.pi))
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_one_factor_with_equal_means_is_no_factor_at_all(rng):
    """DNF with all means 0 is NF: its classes tell nothing."""
    dnf, nf = (FactorialNormal(**BASES[kind]) for kind in ("dnf", "nf"))
    z, labels = latents(dnf, rng)
    np.testing.assert_allclose(dnf.log_prob(z, labels), nf.log_prob(z), rtol=1e-6)
    np.testing.assert_allclose(dnf.log_prob(z), nf.log_prob(z), rtol=1e-6)
    np.testing.assert_allclose(dnf.log_posterior(z)[0], -np.log(3), rtol=1e-6)


def test_the_density_integrates_to_one():
    """Over a grid of 2-D latents, for labels known, partly known and missing."""
    made = FactorialNormal((3, 2), (1, 1), variance="class")
    rng = np.random.default_rng(4)
    for weight in made.trainable_weights:
        weight.assign(0.8 * rng.normal(size=weight.shape))
    line = np.arange(-12, 12, 0.05, dtype="float32")
    grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    for given in ([0, 1], [2, -1], [-1, -1]):
        labels = np.tile(given, (len(grid), 1))
        total = np.exp(made.log_prob(grid, labels)).sum() * 0.05**2
        np.testing.assert_allclose(total, 1, atol=1e-4)


def test_a_missing_label_sums_the_known_ones_by_their_priors(rng):
    made = base("rest")
    z, _ = latents(made, rng)
    priors = [values for *_, values in pieces(made)]
    total = 0
    for k in range(3):
        for j in range(2):
            density = np.exp(made.log_prob(z, np.tile([k, j], (len(z), 1))))
            total = total + priors[0][k] * priors[1][j] * density
    np.testing.assert_allclose(np.exp(made.log_prob(z)), total, rtol=1e-5)


def test_parts_places_and_centres_fit_together(rng):
    made = base("rest")
    z, _ = latents(made, rng)
    first, second, rest = made.split(z)
    assert (first.shape, second.shape, rest.shape) == ((9, 2), (9, 1), (9, 1))
    np.testing.assert_array_equal(np.concatenate([first, second, rest], axis=1), z)
    np.testing.assert_array_equal(
        np.delete(made.pad_part(1, second), 2, axis=1), np.zeros((9, 3))
    )
    np.testing.assert_array_equal(made.pad_part(1, second)[:, 2:3], second)
    assert made.centres(0).shape == (3, 4)
    np.testing.assert_array_equal(made.centres(0)[:, :2], made.means(0))
    np.testing.assert_array_equal(made.centres(0)[:, 2:], np.zeros((3, 2)))
    assert len(base("fdnf").split(z)) == 2


def test_draws_lie_where_the_classes_lie(rng):
    made = base("rest", "class")
    noise = rng.normal(size=(20_000, 4))
    z = np.asarray(
        made.sample(noise, rng.random((20_000, 2)), np.tile([2, 0], (20_000, 1)))
    )
    (means, variances, _), (others, spread, _) = pieces(made)
    expected = np.concatenate([means[2], others[0], [0]])
    np.testing.assert_allclose(z.mean(axis=0), expected, atol=0.08)
    variance = np.concatenate([variances[2], spread[0], [1]])
    np.testing.assert_allclose(z.var(axis=0), variance, rtol=0.05)


def test_classes_are_drawn_by_their_priors(rng):
    made = base("rest")
    z = np.asarray(made.sample(np.zeros((5000, 4)), rng.random((5000, 2))))
    for (means, _, priors), part in zip(pieces(made), made.split(z), strict=False):
        distance = np.square(part[:, None] - means).sum(axis=-1)
        shares = np.bincount(distance.argmin(axis=1), minlength=len(means)) / 5000
        np.testing.assert_allclose(shares, priors, atol=0.02)


def test_no_noise_gives_the_means(rng):
    made = base("fdnf")
    noise, uniform = rng.normal(size=(2, 4)), np.zeros((2, 2))
    z = made.sample(noise, uniform, np.array([[1, 0], [2, 1]]), temperature=0.0)
    means = np.concatenate([made.means(0)[1:], made.means(1)], axis=1)
    np.testing.assert_allclose(z, means, rtol=1e-6)


@pytest.mark.parametrize("largest", [False, True])
def test_a_draw_at_either_end_of_chance_has_a_class(largest):
    made = FactorialNormal((3,), (1,))
    made._means[0].assign([[1.0], [2.0], [3.0]])
    uniform = np.full((1, 1), np.nextafter(1, 0) if largest else 0, "float32")
    z = made.sample(np.zeros((1, 1)), uniform)
    assert float(z[0, 0]) == (3 if largest else 1)


def test_start_takes_averages_and_counts(rng):
    made = FactorialNormal((3, 2), (2, 1), residual=1)
    z = rng.normal(size=(50, 4)) + 3
    labels = np.stack([rng.integers(-1, 2, 50), rng.integers(0, 2, 50)], axis=1)
    made.adapt(z, labels)  # class 2 of the first factor has no row
    for k in (0, 1):
        mean = z[labels[:, 0] == k, :2].mean(axis=0)
        np.testing.assert_allclose(made.means(0)[k], mean, rtol=1e-5)
    np.testing.assert_allclose(made.means(0)[2], z[:, :2].mean(axis=0), rtol=1e-5)
    rows = np.array([(labels[:, 0] == k).sum() for k in range(3)])
    priors = (rows + 1) / (rows.sum() + 3)
    np.testing.assert_allclose(np.exp(made._log_priors[0]), priors, rtol=1e-5)


def test_log_variances_stay_within_their_bound():
    """A step of training that leaves the bound ends on it, from where it can return."""
    made = FactorialNormal((2,), (1,), variance="class")
    (log_variance,) = made._log_variances
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.apply([np.array([[-9.0], [9.0]], "float32")], [log_variance])
    np.testing.assert_array_equal(log_variance, [[3.0], [-3.0]])
    log_variance.assign([[7.0], [-7.0]])  # from elsewhere
    np.testing.assert_array_equal(made.log_variance(0), [[3.0], [-3.0]])


@pytest.mark.parametrize("kind", BASES)
def test_a_base_is_a_layer(kind, rng):
    made = base(kind)
    z, labels = latents(made, rng)
    check_layer(made, z, labels)
    if made.trainable_weights:
        check_gradients(made, z, labels)


@pytest.mark.parametrize(
    "wrong, rule",
    [
        ({"dims": (2,)}, "one number for each factor"),
        ({"dims": (2, 0)}, "`dims` must be at least 1"),
        ({"residual": -1}, "`residual` must be at least 0"),
        ({"classes": (3, 1)}, "`classes` must be at least 2"),
        ({"classes": (), "dims": ()}, "1 together"),
        ({"variance": "full"}, "one of"),
    ],
)
def test_what_is_no_base_is_refused(wrong, rule):
    with pytest.raises(ValueError, match=rule):
        FactorialNormal(**{"classes": (3, 2), "dims": (2, 2), **wrong})


@pytest.mark.parametrize("kind", ["base", "averages"])
@pytest.mark.parametrize(
    "spoil, rule",
    [
        (lambda z, y: (z, np.where(y == 2, 3, y)), "3 in column 0. Received: 3"),
        (lambda z, y: (z, np.where(y == 2, -2, y)), "Received: -2"),
        (lambda z, y: (z * np.nan, y), "finite"),
        (lambda z, y: (z[:1], y[:1]), "two rows or more"),
        (lambda z, y: (z[:, :3], y), r"\[n, 4\]"),
        (lambda z, y: (z, y[:, :1]), r"integers \[9, 2\]"),
        (lambda z, y: (z, y.astype(float)), "integers"),
        (lambda z, y: (z, np.stack([y[:, 0], -np.ones(9, int)], 1)), "column 1"),
    ],
)
def test_what_can_not_start_classes_is_refused(kind, spoil, rule, rng):
    made = {"base": FactorialNormal((3, 2), (2, 2)), "averages": ClassMeans((3, 2), 4)}
    z, labels = rng.normal(size=(9, 4)), np.arange(18).reshape(9, 2) % [3, 2]
    with pytest.raises(ValueError, match=rule):
        made[kind].adapt(*spoil(z, labels))


def test_averages_are_the_classes_of_whole_codes(rng):
    """Against SciPy: normals about the averages, with the variance within classes."""
    made = ClassMeans((3, 2), 4)
    z, labels = rng.normal(size=(40, 4)), rng.integers(0, [3, 2], size=(40, 2))
    made.adapt(z, labels)
    for f, values in enumerate(made.log_posterior(z)):
        means = np.stack([z[labels[:, f] == k].mean(axis=0) for k in range(3 - f)])
        np.testing.assert_allclose(made.centres(f), means, rtol=1e-4, atol=1e-6)
        within = np.square(z - means[labels[:, f]]).mean(axis=0)
        rows = np.bincount(labels[:, f])
        joint = np.stack(
            [
                (n + 1) * multivariate_normal(m, np.diag(within)).pdf(z)
                for n, m in zip(rows, means, strict=True)
            ],
            axis=1,
        )
        expected = joint / joint.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(np.exp(values), expected, atol=1e-5)


def test_averages_are_rebuilt_and_saved(rng):
    made, copy = (
        ClassMeans((3, 2), 4),
        ClassMeans.from_config(ClassMeans((3, 2), 4).get_config()),
    )
    z, labels = rng.normal(size=(40, 4)), rng.integers(0, [3, 2], size=(40, 2))
    made.adapt(z, labels)
    copy.set_weights(made.get_weights())
    for ours, theirs in zip(made(z), copy(z), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not made.trainable_weights and float(copy.is_set) == 1


def test_a_direction_in_which_classes_do_not_spread_has_a_least_variance(rng):
    """A ten-thousandth of the mean: noise of rounding must not decide on a class."""
    made, labels = ClassMeans((2,), 3), np.arange(40)[:, None] % 2
    z = rng.normal(size=(40, 3))
    z[:, 0] = 1
    made.adapt(z, labels)
    within = np.exp(made._log_variances[0])[0]
    np.testing.assert_allclose(within[0], 1e-4 * within[1:].sum() / 3, rtol=1e-4)


def test_averages_of_codes_that_do_not_move_are_finite():
    made = ClassMeans((2,), 3)
    z = np.zeros((4, 3))
    z[:, 0] = [1, 1, 2, 2]
    made.adapt(z, np.array([[0], [0], [1], [1]]))
    found = np.exp(made.log_posterior(z)[0])
    np.testing.assert_allclose(found, np.eye(2)[[0, 0, 1, 1]], atol=1e-6)
