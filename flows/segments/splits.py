"""Which rows are kept, and which of them are learned from.

Classes that are too rare, or too many, are left out, then rows by lot. What is left is
divided first by speaker (`unseen`) and then by recording: no recording is in two parts,
and nobody who is unseen is learned from. All of it depends on labels and a seed only.
"""

import numpy as np

PARTS = ("train", "valid", "test", "unseen")
LOT, UNSEEN, DIVISION, HIDDEN = range(4)  # streams of random numbers of one seed


def choose(columns, *, rows, classes, least_rows, seed):
    """Chooses rows by their labels; rows without a label stay.

    Args:
        columns: Dict, each factor to the labels of all rows, str `[n]`, `""` unknown.
        rows: Most rows to keep, by lot.
        classes: Most classes of a factor; those with most rows stay.
        least_rows: Classes with fewer are left out, before the lot and after it.
        seed: Of the lot.

    Returns:
        Rows, int `[m]`, sorted, and a dict of how many are left out, and why.

    Raises:
        ValueError: If nothing is left.
    """
    total, limits = len(next(iter(columns.values()))), (classes, least_rows)
    lot = _common(columns, np.arange(total), *limits)
    drawn = lot
    if len(lot) > rows:
        drawn = np.sort(_rng(seed, LOT).choice(lot, rows, replace=False))
    chosen = _common(columns, drawn, *limits)
    if not len(chosen):
        raise ValueError(
            "Some classes must have `least_rows` rows. Received: "
            f"{total} rows, of which none stays with least_rows={least_rows}, "
            f"classes={classes} and rows={rows}"
        )
    return chosen, {
        "rare": total - len(lot) + len(drawn) - len(chosen),
        "by lot": len(lot) - len(drawn),
        "unlabelled (kept)": {
            name: int((column[chosen] == "").sum()) for name, column in columns.items()
        },
    }


def unseen(speaker, family, share, *, seed):
    """Draws speakers who are kept for the report, with all they say.

    Who is kin to one of them is kept as well: families are drawn until the speakers are
    enough or more, so what is heard of nobody unseen is heard under another name.

    Args:
        speaker: Names, str `[n]`.
        family: That of each speaker, str `[n]`; whoever has no kin is one alone.
        share: Of the speakers, in [0, 1); at least one if it is above 0.
        seed: Of the draw.

    Returns:
        Mask of their rows, bool `[n]`.

    Raises:
        ValueError: If a speaker is not known, or nobody would be left.
    """
    if not share:
        return np.zeros(len(speaker), bool)
    names, first = np.unique(speaker, return_index=True)
    if names[0] == "":
        raise ValueError(
            "Every row needs its speaker, or `unseen` must be 0. "
            f"Received: {int((speaker == '').sum())} of {len(speaker)} rows without"
        )
    families, kin = np.unique(family[first], return_inverse=True)
    drawn = _rng(seed, UNSEEN).permutation(len(families))
    speakers = np.cumsum(np.bincount(kin)[drawn])  # once so many families are drawn
    count = 1 + np.searchsorted(speakers, max(round(share * len(names)), 1))
    if count >= len(families):
        raise ValueError(
            "Some speakers must be left to learn from. Received: "
            f"unseen={share} of {len(names)} speakers in {len(families)} families"
        )
    return np.isin(speaker, names[np.isin(kin, drawn[:count])])


def vocabulary(columns, out):
    """Classes of each factor, sorted.

    Args:
        columns: Dict, each factor to labels, str `[n]`, `""` where unknown.
        out: Mask of rows of unseen speakers, who are no classes, bool `[n]`.

    Returns:
        Dict, each factor to a tuple of names.

    Raises:
        ValueError: If a factor has fewer than two classes.
    """
    found = {}
    for name, column in columns.items():
        seen = column[~out] if name == "speaker" else column
        found[name] = tuple(sorted({*seen.tolist()} - {""}))
        if len(found[name]) < 2:
            raise ValueError(
                "A factor must have two classes or more. "
                f"Received: {name!r} with {list(found[name])}"
            )
    return found


def codes(columns, vocabulary):
    """Labels as numbers, int32 `[n, F]`, -1 where they are not in the vocabulary."""
    found = []
    for name, column in columns.items():
        place = {value: code for code, value in enumerate(vocabulary[name])}
        found.append([place.get(value, -1) for value in column.tolist()])
    return np.array(found, np.int32).T


def divide(recording, labels, out, *, shares, seed):
    """Divides rows by recording.

    Recordings are drawn, and the first that has a class is learned from; so every class
    of the seen speakers is. The others are shared out in the order of the draw.

    Args:
        recording: Which recording each row is of, int `[n]`.
        labels: Codes, int `[n, F]`, -1 where unknown.
        out: Mask of rows of unseen speakers, bool `[n]`. Rows of others in the same
            recordings are in no part.
        shares: Those of the recordings in `valid` and `test`; at least one each.
        seed: Of the draw.

    Returns:
        Dict, each of `PARTS` to its rows, int, sorted.

    Raises:
        ValueError: If there are too few recordings.
    """
    seen = ~np.isin(recording, recording[out])
    order = _rng(seed, DIVISION).permutation(np.unique(recording[seen]))
    num = len(order)
    rank = np.full(recording.max() + 1, num)
    rank[order] = np.arange(num)
    place = rank[recording]  # in the order drawn
    needed = _firsts(place[seen], labels[seen])
    valid, test = (max(round(share * num), 1) for share in shares)
    if num - valid - test < max(len(needed), 1):
        raise ValueError(
            "There must be recordings to learn every class from, beside those of "
            f"`valid` and `test`. Received: {num} recordings, of which "
            f"{max(num - valid - test, 0)} are left and {len(needed)} needed"
        )
    free = [i for i in range(num) if i not in needed]
    part = np.zeros(num + 1, int)
    part[free[:valid]], part[free[valid : valid + test]] = 1, 2
    part[num] = -1
    part = np.where(out, PARTS.index("unseen"), part[place])
    return {name: np.flatnonzero(part == i) for i, name in enumerate(PARTS)}


def check(labels, vocabulary):
    """Refuses classes that nothing is learned of.

    Args:
        labels: Codes of the rows to learn from, int `[n, F]`.
        vocabulary: Dict, each factor to its classes.

    Raises:
        ValueError: If a class has no row.
    """
    for column, (name, values) in zip(labels.T, vocabulary.items(), strict=True):
        present = set(column.tolist())
        absent = [value for code, value in enumerate(values) if code not in present]
        if absent:
            raise ValueError(
                "Every class must have rows to learn from; a lower `unseen`, a higher "
                "`least_rows` or another seed helps. Received: only unseen speakers "
                f"have {name} {', '.join(absent)}"
            )


def hidden(labels, share, *, seed):
    """Hides labels, each by itself; the first of each class stays.

    Args:
        labels: Codes, int32 `[n, F]`.
        share: Of the labels, in [0, 1).
        seed: Of the draw.

    Returns:
        Codes, -1 where they are hidden.
    """
    hide = _rng(seed, HIDDEN).random(labels.shape) < share
    for column, known in enumerate(labels.T):
        hide[np.unique(known, return_index=True)[1], column] = False
    return np.where(hide, np.int32(-1), labels)


def _rng(seed, stream):
    return np.random.default_rng([seed, stream])


def _firsts(place, labels):
    """The first place of each class of each factor, a set."""
    first = set()
    order = np.argsort(place, kind="stable")
    for column in labels[order].T:
        known, row = np.unique(column, return_index=True)
        first |= set(place[order][row[known >= 0]].tolist())
    return first


def _common(columns, rows, classes, least_rows):
    """Those of the rows whose classes are common, once all others are gone."""
    known = [
        np.unique(column[rows], return_inverse=True) for column in columns.values()
    ]
    stays, before = np.ones(len(rows), bool), -1
    while stays.sum() != before:
        before = stays.sum()
        for values, code in known:
            counts = np.bincount(code[stays], minlength=len(values))
            counts[values == ""] = 0
            most = np.argsort(-counts, kind="stable")[:classes]
            kept = np.isin(np.arange(len(values)), most)
            kept &= counts >= least_rows
            stays &= (kept | (values == ""))[code]
    return rows[stays]
