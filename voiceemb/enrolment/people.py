"""Speaker enrolment: people by name, stored on disk, identified and verified by voice.

A person is a set of samples: for each recording the embedding of its speech, its
quality, its name and the date. `voiceemb.enrolment.admission` decides which recordings
are enrolled. Probabilities come from a calibration kept in the store
(`voiceemb.enrolment.store_calibration`); without one there are scores only.
"""

import sys
from pathlib import Path

import numpy as np

from timbre.corpora.embeddings import EmbeddingSet
from timbre.metrics.calibration import KINDS
from timbre.training.networks import check_choice
from voiceemb import calibration
from voiceemb.enrolment import identification, quality
from voiceemb.enrolment.admission import Report, admit, admitted_samples
from voiceemb.enrolment.identification import Decision, Gallery, Identity
from voiceemb.enrolment.speech_embedding import SpeechEmbedder
from voiceemb.enrolment.store import EnrolmentStore
from voiceemb.enrolment.store_calibration import StoreCalibration
from voiceemb.names import normalise_name


class People:
    """Enrolled people, in a folder that several processes may use at once.

    A voice is a unit embedding `[dim]`, a waveform float32 `[samples]` at 16 kHz, or
    the path of a recording; the last two need the encoder, which embeds their speech.
    Methods raise `ValueError` where a named person is not enrolled.

    Args:
        store: A `voiceemb.enrolment.store.EnrolmentStore`.
        encoder: A `voiceemb.Encoder`. Defaults to none.
        detector: A `voiceemb.vad.Detector`. Defaults to the one of `voiceemb.vad.load`.

    Attributes:
        store: The `EnrolmentStore`.
        embedder: The `SpeechEmbedder` of voices.
        store_calibration: The `StoreCalibration`.

    Example:
        ```python
        people = People.create("people", voiceemb.Encoder.pretrained())
        print(people.enrol("anna", ["anna_1.wav", "anna_2.wav"]))
        print(people.identify("unknown.wav").name)
        ```
    """

    def __init__(self, store, encoder=None, *, detector=None):
        self.store = store
        self.embedder = SpeechEmbedder(encoder, store.about["dim"], detector=detector)
        self.store_calibration = StoreCalibration(store)
        self._gallery = (None, None)  # the people, and their `Gallery`
        for reason in self.corrupted.values():
            print(f"Ignored: {reason}", file=sys.stderr)

    @classmethod
    def create(cls, folder, encoder, *, detector=None):
        """Create an empty store, calibrated as the encoder is.

        Where the encoder has score statistics of several corpora, the calibration is
        adapted to the people who are enrolled, until `calibrate` gives another.

        Args:
            folder: Absent or empty; anything else is a `FileExistsError`.
            encoder: A `voiceemb.Encoder` that was loaded, and so has a sha256.
            detector: As of the class.
        """
        if not encoder.about.get("sha256"):
            raise ValueError(
                "People are enrolled by an encoder that was loaded, as its sha256 is "
                f"kept with them. Received: {encoder.about}"
            )
        store = EnrolmentStore.create(folder, encoder.about)
        if encoder.calibration is not None:
            about = {"origin": "calibration of the encoder, single utterances"}
            about["places"] = calibration.scores_to_json(encoder.corpus_scores)
            store.write_calibration("centroid", encoder.calibration, about)
        return cls(store, encoder, detector=detector)

    @classmethod
    def open(cls, folder, encoder=None, *, detector=None):
        """Open a store; corrupted files are ignored, which stderr and `corrupted` say.

        Args:
            folder: What `create` made.
            encoder: The `voiceemb.Encoder` of the store. Defaults to none: then
                voices must be embeddings.
            detector: As of the class.

        Raises:
            FileNotFoundError: If there is no store.
            ValueError: If it is no store, or one of another encoder.
        """
        store = EnrolmentStore(folder)
        if encoder is not None:
            ours, theirs = store.about["sha256"], encoder.about.get("sha256")
            if ours != theirs:
                raise ValueError(
                    "A store is opened with the encoder that embedded its people, "
                    f"{store.about.get('extractor')} of sha256 {ours[:12]}. Received: "
                    f"{encoder.about.get('extractor')} of {str(theirs)[:12]}, {folder}"
                )
        return cls(store, encoder, detector=detector)

    @property
    def names(self) -> list[str]:
        """Names of all enrolled people, sorted."""
        return list(self.store.people)

    @property
    def corrupted(self) -> dict[str, str]:
        """File name to the reason why it is ignored, until `remove` or `calibrate`."""
        return self.store.corrupted | self.store_calibration.corrupted

    @property
    def calibration(self):
        """The calibration of `centroid` scores with the present people, or None."""
        return self.store_calibration.get("centroid")

    @property
    def provenance(self) -> str:
        """What that calibration rests on, in plain words."""
        return self.store_calibration.provenance("centroid")

    def __len__(self):
        return len(self.store.people)

    def __contains__(self, name):
        try:
            return normalise_name(name) in self.store.people
        except ValueError:
            return False

    def refresh(self):
        """Read what other processes have changed; every change of ours does so too."""
        self.store.refresh()
        self.store_calibration.refresh()

    def samples(self, name=None) -> EmbeddingSet:
        """The samples of a person, or of everybody, as an embedding set.

        Labels: `speech_s`, `clipped`, `snr_db`, `date` and `forced`, the reasons that
        were overridden.
        """
        return self.store.all_samples() if name is None else self._person(name)

    def embeddings(self, name) -> np.ndarray:
        """Unit embeddings of a person's samples, float32 `[samples, dim]`."""
        return self._person(name).embeddings

    def enrol(
        self, name, sources, *, names=None, thresholds=None, force=False
    ) -> Report:
        """Enrol a person, or add recordings to one who is enrolled.

        Recordings with a reason against them are left out, the others are enrolled if
        the person then has enough speech in all samples together. A recording that is
        enrolled already is left out in any case, so repeating is safe, and so is one
        under 0.1 s. Where anything is raised, nothing is enrolled.

        Args:
            name: Any that can be printed, at most 500 letters.
            sources: Paths or waveforms, or one.
            names: Of the recordings, one each. Default to their paths, or `sound 1`.
            thresholds: A `voiceemb.enrolment.quality.QualityThresholds`. Defaults to
                `QualityThresholds()`.
            force: Enrol against all reasons; the report and the samples keep them.
                Defaults to `False`.

        Returns:
            A `Report`; whether anything was enrolled is in it.

        Raises:
            ValueError: If the name can not be kept, a waveform is no sound, or the
                person's file is corrupted.
            timbre.audio.wave.AudioError: If a file can not be read.
        """
        name = normalise_name(name)
        thresholds = thresholds or quality.QualityThresholds()
        self._check_corruption(name)
        one = isinstance(sources, str | Path | np.ndarray) and np.ndim(sources) < 2
        recordings, embeddings = self.embedder.embed_recordings(
            [sources] if one else list(sources), thresholds, names=names
        )
        with self.store.lock():
            self._check_corruption(name)
            report = admit(
                name,
                recordings,
                embeddings,
                self.store.people,
                calibration=self.calibration,
                thresholds=thresholds,
                force=force,
            )
            if report.enrolled:
                about = self.store.about
                self.store.add(admitted_samples(report, embeddings, about))
        return report

    def remove(self, name):
        """Delete all that is kept of a person, or their corrupted file."""
        name = normalise_name(name)
        with self.store.lock():
            if self.store.corruption(name) is None:
                self._person(name)
            self.store.delete(name)

    def rename(self, old, new):
        """Rename a person; nobody else may have the new name."""
        old, new = normalise_name(old), normalise_name(new)
        with self.store.lock():
            self._person(old)
            self._check_corruption(new)
            if new in self.store.people:
                raise ValueError(
                    "`new` must be nobody's name yet; `remove` it before. "
                    f"Received: {new!r}"
                )
            self.store.rename(old, new)

    def export(self, name, path):
        """Write all that is kept of a person to an embedding set, `.npz`."""
        self._person(name).save(path)

    def scores(self, voice, *, scoring="centroid") -> dict[str, float]:
        """Score a voice against everybody, name to score; larger is more alike.

        Args:
            voice: As of the class.
            scoring: See `voiceemb.enrolment.identification.Gallery.scores`. Defaults
                to `"centroid"`.
        """
        names, scores = self._score(voice, scoring)
        return dict(zip(names, scores.tolist(), strict=True))

    def identify(
        self, voice, *, unknown_prior=0.5, scoring="centroid", threshold=None
    ) -> Identity:
        """Identify the speaker of a voice, who may be none of the enrolled.

        Args:
            voice, scoring: As for `scores`.
            unknown_prior, threshold: See `voiceemb.enrolment.identification.identify`.
        """
        fitted = self.store_calibration.get(scoring)
        identification.check_decidable(fitted, threshold)
        names, scores = self._score(voice, scoring)
        return identification.identify(
            names,
            scores,
            calibration=fitted,
            unknown_prior=unknown_prior,
            threshold=threshold,
        )

    def verify(
        self, voice, name, *, prior=0.5, scoring="centroid", threshold=None
    ) -> Decision:
        """Decide whether it is the voice of this person.

        Args:
            voice, scoring: As for `scores`.
            name: Of the person.
            prior, threshold: See `voiceemb.enrolment.identification.verify`.
        """
        gallery = Gallery({name: self._person(name).embeddings})
        score = gallery.scores(self.embedder.embed(voice), scoring=scoring)[0]
        fitted = self.store_calibration.get(scoring)
        return identification.verify(
            score, calibration=fitted, prior=prior, threshold=threshold
        )

    def calibrate(
        self, label, scores, *, scoring="centroid", kind="logistic", about=None
    ):
        """Fit a calibration to labelled trials, and keep it in the store.

        Args:
            label: True where both sides are one speaker, `[trials]`.
            scores: Of this store's encoder and this scoring, `[trials]`.
            scoring: See `scores`. Defaults to `"centroid"`.
            kind: See `timbre.metrics.calibration.KINDS`. Defaults to `"logistic"`.
            about: Dict of what the trials are, ready for JSON. Defaults to nothing.

        Returns:
            The `timbre.metrics.calibration.Calibration`.
        """
        check_choice("scoring", scoring, identification.SCORINGS)
        check_choice("kind", kind, [*KINDS])
        fitted = KINDS[kind].fit(label, scores)
        with self.store.lock():
            self.store.write_calibration(scoring, fitted, about or {})
        self.refresh()
        return fitted

    def calibrate_on(self, corpus, *, samples=1, scoring="centroid", shown=True):
        """Fit a calibration to recordings of known speakers, such as yours.

        Some utterances of each speaker are enrolled and the others scored against
        everybody, with the same speech extraction and scoring as in use. See
        `calibrate`.

        Args:
            corpus: A `timbre.corpora.corpus.Corpus` of speakers whom the encoder was
                not trained on, recorded as the voices to be identified are.
            samples: Utterances enrolled of each. Defaults to `1`.
            scoring: See `scores`. Defaults to `"centroid"`.
            shown: Whether progress is shown. Defaults to `True`.
        """
        embeddings, speaker = self.embedder.embed_corpus(corpus, shown=shown)
        label, scores = identification.trials(
            embeddings, speaker, samples=samples, scoring=scoring
        )
        about = {"corpus": corpus.name, "sha256": corpus.digest(), "samples": samples}
        return self.calibrate(label, scores, scoring=scoring, about=about)

    def _person(self, name):
        name = normalise_name(name)
        self._check_corruption(name)
        if name not in self.store.people:
            raise ValueError(f"`name` must be of somebody enrolled. Received: {name!r}")
        return self.store.people[name]

    def _check_corruption(self, name):
        reason = self.store.corruption(name)
        if reason is not None:
            raise ValueError(
                f"The file of {name!r} is corrupted: restore it from a copy, or "
                f"`remove` the name and enrol it again. Received: {reason}"
            )

    def _score(self, voice, scoring):
        """Names of all people and the scores of a voice against them, `[people]`."""
        check_choice("scoring", scoring, identification.SCORINGS)
        people, embedding = self.store.people, self.embedder.embed(voice)
        if not people:
            return [], np.zeros(0)
        held, gallery = self._gallery
        if held is not people:  # a new dict after every change
            gallery = Gallery({name: own.embeddings for name, own in people.items()})
            self._gallery = (people, gallery)
        return gallery.names, gallery.scores(embedding, scoring=scoring)
