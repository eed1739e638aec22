"""Voice conversion: recordings with one factor changed, from waveform to waveform.

Sliding windows over a recording, or segments around its phones, are manipulated, joined
by overlap-add and synthesised by a vocoder. Pitch, which the bands do not resolve, is
not converted.
"""

from typing import NamedTuple

import numpy as np

from flows.batching import map_batches
from flows.segments import segmentation
from flows.segments.features import compute_in_blocks
from timbre.audio import wave
from timbre.corpora import phone_sets, phones

OVERLAP = 4  # sliding windows start a quarter of their length apart
MAX_DURATION_S = 600.0  # of a sound that is changed


class Conversion(NamedTuple):
    """A recording with a factor changed.

    `waveform` is float32 `[samples]` in [-1, 1], as long as the recording; `change_db`
    is the mean absolute change of the log-mel features of `num_segments` segments.
    """

    waveform: np.ndarray
    num_segments: int
    change_db: float


def convert(
    model, waveform, front_end, factor, to, *, times=None, source=None, alpha=1.0
) -> Conversion:
    """Changes a factor of a recording.

    Args:
        model: A `flows.models.latent_model.LatentModel` of segments `[frames, bands]`.
        waveform: The recording, float32 `[samples]`, see `read_sound`.
        front_end: The `timbre.audio.mel.LogMel` of the model's data.
        factor: What is changed.
        to: Name of a class, or a waveform of a target that may be new to the model.
        times: Pairs of seconds, start and end: change the segments around these.
            Defaults to sliding windows over the whole recording.
        source: Class indices of these segments, int32 `[n]`, -1 where unknown.
            Defaults to those that the model infers.
        alpha: How far to shift: 0 is nowhere, 1 all the way. Defaults to `1.0`.
    """
    num_frames, _ = model.shape
    features = spectrogram(waveform, front_end)
    if times is None:
        segments, starts = cut_sliding(features, num_frames)
    else:
        hop_s = front_end.hop / front_end.sample_rate
        segments, starts = cut_around(features, times, num_frames, hop_s)
    if not isinstance(to, str):
        other, _ = cut_sliding(spectrogram(to, front_end), num_frames)
        to = np.asarray(model.enrol(other, factor))
        if source is None:  # what both means share cancels
            source = np.asarray(model.enrol(segments, factor))
    changed = change(
        model, features, segments, starts, factor, to, source=source, alpha=alpha
    )
    check_finite(changed)
    return Conversion(
        synthesise(changed, front_end, num_samples=len(waveform)),
        len(segments),
        float(np.abs(changed - features).mean() * 10 / np.log(10)),
    )


def check_finite(x):
    """Refuses features that are not finite."""
    if not np.isfinite(x).all():
        raise ValueError(
            "The result must be finite: use a smaller `--alpha`, or input more like "
            "the run's training data. Received: NaN or infinity"
        )


def read_sound(path, front_end):
    """A sound file at the rate of a front end, float32 `[samples]`.

    Raises:
        OSError: If it can not be read.
        ValueError: If it is no sound, above ten minutes, or shorter than two frames.
    """
    sound = wave.read(
        path, sample_rate=front_end.sample_rate, max_duration_s=MAX_DURATION_S
    )
    if len(sound) < 2 * front_end.hop:
        raise ValueError(
            f"A sound must have two frames of {front_end.hop} samples. "
            f"Received: {path}, {len(sound)} samples"
        )
    return sound


def read_segments(table, sound, factor, classes):
    """Reads the segments of a sound from a table.

    Args:
        table: Path of a table as `timbre.corpora.phones.read` takes it.
        sound: Path of the sound.
        factor: Name of a column.
        classes: Names of its classes, in the order of their class indices.

    Returns:
        Pairs of seconds, start and end, and class indices, int32 `[n]`, -1 where they
        are unknown. A phone that is no class is mapped as eSpeak's are.

    Raises:
        ValueError: If the table is none, or lists nothing of the sound.
    """
    rows = [s for s in phones.read(table) if s.path.resolve() == sound.resolve()]
    if not rows:
        raise ValueError(f"{table} must have segments of {sound}. Received: none")
    class_index = {name: i for i, name in enumerate(classes)}
    names = [
        {"phone": s.phone, "speaker": s.speaker, **s.extra}.get(factor) for s in rows
    ]
    if factor == "phone":
        names = [n if n in class_index else phone_sets.map_espeak(n) for n in names]
    known = np.array([class_index.get(name, -1) for name in names], np.int32)
    return [(s.start_s, s.end_s) for s in rows], known


def spectrogram(waveform, front_end):
    """The features `[frames, bands]` of a waveform `[samples]`, a minute at a time."""
    frames = {"window": front_end.window, "hop": front_end.hop}
    return compute_in_blocks(front_end, waveform, frames)


def cut_sliding(features, frames):
    """Sliding windows over features `[num_frames, bands]`.

    Returns:
        Segments `[n, frames, bands]`, and where each starts, int `[n]`.
    """
    hop = max(frames // OVERLAP, 1)
    starts = segmentation.sliding_starts(len(features), frames, hop)
    return _cut(features, starts, frames), starts


def cut_around(features, times, frames, hop_s):
    """Segments around the middles of phones, returned as by `cut_sliding`.

    Args:
        features: `[num_frames, bands]`.
        times: Pairs of seconds, start and end of each phone.
        frames: Frames of a segment.
        hop_s: Seconds from one frame to the next.

    Raises:
        ValueError: If a phone is outside of the recording.
    """
    count = len(features)
    if count <= frames:
        starts = segmentation.sliding_starts(count, frames, 1).repeat(len(times))
    else:
        find = segmentation.find_segment
        starts = np.array([find(*span, count, frames, hop_s)[0] for span in times])
    return _cut(features, starts, frames), starts


def change(model, features, segments, starts, factor, to, *, source=None, alpha=1.0):
    """Changes a factor of features wherever a segment is.

    Args:
        model, factor, alpha: As for `convert`.
        features: `[num_frames, bands]`.
        segments, starts: What `cut_sliding` or `cut_around` returns.
        to: Name of a class, or a centre `[D]` as `LatentModel.enrol` returns it.
        source: The same, or class indices int32 `[n]`, -1 if unknown. By default
            inferred by the model.

    Returns:
        float32 `[num_frames, bands]`.
    """

    def manipulate(x, own=None):
        own = source if own is None else own
        return model.manipulate(x, factor, to, source=own, alpha=alpha)

    rows = [segments]
    if np.ndim(source) == 1 and np.asarray(source).dtype.kind == "i":
        rows.append(np.asarray(source, np.int32))  # a class index for each segment
    made = map_batches(manipulate, *rows)
    return segmentation.overlap_add(made, starts, len(features), features)


def synthesise(features, front_end, *, num_samples):
    """Synthesises the waveform of features, scaled down where it would clip.

    Args:
        features: `[frames, bands]`.
        front_end: The `timbre.audio.mel.LogMel` by which they were computed.
        num_samples: Length of the result; what the vocoder lacks of it is silence.

    Returns:
        float32 `[num_samples]` in [-1, 1].
    """
    from timbre.audio.vocoder import waveform_from_log_mel

    sound = np.asarray(waveform_from_log_mel(features[None], front_end))[0]
    sound = sound / max(1.0, float(np.abs(sound).max()))
    return np.pad(sound, (0, max(num_samples - len(sound), 0)))[:num_samples]


def _cut(features, starts, frames):
    cut = segmentation.extract
    return np.stack([cut(features, s, s + frames, frames=frames) for s in starts])
