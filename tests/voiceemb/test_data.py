import dataclasses
import functools

import numpy as np
import pytest

from timbre.audio import wave
from timbre.corpora.corpus import Corpus, Utterance
from voiceemb import data
from voiceemb.config import AugmentationConfig, SpeakerEncoderConfig
from voiceemb.encoder import unit
from voiceemb.networks import speaker_encoder
from voiceemb.training import augmentation, validation
from voiceemb.training.splits import SpeakerSplits


@pytest.mark.parametrize("samples", [100, 1600, 31_999, 32_000, 32_001, 50_123])
def test_energies_in_blocks_are_those_of_the_whole(samples, encoder, rng):
    x = rng.normal(size=samples).astype("float32")
    whole = encoder.features(x[None])[0]
    found = data.in_blocks(encoder.features, encoder.filterbank, x, frames=50)
    np.testing.assert_allclose(found, whole, rtol=1e-5, atol=1e-9)


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
    return speaker_encoder.build(stages=(4,), num_blocks=1, embedding_dim=8)


def test_a_cache_holds_the_energies_of_the_encoder(spoken, encoder, tmp_path):
    records = data.open_cache(spoken, tmp_path, encoder.filterbank)
    for i, utterance in enumerate(spoken):
        expected = encoder.features(wave.read(utterance.path)[None])[0]
        np.testing.assert_allclose(records.read(i), expected, rtol=1e-5)
    waveforms = data.open_cache(spoken, tmp_path, encoder.filterbank, waveforms=True)
    assert waveforms.shape == () and waveforms.length[0] == 8000
    assert len(list(tmp_path.iterdir())) == 2  # side by side, not one over the other
    again = data.open_cache(spoken, tmp_path, encoder.filterbank)
    assert again.folder == records.folder


def test_another_filterbank_gets_another_cache(spoken, encoder, tmp_path):
    other = speaker_encoder.build(
        stages=(4,), num_blocks=1, front_end={"num_bands": 40, "fft_size": 1024}
    )
    data.open_cache(spoken, tmp_path, encoder.filterbank)
    assert data.open_cache(spoken, tmp_path, other.filterbank).shape == (40,)
    assert len(list(tmp_path.iterdir())) == 2


def test_cached_records_embed_as_their_windows_do(spoken, encoder, tmp_path):
    cache, window = data.open_cache(spoken, tmp_path, encoder.filterbank), 20
    found = validation.embed_records(encoder, cache, window=window)
    for i in range(len(cache)):
        features, room = cache.read(i), int(cache.length[i]) - window
        rows = np.stack([features[s : s + window] for s in (0, room // 2, room)])
        expected = unit(np.sum(encoder(rows), axis=0))
        np.testing.assert_allclose(found[i], expected, atol=1e-5)


@pytest.fixture
def parts(spoken):
    return SpeakerSplits(spoken, spoken, None, spoken, "closed-set")


def prepared(splits, corpus, cache, encoder, augment=None, **augmentation):
    config = SpeakerEncoderConfig(
        crop_frames=20, augmentation=AugmentationConfig(**augmentation)
    )
    filterbank = encoder.filterbank
    return data.EncoderData(config, splits, corpus, cache, filterbank, augment)


def first_batch(parts, cache, encoder, **options):
    voices = prepared(parts, parts.train, cache, encoder, **options)
    sample = functools.partial(voices.sampler.triplets, batch=2)
    batches = voices.batches(sample, steps=1)
    return next(iter(batches(0)))[0].numpy()


def test_augmented_batches_are_features_of_augmented_waveforms(
    parts, encoder, tmp_path
):
    cache = data.open_cache(parts.train, tmp_path, encoder.filterbank, waveforms=True)
    plain = first_batch(parts, cache, encoder, augment=lambda x, seed: x)
    louder = first_batch(parts, cache, encoder, augment=lambda x, seed: 2 * x)
    assert plain.shape == (2, 3, 20, 64)
    np.testing.assert_allclose(louder, 4 * plain, rtol=1e-4)  # energies, not logs


def test_masks_hide_stripes_behind_the_level_of_the_frame(parts, encoder, tmp_path):
    cache = data.open_cache(parts.train, tmp_path, encoder.filterbank)
    plain = first_batch(parts, cache, encoder)
    masked = first_batch(parts, cache, encoder, num_masks=2)
    level = np.exp(np.log(plain).mean(axis=-1, keepdims=True))
    hidden = masked != plain
    assert 0.02 < hidden.mean() < 0.9
    np.testing.assert_allclose(
        masked[hidden], np.broadcast_to(level, plain.shape)[hidden], rtol=1e-4
    )


def test_features_can_not_be_augmented(parts, encoder, tmp_path):
    cache = data.open_cache(parts.train, tmp_path, encoder.filterbank)
    with pytest.raises(ValueError, match="Only waveforms can be augmented"):
        first_batch(parts, cache, encoder, augment=lambda x, seed: x)


@pytest.mark.parametrize("waveforms", [False, True])
def test_features_and_waveforms_have_one_validation_eer(
    parts, encoder, tmp_path, waveforms
):
    cache = data.open_cache(
        parts.train, tmp_path, encoder.filterbank, waveforms=waveforms
    )
    voices = prepared(parts, parts.train, cache, encoder)
    assert 0 <= voices.validate(encoder)()["eer"] <= 1
    embeddings = validation.embed_records(
        lambda x: encoder(encoder.features(x) if waveforms else x),
        voices.validation,
        window=voices.crop,
    )
    assert embeddings.shape == (6, 8)


def test_each_speed_makes_of_a_speaker_another_class(parts, encoder, tmp_path):
    cache = data.open_cache(parts.train, tmp_path, encoder.filterbank, waveforms=True)
    voices = prepared(parts, parts.train, cache, encoder, speeds=(1.0, 0.9))
    assert voices.num_classes == 4 and len(parts.train.speakers) == 2
    sample = functools.partial(voices.sampler.classes, batch=6)
    (x, y), *_ = voices.batches(sample, 1)(0)
    assert x.shape == (6, 20, 64) and 0 <= y.numpy().min() <= y.numpy().max() < 4
    assert voices.validation.speakers == parts.validation.speakers  # as they are


def test_crop_lengths_and_those_of_a_phase_are_in_frames(parts, encoder, tmp_path):
    cache = data.open_cache(parts.train, tmp_path, encoder.filterbank, waveforms=True)
    config = SpeakerEncoderConfig(crop_frames=20, crop_lengths=(15, 30))
    voices = data.EncoderData(config, parts, parts.train, cache, encoder.filterbank)
    draw = functools.partial(voices.sampler.classes, batch=2)
    assert {x.shape[1] for x, _ in voices.batches(draw, 30)(0)} == {15, 30}
    assert {x.shape[1] for x, _ in voices.batches(draw, 4, crop_frames=40)(0)} == {40}


def test_two_corpora_have_trials_within_each_only(parts, encoder, tmp_path):
    """The same recordings under two names: the mean is that of each."""
    rows = [
        dataclasses.replace(u, speaker=f"{name}/{u.speaker}", path=copied)
        for name in ("one", "two")
        for u in parts.train
        if (copied := tmp_path / f"{name}-{u.path.name}").write_bytes(
            u.path.read_bytes()
        )
    ]
    corpus = Corpus("both", tuple(rows))
    cache = data.open_cache(corpus, tmp_path / "cache", encoder.filterbank)
    both = SpeakerSplits(corpus, corpus, None, None, "open-set")
    voices = prepared(both, corpus, cache, encoder)
    found = voices.validate(encoder)()
    assert set(found) == {"eer", "eer_one", "eer_two"}
    assert found["eer_one"] == found["eer_two"] == found["eer"]


def test_without_validation_speakers_there_is_no_eer(spoken, encoder, tmp_path):
    parts = SpeakerSplits(spoken, None, None, None, "closed-set")
    cache = data.open_cache(spoken, tmp_path, encoder.filterbank)
    voices = prepared(parts, spoken, cache, encoder)
    assert voices.validate(encoder) is None


def test_noises_are_read_from_a_folder(spoken, tmp_path):
    with pytest.raises(ValueError, match="`noises` must be a folder of recordings"):
        augmentation.build_augmenter(noises=str(tmp_path), noise_probability=1.0)
    folder = str(spoken.utterances[0].path.parent)
    augment = augmentation.build_augmenter(noises=folder, noise_probability=1.0)
    silence = np.full((2, 4000), 1e-3, "float32")
    assert np.abs(augment(silence, seed=[0, 1]) - silence).max() > 0


def test_unreadable_utterances_are_in_no_part(spoken, encoder, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_text("no sound")
    whole = Corpus("whole", (Utterance(bad, "low"), *spoken.utterances))
    cache = data.open_cache(whole, tmp_path / "cache", encoder.filterbank)
    assert cache.row.tolist() == list(range(1, len(whole)))


def test_preparing_splits_what_can_be_read_and_augments_on_request(spoken, tmp_path):
    bad = tmp_path / "bad.csv"
    rows = [f"{u.path},{u.speaker}" for u in spoken] + [f"{tmp_path / 'no.wav'},low"]
    bad.write_text("\n".join(["path,speaker", *rows]) + "\n")
    (tmp_path / "no.wav").write_text("no sound")
    for enabled in (False, True):
        config = SpeakerEncoderConfig(
            corpus=(str(bad),),
            cache=str(tmp_path / "cache"),
            validation_speakers=4,
            test_speakers=4,
            closed_set_share=0.2,
            crop_frames=20,
            augmentation=AugmentationConfig(
                enabled=enabled, num_masks=1, noise_probability=1.0
            ),
        )
        voices = data.prepare(config)
        assert len(voices.splits.train) == 6 and voices.waveforms == enabled
        batches = voices.batches(functools.partial(voices.sampler.triplets, batch=2), 1)
        features, _ = next(iter(batches(0)))
        assert features.shape == (2, 3, 20, 64)
