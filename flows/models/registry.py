"""Models by name: `vae`, `nf`, `dnf-<factor>` and `fdnf`, new and as runs left them.

All of one run see the same segments and labels. They differ in which classes condition
the base distribution of latents: none (`vae`, `nf`), those of one factor
(`dnf-<factor>`), or those of every factor, each in a part of its own (`fdnf`).
"""

import json
import math
from pathlib import Path

from flows.bijectors import backbones
from flows.bijectors.normalisation import Scaler
from flows.config import FlowModelConfig, SpeechFlowConfig
from flows.data import FACTS
from flows.models.base_distribution import FactorialNormal
from flows.models.flow import Flow
from flows.models.vae import VAE, Perceptron
from timbre.files import verify_sha256
from timbre.training.config import load as load_config
from timbre.training.config import subset
from timbre.training.networks import check_choice

KINDS = ("vae", "nf", "dnf", "fdnf")  # as a config names them
WEIGHTS = ".weights.h5"


def build(
    kind,
    *,
    shape,
    vocabulary,
    backbone=None,
    dims=(),
    residual=None,
    variance="unit",
    vae=None,
    label_dropout=0.0,
    ce_weight=0.0,
    cross_penalty=0.0,
    jitter=0.0,
    seed=0,
):
    """Builds an untrained model.

    Args:
        kind: `"vae"`, `"nf"`, `"dnf-<factor>"` or `"fdnf"`.
        shape: Of a segment, D numbers in all.
        vocabulary: Dict, each factor to the names of its classes.
        backbone: Dict of arguments of `flows.bijectors.backbones.build`.
        dims, residual: Dimensions of the parts of `fdnf`, see `part_dims`.
        variance: See `flows.models.base_distribution.FactorialNormal`.
        vae: Dict of `latent`, `hidden`, `depth`, `beta` and `deviation`, see
            `flows.models.vae.VAE`. Defaults to 32, 256, 2, 1 and a trained one.
        label_dropout, ce_weight, cross_penalty, jitter, seed: See
            `flows.models.flow.Flow`.

    Returns:
        A built `flows.models.latent_model.LatentModel`, not adapted to data.

    Raises:
        ValueError: If there is no such kind, or the dimensions do not sum to D.
    """
    dim, vocabulary = math.prod(shape), dict(vocabulary)
    scaler = Scaler(tuple(shape))
    if kind == "vae":
        vae = {"latent": 32, "hidden": 256, "depth": 2} | (vae or {})
        depth = vae.pop("depth")
        widths = (vae.pop("hidden"),) * depth
        encoder = Perceptron(widths, 2 * vae["latent"], seed)
        decoder = Perceptron(widths, dim, seed + depth + 1)
        return VAE(
            encoder, decoder, scaler, vocabulary, jitter=jitter, seed=seed, **vae
        )
    own = _own(kind, vocabulary)
    classes = tuple(len(vocabulary[factor]) for factor in own)
    if kind == "fdnf":
        dims = part_dims(dim, classes, dims, residual)
    else:
        dims = (dim,) if own else ()
    return Flow(
        backbones.build(dim=dim, dims=dims, seed=seed, **(backbone or {})),
        FactorialNormal(classes, dims, dim - sum(dims), variance),
        scaler,
        vocabulary,
        label_dropout=label_dropout,
        ce_weight=ce_weight,
        cross_penalty=cross_penalty,
        jitter=jitter,
        seed=seed,
        own=own,
    )


def expand_kinds(models, vocabulary):
    """Kinds of models of a run, of `KINDS`; `dnf` becomes one for each factor."""
    found = []
    for kind in models:
        check_choice("models", kind, KINDS)
        found += [f"dnf-{f}" for f in vocabulary] if kind == "dnf" else [kind]
    return found


def part_dims(dim, classes, dims=(), residual=None):
    """Dimensions of the factors' parts.

    Args:
        dim: Of a latent.
        classes: How many classes each factor has.
        dims: As wanted. Defaults to one fewer than classes each, as many as
            discriminate normals of one covariance; if that is more than there is, or
            with a `residual`, to equal parts of what it leaves, the first larger by 1.
        residual: Dimensions of the residual. Defaults to what is left.

    Raises:
        ValueError: If they are not as many as factors, or do not sum to `dim`.
    """
    if not dims and residual is None and sum(classes) - len(classes) <= dim:
        dims = tuple(number - 1 for number in classes)
    elif not dims and classes:
        each, over = divmod(dim - (residual or 0), len(classes))
        dims = tuple(each + (f < over) for f in range(len(classes)))
    left = max(dim - sum(dims), 0) if residual is None else residual
    if len(dims) != len(classes) or sum(dims) + left != dim or min(*dims, left + 1) < 1:
        raise ValueError(
            f"`dims` must be {len(classes)} numbers, 1 or more, that sum to {dim} with "
            f"`residual`. Received: {tuple(dims)} and {left}, {sum(dims) + left} in all"
        )
    return tuple(dims)


def weights_file(kind):
    """Name of the file of a model's weights in a run folder."""
    return f"{kind}{WEIGHTS}"


def list_kinds(run_folder):
    """The models whose weights are in a run folder, in the order of `KINDS`."""
    files = [path.name for path in Path(run_folder).glob(f"*{WEIGHTS}")]
    kinds = sorted(name.removesuffix(WEIGHTS) for name in files)
    return [k for family in KINDS for k in kinds if k.partition("-")[0] == family]


def load(run_folder, kind="fdnf"):
    """Loads one of the models of a run folder of `train_flow.py`.

    Raises:
        FileNotFoundError: If there is no such run, or no finished model of this kind.
        ValueError: If the weights are not those the run has written, or of another
            version of the model.
    """
    folder, weights = Path(run_folder), weights_file(kind)
    needed = ("config.json", FACTS, weights, f"{weights}.sha256")
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"Expected a finished run of `train_flow.py` with {', '.join(needed)}. "
            f"Received: {folder}, without {', '.join(missing)}"
        )
    config = load_config(SpeechFlowConfig, folder)
    facts = json.loads((folder / FACTS).read_text("utf-8"))
    verify_sha256(folder / weights)
    model = build(kind, **arguments(config, facts))
    try:
        model.load_weights(folder / weights)
    except ValueError as error:
        raise ValueError(
            "Weights must be those of the model that the run's config describes; train "
            "again what another version has trained. Received: "
            f"{folder / weights} ({error})"
        ) from error
    return model


def arguments(config, facts):
    """Arguments of `build` by a `SpeechFlowConfig` and what the data decided."""
    of_data = {name: facts[name] for name in ("shape", "vocabulary")}
    return {**subset(config, FlowModelConfig), "seed": config.seed, **of_data}


def _own(kind, vocabulary):
    """The factors whose classes a kind of flow is trained with."""
    known = {"nf": (), "fdnf": tuple(vocabulary)}
    known |= {f"dnf-{factor}": (factor,) for factor in vocabulary}
    if kind not in known:
        raise ValueError(f"`kind` must be one of {('vae', *known)}. Received: {kind!r}")
    if kind == "fdnf" and not vocabulary:
        raise ValueError("`fdnf` needs factors. Received: an empty vocabulary")
    return known[kind]
