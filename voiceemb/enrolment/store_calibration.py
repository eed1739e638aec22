"""Score calibration of an enrolment store.

A calibration fitted on the store's own recordings is used as it is. The encoder's is
adapted to the enrolled speakers (`cohort_calibration`) whenever they change.
"""

from voiceemb.enrolment import cohort_calibration


class StoreCalibration:
    """The calibrations of an enrolment store.

    Args:
        store: A `voiceemb.enrolment.store.EnrolmentStore`.

    Attributes:
        corrupted: File name to the reason why a calibration is not used.
    """

    def __init__(self, store):
        self._store = store
        self.refresh()

    def refresh(self):
        """Read what other processes have changed."""
        self._kept, self.corrupted = self._store.calibrations()
        self._adapted = {}  # scoring to (people, calibration)

    def get(self, scoring="centroid"):
        """The calibration of a kind of scoring, or None."""
        kept = self._kept.get(scoring)
        if kept is None:
            return None
        if not kept.corpus_scores:
            return kept.calibration
        people, calibration = self._adapted.get(scoring, (None, None))
        if people is not self._store.people:  # a new dict after every change
            people = self._store.people
            samples = {name: own.embeddings for name, own in people.items()}
            calibration = cohort_calibration.calibrate(kept.corpus_scores, samples)
            self._adapted[scoring] = (people, calibration)
        return calibration

    def provenance(self, scoring="centroid") -> str:
        """What the probabilities rest on, in plain words."""
        kept = self._kept.get(scoring)
        if kept is None:
            return "nothing: there is no calibration"
        if kept.corpus_scores:
            corpora = f"{len(kept.corpus_scores)} corpora that came with the encoder"
            people = self._store.people
            if len(people) > 1:
                return f"{corpora}, adapted to the {len(people)} people in the store"
            if any(len(own) > 1 for own in people.values()):
                return f"{corpora}, adapted to the samples of one person"
            return corpora
        if "origin" in kept.about:
            return str(kept.about["origin"])
        corpus = kept.about.get("corpus")
        return "trials of your own" + (f", {corpus}" if corpus else "")
