"""Diffusion: speaker embeddings of voices that never existed, and anonymisation."""

from diffusion.speakers import commands as speakers
from timbre import cli

USES = ("speakers",)
COMMANDS = {**speakers.COMMANDS, "train": "diffusion.commands:train"}


def train(arguments, prog):
    """Train a diffusion model: `train speakers`."""
    if not arguments or arguments[0] not in USES:
        raise cli.UsageError(
            f"name what to train: {', '.join(USES)}. Received: {arguments[:1]}"
        )
    from timbre.training import script

    use, *rest = arguments
    script.run(f"diffusion.{use}", rest, program=f"{prog} {use}")
