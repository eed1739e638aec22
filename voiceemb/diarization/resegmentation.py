"""Re-segmentation: from windows that overlap to who speaks when, finer than their step.

    score[t, k] = sum_w hat((t - centre_w) / length) * cos(e_w, mean_k) / sum_w hat(...)

A window says most about its centre, `hat(u) = max(0, 1 - 2 * |u|)`, so between the
centres of two windows the scores go over from one to the other, and change places where
the voice does. The path of speakers is the one that maximises the sum of the scores,
each change costing `CHANGE_S` seconds of a score difference of 1 (Viterbi). It is
looked for in cells of 50 ms; where speech begins and ends, the activity decides to
the frame.

One speaker at a time: speech of two at once is given to the one who is heard better.
"""

import numpy as np

CELL_S = 0.05  # between two moments at which the speaker may change
CHANGE_S = 0.05  # what a change costs, in seconds of a score difference of 1
LEAST_GAP_S = 0.5  # silence between two turns of one speaker that is none
LEAST_TURN_S = 0.25


def scores(starts_s, ends_s, cosines, num_cells):
    """How much each cell sounds like each speaker.

    Args:
        starts_s, ends_s: Of the windows, seconds, `[windows]`, in order.
        cosines: Of each window with each speaker, `[windows, speakers]`.
        num_cells: Length of the result, in cells of 50 ms.

    Returns:
        float32 `[cells, speakers]`; a cell that no window holds has the scores of the
        nearest one that some window does, and all are 0 where there is no window.
    """
    cosines = np.asarray(cosines, np.float32)
    total = np.zeros((num_cells, cosines.shape[1]), np.float32)
    weight = np.zeros(num_cells, np.float32)
    for start, end, row in zip(starts_s, ends_s, cosines, strict=True):
        first, last = int(start / CELL_S), min(int(np.ceil(end / CELL_S)), num_cells)
        centres = (np.arange(first, last) + 0.5) * CELL_S
        hat = 1 - 2 * np.abs(centres - (start + end) / 2) / (end - start)
        hat = np.maximum(hat, 1e-3).astype(np.float32)
        total[first:last] += hat[:, None] * row
        weight[first:last] += hat
    known = np.flatnonzero(weight)
    if not len(known):
        return total
    after = known[np.searchsorted(known, np.arange(num_cells)).clip(0, len(known) - 1)]
    before = known[
        (np.searchsorted(known, np.arange(num_cells), side="right") - 1).clip(0)
    ]
    cells = np.arange(num_cells)
    near = np.where(np.abs(cells - before) <= np.abs(after - cells), before, after)
    return total[near] / weight[near, None]


def best_path(scores, change=CHANGE_S / CELL_S):
    """The path that maximises the sum of its scores less `change` for each change.

    Args:
        scores: `[cells, speakers]`.
        change: Cost of each change, in units of the scores of one cell.

    Returns:
        Speaker of each cell, int `[cells]`.

    Reference:
        Error Bounds for Convolutional Codes (Viterbi, 1967),
        https://doi.org/10.1109/TIT.1967.1054010
    """
    if not len(scores):
        return np.zeros(0, int)
    cells, speakers = scores.shape
    came = np.empty((cells, speakers), np.int16)
    total, own = np.asarray(scores[0], np.float64), np.arange(speakers)
    for cell in range(1, cells):
        best = int(total.argmax())
        moved = total[best] - change
        changes = total < moved
        came[cell] = np.where(changes, best, own)
        total = np.where(changes, moved, total) + scores[cell]
    path = np.empty(cells, int)
    path[-1] = total.argmax()
    for cell in range(cells - 1, 0, -1):
        path[cell - 1] = came[cell, path[cell]]
    return path


def insist(path, moment_s, speaker):
    """Makes a speaker speak in a path, in place, for a moment."""
    half = int(np.ceil(LEAST_TURN_S / CELL_S / 2))
    cell = int(moment_s / CELL_S)
    path[max(cell - half, 0) : cell + half + 1] = speaker


def spans(segments, path, *, gap=LEAST_GAP_S):
    """Turns of the speakers of a path, within stretches of speech.

    Changes fall on the borders of cells, begins and ends on those of the stretches.
    Turns of one speaker with at most `gap` seconds of silence between them are joined;
    one that is shorter than `LEAST_TURN_S` goes to the neighbour whom it
    touches, and stands where it touches none.

    Args:
        segments: `(start, end)` of each stretch, seconds, in order, apart.
        path: Speaker of each cell, int `[cells]`.
        gap: Defaults to `LEAST_GAP_S`.

    Returns:
        List of `(start, end, speaker)`, in order, apart or touching.
    """
    found = []
    for start, end in segments:
        found += joined(_within(start, end, path), 0.0)
    return joined(found, gap)


def _within(start, end, path):
    """Turns of one stretch of speech; short ones gone to their neighbours."""
    first = min(int(start / CELL_S), len(path) - 1)
    last = max(min(int(np.ceil(end / CELL_S - 1e-9)), len(path)), first + 1)
    speakers = path[first:last]
    edges = np.flatnonzero(np.diff(speakers)) + 1
    borders = [start, *((first + edges) * CELL_S).tolist(), end]
    names = speakers[[0, *edges]].tolist()
    turns = [*zip(borders, borders[1:], names, strict=False)]
    turns = [turn for turn in turns if turn[1] > turn[0]]
    while len(turns) > 1:
        short = min(range(len(turns)), key=lambda i: turns[i][1] - turns[i][0])
        start, end, _ = turns[short]
        if end - start >= LEAST_TURN_S:
            break
        if short:  # the one before goes on
            turns[short - 1] = (turns[short - 1][0], end, turns[short - 1][2])
        else:
            turns[1] = (start, *turns[1][1:])
        del turns[short]
        turns = joined(turns, 0.0)
    return turns


def joined(turns, gap):
    """Joins neighbours of one speaker that are at most `gap` seconds apart.

    Args:
        turns: `(start, end, speaker)`, seconds, in order.
        gap: In seconds; nobody else speaks in it, as only neighbours are joined.
    """
    done = []
    for start, end, speaker in turns:
        if done and done[-1][2] == speaker and start - done[-1][1] <= gap:
            done[-1] = (done[-1][0], max(done[-1][1], end), speaker)
        else:
            done.append((start, end, speaker))
    return done
