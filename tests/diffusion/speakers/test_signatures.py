"""Exported generators, run without a line of this project."""

import numpy as np
import pytest
import tensorflow as tf

from diffusion.speakers.signatures import signatures
from tests.diffusion.speakers.runs import DIM, load_tiny
from tests.timbre.serving.loading import run
from timbre.serving.publish import publish

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Voices, and the folder of their exported version."""
    folder = tmp_path_factory.mktemp("voices")
    generator = load_tiny(folder / "run")
    return generator, publish(
        folder / "export", signatures(generator), about=generator.about
    )


def make_request(count=5, seed=7, steps=4, label=1, weight=0.5):
    return {
        "count": np.int32(count),
        "seed": np.array([seed, 0], np.int32),
        "steps": np.int32(steps),
        "labels": np.array([label], np.int32),
        "weight": np.float32(weight),
    }


def test_the_c_loader_generates_what_python_generates(served, tmp_path):
    generator, folder = served
    done = run(folder, "generate", tmp_path, **make_request())
    assert done.returncode == 0, done.stderr
    mode = generator.model.vocabulary["mode"][1]
    expected = generator.generate(5, seed=7, steps=4, labels={"mode": mode}, weight=0.5)
    found = np.load(tmp_path / "embedding.npy")
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_c_loader_anonymises_as_python_does(served, tmp_path):
    generator, folder = served
    source = generator.generate(3, seed=1)
    seed = np.array([2, 0], np.int32)
    done = run(folder, "anonymise", tmp_path, embedding=source, seed=seed)
    assert done.returncode == 0, done.stderr
    expected, cosines = generator.anonymise(source, seed=2)
    np.testing.assert_allclose(np.load(tmp_path / "embedding.npy"), expected, atol=1e-5)
    np.testing.assert_allclose(np.load(tmp_path / "cosine.npy"), cosines, atol=1e-5)


def test_the_c_loader_denoises_as_python_does(served, tmp_path):
    generator, folder = served
    x = np.random.default_rng(0).normal(size=(2, DIM)).astype("float32")
    done = run(folder, "denoise", tmp_path, x=x, t=np.int32(9))
    assert done.returncode == 0, done.stderr
    expected = generator.model.denoiser.denoise(x, 9)
    np.testing.assert_allclose(np.load(tmp_path / "x_0.npy"), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"count": 0}, "`count` must be between 1 and"),
        ({"steps": 51}, "`steps` must be between 1 and 50"),
        ({"label": 2}, "`labels` must be class indices"),
        ({"weight": np.nan}, "`weight` must be finite"),
    ],
)
def test_a_refused_request_gets_the_reason(served, tmp_path, wrong, rule):
    done = run(served[1], "generate", tmp_path, **make_request(**wrong))
    assert done.returncode != 0 and rule in done.stderr


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"count": 2_000_000}, "`count` must be between 1 and"),
        ({"steps": 0}, "`steps` must be between 1 and 50"),
    ],
)
def test_limits_hold_at_both_ends(served, wrong, rule):
    generate, *_ = signatures(served[0])["generate"]
    request = {k: tf.constant(v) for k, v in make_request(**wrong).items()}
    with pytest.raises(tf.errors.InvalidArgumentError, match=rule):
        generate(**request)
