"""Speaker diarization: who speaks when in a recording.

    waveform -> speech segments -> windows -> embeddings -> clusters -> turns -> names

Speech (`voiceemb.vad`) is covered by sliding windows, which `clustering` clusters by
speaker; `resegmentation` finds the turns, and enrolled people get their names. Time and
memory are linear in the duration.
"""

import contextlib
import dataclasses
import time
from pathlib import Path

import numpy as np

from timbre.audio import wave
from timbre.turns import Turn
from voiceemb.diarization import clustering, resegmentation
from voiceemb.diarization.result import (
    Diarization,
    Windows,
    free_name,
    speaker_embeddings,
)
from voiceemb.encoder import Encoder
from voiceemb.inference import MIN_S
from voiceemb.vad import detection
from voiceemb.vad.base import SAMPLE_RATE

WINDOW_S = 1.5
STEP_S = 0.25  # at most, between the starts of neighbouring windows
STAGES = {  # share of the work, for `progress`
    "read": 0.02,
    "activity": 0.08,
    "embed": 0.75,
    "cluster": 0.1,
    "segment": 0.05,
}
LITTLE_SPEECH_S = 1.0  # of speech; less is noted


def diarize(
    source,
    *,
    encoder=None,
    detector=None,
    people=None,
    num_speakers=None,
    min_speakers=1,
    max_speakers=8,
    method="spectral",
    progress=None,
) -> Diarization:
    """Find who speaks when.

    One speaker at a time is found: in overlapped speech the other one is missed.

    Args:
        source: A path, or a waveform, float `[samples]` at 16 kHz.
        encoder: A `voiceemb.Encoder` of 16 kHz. Defaults to the pretrained one.
        detector: A `voiceemb.vad.Detector`. Defaults to that of `voiceemb.vad.load`.
        people: A `voiceemb.enrolment.people.People`: enrolled speakers get their names,
            and two clusters of one person are merged, unless `num_speakers` is given.
            Defaults to `None`.
        num_speakers, min_speakers, max_speakers, method: As for
            `voiceemb.diarization.clustering.cluster`.
        progress: Called with the name of the stage and the share of all work that is
            done, which rises to 1.

    Returns:
        A `Diarization`. There are fewer speakers than asked for only where there is too
        little speech for so many, which is noted, and none where nobody speaks.

    Raises:
        timbre.audio.wave.AudioError: If a file can not be read.
        ValueError: If an argument is none of these.

    Example:
        ```python
        talk = diarization.diarize("talk.wav", max_speakers=4)
        for turn in talk.turns:
            print(f"{turn.start:8.2f} {turn.end:8.2f} {turn.speaker}")
        ```
    """
    clustering.check_arguments(num_speakers, min_speakers, max_speakers, method)
    work = _StageTimer(progress)
    with work.stage("read"):
        is_file = isinstance(source, str | Path)
        waveform = wave.read(source, sample_rate=SAMPLE_RATE) if is_file else source
        waveform = np.asarray(waveform)
    duration_s = len(waveform) / SAMPLE_RATE
    with work.stage("activity"):
        activity = detection.detect(waveform, detector=detector)
    with work.stage("embed"):
        starts_s, ends_s, seconds = slide_windows(activity.segments, duration_s)
        embeddings = _embed(encoder, waveform, starts_s, ends_s, work.share)
    with work.stage("cluster"):
        labels = clustering.cluster(
            embeddings,
            seconds,
            num_speakers=num_speakers,
            min_speakers=min_speakers,
            max_speakers=max_speakers,
            method=method,
        )
    with work.stage("segment"):
        windows = starts_s, ends_s, embeddings, labels
        needed = num_speakers or min_speakers
        found = segment(activity.segments, *windows, min_speakers=needed)
    notes = _notes(activity, found, num_speakers, max_speakers)
    found = dataclasses.replace(
        found, duration_s=duration_s, stages=work.seconds, notes=notes
    )
    if people is not None:
        with work.stage("name"):
            found = _name_speakers(found, people, exact=num_speakers is not None)
    return found


def slide_windows(segments, duration_s):
    """Cover segments of speech evenly, by windows of 1.5 s at most 0.25 s apart.

    A shorter segment has one window, around its middle.

    Args:
        segments: `(start, end)` of each segment, seconds, in order.
        duration_s: Of the recording: no window passes its end.

    Returns:
        Starts and ends of the windows, and the seconds of speech that each stands for,
        float64 `[windows]`; no window if the recording is shorter than 0.1 s.
    """
    length, starts, seconds = min(WINDOW_S, duration_s), [], []
    for start, end in segments if length >= MIN_S else ():
        room = end - start - length
        if room <= 0:
            middle = (start + end - length) / 2
            some = np.clip([middle], 0, duration_s - length)
        else:
            some = np.linspace(start, end - length, int(np.ceil(room / STEP_S)) + 1)
        starts.append(some)
        seconds.append(np.full(len(some), (end - start) / len(some)))
    starts = np.concatenate([np.zeros(0), *starts])
    return starts, starts + length, np.concatenate([np.zeros(0), *seconds])


def segment(
    segments, starts_s, ends_s, embeddings, labels, *, min_speakers=1
) -> Diarization:
    """Turns from clustered windows.

    Args:
        segments, starts_s, ends_s: As for `slide_windows`, and as of it.
        embeddings: Unit vectors, `[windows, dim]`.
        labels: Cluster of each, int `[windows]`, as of `clustering.cluster`.
        min_speakers: Speakers that must have a turn: where the path has fewer, others
            get a short one in the middle of their best window. Defaults to `1`.

    Returns:
        A `Diarization` that lasts until the end of speech, without notes.
    """
    if not len(labels):
        return Diarization([], 0.0)
    cells = int(np.ceil(segments[-1][1] / resegmentation.CELL_S))
    cosines = embeddings @ clustering.centroids(embeddings, labels).T
    scores = resegmentation.cell_scores(starts_s, ends_s, cosines, cells)
    path = resegmentation.best_path(scores)
    spans = resegmentation.path_spans(segments, path)
    num = labels.max() + 1
    missing = [*set(range(num)) - {speaker for *_, speaker in spans}]
    num_forced = max(min(min_speakers, num) - num + len(missing), 0)
    if num_forced:
        middles = (starts_s + ends_s) / 2
        for speaker in missing[:num_forced]:
            best = np.where(labels == speaker, cosines[:, speaker], -np.inf).argmax()
            resegmentation.force_speaker(path, middles[best], speaker)
        spans = resegmentation.path_spans(segments, path)
    speaking = dict.fromkeys(speaker for *_, speaker in spans)
    columns = np.array([*speaking])
    labels = columns[cosines[:, columns].argmax(axis=1)]
    names = {speaker: f"speaker {n}" for n, speaker in enumerate(speaking, 1)}
    turns = [Turn(start, end, names[speaker]) for start, end, speaker in spans]
    labels = np.array([names[speaker] for speaker in labels.tolist()], str)
    windows = Windows(starts_s, ends_s, np.asarray(embeddings, np.float32), labels)
    known = speaker_embeddings(turns, windows)
    return Diarization(turns, segments[-1][1], embeddings=known, windows=windows)


class _StageTimer:
    """Measures the time of each stage and reports progress."""

    def __init__(self, progress):
        self.seconds, self._progress, self._done = {}, progress, 0.0

    @contextlib.contextmanager
    def stage(self, name):
        self._name = name
        began = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - began
        self.share(1.0)
        self._done += STAGES.get(name, 0.0)

    def share(self, share):
        """Report the share of the stage that is done, from 0 to 1."""
        if self._progress is not None:
            done = self._done + share * STAGES.get(self._name, 0.0)
            self._progress(self._name, min(done, 1.0))


def _embed(encoder, waveform, starts_s, ends_s, progress):
    """Unit vectors of the windows; the encoder is loaded only if there are any."""
    if not len(starts_s):
        return np.zeros((0, 0), np.float32)
    encoder = encoder or Encoder.pretrained()
    if encoder.sample_rate != SAMPLE_RATE:
        raise ValueError(
            f"Diarization needs an encoder of {SAMPLE_RATE} Hz. "
            f"Received: one of {encoder.sample_rate} Hz"
        )
    length = min(round((ends_s[0] - starts_s[0]) * SAMPLE_RATE), len(waveform))
    starts = np.round(starts_s * SAMPLE_RATE).astype(int)
    starts = np.minimum(starts, len(waveform) - length)

    def report(done):
        progress(done / len(starts))

    return encoder.embed_windows(waveform, starts, length=length, progress=report)


def _notes(activity, found, asked, most):
    if not activity.segments:
        return ["No speech was found."]
    notes = []
    if activity.speech_s < LITTLE_SPEECH_S:
        notes.append(f"Only {activity.speech_s:.1f} s of speech were found.")
    if len(found.windows) == 1:
        notes.append("There was one window of speech only, so one speaker was found.")
    elif not len(found.windows):
        notes.append("The sound is too short for an embedding.")
    if asked is not None and len(found.speakers) < asked:
        notes.append(
            f"{asked} speakers were asked for; there is speech for "
            f"{len(found.speakers)} of them."
        )
    elif asked is None and len(found.speakers) == most > 1:
        notes.append(
            f"{most} speakers were found, as many as are allowed (--max-speakers): "
            "there may be more."
        )
    return notes


def _name_speakers(found, people, *, exact):
    """Rename speakers by enrolled people; two of one name are merged."""
    try:
        known = {n: people.identify(e) for n, e in found.embeddings.items()}
    except ValueError as error:  # a store without a calibration
        notes = [*found.notes, f"Nobody is named: {error}"]
        return dataclasses.replace(found, notes=notes)
    names, notes = {}, list(found.notes)
    for name in sorted(known, key=lambda name: -(known[name].probability or 0)):
        person = known[name].name
        if person in names.values() and exact:
            notes.append(f"{name} sounds like {person}, too.")
        elif person is not None:
            names[name] = person
    taken = {*names.values(), *(name for name in known if name not in names)}
    for name in known:
        if name not in names and name in names.values():  # a person of this name
            names[name] = free_name(taken)
            taken.add(names[name])
    merged = {p for p in names.values() if [*names.values()].count(p) > 1}
    identities = {names.get(n, n): i for n, i in known.items()}
    found = found.relabel(names)
    for person in merged:
        identities[person] = people.identify(found.embeddings[person])
    return dataclasses.replace(found, identities=identities, notes=notes)
