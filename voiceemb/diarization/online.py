"""Online assignment: which voice of a stream an embedding is of, as soon as it comes.

    voice = argmax_k cos(embedding, sum_k),   a new one if that is below the threshold

The memory is one vector a voice, the cost of an embedding their number.
"""

import numpy as np

from voiceemb.diarization.result import free_name
from voiceemb.encoder import unit
from voiceemb.enrolment.identification import Identity


class OnlineAssigner:
    """Names the voices of a stream, one embedding at a time.

    A voice is the mean direction of all embeddings that it was given; another one is of
    the voice that is most like it, or, below `threshold`, of a new one. Nothing is
    forgotten and nothing taken back.

    Args:
        threshold: Cosine below which a voice is new. Defaults to `0.4`.
        max_speakers: When there are so many, nobody is new. Defaults to `8`.

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
        """The name of the voice of an embedding `[dim]`, of any length above 0.

        Raises:
            ValueError: If it is not finite, zero, or of another length than the first.
        """
        point = np.asarray(embedding, np.float64)
        dim = len(self._sums[0]) if self._sums else point.size
        length = np.linalg.norm(point)
        if point.shape != (dim,) or not 0 < length < np.inf:
            raise ValueError(
                f"An embedding has {dim} finite numbers, not all zero. "
                f"Received: shape {point.shape}, length {length}"
            )
        point = point / length
        if self._sums:
            cosines = unit(np.array(self._sums)) @ point
            voice = int(cosines.argmax())
            if cosines[voice] >= self.threshold or len(self.names) == self.max_speakers:
                self._sums[voice] = self._sums[voice] + point
                return self.names[voice]
        self._sums.append(point)
        self.names.append(free_name(self.names))
        return self.names[-1]

    def identify(self, embedding) -> Identity:
        """What `enrolment.People.identify` says, of voices whom nobody has enrolled.

        A `listening.Listener` that is given an assigner for its people numbers voices
        as they come. There are no probabilities; the score is the cosine with the mean.
        """
        name = self.assign(embedding)
        mean = self.centroids[self.names.index(name)]
        score = float(unit(np.asarray(embedding, np.float64)) @ mean)
        return Identity(name, None, score, [(name, score, None)])
