"""From a recording to an embedding: the encoder as its users meet it.

An utterance longer than a window is cut into windows of equal length, spread evenly
from its first sample to its last; its embedding is the mean of theirs, brought back to
unit length. A shorter one is embedded as it is. Both happen inside one graph, so a
served model and this class give the same answer.
"""

import json
from pathlib import Path

import numpy as np

from audio import wave
from files import sha256

LEAST_S = 0.1  # shortest utterance that can be embedded, in seconds
MOST_S = 4 * 3600.0  # longest, in seconds
WINDOWS_AT_ONCE = 32
MOST_FRAMES = 6000  # of features that a server embeds in one piece


def window_starts(num_samples, window):
    """First samples of the windows that cover an utterance evenly.

    Args:
        num_samples: Length of the utterance.
        window: Length of a window; both int.

    Returns:
        Int array of `ceil(num_samples / window)` starts; the first is 0 and the last
        window ends with the utterance.
    """
    num = -(-num_samples // window)
    room = max(num_samples - window, 0)
    return np.arange(num) * room // max(num - 1, 1)


def embed_function(encoder, *, window):
    """The graph from waveforms to embeddings, for use here and for export.

    Args:
        encoder: A built `SpeakerEncoder`.
        window: Length of a window in samples.

    Returns:
        A function of `waveform` float32 `[batch, samples]` giving embeddings float32
        `[batch, dim]`; it refuses NaN, less than 0.1 s and more than 4 h of sound.
    """
    import tensorflow as tf

    sample_rate = encoder.filterbank.sample_rate
    least, most = int(LEAST_S * sample_rate), int(MOST_S * sample_rate)

    def embed(waveform):
        batch, total = tf.unstack(tf.shape(waveform, out_type=tf.int64))
        checks = [
            tf.debugging.assert_greater_equal(
                total, tf.constant(least, tf.int64), "`waveform` is shorter than 0.1 s"
            ),
            tf.debugging.assert_less_equal(
                total, tf.constant(most, tf.int64), "`waveform` is longer than 4 h"
            ),
            tf.debugging.assert_all_finite(waveform, "`waveform` must be finite"),
        ]
        with tf.control_dependencies(checks):
            length = tf.minimum(total, window)
        num = (total + window - 1) // window
        at_once = tf.maximum(WINDOWS_AT_ONCE // tf.maximum(batch, 1), 1)
        starts = tf.range(num) * (total - length) // tf.maximum(num - 1, 1)

        def add(done, mean):
            some = starts[done : done + at_once]
            index = some[:, None] + tf.range(length)
            rows = tf.reshape(tf.gather(waveform, index, axis=1), [-1, length])
            points = encoder(encoder.features(rows), training=False)
            points = tf.reshape(points, [batch, -1, encoder.embedding_dim])
            return done + at_once, mean + tf.reduce_sum(points, axis=1)

        zeros = tf.zeros([batch, encoder.embedding_dim])
        start = (tf.constant(0, tf.int64), zeros)
        _, mean = tf.while_loop(lambda done, _: done < num, add, start)
        return tf.math.l2_normalize(mean, axis=-1)

    return embed


def signatures(encoder, *, window):
    """What a served encoder does, for `serving.publish.publish`.

    Args:
        encoder: A built `SpeakerEncoder`.
        window: Length of a window in samples.

    Returns:
        `embed`, from `waveform` float32 `[batch, samples]`, and `embed_features`, from
        filterbank energies `features` float32 `[batch, frames, bands]`; both give
        `embedding` float32 `[batch, dim]`. Each with its input and output names.
    """
    import tensorflow as tf

    bands = encoder.filterbank.num_bands
    waveform = tf.TensorSpec([None, None], tf.float32, name="waveform")
    features = tf.TensorSpec([None, None, bands], tf.float32, name="features")

    def embed_features(features):
        frames = tf.shape(features)[1]
        checks = [
            tf.debugging.assert_positive(frames, "`features` have no frame"),
            tf.debugging.assert_less_equal(
                frames, MOST_FRAMES, f"`features` have over {MOST_FRAMES} frames"
            ),
            tf.debugging.assert_all_finite(features, "`features` must be finite"),
        ]
        with tf.control_dependencies(checks):
            return encoder(tf.identity(features), training=False)

    rng = np.random.default_rng(0)
    sound = rng.uniform(-0.1, 0.1, (2, 3 * window // 2)).astype(np.float32)
    energies = rng.uniform(0.1, 9.0, (2, 40, bands)).astype(np.float32)
    embed = embed_function(encoder, window=window)
    return {
        "embed": (embed, [waveform], "embedding", {"waveform": sound}),
        "embed_features": (
            embed_features,
            [features],
            "embedding",
            {"features": energies},
        ),
    }


class Encoder:
    """Embeds utterances and speakers, and compares them.

    Args:
        embed: Function of waveforms `[batch, samples]` giving unit embeddings
            `[batch, dim]`, such as `embed_function` makes.
        about: Dict that says what it is: `extractor`, `sha256`, `dim`, `sample_rate`,
            `window_samples`.

    Attributes:
        model: The `SpeakerEncoder` inside, or `None` for one that was exported.

    Example:
        ```python
        encoder = voiceemb.Encoder.load("runs/tiny")
        anna = encoder.embed_speaker(["anna_1.wav", "anna_2.wav"])
        print(encoder.similarity(anna, encoder.embed_utterance("unknown.wav")))
        ```
    """

    def __init__(self, embed, about):
        self._embed = embed
        self.about = dict(about)
        self.sample_rate = int(about["sample_rate"])
        self.dim = int(about["dim"])
        self.window = int(about["window_samples"])
        self.model = None

    @classmethod
    def of(cls, model, *, window, about=None):
        """Wraps a `SpeakerEncoder` in memory; `window` in samples."""
        import tensorflow as tf

        about = {
            "extractor": model.name,
            "dim": model.embedding_dim,
            "sample_rate": model.filterbank.sample_rate,
            "window_samples": window,
            "normalisation": model.normalisation.norm,
            "parameters": model.count_params(),
            **(about or {}),
        }
        spec = tf.TensorSpec([None, None], tf.float32, name="waveform")
        embed = tf.function(
            embed_function(model, window=window), input_signature=[spec]
        )
        encoder = cls(lambda waveform: embed(waveform).numpy(), about)
        encoder.model = model
        return encoder

    @classmethod
    def load(cls, path):
        """Loads what training left behind: a run folder, or an exported SavedModel.

        Args:
            path: A run folder (`config.json` and `model.weights.h5`), a SavedModel, or
                the folder of its numbered versions, of which the newest is taken.

        Raises:
            FileNotFoundError: If there is neither at `path`.
            ValueError: If the weights are not those the run has written.
        """
        path = Path(path)
        if (path / "model.weights.h5").is_file():
            return cls._load_run(path)
        versions = [p for p in path.glob("*/saved_model.pb") if p.parent.name.isdigit()]
        if versions:
            path = max(versions, key=lambda p: int(p.parent.name)).parent
        if (path / "saved_model.pb").is_file():
            return cls._load_export(path)
        raise FileNotFoundError(
            "Expected a run folder (with model.weights.h5) or a SavedModel (with "
            f"saved_model.pb). Received: {path}"
        )

    @classmethod
    def _load_run(cls, path):
        from voiceemb import encoders

        config = json.loads((path / "config.json").read_text("utf-8"))["config"]
        weights = path / "model.weights.h5"
        stated = weights.with_name(f"{weights.name}.sha256")
        stated = stated.read_text("utf-8") if stated.is_file() else ""
        stated = (stated.split() or ["absent"])[0]
        digest = sha256(weights)
        if digest != stated:
            raise ValueError(
                f"The weights of {path} are not those the run has written: its sha256 "
                f"is {stated}. Received: {digest}"
            )
        model = encoders.build(**config["encoder"])
        model.load_weights(weights)
        window = crop_samples(model.filterbank, config["crop_frames"])
        about = {"extractor": path.resolve().name, "sha256": digest}
        return cls.of(model, window=window, about=about)

    @classmethod
    def _load_export(cls, path):
        import tensorflow as tf

        model = tf.saved_model.load(str(path))
        embed = model.signatures["embed"]
        about = json.loads((path / "assets.extra" / "about.json").read_text())

        def run(waveform):
            return embed(waveform=tf.constant(waveform))["embedding"].numpy()

        run.model = model  # a signature holds its model only weakly
        return cls(run, about)

    def embed_utterance(self, source):
        """The embedding of one utterance.

        Args:
            source: A path, or a float32 waveform `[samples]` at `sample_rate`.

        Returns:
            Unit vector, float32 `[dim]`.

        Raises:
            audio.wave.AudioError: If a file can not be read.
            ValueError: If a waveform is not one-dimensional, finite, and of 0.1 s to
                4 h.
        """
        return self._embed(self._waveform(source)[None])[0]

    def embed_utterances(self, sources, *, progress=None):
        """The embeddings of many utterances, with the windows of all in full batches.

        Args:
            sources: Iterable of what `embed_utterance` takes; read one by one.
            progress: Called after each utterance with the number read so far.

        Returns:
            Unit vectors, float32 `[utterances, dim]`.
        """
        means, rows, owners = [], [], []

        def flush():
            if rows:
                points = self._embed(np.stack(rows))
                for owner, point in zip(owners, points, strict=True):
                    means[owner] += point
                rows.clear()
                owners.clear()

        for number, source in enumerate(sources):
            waveform = self._waveform(source)
            means.append(np.zeros(self.dim, np.float32))
            if len(waveform) < self.window:
                means[number] += self._embed(waveform[None])[0]
            else:
                for start in window_starts(len(waveform), self.window).tolist():
                    rows.append(waveform[start : start + self.window])
                    owners.append(number)
                    if len(rows) == WINDOWS_AT_ONCE:
                        flush()
            if progress is not None:
                progress(number + 1)
        flush()
        if not means:
            return np.zeros((0, self.dim), np.float32)
        return unit(np.stack(means))

    def embed_speaker(self, sources):
        """One embedding of a speaker from several utterances: their mean direction.

        Args:
            sources: Paths or waveforms, at least one.
        """
        embeddings = self.embed_utterances(sources)
        if not len(embeddings):
            raise ValueError("A speaker needs at least one utterance. Received: none")
        return unit(embeddings.mean(axis=0))

    @staticmethod
    def similarity(a, b):
        """Cosine of two embeddings `[dim]`, or of all pairs of `[n, dim]`, `[m, dim]`.

        Returns:
            Float in [-1, 1], or an array `[n, m]`.
        """
        cosine = unit(np.asarray(a)) @ unit(np.asarray(b)).T
        return float(cosine) if np.ndim(cosine) == 0 else cosine

    def _waveform(self, source):
        if isinstance(source, str | Path):
            source = wave.read(source, sample_rate=self.sample_rate)
        waveform = np.asarray(source, np.float32)
        least, most = LEAST_S * self.sample_rate, MOST_S * self.sample_rate
        if waveform.ndim != 1 or not least <= len(waveform) <= most:
            raise ValueError(
                f"An utterance is a waveform [samples] of {LEAST_S} s to {MOST_S:.0f} "
                f"s at {self.sample_rate} Hz. Received: shape {waveform.shape}"
            )
        if not np.isfinite(waveform).all():
            raise ValueError("A waveform must be finite. Received: NaN or infinity")
        return waveform


def crop_samples(filterbank, num_frames):
    """Samples that fill `num_frames` frames of a filterbank without padding."""
    return (num_frames - 1) * filterbank.hop + filterbank.length


def unit(x):
    """Scales the last axis to length 1; zero stays zero."""
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
