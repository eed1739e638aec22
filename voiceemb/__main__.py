"""`python -m voiceemb COMMAND`, see `voiceemb.commands`."""

import sys

from timbre import cli


def main(arguments=None):
    """Runs one command; returns its exit status."""
    return cli.run("voiceemb", arguments)


if __name__ == "__main__":
    sys.exit(main())
