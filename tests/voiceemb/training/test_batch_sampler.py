import numpy as np
import pytest

from voiceemb.training.batch_sampler import BatchSampler, dataset

SPEAKER = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 3])  # the last has one record only
LENGTH = np.array([50, 60, 20, 40, 90, 30, 30, 45, 80, 70])


class Memory:
    """Records held in memory, each frame numbered so that crops can be checked."""

    speaker, length, shape = SPEAKER, LENGTH, (2,)

    def crops(self, i, start, length):
        at = (start[..., None] + np.arange(length)) % LENGTH[i][..., None]
        frames = (1000 * i[..., None] + at).astype("float32")
        return np.stack([frames, -frames], axis=-1)


@pytest.fixture
def draw():
    return BatchSampler(SPEAKER, LENGTH, crop=32, seed=7)


def test_the_same_step_draws_the_same_rows_and_another_step_others(draw):
    again = BatchSampler(SPEAKER, LENGTH, crop=32, seed=7)
    for one, two in [
        (draw.triplets(3, batch=8), again.triplets(3, batch=8)),
        (draw.classes(3, batch=8), again.classes(3, batch=8)),
        (
            draw.groups(3, speakers=2, utterances=3),
            again.groups(3, speakers=2, utterances=3),
        ),
    ]:
        np.testing.assert_array_equal(one, two)
    assert (draw.triplets(3, batch=8)[0] != draw.triplets(4, batch=8)[0]).any()
    other = BatchSampler(SPEAKER, LENGTH, crop=32, seed=8)
    assert (draw.triplets(3, batch=8)[0] != other.triplets(3, batch=8)[0]).any()


def test_triplets_are_valid_and_meet_every_record(draw):
    record = np.concatenate([draw.triplets(s, batch=16)[0] for s in range(60)])
    anchor, positive, negative = record.T
    assert (SPEAKER[anchor] == SPEAKER[positive]).all() and (anchor != positive).all()
    assert (SPEAKER[anchor] != SPEAKER[negative]).all()
    assert set(np.unique(record)) == set(range(9))  # all but the lonely record


def test_an_epoch_of_classes_meets_every_record_once(draw):
    record = np.concatenate([draw.classes(s, batch=4)[0] for s in range(5)])
    for epoch in np.split(record, 2):  # 5 batches of 4 are 2 epochs of 10
        assert sorted(epoch) == list(range(10))


def test_groups_hold_distinct_speakers_with_distinct_utterances(draw):
    for step in range(20):
        record, _ = draw.groups(step, speakers=3, utterances=2)
        speakers = SPEAKER[record]
        assert (speakers == speakers[:, :1]).all()
        assert len(set(speakers[:, 0])) == 3
        assert (record[:, 0] != record[:, 1]).all()


def test_few_speakers_and_few_utterances_still_fill_a_batch(draw):
    record, start = draw.groups(0, speakers=50, utterances=5)
    assert record.shape == start.shape == (3, 5)
    for row in record:
        assert set(row) == set(draw.rows[SPEAKER[row[0]]]) or len(set(row)) == 4


def test_crops_start_inside_their_record(draw):
    starts = [draw.classes(s, batch=10) for s in range(100)]
    for record, start in starts:
        assert (start >= 0).all()
        assert (start <= np.maximum(LENGTH[record] - 32, 0)).all()
    assert max(start.max() for _, start in starts) == 90 - 32  # the last one is met


def test_data_from_a_later_step_is_the_later_part_of_the_data(draw):
    def batches(step):
        data = dataset(
            lambda s, crop: draw.triplets(s, batch=4, crop=crop),
            Memory(),
            crop=32,
            step=step,
            steps=6,
        )
        return [(x.numpy(), y.numpy()) for x, y in data]

    whole, rest = batches(0), batches(4)
    assert len(whole) == 6 and len(rest) == 2
    assert whole[0][0].shape == (4, 3, 32, 2) and whole[0][1].shape == (4, 3)
    for (x, y), (x_again, y_again) in zip(whole[4:], rest, strict=True):
        np.testing.assert_array_equal(x, x_again)
        np.testing.assert_array_equal(y, y_again)
    x, y = whole[0]
    np.testing.assert_array_equal(SPEAKER[(x[..., 0, 0] // 1000).astype(int)], y)


def test_preparation_gets_the_seed_of_its_step(draw):
    data = dataset(
        lambda s, crop: draw.triplets(s, batch=1, crop=crop),
        Memory(),
        crop=32,
        step=2,
        steps=4,
        transform=lambda crops, seed: seed,
        seed=9,
    )
    assert [x.numpy().tolist() for x, _ in data] == [[9, 2], [9, 3]]


def test_too_few_speakers_are_an_error_that_counts_them():
    with pytest.raises(ValueError, match="2 speakers, of whom 1 have two"):
        BatchSampler([0, 0, 1], [9, 9, 9], crop=4)


def test_balanced_speakers_come_equally_often_however_much_they_say():
    speaker = np.repeat([0, 1, 2], [2, 10, 88])
    draw = BatchSampler(speaker, np.full(100, 50), crop=32, balance="speakers")
    record = np.concatenate([draw.classes(s, batch=60)[0] for s in range(50)])
    share = np.bincount(speaker[record]) / len(record)
    np.testing.assert_allclose(share, 1 / 3, atol=0.04)
    assert set(record) == set(range(100))


def test_balanced_corpora_come_equally_often_however_many_speakers_they_have():
    speaker = np.repeat(np.arange(12), 3)
    corpus = np.where(speaker < 2, "small", "large")
    draw = BatchSampler(
        speaker, np.full(36, 50), crop=32, corpus=corpus, balance="corpora"
    )
    record = np.concatenate([draw.classes(s, batch=60)[0] for s in range(50)])
    assert np.isclose((corpus[record] == "small").mean(), 0.5, atol=0.04)
    for step in range(20):
        record, _ = draw.groups(step, speakers=4, utterances=2)
        assert (corpus[record[:, 0]] == "small").sum() == 2
        assert len(set(speaker[record[:, 0]])) == 4
        record, _ = draw.groups(step, speakers=9, utterances=2)
        assert (corpus[record[:, 0]] == "small").sum() == 2  # all there are
    first = [draw.groups(s, speakers=1, utterances=2)[0][0, 0] for s in range(60)]
    assert 15 < (corpus[first] == "small").sum() < 45  # neither comes first


def test_a_balance_nobody_knows_is_refused():
    with pytest.raises(ValueError, match="must be one of"):
        BatchSampler(SPEAKER, LENGTH, crop=4, balance="women")


def test_crops_of_several_lengths_are_sampled_one_for_each_batch(draw):
    def lengths(step):
        data = dataset(
            lambda s, crop: draw.classes(s, batch=4, crop=crop),
            Memory(),
            crop=[10, 20, 40],
            step=step,
            steps=40,
        )
        assert data.element_spec[0].shape.as_list() == [4, None, 2]
        return [x.shape[1] for x, _ in data]

    whole = lengths(0)
    assert set(whole) == {10, 20, 40}
    assert lengths(30) == whole[30:]  # a function of the step alone


def test_a_longer_crop_starts_where_it_still_fits(draw):
    starts = [draw.classes(s, batch=10, crop=60) for s in range(50)]
    for record, start in starts:
        assert (start <= np.maximum(LENGTH[record] - 60, 0)).all()
    assert max(start.max() for _, start in starts) == 90 - 60
