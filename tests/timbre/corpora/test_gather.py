"""A combined corpus holds each of its parts once, under names that tell them apart."""

import numpy as np
import pytest

from timbre.audio import wave
from timbre.corpora import gather
from timbre.corpora.corpus import Corpus, Utterance


@pytest.fixture
def recordings(tmp_path, rng):
    for speaker in ("a", "b"):
        for i in range(2):
            path = tmp_path / "mine" / speaker / f"{i}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            wave.write(path, rng.uniform(-0.1, 0.1, 8000).astype(np.float32))
    return tmp_path / "mine"


@pytest.fixture
def voices(monkeypatch, tmp_path):
    """Rendering is tested where it lives; here it returns at once."""
    corpus = Corpus("synthetic", (Utterance(tmp_path / "x.flac", "eve"),))
    monkeypatch.setattr(gather, "render", lambda folder: corpus)
    return {"folder": "anywhere"}


def test_recordings_alone_keep_their_names(recordings, tmp_path):
    corpus = gather.gather([recordings], cache=tmp_path)
    assert corpus.speakers == ("a", "b") and len(corpus) == 4


def test_synthetic_voices_alone_and_beside_recordings(recordings, voices, tmp_path):
    alone = gather.gather((), cache=tmp_path, synthetic=voices)
    assert alone.speakers == ("eve",)
    both = gather.gather([recordings], cache=tmp_path, synthetic=voices)
    assert both.speakers == ("mine/a", "mine/b", "synthetic/eve")


def test_recordings_are_augmented_once_and_synthetic_voices_never(
    recordings, voices, tmp_path, monkeypatch
):
    asked = []

    def augment(corpus, folder, *, count, seed):
        asked.append((corpus.name, folder.parent, count, seed))
        return corpus

    monkeypatch.setattr(gather.style_augmentation, "augment", augment)
    settings = {"cache": tmp_path, "synthetic": voices, "seed": 3}
    gather.gather([recordings], num_styles=2, **settings)
    assert asked == [("mine", tmp_path, 2, 3)]


def test_nothing_to_learn_from_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="neither"):
        gather.gather((), cache=tmp_path)
