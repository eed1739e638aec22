"""`python -m flows COMMAND`, see `flows.commands`."""

import sys

from timbre import cli


def main(arguments=None):
    """Runs one command; returns its exit status."""
    return cli.run("flows", arguments)


if __name__ == "__main__":
    sys.exit(main())
