"""Hearing: from a recording to the embedding of the speech in it, and of no silence."""

from pathlib import Path

import numpy as np

from audio import wave
from progress import Bar
from voiceemb import quality, vad
from voiceemb.encoder import unit
from voiceemb.windows import LEAST_S

LEAST = int(LEAST_S * vad.SAMPLE_RATE)  # samples that can be embedded


class Ear:
    """Hears voices with one encoder and one detector of activity.

    Args:
        encoder: A `voiceemb.Encoder`, or None: then a voice is an embedding.
        dim: Length of an embedding.
        detector: A `voiceemb.vad.Detector`. Defaults to the one of `vad.load`.
    """

    def __init__(self, encoder, dim, *, detector=None):
        self.encoder, self.dim, self._detector = encoder, dim, detector

    def embedding(self, voice) -> np.ndarray:
        """The unit embedding `[dim]` of what a user gives as a voice.

        Args:
            voice: An embedding `[dim]` of any length above 0, a waveform float32
                `[samples]` at 16 kHz, or a path.

        Raises:
            ValueError: If nobody speaks in it, or it is none of these.
            audio.wave.AudioError: If a file can not be read.
        """
        if not isinstance(voice, str | Path) and np.shape(voice) == (self.dim,):
            voice = np.asarray(voice, np.float64)
            if not np.isfinite(voice).all() or not voice.any():
                raise ValueError(
                    "An embedding must be finite and not zero. Received: another"
                )
            return unit(voice)
        spoken = self.speech(voice)
        if len(spoken) < LEAST:
            raise ValueError(
                f"A voice must speak. Received: no speech in {_name(voice, 'a sound')}"
            )
        return self.encoder.embed_utterance(spoken)

    def corpus(self, corpus, *, shown=True):
        """Embeddings of all utterances of a corpus in which speech is found.

        Args:
            corpus: A `corpora.corpus.Corpus`.
            shown: Whether progress is shown. Defaults to `True`.

        Returns:
            Unit vectors float32 `[utterances, dim]`, and who speaks, str
            `[utterances]`.
        """
        from voiceemb.evaluation import read

        speech, speaker = [], []
        with Bar(f"hearing {corpus.name}", len(corpus), shown=shown) as bar:
            for utterance in corpus:
                spoken = self.speech(read(utterance))
                if len(spoken) >= LEAST:
                    speech.append(spoken)
                    speaker.append(utterance.speaker)
                bar.update(1)
            return self.encoder.embed_utterances(speech), np.array(speaker, str)

    def recordings(self, sources, rule):
        """What recordings of a person are called, how good they are, and embeddings.

        Where no speech was found, all of the recording is embedded.

        Args:
            sources: Paths or waveforms.
            rule: A `voiceemb.quality.Rule`.

        Returns:
            List of `(name, Quality)`, and unit vectors float32 `[recordings, dim]`.
        """
        heard, speech = [], []
        for number, source in enumerate(sources, start=1):
            waveform, activity = self.hear(source)
            found = quality.inspect(
                waveform, activity, rule=rule, least_s=rule.least_sample_s
            )
            heard.append((_name(source, f"sound {number}"), found))
            spoken = quality.spoken(waveform, activity)
            speech.append(spoken if len(spoken) >= LEAST else waveform)
        return heard, self.encoder.embed_utterances(speech)

    def speech(self, source) -> np.ndarray:
        """The samples of a recording in which somebody speaks, float32 `[samples]`."""
        return quality.spoken(*self.hear(source))

    def hear(self, source):
        """Waveform float32 `[samples]` and `voiceemb.vad.Activity` of a recording."""
        if self.encoder is None:
            raise ValueError(
                "Sound is heard where a store was opened with its encoder; without, a "
                f"voice is an embedding [{self.dim}]. Received: {np.shape(source)}"
            )
        if isinstance(source, str | Path):
            source = wave.read(source, sample_rate=vad.SAMPLE_RATE)
        if self._detector is None:
            self._detector = vad.load()
        waveform = np.asarray(source, np.float32)
        return waveform, vad.detect(waveform, detector=self._detector)


def _name(source, otherwise):
    return str(source) if isinstance(source, str | Path) else otherwise
