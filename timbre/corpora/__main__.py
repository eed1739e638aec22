"""`python -m timbre.corpora COMMAND`, see `timbre.corpora.commands`."""

import sys

from timbre import cli


def main(arguments=None):
    """Runs one command; returns its exit status."""
    return cli.run("timbre.corpora", arguments)


if __name__ == "__main__":
    sys.exit(main())
