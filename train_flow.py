"""Trains flows on speech: the same as `python -m flows train`."""

from timbre.training import script


def main(arguments=None):
    """Trains as the command line says; returns the run folder."""
    return script.run("flows", arguments)


if __name__ == "__main__":
    main()
