"""Selection of rows, and their split by speaker and by recording.

Classes that are too rare, or too many, are left out, then rows at random. Rows of
`unseen` speakers are held out first, and the other recordings are split into `train`,
`valid` and `test`: no recording is in two splits, and no unseen speaker in another.
All of it depends on labels and a seed only.
"""

import numpy as np

SPLITS = ("train", "valid", "test", "unseen")
# streams of random numbers of one seed
SELECTION, UNSEEN, RECORDINGS, MASK = range(4)


def select(columns, *, rows, classes, min_rows, seed):
    """Selects rows by their labels; rows without a label stay.

    Args:
        columns: Dict, each factor to the labels of all rows, str `[n]`, `""` unknown.
        rows: Most rows to keep, at random by `seed`.
        classes: Most classes of a factor; those with most rows stay.
        min_rows: Fewest rows of a class, before and after rows are sampled.

    Returns:
        Rows, int `[m]`, sorted, and a dict of how many are left out, and why.

    Raises:
        ValueError: If nothing is left.
    """
    total = len(next(iter(columns.values())))
    frequent = _with_frequent_classes(columns, np.arange(total), classes, min_rows)
    sampled = frequent
    if len(frequent) > rows:
        rng = _rng(seed, SELECTION)
        sampled = np.sort(rng.choice(frequent, rows, replace=False))
    selected = _with_frequent_classes(columns, sampled, classes, min_rows)
    if not len(selected):
        raise ValueError(
            "Some classes must have `min_rows` rows. Received: "
            f"{total} rows, of which none stays with min_rows={min_rows}, "
            f"classes={classes} and rows={rows}"
        )
    return selected, {  # the keys are those of run folders
        "rare": total - len(frequent) + len(sampled) - len(selected),
        "by lot": len(frequent) - len(sampled),
        "unlabelled (kept)": {
            name: int((column[selected] == "").sum())
            for name, column in columns.items()
        },
    }


def select_unseen(speaker, group, share, *, seed):
    """Selects unseen speakers at random, whole groups of them.

    Args:
        speaker: Names, str `[n]`.
        group: Group of each speaker, str `[n]`, as speakers of one synthetic voice.
        share: Of the speakers, in [0, 1), rounded up to whole groups; at least one
            if it is above 0.

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
    groups, group_index = np.unique(group[first], return_inverse=True)
    order = _rng(seed, UNSEEN).permutation(len(groups))
    num_speakers = np.cumsum(np.bincount(group_index)[order])  # of the first groups
    wanted = max(round(share * len(names)), 1)
    count = 1 + np.searchsorted(num_speakers, wanted)
    if count >= len(groups):
        raise ValueError(
            "Some speakers must be left to train on. Received: "
            f"unseen={share} of {len(names)} speakers in {len(groups)} groups"
        )
    return np.isin(speaker, names[np.isin(group_index, order[:count])])


def build_vocabulary(columns, unseen):
    """Dict of each factor to the sorted tuple of its classes, two or more.

    Args:
        columns: Dict, each factor to labels, str `[n]`, `""` where unknown.
        unseen: Mask of rows of unseen speakers, who are no classes, bool `[n]`.
    """
    found = {}
    for name, column in columns.items():
        rows = column[~unseen] if name == "speaker" else column
        found[name] = tuple(sorted({*rows.tolist()} - {""}))
        if len(found[name]) < 2:
            raise ValueError(
                "A factor must have two classes or more. "
                f"Received: {name!r} with {list(found[name])}"
            )
    return found


def encode_labels(columns, vocabulary):
    """Labels as class indices, int32 `[n, F]`, -1 where not in the vocabulary."""
    found = []
    for name, column in columns.items():
        indices = {value: index for index, value in enumerate(vocabulary[name])}
        found.append([indices.get(value, -1) for value in column.tolist()])
    return np.array(found, np.int32).T


def split(recording, labels, unseen, *, shares, seed):
    """Splits rows by recording.

    Recordings are in a random order: the first with each class is for training, the
    others are assigned in that order.

    Args:
        recording: Which recording each row is of, int `[n]`.
        labels: Class indices, int `[n, F]`, -1 where unknown.
        unseen: Mask of rows of unseen speakers, bool `[n]`. Rows of others in the same
            recordings are in no split.
        shares: Those of the recordings in `valid` and `test`; at least one each.

    Returns:
        Dict, each of `SPLITS` to its rows, int, sorted.

    Raises:
        ValueError: If there are too few recordings.
    """
    seen = ~np.isin(recording, recording[unseen])
    order = _rng(seed, RECORDINGS).permutation(np.unique(recording[seen]))
    num = len(order)
    rank_of = np.full(recording.max() + 1, num)
    rank_of[order] = np.arange(num)
    rank = rank_of[recording]
    needed = _first_ranks(rank[seen], labels[seen])
    valid = max(round(shares[0] * num), 1)
    test = max(round(shares[1] * num), 1)
    if num - valid - test < max(len(needed), 1):
        raise ValueError(
            "There must be recordings to train every class on, beside those of "
            f"`valid` and `test`. Received: {num} recordings, of which "
            f"{max(num - valid - test, 0)} are left and {len(needed)} needed"
        )
    free = [i for i in range(num) if i not in needed]
    split_of = np.zeros(num + 1, int)  # 0 is training
    split_of[free[:valid]] = SPLITS.index("valid")
    split_of[free[valid : valid + test]] = SPLITS.index("test")
    split_of[num] = -1  # recordings with unseen speakers
    found = np.where(unseen, SPLITS.index("unseen"), split_of[rank])
    return {name: np.flatnonzero(found == i) for i, name in enumerate(SPLITS)}


def check_all_classes(labels, vocabulary):
    """Refuses classes without training rows, of class indices int `[n, F]`."""
    for column, (name, values) in zip(labels.T, vocabulary.items(), strict=True):
        present = set(column.tolist())
        absent = [value for index, value in enumerate(values) if index not in present]
        if absent:
            raise ValueError(
                "Every class must have training rows; a lower `unseen`, a higher "
                "`min_rows` or another seed helps. Received: only unseen speakers "
                f"have {name} {', '.join(absent)}"
            )


def mask_labels(labels, share, *, seed):
    """Masks a share of the labels by -1, each independently.

    Labels are int32 `[n, F]`, `share` is in [0, 1); the first of each class stays.
    """
    mask = _rng(seed, MASK).random(labels.shape) < share
    for column, known in enumerate(labels.T):
        mask[np.unique(known, return_index=True)[1], column] = False
    return np.where(mask, np.int32(-1), labels)


def _rng(seed, stream):
    return np.random.default_rng([seed, stream])


def _first_ranks(rank, labels):
    """The lowest rank with each class of each factor, a set."""
    first = set()
    order = np.argsort(rank, kind="stable")
    for column in labels[order].T:
        known, row = np.unique(column, return_index=True)
        first |= set(rank[order][row[known >= 0]].tolist())
    return first


def _with_frequent_classes(columns, rows, classes, min_rows):
    """Rows whose classes are frequent, repeated until no class becomes rare."""
    known = [np.unique(c[rows], return_inverse=True) for c in columns.values()]
    stays, before = np.ones(len(rows), bool), -1
    while stays.sum() != before:
        before = stays.sum()
        for values, index in known:
            counts = np.bincount(index[stays], minlength=len(values))
            counts[values == ""] = 0
            frequent = np.argsort(-counts, kind="stable")[:classes]
            kept = np.isin(np.arange(len(values)), frequent)
            kept &= counts >= min_rows
            stays &= (kept | (values == ""))[index]
    return rows[stays]
