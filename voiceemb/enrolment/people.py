"""Enrolment: people by name, kept on disk, and known again by their voice.

A person is some samples: of each recording the embedding of its speech, how good the
recording was, what it was called and when it was enrolled. A sample is kept if it
passes `voiceemb.enrolment.quality` and sounds like the person's other samples, and like
nobody else enrolled. What a score is worth comes from a calibration kept with the
people (`voiceemb.enrolment.store_calibration`); without one there are ranks, but
neither probabilities nor decisions.
"""

import sys
from pathlib import Path

import numpy as np

from timbre.corpora.embeddings import EmbeddingSet
from timbre.metrics.calibration import KINDS
from voiceemb import calibration
from voiceemb.enrolment import identification, quality
from voiceemb.enrolment.admission import Report, Sample, admit, kept
from voiceemb.enrolment.identification import Decision, Gallery, Identity
from voiceemb.enrolment.speech_embedding import Ear
from voiceemb.enrolment.store import Roster
from voiceemb.enrolment.store_calibration import Worth
from voiceemb.names import checked_name

__all__ = ["Decision", "Identity", "People", "Report", "Sample"]


class People:
    """Enrolled people, in a folder that several processes may use at once.

    A voice to be judged is a unit embedding `[dim]`, a waveform float32 `[samples]` at
    16 kHz, or the path of a recording; for the last two the store is opened with its
    encoder, and only their speech is heard.

    Args:
        roster: A `voiceemb.enrolment.store.Roster`.
        encoder: A `voiceemb.Encoder`. Defaults to none.
        detector: A `voiceemb.vad.Detector`. Defaults to the one of `voiceemb.vad.load`.

    Example:
        ```python
        people = People.create("people", voiceemb.Encoder.pretrained())
        print(people.enrol("anna", ["anna_1.wav", "anna_2.wav"]))
        print(people.identify("unknown.wav").name)
        ```
    """

    def __init__(self, roster, encoder=None, *, detector=None):
        self._roster = roster
        self._ear = Ear(encoder, roster.about["dim"], detector=detector)
        self._worth = Worth(roster)
        self._gallery = (None, None)  # the people, and their voices to compare with
        for reason in self.damaged.values():
            print(f"Passed over: {reason}", file=sys.stderr)

    @classmethod
    def create(cls, folder, encoder, *, detector=None):
        """Makes a store with nobody in it, calibrated as the encoder is.

        Where the encoder knows what scores are like in some corpora, the calibration
        follows the people who are enrolled, until `calibrate` gives another.

        Args:
            folder: Absent or empty.
            encoder: A `voiceemb.Encoder` that was loaded.
            detector: A `voiceemb.vad.Detector`. Defaults to the one of
                `voiceemb.vad.load`.

        Raises:
            FileExistsError: If something lies at `folder`.
            ValueError: If the encoder has no sha256 by which to know it again.
        """
        if not encoder.about.get("sha256"):
            raise ValueError(
                "People are enrolled by an encoder that was loaded, as its sha256 is "
                f"kept with them. Received: {encoder.about}"
            )
        roster = Roster.create(folder, encoder.about)
        if encoder.calibration is not None:
            about = {"origin": "calibration of the encoder, single utterances"}
            about["places"] = calibration.to_json(encoder.places)
            roster.write_calibration("centroid", encoder.calibration, about)
        return cls(roster, encoder, detector=detector)

    @classmethod
    def open(cls, folder, encoder=None, *, detector=None):
        """Opens a store. A person whose file is damaged does not hinder the others.

        What is passed over is said on stderr and kept in `damaged`.

        Args:
            folder: What `create` made.
            encoder: The `voiceemb.Encoder` of the store. Defaults to none: then
                voices are embeddings.
            detector: A `voiceemb.vad.Detector`. Defaults to the one of
                `voiceemb.vad.load`.

        Raises:
            FileNotFoundError: If there is no store.
            ValueError: If it is no store, or one of another encoder.
        """
        roster = Roster(folder)
        if encoder is not None:
            ours, theirs = roster.about["sha256"], encoder.about.get("sha256")
            if ours != theirs:
                raise ValueError(
                    "A store is opened with the encoder that has heard its people, "
                    f"{roster.about.get('extractor')} of sha256 {ours[:12]}. Received: "
                    f"{encoder.about.get('extractor')} of {str(theirs)[:12]}, {folder}"
                )
        return cls(roster, encoder, detector=detector)

    @property
    def names(self) -> list[str]:
        """Names of all who can be recognised, sorted."""
        return list(self._roster.people)

    @property
    def damaged(self) -> dict[str, str]:
        """File name to the reason why it is passed over.

        `remove` deletes a damaged person, `calibrate` writes a calibration anew.
        """
        return self._roster.damaged | self._worth.damaged

    @property
    def calibration(self):
        """The calibration of the way `centroid` with the people there are, or None."""
        return self._worth.of("centroid")

    @property
    def basis(self) -> str:
        """On what that calibration rests, in plain words."""
        return self._worth.basis("centroid")

    def __len__(self):
        return len(self._roster.people)

    def __contains__(self, name):
        try:
            return checked_name(name) in self._roster.people
        except ValueError:
            return False

    def refresh(self):
        """Sees what other processes have changed; every change of ours does so too."""
        self._roster.refresh()
        self._worth.refresh()

    def samples(self, name=None) -> EmbeddingSet:
        """The samples of a person, or of everybody, as an embedding set.

        Labels: `speech_s`, `clipped`, `snr_db`, `date` and `forced`, the reasons that
        were overridden.
        """
        return self._roster.everybody() if name is None else self._person(name)

    def embeddings(self, name) -> np.ndarray:
        """Unit embeddings of a person's samples, float32 `[samples, dim]`."""
        return self._person(name).embeddings

    def enrol(self, name, sources, *, names=None, rule=None, force=False) -> Report:
        """Enrols a person, or adds recordings to one who is enrolled.

        Recordings with a reason against them are left out, the others are kept if the
        person then has enough speech in all samples together. A recording that is
        enrolled already is left out in any case, so a second try does no harm, and so
        is one under 0.1 s.

        Args:
            name: Any that can be printed, at most 500 letters.
            sources: Paths or waveforms, or one.
            names: What those are called, one each. Defaults to their paths, or to
                `sound 1`.
            rule: A `voiceemb.enrolment.quality.Rule`. Defaults to `Rule()`.
            force: Enrol against all reasons; the report and the samples keep them.
                Defaults to `False`.

        Returns:
            A `Report`; whether anything was enrolled is in it.

        Raises:
            ValueError: If the name can not be kept, a waveform is no sound, or the
                person's file is damaged.
            timbre.audio.wave.AudioError: If a file can not be read; nothing is
                enrolled.
        """
        name, rule = checked_name(name), rule or quality.Rule()
        self._check_damage(name)
        one = isinstance(sources, str | Path | np.ndarray) and np.ndim(sources) < 2
        sources = [sources] if one else list(sources)
        heard, embeddings = self._ear.recordings(sources, rule, names=names)
        with self._roster.alone():
            self._check_damage(name)
            report = admit(
                name,
                heard,
                embeddings,
                self._roster.people,
                calibration=self.calibration,
                rule=rule,
                force=force,
            )
            if report.enrolled:
                self._roster.add(kept(report, embeddings, self._roster.about))
        return report

    def remove(self, name):
        """Deletes all that is kept of a person, or their damaged file.

        Raises:
            ValueError: If nobody of this name is enrolled.
        """
        name = checked_name(name)
        with self._roster.alone():
            if self._roster.damage(name) is None:
                self._person(name)
            self._roster.delete(name)

    def rename(self, old, new):
        """Gives a person another name, which nobody else may have.

        Raises:
            ValueError: If nobody is called `old`, or somebody `new`.
        """
        old, new = checked_name(old), checked_name(new)
        with self._roster.alone():
            self._person(old)
            self._check_damage(new)
            if new in self._roster.people:
                raise ValueError(
                    f"`new` must be nobody's name yet; `remove` it before. "
                    f"Received: {new!r}"
                )
            self._roster.rename(old, new)

    def export(self, name, path):
        """Writes all that is kept of a person to an embedding set, `.npz`."""
        self._person(name).save(path)

    def scores(self, voice, *, way="centroid") -> dict[str, float]:
        """How alike a voice is to everybody, name to score; larger is more alike.

        Args:
            voice: A unit embedding `[dim]`, a waveform or a path.
            way: See `voiceemb.enrolment.identification.Gallery.scores`. Defaults to
                `"centroid"`.
        """
        names, scores = self._score(voice, way)
        return dict(zip(names, scores.tolist(), strict=True))

    def identify(
        self, voice, *, stranger=0.5, way="centroid", threshold=None
    ) -> Identity:
        """Whose voice it is, or nobody's of them.

        Args:
            voice: A unit embedding `[dim]`, a waveform or a path.
            stranger: Probability that it is nobody of them, before it is heard.
                Defaults to `0.5`.
            way: See `scores`.
            threshold: The score from which the most alike is named. Defaults to what
                is likeliest.

        Raises:
            ValueError: If there is neither a calibration for `way` nor a threshold.
        """
        options = {"stranger": stranger, "threshold": threshold}
        calibration = self._worth.of(way)
        identification.check_decidable(calibration, threshold)
        names, scores = self._score(voice, way)
        return identification.identify(
            names, scores, calibration=calibration, **options
        )

    def verify(
        self, voice, name, *, prior=0.5, way="centroid", threshold=None
    ) -> Decision:
        """Whether it is the voice of this person.

        Args:
            voice: A unit embedding `[dim]`, a waveform or a path.
            name: Of the person.
            prior: How often it is, before it is heard. Defaults to `0.5`.
            way: See `scores`.
            threshold: The score from which to accept. Defaults to the likelier.

        Raises:
            ValueError: If nobody of this name is enrolled, or there is neither a
                calibration for `way` nor a threshold.
        """
        gallery = Gallery({name: self._person(name).embeddings})
        score = gallery.scores(self._ear.embedding(voice), way=way)[0]
        options = {"prior": prior, "threshold": threshold}
        calibration = self._worth.of(way)
        return identification.verify(score, calibration=calibration, **options)

    def calibrate(self, label, scores, *, way="centroid", kind="logistic", about=None):
        """Learns what scores are worth from trials with known answers, and keeps it.

        Args:
            label: True where both sides are one speaker, `[trials]`.
            scores: Of this store's encoder, scored in this way, `[trials]`.
            way: See `scores`. Defaults to `"centroid"`.
            kind: See `timbre.metrics.calibration.KINDS`. Defaults to `"logistic"`.
            about: Dict of what the trials are, ready for JSON. Defaults to nothing.

        Returns:
            The `timbre.metrics.calibration.Calibration`.
        """
        identification.check_way(way)
        if kind not in KINDS:
            raise ValueError(f"`kind` must be one of {list(KINDS)}. Received: {kind!r}")
        found = KINDS[kind].fit(label, scores)
        with self._roster.alone():
            self._roster.write_calibration(way, found, about or {})
        self.refresh()
        return found

    def calibrate_on(self, corpus, *, samples=1, way="centroid", shown=True):
        """Calibrates on recordings of people with known names, such as yours.

        They are heard as people and voices are heard here, and scored as they are:
        some utterances of each speaker enrolled, the others compared with everybody.

        Args:
            corpus: A `timbre.corpora.corpus.Corpus` of speakers whom the encoder has
                not learned from, recorded as the voices to be judged are.
            samples: Utterances enrolled of each. Defaults to `1`.
            way: See `scores`. Defaults to `"centroid"`.
            shown: Whether progress is shown. Defaults to `True`.

        Returns:
            The `timbre.metrics.calibration.Calibration`.
        """
        voices, speaker = self._ear.corpus(corpus, shown=shown)
        label, scores = identification.trials(voices, speaker, samples=samples, way=way)
        about = {"corpus": corpus.name, "sha256": corpus.digest(), "samples": samples}
        return self.calibrate(label, scores, way=way, about=about)

    def _person(self, name):
        name = checked_name(name)
        self._check_damage(name)
        if name not in self._roster.people:
            raise ValueError(f"`name` must be of somebody enrolled. Received: {name!r}")
        return self._roster.people[name]

    def _check_damage(self, name):
        reason = self._roster.damage(name)
        if reason is not None:
            raise ValueError(
                f"The file of {name!r} is damaged: restore it from a copy, or `remove` "
                f"the name and enrol it again. Received: {reason}"
            )

    def _score(self, voice, way):
        """Names and the scores of a voice against them, `[people]`."""
        identification.check_way(way)
        people, voice = self._roster.people, self._ear.embedding(voice)
        if not people:
            return [], np.zeros(0)
        held, gallery = self._gallery
        if held is not people:  # a new dict after every change
            gallery = Gallery({name: own.embeddings for name, own in people.items()})
            self._gallery = (people, gallery)
        return gallery.names, gallery.scores(voice, way=way)
