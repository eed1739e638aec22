"""Open-set identification from enrolled speakers: accuracy and honest probabilities.

Half of the speakers of a corpus (or `--people`, and as many unknown ones) are enrolled,
each from one recording (`--samples`); every other recording, of them and of the other
half, is identified with an unknown prior of a half. Repeated with other random halves
(`--draws`), with four calibrations:

    encoder   the one that comes with the encoder, of two recordings
    others    of scores like these on the other corpora, each counting alike
    store     what a new store has: what scores are like in the other corpora, adapted
              to the people who are enrolled
    alike     of scores like these on a third of the speakers of the same corpus, who
              are then neither enrolled nor identified; needs six speakers

The other corpora are those of `--corpus`; `--unseen` ones are no part of anything.

"said" is the mean probability of the answers and "so" the share of them that is right,
ECE the mean distance of both over ten bins. "gate" is the share of enrolments that
would have been refused; they are enrolled all the same.

    python benchmarks/enrolment.py --corpus ../shared/data/librispeech_test_other \
        ../shared/data/vctk_excerpt ../shared/data/korean_emotiontts \
        --unseen ../shared/data/librispeech_text ../shared/data/emodb
"""

import argparse
from pathlib import Path

import numpy as np
import timing

from timbre.corpora import folders
from timbre.metrics import reliability
from timbre.metrics.calibration import LogisticCalibration
from timbre.metrics.score_adaptation import ScoreDistribution
from voiceemb import Encoder
from voiceemb.enrolment import cohort_calibration, identification
from voiceemb.enrolment.admission import admit, admitted_samples
from voiceemb.enrolment.quality import QualityThresholds
from voiceemb.enrolment.speech_embedding import SpeechEmbedder
from voiceemb.vad import detection

ROW = "{:24}{:10}{:9}{:>7.0f}{:>8.1f}{:>9.1f}{:>8.3f}{:>7.3f}{:>7.3f}"
MIN_SPEAKERS = 6  # of a corpus that can spare a third of them


def embed(corpus, embedder):
    """Speakers, qualities and embeddings of all utterances of a corpus."""
    recordings, embeddings = embedder.embed_recordings(
        [u.read() for u in corpus], QualityThresholds()
    )
    return np.array([u.speaker for u in corpus]), recordings, embeddings


def others(sets, samples):
    """A calibration on corpora, each counting alike."""
    label, scores, weights = [], [], []
    for speaker, _, embeddings in sets:
        found = identification.trials(embeddings, speaker, samples=samples)
        label.append(found[0])
        scores.append(found[1])
        weights.append(1 / np.bincount(found[0], minlength=2)[found[0].astype(int)])
    label, scores, weights = map(np.concatenate, (label, scores, weights))
    return LogisticCalibration.fit(label, scores, weights=weights)


def store(sets):
    """Function of people giving the calibration of their store, made from corpora."""
    places = {}
    for number, (speaker, _, embeddings) in enumerate(sets):
        pairs = np.triu_indices(len(speaker), 1)
        scores = (embeddings @ embeddings.T)[pairs]
        label = (speaker[:, None] == speaker)[pairs]
        parts = scores[label], scores[~label]
        places[number] = tuple(map(ScoreDistribution.from_scores, parts))

    def calibrate(people):
        samples = {name: own.embeddings for name, own in people.items()}
        return cohort_calibration.calibrate(places, samples)

    return calibrate


def alike(held, names, samples):
    """A calibration on some speakers of a corpus."""
    speaker, _, embeddings = held
    rows = np.isin(speaker, names)
    trials = identification.trials(embeddings[rows], speaker[rows], samples=samples)
    return LogisticCalibration.fit(*trials)


def fixed(calibration):
    """Function of people giving a calibration that does not look at them."""
    return lambda people: calibration


def enrol(names, held, samples, rng, calibrate):
    """People, the rows they were enrolled from, and how many the gate refused."""
    speaker, recordings, embeddings = held
    people, used, refused = {}, [], 0
    for name in names:
        rows = rng.permutation(np.flatnonzero(speaker == name))[:samples]
        given = name, [recordings[row] for row in rows], embeddings[rows], people
        options = {"calibration": calibrate(people), "thresholds": QualityThresholds()}
        refused += not admit(*given, **options).enrolled
        forced = admit(*given, **options, force=True)
        people[name] = admitted_samples(forced, embeddings[rows], {})
        used += rows.tolist()
    return people, used, refused


def answer(held, options, rng, calibrate=None):
    """Right or not, probability, whether enrolled and named, of answers of one draw.

    `calibrate` calibrates a store by its people; by default a third of all speakers do.
    """
    speaker, _, embeddings = held
    names = rng.permutation(np.unique(speaker))
    if calibrate is None:
        third, names = np.split(names, [-(-len(names) // 3)])
        calibrate = fixed(alike(held, third, options.samples))
    names = names[: options.people and 2 * options.people]
    half = names[: max(1, len(names) // 2)]
    people, used, refused = enrol(half, held, options.samples, rng, calibrate)
    gallery = identification.Gallery({n: p.embeddings for n, p in people.items()})
    calibration = calibrate(people)
    found = []
    for row in np.setdiff1d(np.flatnonzero(np.isin(speaker, names)), used):
        identity = identification.identify(
            gallery.names,
            gallery.scores(embeddings[row]),
            calibration=calibration,
            unknown_prior=options.unknown_prior,
        )
        known = speaker[row] in people
        right = identity.name == (speaker[row] if known else None)
        found.append((right, identity.probability, known, identity.name is not None))
    return np.array(found, float), refused / len(half), (len(half), len(names))


def show(name, kind, found, refused, counts):
    """Prints a row of the table."""
    right, said, known, named = found.T
    known = known.astype(bool)
    shares = 100 * np.array([refused, right[known].mean(), named[~known].mean()])
    error = calibration_error(right.astype(bool), said)
    count = f"{counts[0]:3} of {counts[1]:2}"
    print(ROW.format(name, kind, count, *shares, said.mean(), right.mean(), error))


def calibration_error(right, said):
    """ECE of answers, each counted once, also where all of them are right."""
    if right.all() or not right.any():
        return abs(right.mean() - said.mean())
    return reliability.expected_calibration_error(right, said, bins=10, prior=None)


def show_bins(name, kind, found):
    """Prints what was said against what was so, and how often."""
    right, said = found[:, 0].astype(bool), found[:, 1]
    which = np.minimum((said * 10).astype(int), 9)
    cells = [
        f"{said[which == b].mean():.2f} {right[which == b].mean():.2f} "
        f"({100 * (which == b).mean():.0f} %)"
        for b in np.unique(which)
    ]
    print(f"{name:24}{kind:10}{'   '.join(cells)}")


def kinds(held, rest, options, encoder):
    """Kind of calibration to what `answer` is to be given."""
    found = {
        "encoder": fixed(encoder.calibration),
        "others": fixed(others(rest, options.samples)),
        "store": store(rest),
    }
    alone = len(np.unique(held[0])) < MIN_SPEAKERS
    return found if alone else {**found, "alike": None}


def main():
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", nargs="+", required=True, help="two or more")
    parser.add_argument("--unseen", nargs="+", default=[], help="only measured")
    parser.add_argument("--encoder", default="small", help="name or run (small)")
    parser.add_argument(
        "--detector", default=detection.DEFAULT, choices=detection.DETECTORS
    )
    parser.add_argument("--samples", type=int, default=1, help="a person (1)")
    parser.add_argument("--people", type=int, help="enrolled at most (half of all)")
    parser.add_argument("--draws", type=int, default=20, help="(20)")
    parser.add_argument("--unknown-prior", type=float, default=0.5, help="(0.5)")
    options = parser.parse_args()
    path = Path(options.encoder)
    encoder = Encoder.load(path) if path.is_dir() else Encoder.pretrained(path.name)
    embedder = SpeechEmbedder(
        encoder, encoder.dim, detector=detection.load(options.detector)
    )
    corpora, unseen = (
        {one.name: embed(one, embedder) for one in map(folders.open_corpus, paths)}
        for paths in (options.corpus, options.unseen)
    )
    found = {}
    print(f"{options.samples} a person, {options.draws} draws, detector ", end="")
    columns = "enrolled", "gate %", "right %", "unk. n. %", "said", "so", "ECE"
    print(f"{options.detector}\n" + timing.heading(ROW, "corpus", "calibr.", *columns))
    for name, held in (corpora | unseen).items():
        rest = [corpora[other] for other in corpora if other != name]
        for kind, calibrate in kinds(held, rest, options, encoder).items():
            rng = np.random.default_rng(0)
            draws = [
                answer(held, options, rng, calibrate) for _ in range(options.draws)
            ]
            answers, refused, counts = zip(*draws, strict=True)
            found[name, kind] = np.concatenate(answers)
            show(name, kind, found[name, kind], np.mean(refused), counts[0])
    print("\nreliability: said so (share of answers)")
    for (name, kind), answers in found.items():
        show_bins(name, kind, answers)


if __name__ == "__main__":
    main()
