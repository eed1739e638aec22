"""Distribution: strategies by name, the chief process, votes among processes."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from timbre.training.networks import check_choice

STRATEGIES = {
    "default": tf.distribute.get_strategy,
    "mirrored": tf.distribute.MirroredStrategy,
    "multiworker": tf.distribute.MultiWorkerMirroredStrategy,
}


def open_strategy(
    name: str = "default", *, policy: str = "float32"
) -> tf.distribute.Strategy:
    """A `tf.distribute.Strategy` by name, and the number format of new layers.

    Build and compile the model inside `strategy.scope()`.

    Args:
        name: `"default"`, one device; `"mirrored"`, all GPUs of this machine;
            `"multiworker"`, the machines that `TF_CONFIG` lists, each running this
            program on a run folder they share.
        policy: Keras dtype policy: `"float32"`, `"mixed_float16"` (the compiled
            optimiser then scales the loss) or `"mixed_bfloat16"`.
    """
    check_choice("name", name, list(STRATEGIES))
    keras.config.set_dtype_policy(policy)
    return STRATEGIES[name]()


def check_batch_sizes(
    sizes: Mapping[str, int], strategy: tf.distribute.Strategy
) -> None:
    """Check that replicas get equal shares of every batch, which weigh the same.

    Args:
        sizes: Name of each batch size to rows of a global batch.
        strategy: A `tf.distribute.Strategy`.
    """
    for name, rows in sizes.items():
        if rows % strategy.num_replicas_in_sync:
            raise ValueError(
                f"`{name}` must be a multiple of the number of replicas, "
                f"{strategy.num_replicas_in_sync}. Received: {rows}"
            )


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the files of the run."""
    return strategy.extended.should_checkpoint


def is_multiworker(strategy: tf.distribute.Strategy) -> bool:
    """Whether other processes train in step with this one."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def anyone(strategy: tf.distribute.Strategy, flag: bool) -> bool:
    """Whether `flag` is true in any of the processes; all must ask together."""
    return bool(_count(strategy, tf.constant(int(flag))))


@tf.function
def _count(strategy, flag):
    votes = strategy.run(lambda: tf.identity(flag))
    return strategy.reduce("SUM", votes, axis=None)


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Return once every process has come here; alone, at once."""
    if is_multiworker(strategy):
        anyone(strategy, False)
