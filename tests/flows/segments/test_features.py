"""Features: computed in blocks as of the whole, kept once, told by what they are."""

import numpy as np
import pytest

from flows.segments import features
from timbre.audio import wave
from timbre.corpora.corpus import Corpus, Utterance

ABOUT = {
    "source": "manifest",
    "sample_rate": 16000,
    "window": 512,
    "hop": 160,
    "bands": 20,
    "high_hz": None,
    "spectrum": "mel",
}


def test_the_front_end_is_what_the_data_says():
    layer = features.front_end(ABOUT | {"hop": 128, "spectrum": "linear"})
    found = (layer.sample_rate, layer.window, layer.hop, layer.num_bands)
    assert found == (16000, 512, 128, 20) and layer.spectrum == "linear"


def test_what_was_not_made_of_sound_has_no_front_end():
    with pytest.raises(ValueError, match="source 'embeddings'"):
        features.front_end({"source": "embeddings"})


@pytest.mark.parametrize("hop", [160, 128, 200])
@pytest.mark.parametrize("samples", [1, 159, 160, 8000, 16_001])
def test_features_in_blocks_are_those_of_the_whole(rng, samples, hop):
    about = ABOUT | {"hop": hop}
    layer = features.front_end(about)
    x = rng.normal(size=samples).astype("float32")
    found = features.compute_in_blocks(layer, x, about, frames=30)
    assert found.shape == (1 + samples // hop, 20)
    np.testing.assert_allclose(found, layer(x[None])[0], atol=1e-5)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("sounds"), np.random.default_rng(0)
    for i in range(3):
        x = rng.uniform(-0.5, 0.5, 4000 + 100 * i).astype("float32")
        wave.write(folder / f"{i}.wav", x)
    rows = [Utterance(folder / f"{i}.wav", "s") for i in range(3)]
    return Corpus("a/b", tuple(rows))


def test_a_cache_holds_the_features_and_is_made_once(corpus, tmp_path):
    records = features.open_features(corpus, tmp_path, ABOUT)
    layer = features.front_end(ABOUT)
    for i, utterance in enumerate(corpus):
        expected = layer(wave.read(utterance.path)[None])[0]
        np.testing.assert_allclose(records.read(i), expected, atol=1e-5)
    index = records.folder / "index.npz"
    written = index.stat().st_mtime_ns
    assert features.open_features(corpus, tmp_path, ABOUT).folder == records.folder
    assert index.stat().st_mtime_ns == written


def test_other_features_get_another_cache(corpus, tmp_path):
    places = {
        features.open_features(corpus, tmp_path, ABOUT | change).folder
        for change in ({}, {"hop": 128}, {"spectrum": "linear"}, {"high_hz": 4000.0})
    }
    assert len(places) == 4 and {place.parent for place in places} == {tmp_path}
