"""Combination of recordings, style augmentation and synthetic speech into one corpus.

Recordings have few styles of each speaker; `timbre.corpora.style_augmentation` adds
others; `timbre.corpora.synthetic` covers the widest range of pitch and pace.
"""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from timbre.corpora import folders, style_augmentation
from timbre.corpora.corpus import Corpus
from timbre.corpora.synthetic.espeak import SynthesisError
from timbre.corpora.synthetic.render import render
from timbre.training.run import TrainingError


def gather(
    sources: Sequence[str | os.PathLike],
    *,
    cache: str | os.PathLike,
    synthetic: dict | None = None,
    num_styles: int = 0,
    seed: int = 0,
) -> Corpus:
    """Open, augment, render and combine the corpora of an experiment.

    Args:
        sources: Folders or manifests of recordings; several are combined.
        cache: Folder for the augmented corpora.
        synthetic: Arguments of `timbre.corpora.synthetic.render.render`, to add
            synthetic speech. Defaults to none; without `sources` they must be given.
        num_styles: Styles added for each recording, see
            `timbre.corpora.style_augmentation`; synthetic speech has its own. Defaults
            to `0`.
        seed: Of the styles. Defaults to `0`.

    Returns:
        The corpus; where several are combined, speakers are `<corpus>/<speaker>`.
    """
    corpora = []
    if sources:
        corpus = folders.open_corpus(sources)
        if num_styles:
            name = f"{corpus.name.replace('/', '-')}-{corpus.digest()[:8]}"
            folder = Path(cache) / f"styles-{name}-{num_styles}-{seed}"
            corpus = style_augmentation.augment(
                corpus, folder, count=num_styles, seed=seed
            )
        corpora.append(corpus)
    if synthetic is not None:
        corpora.append(render(**synthetic))
    if not corpora:
        raise ValueError(
            "An experiment learns from recordings, synthetic voices or both. "
            "Received: neither"
        )
    return corpora[0] if len(corpora) == 1 else folders.open_corpus(corpora)


def gather_config(config: Any) -> Corpus:
    """Gather the corpus of an experiment, or raise a `TrainingError`.

    Args:
        config: A `timbre.training.config.CorpusConfig` that is a `RunConfig` too.
    """
    with_synthetic = config.add_synthetic or not config.corpus
    try:
        return gather(
            config.corpus,
            cache=config.cache,
            synthetic=dataclasses.asdict(config.synthetic) if with_synthetic else None,
            num_styles=config.styles,
            seed=config.seed,
        )
    except SynthesisError as error:
        raise TrainingError(str(error)) from error
