"""Trains voice activity detection: the same as `python -m voiceemb train-vad`."""

from timbre.training import script


def main(arguments=None):
    """Trains as the command line says; returns the run folder."""
    return script.run("voiceemb.vad", arguments)


if __name__ == "__main__":
    main()
