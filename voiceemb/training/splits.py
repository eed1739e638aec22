"""Splits of a corpus: training, validation, test and closed-set utterances.

Speakers are split into those an encoder trains on, those whose EER selects the weights
(validation), and those of the final test (open-set). Some utterances of the training
speakers are held out as well (closed-set); they validate a corpus too small to hold out
speakers, and every report says so.
"""

import dataclasses

from timbre.corpora import splits
from timbre.corpora.corpus import Corpus, corpus_of, some

MIN_HELD_OUT = 2  # speakers; fewer make no different pair


@dataclasses.dataclass(frozen=True)
class SpeakerSplits:
    """Splits of a corpus; one that can not be had is `None`.

    Args:
        train: Utterances to learn from.
        validation: Utterances whose EER chooses the weights.
        test: Utterances of speakers who are in neither.
        closed_set: Utterances of training speakers kept from training.
        protocol: Of `validation`: `"open-set"`, or `"closed-set"` if it is
            `closed_set`.
    """

    train: Corpus
    validation: Corpus | None
    test: Corpus | None
    closed_set: Corpus | None
    protocol: str

    def facts(self, *, sounds):
        """Speakers and digest of each split, for `Run.lock_data`.

        Args:
            sounds: SHA-256 of all that is cached of the corpus, in hex.
        """
        subsets = {
            "train": self.train,
            "validation": self.validation,
            "test": self.test,
            "closed": self.closed_set,
        }
        subsets = {name: subset for name, subset in subsets.items() if subset}
        digests = {name: subset.digest() for name, subset in subsets.items()}
        return {
            "speakers": {name: list(s.speakers) for name, s in subsets.items()},
            "sha256": {**digests, "sounds": sounds},
        }


def split(
    corpus,
    *,
    validation,
    test,
    closed_set_share,
    held_out_corpora=(),
    groups=None,
    seed=0,
):
    """`SpeakerSplits` of a corpus: by speakers, then the training's by utterances.

    Weights selected on the corpora one trains on are selected for those: with
    `held_out_corpora` these alone select weights, as other microphones and people will.

    Validation and test get at most a fifth of the speakers each, or none if that is
    fewer than two. Utterances are kept back only of speakers who have at least four.

    Args:
        corpus: A `timbre.corpora.corpus.Corpus`.
        validation, test: Speakers wanted in each; none of them with `0`.
        closed_set_share: Share of the training speakers' utterances to keep back.
        held_out_corpora: Joined corpora whose speakers all go to validation.
        groups: A column of the manifest; speakers who share its value stay together.
        seed: Another seed gives another split.

    Raises:
        ValueError: If fewer than two speakers have two utterances each, or there is
            no corpus of a name in `held_out_corpora`.
    """
    train, held_out, final = splits.filter_speakers(corpus), None, None
    if held_out_corpora:
        train, held_out = _hold_out_corpora(train, held_out_corpora)
        validation = 0
    fifth = len(train.speakers) // 5
    sizes = [min(wanted, fifth) for wanted in (validation, test) if wanted]
    if sizes and min(sizes) >= MIN_HELD_OUT:
        train, *others = splits.split_by_speaker(
            train, counts=[None, *sizes], seed=seed, groups=groups
        )
        held_out = others.pop(0) if validation else held_out
        final = others.pop(0) if test else None
    train, closed_set = _hold_out_utterances(train, closed_set_share, seed)
    if held_out is None:
        return SpeakerSplits(train, closed_set, final, closed_set, "closed-set")
    return SpeakerSplits(train, held_out, final, closed_set, "open-set")


def _hold_out_utterances(corpus, share, seed):
    """Holds out two or more utterances of every speaker who has four or more."""
    by_speaker = corpus.by_speaker()
    rich = [name for name, own in by_speaker.items() if len(own) >= 4]
    if len(rich) < 2 or not share:
        return corpus, None
    fewest = min(len(by_speaker[name]) for name in rich)
    _, closed_set = splits.split_by_utterance(
        corpus.subset(rich), max(share, 2 / fewest), seed=seed
    )
    held_out = set(closed_set.utterances)
    train = tuple(u for u in corpus if u not in held_out)
    return dataclasses.replace(corpus, utterances=train), closed_set


def _hold_out_corpora(corpus, names):
    """The corpus without some of those it was joined of, and those."""
    joined = {corpus_of(speaker) for speaker in corpus.speakers}
    if not set(names) < joined:
        raise ValueError(
            "Held-out corpora must be some, not all, of those joined: "
            f"{some(sorted(joined))}. Received: {some(sorted(names))}"
        )
    held_out = [name for name in corpus.speakers if corpus_of(name) in names]
    left = [name for name in corpus.speakers if corpus_of(name) not in names]
    return corpus.subset(left), corpus.subset(held_out)
