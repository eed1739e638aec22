"""One speaker after another comes to the studio: text, prosody, voice, recording.

Everything about utterance `j` of speaker `i` is a function of the order, `i` and `j`,
so speakers may come in any order and to several studios at once. A studio is a
process of its own, because the synthesiser keeps global state and must find nothing
of ours in memory: it reads a job as JSON from its standard input and answers with one
line of JSON for each recording.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from timbre.audio import wave
from timbre.corpora.synthetic import channel, espeak, sentences, speakers

PAUSE_S = (0.1, 0.4)  # silence before and after the sentence
TEXT, SOUND = 0, 1  # separate streams of random numbers


@dataclass(frozen=True)
class Order:
    """What is to be rendered; every number of a corpus follows from it.

    Args:
        num_speakers: Number of speakers.
        utterances: Recordings of each.
        seed: Whose voices, which texts, which rooms.
        clean: Whether conditions are left out.
        language: A language of eSpeak NG.
        texts: Sentences to draw from, or `None` for our own.
    """

    num_speakers: int = 80
    utterances: int = 20
    seed: int = 0
    clean: bool = False
    language: str = "en-us"
    texts: tuple[str, ...] | None = None

    def __post_init__(self):
        for name in ("num_speakers", "utterances"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {value!r}")
        if type(self.seed) is not int or self.seed < 0:
            raise ValueError(f"`seed` must be an integer >= 0. Received: {self.seed!r}")
        sentences.draw(1, np.random.default_rng(0), **self._texts())

    def speakers(self) -> tuple[speakers.Speaker, ...]:
        """The speakers of this order."""
        return speakers.draw(self.num_speakers, seed=self.seed)

    def sentences(self, index: int) -> list[str]:
        """What speaker `index` says."""
        rng = np.random.default_rng([self.seed, TEXT, index])
        return sentences.draw(self.utterances, rng, **self._texts())

    def _texts(self):
        return {"language": self.language, "texts": self.texts}


def visit(order: Order, index: int, folder: Path) -> Iterator[dict]:
    """Record everything speaker `index` has to say.

    Yields:
        For each recording: `path` within the folder, `speaker`, `gender`, `variant`,
        `text`, `f0_hz`, `conditions`, `num_samples`, and `phones` and `words` as lists
        of `[start_s, end_s, name]`.
    """
    speaker = order.speakers()[index]
    (folder / speaker.name).mkdir(exist_ok=True)
    for number, text in enumerate(order.sentences(index)):
        rng = np.random.default_rng([order.seed, SOUND, index, number])
        prosody = speakers.draw_prosody(rng)
        before, after = (
            round(s * speakers.SAMPLE_RATE) for s in rng.uniform(*PAUSE_S, 2)
        )
        conditions = channel.CLEAN if order.clean else channel.draw(rng)
        speech = speakers.say(
            text, speaker=speaker, prosody=prosody, language=order.language
        )
        waveform = np.pad(speech.waveform, (before, after))
        waveform = channel.record(waveform, conditions, rng=rng)
        path = f"{speaker.name}/{speaker.name}-{number:03d}.flac"
        wave.write(folder / path, waveform)
        yield {
            "path": path,
            "speaker": speaker.name,
            "gender": speaker.gender,
            "variant": speaker.variant.name,
            "text": text,
            "f0_hz": round(speaker.f0_hz * 2 ** (prosody.semitones / 12), 1),
            "conditions": asdict(conditions),
            "num_samples": len(waveform),
            "phones": _rows(speech.phones, before),
            "words": _rows(speech.words, before),
        }


def _rows(labels, before):
    """Labels as lists, moved by `before` samples and put on the sample grid."""
    rate = speakers.SAMPLE_RATE
    moved = (
        [round(t * rate + before) / rate for t in (label.start_s, label.end_s)]
        for label in labels
    )
    return [
        [start_s, end_s, label.name]
        for label, (start_s, end_s) in zip(labels, moved, strict=True)
        if end_s > start_s
    ]


def main():
    """Do the job that standard input describes."""
    job = json.load(sys.stdin)
    order, folder = Order(**job["order"]), Path(job["folder"])
    try:
        for index in job["speakers"]:
            for row in visit(order, index, folder):
                print(json.dumps(row), flush=True)
    except (espeak.SynthesisError, wave.AudioError, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
