"""Who learns and who is held out: a corpus divided into parts that never mix.

Speakers fall into three parts: those an encoder trains on, those whose EER chooses the
best weights, and those kept for the final test. Of the training speakers some
utterances are kept back as well, for the closed-set figure. A corpus too small to spare
speakers is judged on such utterances alone, and every print says so.
"""

import dataclasses
import json

from corpora import splits
from corpora.corpus import Corpus, some

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


def divide(corpus, *, validation, test, closed_share, kin=None, seed=0):
    """Divides a corpus by speakers, then its training part by utterances.

    No part but the training part gets more than a fifth of the speakers; if that is
    fewer than two, no speaker is held out at all. Utterances are kept back only of
    speakers who have at least four.

    Args:
        corpus: A `corpora.corpus.Corpus`.
        validation, test: Speakers wanted in each.
        closed_share: Share of the training speakers' utterances to keep back.
        kin: A column of the manifest; speakers who share its value stay together, see
            `splits.split_by_speaker`. A corpus without the column has no kin.
        seed: Another seed draws another division.

    Returns:
        `Parts`.

    Raises:
        ValueError: If fewer than two speakers have two utterances each.
    """
    train, held, final = splits.check(corpus), None, None
    fifth = len(train.speakers) // 5
    sizes = [min(validation, fifth), min(test, fifth)]
    if min(sizes) >= LEAST_HELD_OUT:
        train, held, final = splits.split_by_speaker(
            train, counts=[None, *sizes], seed=seed, kin=kin
        )
    train, closed = _keep_back(train, closed_share, seed)
    if held is None:
        return Parts(train, closed, None, closed, "closed-set")
    return Parts(train, held, final, closed, "open-set")


def without(corpus, exclude):
    """The corpus without some speakers.

    Args:
        corpus: A `corpora.corpus.Corpus`.
        exclude: Their names; a name without a corpus before it means the speakers of
            that name in every corpus joined.

    Raises:
        ValueError: If a speaker to leave out does not speak, or fewer than two remain.
    """
    exclude = set(exclude)
    unknown = sorted(exclude - {*corpus.speakers, *map(bare, corpus.speakers)})
    if unknown:
        raise ValueError(
            f"Speakers to exclude must speak in corpus {corpus.name!r}. "
            f"Received: {some(unknown)}"
        )
    left = [name for name in corpus.speakers if not {name, bare(name)} & exclude]
    if exclude and len(left) < 2:
        raise ValueError(
            "Speakers to exclude must leave two others. Received: "
            f"{len(corpus.speakers)} speakers in {corpus.name!r}, of whom "
            f"{some(sorted(exclude))} leave {len(left)}"
        )
    return corpus.subset(left)


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


def remember(parts, run):
    """Writes who is in each part; a run never goes on with other utterances.

    Args:
        parts: `Parts`.
        run: The run, a `training.run.Run`.

    Raises:
        ValueError: If the run began with other utterances.
    """
    path, about = run.folder / "speakers.json", parts.about()
    if path.is_file():
        began = json.loads(path.read_text("utf-8"))["digests"]
        changed = [
            name for name in PARTS if began.get(name) != about["digests"].get(name)
        ]
        if changed:
            raise ValueError(
                "A run goes on with the utterances it began with: start afresh "
                "(--fresh) or under another name (--name). Received: "
                f"{parts.train.name!r}, whose parts changed: {', '.join(changed)}"
            )
    run.write_json(path.name, about)


def bare(speaker):
    """A speaker's name without the corpus that joining puts before it."""
    return speaker.rpartition("/")[2]
