"""Speaker verification on unseen speakers: embeddings, trials, scores, EER.

Every corpus is embedded by the encoder and by the extractors it is compared with, on
the same utterances and the same trials. Scores of a `ScoreNormalisation` stand beside
the cosines under a name of their own.
"""

import dataclasses

import numpy as np

from timbre.corpora.corpus import bare, some
from timbre.corpora.embeddings import EmbeddingSet
from timbre.metrics import likelihood_ratio, reliability, verification
from timbre.metrics.scoring import cosine_scores
from timbre.metrics.trials import Trials
from voiceemb.evaluation import mfcc_baseline
from voiceemb.evaluation.readable import find_readable, utterance_names
from voiceemb.evaluation.score_normalisation import ScoreNormalisation

BASELINE = "MFCC statistics"


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Results of several extractors on one corpus.

    Args:
        corpus: Name of the corpus.
        protocol: `"open-set"` or `"closed-set"`.
        sets: Extractor name to `EmbeddingSet`, all of the same utterances.
        trials: Trial list name to `timbre.metrics.trials.Trials`.
        scores: `(trial list, extractor)` to cosines, float `[trials]`; the name of a
            `ScoreNormalisation` in place of an extractor's, to normalised scores.
        rows: One report per trial list and extractor or normalisation.
        skipped: Path to the reason why it could not be used.
    """

    corpus: str
    protocol: str
    sets: dict
    trials: dict
    scores: dict
    rows: list
    skipped: dict

    def row(self, extractor, trial_list="all-pairs"):
        """The report of one extractor on one trial list."""
        return next(
            row
            for row in self.rows
            if (row["extractor"], row["trial_list"]) == (extractor, trial_list)
        )


def speaker_means(corpus, extract, *, sample_rate=16000):
    """The mean embedding of each speaker of a corpus, `{speaker: [dim]}`.

    Args:
        corpus: A `timbre.corpora.corpus.Corpus`; what can not be read is left out.
        extract: Function of an iterable of waveforms, as `evaluate` takes them.
        sample_rate: In Hz. Defaults to `16000`.
    """
    good, _ = find_readable(corpus, sample_rate=sample_rate)
    if not good:
        raise ValueError(f"{corpus.name!r} has no utterance that can be read")
    embeddings = extract(u.read(sample_rate=sample_rate) for u in good)
    speaker = np.array([u.speaker for u in good], str)
    return {name: embeddings[speaker == name].mean(axis=0) for name in set(speaker)}


def mfcc_extractor(sample_rate=16000):
    """The baseline as an extractor: `cepstral_statistics`, standardised together."""

    def extract(waveforms):
        statistics = [
            mfcc_baseline.cepstral_statistics(x, sample_rate=sample_rate)
            for x in waveforms
        ]
        return mfcc_baseline.standardise(np.stack(statistics))

    return extract


def exclude_trained(corpus, trained, *, leave_out=False):
    """Checks that an open-set corpus has no speaker of the training; returns it.

    Args:
        corpus: A `timbre.corpora.corpus.Corpus`.
        trained: Names of the speakers trained on.
        leave_out: Leave such speakers out instead of refusing. Defaults to `False`.
    """
    trained = {bare(name) for name in trained}
    both = [name for name in corpus.speakers if bare(name) in trained]
    if both and not leave_out:
        raise ValueError(
            f"An open-set figure needs unseen speakers, but {len(both)} of "
            f"{len(corpus.speakers)} in {corpus.name!r} have names that were trained "
            f"on: {some(both)}. Leave them out (--leave-out-trained) or say "
            "--protocol closed-set"
        )
    return corpus.subset([name for name in corpus.speakers if name not in both])


def evaluate(
    corpus,
    extractors,
    *,
    protocol="open-set",
    trial_lists=("all-pairs",),
    normalisations=None,
    sample_rate=16000,
    resamples=1000,
    seed=0,
):
    """Embeds a corpus by every extractor and reports its verification errors.

    Args:
        corpus: A `timbre.corpora.corpus.Corpus`.
        extractors: Name to a function of an iterable of waveforms giving embeddings
            `[utterances, dim]`, such as `Encoder.embed_utterances` or
            `mfcc_extractor()`.
        protocol: `"open-set"` if no speaker was trained on, `"closed-set"` if only
            the utterances are new.
        trial_lists: List of `"all-pairs"`, `"deep-speaker"` or
            `timbre.metrics.trials.Trials` whose segments are `utterance_names`.
        normalisations: Name to `ScoreNormalisation`; each gives rows after the cosines
            of its extractor. Defaults to none.
        sample_rate: In Hz. Defaults to `16000`.
        resamples: Of the bootstrap by speaker. Defaults to `1000`.
        seed: Of trials and bootstrap. Defaults to `0`.

    Returns:
        An `Evaluation`. A row is a report of `timbre.metrics.verification` with
        `corpus`, `extractor`, `normalise` (`"none"` for cosines) and `cohort`.

    Raises:
        ValueError: If fewer than two speakers, or no speaker with two utterances,
            are left after unusable files.
    """
    good, skipped = find_readable(corpus, sample_rate=sample_rate)
    speaker = np.array([u.speaker for u in good], str)
    segment = np.array(utterance_names(corpus, good), str)
    _, counts = np.unique(speaker, return_counts=True)
    if len(counts) < 2 or counts.max() < 2:
        raise ValueError(
            "An evaluation needs at least two speakers and one of them twice. "
            f"Received: {len(good)} usable utterances of {len(counts)} speakers "
            f"in {corpus.name!r}"
        )
    sets, scores, rows = {}, {}, []
    for name, extract in extractors.items():
        embeddings = extract(u.read(sample_rate=sample_rate) for u in good)
        sets[name] = EmbeddingSet(embeddings, speaker, segment, {"extractor": name})
    trials = _make_trials(trial_lists, segment, speaker, seed)
    for kind, listed in trials.items():
        for name, method in _scoring_methods(extractors, normalisations or {}).items():
            scored = method.score(sets[method.extractor].embeddings, listed)
            scores[kind, name] = scored
            report = verification.report(
                listed,
                scored,
                name=f"{corpus.name}: {name}",
                protocol=protocol,
                resamples=resamples,
                seed=seed,
            )
            about = {
                "corpus": corpus.name,
                "extractor": name,
                "normalise": method.normalise,
                "cohort": method.cohort,
                "note": "; ".join(filter(None, (report["note"], method.note))),
            }
            rows.append(report | about)
    return Evaluation(corpus.name, protocol, sets, trials, scores, rows, skipped)


def _make_trials(trial_lists, segment, speaker, seed):
    """Kind of list to `Trials`, each of rows of these utterances."""
    trials = {}
    for one in trial_lists:
        if isinstance(one, Trials):
            trials[one.kind] = one.locate(segment, speaker)
        else:
            make = verification.LISTS[one]
            trials[one] = make(speaker, segments=segment, seed=seed)
    return trials


def _scoring_methods(extractors, normalisations):
    """Each extractor's cosine, followed by the normalisations of its scores."""
    methods = {}
    for name in extractors:
        methods[name] = ScoreNormalisation(name, "none", cosine_scores)
        methods |= {k: v for k, v in normalisations.items() if v.extractor == name}
    return methods


def add_calibration(one, extractor, calibration, *, prior=0.5):
    """The evaluation with the errors of a calibration in its rows of cosines.

    Args:
        one: An `Evaluation`.
        extractor: Name of the one whose cosines it was fitted on.
        calibration: A `timbre.metrics.calibration.Calibration`.
        prior: Of a trial of one speaker. Defaults to `0.5`.

    Returns:
        An `Evaluation` whose rows of `extractor` have `calibration`: `prior`, `ece`
        (the expected calibration error), `cllr`, and `min_cllr`, the lowest cllr of
        any monotonic calibration of these scores.
    """
    rows = []
    for row in one.rows:
        if row["extractor"] == extractor:
            label = one.trials[row["trial_list"]].label
            scores = one.scores[row["trial_list"], extractor]
            predicted = (label, calibration.probability(scores, prior=prior))
            errors = {
                "prior": prior,
                "ece": reliability.expected_calibration_error(*predicted, prior=prior),
                "cllr": likelihood_ratio.cllr(label, calibration.llr(scores)),
                "min_cllr": likelihood_ratio.min_cllr(label, scores),
            }
            row = row | {"calibration": errors}
        rows.append(row)
    return dataclasses.replace(one, rows=rows)
