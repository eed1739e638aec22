"""Hearing: from a recording to the embedding of the speech in it, and of no silence."""

from pathlib import Path

import numpy as np

from timbre.audio import wave
from timbre.progress import Bar
from voiceemb.encoder import unit
from voiceemb.enrolment import quality
from voiceemb.inference import LEAST_S
from voiceemb.vad import detection
from voiceemb.vad.base import SAMPLE_RATE

LEAST = int(LEAST_S * SAMPLE_RATE)  # samples that can be embedded


class Ear:
    """Hears voices with one encoder and one detector of activity.

    Args:
        encoder: A `voiceemb.Encoder`, or None: then a voice is an embedding.
        dim: Length of an embedding.
        detector: A `voiceemb.vad.Detector`. Defaults to the one of `voiceemb.vad.load`.
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
            timbre.audio.wave.AudioError: If a file can not be read.
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
            corpus: A `timbre.corpora.corpus.Corpus`.
            shown: Whether progress is shown. Defaults to `True`.

        Returns:
            Unit vectors float32 `[utterances, dim]`, and who speaks, str
            `[utterances]`.
        """
        speech, speaker = [], []
        with Bar(f"hearing {corpus.name}", len(corpus), shown=shown) as bar:
            for utterance in corpus:
                spoken = self.speech(utterance.read())
                if len(spoken) >= LEAST:
                    speech.append(spoken)
                    speaker.append(utterance.speaker)
                bar.update(1)
            return self.encoder.embed_utterances(speech), np.array(speaker, str)

    def recordings(self, sources, rule, *, names=None):
        """What recordings of a person are called, how good they are, and embeddings.

        Where no speech was found, all of the recording is embedded.

        Args:
            sources: Paths or waveforms.
            rule: A `voiceemb.enrolment.quality.Rule`.
            names: What they are called. Defaults to their paths, or to `sound 1`.

        Returns:
            List of `(name, Quality)`, and unit vectors float32 `[recordings, dim]`,
            zero where a recording is too short to be embedded.
        """
        if names is None:
            names = [_name(one, f"sound {n}") for n, one in enumerate(sources, 1)]
        found, speech = [], {}
        for row, source in enumerate(sources):
            waveform, activity = self.hear(source)
            found.append(_inspect(waveform, activity, rule))
            spoken = quality.spoken(waveform, activity)
            if len(waveform) >= LEAST:
                speech[row] = spoken if len(spoken) >= LEAST else waveform
        embeddings = np.zeros((len(sources), self.dim), np.float32)
        if speech:
            embeddings[[*speech]] = self.encoder.embed_utterances(speech.values())
        return list(zip(names, found, strict=True)), embeddings

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
            source = wave.read(source, sample_rate=SAMPLE_RATE)
        if self._detector is None:
            self._detector = detection.load()
        waveform = np.asarray(source, np.float32)
        return waveform, detection.detect(waveform, detector=self._detector)


def _inspect(waveform, activity, rule):
    """The `Quality` of one of several recordings of a person."""
    if len(waveform) < LEAST:
        seconds = len(waveform) / SAMPLE_RATE
        reason = f"too short: {seconds:.2f} s of sound, {LEAST_S:g} s are needed"
        return quality.Quality(0.0, 0.0, None, (reason,))
    least_s = rule.least_sample_s
    return quality.inspect(waveform, activity, rule=rule, least_s=least_s)


def _name(source, otherwise):
    return str(source) if isinstance(source, str | Path) else otherwise
