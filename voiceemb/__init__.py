"""Speaker embeddings: encoders, verification, identification, diarization.

`voiceemb.Encoder` is the entry point; it is imported lazily, so that `import voiceemb`
and every `--help` are instant.
"""


def __getattr__(name):
    if name == "Encoder":
        from voiceemb.encoder import Encoder

        return Encoder
    raise AttributeError(f"module 'voiceemb' has no attribute {name!r}")
