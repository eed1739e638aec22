"""How fast do recordings become embeddings, next to Resemblyzer?

Both read the same files of 3 s of speech and embed each of them, on one core, in
turns; speed is the median of several runs. The networks are not the same: ours are a
residual convolutional network in two sizes, untrained (the numbers in the weights do
not change the speed), Resemblyzer's is a trained LSTM of three layers, and their sizes
are printed. So the figures compare what a user waits for, not the quality of the code.

"files" begins with the file. There Resemblyzer's `preprocess_wav` also cuts out
silence, as its documentation asks for. "waveforms" begins with the samples in memory
and is the network and its features alone.

    python benchmarks/embedding.py                          # installs the peer for this
    python benchmarks/embedding.py --peer-venv ../peer      # keeps it for the next time
    python benchmarks/embedding.py --quick --no-peer

The peer gets a virtual environment of its own, since it needs PyTorch, about 1 GB.
"""

import argparse
import dataclasses
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from timing import (
    THREADS,
    PeerProcess,
    Timings,
    limit_threads,
    seconds_of,
    use_one_core,
)

os.environ.update(dict.fromkeys(THREADS, "1"))

SECONDS = 3
SAMPLE_RATE = 16000
CROP = 160  # frames of a window, 1.6 s, as the peer's
KINDS = ("files", "waveforms")
PEER = "Resemblyzer"
REQUIREMENTS = (
    "resemblyzer==0.1.4",
    "torch==2.13.0",  # one version, so that a build for processors can be offered
    "setuptools<81",  # webrtcvad imports pkg_resources, which later ones do not have
    "scipy<2",  # resemblyzer imports scipy.ndimage.morphology, which 2 will not have
)
PEER_WORK = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
import librosa, torch
from resemblyzer import VoiceEncoder, preprocess_wav

torch.set_num_threads(1)
encoder = VoiceEncoder("cpu", verbose=False)
files = sys.argv[1:]
waveforms = [librosa.load(file, sr=None)[0] for file in files]
runs = {
    "files": lambda: [encoder.embed_utterance(preprocess_wav(f)) for f in files],
    "waveforms": lambda: [encoder.embed_utterance(w) for w in waveforms],
}
parameters = sum(p.numel() for p in encoder.parameters())
print(json.dumps({"parameters": parameters, "dim": encoder.linear.out_features}))
sys.stdout.flush()
for line in sys.stdin:
    wall, cpu = time.perf_counter(), time.process_time()
    runs[json.loads(line)[0]]()
    print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]))
    sys.stdout.flush()
"""


class Ours:
    """An untrained encoder of ours, in this process."""

    def __init__(self, network, files):
        from timbre.audio import wave
        from voiceemb import Encoder
        from voiceemb.inference import crop_samples
        from voiceemb.networks import speaker_encoder

        model = speaker_encoder.build(**dataclasses.asdict(network))
        window = crop_samples(model.filterbank, CROP)
        self.encoder = Encoder.from_model(model, window=window)
        self.sources = {"files": files, "waveforms": [wave.read(f) for f in files]}
        self.parameters, self.dim = model.count_params(), model.embedding_dim

    def time(self, kind):
        """Wall and processor seconds of embedding all utterances."""
        return seconds_of(self.encoder.embed_utterances, self.sources[kind])[1:]


class Peer(PeerProcess):
    """Resemblyzer in a process of its own, which waits while ours is measured."""

    def __init__(self, python, files):
        super().__init__(python, "-c", PEER_WORK, *files)
        self.parameters, self.dim = self.about["parameters"], self.about["dim"]

    def time(self, kind):
        """Wall and processor seconds of embedding all utterances."""
        return self.ask(kind)


def install(folder):
    """Python of the peer's environment in a folder, made if it is not there.

    Raises:
        OSError: If it can not be installed; says why.
    """
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    commands = [
        [sys.executable, "-m", "venv", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", *REQUIREMENTS],
    ]
    check = [str(python), "-W", "ignore", "-c", "import resemblyzer"]
    if python.exists() and not subprocess.run(check, capture_output=True).returncode:
        return str(python)
    print(f"Installing {PEER} into {folder} ...", file=sys.stderr)
    for command in (*commands, check):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            reasons = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
            raise OSError(reasons[-1])
    return str(python)


def prepare(folder, corpus, num):
    """Files of exactly three seconds, made of recordings that follow one another."""
    import numpy as np

    from timbre.audio import wave
    from timbre.corpora import folders
    from timbre.corpora.synthetic.render import render

    if corpus:
        corpus = folders.open_corpus(corpus)
    else:
        corpus = render(folder / "voices", num_speakers=16, utterances=4)
    files = []
    for n, utterance in enumerate(corpus.utterances[:num]):
        waveform = utterance.read(sample_rate=SAMPLE_RATE)
        files.append(folder / f"{n:04}.wav")
        wave.write(files[-1], np.resize(waveform, SECONDS * SAMPLE_RATE).clip(-1, 1))
    return files


def measure(sides, runs):
    """Medians of wall and processor seconds, `{(name, kind): [2]}`, run in turns."""
    times = {(name, kind): Timings() for name in sides for kind in KINDS}
    for run in range(runs + 1):
        for (name, kind), timings in times.items():
            seconds = sides[name].time(kind)
            if run:  # the first one traces graphs and compiles
                timings.add(*seconds)
    return {key: timings.medians for key, timings in times.items()}


def report(sides, medians, num):
    """Print a row for each network and kind."""
    print(
        f"{'':<14}{'parameters':>12}{'dim':>5}  {'from':<10}{'utt./s':>8}"
        f"{'utt./CPU s':>12}{'x real time':>13}{'CPU, peer / it':>16}"
    )
    for kind in KINDS:
        for name, side in sides.items():
            wall, cpu = medians[name, kind]
            ratio = f"{medians[PEER, kind][1] / cpu:.2f}" if PEER in sides else "-"
            print(
                f"{name:<14}{side.parameters:>12,}{side.dim:>5}  {kind:<10}"
                f"{num / wall:>8.1f}{num / cpu:>12.1f}{SECONDS * num / cpu:>13.0f}"
                f"{ratio:>16}"
            )


def open_sides(folder, files, options):
    """Our two encoders and the peer, if it can be had."""
    from voiceemb.config import EncoderNetworkConfig
    from voiceemb.presets import PRESETS

    limit_threads(1)
    sides = {
        "ours, tiny": Ours(PRESETS["tiny"].encoder, files),
        "ours, simple": Ours(EncoderNetworkConfig(), files),
    }
    if not options.no_peer:
        try:
            place = Path(options.peer_venv or folder / "peer").resolve()
            sides[PEER] = Peer(install(place), files)
        except OSError as error:
            print(f"{PEER} is not compared, as it can not be had: {error}")
    return sides


def main():
    """Prepare the files, measure all sides and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", help="folder or manifest; default: synthetic")
    parser.add_argument("--files", type=int, default=64, help="at most (64)")
    parser.add_argument("--runs", type=int, default=5, help="of each (5)")
    parser.add_argument("--peer-venv", help="the peer's environment, kept for reuse")
    parser.add_argument("--no-peer", action="store_true", help="ours only")
    parser.add_argument("--quick", action="store_true", help="16 files, one run")
    options = parser.parse_args()
    num, runs = (16, 1) if options.quick else (options.files, options.runs)
    with tempfile.TemporaryDirectory() as folder:
        files = prepare(Path(folder), options.corpus, num)
        use_one_core()
        sides = open_sides(Path(folder), files, options)
        try:
            print(f"{len(files)} files of {SECONDS} s, one core, median of {runs} runs")
            report(sides, measure(sides, runs), len(files))
        finally:
            if PEER in sides:
                sides[PEER].__exit__()


if __name__ == "__main__":
    main()
