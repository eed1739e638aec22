"""Commands of `python -m voiceemb`."""
