"""A diffusion model of speakers with nothing but `compile`, `fit` and a sampler.

    python examples/03_generate_speakers.py

The model is trained on synthetic speaker embeddings for a few seconds. Its embeddings
are then compared with those of unseen speakers, beside a Gaussian of the mean and
covariance of the training embeddings.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import keras

from diffusion.speakers import model
from diffusion.speakers.generator import SpeakerGenerator
from timbre.corpora.synthetic import embeddings
from timbre.metrics import generation

NUM_TRAIN, NUM_HELD_OUT = 1200, 200


def main():
    """Prints the distances of three sets of embeddings to real ones."""
    keras.utils.set_random_seed(0)
    everyone = embeddings.sample_speakers(NUM_TRAIN + 2 * NUM_HELD_OUT).embeddings
    train, held_out = everyone[:NUM_TRAIN], everyone[NUM_TRAIN:-NUM_HELD_OUT]

    speakers = model.create(dim=64, network={"width": 128, "num_blocks": 2}, unit=True)
    speakers.scaler.fit(train)
    speakers.compile(optimizer=keras.optimizers.Adam(2e-3, clipnorm=1.0))
    speakers.fit(train, batch_size=100, epochs=40, verbose=0)

    sets = {
        "generated": SpeakerGenerator(speakers).generate(NUM_HELD_OUT, seed=1),
        "unseen real": everyone[-NUM_HELD_OUT:],
        "Gaussian": generation.sample_gaussian(train, NUM_HELD_OUT),
    }
    rows = {
        name: generation.compare(held_out, fake, train, permutations=20)
        for name, fake in sets.items()
    }
    print(generation.table(rows))


if __name__ == "__main__":
    main()
