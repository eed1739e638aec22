"""Trains the encoder that comes with the package, an ensemble of three networks.

    python train_small.py --corpus librispeech_many --exclude-speakers 19 26

All options are those of `train_triplet.py`.
"""

from voiceemb import train_ensemble


def main(arguments=None):
    """Trains the members and fuses them; returns the folder of the ensemble."""
    return train_ensemble.run(arguments)


if __name__ == "__main__":
    main()
