"""Who learns and who is held out: a corpus divided into parts that never mix.

Speakers fall into three parts: those an encoder trains on, those whose EER chooses the
best weights, and those kept for the final test. Of the training speakers some
utterances are kept back as well, for the closed-set figure. A corpus too small to spare
speakers is judged on such utterances alone, and every print says so.
"""

import dataclasses
import json

from timbre.corpora import splits
from timbre.corpora.corpus import Corpus, corpus_of, some

PARTS = ("train", "validation", "test", "closed")
LEAST_HELD_OUT = 2  # speakers; fewer make no different pair


@dataclasses.dataclass(frozen=True)
class Parts:
    """A corpus, divided; a part that can not be had is `None`.

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

    def about(self):
        """Who is in each part, and the digest of its rows, ready for JSON."""
        parts = {name: getattr(self, name) for name in PARTS}
        parts = {name: part for name, part in parts.items() if part}
        return {
            "speakers": {name: list(part.speakers) for name, part in parts.items()},
            "digests": {name: part.digest() for name, part in parts.items()},
        }


def divide(corpus, *, validation, test, closed_share, apart=(), kin=None, seed=0):
    """Divides a corpus by speakers, then its training part by utterances.

    Weights chosen on the corpora one trains on are chosen for those: `apart` names
    corpora that are heard in validation alone, as other microphones and other people
    will be. No other speaker is then used to choose.

    No part but the training part gets more than a fifth of the speakers; if that is
    fewer than two, no speaker is held out at all. Utterances are kept back only of
    speakers who have at least four.

    Args:
        corpus: A `timbre.corpora.corpus.Corpus`.
        validation, test: Speakers wanted in each; none of them with `0`.
        closed_share: Share of the training speakers' utterances to keep back.
        apart: Names of joined corpora whose speakers all go to validation.
        kin: A column of the manifest; speakers who share its value stay together, see
            `splits.split_by_speaker`. A corpus without the column has no kin.
        seed: Another seed draws another division.

    Returns:
        `Parts`.

    Raises:
        ValueError: If fewer than two speakers have two utterances each, or there is
            no corpus of a name in `apart`.
    """
    train, held, final = splits.filter_speakers(corpus), None, None
    if apart:
        train, held = _apart(train, apart)
        few = min(test, len(train.speakers) // 5)
        if few >= LEAST_HELD_OUT:
            train, final = splits.split_by_speaker(
                train, counts=[None, few], seed=seed, groups=kin
            )
        train, closed = _keep_back(train, closed_share, seed)
        return Parts(train, held, final, closed, "open-set")
    fifth = len(train.speakers) // 5
    sizes = [min(wanted, fifth) for wanted in (validation, test) if wanted]
    if sizes and min(sizes) >= LEAST_HELD_OUT:
        train, *others = splits.split_by_speaker(
            train, counts=[None, *sizes], seed=seed, groups=kin
        )
        held = others.pop(0) if validation else None
        final = others.pop(0) if test else None
    train, closed = _keep_back(train, closed_share, seed)
    if held is None:
        return Parts(train, closed, final, closed, "closed-set")
    return Parts(train, held, final, closed, "open-set")


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


def remember(parts, run, *, sounds=None):
    """Writes who is in each part; a run never goes on with other utterances.

    Args:
        parts: `Parts`.
        run: The run, a `timbre.training.run.Run`.
        sounds: SHA-256 of what was cached, see `voiceemb.data.Data`. Defaults to
            nothing known.

    Raises:
        ValueError: If the run began with other utterances or other sounds.
    """
    path = run.folder / "speakers.json"
    about = parts.about() | {"sounds_sha256": sounds}
    if path.is_file():
        began = json.loads(path.read_text("utf-8"))
        changed = [
            name
            for name in PARTS
            if began["digests"].get(name) != about["digests"].get(name)
        ]
        if sounds and began.get("sounds_sha256") not in (None, sounds):
            changed.append("sounds")
        if changed:
            raise ValueError(
                "A run goes on with the utterances it began with: start afresh "
                "(--fresh) or under another name (--name). Received: "
                f"{parts.train.name!r}, where these changed: {', '.join(changed)}"
            )
    run.write_json(path.name, about)


def _apart(corpus, names):
    """The corpus without some of those it was joined of, and those."""
    found = {corpus_of(speaker) for speaker in corpus.speakers}
    if not set(names) < found:
        raise ValueError(
            "Corpora held apart must be some, not all, of those joined: "
            f"{some(sorted(found))}. Received: {some(sorted(names))}"
        )
    held = [name for name in corpus.speakers if corpus_of(name) in names]
    left = [name for name in corpus.speakers if corpus_of(name) not in names]
    return corpus.subset(left), corpus.subset(held)
