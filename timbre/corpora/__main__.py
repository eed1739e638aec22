"""`python -m timbre.corpora COMMAND`, see `timbre.corpora.commands`."""

import functools
import sys

from timbre import cli

main = functools.partial(cli.run, "timbre.corpora")

if __name__ == "__main__":
    sys.exit(main())
