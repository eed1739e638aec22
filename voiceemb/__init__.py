"""Who speaks: encoders that map a voice to a point on a sphere.

`voiceemb.Encoder` is the door for users; it is imported only when asked for, so
that `import voiceemb` and every `--help` stay instant.
"""


def __getattr__(name):
    if name == "Encoder":
        from voiceemb.encoder import Encoder

        return Encoder
    raise AttributeError(f"module 'voiceemb' has no attribute {name!r}")
