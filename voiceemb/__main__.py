"""`python -m voiceemb COMMAND`, see `voiceemb.commands`."""

import functools
import sys

from timbre import cli

main = functools.partial(cli.run, "voiceemb")

if __name__ == "__main__":
    sys.exit(main())
