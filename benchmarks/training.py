"""How fast is training when features come from a cache, next to a generator?

Both sides train the encoder of the preset `tiny` by the same random triplets, 32 of
them or 96 crops of 160 frames in a batch, drawn by the same seed:

* ours: features are cached once, `voiceemb.data` reads the crops from the cache and
  `timbre.training.loop.fit` takes the steps;
* the originals' way: a Python generator reads the same crops from the sound files,
  computes their features by `python_speech_features` for every batch, and Keras
  `fit` takes the steps.

They run in turns, in one process. The first steps, which compile, count on neither
side. Each side also trains on one batch that stays in memory: the share of a step's
time that this saves is what input costs, that is waiting for it and sharing the
processors with it.

NumPy's own threads only get in the way of `python_speech_features`, so the generator
is given its best case, one of them; `--blas-threads 0` leaves NumPy as it comes.

    python benchmarks/training.py
    python benchmarks/training.py --blas-threads 0
    python benchmarks/training.py --quick
    python benchmarks/training.py --corpus my_recordings   # 16 kHz, one channel
"""

import argparse
import dataclasses
import functools
import itertools
import os
import sys
import tempfile
import time
from pathlib import Path

import timing

CROP = 160  # frames
TRIPLETS = 32
WARM = 5  # steps that do not count: they compile, and empty what was fetched ahead
ROW = "{:<22}{:>8.2f}{:>9.0f}{:>8.0f} |{:>14.0f}{:>8.0f}{:>7.0%} |{:>22.1f}"


class Stopwatch:
    """Wall and processor seconds of the steps after the first `WARM`."""

    def __init__(self, steps):
        self.steps, self.times = steps, []

    def __call__(self, step, logs):
        """Note the time, once the step's loss has arrived."""
        if step in (WARM, WARM + self.steps):
            float(logs["loss"])
            self.times.append((time.perf_counter(), time.process_time()))

    def per_step(self):
        """Wall and processor seconds of one step."""
        return [(b - a) / self.steps for a, b in zip(*self.times, strict=True)]


class Side:
    """A trainer of its own; both sides start from the same weights."""

    def __init__(self, encoder):
        import keras

        from timbre.training import optimisers
        from timbre.training.config import OptimiserConfig
        from voiceemb.networks import speaker_encoder
        from voiceemb.training.trainers import TripletTrainer

        keras.utils.set_random_seed(0)
        self.encoder = speaker_encoder.build(**encoder)
        self.trainer = TripletTrainer(self.encoder, "random")
        optimiser = optimisers.build(OptimiserConfig(final_rate=0.0), steps=1000)
        # By default Keras lets XLA compile `fit`, which is slower on a processor.
        self.trainer.compile(optimizer=optimiser, jit_compile=False)


class Ours(Side):
    """Crops of cached features, and the steps of `timbre.training.loop`."""

    def __init__(self, encoder, corpus, folder):
        from timbre.training.run import Run
        from voiceemb import data
        from voiceemb.config import SpeakerEncoderConfig
        from voiceemb.training.splits import SpeakerSplits

        super().__init__(encoder)
        splits = SpeakerSplits(corpus, None, None, None, "closed-set")
        start = time.perf_counter()
        filterbank = self.encoder.filterbank
        cache = data.open_cache(corpus, folder / "cache", filterbank)
        config = SpeakerEncoderConfig(crop_frames=CROP)
        self.data = data.EncoderData(config, splits, corpus, cache, filterbank)
        self.caching = time.perf_counter() - start
        self.run = Run.open(folder / "run", {})
        self.draw = functools.partial(self.data.sampler.triplets, batch=TRIPLETS)
        self.phases = itertools.count()

    def input(self):
        """The batches, fetched ahead by `tf.data`."""
        return self.data.batches(self.draw, sys.maxsize)(0).as_numpy_iterator()

    def time(self, steps, *, in_memory):
        """Seconds per step, wall and processor."""
        import tensorflow as tf

        from timbre.training import loop
        from timbre.training.config import LoopConfig

        batches = self.data.batches(self.draw, WARM + steps)
        if in_memory:
            batch = next(self.input())

            def batches(step):
                return tf.data.Dataset.from_tensors(batch).repeat()

        watch = Stopwatch(steps)
        loop.fit(
            self.trainer,
            batches,
            run=self.run,
            phase=f"phase{next(self.phases)}",
            steps=WARM + steps,
            measure=self.trainer.measure,
            watch=watch,
            config=LoopConfig(log_every=WARM, validate_every=500, save_every=500),
        )
        return watch.per_step()


class Generator(Side):
    """Features made for every batch in a Python generator, and Keras `fit`."""

    def __init__(self, encoder, corpus, records, draw):
        from voiceemb.inference import crop_samples

        super().__init__(encoder)
        self.records, self.draw = records, draw
        self.utterances = [corpus.utterances[row] for row in records.row]
        self.samples = crop_samples(self.encoder.filterbank, CROP)

    def input(self):
        """The generator of batches."""
        import numpy as np

        for step in itertools.count():
            record, start = self.draw(step)
            rows = zip(record.ravel().tolist(), start.ravel().tolist(), strict=True)
            crops = np.stack([self.features(i, frame) for i, frame in rows])
            speaker = self.records.speaker[record]
            yield crops.reshape(*record.shape, *crops.shape[1:]), speaker

    def features(self, i, frame):
        """Filterbank energies of one crop, float32 `[CROP, bands]`."""
        import numpy as np
        import python_speech_features
        import soundfile

        utterance, bank = self.utterances[i], self.encoder.filterbank
        first = round((utterance.start or 0) * bank.sample_rate) + frame * bank.hop
        waveform, rate = soundfile.read(utterance.path, self.samples, first)
        if rate != bank.sample_rate or waveform.ndim != 1:
            sys.exit(
                f"This comparison needs one channel at {bank.sample_rate} Hz. "
                f"Received: {utterance.path}, {rate} Hz, shape {waveform.shape}"
            )
        energies, _ = python_speech_features.fbank(waveform, rate, nfilt=bank.num_bands)
        frames = np.arange(CROP) % min(CROP, int(self.records.length[i]))
        return energies[frames].astype(np.float32)

    def time(self, steps, *, in_memory):
        """Seconds per step, wall and processor."""
        import keras

        watch = Stopwatch(steps)
        callback = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: watch(batch + 1, logs)
        )
        batches = self.input()
        if in_memory:
            batches = (batch for batch in itertools.repeat(next(batches)))
        options = {"shuffle": False, "callbacks": [callback], "verbose": 0}
        self.trainer.fit(batches, steps_per_epoch=WARM + steps, **options)
        return watch.per_step()


def seconds_per_batch(side, batches):
    """Processor seconds in which a side makes one batch and does nothing else."""
    feed = side.input()
    for _ in itertools.islice(feed, WARM):
        pass
    start = time.process_time()
    for _ in itertools.islice(feed, batches):
        pass
    return (time.process_time() - start) / batches


def difference(sides):
    """Largest difference of the first batch's features, as the network sees them.

    The first frame of a crop is left out: pre-emphasis there knows the sample before
    it if the whole recording was transformed, and does not if the crop was.
    """

    def features(side):
        rows, _ = next(side.input())
        return side.encoder.normalisation(rows.reshape(-1, *rows.shape[-2:])).numpy()

    ours, theirs = map(features, sides)
    return abs(ours - theirs)[:, 1:].max()


def report(sides, runs):
    """Print a row for each side, and the median of the ratios of each repeat."""
    columns = "steps/s", "ms/step", "CPU ms", "in memory: ms", "CPU ms", "input"
    print("\n" + timing.heading(ROW, "", *columns, "a batch alone, CPU ms"))
    for name, side in sides.items():
        wall, cpu = timing.medians(runs[name, False])
        kept, kept_cpu = timing.medians(runs[name, True])
        figures = 1 / wall, 1e3 * wall, 1e3 * cpu, 1e3 * kept, 1e3 * kept_cpu
        alone = 1e3 * seconds_per_batch(side, 4 * WARM)
        print(ROW.format(name, *figures, 1 - kept / wall, alone))
    wall, cpu = timing.ratios(*(runs[name, False] for name in sides))
    print(f"ours is {wall:.2f} x as fast and needs {1 / cpu:.2f} x the CPU time")


def main():
    """Prepare the corpus, measure both sides and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", help="folder or manifest; default: synthetic")
    parser.add_argument("--steps", type=int, default=20, help="that count (20)")
    parser.add_argument("--repeats", type=int, default=3, help="of each side (3)")
    parser.add_argument("--blas-threads", type=int, default=1, help="of NumPy (1)")
    parser.add_argument("--quick", action="store_true", help="5 steps, once")
    options = parser.parse_args()
    steps, repeats = (5, 1) if options.quick else (options.steps, options.repeats)
    if options.blas_threads:  # before NumPy is imported
        timing.limit_blas(options.blas_threads)

    from timbre.corpora import folders
    from timbre.corpora.synthetic.render import render
    from voiceemb.presets import PRESETS

    encoder = dataclasses.asdict(PRESETS["tiny"].encoder)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        if options.corpus:
            corpus = folders.open_corpus(options.corpus)
        else:
            corpus = render(folder / "voices", num_speakers=16, utterances=6)
        ours = Ours(encoder, corpus, folder)
        theirs = Generator(encoder, corpus, ours.data.train, ours.draw)
        print(
            f"{len(corpus)} utterances of {len(corpus.speakers)} speakers, cached once "
            f"in {ours.caching:.1f} s; {ours.encoder.count_params():,} parameters; "
            f"{os.cpu_count()} processors\n"
            f"the first batch of both differs by {difference([ours, theirs]):.1e}"
        )
        sides = {"ours": ours, "generator + Keras fit": theirs}
        runs = {
            (name, in_memory): functools.partial(side.time, steps, in_memory=in_memory)
            for in_memory in (False, True)
            for name, side in sides.items()
        }
        report(sides, timing.take_turns(runs, repeats, warm_up=0))


if __name__ == "__main__":
    main()
