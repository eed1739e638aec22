import numpy as np

from voiceemb.evaluation.mfcc_baseline import cepstral_statistics, standardise


def test_statistics_are_twenty_means_then_twenty_deviations(rng):
    x = rng.normal(scale=0.1, size=16000).astype("float32")
    statistics = cepstral_statistics(x)
    assert statistics.shape == (40,) and (statistics[20:] > 0).all()


def test_silence_between_words_does_not_count(rng):
    """The quieter 30 % of frames are left out, so the mean level hardly moves."""
    loud = rng.normal(scale=0.1, size=16000).astype("float32")
    quiet = rng.normal(scale=1e-4, size=4000).astype("float32")
    alone, both = cepstral_statistics(loud), cepstral_statistics(np.r_[loud, quiet])
    assert np.abs(alone[0] - both[0]) < 0.1
    assert np.abs(alone[0] - cepstral_statistics(quiet)[0]) > 5


def test_another_rate_is_described_by_frames_of_the_same_length(rng, caplog):
    """25 ms at 48 kHz are 1,200 samples: more points, no frame cut short."""
    x = rng.normal(scale=0.1, size=48000).astype("float32")
    assert cepstral_statistics(x, sample_rate=48000).shape == (40,)
    assert not caplog.records


def test_standardised_columns_have_zero_mean_and_unit_deviation(rng):
    x = standardise(rng.normal(3, 7, (50, 40)))
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(x.std(axis=0), 1, atol=1e-9)
    assert (standardise(np.ones((5, 2))) == 0).all()
