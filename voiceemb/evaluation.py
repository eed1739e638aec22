"""Evaluation: what an encoder is worth on speakers it has never heard.

Every corpus is embedded by the encoder and by whatever it is compared with, on the
same utterances and the same trials, so that a figure never stands alone.
"""

import dataclasses
import sys

import numpy as np

from audio import wave
from corpora.corpus import some
from metrics import verification
from voiceemb import baseline
from voiceemb.embeddings import EmbeddingSet
from voiceemb.encoder import LEAST_S
from voiceemb.parts import bare

BASELINE = "MFCC statistics"


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """One corpus seen by several extractors.

    Args:
        corpus: Name of the corpus.
        protocol: `"open-set"` or `"closed-set"`.
        sets: Extractor name to `EmbeddingSet`, all of the same utterances.
        trials: Trial list name to `metrics.verification.Trials`.
        scores: `(trial list, extractor)` to cosines, float `[trials]`.
        rows: One report a pair of trial list and extractor.
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


def cepstra(sample_rate=16000):
    """The baseline as an extractor: `cepstral_statistics`, standardised together."""

    def extract(waveforms):
        statistics = [
            baseline.cepstral_statistics(waveform, sample_rate=sample_rate)
            for waveform in waveforms
        ]
        return baseline.standardise(np.stack(statistics))

    return extract


def usable(corpus, *, sample_rate=16000):
    """Parts a corpus into utterances that can be read and those that can not.

    Returns:
        The list of usable utterances, and a dict of path to reason for the others.
    """
    good, skipped = [], {}
    for utterance in corpus:
        try:
            waveform = read(utterance, sample_rate=sample_rate)
            if len(waveform) < LEAST_S * sample_rate:
                raise wave.AudioError(utterance.path, f"shorter than {LEAST_S} s")
            good.append(utterance)
        except (wave.AudioError, OSError) as error:
            skipped[str(utterance.path)] = str(error)
    return good, skipped


def read(utterance, *, sample_rate=16000):
    """The waveform of an utterance, float32 `[samples]`."""
    return wave.read(
        utterance.path,
        sample_rate=sample_rate,
        start_s=utterance.start or 0.0,
        end_s=utterance.end,
    )


def names(corpus, utterances):
    """Names of some utterances of a corpus, which hold wherever the corpus lies."""
    keys = dict(zip(corpus.utterances, corpus.keys(), strict=True))
    return [keys[utterance] for utterance in utterances]


def unheard(corpus, known, *, leave_out=False):
    """Makes sure that an open-set corpus has no speaker of the training.

    Args:
        corpus: A `corpora.corpus.Corpus`.
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
    sample_rate=16000,
    resamples=1000,
    seed=0,
):
    """Embeds a corpus by every extractor and reports how well speakers part.

    Args:
        corpus: A `corpora.corpus.Corpus`.
        extractors: Name to a function of an iterable of waveforms giving embeddings
            `[utterances, dim]`, such as `Encoder.embed_utterances` or `cepstra()`.
        protocol: `"open-set"` if no speaker was trained on, `"closed-set"` if only
            the utterances are new.
        trial_lists: `"all-pairs"`, `"deep-speaker"` or a `metrics.trials.Trials` that
            names utterances as `names` does; several in a list.
        sample_rate: In Hz. Defaults to `16000`.
        resamples: Of the bootstrap by speaker. Defaults to `1000`.
        seed: Of trials and bootstrap. Defaults to `0`.

    Returns:
        An `Evaluation`.

    Raises:
        ValueError: If fewer than two speakers, or no speaker with two utterances,
            are left after unusable files.
    """
    good, skipped = usable(corpus, sample_rate=sample_rate)
    if skipped:
        print(
            f"{corpus.name}: {len(skipped)} of {len(corpus)} utterances can not be "
            f"used, for instance {next(iter(skipped.values()))}",
            file=sys.stderr,
        )
    speaker = np.array([u.speaker for u in good], str)
    segment = np.array(names(corpus, good), str)
    _, counts = np.unique(speaker, return_counts=True)
    if len(counts) < 2 or counts.max() < 2:
        raise ValueError(
            "An evaluation needs at least two speakers and one of them twice. "
            f"Received: {len(good)} usable utterances of {len(counts)} speakers "
            f"in {corpus.name!r}"
        )
    sets, trials, scores, rows = {}, {}, {}, []
    for name, extract in extractors.items():
        embeddings = extract(read(u, sample_rate=sample_rate) for u in good)
        sets[name] = EmbeddingSet(embeddings, speaker, segment, {"extractor": name})
    for wanted in trial_lists:
        if isinstance(wanted, verification.Trials):
            kind, listed = wanted.kind, wanted.locate(segment, speaker)
        else:
            make = verification.LISTS[wanted]
            kind, listed = wanted, make(speaker, segments=segment, seed=seed)
        trials[kind] = listed
        for name, voices in sets.items():
            cosines = verification.cosine_scores(voices.embeddings, trials[kind])
            scores[kind, name] = cosines
            report = verification.report(
                trials[kind],
                cosines,
                protocol=protocol,
                name=f"{corpus.name}: {name}",
                resamples=resamples,
                seed=seed,
            )
            rows.append({**report, "corpus": corpus.name, "extractor": name})
    return Evaluation(corpus.name, protocol, sets, trials, scores, rows, skipped)
