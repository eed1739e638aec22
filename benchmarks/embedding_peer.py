"""The peer of `embedding.py`: Resemblyzer, for a Python that has it."""

import sys

import librosa
import torch
from resemblyzer import VoiceEncoder, preprocess_wav
from timing import seconds_of, serve

torch.set_num_threads(1)
encoder = VoiceEncoder("cpu", verbose=False)
files = sys.argv[1:]
waveforms = [librosa.load(file, sr=None)[0] for file in files]
runs = {
    "files": lambda: [encoder.embed_utterance(preprocess_wav(f)) for f in files],
    "waveforms": lambda: [encoder.embed_utterance(w) for w in waveforms],
}
parameters = sum(p.numel() for p in encoder.parameters())
serve(
    [parameters, encoder.linear.out_features], lambda kind: seconds_of(runs[kind])[1:]
)
