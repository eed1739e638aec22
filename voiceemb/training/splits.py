"""Splits of a corpus: training, validation, test and closed-set utterances.

Speakers are split into those an encoder trains on, those whose EER selects the weights
(validation), and those of the final test (open-set). Some utterances of the training
speakers are held out as well (closed-set). A corpus too small to hold out speakers is
validated on such utterances alone, and every report says so.
"""

import dataclasses

from timbre.corpora import splits
from timbre.corpora.corpus import Corpus, corpus_of, some

PARTS = ("train", "validation", "test", "closed")
MIN_HELD_OUT = 2  # speakers; fewer make no different pair


@dataclasses.dataclass(frozen=True)
class SpeakerSplits:
    """Splits of a corpus; one that can not be had is `None`.

    Args:
        train: Utterances to learn from.
        validation: Utterances whose EER chooses the weights.
        test: Utterances of speakers who are in neither.
        closed: Utterances of training speakers kept from training.
        protocol: Of `validation`: `"open-set"`, or `"closed-set"` if it is `closed`.
    """

    train: Corpus
    validation: Corpus | None
    test: Corpus | None
    closed: Corpus | None
    protocol: str

    def facts(self, *, sounds):
        """Speakers and digest of each split, for `Run.lock_data`.

        Args:
            sounds: SHA-256 of all that is cached of the corpus, in hex.
        """
        parts = {name: getattr(self, name) for name in PARTS}
        parts = {name: part for name, part in parts.items() if part}
        digests = {name: part.digest() for name, part in parts.items()}
        return {
            "speakers": {name: list(part.speakers) for name, part in parts.items()},
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
    """Split a corpus by speakers, then its training part by utterances.

    Weights selected on the corpora one trains on are selected for those:
    `held_out_corpora` are used in validation alone, as other microphones and other
    people will be. No other speaker is then used to select weights.

    No part but the training part gets more than a fifth of the speakers; if that is
    fewer than two, no speaker is held out at all. Utterances are kept back only of
    speakers who have at least four.

    Args:
        corpus: A `timbre.corpora.corpus.Corpus`.
        validation, test: Speakers wanted in each; none of them with `0`.
        closed_set_share: Share of the training speakers' utterances to keep back.
        held_out_corpora: Joined corpora whose speakers all go to validation.
        groups: A column of the manifest; speakers who share its value stay together,
            see `splits.split_by_speaker`.
        seed: Another seed gives another split.

    Returns:
        `SpeakerSplits`.

    Raises:
        ValueError: If fewer than two speakers have two utterances each, or there is
            no corpus of a name in `held_out_corpora`.
    """
    train, held, final = splits.filter_speakers(corpus), None, None
    if held_out_corpora:
        train, held = _hold_out(train, held_out_corpora)
        few = min(test, len(train.speakers) // 5)
        if few >= MIN_HELD_OUT:
            train, final = splits.split_by_speaker(
                train, counts=[None, few], seed=seed, groups=groups
            )
        train, closed = _keep_back(train, closed_set_share, seed)
        return SpeakerSplits(train, held, final, closed, "open-set")
    fifth = len(train.speakers) // 5
    sizes = [min(wanted, fifth) for wanted in (validation, test) if wanted]
    if sizes and min(sizes) >= MIN_HELD_OUT:
        train, *others = splits.split_by_speaker(
            train, counts=[None, *sizes], seed=seed, groups=groups
        )
        held = others.pop(0) if validation else None
        final = others.pop(0) if test else None
    train, closed = _keep_back(train, closed_set_share, seed)
    if held is None:
        return SpeakerSplits(train, closed, final, closed, "closed-set")
    return SpeakerSplits(train, held, final, closed, "open-set")


def _keep_back(corpus, share, seed):
    """Parts off two or more utterances of every speaker who has four or more."""
    groups = corpus.by_speaker()
    rich = [name for name, group in groups.items() if len(group) >= 4]
    if len(rich) < 2 or not share:
        return corpus, None
    fewest = min(len(groups[name]) for name in rich)
    _, closed = splits.split_by_utterance(
        corpus.subset(rich), max(share, 2 / fewest), seed=seed
    )
    held = set(closed.utterances)
    train = tuple(u for u in corpus if u not in held)
    return dataclasses.replace(corpus, utterances=train), closed


def _hold_out(corpus, names):
    """The corpus without some of those it was joined of, and those."""
    found = {corpus_of(speaker) for speaker in corpus.speakers}
    if not set(names) < found:
        raise ValueError(
            "Held-out corpora must be some, not all, of those joined: "
            f"{some(sorted(found))}. Received: {some(sorted(names))}"
        )
    held = [name for name in corpus.speakers if corpus_of(name) in names]
    left = [name for name in corpus.speakers if corpus_of(name) not in names]
    return corpus.subset(left), corpus.subset(held)
