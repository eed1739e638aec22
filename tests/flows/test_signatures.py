"""Exported models of segments, asked without a line of this project."""

import numpy as np
import pytest

from flows.models import registry
from flows.segments.features import front_end
from flows.signatures import MAX_COUNT, signatures
from tests.flows.runs import make
from tests.timbre.serving.loading import run
from timbre.serving.publish import publish

pytestmark = pytest.mark.slow
SHAPE = (2, 4)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Each model by its kind, and the folder of its exported version."""
    folder = tmp_path_factory.mktemp("flows")
    make(folder / "run")
    found = {}
    for kind in ("vae", "nf", "dnf-phone", "fdnf"):
        model = registry.load(folder / "run", kind)
        found[kind] = model, publish(folder / kind, signatures(model))
    return found


def segments(count=3, seed=0):
    return np.random.default_rng(seed).normal(size=(count, *SHAPE)).astype("float32")


def asked(folder, name, out, **inputs):
    """What the exported model answers, and what it was asked: arrays by name."""
    done = run(folder, name, out, **inputs)
    assert done.returncode == 0, done.stderr
    return {path.stem: np.load(path) for path in out.glob("*.npy")}


def codes(*values):
    return np.array(values, np.int32)


@pytest.mark.parametrize("kind", ["vae", "nf", "dnf-phone", "fdnf"])
def test_the_c_loader_encodes_as_python_does(served, tmp_path, kind):
    model, folder = served[kind]
    found = asked(folder, "encode", tmp_path, x=segments())
    np.testing.assert_allclose(found["latent"], model.encode(segments()), atol=1e-5)
    told = model.posterior(segments())
    assert {n for n in found if n.startswith("posterior")} == {
        f"posterior_{factor}" for factor in told
    }
    for factor, posterior in told.items():
        np.testing.assert_allclose(found[f"posterior_{factor}"], posterior, atol=1e-5)


@pytest.mark.parametrize("kind", ["vae", "nf", "fdnf"])
def test_the_c_loader_changes_factors_and_leaves_those_with_minus_one(
    served, tmp_path, kind
):
    model, folder = served[kind]
    to, alpha = codes([1, -1], [-1, 2], [3, 0]), np.float32(0.5)
    found = asked(folder, "manipulate", tmp_path, x=segments(), to=to, alpha=alpha)
    x = segments()
    first = model.manipulate(x[:1], "phone", "phone01", alpha=0.5)
    second = model.manipulate(x[1:2], "speaker", "speaker02", alpha=0.5)
    z = model.shift_latents(model.encode(x[2:]), "phone", codes(3), alpha=0.5)
    third = model.decode(model.shift_latents(z, "speaker", codes(0), alpha=0.5))
    expected = np.concatenate([first, second, third])
    np.testing.assert_allclose(found["x"], expected, atol=1e-4)


def test_a_flow_that_changes_no_factor_returns_its_input(served, tmp_path):
    to = np.full((3, 2), -1, np.int32)
    given = {"x": segments(), "to": to, "alpha": np.float32(1)}
    found = asked(served["fdnf"][1], "manipulate", tmp_path, **given)
    np.testing.assert_allclose(found["x"], segments(), atol=1e-4)


def test_without_noise_the_c_loader_draws_the_middle_of_the_classes(served, tmp_path):
    model, folder = served["fdnf"]
    found = asked(folder, "sample", tmp_path, **drawn(labels=(2, 1), temperature=0))
    middle = model.centres("phone")[2] + model.centres("speaker")[1]
    expected = np.tile(model.decode(middle[None]), (5, 1, 1))
    np.testing.assert_allclose(found["x"], expected, atol=1e-5)


def test_the_seed_says_which_segments_are_drawn(served, tmp_path):
    def draw(**changes):
        return asked(served["fdnf"][1], "sample", tmp_path, **drawn(**changes))["x"]

    first = draw()
    assert first.shape == (5, *SHAPE) and np.isfinite(first).all()
    np.testing.assert_array_equal(draw(), first)
    assert np.abs(draw(seed=8) - first).max() > 0.1


def test_codes_of_drawn_segments_are_normal_around_their_classes(served, tmp_path):
    model, folder = served["fdnf"]
    found = asked(folder, "sample", tmp_path, **drawn(2000, (2, 1), temperature=0.5))
    noise = model.encode(found["x"]) - model.centres("phone")[2]
    noise = np.asarray(noise - model.centres("speaker")[1])
    np.testing.assert_allclose(noise.mean(axis=0), 0, atol=0.05)  # 4 deviations
    np.testing.assert_allclose(noise.std(axis=0), 0.5, atol=0.035)


@pytest.mark.parametrize("kind", ["vae", "nf", "dnf-phone", "fdnf"])
def test_the_c_loader_knows_densities_as_python_does(served, tmp_path, kind):
    model, folder = served[kind]
    labels = codes([1, 2], [-1, 0], [-1, -1])
    found = asked(folder, "log_prob", tmp_path, x=segments(), labels=labels)
    expected = model.log_prob(segments(), labels)
    np.testing.assert_allclose(found["log_prob"], expected, rtol=1e-5, atol=1e-4)


def test_the_c_loader_makes_features_of_sound_as_the_front_end_does(served, tmp_path):
    """So what is served takes waveforms, and no other front end can be meant."""
    about = {"sample_rate": 8000, "window": 64, "hop": 16, "bands": 4, "high_hz": None}
    front = front_end(about | {"spectrum": "mel"})
    given = signatures(served["fdnf"][0], front)
    assert {*given} == {*signatures(served["fdnf"][0])} | {"features"}
    folder = publish(tmp_path / "heard", given)
    sound = np.random.default_rng(0).normal(size=(2, 500)).astype("float32")
    found = asked(folder, "features", tmp_path, waveform=0.1 * sound)
    assert found["x"].shape == (2, 32, 4)
    np.testing.assert_allclose(found["x"], front(0.1 * sound), atol=1e-4)
    sound[1, 7] = np.nan
    done = run(folder, "features", tmp_path, waveform=sound)
    assert done.returncode != 0 and "`waveform` must be finite" in done.stderr


def drawn(count=5, labels=(-1, -1), seed=7, temperature=1.0):
    return {
        "count": np.int32(count),
        "labels": np.array(labels, np.int32),
        "seed": np.array([seed, 0], np.int32),
        "temperature": np.float32(temperature),
    }


def moved(x=None, to=(0, 0), alpha=1.0, rows=3):
    return {
        "x": segments() if x is None else x,
        "to": np.tile(np.array(to, np.int32), (rows, 1)),
        "alpha": np.float32(alpha),
    }


def told(labels, rows=3):
    return {"x": segments(), "labels": np.tile(np.array(labels, np.int32), (rows, 1))}


HOLE = np.where(np.arange(8).reshape(1, *SHAPE) == 5, np.nan, 1).astype("float32")


@pytest.mark.parametrize(
    ("kind", "name", "wrong", "rule"),
    [
        ("fdnf", "encode", {"x": HOLE}, "`x` must be finite"),
        ("fdnf", "manipulate", moved(HOLE, rows=1), "`x` must be finite"),
        ("fdnf", "manipulate", moved(alpha=np.inf), "`alpha` must be finite"),
        ("fdnf", "manipulate", moved(to=(4, 0)), "`to` must be class indices"),
        ("fdnf", "manipulate", moved(to=(0, -2)), "`to` must be class indices"),
        ("fdnf", "manipulate", moved(rows=2), "`to` must have as many rows as `x`"),
        ("dnf-phone", "manipulate", moved(to=(0, 0)), "the model has (phone) or -1"),
        ("fdnf", "sample", drawn(0), "`count` must be between 1 and"),
        ("fdnf", "sample", drawn(MAX_COUNT + 1), "`count` must be between 1 and"),
        ("fdnf", "sample", drawn(labels=(0, 3)), "`labels` must be class indices"),
        ("nf", "sample", drawn(labels=(0, -1)), "the model has (none) or -1"),
        ("fdnf", "sample", drawn(temperature=np.nan), "`temperature` must be finite"),
        ("fdnf", "log_prob", told((0, 3)), "`labels` must be class indices"),
        ("fdnf", "log_prob", told((0, 0), rows=1), "as many rows as `x`"),
    ],
)
def test_a_server_says_why_a_request_is_refused(
    served, tmp_path, kind, name, wrong, rule
):
    done = run(served[kind][1], name, tmp_path, **wrong)
    assert done.returncode != 0 and rule in done.stderr
