"""Segments of a fixed number of frames around phones, and overlap-add back.

Frame `t` is centred on `t * hop_s` seconds, as in `timbre.audio.stft`. A phone of
another length is fitted in one of four ways, named by `fit`:

* `centre`: frames around its middle, of the phone or not. At the ends of a recording
  the window is moved inside.
* `pad`: its own frames, padded with their minimum on either side.
* `repeat`: its own frames, repeated.
* `stretch`: its own frames, linearly interpolated.

A phone too long for `pad` or `repeat` keeps its middle, and a recording too short for
`centre` is padded. `overlap_add` weights segments by a Hann window and divides by the
sum of the weights: of unchanged segments it reconstructs the recording.
"""

import numpy as np

FITS = ("centre", "pad", "repeat", "stretch")
ROUNDING = 1e-6  # of a frame: 0.07 s are seven hops of 0.01 s and no more


def find_segment(start_s, end_s, num_frames, frames, hop_s, fit="centre"):
    """Finds the frames of a recording that a segment consists of.

    Args:
        start_s, end_s: Of the phone, in seconds; a frame centred on its end is not
            included.
        num_frames: Frames of the recording.
        frames: Frames of a segment.
        hop_s: From one frame to the next, in seconds.
        fit: One of `FITS`. Defaults to `"centre"`.

    Returns:
        `(start, end)`, the first frame and the one after the last: for `centre`
        `frames` if the recording has as many, else those of the phone, at least one.

    Raises:
        ValueError: If the phone does not begin in the recording, or ends more than a
            frame after it, or before it begins.
    """
    _check(fit, frames)
    length = num_frames * hop_s  # or up to a frame less
    late = end_s > length + (1 + ROUNDING) * hop_s
    if not 0 <= start_s < end_s or start_s > length or late:
        raise ValueError(
            "A phone must begin in its recording and end there, at most a frame late. "
            f"Received: {start_s} to {end_s} s in {num_frames} frames of {hop_s} s"
        )
    middle = (start_s + end_s) / 2 / hop_s
    if fit == "centre":
        size = min(frames, num_frames)
        start = int(np.floor(middle - (size - 1) / 2 + 0.5))
    else:
        edges = np.array([start_s, end_s]) / hop_s
        first, last = np.minimum(np.ceil(edges - ROUNDING).astype(int), num_frames)
        if last <= first:
            first = min(int(np.floor(middle + 0.5)), num_frames - 1)
        size, start = max(last - first, 1), int(first)
    start = min(max(start, 0), num_frames - size)
    return start, start + int(size)


def extract(features, start, end, *, frames, fit="centre"):
    """Extracts a segment `[frames, bands]` from a recording `[num_frames, bands]`.

    Args:
        features: Of the recording, whose type the segment has.
        start, end: See `find_segment`; frames outside of the recording are padded.
        frames: Frames of a segment.
        fit: One of `FITS`. Defaults to `"centre"`.
    """
    return fit_frames(features[max(start, 0) : end], num_frames=frames, fit=fit)


def fit_frames(features, *, num_frames, fit="centre"):
    """Crops, pads, repeats or stretches features to a number of frames.

    Args:
        features: `[given, bands]`, at least one frame.
        num_frames: Frames of a segment.
        fit: One of `FITS`; here `centre` is the same as `pad`. Defaults to `"centre"`.

    Returns:
        `[num_frames, bands]`, of the type of `features`.
    """
    _check(fit, num_frames)
    given = len(features)
    if not given:
        raise ValueError("A segment must have at least one frame")
    if fit == "stretch":
        return _stretch(features, num_frames)
    if given >= num_frames:
        before = (given - num_frames) // 2
        return features[before : before + num_frames]
    if fit == "repeat":
        return features[np.arange(num_frames) % given]
    before = (num_frames - given) // 2
    padding = ((before, num_frames - given - before), (0, 0))
    return np.pad(features, padding, constant_values=features.min())


def sliding_starts(num_frames, frames, hop):
    """Finds the starts of sliding windows over a whole recording.

    Args:
        num_frames: Frames of the recording.
        frames: Frames of a segment.
        hop: Frames from one to the next, at most `frames`; the last may be nearer.

    Returns:
        Int `[n]`; of a recording shorter than a segment one, before it as `extract`
        pads.
    """
    if num_frames < 1 or not 1 <= hop <= frames:
        raise ValueError(
            "A recording must have frames, and `hop` must be between 1 and `frames`. "
            f"Received: num_frames={num_frames}, frames={frames}, hop={hop}"
        )
    if num_frames <= frames:
        return np.array([-((frames - num_frames) // 2)])
    last = num_frames - frames
    return np.append(np.arange(0, last, hop), last)


def overlap_add(segments, starts, num_frames, original=None):
    """Overlap-add of segments at their places in a recording.

    `features[t] = sum_i w[t - s_i] * segment_i[t - s_i] / sum_i w[t - s_i]`, where
    segment `i` starts at `s_i` and `w[t] = sin(pi * (t + 1 / 2) / frames)**2`.

    Args:
        segments: `[n, frames, bands]`, not stretched or repeated.
        starts: Where each starts, int `[n]`; frames out of the recording are dropped.
        num_frames: Frames of the recording.
        original: `[num_frames, bands]`, kept where no segment is; by default segments
            must cover all frames.

    Returns:
        Features, `[num_frames, bands]`, of the type of `segments`.
    """
    segments, starts = np.asarray(segments), np.asarray(starts)
    if segments.ndim != 3 or starts.shape != segments.shape[:1]:
        raise ValueError(
            "Segments [n, frames, bands] need a start each. "
            f"Received: {segments.shape} and starts {starts.shape}"
        )
    frames, bands = segments.shape[1:]
    place = starts[:, None] + np.arange(frames)  # (n, frames)
    inside = (place >= 0) & (place < num_frames)
    weight = np.sin(np.pi * (np.arange(frames) + 0.5) / frames) ** 2
    weight = np.broadcast_to(weight, place.shape)[inside]
    total, share = np.zeros((num_frames, bands)), np.zeros(num_frames)
    np.add.at(share, place[inside], weight)
    np.add.at(total, place[inside], weight[:, None] * segments[inside])
    covered = share > 0
    if original is None and not covered.all():
        raise ValueError(
            "Frames that no segment covers need `original`. "
            f"Received: {int((~covered).sum())} of {num_frames} frames not covered"
        )
    found = np.zeros_like(total) if original is None else np.array(original, float)
    found[covered] = total[covered] / share[covered, None]
    return found.astype(segments.dtype)


def _check(fit, frames):
    if fit not in FITS or frames < 1:
        raise ValueError(
            f"`fit` must be one of {FITS}, and `frames` at least 1. "
            f"Received: fit={fit!r}, frames={frames}"
        )


def _stretch(features, frames):
    """Linear interpolation of frames; ends stay ends, and one frame is repeated."""
    place = np.linspace(0, len(features) - 1, frames)
    if frames == 1:
        place += (len(features) - 1) / 2
    before = np.minimum(place.astype(int), max(len(features) - 2, 0))
    after = np.minimum(before + 1, len(features) - 1)
    share = (place - before)[:, None]
    found = (1 - share) * features[before] + share * features[after]
    return found.astype(features.dtype)
