"""The cosine triplet loss with nothing but `compile` and `fit`.

    python examples/02_triplets_in_a_notebook.py

Every model here is an ordinary Keras model. This one learns to tell four synthetic
voices apart from one batch of speakers x utterances, by its semi-hard triplets.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import keras
import numpy as np

from timbre.audio import wave
from timbre.corpora.synthetic.render import render
from voiceemb.networks import speaker_encoder
from voiceemb.training.trainers import TripletTrainer

SPEAKERS, UTTERANCES, FRAMES = 4, 6, 160


def main():
    """Prints cosines before and after."""
    keras.utils.set_random_seed(0)
    encoder = speaker_encoder.build(stages=(8, 16), num_blocks=1, embedding_dim=32)
    with tempfile.TemporaryDirectory() as folder:
        corpus = render(
            f"{folder}/voices", num_speakers=SPEAKERS, utterances=UTTERANCES
        )
        energies = [encoder.features(wave.read(u.path)[None])[0] for u in corpus]
    crops = np.stack([e.numpy()[40 : 40 + FRAMES] for e in energies])
    batch = crops.reshape(SPEAKERS, UTTERANCES, FRAMES, 64)
    speakers = np.repeat(np.arange(SPEAKERS), UTTERANCES).reshape(SPEAKERS, -1)

    trainer = TripletTrainer(encoder, strategy="semi_hard", margin=0.2)
    trainer.compile(optimizer=keras.optimizers.Adam(3e-3))
    show("untrained", trainer, batch, speakers)
    trainer.fit(batch, speakers, batch_size=SPEAKERS, epochs=20, verbose=0)
    show("trained", trainer, batch, speakers)


def show(when, trainer, batch, speakers):
    """Prints the mean cosines of one voice and of two."""
    measured = trainer.measure(batch, speakers, trainer(batch, training=True))
    same, other = float(measured["same"]), float(measured["other"])
    print(f"{when:9}  cosine of one voice {same:.2f}, of two {other:.2f}")


if __name__ == "__main__":
    main()
