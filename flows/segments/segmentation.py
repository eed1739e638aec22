"""Segments: as many frames around every phone, and the way back.

Frame `t` is centred on `t * hop_s` seconds, as those of `timbre.audio.stft` are. A phone that
is not `frames` long is made so in one of four ways, named by `fit`:

* `centre`: frames around its middle, whatever is said there. At the ends of a
  recording the window is moved inside.
* `pad`: its own frames, with its least number on either side.
* `repeat`: its own frames, over and over.
* `stretch`: its own frames, stretched or squeezed along straight lines.

A phone too long for `pad` or `repeat` keeps its middle, and a recording too short for
`centre` is padded. Going back, segments overlap and are added, each weighted by a Hann
window, over the sum of the weights: `overlap` of what was cut is what was cut from.
"""

import numpy as np

FITS = ("centre", "pad", "repeat", "stretch")
ROUNDING = 1e-6  # of a frame: 0.07 s are seven hops of 0.01 s and no more


def window(start_s, end_s, num_frames, frames, hop_s, fit="centre"):
    """Finds the frames of a recording from which a segment is made.

    Args:
        start_s: Where the phone begins, in seconds.
        end_s: Where it ends, in seconds; a frame centred there is not its own.
        num_frames: Frames of the recording.
        frames: Frames of a segment.
        hop_s: From one frame to the next, in seconds.
        fit: One of `FITS`. Defaults to `"centre"`.

    Returns:
        `(start, end)`, the first frame and the one after the last. For `centre` they
        are `frames` if the recording has as many, else those of the phone, at least
        one.

    Raises:
        ValueError: If the phone begins after the recording or before it, ends more than
            a frame after it, or before it begins.
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


def cut(features, start, end, *, frames, fit="centre"):
    """Cuts a segment out of a recording.

    Args:
        features: `[num_frames, bands]`.
        start, end: As `window` gives them; what is outside of the recording is padded.
        frames: Frames of a segment.
        fit: One of `FITS`. Defaults to `"centre"`.

    Returns:
        `[frames, bands]`, of the type of `features`.
    """
    return fitted(features[max(start, 0) : end], frames=frames, fit=fit)


def fitted(features, *, frames, fit="centre"):
    """Gives a stretch of features the length of a segment.

    Args:
        features: `[num_frames, bands]`, at least one frame.
        frames: Frames of a segment.
        fit: One of `FITS`; here `centre` does as `pad` does. Defaults to `"centre"`.

    Returns:
        `[frames, bands]`, of the type of `features`.
    """
    _check(fit, frames)
    num_frames = len(features)
    if not num_frames:
        raise ValueError("A segment is made of at least one frame. Received: none")
    if fit == "stretch":
        return _stretched(features, frames)
    if num_frames >= frames:
        before = (num_frames - frames) // 2
        return features[before : before + frames]
    if fit == "repeat":
        return features[np.arange(frames) % num_frames]
    before = (frames - num_frames) // 2
    around = ((before, frames - num_frames - before), (0, 0))
    return np.pad(features, around, constant_values=features.min())


def cover(num_frames, frames, hop):
    """Finds where segments start that slide over a whole recording.

    Args:
        num_frames: Frames of the recording.
        frames: Frames of a segment.
        hop: Frames from one to the next, at most `frames`; the last may be nearer.

    Returns:
        Starts, int `[n]`. A recording shorter than a segment has one, which begins
        before it as `cut` pads.
    """
    if num_frames < 1 or not 1 <= hop <= frames:
        raise ValueError(
            "A recording has frames, and segments that cover it follow each other by 1 "
            f"to `frames`. Received: num_frames={num_frames}, frames={frames}, "
            f"hop={hop}"
        )
    if num_frames <= frames:
        return np.array([-((frames - num_frames) // 2)])
    last = num_frames - frames
    return np.append(np.arange(0, last, hop), last)


def overlap(segments, starts, num_frames, original=None):
    """Puts segments back where they were cut, overlapped and added.

    `features[t] = sum_i w[t - s_i] * segment_i[t - s_i] / sum_i w[t - s_i]`, where
    segment `i` starts at `s_i` and `w[t] = sin(pi * (t + 1 / 2) / frames)**2`.

    Args:
        segments: `[n, frames, bands]`, not stretched or repeated.
        starts: Where each starts, int `[n]`; frames outside of the recording are left
            out.
        num_frames: Frames of the recording.
        original: `[num_frames, bands]`, kept where no segment is. Defaults to `None`:
            segments cover all.

    Returns:
        Features, `[num_frames, bands]`, of the type of `segments`.

    Raises:
        ValueError: If starts and segments are not as many, or frames are left open.
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
            f"Received: {int((~covered).sum())} of {num_frames} frames open"
        )
    made = np.zeros_like(total) if original is None else np.array(original, float)
    made[covered] = total[covered] / share[covered, None]
    return made.astype(segments.dtype)


def _check(fit, frames):
    if fit not in FITS or frames < 1:
        raise ValueError(
            f"`fit` must be one of {FITS}, and `frames` at least 1. "
            f"Received: fit={fit!r}, frames={frames}"
        )


def _stretched(features, frames):
    """Straight lines between frames; ends stay ends, and one frame is repeated."""
    place = np.linspace(0, len(features) - 1, frames)
    if frames == 1:
        place += (len(features) - 1) / 2
    before = np.minimum(place.astype(int), max(len(features) - 2, 0))
    after = np.minimum(before + 1, len(features) - 1)
    share = (place - before)[:, None]
    made = (1 - share) * features[before] + share * features[after]
    return made.astype(features.dtype)
