"""Listening: who speaks now, said every half second while the sound goes on.

    sound -> ring of sound -> activity -> ring of speech -> embedding -> a name

A slice is a stretch of the clock, `[k * every_s, (k + 1) * every_s)`. What is said of
it is the same to the bit however the sound is cut into blocks: everything goes by
frames of 10 ms, and nothing waits for a block to end.
"""

import numpy as np

from voiceemb.streaming.buffers import Ring, SpeechRing
from voiceemb.streaming.events import Slice
from voiceemb.streaming.sources import MAX_LEVEL, Microphone, file, microphone
from voiceemb.streaming.timeline import NOBODY
from voiceemb.vad import detection
from voiceemb.vad.base import HOP, SAMPLE_RATE, level_db
from voiceemb.vad.segmentation import Segmenter, segment_mask

__all__ = ["Listener", "Microphone", "file", "line", "listen", "microphone"]

PIECE = SAMPLE_RATE  # samples taken in at once, however large a block is
CHANGE_LLR = -2.0  # evidence of one voice, below which it is two
LEVEL_DB = (-60.0, 0.0)  # from an empty to a full bar
BAR = 20  # letters of it


class Listener:
    """Hears a stream of sound and says of every slice who speaks in it.

    A slice is final when the segmenter has decided on all of its frames: whether a
    frame is speech can depend on what comes up to `delay_s` later. While somebody
    speaks it does not, and slices come at once.

    The voice of a slice is that of the newest speech before its end. A long window
    knows a voice better, and holds two longer where the speaker changes. So the newest
    `least_s` are compared with what was said before them: if the cosine is below
    `change`, what was before is forgotten. After a silence of `forget_s` it is
    forgotten in any case, and there is no voice until `least_s` of it have been heard.

    Args:
        encoder: A `voiceemb.Encoder`, or anything with its `embed_utterance`.
        detector: A `voiceemb.vad.Detector`. Defaults to
            `voiceemb.vad.detection.load()`.
        people: Whose names are known: anything whose `identify(embedding)` gives an
            object with `name` (`None` if it is nobody known), `score` and
            `probability`, such as `voiceemb.enrolment.people.People` with a
            calibration. Defaults to nobody.
        hysteresis: A `voiceemb.vad.HysteresisConfig`. Defaults to `HysteresisConfig()`.
        every_s: Length of a slice in seconds, whole frames of 10 ms, at most 60.
            Defaults to `0.5`.
        window_s: Newest speech that is embedded, in seconds. Defaults to the
            encoder's window.
        least_s: Speech that must be there, in seconds. Defaults to `0.8`.
        change: Cosine below which two stretches are of two voices; `-1.0` never finds
            a change. Defaults to where the encoder's calibration has two voices for
            `exp(2)`, or 7, times as likely as one, and to `-1.0` without one.
        forget_s: Silence after which the speech before it is forgotten, in seconds.
            Defaults to `1.0`.
        keep_s: Sound that can be looked back at, in seconds. Defaults to `10.0`.

    Attributes:
        sound: The `Ring` of the last sound.
        speech: The `SpeechRing` of the newest speech.
        delay_s: Sound that may have to come after a slice before it is final.

    Raises:
        ValueError: If a number is none of these, or people have no calibration.

    Example:
        ```python
        listener = Listener(encoder, people=People.open("people", encoder))
        for heard in listen(file("talk.wav"), listener):
            print(line(heard))
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
        least_s=0.8,
        change=None,
        forget_s=1.0,
        keep_s=10.0,
    ):
        rate = SAMPLE_RATE / HOP
        frames = every_s * rate
        if not 0.01 <= every_s <= 60 or abs(round(frames) - frames) > 1e-6:
            raise ValueError(
                "`every_s` is a number of frames of 10 ms, in all 0.01 to 60 s. "
                f"Received: {every_s}"
            )
        self._every = round(frames)
        if window_s is None:
            window_s = min(max(encoder.window / SAMPLE_RATE, least_s), 60.0)
        if not 0.1 <= least_s <= window_s <= 60:
            raise ValueError(
                "A listener needs 0.1 <= least_s <= window_s <= 60. "
                f"Received: {least_s}, {window_s}"
            )
        if encoder.sample_rate != SAMPLE_RATE:
            raise ValueError(
                f"A listener hears {SAMPLE_RATE} Hz, and so must its encoder. "
                f"Received: {encoder.sample_rate} Hz"
            )
        if people is not None and getattr(people, "calibration", True) is None:
            raise ValueError(
                "People are named by what a score is worth: `calibrate` them first. "
                f"Received: {people!r} without a calibration"
            )
        if change is None:
            known = encoder.calibration
            change = -1.0 if known is None else known.llr_to_score(CHANGE_LLR)
        self.encoder, self.people = encoder, people
        self.least_s, self.change = least_s, change
        detector = detector or detection.load()
        self._stream = detector.stream()
        self._segmenter = Segmenter(hysteresis)
        hysteresis = self._segmenter.config
        self.delay_s = detector.delay_s + hysteresis.onset_frames / rate
        self.delay_s += (
            hysteresis.min_speech_s + hysteresis.release_s + hysteresis.pad_s
        )
        needed_s = every_s + self.delay_s + PIECE / SAMPLE_RATE
        self.sound = Ring(round(max(needed_s, keep_s) * SAMPLE_RATE))
        self.speech = SpeechRing(window_s, forget_s=forget_s)
        self._probability = np.zeros(0, np.float32)  # from the slice under way on
        self._spoken = []  # of the frames done of the slice under way
        self._finished = False

    def push(self, block) -> list[Slice]:
        """Take the next sound.

        Args:
            block: Float `[any]` at 16 kHz, also of no sample.

        Returns:
            The slices that are final now.

        Raises:
            TypeError: If the block is no float array of one axis.
            ValueError: If it is not finite or above 10, with the time where, or the
                listener has finished. In all these cases nothing has changed.
        """
        self._check(block)
        slices = []
        for start in range(0, len(block), PIECE):
            piece = block[start : start + PIECE].astype(np.float32)
            self.sound.push(piece)
            slices += self._decide(self._stream.push(piece))
        return slices

    def finish(self) -> list[Slice]:
        """End the stream: the slices that are left, the last one perhaps shorter.

        It ends with the last whole frame; what is left behind it, under 10 ms, is not
        listened to.
        """
        self._check(np.zeros(0, np.float32))
        self._finished = True
        slices = self._decide(self._stream.finish(), last=True)
        if self._spoken:
            slices.append(self._slice())
        return slices

    def _check(self, block):
        if self._finished:
            raise ValueError("A listener that has finished hears no more sound.")
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
        """Takes probabilities, and the frames that are decided by them."""
        segmenter, done = self._segmenter, self.speech.clock
        self._probability = np.concatenate([self._probability, probability])
        segments = segmenter.push(probability)
        if last:
            segments += segmenter.finish()
        decided = segmenter.decided
        segments.append(segmenter.open or (0, 0))
        spoken = segment_mask(segments, decided - done, first=done)
        frames = self.sound.read(done * HOP, decided * HOP).reshape(-1, HOP)
        slices = []
        while len(frames):
            num = self._every - len(self._spoken)  # to the end of the slice
            self.speech.push(frames[:num], spoken[:num])
            self._spoken += spoken[:num].tolist()
            frames, spoken = frames[num:], spoken[num:]
            if len(self._spoken) == self._every:
                slices.append(self._slice())
        return slices

    def _slice(self):
        """The slice that ends with the newest frame, and the start of another."""
        num, end = len(self._spoken), self.speech.clock
        samples = self.sound.read((end - num) * HOP, end * HOP)
        heard = {
            "start": (end - num) * HOP / SAMPLE_RATE,
            "end": end * HOP / SAMPLE_RATE,
            "speech_prob": self._probability[:num].mean(dtype=np.float64),
            "is_speech": 2 * sum(self._spoken) >= num,
            "energy_db": level_db(samples),
        }
        if heard["is_speech"] and self.speech.seconds >= self.least_s:
            heard |= self._voice()
        self._probability, self._spoken = self._probability[num:], []
        return Slice(**heard)

    def _voice(self):
        """Embedding and name of the newest voice."""
        embedding = self._embedding()
        if self.people is None:
            return {"embedding": embedding}
        found = self.people.identify(embedding)
        return {
            "embedding": embedding,
            "speaker": found.name,
            "score": found.score,
            "probability": found.probability,
        }

    def _embedding(self):
        embed = self.encoder.embed_utterance
        speech, newest = self.speech.newest(), self.speech.newest(self.least_s)
        if self.change > -1 and len(speech) >= 2 * len(newest):
            now, before = embed(newest), embed(speech[: -len(newest)])
            if float(now @ before) < self.change:
                self.speech.keep(self.least_s)
                return now
        return embed(speech)


def listen(source, listener):
    """Slices of all that a source gives, each as soon as it is final.

    Args:
        source: Blocks: `file(...)`, `microphone(...)`, or any iterable of float arrays
            at 16 kHz.
        listener: A `Listener` that has heard nothing else.

    Yields:
        `Slice`s. When the source ends, those that are left; when the loop over them is
        left before, `listener.finish()` gives the rest.
    """
    for block in source:
        yield from listener.push(block)
    yield from listener.finish()


def line(heard) -> str:
    """A slice as a line to be read while it goes by.

    It has the time of its end, the name or `-`, how probable the name is, and a bar of
    its level from -60 to 0 dB, of `#` where somebody speaks and of `.` where not.
    """
    minutes, seconds = divmod(heard.end, 60)
    name = heard.speaker or NOBODY
    name = "".join(letter if letter.isprintable() else "?" for letter in name)
    known = heard.speaker is not None and heard.probability is not None
    chance = f"{100 * heard.probability:3.0f} %" if known else ""
    low, high = LEVEL_DB
    level = float(np.clip((heard.energy_db - low) / (high - low), 0, 1))
    bar = ("#" if heard.is_speech else ".") * round(BAR * level)
    return f"{int(minutes):3d}:{seconds:04.1f}  {name:<16}  {chance:5}  {bar}".rstrip()
