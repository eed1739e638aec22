"""`python -m diffusion COMMAND`, see `diffusion.commands`."""

import sys

from timbre import cli


def main(arguments=None):
    """Runs one command; returns its exit status."""
    return cli.run("diffusion", arguments)


if __name__ == "__main__":
    sys.exit(main())
