"""New voices with nothing but `compile`, `fit` and a sampler.

    python examples/03_voices_out_of_noise.py

A diffusion over made-up speaker embeddings learns for a few seconds. Its voices then
stand beside real ones that nobody has learned from, and beside a Gaussian of the right
mean and covariance, which knows nothing else.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import keras

from diffusion.speakers import model
from diffusion.speakers.generator import SpeakerGenerator
from timbre.corpora.synthetic import embeddings
from timbre.metrics import generation

SPEAKERS, HELD = 1200, 200


def main():
    """Prints the distances of three sets of voices to real ones."""
    keras.utils.set_random_seed(0)
    everyone = embeddings.sample_speakers(SPEAKERS + 2 * HELD).embeddings
    train, held = everyone[:SPEAKERS], everyone[SPEAKERS:-HELD]

    made = model.create(dim=64, network={"width": 128, "num_blocks": 2}, unit=True)
    made.scaler.fit(train)
    made.compile(optimizer=keras.optimizers.Adam(2e-3, clipnorm=1.0))
    made.fit(train, batch_size=100, epochs=40, verbose=0)

    voices = SpeakerGenerator(made)
    rows = {
        "new voices": voices.generate(HELD, seed=1),
        "unseen real": everyone[-HELD:],
        "Gaussian": generation.sample_gaussian(train, HELD),
    }
    settings = {"permutations": 20}
    print(
        generation.table(
            {
                name: generation.compare(held, row, train, **settings)
                for name, row in rows.items()
            }
        )
    )


if __name__ == "__main__":
    main()
