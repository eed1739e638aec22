"""Evaluation: what an encoder is worth on speakers it has never heard.

Every corpus is embedded by the encoder and by whatever it is compared with, on the
same utterances and the same trials, so that a figure never stands alone. The cosine is
always among the scores; a `Scoring` stands beside it under a name that says what it is.
"""

import dataclasses
import sys

import numpy as np

from timbre.audio import wave
from timbre.corpora.corpus import bare, some
from timbre.corpora.embeddings import EmbeddingSet
from timbre.metrics import likelihood_ratio, reliability, verification
from timbre.metrics.scoring import cosine_scores
from timbre.metrics.trials import Trials
from voiceemb.evaluation import mfcc_baseline
from voiceemb.evaluation.score_normalisation import Scoring
from voiceemb.inference import LEAST_S

BASELINE = "MFCC statistics"


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """One corpus seen by several extractors.

    Args:
        corpus: Name of the corpus.
        protocol: `"open-set"` or `"closed-set"`.
        sets: Extractor name to `EmbeddingSet`, all of the same utterances.
        trials: Trial list name to `timbre.metrics.trials.Trials`.
        scores: `(trial list, extractor)` to cosines, float `[trials]`; the name of a
            `Scoring` instead of an extractor's, to what it made of them.
        rows: One report a pair of trial list and extractor or scoring.
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
        asked = (extractor, trial_list)
        return next(
            row for row in self.rows if (row["extractor"], row["trial_list"]) == asked
        )


def speaker_means(corpus, extract, *, sample_rate=16000):
    """The mean embedding of each speaker of a corpus, `{speaker: [dim]}`.

    Args:
        corpus: A `timbre.corpora.corpus.Corpus`; what can not be read is left out.
        extract: Function of an iterable of waveforms, as `evaluate` takes them.
        sample_rate: In Hz. Defaults to `16000`.
    """
    good = audible(corpus, sample_rate=sample_rate)[0]
    if not good:
        raise ValueError(f"{corpus.name!r} must hold speech. Received: none to read")
    embeddings = extract(u.read(sample_rate=sample_rate) for u in good)
    speaker = np.array([u.speaker for u in good], str)
    return {name: embeddings[speaker == name].mean(axis=0) for name in set(speaker)}


def cepstra(sample_rate=16000):
    """The baseline as an extractor: `cepstral_statistics`, standardised together."""

    def extract(waveforms):
        statistics = [
            mfcc_baseline.cepstral_statistics(waveform, sample_rate=sample_rate)
            for waveform in waveforms
        ]
        return mfcc_baseline.standardise(np.stack(statistics))

    return extract


def usable(corpus, *, sample_rate=16000):
    """Parts a corpus into utterances that can be read and those that can not.

    Returns:
        The list of usable utterances, and a dict of path to reason for the others.
    """
    good, skipped = [], {}
    for utterance in corpus:
        try:
            waveform = utterance.read(sample_rate=sample_rate)
            if len(waveform) < LEAST_S * sample_rate:
                raise wave.AudioError(utterance.path, f"shorter than {LEAST_S} s")
            good.append(utterance)
        except (wave.AudioError, OSError) as error:
            skipped[str(utterance.path)] = str(error)
    return good, skipped


def audible(corpus, *, sample_rate=16000):
    """What `usable` gives, after a word on stderr about what is left out."""
    good, skipped = usable(corpus, sample_rate=sample_rate)
    if skipped:
        print(
            f"{corpus.name}: {len(skipped)} of {len(corpus)} utterances can not be "
            f"used, for instance {next(iter(skipped.values()))}",
            file=sys.stderr,
        )
    return good, skipped


def names(corpus, utterances):
    """Names of some utterances of a corpus, which hold wherever the corpus lies."""
    keys = dict(zip(corpus.utterances, corpus.keys(), strict=True))
    return [keys[utterance] for utterance in utterances]


def unheard(corpus, known, *, leave_out=False):
    """Makes sure that an open-set corpus has no speaker of the training.

    Args:
        corpus: A `timbre.corpora.corpus.Corpus`.
        known: Names of the speakers trained on.
        leave_out: Leave such speakers out instead of refusing. Defaults to `False`.

    Returns:
        The corpus, or what is left of it.

    Raises:
        ValueError: If speakers of the training are in it.
    """
    known = {bare(name) for name in known}
    both = [name for name in corpus.speakers if bare(name) in known]
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
    scorings=None,
    sample_rate=16000,
    resamples=1000,
    seed=0,
):
    """Embeds a corpus by every extractor and reports how well speakers part.

    Args:
        corpus: A `timbre.corpora.corpus.Corpus`.
        extractors: Name to a function of an iterable of waveforms giving embeddings
            `[utterances, dim]`, such as `Encoder.embed_utterances` or `cepstra()`.
        protocol: `"open-set"` if no speaker was trained on, `"closed-set"` if only
            the utterances are new.
        trial_lists: `"all-pairs"`, `"deep-speaker"` or a `timbre.metrics.trials.Trials` that
            names utterances as `names` does; several in a list.
        scorings: Name to `Scoring`; each gives rows after those of its extractor,
            which are always of cosines. Defaults to none.
        sample_rate: In Hz. Defaults to `16000`.
        resamples: Of the bootstrap by speaker. Defaults to `1000`.
        seed: Of trials and bootstrap. Defaults to `0`.

    Returns:
        An `Evaluation`. A row is a report of `timbre.metrics.verification` with `corpus`,
        `extractor`, `normalise` (`"none"` for cosines) and `cohort`.

    Raises:
        ValueError: If fewer than two speakers, or no speaker with two utterances,
            are left after unusable files.
    """
    good, skipped = audible(corpus, sample_rate=sample_rate)
    speaker = np.array([u.speaker for u in good], str)
    segment = np.array(names(corpus, good), str)
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
    trials = _listed(trial_lists, segment, speaker, seed)
    told = {"protocol": protocol, "resamples": resamples, "seed": seed}
    for kind, listed in trials.items():
        for name, way in _ways(extractors, scorings or {}).items():
            scored = way.score(sets[way.extractor].embeddings, listed)
            scores[kind, name] = scored
            called = f"{corpus.name}: {name}"
            about = {"corpus": corpus.name, "extractor": name}
            about |= {"normalise": way.normalise, "cohort": way.cohort}
            report = verification.report(listed, scored, name=called, **told)
            about["note"] = "; ".join(filter(None, (report["note"], way.note)))
            rows.append(report | about)
    return Evaluation(corpus.name, protocol, sets, trials, scores, rows, skipped)


def _listed(wanted, segment, speaker, seed):
    """Kind of list to `Trials`, each of rows of these utterances."""
    trials = {}
    for one in wanted:
        if isinstance(one, Trials):
            trials[one.kind] = one.locate(segment, speaker)
        else:
            make = verification.LISTS[one]
            trials[one] = make(speaker, segments=segment, seed=seed)
    return trials


def _ways(extractors, scorings):
    """All ways to score: each extractor's cosine, then what else is asked of it."""
    ways = {}
    for name in extractors:
        ways[name] = Scoring(name, "none", cosine_scores)
        ways |= {key: way for key, way in scorings.items() if way.extractor == name}
    return ways


def calibrated(one, extractor, calibration, *, prior=0.5):
    """The evaluation with what a calibration is worth on it, in the rows of cosines.

    Args:
        one: An `Evaluation`.
        extractor: Name of the one whose cosines it was fitted for.
        calibration: A `timbre.metrics.calibration.Calibration`.
        prior: At which probabilities are judged. Defaults to `0.5`.

    Returns:
        An `Evaluation` whose rows of `extractor` have `calibration`: `prior`, `ece`
        (the expected calibration error), `cllr`, and `min_cllr`, which no calibration
        of these scores could undercut.
    """
    rows = []
    for row in one.rows:
        if row["extractor"] == extractor:
            label = one.trials[row["trial_list"]].label
            scores = one.scores[row["trial_list"], extractor]
            said = calibration.probability(scores, prior=prior)
            found = {
                "prior": prior,
                "ece": reliability.expected_calibration_error(label, said, prior=prior),
                "cllr": likelihood_ratio.cllr(label, calibration.llr(scores)),
                "min_cllr": likelihood_ratio.min_cllr(label, scores),
            }
            row = row | {"calibration": found}
        rows.append(row)
    return dataclasses.replace(one, rows=rows)
