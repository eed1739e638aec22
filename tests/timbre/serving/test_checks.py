"""Checks in a graph: what passes, what is refused, and in which words."""

import numpy as np
import pytest
import tensorflow as tf

from timbre.serving import checks


def run(check, *arguments):
    """The check inside a graph, as a server runs it; gives 1 where it passes."""

    @tf.function
    def graph(*tensors):
        found = check(*tensors)
        with tf.control_dependencies(found if isinstance(found, list) else [found]):
            return tf.constant(1)

    return int(graph(*map(tf.constant, arguments)))


@pytest.mark.parametrize("value, fine", [(1, 1), (7, 1), (0, 0), (8, 0)])
def test_both_limits_are_allowed_and_nothing_beyond(value, fine):
    def check(number):
        return checks.check_between(number, 1, 7, "count")

    if fine:
        assert run(check, value) == 1
    else:
        with pytest.raises(tf.errors.InvalidArgumentError, match="between 1 and 7"):
            run(check, value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_by_name(bad):
    def check(x):
        return checks.check_finite(x, "alpha")

    assert run(check, [0.0, 1e38]) == 1
    with pytest.raises(tf.errors.InvalidArgumentError, match="`alpha` must be finite"):
        run(check, [0.0, bad])


def test_labels_are_classes_of_their_own_factor_or_unknown():
    def check(labels):
        return checks.check_labels(labels, {"a": 3, "b": 0, "c": 2}, "to")

    assert run(check, [[2, -1, 1], [-1, -1, -1]]) == 1
    for wrong in ([3, -1, 0], [0, 0, 0], [0, -1, 2], [-2, -1, 0]):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"has \(a, c\) or -1"):
            run(check, [wrong])


def test_rows_must_go_in_pairs():
    def check(x, y):
        return checks.check_same_rows(x, y, ("x", "labels"))

    assert run(check, np.zeros((2, 3)), np.zeros(2)) == 1
    with pytest.raises(tf.errors.InvalidArgumentError, match="as many rows as `x`"):
        run(check, np.zeros((2, 3)), np.zeros(3))
