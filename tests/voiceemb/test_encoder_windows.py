"""Windows of one waveform through the encoder: the same as each of them alone."""

import numpy as np
import pytest

from voiceemb import Encoder
from voiceemb.networks import speaker_encoder

WINDOW = 8000


@pytest.fixture(scope="module")
def encoder():
    model = speaker_encoder.build(stages=(4, 8), num_blocks=1, embedding_dim=8)
    return Encoder.from_model(model, window=WINDOW)


@pytest.mark.parametrize("length", [None, 1600, 5000])
def test_windows_are_what_each_is_alone_in_whatever_order(encoder, rng, length):
    waveform = rng.normal(scale=0.1, size=40_000).astype("float32")
    starts, seen = rng.integers(0, 32_000, 40), []
    together = encoder.embed_windows(
        waveform, starts, length=length, progress=seen.append
    )
    for start, point in zip(starts[::9], together[::9], strict=True):
        alone = encoder.embed_utterance(waveform[start : start + (length or WINDOW)])
        np.testing.assert_allclose(point, alone, atol=1e-5)
    assert seen == [32, 40] and together.dtype == np.float32
    assert encoder.embed_windows(waveform, []).shape == (0, 8)


def test_windows_that_can_not_be_cut_are_refused(encoder, rng):
    waveform = rng.normal(size=10_000).astype("float32")
    for starts in ([-1], [2001], [0, 9999]):
        with pytest.raises(ValueError, match="must lie in the waveform"):
            encoder.embed_windows(waveform, starts)
    with pytest.raises(ValueError, match=r"starts \[windows\]"):
        encoder.embed_windows(waveform[None], [0])
    for sound, starts in ((waveform.astype("int16"), [0]), (waveform, [0.9])):
        with pytest.raises(ValueError, match="float waveform .* at int starts"):
            encoder.embed_windows(sound, starts)
    with pytest.raises(ValueError, match="0.1 s"):
        encoder.embed_windows(waveform, [0], length=100)
    waveform[5000] = np.nan
    with pytest.raises(ValueError, match="finite"):
        encoder.embed_windows(waveform, [0])
