"""Stand-ins for trained models, data, results and run folders."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from flows import __main__ as cli
from flows.data import Rows
from timbre.corpora.embeddings import EmbeddingSet
from timbre.files import sha256

VOCABULARY = {"phone": ("a", "i", "s"), "speaker": ("F01", "M02")}
PLAN = {
    "data": {"path": "", "source": "spectra"},
    "segment": {},
    "pairs": 50,
    "seed": 4,
}
COLUMNS = ("before", "after", "change")


class Model:
    """A coder whose code is the segment, and whose classes are loudness.

    A class is 10 more than the one before it, in all numbers of a factor's half of the
    bands; what is moved is thus known to the bit.
    """

    def __init__(self, shape=(4, 6), vocabulary=None, factors=None, divided=True):
        self.shape, self.vocabulary = shape, vocabulary or VOCABULARY
        self.factors, self.divided = factors or tuple(self.vocabulary), divided

    def half(self, factor):
        mask = np.zeros(self.shape, np.float32)
        middle = self.shape[-1] // 2
        place = [slice(0, middle), slice(middle, None)][factor == "speaker"]
        mask[..., place] = 1
        return mask

    def encode(self, x):
        from keras import ops

        return ops.reshape(x, (ops.shape(x)[0], int(np.prod(self.shape))))

    def split_latents(self, z):
        if not self.divided:
            return {"code": z}
        middle = z.shape[1] // 2
        return {"phone": z[:, :middle], "speaker": z[:, middle:]}

    def enrol(self, x, factor):
        return (np.mean(x, axis=0) * self.half(factor)).ravel()

    def manipulate(self, x, factor, to, *, source=None, alpha=1.0):
        from keras import ops

        def centre(given):
            if given is None:
                return 0.0
            if isinstance(given, str):
                given = self.vocabulary[factor].index(given)
            given = ops.convert_to_tensor(given)
            if "int" in str(given.dtype):
                given = ops.cast(given, "float32")
                given = ops.reshape(given, (-1,) + (1,) * len(self.shape))
                return 10 * given * self.half(factor)
            return ops.reshape(given, self.shape)

        return x + alpha * (centre(to) - centre(source))

    def count_params(self):
        return 1234


def rows(count=24, shape=(4, 6), seed=0):
    rng = np.random.default_rng(seed)
    labels = np.stack([np.arange(count) % 3, np.arange(count) % 2], 1).astype("int32")
    x = rng.normal(size=(count, *shape)).astype("float32")
    names = np.array([f"r{i}" for i in range(count)])
    return Rows(x, labels, names, np.array(["F01"] * count))


def parts(**told):
    each = rows(**told)
    about = {"source": "synthetic", "name": "a | name"}
    return SimpleNamespace(
        train=each,
        valid=each,
        test=each,
        unseen=None,
        vocabulary=VOCABULARY,
        about=about,
        facts={"vocabulary": {}, "shape": [], "about": about, "sha256": {}},
    )


def row(before, after):
    return dict(zip(COLUMNS, (before, after, after - before), strict=True))


def structure(own):
    return {
        "fisher": 3.0 * own,
        "knn": 0.25 + 0.5 * own,
        "silhouette": 0.1,
        "probe": 0.3 + 0.5 * own,
        "chance": 0.25,
    }


def results(after=None, harm=None, factors=("phone", "speaker")):
    """Results of four models of each factor; `f-DNF` leads unless told otherwise.

    Args:
        after: Dict, kind to target posterior; `dnf` stands for that of the factor.
        harm: Dict, kind to what other factors lose.
        factors: Names of factors.
    """
    after = {"vae": 0.3, "nf": 0.4, "dnf": 0.6, "fdnf": 0.7} | (after or {})
    harm = {"vae": 0.2, "nf": 0.15, "dnf": 0.3, "fdnf": 0.05} | (harm or {})
    manipulation = {
        factor: {
            f"dnf-{factor}" if kind == "dnf" else kind: {
                "pairs": 1000,
                "target": row(0.01, after[kind]),
                "others": {
                    other: row(0.6, 0.6 - harm[kind])
                    for other in factors
                    if other != factor
                },
            }
            for kind in after
        }
        for factor in factors
    }
    kinds = ("vae", "nf", *(f"dnf-{factor}" for factor in factors), "fdnf")
    bits = {"test": 1.25, "unseen": None, "given": {"test": 1.125, "unseen": None}}
    models = {
        kind: {
            "bits": bits | ({"bound": True} if kind == "vae" else {}),
            "round_trip": 2e-6,
            "bayes": dict.fromkeys(factors, 0.875),
            "parts": {
                part: {
                    factor: structure(part in ("code", factor)) for factor in factors
                }
                for part in ("code", *(factors if kind == "fdnf" else ()))
            },
            "gaussianity": {
                factor: {"ks": 0.05, "kurtosis": 0.5} for factor in factors
            },
        }
        for kind in kinds
    }
    return {
        "factors": dict.fromkeys(factors, 3),
        "sizes": {"train": 100, "valid": 10, "test": 20, "unseen": 0, "dim": 24},
        "probes": {factor: {"accuracy": 0.9, "chance": 0.3} for factor in factors},
        "manipulation": manipulation,
        "models": models,
        "verification": {},
        "notes": ["a note"],
    }


def call(*arguments):
    cli.main([str(argument) for argument in arguments])


def refused(*arguments):
    """The one line that a refusal is, which is no traceback."""
    with pytest.raises(SystemExit) as end:
        call(*arguments)
    assert isinstance(end.value.code, str) and "\n" not in end.value.code
    return end.value.code


def leave(folder, about, kinds=("nf", "fdnf")):
    """A folder as a run leaves it, whose weights are nothing."""
    folder.mkdir()
    facts = {"about": about, "sha256": {"train": "0"}}
    (folder / "flow.json").write_text(json.dumps(facts))
    (folder / "config.json").write_text(json.dumps({"config": PLAN}))
    for kind in kinds:
        path = folder / f"{kind}.weights.h5"
        path.write_bytes(kind.encode())
        path.with_name(f"{path.name}.sha256").write_text(sha256(path))
    return folder


def embeddings(path, dim=6, count=5, **about):
    points = np.random.default_rng(1).normal(size=(count, dim)).astype("float32")
    labels = {"speaker": np.array(["F01"] * count), "phone": np.array(["a"] * count)}
    who = np.array([f"who{i}" for i in range(count)])
    EmbeddingSet(points, who, np.full(count, ""), about, labels).save(path)
    return path
