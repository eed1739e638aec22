"""Speaker encoder for users: from a recording to an embedding, and cosines of two."""

import json
from pathlib import Path

import numpy as np

from timbre.audio import wave
from timbre.files import verify_sha256
from timbre.training.networks import check_choice
from voiceemb import calibration
from voiceemb.inference import (
    BATCH_WINDOWS,
    MAX_S,
    MIN_S,
    crop_samples,
    embed_function,
    unit,
    window_starts,
    windowed_mean,
)

PRETRAINED = Path(__file__).with_name("pretrained")  # weights of the package
REQUIRED = ("extractor", "dim", "sample_rate", "window_samples")  # in `about`


class Encoder:
    """Embeds utterances and speakers, and compares them.

    Args:
        embed: Function of waveforms `[batch, samples]` giving unit embeddings
            `[batch, dim]`.
        about: Dict that describes it, ready for JSON: `extractor` (its name), `dim`,
            `sample_rate`, `window_samples`, and perhaps `sha256` of the weights,
            `normalisation` and `parameters`.
        model: The `SpeakerEncoder` inside; `None` for one that was exported.
        folder: Where it was loaded from, or `None`.
        calibration: A `voiceemb.calibration.EncoderCalibration` that turns its cosines
            into probabilities, or `None`.

    Attributes:
        sample_rate, dim, window: As in `about`; the window in samples.
        calibration, corpus_scores: Of the `EncoderCalibration`, or `None` and empty.

    Example:
        ```python
        encoder = voiceemb.Encoder.load("runs/tiny")
        anna = encoder.embed_speaker(["anna_1.wav", "anna_2.wav"])
        print(encoder.similarity(anna, encoder.embed_utterance("unknown.wav")))
        ```
    """

    def __init__(self, embed, about, *, model=None, folder=None, calibration=None):
        missing = [name for name in REQUIRED if name not in about]
        if missing:
            raise ValueError(f"`about` must have {list(REQUIRED)}. Missing: {missing}")
        self._embed = embed
        self.about = dict(about)
        self.sample_rate = int(about["sample_rate"])
        self.dim = int(about["dim"])
        self.window = int(about["window_samples"])
        self.model = model
        self.folder = folder
        self.calibration = calibration and calibration.calibration
        self.corpus_scores = calibration.corpus_scores if calibration else {}

    @classmethod
    def pretrained(cls, name="small", *, calibration_file=None):
        """Loads weights that come with the package; nothing is downloaded.

        Args:
            name: Defaults to `"small"`; its `card.md` says what it is and is not for.
            calibration_file: See `load`.
        """
        known = sorted(p.parent.name for p in PRETRAINED.glob("*/config.json"))
        check_choice("name", name, known)
        return cls.load(PRETRAINED / name, calibration_file=calibration_file)

    @classmethod
    def from_model(cls, model, *, window, about=None, folder=None, calibration=None):
        """Wraps a `SpeakerEncoder` in memory.

        Args:
            model: A built `voiceemb.networks.speaker_encoder.SpeakerEncoder`.
            window: In samples.
            about, folder, calibration: As of the class; of `about` what is added.
        """
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
            embed_function(model, window=window),
            input_signature=[spec],
            autograph=False,  # it has no Python control flow to be translated
        )
        return cls(
            lambda waveform: embed(waveform).numpy(),
            about,
            model=model,
            folder=folder,
            calibration=calibration,
        )

    @classmethod
    def load(cls, path, *, calibration_file=None):
        """Loads a run folder or an exported SavedModel.

        Args:
            path: A run folder (`config.json` and `model.weights.h5`), a SavedModel, or
                the folder of its numbered versions, of which the newest is taken.
            calibration_file: Used instead of the one in the run folder, if any.

        Raises:
            FileNotFoundError: If there is neither at `path`.
            ValueError: If the weights or the calibration do not belong to the run.
        """
        path = Path(path)
        if (path / "model.weights.h5").is_file():
            return cls._load_run(path, calibration_file)
        versions = [p for p in path.glob("*/saved_model.pb") if p.parent.name.isdigit()]
        if versions:
            path = max(versions, key=lambda p: int(p.parent.name)).parent
        if (path / "saved_model.pb").is_file():
            return cls._load_export(path, calibration_file)
        raise FileNotFoundError(
            "Expected a run folder (with model.weights.h5) or a SavedModel (with "
            f"saved_model.pb). Received: {path}"
        )

    @classmethod
    def _load_run(cls, path, calibration_file):
        from voiceemb.networks import speaker_encoder

        config = json.loads((path / "config.json").read_text("utf-8"))["config"]
        weights = path / "model.weights.h5"
        digest = verify_sha256(weights)
        model = speaker_encoder.build(**config["encoder"])
        model.load_weights(weights)
        if calibration_file is None and (path / calibration.FILE).is_file():
            calibration_file = path / calibration.FILE
        return cls.from_model(
            model,
            window=crop_samples(model.filterbank, config["crop_frames"]),
            about={"extractor": path.resolve().name, "sha256": digest},
            folder=path,
            calibration=calibration_file
            and calibration.read(calibration_file, sha256=digest),
        )

    @classmethod
    def _load_export(cls, path, calibration_file):
        import tensorflow as tf

        exported = tf.saved_model.load(str(path))
        signature = exported.signatures["embed"]
        about = json.loads((path / "assets.extra" / "about.json").read_text())

        def embed(waveform):
            return signature(waveform=tf.constant(waveform))["embedding"].numpy()

        embed.exported = exported  # a signature holds its model only weakly
        kept = calibration_file and calibration.read(
            calibration_file, sha256=about["sha256"]
        )
        return cls(embed, about, calibration=kept)

    def embed_utterance(self, source):
        """The embedding of one utterance, a unit vector, float32 `[dim]`.

        Args:
            source: A path, or a float32 waveform `[samples]` at `sample_rate`.

        Raises:
            timbre.audio.wave.AudioError: If a file can not be read.
            ValueError: If a waveform is not one-dimensional, finite, and of 0.1 s to
                4 h.
        """
        return self._embed(self._waveform(source)[None])[0]

    def embed_utterances(self, sources, *, progress=None):
        """The embeddings of many utterances, float32 `[utterances, dim]`.

        Args:
            sources: Iterable of what `embed_utterance` takes; read one by one.
            progress: Called after each utterance with the number read so far.
        """

        def windows():
            for number, source in enumerate(sources):
                waveform = self._waveform(source)
                for start in window_starts(len(waveform), self.window).tolist():
                    yield number, waveform[start : start + self.window]
                if progress is not None:
                    progress(number + 1)

        embeddings = windowed_mean(
            self._embed, windows(), self.window, batch=BATCH_WINDOWS
        )
        return embeddings.reshape(-1, self.dim)

    def embed_windows(self, waveform, starts, *, length=None, progress=None):
        """The embeddings of windows of one waveform, float32 `[windows, dim]`.

        Only the windows of one batch are copied.

        Args:
            waveform: Float `[samples]` at `sample_rate`.
            starts: First sample of each window, int `[windows]`, in any order.
            length: Of the windows, in samples, at least 0.1 s; windows longer than
                `window` are embedded as utterances are. Defaults to `window`.
            progress: Called after each batch with the number embedded so far.

        Raises:
            ValueError: If a window does not lie in the waveform, is shorter than 0.1 s,
                or holds a sample that is not finite.
        """
        waveform, starts = np.asarray(waveform), np.asarray(starts)
        length = self.window if length is None else int(length)
        kinds = (waveform.dtype.kind, starts.dtype.kind if starts.size else "i")
        one_dimensional = waveform.ndim == 1 == starts.ndim
        if not one_dimensional or kinds not in (("f", "i"), ("f", "u")):
            raise ValueError(
                "Windows are cut from a float waveform [samples] at int starts "
                f"[windows]. Received: {waveform.dtype} {waveform.shape} and "
                f"{starts.dtype} {starts.shape}"
            )
        embeddings = np.zeros((len(starts), self.dim), np.float32)
        if not len(starts):
            return embeddings
        if starts.min() < 0 or starts.max() + length > len(waveform):
            raise ValueError(
                f"Windows of {length} samples must lie in the waveform of "
                f"{len(waveform)}. Received: starts {starts.min()} to {starts.max()}"
            )
        for first in range(0, len(starts), BATCH_WINDOWS):
            rows = slice(first, first + BATCH_WINDOWS)
            windows = [self._waveform(waveform[s : s + length]) for s in starts[rows]]
            embeddings[rows] = self._embed(np.stack(windows))
            if progress is not None:
                progress(min(first + BATCH_WINDOWS, len(starts)))
        return embeddings

    def embed_speaker(self, sources):
        """One embedding of a speaker from several utterances: their mean direction.

        Args:
            sources: Paths or waveforms, at least one.
        """
        embeddings = self.embed_utterances(sources)
        if not len(embeddings):
            raise ValueError("A speaker needs at least one utterance")
        return unit(embeddings.mean(axis=0))

    @staticmethod
    def similarity(a, b):
        """Cosine of two embeddings `[dim]`, or `[n, m]` of `[n, dim]`, `[m, dim]`."""
        cosine = unit(np.asarray(a)) @ unit(np.asarray(b)).T
        return float(cosine) if np.ndim(cosine) == 0 else cosine

    def _waveform(self, source):
        if isinstance(source, str | Path):
            source = wave.read(source, sample_rate=self.sample_rate)
        waveform = np.asarray(source, np.float32)
        low, high = MIN_S * self.sample_rate, MAX_S * self.sample_rate
        if waveform.ndim != 1 or not low <= len(waveform) <= high:
            raise ValueError(
                f"An utterance is a waveform [samples] of {MIN_S} s to {MAX_S:.0f} "
                f"s at {self.sample_rate} Hz. Received: shape {waveform.shape}"
            )
        if not np.isfinite(waveform).all():
            raise ValueError("A waveform must be finite. Received: NaN or infinity")
        return waveform
