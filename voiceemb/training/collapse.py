"""Watches a run that learns distances for collapse: every voice mapped to one point.

A collapsed encoder scores exactly the margin for ever; its gradient no longer tells
voices apart, and hours may pass before somebody looks.
"""

from timbre.training.run import TrainingError

ADVICE = {  # what else to change, by the phase that collapsed
    "triplet": "let hardness grow more slowly (--triplet.warm-up, --triplet.strategy "
    "semi_hard)",
    "metric": "let it rise more slowly (--metric.optimiser.warm-up)",
}


class Collapsed(TrainingError):
    """The encoder maps (almost) all voices to one point."""


class CollapseMonitor:
    """Stops a phase whose embeddings have (almost) no spread for a while.

    Args:
        phase: The phase it watches, `"triplet"` or `"metric"`, whose options it names.
        least_spread: Spread below which a run counts as collapsed, see
            `TripletLearner.measure`. Defaults to `0.05`.
        patience: Number of logged steps in a row that it takes. Defaults to `5`.

    Raises:
        Collapsed: From a call, with what to change.
    """

    def __init__(self, phase, least_spread=0.05, patience=5):
        if phase not in ADVICE:
            raise ValueError(
                f"`phase` must be one of {list(ADVICE)}. Received: {phase!r}"
            )
        self.phase = phase
        self.least_spread = least_spread
        self.patience = patience
        self.low = 0

    def __call__(self, step, logs):
        """Takes the scalars logged at `step`; `logs["spread"]` decides."""
        self.low = self.low + 1 if logs["spread"] < self.least_spread else 0
        if self.low >= self.patience:
            raise Collapsed(
                f"Training collapsed at step {step}: for the last {self.low} logged "
                "steps all voices were (almost) one point "
                f"(spread {logs['spread']:.4f}, loss {logs['loss']:.4f}, cosine of one "
                f"speaker {logs['same']:.4f}, of two {logs['other']:.4f}). Start from "
                "softmax pre-training (--softmax.steps), lower the learning rate "
                f"(--{self.phase}.optimiser.learning-rate), or {ADVICE[self.phase]}."
            )
