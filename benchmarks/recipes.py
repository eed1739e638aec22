"""Which network and which loss, from the same recordings, for the same money?

Every recipe trains on the same corpus, augmented alike, for the same
number of steps of equally many crops, by `train_triplet.py`; then every one meets the
same trials of unseen speakers, beside MFCC statistics. All networks are of
the size that two cores can teach. What stopped goes on: a recipe that has ended is
read, not trained again. EER in per cent with its 95 % interval by speakers.

    python benchmarks/recipes.py --corpus READERS --test OTHERS AND_OTHERS
    python benchmarks/recipes.py --corpus ... --test ... --only "resnet aam" --steps 200
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import timing

SPEAKERS, UTTERANCES = 21, 3  # of a batch of pairs; of classes, as many crops
SPEED_SECONDS = 3  # of sound in an utterance whose embedding is timed
AAM = "--softmax.head aam"
PLAIN = "--encoder.stages 16 32 64"
NETWORKS = {
    "rescnn": PLAIN,
    "rescnn 4 stages": f"{PLAIN} 128",
    "gru": "--encoder.network gru --encoder.units 96 96",
    "ecapa": "--encoder.network ecapa --encoder.channels 128",
    "resnet": "--encoder.network resnet --encoder.first-stride 2 "
    "--encoder.widths 16 32 64 128 --encoder.depths 1 1 1 1",
}
PHASES = ("softmax", "triplet", "metric")
LOSSES = {  # its phase and its options
    "softmax": ("softmax", "--softmax.head softmax"),
    "am": ("softmax", "--softmax.head am"),
    "aam": ("softmax", AAM),
    "aam, 2 centres": ("softmax", f"{AAM} --softmax.sub-centres 2"),
    "triplet": ("triplet", "--triplet.strategy semi_hard"),
    "ge2e": ("metric", "--metric.contrast ge2e"),
    "prototypical": ("metric", "--metric.contrast prototypical"),
    "supcon": ("metric", "--metric.contrast supcon"),
}
RECIPES = {f"{n} aam": ("softmax", f"{words} {AAM}") for n, words in NETWORKS.items()}
RECIPES |= {f"rescnn {n}": (phase, f"{PLAIN} {w}") for n, (phase, w) in LOSSES.items()}


def folder_of(name, options):
    """The run of a recipe."""
    return options.work / "runs" / name.replace(" ", "-").replace(",", "")


def command(name, options):
    """The command that trains a recipe."""
    (phase, recipe), steps, work = RECIPES[name], options.steps, options.work
    batch = f"--{phase}.speakers {SPEAKERS} --{phase}.utterances {UTTERANCES}"
    if phase == "softmax":
        batch = f"--softmax.batch {SPEAKERS * UTTERANCES} --softmax.dropout 0.2 "
        batch += f"--softmax.margin-rise 0 {max(2 * steps // 5, 1)}"
    words = f"""
        --preset small-names --name {folder_of(name, options).name}
        --crop-lengths 160 --encoder.num-blocks 1 --styles {options.styles}
        {" ".join(f"--{p}.steps {steps * (p == phase)}" for p in PHASES)} {batch}
        --{phase}.optimiser.learning-rate 2e-3 --{phase}.optimiser.final-rate 1e-6
        --{phase}.optimiser.warm-up 100 --{phase}.optimiser.clip-norm 5
        --{phase}.optimiser.ema 0.99 --validate-every {steps} --save-every {steps}
        {recipe} --runs"""
    return [
        *(sys.executable, timing.ROOT / "train_triplet.py", *words.split()),
        *(work / "runs", "--cache", work / "cache", "--corpus", *options.corpus),
        *(("--exclude-speakers", *options.exclude) if options.exclude else ()),
    ]


def train(name, options):
    """Trains a recipe, or finds it trained; returns its folder and the minutes."""
    folder = folder_of(name, options)
    clock = folder / "minutes.json"
    if not clock.is_file():
        start = time.perf_counter()
        subprocess.run(command(name, options), check=True, stdout=sys.stderr)
        clock.write_text(json.dumps((time.perf_counter() - start) / 60))
    return folder, json.loads(clock.read_text())


def speed(folder):
    """Utterances of three seconds a second, on one core, one after another."""
    import numpy as np

    from voiceemb.encoder import Encoder

    timing.limit_threads(1)
    encoder, rng = Encoder.load(folder), np.random.default_rng(0)
    x = rng.normal(scale=0.1, size=SPEED_SECONDS * 16000).astype("float32")
    calls = [timing.seconds_of(encoder.embed_utterance, x) for _ in range(21)]
    return 1 / statistics.median(cpu for *_, cpu in calls[1:])  # the first one traces


def main(arguments=None):
    """Trains what is not trained yet, then prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", nargs="+", type=Path, required=True)
    parser.add_argument("--test", nargs="+", type=Path, required=True)
    parser.add_argument("--exclude", nargs="*", default=[], help="speakers left out")
    parser.add_argument("--steps", type=int, default=600, help="of every recipe")
    parser.add_argument("--styles", type=int, default=8, help="copies in other styles")
    parser.add_argument("--only", nargs="+", choices=list(RECIPES), default=[])
    parser.add_argument("--work", type=Path, default=Path("recipes"))
    options = parser.parse_args(arguments)
    options.work = options.work.resolve()

    from timbre.corpora import folders
    from voiceemb import evaluate
    from voiceemb.encoder import Encoder

    tests = [folders.open_corpus(path) for path in options.test]
    found, about = {}, {}
    for name in options.only or RECIPES:
        folder, minutes = train(name, options)
        encoder = Encoder.load(folder)
        size = f"{encoder.about['parameters']:,}"
        about[name] = (size, f"{timing.run_apart(speed, folder):.0f}", f"{minutes:.1f}")
        found[name] = encoder.embed_utterances
    found[evaluate.BASELINE] = evaluate.mfcc_extractor()
    about[evaluate.BASELINE] = ("0", "", "")
    cells = {name: [] for name in found}
    for corpus in tests:
        one = evaluate.evaluate(corpus, found, resamples=1000)
        for name in found:
            row = one.row(name)
            low, high = (100 * bound for bound in row["eer_interval"])
            cells[name].append(f"{100 * row['eer']:.1f} ({low:.1f}-{high:.1f})")
    heads = ["recipe", "parameters", "utt/s", "min", *(c.name for c in tests)]
    print("| " + " | ".join(heads) + " |\n" + "| --- " * len(heads) + "|")
    for name in found:
        print("| " + " | ".join([name, *about[name], *cells[name]]) + " |")


if __name__ == "__main__":
    main()
