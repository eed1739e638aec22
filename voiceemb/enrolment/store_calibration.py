"""Worth: what a score in a store of people is worth, and on what that rests.

A calibration that was made for the store, on recordings of its kind, is believed as it
is. The one that a store is made with rests on corpora; it knows what scores are like
in each of them and is adapted to the people in the store
(`voiceemb.enrolment.cohort_calibration`), anew whenever they change.
"""

from voiceemb.enrolment import cohort_calibration


class Worth:
    """The calibrations of a roster.

    Args:
        roster: A `voiceemb.enrolment.store.Roster`.

    Attributes:
        damaged: File name to the reason why a calibration is passed over.
    """

    def __init__(self, roster):
        self._roster = roster
        self.refresh()

    def refresh(self):
        """Reads what others have changed since."""
        self._kept, self.damaged = self._roster.calibrations()
        self._adapted = {}  # way to the people and the calibration

    def of(self, way="centroid"):
        """The calibration of a way to score, or None."""
        kept = self._kept.get(way)
        if kept is None or not kept.places:
            return None if kept is None else kept.calibration
        people = self._roster.people
        held, found = self._adapted.get(way, (None, None))
        if held is not people:  # a new dict after every change
            samples = {name: own.embeddings for name, own in people.items()}
            found = cohort_calibration.calibration(kept.places, samples)
            self._adapted[way] = (people, found)
        return found

    def basis(self, way="centroid") -> str:
        """On what probabilities rest, in plain words."""
        kept = self._kept.get(way)
        if kept is None:
            return "nothing: there is no calibration"
        if kept.places:
            corpora = f"{len(kept.places)} corpora that came with the encoder"
            people = self._roster.people
            if len(people) > 1:
                return f"{corpora}, adapted to the {len(people)} people in the store"
            if any(len(own) > 1 for own in people.values()):
                return f"{corpora}, adapted to the samples of one person"
            return corpora
        if "origin" in kept.about:
            return str(kept.about["origin"])
        corpus = kept.about.get("corpus")
        return "trials of your own" + (f", {corpus}" if corpus else "")
