"""`python -m diffusion COMMAND`, see `diffusion.commands`."""

import functools
import sys

from timbre import cli

main = functools.partial(cli.run, "diffusion")

if __name__ == "__main__":
    sys.exit(main())
