"""The trained model as its users meet it: speaker embeddings as NumPy arrays."""

import dataclasses
import functools
import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from diffusion import samplers
from diffusion.spacing import sampling_times
from diffusion.speakers import model as models
from diffusion.speakers import sampling
from diffusion.speakers.config import SpeakerDiffusionConfig
from diffusion.speakers.data import FACTS
from timbre.files import verify_sha256
from timbre.training.config import load as load_config

MAX_COSINE = 0.7  # of a new voice to the one it replaces (Meyer et al., 2022)
WEIGHTS = "model.weights.h5"
SAMPLING = {"sampler": "dpm_solver", "steps": 20, "spacing": "linspace"}
OPTIONS = {*SAMPLING, "eta", "variance", "clip"}


class SpeakerGenerator:
    """Generates, interpolates, edits and anonymises speaker embeddings.

    Args:
        model: A trained `diffusion.speakers.model.SpeakerDiffusion`.
        about: Dict, the provenance of the model. Defaults to nothing known.
        **sampling: Defaults of `generate` and the other methods: `sampler` (a name of
            `diffusion.samplers`), `steps`, `spacing`, `eta`, `variance`, `clip`.

    Example:
        ```python
        generator = SpeakerGenerator.load("runs/speakers")
        new = generator.generate(100, seed=1)  # [100, dim]
        path = generator.interpolate(new[0], new[1], num=9)
        ```
    """

    def __init__(self, model, about=None, **sampling):
        self.model = model
        self.about = dict(about or {})
        self.sampling = SAMPLING | sampling
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
        config = load_config(SpeakerDiffusionConfig, path)
        facts = json.loads((path / FACTS).read_text("utf-8"))
        digest = verify_sha256(path / WEIGHTS)
        model = models.build_from_facts(config, facts)
        model.load_weights(path / WEIGHTS)
        about = dict(facts["about"])
        if "sha256" in about:  # of the extractor of the embeddings, not of this model
            about["extractor_sha256"] = about.pop("sha256")
        about |= {"generator": path.resolve().name, "sha256": digest}
        return cls(model, about, **dataclasses.asdict(config.sampling))

    @property
    def dim(self):
        """Number of dimensions of an embedding."""
        return self.model.dim

    def generate(self, count, seed=0, *, labels=None, weight=0.0, **overrides):
        """Samples new embeddings float32 `[count, dim]`.

        Args:
            count: How many.
            seed: Int; the first embeddings do not depend on `count`. Defaults to `0`.
            labels: Dict of a label's name to its value, for all; or class indices,
                int32 `[count, num_labels]`. Defaults to unknown.
            weight: Of classifier-free guidance by the labels. Defaults to `0`, which
                saves half of the network's calls.
            **overrides: Replace values of `sampling`.
        """
        if count < 1:
            raise ValueError(f"`count` must be at least 1. Received: {count}")
        return self._run(
            sampling.generate,
            overrides,
            count=count,
            seed=stateless_seed(seed),
            labels=self._class_indices(labels, count),
            weight=float(weight) or None,
        )

    def encode(self, embeddings, *, labels=None, **overrides):
        """DDIM inversion: the noise `[n, dim]` that `decode` takes back to these."""
        embeddings = self._check_embeddings(embeddings)
        labels = self._class_indices(labels, len(embeddings))
        return self._run(
            sampling.encode, overrides, embedding=embeddings, labels=labels
        )

    def decode(self, noise, *, labels=None, weight=0.0, seed=0, **overrides):
        """The embeddings that a deterministic sampler makes of noise `[n, dim]`."""
        noise = self._check_embeddings(noise)
        return self._run(
            sampling.decode,
            overrides,
            noise=noise,
            seed=stateless_seed(seed),
            labels=self._class_indices(labels, len(noise)),
            weight=float(weight) or None,
        )

    def interpolate(self, a, b, num=9, **overrides):
        """Embeddings float32 `[num, dim]`, by spherical interpolation of noise.

        Args:
            a, b: Embeddings `[dim]`, the ends up to the error of inversion.
            num: How many, both ends included. Defaults to `9`.
            **overrides: Replace values of `sampling`.
        """
        if num < 2:
            raise ValueError(f"`num` must be at least 2. Received: {num}")
        overrides = self._invertible_sampling() | overrides
        noise = self.encode(np.stack([a, b]), **overrides)
        share = np.linspace(0, 1, num, dtype=np.float32)[:, None]
        return self.decode(sampling.slerp(*noise, share).numpy(), **overrides)

    def edit(self, embeddings, labels, *, before=None, weight=0.0, **overrides):
        """The same voices with other labels: encoded with theirs, decoded with these.

        Args:
            embeddings: `[n, dim]`.
            labels: The new labels, as for `generate`.
            before: The present labels. Defaults to unknown.
            weight: As for `generate`.
            **overrides: Replace values of `sampling`.
        """
        overrides = self._invertible_sampling() | overrides
        noise = self.encode(embeddings, labels=before, **overrides)
        return self.decode(noise, labels=labels, weight=weight, **overrides)

    def anonymise(
        self, embeddings, seed=0, *, limit=MAX_COSINE, weight=1.0, **overrides
    ):
        """A new embedding for each row, whose cosine to it is below a limit.

        Not a promise of privacy: see `diffusion.speakers.attacks`.

        Args:
            embeddings: `[n, dim]`.
            seed: Int. Defaults to `0`.
            limit: The cosine. Defaults to `0.7`.
            weight: Of the guidance, see `diffusion.guidance.away`.
            **overrides: Replace values of `sampling`.

        Returns:
            Embeddings float32 `[n, dim]`, and their cosines to the old ones `[n]`.
        """
        sampling.check_limit(limit)
        return self._run(
            sampling.anonymise,
            overrides,
            embedding=self._check_embeddings(embeddings),
            seed=stateless_seed(seed),
            limit=np.float64(limit),
            weight=float(weight),
        )

    def build_sampler(self, **overrides):
        """Times int32, the sampler, and the bound on clean estimates or `None`."""
        if unknown := sorted(overrides.keys() - OPTIONS):
            raise TypeError(
                f"Sampling is described by {sorted(OPTIONS)}. Received: {unknown}"
            )
        options = self.sampling | overrides
        own = {"ddim": ("eta",), "ddpm": ("variance",)}.get(options["sampler"], ())
        sampler = samplers.build(
            options["sampler"], **{n: options[n] for n in own if n in options}
        )
        schedule = self.model.schedule
        times = sampling_times(schedule, options["steps"], options["spacing"])
        return times, sampler, options.get("clip")

    def _invertible_sampling(self):
        """The sampler that inversion inverts, in steps small enough for it."""
        steps = min(100, self.model.schedule.steps)
        return {"sampler": "ddim", "eta": 0.0, "steps": steps}

    def _run(self, function, overrides, **tensors):
        """Runs a function of `diffusion.speakers.sampling` as a graph.

        The graph is kept for later calls with the same model, sampler and bound; `None`
        is left out of the tensors.
        """
        tensors["times"], *constants = self.build_sampler(**overrides)
        if function is sampling.encode:  # whose sampler is always DDIM
            constants = []
        key = (function, self.model, *constants)
        if key not in self._graphs:
            named = dict(zip(("sampler", "clip"), constants, strict=False))
            bound = functools.partial(function, self.model, **named)
            self._graphs[key] = tf.function(bound, reduce_retracing=True)
        given = {
            k: tf.convert_to_tensor(v) for k, v in tensors.items() if v is not None
        }
        results = self._graphs[key](**given)
        return tf.nest.map_structure(lambda tensor: tensor.numpy(), results)

    def _class_indices(self, labels, count):
        """Labels as class indices, int32 `[count, num_labels]`."""
        vocabulary = self.model.vocabulary
        if labels is None or isinstance(labels, dict):
            indices = [labels_to_indices(vocabulary, labels or {})] * count
            return np.array(indices, np.int32).reshape(count, len(vocabulary))
        labels = np.asarray(labels, np.int32)
        if labels.shape != (count, len(vocabulary)):
            raise ValueError(
                f"`labels` must be [{count}, {len(vocabulary)}]. "
                f"Received: shape {labels.shape}"
            )
        sizes = [len(values) for values in vocabulary.values()]
        if (labels < -1).any() or (labels >= sizes).any():
            raise ValueError(
                f"`labels` must be -1, unknown, or below {sizes}. "
                f"Received: {labels.min()} to {labels.max()}"
            )
        return labels

    def _check_embeddings(self, embeddings):
        embeddings = np.asarray(embeddings, np.float32)
        rows, dim = embeddings.shape if embeddings.ndim == 2 else (0, 0)
        if not rows or dim != self.dim:
            raise ValueError(
                f"Embeddings must be [n, {self.dim}], at least one. "
                f"Received: shape {embeddings.shape}"
            )
        if not np.isfinite(embeddings).all():
            raise ValueError("Embeddings must be finite. Received: NaN or infinity")
        return embeddings


def stateless_seed(seed):
    """A stateless seed int32 `[2]` out of an int."""
    return np.array([seed & 0x7FFFFFFF, seed >> 31 & 0x7FFFFFFF], np.int32)


def labels_to_indices(vocabulary, labels):
    """The class index of each label of a vocabulary, -1 for those not given."""
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
