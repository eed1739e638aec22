"""The command line of a package: `python -m <package> COMMAND`.

Each command is a function that adds its options to a parser, named as the function
that answers it. `--help` is instant: what answers is loaded after the options are read.
"""

import argparse
import sys


def run(package, about, commands, load, arguments=None):
    """Runs one command; an error that a user can mend is one line on stderr.

    Args:
        package: Name of the package.
        about: What its help says.
        commands: Dict, a function that adds a command's options to a parser, called as
            the command with an underscore before it, to what the command does.
        load: Gives, for the name of a command, the module whose function of that name
            takes the parsed options.
        arguments: Of the command line. Defaults to those of this process.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {package}", description=about)
    known = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for ask, text in commands.items():
        ask(known.add_parser(ask.__name__.strip("_"), help=text, description=text))
    options = parser.parse_args(arguments)
    try:
        getattr(load(options.command), options.command)(options)
    except (OSError, ValueError) as error:  # AudioError is a ValueError
        _end(error)
    except ImportError as error:
        if error.name is not None:  # a bug; of a missing extra only the rule is told
            raise
        _end(error)
    except KeyboardInterrupt:
        print("Interrupted; the same command starts anew.", file=sys.stderr)
        sys.exit(130)


def _end(error):
    sys.exit(f"error: {' '.join(str(error).split())}")
