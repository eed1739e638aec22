"""Speed perturbation as speaker augmentation: each speed of a speaker is a new class.

Resampling a recording to another speed moves pitch and formants together, as a shorter
or longer vocal tract would: the encoder has more speakers to separate.

Reference:
    Speaker augmentation and bandwidth extension for deep speaker embedding
    (Yamamoto et al., 2019), https://doi.org/10.21437/Interspeech.2019-1508
"""

import numpy as np

from timbre.audio import wave
from voiceemb.config import check_speeds

RATE = 16000  # only the ratio of rates counts


class SpeedPerturbedRecords:
    """Cached waveforms at several speeds; each speed of a speaker is a speaker.

    Record `i` of the cache is record `i * len(speeds) + j` here at `speeds[j]`, and so
    for speakers. Crops are resampled as they are read; nothing more is stored.

    Args:
        records: A `timbre.corpora.cache.records.Records` of waveforms.
        speeds: Ratios of speed, each between 0.5 and 2 and given once.

    Attributes:
        num, speakers, speaker, length, shape: As those of `Records`.
    """

    def __init__(self, records, speeds):
        speeds = tuple(map(float, speeds))
        check_speeds(speeds)
        if records.shape != ():
            raise ValueError(
                "Only waveforms can be resampled to other speeds. Received: cached "
                f"features of shape {records.shape}"
            )
        self.records, self.speeds, self.shape = records, speeds, ()
        count = np.arange(len(speeds))
        self.num = len(records.speaker) * len(speeds)
        self.speakers = tuple(
            name if speed == 1 else f"{name} x{speed:g}"
            for name in records.speakers
            for speed in speeds
        )
        rows = records.speaker[:, None] * len(speeds) + count
        self.speaker = rows.ravel().astype(np.int32)
        lengths = records.length[:, None] / np.array(speeds)
        self.length = np.maximum(lengths.ravel().astype(np.int32), 1)

    def __len__(self):
        return self.num

    def crops(self, i, start, length):
        """Crops of one length, as `Records.crops` gives them."""
        crops = np.empty((i.size, length), np.float32)
        rows = zip(i.ravel().tolist(), start.ravel().tolist(), strict=True)
        for row, (which, first) in zip(crops, rows, strict=True):
            sound = self._resampled(which, first, length)
            row[:] = sound[np.arange(length) % len(sound)]
        return crops.reshape(*i.shape, length)

    def _resampled(self, which, first, length):
        """At most `length` samples of a record from `first` on, at its speed."""
        record, speed = divmod(which, len(self.speeds))
        speed = self.speeds[speed]
        total = int(self.records.length[record])
        begin = min(int(first * speed), total - 1)
        taken = min(int(np.ceil(length * speed)), total - begin)
        sound = self.records.crop(record, begin, taken)
        if speed != 1:
            rate = round(RATE * speed)
            sound = wave.resample(sound, from_rate=rate, to_rate=RATE)
        return sound[:length]
