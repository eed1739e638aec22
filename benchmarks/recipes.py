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
import os
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

SPEAKERS, UTTERANCES = 21, 3  # of a batch of pairs: as many crops as the 63 of classes
BATCH = SPEAKERS * UTTERANCES
SPEED_SECONDS = 3  # of sound in an utterance whose embedding is timed
AAM = ("--softmax.head", "aam")
PLAIN = ("--encoder.stages", "16", "32", "64")
NETWORKS = {
    "rescnn": PLAIN,
    "rescnn 4 stages": ("--encoder.stages", "16", "32", "64", "128"),
    "gru": ("--encoder.network", "gru", "--encoder.units", "96", "96"),
    "ecapa": ("--encoder.network", "ecapa", "--encoder.channels", "128"),
    "resnet": (
        *("--encoder.network", "resnet", "--encoder.first-stride", "2"),
        *("--encoder.widths", "16", "32", "64", "128"),
        *("--encoder.depths", "1", "1", "1", "1"),
    ),
}
LOSSES = {
    "softmax": ("--softmax.head", "softmax"),
    "am": ("--softmax.head", "am"),
    "aam": AAM,
    "aam, 2 centres": (*AAM, "--softmax.sub-centres", "2"),
    "triplet": ("--triplet.strategy", "semi_hard"),
    "ge2e": ("--metric.contrast", "ge2e"),
    "prototypical": ("--metric.contrast", "prototypical"),
    "supcon": ("--metric.contrast", "supcon"),
}
RECIPES = {f"{name} aam": (*network, *AAM) for name, network in NETWORKS.items()} | {
    f"rescnn {name}": (*PLAIN, *loss) for name, loss in LOSSES.items()
}


def folder_of(name, options):
    """The run of a recipe."""
    return options.work / "runs" / name.replace(" ", "-").replace(",", "")


def command(name, options):
    """The command that trains a recipe."""
    loss = next((loss for loss in LOSSES if name.endswith(loss)), "aam")
    phases = {"softmax": 0, "triplet": 0, "metric": 0}
    pairs = {"ge2e": "metric", "prototypical": "metric", "supcon": "metric"}
    phase = "triplet" if loss == "triplet" else pairs.get(loss, "softmax")
    steps = options.steps
    phases[phase] = steps
    half = str(max(2 * steps // 5, 1))
    batch = {
        "softmax": (
            *("--softmax.batch", str(BATCH), "--softmax.dropout", "0.2"),
            *("--softmax.margin-rise", "0", half),
        )
    }
    groups = ("speakers", str(SPEAKERS), "utterances", str(UTTERANCES))
    batch["triplet"] = batch["metric"] = tuple(
        f"--{phase}.{word}" if word.isalpha() else word for word in groups
    )
    optimiser = {"learning-rate": "2e-3", "final-rate": "1e-6", "warm-up": "100"}
    optimiser |= {"clip-norm": "5", "ema": "0.99"}
    return [
        *(sys.executable, str(ROOT / "train_triplet.py"), "--preset", "small-names"),
        *("--name", folder_of(name, options).name),
        *("--runs", str(options.work / "runs"), "--cache", str(options.work / "cache")),
        *("--corpus", *map(str, options.corpus)),
        *(("--exclude-speakers", *options.exclude) if options.exclude else ()),
        *("--crop-lengths", "160", "--encoder.num-blocks", "1"),
        *("--styles", str(options.styles)),
        *(word for p, n in phases.items() for word in (f"--{p}.steps", str(n))),
        *batch[phase],
        *(w for k, v in optimiser.items() for w in (f"--{phase}.optimiser.{k}", v)),
        *("--validate-every", str(steps), "--save-every", str(steps)),
        *RECIPES[name],
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
    code = (
        "import sys, time, numpy as np, tensorflow as tf\n"
        "tf.config.threading.set_intra_op_parallelism_threads(1)\n"
        "tf.config.threading.set_inter_op_parallelism_threads(1)\n"
        "from voiceemb.encoder import Encoder\n"
        "e = Encoder.load(sys.argv[1]); x = np.random.default_rng(0).normal(\n"
        f"    scale=.1, size={SPEED_SECONDS} * 16000).astype('float32')\n"
        "e.embed_utterance(x); times = []\n"
        "for _ in range(20):\n"
        "    t = time.process_time(); e.embed_utterance(x)\n"
        "    times.append(time.process_time() - t)\n"
        "print(1 / np.median(times))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout.split()[-1])


def main(arguments=None):
    """Trains what is not trained yet, then prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", nargs="+", type=Path, required=True)
    parser.add_argument("--test", nargs="+", type=Path, required=True)
    parser.add_argument("--exclude", nargs="*", default=[], help="speakers left out")
    parser.add_argument("--steps", type=int, default=600, help="of every recipe")
    parser.add_argument(
        "--styles", type=int, default=8, help="style-augmented copies of each"
    )
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
        about[name] = (size, f"{speed(folder):.0f}", f"{minutes:.1f}")
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
