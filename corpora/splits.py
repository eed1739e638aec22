"""Splits: which speakers or utterances learn, and which are held out.

A split is drawn by hashing the seed with names, never by a generator, so it is the
same on every machine, and for a speaker it does not depend on what others say.
"""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import replace

from corpora.corpus import Corpus, some


def split_by_speaker(
    corpus: Corpus,
    *,
    counts: Sequence[int | None] | None = None,
    shares: Sequence[float] | None = None,
    seed: int = 0,
) -> tuple[Corpus, ...]:
    """Part the speakers, so that no voice is in two parts (open set).

    The draw depends on the seed and the speakers' names alone: not on the order
    of the rows, nor on how much each speaker says.

    Args:
        corpus: What to part.
        counts: Speakers in each part; one of them may be `None`, all the rest.
        shares: Or the share of the speakers in each part, at most 1 in all.
        seed: Another seed draws another split. Defaults to `0`.

    Returns:
        One corpus for each count or share, in that order.
    """
    if (counts is None) == (shares is None):
        raise ValueError(
            "Exactly one of `counts` and `shares` must be given. "
            f"Received: counts={counts}, shares={shares}"
        )
    total = len(corpus.speakers)
    sizes = _from_shares(shares, total) if counts is None else _fill(counts, total)
    if min(sizes, default=0) < 1 or sum(sizes) > total:
        raise ValueError(
            f"Every part must get a speaker, and there are {total} in corpus "
            f"{corpus.name!r}. Received: counts={counts}, shares={shares}, "
            f"which makes parts of {sizes}"
        )
    drawn = sorted(corpus.speakers, key=lambda speaker: _draw(seed, speaker))
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return tuple(
        corpus.subset(drawn[end - size : end])
        for size, end in zip(sizes, ends, strict=True)
    )


def split_by_utterance(
    corpus: Corpus, share: float, *, seed: int = 0
) -> tuple[Corpus, Corpus]:
    """Hold out utterances of every speaker (closed set).

    Args:
        corpus: What to part.
        share: Share of each speaker's utterances to hold out, between 0 and 1;
            at least one is held out and at least one is kept, and a speaker with
            a single utterance keeps it.
        seed: Another seed draws another split. Defaults to `0`.

    Returns:
        The utterances kept and those held out.
    """
    if not 0 < share < 1:
        raise ValueError(f"`share` must be between 0 and 1. Received: share={share}")
    groups = {speaker: [] for speaker in corpus.speakers}
    for i, (key, u) in enumerate(zip(corpus.keys(), corpus, strict=True)):
        groups[u.speaker].append((_draw(seed, key), i))
    held = set()
    for group in groups.values():
        size = min(max(round(share * len(group)), 1), len(group) - 1)
        held.update(i for _, i in sorted(group)[:size])
    parts = [], []
    for i, utterance in enumerate(corpus):
        parts[i in held].append(utterance)
    return tuple(replace(corpus, utterances=tuple(part)) for part in parts)


def check(corpus: Corpus, *, min_speakers: int = 2, min_utterances: int = 2) -> Corpus:
    """Keep the speakers one can learn from, and say who was left out.

    Args:
        corpus: What to check.
        min_speakers: Speakers needed. Defaults to `2`.
        min_utterances: Utterances a speaker needs to count. Defaults to `2`.

    Returns:
        The corpus without the speakers who say too little; a warning lists them.

    Raises:
        ValueError: If too few speakers are left.
    """
    if not len(corpus):
        raise ValueError(f"A corpus must have utterances. Received: {corpus.name!r}")
    groups = corpus.by_speaker()
    few = [name for name, group in groups.items() if len(group) < min_utterances]
    kept = [name for name in groups if name not in set(few)]
    dropped = f"Received: {corpus.name!r} with {len(groups)} speakers" + (
        f", of whom {len(few)} have fewer than {min_utterances} utterances: {some(few)}"
        if few
        else ""
    )
    if len(kept) < min_speakers:
        raise ValueError(
            f"A corpus must have at least {min_speakers} speakers with at least "
            f"{min_utterances} utterances each. {dropped}"
        )
    if few:
        warnings.warn(
            f"Speakers who say too little are left out. {dropped}", stacklevel=2
        )
    return corpus.subset(kept) if few else corpus


def _draw(seed: int, key: str) -> bytes:
    return hashlib.sha256(f"{seed}|{key}".encode(errors="surrogateescape")).digest()


def _fill(counts: Sequence[int | None], total: int) -> list[int]:
    rest = total - sum(count for count in counts if count is not None)
    if sum(count is None for count in counts) > 1:
        raise ValueError(
            f"At most one of `counts` may be None. Received: counts={counts}"
        )
    return [rest if count is None else count for count in counts]


def _from_shares(shares: Sequence[float], total: int) -> list[int]:
    if not all(share > 0 for share in shares) or sum(shares) > 1 + 1e-9:
        raise ValueError(
            f"`shares` must be positive and at most 1 in all. Received: shares={shares}"
        )
    edges = [0] + [round(total * sum(shares[: i + 1])) for i in range(len(shares))]
    return [end - start for start, end in zip(edges[:-1], edges[1:], strict=True)]
