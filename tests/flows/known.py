"""Rows, probes and models whose virtues and faults are known by hand.

Rows are `[phone part, speaker part]`, two numbers each, of three phones and two
speakers that are far apart; the probes know the true densities.
"""

import dataclasses
import math

import numpy as np
from keras import ops
from scipy.special import softmax

VOCABULARY = {"phone": ("a", "b", "c"), "speaker": ("p", "q")}
CENTRES = {
    "phone": np.array([[10.0, 0.0], [0.0, 10.0], [-10.0, -10.0]]),
    "speaker": np.array([[10.0, 0.0], [-10.0, 0.0]]),
}
PLACES = {"phone": slice(0, 2), "speaker": slice(2, 4)}


@dataclasses.dataclass
class Rows:
    x: np.ndarray
    labels: np.ndarray
    speaker: np.ndarray
    recording: np.ndarray = None

    def __post_init__(self):
        if self.recording is None:  # each row is its own
            self.recording = np.arange(len(self.x)).astype(str)

    def __len__(self):
        return len(self.x)

    def subset(self, index):
        return Rows(*(v[index] for v in vars(self).values()))


@dataclasses.dataclass
class Parts:
    train: Rows
    valid: Rows
    test: Rows
    unseen: Rows | None
    vocabulary: dict = dataclasses.field(default_factory=lambda: VOCABULARY)
    about: dict = dataclasses.field(default_factory=lambda: {"source": "synthetic"})


def rows_of(rng, each=10):
    """Every phone of every speaker equally often, shaped as segments are."""
    labels = np.array([(k, s) for k in range(3) for s in range(2)] * each)
    x = np.concatenate([CENTRES[f][labels[:, i]] for i, f in enumerate(CENTRES)], 1)
    x = (x + rng.normal(size=x.shape)).astype("float32").reshape(-1, 2, 2)
    return Rows(x, labels.astype("int32"), np.array(["p", "q"])[labels[:, 1]])


class Probe:
    """Knows the truth about one factor."""

    mean, deviation = np.zeros(4, "float32"), np.ones(4, "float32")

    def __init__(self, factor):
        self.factor = factor
        self.num_classes = len(CENTRES[factor])

    def posterior(self, x):
        part = np.reshape(x, (len(x), 4)).astype(float)[:, PLACES[self.factor]]
        distance = ((part[:, None] - CENTRES[self.factor]) ** 2).sum(axis=-1)
        assert np.isfinite(distance).all()
        return softmax(-distance / 2, axis=1)

    def accuracy(self, x, labels):
        return float((self.posterior(x).argmax(axis=1) == labels).mean())


PROBES = {factor: Probe(factor) for factor in VOCABULARY}


class Halves:
    """A perfect factorial flow: codes are rows, twice as large."""

    vocabulary, factors, divides, scale = VOCABULARY, ("phone", "speaker"), True, 2.0

    def encode(self, x):
        return self.scale * ops.reshape(x, (-1, 4))

    def decode(self, z):
        return ops.reshape(z / self.scale, (-1, 2, 2))

    def split_latents(self, z):
        if not self.divides:
            return {"code": z}
        return {factor: z[:, place] for factor, place in PLACES.items()}

    def centres(self, factor):
        centres = np.zeros((len(CENTRES[factor]), 4), "float32")
        centres[:, PLACES[factor]] = self.scale * CENTRES[factor]
        return centres

    def manipulate(self, x, factor, to, *, source):
        centres = ops.convert_to_tensor(self.centres(factor))
        return self.decode(
            self.encode(x)
            + ops.take(centres, to, axis=0)
            - ops.take(centres, source, 0)
        )

    def posterior(self, x):
        z, found = self.encode(x), {}
        for factor in self.factors:
            apart = ops.square(z[:, None] - self.centres(factor))[..., PLACES[factor]]
            found[factor] = ops.softmax(-ops.sum(apart, axis=-1) / (2 * self.scale**2))
        return found

    def log_prob(self, x, labels):
        """Codes are N(centre, 1): what is twice as large costs 4 log 2 less."""
        z, found = self.encode(x), 4 * math.log(self.scale)
        for i, factor in enumerate(VOCABULARY):
            apart = ops.square(z[:, None] - Halves.centres(self, factor))
            apart = ops.sum(apart[..., PLACES[factor]], axis=-1)
            each = -apart / 2 - math.log(2 * math.pi)
            mixture = ops.logsumexp(each, axis=-1) - math.log(each.shape[-1])
            label = labels[:, i]
            own = ops.take_along_axis(each, ops.maximum(label, 0)[:, None], axis=1)
            found = found + ops.where(label < 0, mixture, own[:, 0])
        return found


class Whole(Halves):
    """An undivided code, in which another phone lies towards another speaker."""

    divides = False

    def centres(self, factor):
        centres = super().centres(factor)
        if factor == "phone":
            centres[:, 2] = [0, 40, 80]  # rows: 0, 20 and 40 along the speakers
        return centres


class OfPhones(Whole):
    """A discriminative flow: knows phones, and of speakers nothing."""

    factors = ("phone",)

    def centres(self, factor):
        assert factor == "phone"
        return super().centres(factor)

    def log_prob(self, x, labels):
        return Halves().log_prob(x, labels)


class Blurred(Halves):
    """No exact inverse, and a bound only."""

    def decode(self, z):
        return super().decode(z) + 0.1 * ops.convert_to_tensor([[3.0, 4.0], [0.0, 0.0]])

    def elbo(self, x):
        return self.log_prob(x, ops.full((ops.shape(x)[0], 2), -1))


class Bursting(Halves):
    """Of phone b it makes something that is no sound."""

    def manipulate(self, x, factor, to, *, source):
        found = super().manipulate(x, factor, to, source=source)
        bad = ops.reshape(ops.logical_and(to == 1, factor == "phone"), (-1, 1, 1))
        return ops.where(bad, float("nan"), found)


def parts(rng):
    """Four such sets; of the unseen nobody knows the speaker."""
    sets = [rows_of(rng) for _ in range(4)]
    sets[3].labels[:, 1] = -1
    return Parts(*sets)
