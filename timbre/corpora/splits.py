"""Deterministic splits of a corpus by speaker or by utterance.

A split is derived from a hash of seed and name, so it is identical on every machine,
and that of a speaker does not depend on what the others say.
"""

import hashlib
import warnings
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace

from timbre.corpora.corpus import Corpus, bare, some


def split_by_speaker(
    corpus: Corpus,
    *,
    counts: Sequence[int | None] | None = None,
    shares: Sequence[float] | None = None,
    seed: int = 0,
    groups: str | None = None,
) -> tuple[Corpus, ...]:
    """Split the speakers into disjoint parts (open set).

    It depends on the seed and the names of speakers and groups alone.

    Args:
        corpus: The corpus.
        counts: Speakers in each part; one of them may be `None`, all the rest.
        shares: Or the share of the speakers in each part, at most 1 in all.
        seed: Another seed gives another split. Defaults to `0`.
        groups: A column of the manifest, as of eSpeak variants. Speakers that share a
            value, directly or through others, are never separated, so that no held-out
            voice is one of training under another name; one without a value is a group
            alone. Whole groups are assigned, in a random order, until a part has its
            count or more, so a later part may get fewer; what is left goes to the part
            that is `None`, or to none. Defaults to `None`: every speaker is a group.

    Returns:
        One corpus for each count or share, in that order.
    """
    if (counts is None) == (shares is None):
        raise ValueError(
            "Exactly one of `counts` and `shares` must be given. "
            f"Received: counts={counts}, shares={shares}"
        )
    total = len(corpus.speakers)
    sizes = _fill(counts, total) if counts else _from_shares(shares or (), total)
    if min(sizes, default=0) < 1 or sum(sizes) > total:
        raise ValueError(
            f"Every part must get a speaker, and there are {total} in corpus "
            f"{corpus.name!r}. Received: counts={counts}, shares={shares}, "
            f"which makes parts of {sizes}"
        )
    members = _groups(corpus, groups)
    shuffled = deque(sorted(members, key=lambda group: _hash(seed, group[0])))
    rest = counts.index(None) if counts and None in counts else None
    parts = _assign(shuffled, sizes, rest)
    if not all(parts):
        raise ValueError(
            f"Every part must get a group, and the {total} speakers of corpus "
            f"{corpus.name!r} form {len(members)} groups of up to "
            f"{max(map(len, members))}. Received: counts={counts}, shares={shares}, "
            f"groups={groups!r}, which makes parts of {[len(part) for part in parts]}"
        )
    return tuple(corpus.subset(part) for part in parts)


def split_by_utterance(
    corpus: Corpus, share: float, *, seed: int = 0
) -> tuple[Corpus, Corpus]:
    """Split into utterances kept and held out of every speaker (closed set).

    Args:
        corpus: The corpus.
        share: Share of each speaker's utterances to hold out, between 0 and 1. At least
            one is kept and, of two or more, at least one held out.
        seed: Another seed gives another split. Defaults to `0`.
    """
    if not 0 < share < 1:
        raise ValueError(f"`share` must be between 0 and 1. Received: share={share}")
    groups = {speaker: [] for speaker in corpus.speakers}
    for i, (key, u) in enumerate(zip(corpus.keys(), corpus, strict=True)):
        groups[u.speaker].append((_hash(seed, key), i))
    held = set()
    for group in groups.values():
        size = min(max(round(share * len(group)), 1), len(group) - 1)
        held.update(i for _, i in sorted(group)[:size])
    kept = tuple(u for i, u in enumerate(corpus) if i not in held)
    out = tuple(u for i, u in enumerate(corpus) if i in held)
    return replace(corpus, utterances=kept), replace(corpus, utterances=out)


def filter_speakers(
    corpus: Corpus, *, min_speakers: int = 2, min_utterances: int = 2
) -> Corpus:
    """Keep the speakers with enough utterances to train on, and warn of the others.

    Args:
        corpus: The corpus.
        min_speakers: Speakers that must remain, else a `ValueError`. Defaults to `2`.
        min_utterances: Utterances a speaker needs to count. Defaults to `2`.
    """
    if not len(corpus):
        raise ValueError(f"A corpus must have utterances. Received: {corpus.name!r}")
    groups = corpus.by_speaker()
    rare = [name for name, group in groups.items() if len(group) < min_utterances]
    kept = [name for name in groups if name not in set(rare)]
    dropped = f"Received: {corpus.name!r} with {len(groups)} speakers"
    if rare:
        limit = f"fewer than {min_utterances} utterances"
        dropped += f", {len(rare)} with {limit}: {some(rare)}"
    if len(kept) < min_speakers:
        raise ValueError(
            f"A corpus must have at least {min_speakers} speakers with at least "
            f"{min_utterances} utterances each. {dropped}"
        )
    if not rare:
        return corpus
    message = f"Speakers with too few utterances are left out. {dropped}"
    warnings.warn(message, stacklevel=2)
    return corpus.subset(kept)


def without(corpus: Corpus, exclude: Iterable[str]) -> Corpus:
    """Leave some speakers out of a corpus.

    A name without a corpus before it means the speakers of that name in every corpus
    that was combined.

    Raises:
        ValueError: If there is no speaker of such a name, or fewer than two remain.
    """
    exclude = set(exclude)
    unknown = sorted(exclude - {*corpus.speakers, *map(bare, corpus.speakers)})
    if unknown:
        raise ValueError(
            f"Speakers to exclude must speak in corpus {corpus.name!r}. "
            f"Received: {some(unknown)}"
        )
    left = [name for name in corpus.speakers if not {name, bare(name)} & exclude]
    if exclude and len(left) < 2:
        raise ValueError(
            "Speakers to exclude must leave two others. Received: "
            f"{len(corpus.speakers)} speakers in {corpus.name!r}, of whom "
            f"{some(sorted(exclude))} leave {len(left)}"
        )
    return corpus.subset(left)


def _groups(corpus: Corpus, column: str | None) -> list[list[str]]:
    """Speakers that share a value of a column, directly or through others; sorted."""
    group, first = {speaker: {speaker} for speaker in corpus.speakers}, {}
    for u in corpus:
        if column in u.extra:
            one, other = u.speaker, first.setdefault(u.extra[column], u.speaker)
            if group[one] is not group[other]:
                group[other] |= group[one]
                group.update(dict.fromkeys(group[one], group[other]))
    return [sorted(each) for name, each in group.items() if name == min(each)]


def _assign(groups: deque, sizes: Sequence[int], rest: int | None) -> list[list[str]]:
    """Fill parts with whole groups until each has its size; those left are part `rest`.

    Parts before `rest` take from the front and those after it from the back.
    """
    parts = [[] for _ in sizes]
    before = range(len(sizes) if rest is None else rest)
    after = reversed(range(len(before) + 1, len(sizes)))
    for numbers, take in ((before, groups.popleft), (after, groups.pop)):
        for i in numbers:
            while groups and len(parts[i]) < sizes[i]:
                parts[i] += take()
    if rest is not None:
        parts[rest] = [speaker for group in groups for speaker in group]
    return parts


def _hash(seed: int, key: str) -> bytes:
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
