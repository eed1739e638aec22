"""Exported models of segments, asked without a line of this project."""

import numpy as np
import pytest

from flows.models import registry
from flows.segments.features import front_end
from flows.signatures import MAX_COUNT, signatures
from tests.flows.runs import make
from tests.timbre.serving.loading import run, run_several
from timbre.serving.publish import publish

pytestmark = pytest.mark.slow
SHAPE = (2, 4)
KINDS = ("vae", "nf", "dnf-phone", "fdnf")
MOVED = ("vae", "nf", "fdnf")
FRONT = {"sample_rate": 8000, "window": 64, "hop": 16, "bands": 4, "high_hz": None}
FRONT |= {"spectrum": "mel"}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Each model by its kind, and the folder of its exported version."""
    folder = tmp_path_factory.mktemp("flows")
    make(folder / "run", KINDS)
    found = {}
    for kind in KINDS:
        model = registry.load(folder / "run", kind)
        front = front_end(FRONT) if kind == "fdnf" else None
        found[kind] = model, publish(folder / kind, signatures(model, front))
    return found


@pytest.fixture(scope="module")
def asked(served, tmp_path_factory):
    """What the C loader answers to each request: why it refuses it, arrays by name."""
    requests = {
        key: (served[kind][1], name, inputs)
        for key, (kind, name, inputs) in (ANSWERED | REFUSED).items()
    }
    return run_several(requests, tmp_path_factory.mktemp("asked"))


@pytest.fixture
def answers(asked):
    """The answers to requests that none is refused of, by name."""
    assert not [why for key in ANSWERED if (why := asked[key][0])]
    return {key: asked[key][1] for key in ANSWERED}


def segments(count=3, seed=0):
    return np.random.default_rng(seed).normal(size=(count, *SHAPE)).astype("float32")


def codes(*values):
    return np.array(values, np.int32)


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
SHIFTED = {**moved(alpha=0.5), "to": codes([1, -1], [-1, 2], [3, 0])}
SOUND = 0.1 * np.random.default_rng(0).normal(size=(2, 500)).astype("float32")
LABELS = codes([1, 2], [-1, 0], [-1, -1])
# What the models are asked: kind, signature, inputs.
ANSWERED = {
    **{f"encode {kind}": (kind, "encode", {"x": segments()}) for kind in KINDS},
    **{f"manipulate {kind}": (kind, "manipulate", SHIFTED) for kind in MOVED},
    **{
        f"log_prob {kind}": (kind, "log_prob", {"x": segments(), "labels": LABELS})
        for kind in KINDS
    },
    "no factor": ("fdnf", "manipulate", moved(to=(-1, -1))),
    "middle": ("fdnf", "sample", drawn(labels=(2, 1), temperature=0)),
    "first": ("fdnf", "sample", drawn()),
    "again": ("fdnf", "sample", drawn()),
    "other seed": ("fdnf", "sample", drawn(seed=8)),
    "features": ("fdnf", "features", {"waveform": SOUND}),
    "many": ("fdnf", "sample", drawn(2000, (2, 1), temperature=0.5)),
}
WRONG = [
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
]
REFUSED = {i: request[:3] for i, request in enumerate(WRONG)}


@pytest.mark.parametrize("kind", KINDS)
def test_the_c_loader_encodes_as_python_does(served, answers, kind):
    model, found = served[kind][0], answers[f"encode {kind}"]
    np.testing.assert_allclose(found["latent"], model.encode(segments()), atol=1e-5)
    told = model.posterior(segments())
    assert {n for n in found if n.startswith("posterior")} == {
        f"posterior_{factor}" for factor in told
    }
    for factor, posterior in told.items():
        np.testing.assert_allclose(found[f"posterior_{factor}"], posterior, atol=1e-5)


@pytest.mark.parametrize("kind", MOVED)
def test_the_c_loader_changes_factors_and_leaves_those_with_minus_one(
    served, answers, kind
):
    model, found = served[kind][0], answers[f"manipulate {kind}"]
    x = segments()
    first = model.manipulate(x[:1], "phone", "phone01", alpha=0.5)
    second = model.manipulate(x[1:2], "speaker", "speaker02", alpha=0.5)
    z = model.shift_latents(model.encode(x[2:]), "phone", codes(3), alpha=0.5)
    third = model.decode(model.shift_latents(z, "speaker", codes(0), alpha=0.5))
    expected = np.concatenate([first, second, third])
    np.testing.assert_allclose(found["x"], expected, atol=1e-4)


def test_a_flow_that_changes_no_factor_returns_its_input(answers):
    np.testing.assert_allclose(answers["no factor"]["x"], segments(), atol=1e-4)


def test_without_noise_the_c_loader_draws_the_middle_of_the_classes(served, answers):
    model, found = served["fdnf"][0], answers["middle"]
    middle = model.centres("phone")[2] + model.centres("speaker")[1]
    expected = np.tile(model.decode(middle[None]), (5, 1, 1))
    np.testing.assert_allclose(found["x"], expected, atol=1e-5)


def test_the_seed_says_which_segments_are_drawn(answers):
    first, again, other = (answers[k]["x"] for k in ("first", "again", "other seed"))
    assert first.shape == (5, *SHAPE) and np.isfinite(first).all()
    np.testing.assert_array_equal(again, first)
    assert np.abs(other - first).max() > 0.1


def test_codes_of_drawn_segments_are_normal_around_their_classes(served, answers):
    model, found = served["fdnf"][0], answers["many"]
    noise = model.encode(found["x"]) - model.centres("phone")[2]
    noise = np.asarray(noise - model.centres("speaker")[1])
    np.testing.assert_allclose(noise.mean(axis=0), 0, atol=0.05)  # 4 deviations
    np.testing.assert_allclose(noise.std(axis=0), 0.5, atol=0.035)


@pytest.mark.parametrize("kind", KINDS)
def test_the_c_loader_knows_densities_as_python_does(served, answers, kind):
    model, found = served[kind][0], answers[f"log_prob {kind}"]
    expected = model.log_prob(segments(), LABELS)
    np.testing.assert_allclose(found["log_prob"], expected, rtol=1e-5, atol=1e-4)


def test_the_c_loader_makes_features_of_sound_as_the_front_end_does(
    served, answers, tmp_path
):
    """So what is served takes waveforms, and no other front end can be meant."""
    (model, folder), front = served["fdnf"], front_end(FRONT)
    assert {*signatures(model, front)} == {*signatures(model)} | {"features"}
    assert answers["features"]["x"].shape == (2, 32, 4)
    np.testing.assert_allclose(answers["features"]["x"], front(SOUND), atol=1e-4)
    spoilt = SOUND.copy()
    spoilt[1, 7] = np.nan
    done = run(folder, "features", tmp_path, waveform=spoilt)
    assert done.returncode != 0 and "`waveform` must be finite" in done.stderr


@pytest.mark.parametrize("number", REFUSED)
def test_a_server_says_why_a_request_is_refused(asked, number):
    why, found = asked[number]
    assert WRONG[number][3] in why and {*found} == {*WRONG[number][2]}
