"""Live speaker identification: who speaks now, for every half second of a stream.

    samples -> ring buffer -> voice activity -> buffer of speech -> embedding -> name

An event covers `[k * every_s, (k + 1) * every_s)`. Its values are the same to the bit
however the stream is cut into blocks: everything is computed by frames of 10 ms, and
nothing depends on where a block ends.
"""

from types import SimpleNamespace

import numpy as np

from timbre.audio.wave import MAX_LEVEL
from voiceemb.streaming.buffers import RingBuffer, SpeechRingBuffer
from voiceemb.streaming.events import TimelineEvent
from voiceemb.streaming.timeline import UNKNOWN
from voiceemb.vad import detection
from voiceemb.vad.base import HOP, SAMPLE_RATE, level_db
from voiceemb.vad.segmentation import Segmenter, segment_mask

PIECE = SAMPLE_RATE  # samples processed at once, however large a block is
CHANGE_LLR = -2.0  # log-likelihood ratio of one speaker, below which there are two
LEVEL_DB = (-60.0, 0.0)  # from an empty to a full bar
BAR_LENGTH = 20  # characters
NOT_IDENTIFIED = SimpleNamespace(name=None, score=None, probability=None)


class Listener:
    """Turns a stream of sound into timeline events with speakers.

    An event is final when the segmenter has decided on all of its frames: whether a
    frame is speech can depend on what follows up to `delay_s` later. While somebody
    speaks it does not, and events are returned at once.

    The embedding of an event is that of the newest speech before its end. The newest
    `min_speech_s` are compared with the speech before them: if the cosine is below
    `change_cosine`, that is dropped, as another speaker's. After a silence of
    `forget_s` it is dropped in any case.

    Args:
        encoder: A `voiceemb.Encoder`, or anything with its `embed_utterance`.
        detector: A `voiceemb.vad.Detector`. Defaults to the one of `voiceemb.vad.load`.
        people: Anything whose `identify(embedding)` returns an object with `name`
            (`None` if unknown), `score` and `probability`, such as
            `voiceemb.enrolment.people.People` with a calibration. Defaults to none.
        hysteresis: As of `voiceemb.vad.detect`.
        every_s: Length of an event in seconds, whole frames of 10 ms, at most 60.
            Defaults to `0.5`.
        window_s: Seconds of newest speech that are embedded: more are more accurate,
            but hold two speakers longer after a change. Defaults to the encoder's.
        min_speech_s: Seconds of speech that an embedding needs. Defaults to `0.8`.
        change_cosine: Cosine below which the speaker has changed; `-1.0` finds no
            change. Defaults to where the encoder's calibration has two speakers
            `exp(2)`, or 7, times as likely as one, and to `-1.0` without one.
        forget_s: Silence after which the speech before it is dropped, in seconds.
            Defaults to `1.0`.
        keep_s: Capacity of the buffer of sound, in seconds. Defaults to `10.0`.

    Attributes:
        sound: The `RingBuffer` of the last sound.
        speech: The `SpeechRingBuffer` of the newest speech.
        delay_s: Sound that may have to follow an event before it is final, in seconds.

    Example:
        ```python
        listener = Listener(encoder, people=People.open("people", encoder))
        for event in listen(sources.file("talk.wav"), listener):
            print(format_event(event))
        ```
    """

    def __init__(
        self,
        encoder,
        *,
        detector=None,
        people=None,
        hysteresis=None,
        every_s=0.5,
        window_s=None,
        min_speech_s=0.8,
        change_cosine=None,
        forget_s=1.0,
        keep_s=10.0,
    ):
        if window_s is None:
            window_s = min(max(encoder.window / SAMPLE_RATE, min_speech_s), 60.0)
        _check(encoder, people, every_s, window_s, min_speech_s)
        if change_cosine is None:
            known = encoder.calibration
            change_cosine = -1.0 if known is None else known.llr_to_score(CHANGE_LLR)
        self.encoder, self.people = encoder, people
        self.min_speech_s, self.change_cosine = min_speech_s, change_cosine
        detector = detector or detection.load()
        self._stream = detector.stream()
        self._segmenter = Segmenter(hysteresis)
        config = self._segmenter.config
        self.delay_s = detector.delay_s + config.onset_frames * HOP / SAMPLE_RATE
        self.delay_s += config.min_speech_s + config.release_s + config.pad_s
        needed_s = every_s + self.delay_s + PIECE / SAMPLE_RATE
        self.sound = RingBuffer(round(max(needed_s, keep_s) * SAMPLE_RATE))
        self.speech = SpeechRingBuffer(window_s, forget_s=forget_s)
        self._every = round(every_s * SAMPLE_RATE / HOP)  # frames of an event
        self._probability = np.zeros(0, np.float32)  # since the last event
        self._spoken = []  # of the decided frames since the last event
        self._finished = False

    def push(self, block) -> list[TimelineEvent]:
        """Process the next samples.

        Args:
            block: Float `[any]` at 16 kHz, also of no sample, finite and at most 10.
                After a `TypeError` or `ValueError` nothing has changed.

        Returns:
            The events that are final now.
        """
        self._check_block(block)
        events = []
        for start in range(0, len(block), PIECE):
            piece = block[start : start + PIECE].astype(np.float32)
            self.sound.push(piece)
            events += self._decide(self._stream.push(piece))
        return events

    def finish(self) -> list[TimelineEvent]:
        """End the stream: the events that are left, the last one perhaps shorter.

        It ends with the last whole frame; the rest, under 10 ms, is ignored.
        """
        self._check_block(np.zeros(0, np.float32))
        self._finished = True
        events = self._decide(self._stream.finish(), last=True)
        if self._spoken:
            events.append(self._next_event())
        return events

    def _check_block(self, block):
        if self._finished:
            raise ValueError("A listener that has finished takes no more sound.")
        kind = getattr(block, "dtype", np.dtype(object)).kind
        if kind != "f" or block.ndim != 1:
            raise TypeError(
                "Sound is a float array [samples] at 16 kHz. "
                f"Received: {getattr(block, 'dtype', type(block))} {np.shape(block)}"
            )
        good = np.abs(block) <= MAX_LEVEL  # NaN is not
        if not good.all():
            first = int(np.argmin(good))
            at_s = (self.sound.clock + first) / SAMPLE_RATE
            raise ValueError(
                f"Sound is finite and at most {MAX_LEVEL:g}, where 1 is full scale. "
                f"Received: {block[first]} at {at_s:.3f} s"
            )

    def _decide(self, probability, *, last=False):
        """Process probabilities, and the frames that they decide."""
        segmenter, done = self._segmenter, self.speech.clock
        self._probability = np.concatenate([self._probability, probability])
        segments = segmenter.push(probability)
        if last:
            segments += segmenter.finish()
        decided = segmenter.decided
        segments.append(segmenter.open or (0, 0))
        spoken = segment_mask(segments, decided - done, first=done)
        frames = self.sound.read(done * HOP, decided * HOP).reshape(-1, HOP)
        events = []
        while len(frames):
            num = self._every - len(self._spoken)  # to the end of the event
            self.speech.push(frames[:num], spoken[:num])
            self._spoken += spoken[:num].tolist()
            frames, spoken = frames[num:], spoken[num:]
            if len(self._spoken) == self._every:
                events.append(self._next_event())
        return events

    def _next_event(self):
        """The event that ends with the newest frame."""
        num, end = len(self._spoken), self.speech.clock
        samples = self.sound.read((end - num) * HOP, end * HOP)
        is_speech = 2 * sum(self._spoken) >= num
        embedding, found = None, NOT_IDENTIFIED
        if is_speech and self.speech.seconds >= self.min_speech_s:
            embedding = self._embedding()
            if self.people is not None:
                found = self.people.identify(embedding)
        speech_prob = self._probability[:num].mean(dtype=np.float64)
        self._probability, self._spoken = self._probability[num:], []
        return TimelineEvent(
            start=(end - num) * HOP / SAMPLE_RATE,
            end=end * HOP / SAMPLE_RATE,
            speech_prob=speech_prob,
            is_speech=is_speech,
            energy_db=level_db(samples),
            embedding=embedding,
            speaker=found.name,
            score=found.score,
            probability=found.probability,
        )

    def _embedding(self):
        embed = self.encoder.embed_utterance
        speech, newest = self.speech.newest(), self.speech.newest(self.min_speech_s)
        if self.change_cosine > -1 and len(speech) >= 2 * len(newest):
            now, before = embed(newest), embed(speech[: -len(newest)])
            if float(now @ before) < self.change_cosine:
                self.speech.truncate(self.min_speech_s)
                return now
        return embed(speech)


def _check(encoder, people, every_s, window_s, min_speech_s):
    """Raise ValueError where an argument of `Listener` is not as described there."""
    frames = every_s * SAMPLE_RATE / HOP
    if not 0.01 <= every_s <= 60 or abs(round(frames) - frames) > 1e-6:
        raise ValueError(
            "`every_s` is a number of frames of 10 ms, in all 0.01 to 60 s. "
            f"Received: {every_s}"
        )
    if not 0.1 <= min_speech_s <= window_s <= 60:
        raise ValueError(
            "A listener needs 0.1 <= min_speech_s <= window_s <= 60. "
            f"Received: {min_speech_s}, {window_s}"
        )
    if encoder.sample_rate != SAMPLE_RATE:
        raise ValueError(
            f"A listener and its encoder have a rate of {SAMPLE_RATE} Hz. "
            f"Received: {encoder.sample_rate} Hz"
        )
    if people is not None and getattr(people, "calibration", True) is None:
        raise ValueError(
            "People are identified by calibrated scores: `calibrate` them first. "
            f"Received: {people!r} without a calibration"
        )


def listen(source, listener):
    """Events of a whole source, each as soon as it is final.

    Args:
        source: Blocks, float arrays at 16 kHz, see `voiceemb.streaming.sources`.
        listener: A new `Listener`.

    Yields:
        `TimelineEvent`s; if the loop is left before the source ends,
        `listener.finish()` returns the rest.
    """
    for block in source:
        yield from listener.push(block)
    yield from listener.finish()


def format_event(event) -> str:
    """An event as a line of text for live display.

    It has the time of its end, the name or `-`, its probability, and a bar of the level
    from -60 to 0 dB, of `#` for speech and of `.` without.
    """
    minutes, seconds = divmod(event.end, 60)
    name = event.speaker or UNKNOWN
    name = "".join(letter if letter.isprintable() else "?" for letter in name)
    known = event.speaker is not None and event.probability is not None
    probability = f"{100 * event.probability:3.0f} %" if known else ""
    low, high = LEVEL_DB
    level = float(np.clip((event.energy_db - low) / (high - low), 0, 1))
    bar = ("#" if event.is_speech else ".") * round(BAR_LENGTH * level)
    time = f"{int(minutes):3d}:{seconds:04.1f}"
    return f"{time}  {name:<16}  {probability:5}  {bar}".rstrip()
