"""What to learn from: recordings, their retellings, and synthetic voices.

Recordings are real and few, each reader in one mood; retellings (`timbre.corpora.style_augmentation`) give
them others; synthetic voices (`timbre.corpora.synthetic`) have the widest range of pitch and
pace, though not the grain of real ones. Any mixture is one corpus.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from timbre.corpora import folders, style_augmentation
from timbre.corpora.corpus import Corpus
from timbre.corpora.synthetic.render import render


def gather(
    sources: Sequence[str | os.PathLike],
    *,
    cache: str | os.PathLike,
    synthetic: dict | None = None,
    num_styles: int = 0,
    seed: int = 0,
) -> Corpus:
    """Opens, retells, renders and joins what an experiment learns from.

    Args:
        sources: Folders or manifests of recordings; several are joined.
        cache: Folder in which retellings lie side by side.
        synthetic: Arguments of `timbre.corpora.synthetic.render.render`: join synthetic
            voices. Defaults to none; without `sources` they must be given.
        num_styles: Retellings of each recording, see `timbre.corpora.style_augmentation`. Synthetic
            voices have styles of their own and are not retold. Defaults to `0`.
        seed: Of the styles. Defaults to `0`.

    Returns:
        The corpus; where it is joined, speakers are `<corpus>/<speaker>`.
    """
    opened = [folders.open_corpus(sources)] if sources else []
    if num_styles:
        opened = [
            style_augmentation.render(
                corpus,
                Path(cache) / f"styles-{_plain(corpus)}-{num_styles}-{seed}",
                count=num_styles,
                seed=seed,
            )
            for corpus in opened
        ]
    voices = [render(**synthetic)] if synthetic is not None else []
    if not opened and not voices:
        raise ValueError(
            "An experiment learns from recordings, synthetic voices or both. "
            "Received: neither"
        )
    corpora = opened + voices
    if len(corpora) == 1:
        return corpora[0]
    return folders.open_corpus(corpora)


def _plain(corpus):
    return f"{corpus.name.replace('/', '-')}-{corpus.digest()[:8]}"
