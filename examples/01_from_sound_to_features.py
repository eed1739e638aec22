"""From sound to what a network hears, without a recording of your own.

    python examples/01_from_sound_to_features.py [features.png]

Renders one synthetic voice, turns its waveform into energies and normalised features
inside the graph, and draws all three.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from timbre import plotting
from timbre.audio import wave
from timbre.audio.figures import utterance_figure
from timbre.audio.filterbank import Filterbank
from timbre.audio.normalisation import FeatureNormalisation
from timbre.corpora.synthetic.render import render


def main(picture="features.png"):
    """Prints shapes along the way and draws the picture."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = render(f"{folder}/voices", num_speakers=1, utterances=1)
        utterance = corpus.utterances[0]
        waveform = wave.read(utterance.path)  # float32 [samples] at 16 kHz

    energies = Filterbank()(waveform[None])  # [1, frames, 64]
    features = FeatureNormalisation(log=True, norm="frame")(energies)
    print(f"{len(waveform)} samples -> {features.shape[1]} frames of 64 bands")
    figure = utterance_figure(waveform, features[0].numpy(), title=utterance.text)
    print(plotting.save(figure, picture))


if __name__ == "__main__":
    main(*sys.argv[1:])
