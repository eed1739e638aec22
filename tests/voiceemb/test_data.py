import itertools
from pathlib import Path

import numpy as np
import pytest

from audio import wave
from corpora.corpus import Corpus, Utterance
from voiceemb import data, encoders
from voiceemb.encoder import unit


def paper_corpus(speakers, each):
    """Rows without files, as dividing needs no sound."""
    return Corpus(
        "paper",
        tuple(
            Utterance(Path(f"/x/{s}/{i}.wav"), f"s{s:02}")
            for s, i in itertools.product(range(speakers), range(each))
        ),
    )


def divide(corpus, **changes):
    settings = {"validation": 4, "test": 5, "closed_share": 0.2, **changes}
    return data.divide(corpus, **settings)


def test_parts_share_no_speaker_and_no_utterance():
    corpus = paper_corpus(30, 10)
    parts = divide(corpus)
    assert parts.protocol == "open-set"
    assert len(parts.validation.speakers) == 4 and len(parts.test.speakers) == 5
    open_sets = [set(p.speakers) for p in (parts.train, parts.validation, parts.test)]
    assert not any(a & b for a, b in itertools.combinations(open_sets, 2))
    assert set(parts.closed.speakers) == set(parts.train.speakers)
    whole = [u for p in (*parts_of(parts),) for u in p]
    assert sorted(u.path for u in whole) == sorted(u.path for u in corpus)
    assert len(parts.closed) == 21 * 2


def parts_of(parts):
    return (parts.train, parts.validation, parts.test, parts.closed)


def test_the_same_seed_divides_the_same_way_and_another_another():
    corpus = paper_corpus(30, 4)
    assert divide(corpus).test.speakers == divide(corpus).test.speakers
    assert divide(corpus).test.speakers != divide(corpus, seed=1).test.speakers


def test_a_small_corpus_spares_a_fifth_of_its_speakers_at_most():
    parts = divide(paper_corpus(12, 5), validation=16, test=20)
    assert [len(p.speakers) for p in parts_of(parts)[:3]] == [8, 2, 2]


def test_a_tiny_corpus_is_judged_by_utterances_and_says_so():
    parts = divide(paper_corpus(3, 6))
    assert parts.protocol == "closed-set" and parts.test is None
    assert len(parts.train.speakers) == 3
    assert parts.validation.utterances == parts.closed.utterances
    assert not set(parts.train.utterances) & set(parts.closed.utterances)


def test_two_speakers_with_two_utterances_train_without_any_judge():
    parts = divide(paper_corpus(2, 2))
    assert len(parts.train) == 4
    assert parts.validation is parts.closed is parts.test is None
    assert parts.speakers() == {"train": ["s00", "s01"]}


def test_excluded_speakers_are_in_no_part_even_when_joined():
    corpus = paper_corpus(15, 4)
    joined = Corpus(
        "joined", tuple(Utterance(u.path, f"set/{u.speaker}") for u in corpus)
    )
    for whole in (corpus, joined):
        parts = divide(whole, exclude=("s03", "s07"))
        named = {data.bare(n) for p in parts_of(parts) for n in p.speakers}
        assert named == {f"s{i:02}" for i in range(15)} - {"s03", "s07"}


def test_a_speaker_to_exclude_whom_nobody_knows_is_an_error():
    with pytest.raises(ValueError, match="must speak .* s99"):
        divide(paper_corpus(15, 4), exclude=("s01", "s99"))


@pytest.mark.parametrize("samples", [100, 1600, 31_999, 32_000, 32_001, 50_123])
def test_energies_in_blocks_are_those_of_the_whole(samples, encoder, rng):
    x = rng.normal(size=samples).astype("float32")
    whole = encoder.features(x[None])[0]
    found = data.in_blocks(encoder.features, encoder.filterbank, x, frames=50)
    np.testing.assert_allclose(found, whole, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("speakers, each", [(1, 9), (9, 1)])
def test_one_speaker_or_one_utterance_each_is_an_error(speakers, each):
    with pytest.raises(ValueError, match="at least 2 speakers"):
        divide(paper_corpus(speakers, each))


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """Two speakers of different pitch, three utterances each."""
    folder, rng = tmp_path_factory.mktemp("spoken"), np.random.default_rng(0)
    rows = []
    for speaker, pitch_hz in (("low", 110), ("high", 230)):
        for i in range(3):
            time = np.arange(8000 + 1000 * i) / 16000
            x = np.sign(np.sin(2 * np.pi * pitch_hz * time)) * 0.1
            x = (x + rng.normal(scale=0.01, size=len(x))).astype("float32")
            path = folder / f"{speaker}{i}.wav"
            wave.write(path, x, sample_rate=16000)
            rows.append(Utterance(path, speaker))
    return Corpus("spoken", tuple(rows))


@pytest.fixture(scope="module")
def encoder():
    return encoders.build(stages=(4,), num_blocks=1, embedding_dim=8)


def test_a_cache_holds_the_energies_of_the_encoder(spoken, encoder, tmp_path):
    records = data.cached(spoken, tmp_path, encoder)
    for i, utterance in enumerate(spoken):
        expected = encoder.features(wave.read(utterance.path)[None])[0]
        np.testing.assert_allclose(records.read(i), expected, rtol=1e-5)
    waveforms = data.cached(spoken, tmp_path, encoder, waveforms=True)
    assert waveforms.shape == () and waveforms.length[0] == 8000
    assert len(list(tmp_path.iterdir())) == 2  # side by side, not one over the other
    again = data.cached(spoken, tmp_path, encoder)
    assert again.folder == records.folder


def test_another_filterbank_gets_another_cache(spoken, encoder, tmp_path):
    other = encoders.build(
        stages=(4,), num_blocks=1, front_end={"num_bands": 40, "fft_size": 1024}
    )
    data.cached(spoken, tmp_path, encoder)
    assert data.cached(spoken, tmp_path, other).shape == (40,)
    assert len(list(tmp_path.iterdir())) == 2


def test_cached_records_embed_as_their_windows_do(spoken, encoder, tmp_path):
    cache, window = data.cached(spoken, tmp_path, encoder), 20
    found = data.embed_records(encoder, cache, window=window, at_once=4)
    for i in range(len(cache)):
        features, room = cache.read(i), int(cache.length[i]) - window
        rows = np.stack([features[s : s + window] for s in (0, room // 2, room)])
        expected = unit(np.sum(encoder(rows), axis=0))
        np.testing.assert_allclose(found[i], expected, atol=1e-5)


def test_augmented_batches_are_features_of_augmented_waveforms(
    spoken, encoder, tmp_path
):
    parts = data.Parts(spoken, None, None, None, "closed-set")

    def data_of(augment):
        voices = data.Data(
            parts, encoder, cache=tmp_path, crop_frames=20, augment=augment
        )
        batches = voices.batches(lambda s: voices.draw.triplets(s, batch=2), steps=1)
        (features, _) = next(iter(batches(0)))
        return features.numpy()

    plain = data_of(lambda waveform, seed: waveform)
    louder = data_of(lambda waveform, seed: 2 * waveform)
    assert plain.shape == (2, 3, 20, 64)
    np.testing.assert_allclose(louder, 4 * plain, rtol=1e-4)  # energies, not logs


def test_no_validation_means_no_judge(spoken, encoder, tmp_path):
    parts = data.Parts(spoken, None, None, None, "closed-set")
    voices = data.Data(parts, encoder, cache=tmp_path, crop_frames=20)
    assert voices.judge(encoder) is None
    parts = data.Parts(spoken, spoken, None, spoken, "closed-set")
    voices = data.Data(parts, encoder, cache=tmp_path, crop_frames=20)
    assert 0 <= voices.judge(encoder)()["eer"] <= 1
