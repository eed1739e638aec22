"""Trains a diffusion model: the same as `python -m diffusion train`.

    python train_diffusion.py speakers --preset smoke

The first word names the system.
"""

import sys

from timbre.training import script


def main(arguments=None):
    """Trains the system that is named first; returns the run folder."""
    arguments = sys.argv[1:] if arguments is None else arguments
    system, *rest = arguments or [""]
    if system == "speakers":
        return script.run("diffusion.speakers", rest)
    if system in ("-h", "--help"):
        return print(f"usage: train_diffusion.py speakers [options]\n\n{__doc__}")
    sys.exit(f"error: name what to train: speakers. Received: {system!r}")


if __name__ == "__main__":
    main()
