"""`python -m flows COMMAND`, see `flows.commands`."""

import functools
import sys

from timbre import cli

main = functools.partial(cli.run, "flows")

if __name__ == "__main__":
    sys.exit(main())
