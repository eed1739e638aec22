"""Voices that never existed, as their users meet them: arrays in, arrays out."""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from diffusion import samplers
from diffusion.spacing import sampling_times
from diffusion.speakers import model as models
from diffusion.speakers import sampling
from timbre.files import verify_sha256

FACTS = "voices.json"  # what the set decided: dimensions, labels, who was in which part
MAX_COSINE = 0.7  # cosine that another voice stays below (Meyer et al., 2022)
WEIGHTS = "model.weights.h5"


class SpeakerGenerator:
    """Draws, mixes and replaces voices.

    Args:
        model: A trained `diffusion.speakers.model.SpeakerDiffusion`.
        about: Dict that says what it is. Defaults to nothing known.
        **drawing: Defaults of `generate` and the others: `sampler` (a name of
            `diffusion.samplers`), `steps`, `spacing`, `eta`, `variance`, `clip`.

    Example:
        ```python
        voices = SpeakerGenerator.load("runs/speakers")
        new = voices.generate(100, seed=1)  # [100, dim]
        path = voices.interpolate(new[0], new[1], num=9)
        ```
    """

    def __init__(self, model, about=None, **drawing):
        self.model, self.about = model, dict(about or {})
        self.sampling = {"sampler": "dpm_solver", "steps": 20, "spacing": "linspace"}
        self.sampling |= drawing
        self._graphs = {}

    @classmethod
    def load(cls, path):
        """Loads the run folder that `train_diffusion.py speakers` has left.

        Raises:
            FileNotFoundError: If there is none at `path`, or it is not finished.
            ValueError: If the weights are not those the run has written.
        """
        path = Path(path)
        needed = ("config.json", FACTS, WEIGHTS, f"{WEIGHTS}.sha256")
        missing = [name for name in needed if not (path / name).is_file()]
        if missing:
            raise FileNotFoundError(
                "Expected a finished run of `train_diffusion.py speakers`, with "
                f"{', '.join(needed)}. Received: {path}, without {', '.join(missing)}"
            )
        config = json.loads((path / "config.json").read_text("utf-8"))["config"]
        facts = json.loads((path / FACTS).read_text("utf-8"))
        digest = verify_sha256(path / WEIGHTS)
        model = models.build(**model_arguments(config, facts))
        model.load_weights(path / WEIGHTS)
        about = dict(facts["about"])
        if "sha256" in about:  # of what made the embeddings, not of what makes voices
            about["extractor_sha256"] = about.pop("sha256")
        about |= {"generator": path.resolve().name, "sha256": digest}
        return cls(model, about, **config["sampling"])

    @property
    def dim(self):
        """Number of dimensions of a voice."""
        return self.model.dim

    def generate(self, count, seed=0, *, labels=None, weight=0.0, **drawing):
        """Draws voices.

        Args:
            count: How many.
            seed: Which; the first of many are those of few. Defaults to `0`.
            labels: Dict of a label's name to its value, for all; or int32
                `[count, num_labels]`. Defaults to unknown.
            weight: How much more than learned the labels count. Defaults to `0`.
            **drawing: Replaces what the constructor was given.

        Returns:
            float32 `[count, dim]`.
        """
        if count < 1:
            raise ValueError(f"`count` must be at least 1. Received: {count}")

        def draw(count, seed, labels, weight, **drawing):
            weight = weight if guided else 0.0  # which spares half of the calls
            told = {"labels": labels, "weight": weight, **drawing}
            return sampling.generate(self.model, count, seed, **told)

        labels, guided = self._codes(labels, count), weight != 0
        inputs = count, stateless_seed(seed), labels, float(weight)
        return self._run(draw, drawing, *inputs, name=guided)

    def encode(self, embeddings, *, labels=None, **drawing):
        """The noise that `decode` makes these voices of, nearly; float32 `[n, dim]`."""
        embeddings = self._checked(embeddings)

        def invert(embedding, labels, times, sampler, clip):
            return sampling.encode(self.model, embedding, times=times, labels=labels)

        labels = self._codes(labels, len(embeddings))
        return self._run(invert, drawing, embeddings, labels)

    def decode(self, noise, *, labels=None, weight=0.0, seed=0, **drawing):
        """The voices that deterministic samplers make of noise `[n, dim]`."""
        noise = self._checked(noise)

        def draw(noise, seed, labels, weight, **drawing):
            weight = weight if guided else 0.0
            denoise = sampling.denoise_function(self.model, labels, weight)
            return sampling.decode(self.model, noise, seed, denoise, **drawing)

        labels, guided = self._codes(labels, len(noise)), weight != 0
        inputs = noise, stateless_seed(seed), labels, float(weight)
        return self._run(draw, drawing, *inputs, name=guided)

    def interpolate(self, a, b, num=9, **drawing):
        """Voices on the way from one to the other, by way of the noise they come from.

        Args:
            a, b: Embeddings `[dim]`.
            num: How many, both ends included. Defaults to `9`.

        Returns:
            float32 `[num, dim]`; the ends are `a` and `b` as far as inversion goes.
        """
        if num < 2:
            raise ValueError(f"`num` must be at least 2. Received: {num}")
        drawing = self._reversible(drawing)
        noise = self.encode(np.stack([a, b]), **drawing)
        shares = np.linspace(0, 1, num, dtype=np.float32)[:, None]
        return self.decode(sampling.slerp(*noise, shares).numpy(), **drawing)

    def edit(self, embeddings, labels, *, before=None, weight=0.0, **drawing):
        """The same voices with other labels: into noise as they are, out as asked.

        Args:
            embeddings: `[n, dim]`.
            labels: What they shall become, as for `generate`.
            before: What they are. Defaults to unknown.
            weight: See `generate`.
        """
        drawing = self._reversible(drawing)
        noise = self.encode(embeddings, labels=before, **drawing)
        return self.decode(noise, labels=labels, weight=weight, **drawing)

    def anonymise(self, embeddings, seed=0, *, limit=MAX_COSINE, weight=1.0, **drawing):
        """Another voice for each row, below a cosine to it. Not a promise of privacy.

        Args:
            embeddings: `[n, dim]`.
            seed: Which. Defaults to `0`.
            limit: The cosine. Defaults to `0.7`.
            weight: Of the steering away, see `diffusion.guidance.away`.

        Returns:
            New voices float32 `[n, dim]`, and their cosines to the old ones `[n]`.
        """
        embeddings = self._checked(embeddings)
        sampling.check_limit(limit)

        def replace(embedding, seed, weight, **drawing):
            told = {"limit": limit, "weight": weight, **drawing}
            return sampling.anonymise(self.model, embedding, seed, **told)

        return self._run(
            replace,
            drawing,
            embeddings,
            stateless_seed(seed),
            float(weight),
            name=limit,
        )

    def sampler(self, **drawing):
        """What draws, out of the defaults and their replacements.

        Returns:
            Times int32, a sampler, and the bound on clean estimates or `None`.
        """
        given = self.sampling | drawing
        own = {"ddim": ("eta",), "ddpm": ("variance",)}.get(given["sampler"], ())
        made = samplers.build(
            given["sampler"], **{name: given[name] for name in own if name in given}
        )
        times = sampling_times(self.model.schedule, given["steps"], given["spacing"])
        return times, made, given.get("clip")

    def _reversible(self, drawing):
        """The sampler that inversion inverts, in steps narrow enough for it."""
        steps = min(100, self.model.schedule.steps)
        return {"sampler": "ddim", "eta": 0.0, "steps": steps, **drawing}

    def _run(self, function, drawing, *inputs, name=None):
        """Runs a function as a graph that is kept for the next call of its kind."""
        times, sampler, clip = self.sampler(**drawing)
        kind = (function.__qualname__, sampler, clip, name)
        if kind not in self._graphs:

            def graph(times, *inputs):
                return function(*inputs, times=times, sampler=sampler, clip=clip)

            self._graphs[kind] = tf.function(graph, reduce_retracing=True)
        inputs = [tf.convert_to_tensor(value) for value in inputs]
        results = self._graphs[kind](times, *inputs)
        return tf.nest.map_structure(lambda tensor: tensor.numpy(), results)

    def _codes(self, labels, count):
        """Labels as int32 `[count, num_labels]`."""
        vocabulary = self.model.vocabulary
        if labels is None or isinstance(labels, dict):
            codes = [class_indices(vocabulary, labels or {})] * count
            return np.array(codes, np.int32).reshape(count, len(vocabulary))
        labels = np.asarray(labels, np.int32)
        if labels.shape != (count, len(vocabulary)):
            raise ValueError(
                f"`labels` must be [{count}, {len(vocabulary)}]. "
                f"Received: shape {labels.shape}"
            )
        most = [len(values) for values in vocabulary.values()]
        if (labels < -1).any() or (labels >= most).any():
            raise ValueError(
                f"`labels` must be -1, unknown, or below {most}. "
                f"Received: {labels.min()} to {labels.max()}"
            )
        return labels

    def _checked(self, points):
        points = np.asarray(points, np.float32)
        if points.ndim != 2 or points.shape[1] != self.dim or not len(points):
            raise ValueError(
                f"Embeddings must be [n, {self.dim}], at least one. "
                f"Received: shape {points.shape}"
            )
        if not np.isfinite(points).all():
            raise ValueError("Embeddings must be finite. Received: NaN or infinity")
        return points


def stateless_seed(seed):
    """A stateless seed int32 `[2]` out of a number."""
    return np.array([seed & 0x7FFFFFFF, seed >> 31 & 0x7FFFFFFF], np.int32)


def class_indices(vocabulary, labels):
    """The codes of labels by name, -1 for those not given.

    Raises:
        ValueError: If the model has no such label or no such value of it.
    """
    for name, value in labels.items():
        if value not in vocabulary.get(name, ()):
            raise ValueError(
                "Labels must be among those the model has learned, "
                f"{vocabulary or 'none'}. Received: {name}={value}"
            )
    return [
        values.index(labels[name]) if name in labels else -1
        for name, values in vocabulary.items()
    ]


def model_arguments(config, facts):
    """What `diffusion.speakers.model.build` is told, out of config and facts.

    Args:
        config: Dict of a `diffusion.speakers.config.SpeakerDiffusion`.
        facts: Dict with `dim`, `unit` and `vocabulary`, which the set decided.
    """
    same = ("network", "prediction", "weighting", "label_dropout", "scaling", "blocks")
    schedule = {k: v for k, v in config["schedule"].items() if v is not None}
    return {
        **{name: config[name] for name in same},
        "schedule": schedule,
        "seed": config["seed"],
        **{name: facts[name] for name in ("dim", "unit", "vocabulary")},
    }
