import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from diffusion.speakers.scaling import KINDS, Scaler, has_unit_norm
from tests.contracts import check_layer
from tests.references import unit


def cloud(rng, rows=300, dim=6):
    """Points of very unlike columns that go together."""
    mixed = rng.normal(size=(rows, dim)) @ rng.normal(size=(dim, dim))
    return (mixed * np.logspace(-2, 2, dim) + 5 * np.arange(dim)).astype("float32")


def numbers(x):
    return keras.ops.convert_to_numpy(x)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("blocks", [(), (2, 4)])
def test_unscaling_undoes_scaling(rng, kind, blocks):
    points = cloud(rng)
    scaler = Scaler(kind, blocks).fit(points[:200])
    again = numbers(scaler.unscale(scaler.scale(points)))
    np.testing.assert_allclose(again, points, rtol=1e-4, atol=1e-4)
    scaled = rng.normal(size=(50, 6)).astype("float32")
    again = numbers(scaler.scale(scaler.unscale(scaled)))
    np.testing.assert_allclose(again, scaled, atol=5e-3)  # 100 beside .01 in float32


def test_standardising_is_what_its_name_says(rng):
    points = cloud(rng)
    scaler = Scaler(floor=1e-12).fit(points)
    expected = (points - points.mean(axis=0)) / points.std(axis=0)
    np.testing.assert_allclose(numbers(scaler.scale(points)), expected, atol=1e-3)


def test_whitened_embeddings_have_the_identity_as_covariance(rng):
    points = cloud(rng)
    scaled = numbers(Scaler("whiten", floor=1e-12).fit(points).scale(points))
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=2e-3)
    np.testing.assert_allclose(np.cov(scaled.T, ddof=0), np.eye(6), atol=0.02)


def test_whitening_puts_the_widest_direction_first(rng):
    axes = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    points = rng.normal(size=(5000, 4)) * [1, 4, 3, 2] @ axes.T
    scaler = Scaler("whiten").fit(points)
    np.testing.assert_allclose(numbers(scaler.deviation), [4, 3, 2, 1], rtol=0.1)
    found = np.abs(numbers(scaler.directions).T @ axes)
    np.testing.assert_allclose(found, np.eye(4)[[1, 2, 3, 0]], atol=0.1)
    assert (numbers(scaler.directions).max(axis=0) > 0.5).all()  # of the signs, +


def test_the_parts_of_a_concatenation_know_nothing_of_each_other(rng):
    left, right = cloud(rng, dim=3), cloud(rng, dim=5)
    both = Scaler("whiten", (3, 5)).fit(np.hstack([left, right]))
    apart = [Scaler("whiten").fit(part).scale(part) for part in (left, right)]
    scaled = both.scale(np.hstack([left, right]))
    np.testing.assert_allclose(numbers(scaled), np.hstack(apart), atol=1e-4)
    assert (numbers(both.directions)[:3, 3:] == 0).all()


def test_of_192_and_512_numbers_each_part_gets_its_own_sphere(rng):
    points = np.hstack([unit(rng, 20, 192), unit(rng, 20, 512)])
    assert has_unit_norm(points, (192, 512)) and not has_unit_norm(points)
    scaler = Scaler(blocks=(192, 512), unit=True).fit(points)
    samples = numbers(scaler.unscale(rng.normal(size=(7, 704)).astype("float32")))
    assert has_unit_norm(samples, (192, 512))
    again = numbers(scaler.unscale(scaler.scale(points)))
    np.testing.assert_allclose(again, points, atol=1e-5)


def test_only_embeddings_of_length_one_have_unit_norm(rng):
    points = unit(rng, 30, 16)
    assert has_unit_norm(points) and has_unit_norm(points.astype("float16"))
    points[7] *= 1.01
    assert not has_unit_norm(points) and not has_unit_norm(3 * unit(rng, 30, 16))


@pytest.mark.parametrize("kind", ["standardise", "whiten"])
def test_constant_columns_come_back_as_they_were_and_stay_quiet(rng, kind):
    points = rng.normal(scale=0.01, size=(100, 5)).astype("float32")
    points[:, 1], points[:, 4] = 0.3, 0.0
    scaler = Scaler(kind).fit(points)
    again = numbers(scaler.unscale(scaler.scale(points)))
    np.testing.assert_allclose(again, points, atol=1e-7)
    noise = numbers(scaler.unscale(rng.normal(size=(100, 5)).astype("float32")))
    assert (noise[:, [1, 4]].std(axis=0) < 1e-3).all()  # others have .01
    assert (noise[:, [0, 2, 3]].std(axis=0) > 5e-3).all()


def test_embeddings_that_are_all_the_same_keep_their_size(rng):
    points = np.full((3, 4), 2.0)
    for kind, context in (("standardise", None), ("whiten", "span at most 2")):
        scaler = Scaler(kind)
        if context:
            with pytest.warns(UserWarning, match=context):
                scaler.fit(points)
        else:
            scaler.fit(points)
        np.testing.assert_array_equal(numbers(scaler.deviation), 1)
        np.testing.assert_array_equal(numbers(scaler.scale(points)), 0)


def test_fewer_embeddings_than_dimensions_are_whitened_where_they_are(rng):
    points = rng.normal(size=(10, 30)).astype("float32")
    with pytest.warns(UserWarning, match="10 embeddings span at most 9 of 30"):
        scaler = Scaler("whiten").fit(points)
    scaled = numbers(scaler.scale(points))
    variance = scaled.var(axis=0)
    np.testing.assert_allclose(variance[:9], 1, atol=1e-3)
    np.testing.assert_allclose(variance[9:], 0, atol=1e-6)
    again = numbers(scaler.unscale(scaled))
    np.testing.assert_allclose(again, points, atol=1e-5)
    strange = rng.normal(size=(5, 30)).astype("float32")  # and others come back too
    again = numbers(scaler.unscale(scaler.scale(strange)))
    np.testing.assert_allclose(again, strange, atol=1e-4)


def test_the_size_of_all_embeddings_does_not_matter(rng):
    points = cloud(rng)
    small, large = (Scaler().fit(c * points).scale(c * points) for c in (0.01, 100))
    np.testing.assert_allclose(numbers(small), numbers(large), atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_scaler_is_a_layer_whose_weights_are_saved(rng, kind):
    points = cloud(rng)
    scaler = Scaler(kind, (2, 4), unit=True, floor=1e-3).fit(points)
    assert not scaler.trainable_weights
    assert len(scaler.weights) == (3 if kind == "whiten" else 2)
    check_layer(scaler, points)
    config = json.loads(json.dumps(scaler.get_config()))
    again = Scaler.from_config(config)
    assert (again.blocks, again.unit, again.floor) == ((2, 4), True, 1e-3)


def test_a_saved_model_scales_as_it_did(rng, tmp_path):
    points = cloud(rng)
    model = keras.Sequential([keras.Input((6,)), Scaler("whiten").fit(points)])
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numbers(again(points)), numbers(model(points)))


def test_scaling_works_in_a_graph_on_any_rank(rng):
    points = cloud(rng, rows=60)
    scaler = Scaler("whiten", unit=True).fit(points)
    folded = points.reshape(3, 4, 5, 6)

    @tf.function(input_signature=[tf.TensorSpec([None, 4, 5, 6])])
    def there_and_back(x):
        scaled = scaler.scale(x)
        return scaled, scaler.unscale(scaled)

    scaled, back = there_and_back(folded)
    expected = numbers(scaler.scale(points))
    np.testing.assert_allclose(np.reshape(scaled, (60, 6)), expected, atol=1e-4)
    expected = points / np.linalg.norm(points, axis=1, keepdims=True)
    np.testing.assert_allclose(np.reshape(back, (60, 6)), expected, atol=1e-4)


def test_half_precision_is_not_for_scaling(rng):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        scaler = Scaler().fit(cloud(rng))
        assert scaler.scale(np.ones((1, 6), "float16")).dtype == "float32"
    finally:
        keras.config.set_dtype_policy("float32")


def test_column_statistics_are_those_of_the_embeddings(rng):
    points = cloud(rng)
    for kind in ("standardise", "whiten"):
        mean, deviation = Scaler(kind, floor=1e-12).fit(points).column_statistics()
        np.testing.assert_allclose(mean, points.mean(axis=0), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(deviation, points.std(axis=0), rtol=1e-2)


def test_what_can_not_be_scaled_is_refused(rng):
    points = cloud(rng)
    with pytest.raises(ValueError, match="`kind` must be one of"):
        Scaler("normalise")
    with pytest.raises(ValueError, match="`floor` must be in"):
        Scaler(floor=0.0)
    with pytest.raises(ValueError, match="`blocks` must be at least 1"):
        Scaler(blocks=(0, 6))
    with pytest.raises(ValueError, match="`blocks` must add up to 6"):
        Scaler(blocks=(192, 512)).fit(points)
    with pytest.raises(ValueError, match="fitted or built"):
        Scaler().scale(points)
    for bad in (points[0], points[:1], np.full((3, 6), np.nan)):
        with pytest.raises(ValueError, match="two or more"):
            Scaler().fit(bad)
    scaler = Scaler().fit(points)
    with pytest.raises(ValueError, match=r"must be \[n, 6\]"):
        scaler.fit(points[:, :3])
    with pytest.raises(ValueError, match=r"must be \[\.\.\., 6\]"):
        scaler.unscale(points[:, :3])
