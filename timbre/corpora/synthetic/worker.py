"""Render worker: a process that renders the utterances of some speakers.

Text, prosody, voice and recording channel of utterance `j` of speaker `i` are a
function of the configuration, `i` and `j`, so several workers may render in any order.
A worker is a process of its own, because the synthesiser keeps global state: it reads a
job as JSON from its standard input and writes one line of JSON for each recording.
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
class RenderConfig:
    """What is to be rendered, as the arguments of `render.render` say."""

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
        sentences.sample(1, np.random.default_rng(0), **self._texts())

    def speakers(self) -> tuple[speakers.Speaker, ...]:
        """The speakers of the corpus."""
        return speakers.sample_speakers(self.num_speakers, seed=self.seed)

    def sentences(self, index: int) -> list[str]:
        """What speaker `index` says."""
        rng = np.random.default_rng([self.seed, TEXT, index])
        return sentences.sample(self.utterances, rng, **self._texts())

    def _texts(self):
        return {"language": self.language, "texts": self.texts}


def render_speaker(config: RenderConfig, index: int, folder: Path) -> Iterator[dict]:
    """Render all utterances of speaker `index`; yields what is to know of each."""
    speaker = config.speakers()[index]
    (folder / speaker.name).mkdir(exist_ok=True)
    for number, text in enumerate(config.sentences(index)):
        rng = np.random.default_rng([config.seed, SOUND, index, number])
        prosody = speakers.sample_prosody(rng)
        pauses_s = rng.uniform(*PAUSE_S, 2)
        before, after = np.round(pauses_s * speakers.SAMPLE_RATE).astype(int).tolist()
        conditions = channel.CLEAN if config.clean else channel.sample_conditions(rng)
        speech = speakers.synthesise(
            text, speaker=speaker, prosody=prosody, language=config.language
        )
        waveform = np.pad(speech.waveform, (before, after))
        waveform = channel.simulate(waveform, conditions, rng=rng)
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
    """Labels as lists, delayed by `before` samples and rounded to samples."""
    rows, rate = [], speakers.SAMPLE_RATE
    for label in labels:
        start, end = (round(t * rate + before) for t in (label.start_s, label.end_s))
        if end > start:
            rows.append([start / rate, end / rate, label.name])
    return rows


def main():
    """Render the job that standard input describes."""
    job = json.load(sys.stdin)
    config, folder = RenderConfig(**job["order"]), Path(job["folder"])
    try:
        for index in job["speakers"]:
            for row in render_speaker(config, index, folder):
                print(json.dumps(row), flush=True)
    except (espeak.SynthesisError, wave.AudioError, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
