"""Resegmentation: speaker changes finer than the step of windows, by Viterbi decoding.

    score[t, k] = sum_w hat((t - centre_w) / length) * cos(e_w, mean_k) / sum_w hat(...)

A window has the triangular weight `hat(u) = max(0, 1 - 2 * |u|)`: the scores cross
where the speaker changes. The Viterbi path of speakers, in cells of 50 ms, maximises
the sum of the scores, less `CHANGE_S` seconds of a score difference of 1 for each
change. Voice activity decides where speech begins and ends, to the frame. Overlapped
speech is assigned to the speaker of higher score.
"""

import numpy as np

from timbre.turns import merge_spans

CELL_S = 0.05  # time resolution of speaker changes
CHANGE_S = 0.05  # penalty of a change, in seconds of a score difference of 1
MIN_GAP_S = 0.5  # between two turns of one speaker; shorter ones are bridged
MIN_TURN_S = 0.25


def cell_scores(starts_s, ends_s, cosines, num_cells):
    """Scores of each cell against each speaker, see the module.

    A cell outside of all windows has the scores of the nearest one inside; all are 0
    where there is no window.

    Args:
        starts_s, ends_s: Of the windows, seconds, `[windows]`, in order.
        cosines: Of each window with each speaker, `[windows, speakers]`.
        num_cells: Length of the result, float32 `[cells, speakers]`, in cells of 50 ms.
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
    cells = np.arange(num_cells)
    after = known[np.searchsorted(known, cells).clip(0, len(known) - 1)]
    before = known[(np.searchsorted(known, cells, side="right") - 1).clip(0)]
    near = np.where(np.abs(cells - before) <= np.abs(after - cells), before, after)
    return total[near] / weight[near, None]


def best_path(scores, change=CHANGE_S / CELL_S):
    """The Viterbi path: the sum of its scores less `change` for each change is maximal.

    Args:
        scores: `[cells, speakers]`; the path is int `[cells]`.
        change: Cost of each change, in units of the scores of one cell.

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


def force_speaker(path, time_s, speaker):
    """Assign a short turn around a time to a speaker, in place."""
    half = int(np.ceil(MIN_TURN_S / CELL_S / 2))
    cell = int(time_s / CELL_S)
    path[max(cell - half, 0) : cell + half + 1] = speaker


def path_spans(segments, path, *, gap=MIN_GAP_S):
    """Spans `(start, end, speaker)` of a path within segments of speech, in order.

    Changes fall on cell boundaries, starts and ends on those of the segments. Spans of
    one speaker with at most `gap` seconds of silence between them are merged; one that
    is shorter than `MIN_TURN_S` goes to a neighbour that it touches, if any.

    Args:
        segments: `(start, end)` of each segment, seconds, in order, apart.
        path: Speaker of each cell, int `[cells]`.
        gap: Defaults to `MIN_GAP_S`.
    """
    found = []
    for start, end in segments:
        found += merge_spans(_segment_spans(start, end, path))
    return merge_spans(found, gap)


def _segment_spans(start, end, path):
    """Spans of one segment of speech, short ones merged with their neighbours."""
    first = min(int(start / CELL_S), len(path) - 1)
    last = max(min(int(np.ceil(end / CELL_S - 1e-9)), len(path)), first + 1)
    speakers = path[first:last]
    edges = np.flatnonzero(np.diff(speakers)) + 1
    borders = [start, *((first + edges) * CELL_S).tolist(), end]
    names = speakers[[0, *edges]].tolist()
    spans = [*zip(borders, borders[1:], names, strict=False)]
    spans = [span for span in spans if span[1] > span[0]]
    while len(spans) > 1:
        short = min(range(len(spans)), key=lambda i: spans[i][1] - spans[i][0])
        start, end, _ = spans[short]
        if end - start >= MIN_TURN_S:
            break
        if short:  # the one before goes on
            spans[short - 1] = (spans[short - 1][0], end, spans[short - 1][2])
        else:
            spans[1] = (start, *spans[1][1:])
        del spans[short]
        spans = merge_spans(spans)
    return spans
