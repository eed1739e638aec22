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
import contextlib
import dataclasses
import functools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import timing

timing.limit_blas(1)

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
ROW = "{:<14}{:>12,}{:>5}  {:<10}{:>8.1f}{:>12.1f}{:>13.0f}{:>16}"


def build(network, files):
    """An untrained encoder of ours: its size, and a function of a kind to time."""
    from timbre.audio import wave
    from voiceemb import Encoder
    from voiceemb.inference import crop_samples
    from voiceemb.networks import speaker_encoder

    model = speaker_encoder.build(**dataclasses.asdict(network))
    window = crop_samples(model.filterbank, CROP)
    encoder = Encoder.from_model(model, window=window)
    sources = {"files": files, "waveforms": [wave.read(file) for file in files]}

    def embed(kind):
        return timing.seconds_of(encoder.embed_utterances, sources[kind])

    return (model.count_params(), model.embedding_dim), embed


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


def report(sides, times, num):
    """Print a row for each network and kind."""
    columns = "utt./s", "utt./CPU s", "x real time", "CPU, peer / it"
    print(timing.heading(ROW, "", "parameters", "dim", "from", *columns))
    medians = {key: timing.medians(rows) for key, rows in times.items()}
    for (kind, name), (wall, cpu) in medians.items():
        ratio = f"{medians[kind, PEER][1] / cpu:.2f}" if PEER in sides else "-"
        speeds = num / wall, num / cpu, SECONDS * num / cpu
        print(ROW.format(name, *sides[name][0], kind, *speeds, ratio))


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
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        files = prepare(Path(folder), options.corpus, num)
        timing.use_one_core()

        from voiceemb.config import EncoderNetworkConfig
        from voiceemb.presets import PRESETS

        timing.limit_threads(1)
        sides = {
            "ours, tiny": build(PRESETS["tiny"].encoder, files),
            "ours, simple": build(EncoderNetworkConfig(), files),
        }
        if not options.no_peer:
            place = Path(options.peer_venv or f"{folder}/peer").resolve()
            try:
                command = install(place), "embedding_peer.py", *files
                peer = timing.PeerProcess(*command, threads=1)
                sides[PEER] = stack.enter_context(peer).about, peer.ask
            except OSError as error:
                print(f"{PEER} is not compared, as it can not be had: {error}")
        print(f"{len(files)} files of {SECONDS} s, one core, median of {runs} runs")
        calls = {
            (kind, name): functools.partial(call, kind)
            for kind in KINDS
            for name, (_, call) in sides.items()
        }
        report(sides, timing.take_turns(calls, runs), len(files))


if __name__ == "__main__":
    main()
