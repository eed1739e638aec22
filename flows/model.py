"""The untrained models of a config."""

from flows.models import registry


def build(config, data):
    """Build the untrained models of a run: dict, kind to a built `LatentModel`.

    Raises:
        ValueError: There are fewer rows than a batch has, or dimensions do not sum to
            those of a segment.
    """
    if config.batch > len(data.train):
        raise ValueError(
            "`batch` must be at most the number of rows to learn from, "
            f"{len(data.train)}. Received: {config.batch}"
        )
    return {
        kind: registry.build(kind, **registry.arguments(config, data.facts))
        for kind in registry.expand_kinds(config.models, data.vocabulary)
    }
