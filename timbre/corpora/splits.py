"""Splits: which speakers or utterances learn, and which are held out.

A split is drawn by hashing the seed with names, never by a generator, so it is the
same on every machine, and for a speaker it does not depend on what others say.

Speakers may be kin: two synthetic voices made of one eSpeak variant, or two channels of
one person, are different labels and nearly one voice. A family stays together, so a
held-out voice is not one that was heard under another name.
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
    kin: str | None = None,
) -> tuple[Corpus, ...]:
    """Part the speakers, so that no voice is in two parts (open set).

    The draw depends on the seed and the names of speakers and families alone: not on
    the order of the rows, nor on how much each speaker says.

    Args:
        corpus: What to part.
        counts: Speakers in each part; one of them may be `None`, all the rest.
        shares: Or the share of the speakers in each part, at most 1 in all.
        seed: Another seed draws another split. Defaults to `0`.
        kin: A column of the manifest. Speakers who share a value of it, directly or
            through others, are a family and come into one part, all or none; those
            without a value have no kin. Families are dealt whole, in the order drawn,
            until a part has its count or more, so a later part may get fewer. What
            is left goes to the part that is `None`, or to none. Defaults to `None`:
            nobody is kin.

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
    families = _families(corpus, kin)
    drawn = deque(sorted(families, key=lambda family: _draw(seed, family[0])))
    rest = counts.index(None) if counts and None in counts else None
    parts = _deal(drawn, sizes, rest)
    if not all(parts):
        raise ValueError(
            f"Every part must get a family, and the {total} speakers of corpus "
            f"{corpus.name!r} are {len(families)} families of up to "
            f"{max(map(len, families))}. Received: counts={counts}, shares={shares}, "
            f"kin={kin!r}, which makes parts of {[len(part) for part in parts]}"
        )
    return tuple(corpus.subset(part) for part in parts)


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


def without(corpus: Corpus, exclude: Iterable[str]) -> Corpus:
    """Leave some speakers out of a corpus.

    Args:
        corpus: The corpus.
        exclude: Names of speakers. A name without a corpus before it means the speakers
            of that name in every corpus that was combined.

    Raises:
        ValueError: If the corpus has no speaker of such a name, or fewer than two
            speakers remain.
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


def _families(corpus: Corpus, kin: str | None) -> list[list[str]]:
    """Speakers who share a value of a column, directly or through others; sorted."""
    family, first = {speaker: {speaker} for speaker in corpus.speakers}, {}
    for u in corpus:
        if kin in u.extra:
            one, other = u.speaker, first.setdefault(u.extra[kin], u.speaker)
            if family[one] is not family[other]:
                family[other] |= family[one]
                family.update(dict.fromkeys(family[one], family[other]))
    return [sorted(each) for name, each in family.items() if name == min(each)]


def _deal(families: deque, sizes: Sequence[int], rest: int | None) -> list[list[str]]:
    """Deal families into parts until each has its size; those left are part `rest`.

    Parts before `rest` are dealt from the front and those after it from the back, so
    the parts lie in the order drawn: where nobody is kin, `rest` is dealt like the
    others.
    """
    parts = [[] for _ in sizes]
    before = range(len(sizes) if rest is None else rest)
    after = reversed(range(len(before) + 1, len(sizes)))
    for numbers, take in ((before, families.popleft), (after, families.pop)):
        for i in numbers:
            while families and len(parts[i]) < sizes[i]:
                parts[i] += take()
    if rest is not None:
        parts[rest] = [speaker for family in families for speaker in family]
    return parts


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
