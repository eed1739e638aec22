"""Validation of training: equal error rate on held-out speakers, collapse detection.

The EER is quick: at most three windows of each utterance count, and a short one is
repeated. A collapsed encoder maps every voice to one point: its loss stays at exactly
the margin and its gradient no longer separates speakers.
"""

import numpy as np

from timbre.corpora.corpus import corpus_of
from timbre.metrics.rates import eer
from timbre.metrics.scoring import cosine_scores
from timbre.metrics.trials import all_pairs
from timbre.training.networks import check_choice
from timbre.training.run import TrainingError
from voiceemb.inference import windowed_mean

BATCH_WINDOWS = 64
ADVICE = {  # what else to change, by the stage that collapsed
    "triplet": "let hardness grow more slowly (--triplet.warm-up, --triplet.strategy "
    "semi_hard)",
    "metric": "let it rise more slowly (--metric.optimiser.warm-up)",
}


def validation_eer(encoder, cache, *, window):
    """Prepares a function that measures the EER of cached utterances, `{"eer": ...}`.

    Of several corpora it is the mean of the EER in each, which are listed too: a trial
    across two would be decided by their microphones. Only if no corpus has trials of
    its own do they cross.

    Args:
        encoder: A `SpeakerEncoder`; its weights are those at the time of a call.
        cache: `timbre.corpora.cache.records.Records`, of waveforms or energies.
        window: Length of a window, in the unit of the cache.
    """
    import tensorflow as tf

    is_waveform = cache.shape == ()
    spec = tf.TensorSpec([None, window, *cache.shape], tf.float32)

    @tf.function(input_signature=[spec])
    def embed(crops):
        features = encoder.features(crops) if is_waveform else crops
        return encoder(features, training=False)

    speaker = np.asarray(cache.speakers)[cache.speaker]
    corpus = np.array([corpus_of(name) for name in speaker])
    rows = {name: np.flatnonzero(corpus == name) for name in np.unique(corpus)}
    rows = {name: own for name, own in rows.items() if _has_trials(speaker[own])}
    rows = rows or {"": np.arange(len(speaker))}
    trials = {name: all_pairs(speaker[own]) for name, own in rows.items()}

    def validate():
        embeddings = embed_records(embed, cache, window=window)
        rates = {}
        for name, pairs in trials.items():
            scores = cosine_scores(embeddings[rows[name]], pairs)
            rates[f"eer_{name}"] = eer(pairs.label, scores)
        mean = {"eer": float(np.mean([*rates.values()]))}
        return mean | rates if len(rates) > 1 else mean

    return validate


def _has_trials(speaker):
    _, counts = np.unique(speaker, return_counts=True)
    return len(counts) > 1 and counts.max() > 1


def embed_records(embed, cache, *, window):
    """Unit vectors of cached utterances, the mean of up to three windows of each.

    Args:
        embed: Maps crops `[batch, window, ...]` to a tensor `[batch, dim]`.
        cache, window: As for `validation_eer`.
    """

    def windows():
        for record, length in enumerate(cache.length.tolist()):
            last = max(length - window, 0)
            for start in sorted({0, last // 2, last}):
                row, first = np.array([record]), np.array([start])
                yield record, cache.crops(row, first, window)[0]

    return windowed_mean(
        lambda crops: embed(crops).numpy(), windows(), window, batch=BATCH_WINDOWS
    )


class CollapseError(TrainingError):
    """The encoder maps (almost) all voices to one point."""


class CollapseDetector:
    """Stops a training stage whose embeddings have (almost) no spread for a while.

    Args:
        stage: `"triplet"` or `"metric"`, whose options the error names.
        min_spread: Spread below which a run counts as collapsed, see
            `EmbeddingTrainer.measure`. Defaults to `0.05`.
        patience: Number of logged steps in a row that it takes. Defaults to `5`.

    Raises:
        CollapseError: From a call, with what to change.
    """

    def __init__(self, stage, min_spread=0.05, patience=5):
        check_choice("stage", stage, list(ADVICE))
        self.stage = stage
        self.min_spread = min_spread
        self.patience = patience
        self.num_low = 0

    def __call__(self, step, logs):
        """Takes the scalars logged at `step`; `logs["spread"]` decides."""
        self.num_low = self.num_low + 1 if logs["spread"] < self.min_spread else 0
        if self.num_low >= self.patience:
            raise CollapseError(
                f"Training collapsed at step {step}: for the last {self.num_low} "
                "logged steps all voices were (almost) one point "
                f"(spread {logs['spread']:.4f}, loss {logs['loss']:.4f}, cosine of one "
                f"speaker {logs['same']:.4f}, of two {logs['other']:.4f}). Start from "
                "softmax pre-training (--softmax.steps), lower the learning rate "
                f"(--{self.stage}.optimiser.learning-rate), or {ADVICE[self.stage]}."
            )
