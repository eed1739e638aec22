"""Models by name, and those that a run has left."""

import dataclasses
import json
import shutil

import h5py
import numpy as np
import pytest

from flows import config as settings
from flows import data
from flows.models import registry
from flows.models.flow import Flow
from flows.models.vae import VAE
from tests.flows import small
from timbre import files
from timbre.training.config import load as load_config


def test_kinds_are_what_they_are_called():
    made = {kind: small.untrained(kind) for kind in (*small.KINDS, "dnf-speaker")}
    assert isinstance(made["vae"], VAE) and made["vae"].latent == 4
    bases = {kind: made[kind].base for kind in made if isinstance(made[kind], Flow)}
    shapes = {k: (base.classes, base.dims, base.residual) for k, base in bases.items()}
    assert shapes == {
        "nf": ((), (), 6),
        "dnf-phone": ((3,), (6,), 0),
        "dnf-speaker": ((2,), (6,), 0),
        "fdnf": ((3, 2), (2, 1), 3),
    }
    assert made["dnf-speaker"].own == ("speaker",) and made["nf"].own == ()


def test_names_are_those_of_a_run():
    found = registry.expand_kinds(("vae", "nf", "dnf", "fdnf"), small.VOCABULARY)
    assert found == ["vae", "nf", "dnf-phone", "dnf-speaker", "fdnf"]
    with pytest.raises(ValueError, match="gan"):
        registry.expand_kinds(("gan",), small.VOCABULARY)


@pytest.mark.parametrize(
    "given, expected",
    [
        ((800, (36, 22)), (35, 21)),
        ((56, (36, 22)), (35, 21)),
        ((55, (36, 22)), (28, 27)),
        ((800, (36, 22), (), 0), (400, 400)),
        ((7, (3, 3, 9)), (3, 2, 2)),
        ((8, (2, 2, 2), (), 3), (2, 2, 1)),
        ((7, (9, 9), (5, 1), 1), (5, 1)),
        ((7, (9, 9), (3, 2)), (3, 2)),
        ((3, (2, 2, 2)), (1, 1, 1)),
    ],
)
def test_parts_are_of_one_fewer_than_classes_or_equal_or_as_wanted(given, expected):
    assert registry.part_dims(*given) == expected


@pytest.mark.parametrize(
    "given, received",
    [
        ((6, (3, 2), (3, 2), 0), r"sum to 6 .*Received: \(3, 2\) and 0, 5 in all"),
        ((6, (3, 2), (3, 3), 1), "7 in all"),
        ((6, (3, 2), (4, 3)), r"sum to 6 .*Received: \(4, 3\) and 0, 7 in all"),
        ((6, (3, 2), (6,)), "2 numbers"),
        ((6, (3, 2), (4, 3), -1), "and -1, 6 in all"),
        ((6, (3, 2), (7, -1)), "1 or more"),
        ((1, (3, 2)), "1 or more"),
        ((6, (3, 2), (), 6), "1 or more"),
    ],
)
def test_parts_that_do_not_fit_are_refused(given, received):
    with pytest.raises(ValueError, match=received):
        registry.part_dims(*given)


@pytest.mark.parametrize("kind", ["gan", "dnf", "dnf-mood"])
def test_an_unknown_kind_is_refused(kind):
    with pytest.raises(ValueError, match="'dnf-phone'.* Received: "):
        small.untrained(kind)


def test_a_seed_makes_the_same_model():
    x, labels = small.rows(5)
    for kind in ("vae", "fdnf"):
        first, same, other = (small.model(kind, seed=seed) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first.encode(x), same.encode(x))
        assert np.abs(first.encode(x) - other.encode(x)).max() > 0.01


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What a run leaves of one model, and the model."""
    folder = tmp_path_factory.mktemp("run")
    config = settings.SpeechFlowConfig(
        backbone=settings.BackboneConfig(steps=1, hidden=8), jitter=0.1, residual=2
    )
    saved = json.dumps({"config": dataclasses.asdict(config)})
    facts = {"shape": list(small.SHAPE), "about": {}, "vocabulary": small.VOCABULARY}
    (folder / "config.json").write_text(saved)
    (folder / registry.FACTS).write_text(json.dumps(facts))
    model = registry.build("fdnf", **registry.arguments(config, facts))
    model.adapt(*small.rows())
    weights = folder / registry.weights_file("fdnf")
    model.save_weights(weights)
    (folder / f"{weights.name}.sha256").write_text(files.sha256(weights))
    return folder, model


def test_a_run_gives_back_its_model(run):
    folder, model = run
    copy, (x, labels) = registry.load(folder), small.rows(5)
    np.testing.assert_array_equal(copy.log_prob(x, labels), model.log_prob(x, labels))
    assert copy.adapted and copy.jitter == 0.1 and copy.base.residual == 2
    assert copy.vocabulary == small.VOCABULARY


def test_weights_of_another_version_are_refused_in_words(run, tmp_path):
    """As of a model whose code was not cut, and so not turned."""
    folder = tmp_path / "old"
    shutil.copytree(run[0], folder)
    config = load_config(settings.SpeechFlowConfig, folder)
    facts = json.loads((folder / registry.FACTS).read_text())
    weights = folder / registry.weights_file("fdnf")
    registry.build("nf", **registry.arguments(config, facts)).save_weights(weights)
    (folder / f"{weights.name}.sha256").write_text(files.sha256(weights))
    with pytest.raises(ValueError, match="train again .* Received: .*old"):
        registry.load(folder)


def test_a_runs_models_are_named_in_order(tmp_path):
    names = ("fdnf", "dnf-b", "vae", "dnf-a", "gan", "nf")
    for name in names:
        (tmp_path / registry.weights_file(name)).touch()
    assert registry.list_kinds(tmp_path) == ["vae", "nf", "dnf-a", "dnf-b", "fdnf"]
    assert registry.FACTS is data.FACTS


def test_a_run_without_the_model_is_refused(run, tmp_path):
    with pytest.raises(FileNotFoundError, match="without vae.weights.h5"):
        registry.load(run[0], "vae")
    with pytest.raises(FileNotFoundError, match="without config.json, flow.json"):
        registry.load(tmp_path)


def test_other_weights_than_the_runs_are_refused(run):
    folder, _ = run
    stated = folder / "fdnf.weights.h5.sha256"
    before = stated.read_text()
    stated.write_text("0" * 64)
    with pytest.raises(ValueError, match="not those the run has written"):
        registry.load(folder)
    stated.write_text(before)


@pytest.mark.parametrize(
    ("kind", "own"),
    [
        (
            "fdnf",
            {
                "base/vars",
                "bijector/bijectors/act_norm/vars",
                "bijector/bijectors/act_norm_1/vars",
                "bijector/bijectors/permutation/vars",
                "bijector/bijectors/affine_coupling/conditioner/dense/dense/vars",
                "bijector/bijectors/alignment/vars",
            },
        ),
        ("vae", {"averages/vars", "encoder/_layers_in_turn/dense/vars"}),
    ],
)
def test_paths_of_weights_on_disk_stay_what_they_are(kind, own, tmp_path):
    """Keras derives them from names of attributes, and of classes in lists.

    The layers of a model are such a list, and so `Scaler` is in a path.
    """
    model = small.untrained(kind, backbone={"steps": 2, "hidden": 8})
    model.save_weights(tmp_path / "model.weights.h5")
    found = set()
    with h5py.File(tmp_path / "model.weights.h5") as file:
        file.visititems(lambda name, _: found.add(name))
    assert own | {"layers/scaler/vars", "vars"} <= found, sorted(found)
