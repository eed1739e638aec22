"""Online speaker clustering: each embedding of a stream is assigned as it arrives.

voice = argmax_k cos(embedding, sum_k),   a new one if that is below the threshold
"""

import numpy as np

from voiceemb.diarization.result import free_name
from voiceemb.enrolment.identification import Identity
from voiceemb.inference import unit


class OnlineAssigner:
    """Numbers the speakers of a stream, one embedding at a time.

    A speaker is the mean direction of the embeddings so far. Assignments are final.

    Args:
        threshold: Cosine below which a speaker is new. Defaults to `0.4`.
        max_speakers: Maximum number of speakers. Defaults to `8`.

    Attributes:
        names: `speaker 1`, `speaker 2`, ..., in the order in which they came.
    """

    def __init__(self, threshold=0.4, max_speakers=8):
        if not -1 <= threshold <= 1 or max_speakers < 1:
            raise ValueError(
                "`threshold` is a cosine and `max_speakers` at least 1. "
                f"Received: {threshold} and {max_speakers}"
            )
        self.threshold, self.max_speakers = float(threshold), int(max_speakers)
        self.names, self._sums = [], []

    @property
    def centroids(self) -> np.ndarray:
        """Mean direction of each voice, float32 `[voices, dim]`."""
        return unit(np.array(self._sums, np.float32))

    def assign(self, embedding) -> str:
        """Assign an embedding `[dim]`, finite and not zero, and return the name."""
        embedding = np.asarray(embedding, np.float64)
        dim = len(self._sums[0]) if self._sums else embedding.size
        length = np.linalg.norm(embedding)
        if embedding.shape != (dim,) or not 0 < length < np.inf:
            raise ValueError(
                f"An embedding has {dim} finite numbers, not all zero. "
                f"Received: shape {embedding.shape}, length {length}"
            )
        embedding = embedding / length
        if self._sums:
            cosines = unit(np.array(self._sums)) @ embedding
            voice = int(cosines.argmax())
            if cosines[voice] >= self.threshold or len(self.names) == self.max_speakers:
                self._sums[voice] = self._sums[voice] + embedding
                return self.names[voice]
        self._sums.append(embedding)
        self.names.append(free_name(self.names))
        return self.names[-1]

    def identify(self, embedding) -> Identity:
        """As `People.identify`, so that a `Listener` takes it in place of people.

        There are no probabilities; the score is the cosine with the mean.
        """
        name = self.assign(embedding)
        mean = self.centroids[self.names.index(name)]
        score = float(unit(np.asarray(embedding, np.float64)) @ mean)
        return Identity(name, None, score, [(name, score, None)])
