"""Embeddings of the speech in recordings.

waveform -> voice activity detection -> speech segments, joined -> embedding
"""

from pathlib import Path

import numpy as np

from timbre.audio import wave
from timbre.progress import ProgressBar
from voiceemb.encoder import unit
from voiceemb.enrolment import quality
from voiceemb.inference import MIN_S
from voiceemb.vad import detection
from voiceemb.vad.base import SAMPLE_RATE

MIN_SAMPLES = int(MIN_S * SAMPLE_RATE)  # that can be embedded


class SpeechEmbedder:
    """Extracts speech by a voice activity detector, and embeds it by an encoder.

    Args:
        encoder, detector: As of `voiceemb.enrolment.people.People`.
        dim: Length of an embedding.
    """

    def __init__(self, encoder, dim, *, detector=None):
        self.encoder, self.dim, self._detector = encoder, dim, detector

    def embed(self, voice) -> np.ndarray:
        """The unit embedding `[dim]` of a voice.

        Args:
            voice: An embedding `[dim]` of any length above 0, or a waveform float32
                `[samples]` at 16 kHz or a path, with speech in it.
        """
        if not isinstance(voice, str | Path) and np.shape(voice) == (self.dim,):
            voice = np.asarray(voice, np.float64)
            if not np.isfinite(voice).all() or not voice.any():
                raise ValueError("An embedding must be finite and not zero.")
            return unit(voice)
        speech = self.extract_speech(voice)
        if len(speech) < MIN_SAMPLES:
            raise ValueError(
                "A voice must speak. "
                f"Received: no speech in {_source_name(voice, 'a sound')}"
            )
        return self.encoder.embed_utterance(speech)

    def embed_corpus(self, corpus, *, shown=True):
        """Embeddings of all utterances of a corpus in which speech is found.

        Args:
            corpus: A `timbre.corpora.corpus.Corpus`.
            shown: Whether progress is shown. Defaults to `True`.

        Returns:
            Unit vectors float32 `[utterances, dim]`, and speakers, str `[utterances]`.
        """
        speech, speaker = [], []
        title = f"finding speech in {corpus.name}"
        with ProgressBar(title, len(corpus), enabled=shown) as bar:
            for utterance in corpus:
                samples = self.extract_speech(utterance.read())
                if len(samples) >= MIN_SAMPLES:
                    speech.append(samples)
                    speaker.append(utterance.speaker)
                bar.update(1)
            return self.encoder.embed_utterances(speech), np.array(speaker, str)

    def embed_recordings(self, sources, thresholds, *, names=None):
        """Names, quality and embeddings of recordings of one person.

        Where no speech is found, the whole recording is embedded.

        Args:
            sources, thresholds, names: As for `voiceemb.enrolment.people.People.enrol`.

        Returns:
            List of `(name, Quality)`, and unit vectors float32 `[recordings, dim]`,
            zero where a recording is too short to be embedded.
        """
        if names is None:
            numbered = enumerate(sources, 1)
            names = [_source_name(one, f"sound {n}") for n, one in numbered]
        found, speech = [], {}
        for row, source in enumerate(sources):
            waveform, activity = self.detect(source)
            found.append(_inspect(waveform, activity, thresholds))
            samples = quality.extract_speech(waveform, activity)
            if len(waveform) >= MIN_SAMPLES:
                speech[row] = samples if len(samples) >= MIN_SAMPLES else waveform
        embeddings = np.zeros((len(sources), self.dim), np.float32)
        if speech:
            embeddings[[*speech]] = self.encoder.embed_utterances(speech.values())
        return list(zip(names, found, strict=True)), embeddings

    def extract_speech(self, source) -> np.ndarray:
        """The samples of a recording that are speech, float32 `[samples]`."""
        return quality.extract_speech(*self.detect(source))

    def detect(self, source):
        """Waveform float32 `[samples]` and `voiceemb.vad.Activity` of a recording."""
        if self.encoder is None:
            raise ValueError(
                "Sound is embedded where a store was opened with its encoder; without, "
                f"a voice is an embedding [{self.dim}]. Received: {np.shape(source)}"
            )
        if isinstance(source, str | Path):
            source = wave.read(source, sample_rate=SAMPLE_RATE)
        if self._detector is None:
            self._detector = detection.load()
        waveform = np.asarray(source, np.float32)
        return waveform, detection.detect(waveform, detector=self._detector)


def _inspect(waveform, activity, thresholds):
    """The `Quality` of one of several recordings of a person."""
    if len(waveform) < MIN_SAMPLES:
        seconds = len(waveform) / SAMPLE_RATE
        reason = f"too short: {seconds:.2f} s of sound, {MIN_S:g} s are needed"
        return quality.Quality(0.0, 0.0, None, (reason,))
    return quality.inspect(waveform, activity, thresholds)


def _source_name(source, default):
    return str(source) if isinstance(source, str | Path) else default
