"""Manipulation: what becomes of a factor, by name, by code and by centre."""

import numpy as np
import pytest
import tensorflow as tf

from tests.flows import small

FLOWS = ("nf", "dnf-phone", "fdnf")


@pytest.fixture(scope="module")
def models():
    return small.models()


@pytest.mark.parametrize("kind", FLOWS)
def test_nothing_changes_by_no_step_and_on_the_spot(models, kind):
    model, (x, labels) = models[kind], small.rows(7)
    phone = labels[:, 0]
    for given in ({"alpha": 0.0}, {"source": phone}, {"alpha": np.zeros(7)}):
        same = model.manipulate(x, "phone", phone, **given)
        np.testing.assert_allclose(same, x, atol=1e-4)
    moved = model.manipulate(x, "phone", (phone + 1) % 3, source=phone)
    assert np.abs(moved - x).max() > 0.1


@pytest.mark.parametrize("kind", small.KINDS)
def test_manipulation_is_its_formula(models, kind):
    """Latents shift by the difference of centres, from the mean of all if unknown."""
    model, (x, labels) = models[kind], small.rows(7)
    z, centres = np.asarray(model.encode(x)), np.asarray(model.centres("phone"))
    to, source = (labels[:, 0] + 1) % 3, labels[:, 0]
    moved = model.manipulate(x, "phone", to, source=source, alpha=0.7)
    by_hand = model.decode(z + 0.7 * (centres[to] - centres[source]))
    np.testing.assert_allclose(moved, by_hand, atol=1e-5)
    mean = np.asarray(model.posterior(x)["phone"]) @ centres
    by_hand = model.decode(z + centres[to] - mean)
    np.testing.assert_allclose(model.manipulate(x, "phone", to), by_hand, atol=1e-4)
    half = np.where(np.arange(7) % 2, source, -1)  # some of them known
    mixed = model.manipulate(x, "phone", to, source=half)
    expected = np.where((half < 0)[:, None], mean, centres[half])
    by_hand = model.decode(z + centres[to] - expected)
    np.testing.assert_allclose(mixed, by_hand, atol=1e-4)


@pytest.mark.parametrize("kind", small.KINDS)
def test_names_codes_and_centres_are_one(models, kind):
    model, (x, _) = models[kind], small.rows(5)
    named = model.manipulate(x, "phone", "s", source="a")
    centres = model.centres("phone")
    for to, source in (
        (2, 0),
        (np.full(5, 2), np.zeros(5, int)),
        (["s"] * 5, ["a"] * 5),
        (centres[2], centres[0]),
        (np.tile(centres[2], (5, 1)), centres[0]),
        (tf.constant([2] * 5), "a"),
    ):
        same = model.manipulate(x, "phone", to, source=source)
        np.testing.assert_allclose(same, named, atol=1e-5)


def test_the_other_parts_of_a_code_stay_to_the_bit(models):
    model, (x, _) = models["fdnf"], small.rows(7)
    z = model.encode(x)
    for factor, other in (("phone", "speaker"), ("speaker", "phone")):
        moved = model.shift_latents(z, factor, 1, alpha=1.7)
        before, after = model.split_latents(z), model.split_latents(moved)
        np.testing.assert_array_equal(before[other], after[other])
        assert np.abs(before[factor] - after[factor]).min() > 0
        anywhere = np.full(6, 9, "float32")  # a centre that is not 0 elsewhere
        after = model.split_latents(model.shift_latents(z, factor, anywhere))
        np.testing.assert_array_equal(before[other], after[other])


def test_swapping_twice_brings_back_what_was(models):
    model, (x, _) = models["fdnf"], small.rows(10)
    x1, x2 = x[:5], x[5:]
    for factor, other in (("phone", "speaker"), ("speaker", "phone")):
        y1, y2 = model.swap(x1, x2, factor)
        z1, z2, w1, w2 = (
            model.split_latents(model.encode(x)) for x in (x1, x2, y1, y2)
        )
        np.testing.assert_allclose(w1[factor], z2[factor], atol=1e-4)
        np.testing.assert_allclose(w1[other], z1[other], atol=1e-4)
        np.testing.assert_allclose(w2[factor], z1[factor], atol=1e-4)
        back = model.swap(y1, y2, factor)
        np.testing.assert_allclose(back, (x1, x2), atol=1e-4)


@pytest.mark.parametrize("kind", ["vae", "nf", "dnf-phone"])
def test_undivided_codes_swap_their_centres(models, kind):
    model, (x, _) = models[kind], small.rows(10)
    z = np.asarray(model.encode(x))
    mean = np.asarray(model.posterior(x)["phone"]) @ np.asarray(model.centres("phone"))
    y1, y2 = model.swap(x[:5], x[5:], "phone")
    change = mean[5:] - mean[:5]
    np.testing.assert_allclose(y1, model.decode(z[:5] + change), atol=1e-4)
    np.testing.assert_allclose(y2, model.decode(z[5:] - change), atol=1e-4)


@pytest.mark.parametrize("kind", small.KINDS)
def test_a_class_never_met_is_the_average_of_its_codes(models, kind):
    model, (x, _) = models[kind], small.rows(9)
    centre = model.enrol(x, "phone")
    parts, means = (
        model.split_latents(model.encode(x)),
        model.split_latents(centre[None]),
    )
    name = "phone" if "phone" in parts else "code"
    np.testing.assert_allclose(means[name][0], np.mean(parts[name], axis=0), atol=1e-5)
    if kind == "fdnf":
        np.testing.assert_array_equal(means["speaker"], np.zeros((1, 1)))
    assert model.manipulate(x, "phone", centre).shape == x.shape


def test_who_becomes_what_they_are_enrolled_as(models):
    """A class of one segment, moved to from itself: its part is that segment's."""
    model, (x, _) = models["fdnf"], small.rows(2)
    centre, source = (model.enrol(x[i : i + 1], "phone") for i in (1, 0))
    moved = model.manipulate(x[:1], "phone", centre, source=source)
    np.testing.assert_allclose(moved, model.swap(x[:1], x[1:], "phone")[0], atol=1e-4)
