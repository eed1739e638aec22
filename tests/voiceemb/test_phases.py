from types import SimpleNamespace

import pytest

from voiceemb import phases


def replicas(count):
    return SimpleNamespace(num_replicas_in_sync=count)


def draw_of(speakers):
    return SimpleNamespace(names=list(range(speakers)))


@pytest.mark.parametrize(
    "asked, there, count, expected", [(16, 99, 1, 16), (16, 99, 3, 15), (16, 5, 2, 4)]
)
def test_replicas_share_the_speakers_of_a_batch_evenly(asked, there, count, expected):
    found = phases._speakers_of_a_batch(asked, draw_of(there), replicas(count))
    assert found == expected


def test_a_replica_with_one_speaker_would_learn_nothing():
    with pytest.raises(ValueError, match="at least two speakers.* 3 speakers"):
        phases._speakers_of_a_batch(16, draw_of(3), replicas(2))


def test_batches_of_unequal_replicas_are_refused():
    phases._check_even("softmax.batch", 64, replicas(2))
    with pytest.raises(ValueError, match="`softmax.batch` must be a multiple .* 3"):
        phases._check_even("softmax.batch", 64, replicas(3))
