"""Style augmentation: recordings resynthesised with another vocal effort, by WORLD.

Most corpora hold each speaker in one style, and an encoder trained on them confuses
style with identity. Here the WORLD vocoder analyses an utterance into pitch, spectral
envelope and aperiodicity; they are changed as vocal effort changes them (louder or
softer, excited or tired speech), all at once: mean and range of the pitch rise, the
spectrum gets flatter, the first formant higher, the pace different. The length of the
vocal tract, as the upper formants show it, stays, and with it the identity.

Reference:
    WORLD: a vocoder-based high-quality speech synthesis system (Morise et al., 2016),
    https://doi.org/10.1587/transinf.2015EDP7457
"""

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from timbre.audio import wave
from timbre.corpora import manifest
from timbre.corpora.corpus import Corpus, Utterance
from timbre.files import atomic_folder
from timbre.progress import ProgressBar

RECIPE = 1  # raised whenever the same arguments would give other sounds
SAMPLE_RATE = 16000
F0_LIMITS_HZ = (60.0, 600.0)
HINGE_HZ = 500.0  # the tilt changes the spectrum above it only
FORMANT_HZ = (1000.0, 2200.0)  # formants are shifted in full below, not above
MIN_VOICED = 20  # frames of 5 ms; with fewer there is no pitch to change
PEAK = 0.99


@dataclass(frozen=True)
class Style:
    """Changes of an utterance by vocal effort; the defaults change nothing.

    Args:
        f0_ratio, f0_range: Ratios of mean pitch and of its range, in octaves.
        tilt_db: Slope added to the spectrum above 500 Hz, in dB an octave.
        formant: Ratio of the first formant.
        breath: Exponent of the aperiodicity; below 1 is breathier.
        pace: Ratio of the speed, at the same pitch.
    """

    f0_ratio: float = 1.0
    f0_range: float = 1.0
    tilt_db: float = 0.0
    formant: float = 1.0
    breath: float = 1.0
    pace: float = 1.0


def sample_style(rng: np.random.Generator) -> Style:
    """Sample a style of random effort: tired (-1.3), neutral (0) or shouted (2)."""
    effort = rng.uniform(-1.3, 2.0)
    f0, melody, tilt, formant, breath, pace = rng.normal(size=6)
    hurry = 0.1 * effort * rng.choice([-1, 1])  # some are slow when excited
    return Style(
        f0_ratio=float(np.exp(0.2 * effort + 0.08 * f0)),
        f0_range=float(np.exp(0.3 * effort + 0.2 * melody)),
        tilt_db=float(2.0 * effort + 1.2 * tilt),
        formant=float(1 + 0.05 * effort + 0.03 * formant),
        breath=float(np.exp(0.3 * breath)),
        pace=float(np.exp(hurry + 0.12 * pace)),
    )


def apply_styles(
    waveform: np.ndarray, styles: Sequence[Style], *, sample_rate: int = SAMPLE_RATE
) -> list[np.ndarray]:
    """Resynthesise an utterance once in each style.

    Args:
        waveform: Float `[samples]`.
        styles: The styles.
        sample_rate: In Hz. Defaults to `16000`.

    Returns:
        Float32 waveforms, each `[samples / pace]` up to 5 ms, of the same root mean
        square unless that would clip; none if fewer than 20 frames are voiced.
    """
    world = _world()
    x = np.asarray(waveform, np.float64)
    f0, times = world.dio(x, sample_rate)
    f0 = world.stonemask(x, f0, times, sample_rate)
    if (f0 > 0).sum() < MIN_VOICED:
        return []
    envelope = world.cheaptrick(x, f0, times, sample_rate)
    aperiodicity = world.d4c(x, f0, times, sample_rate)
    level = np.sqrt(np.mean(x**2))
    results = []
    for style in styles:
        parts = _change(f0, envelope, aperiodicity, style, sample_rate)
        y = world.synthesize(*map(np.ascontiguousarray, parts), sample_rate)
        y *= level / max(np.sqrt(np.mean(y**2)), 1e-12)
        results.append((y * min(1.0, PEAK / np.abs(y).max())).astype(np.float32))
    return results


def augment(
    corpus: Corpus,
    folder: str | os.PathLike,
    *,
    count: int = 6,
    seed: int = 0,
    threads: int | None = None,
    progress: bool = True,
) -> Corpus:
    """Augment a corpus by each of its utterances in other styles.

    The styles of an utterance follow from `seed` and its name in the corpus. The folder
    appears when it is complete; a second call of the same arguments only reads it.

    Args:
        corpus: The corpus.
        folder: Where `manifest.csv` goes, which names the recordings where they are,
            and the resynthesised ones, in folders of speakers. It must not exist or
            hold this very result.
        count: Styles of each utterance, at least 1. Defaults to `6`.
        seed: Another seed gives other styles. Defaults to `0`.
        threads: Threads that synthesise. Defaults to the number of cores, at most 8.
        progress: Show progress on standard error. Defaults to `True`.

    Returns:
        The augmented corpus. `extra` of an added row has the fields of its style, and
        in the column `retold` the name of the utterance it was made from. Utterances
        that can not be read, or are hardly voiced, get no rows.

    Raises:
        ValueError: The folder holds something else.
        ImportError: `pyworld` is needed and not installed.
    """
    if count < 1:
        raise ValueError(f"`count` must be at least 1. Received: {count}")
    folder = Path(folder).resolve()
    order = {"recipe": RECIPE, "corpus": corpus.digest(), "count": count, "seed": seed}
    if not manifest.is_rendered(folder, order):
        _world()
        _write(corpus, folder, order, threads or min(os.cpu_count() or 1, 8), progress)
    return manifest.read(folder / "manifest.csv", name=corpus.name)


def _world() -> Any:
    try:
        import pyworld
    except ImportError as error:
        reason = "Style augmentation needs WORLD: pip install pyworld"
        raise ImportError(reason) from error
    return pyworld


def _change(f0, envelope, aperiodicity, style, sample_rate):
    """Pitch `[frames]`, envelope and aperiodicity `[frames, bins]` in a style."""
    voiced = f0 > 0
    octaves = np.log(f0, where=voiced, out=np.zeros_like(f0))
    mean = octaves[voiced].mean()
    octaves = mean + np.log(style.f0_ratio) + (octaves - mean) * style.f0_range
    f0 = np.where(voiced, np.clip(np.exp(octaves), *F0_LIMITS_HZ), 0.0)

    bins = envelope.shape[1]
    hz = np.linspace(0, sample_rate / 2, bins)
    low, high = FORMANT_HZ
    share = np.clip((high - hz) / (high - low), 0, 1)
    source = np.clip(hz / (1 + (style.formant - 1) * share), 0, sample_rate / 2)
    at = source / (sample_rate / 2) * (bins - 1)
    left = np.minimum(at.astype(int), bins - 2)
    weight = at - left
    logs = np.log(envelope)
    logs = logs[:, left] * (1 - weight) + logs[:, left + 1] * weight
    tilt = style.tilt_db * np.log2(np.maximum(hz, HINGE_HZ) / HINGE_HZ)
    envelope = np.exp(logs) * 10 ** (tilt / 10)  # a power spectrum

    aperiodicity = np.clip(aperiodicity**style.breath, 1e-4, 1.0)
    frames = np.arange(int(len(f0) / style.pace)) * style.pace
    frames = np.minimum(frames.round().astype(int), len(f0) - 1)
    return f0[frames], envelope[frames], aperiodicity[frames]


def _write(corpus, folder, order, threads, progress):
    place = {speaker: f"s{row:05d}" for row, speaker in enumerate(corpus.speakers)}
    jobs = list(zip(range(len(corpus)), corpus.keys(), corpus, strict=True))

    def work(job):
        try:
            number, key, utterance = job
            return _augment_one(partial, place, number, key, utterance, order)
        finally:
            bar.update()

    with (
        atomic_folder(folder) as partial,
        ProgressBar("styles", len(jobs), enabled=progress, unit=" utterances") as bar,
        ThreadPoolExecutor(threads) as pool,
    ):
        try:
            added = [row for rows in pool.map(work, jobs) for row in rows]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        manifest.write(partial / "manifest.csv", [*corpus, *added])
        about = json.dumps(order, indent=1)
        (partial / "about.json").write_text(about + "\n", encoding="utf-8")


def _augment_one(folder, place, number, key, utterance, order):
    """Write one utterance in all its styles; returns their rows."""
    try:
        waveform = utterance.read(sample_rate=SAMPLE_RATE)
    except (wave.AudioError, OSError):
        return []  # reported when the corpus is cached or evaluated
    digest = hashlib.sha256(f"{order['seed']} {key}".encode()).digest()
    rng = np.random.default_rng(list(digest))
    styles = [sample_style(rng) for _ in range(order["count"])]
    rows, speaker = [], utterance.speaker
    where = folder / place[speaker]
    where.mkdir(exist_ok=True)
    sounds = apply_styles(waveform, styles)
    for i, (style, sound) in enumerate(zip(styles, sounds, strict=False)):
        path = where / f"u{number:06d}-{i}.flac"
        wave.write(path, sound, sample_rate=SAMPLE_RATE)
        numbers = {name: f"{value:.4g}" for name, value in asdict(style).items()}
        extra = utterance.extra | {"retold": key} | numbers
        rows.append(Utterance(path, speaker, text=utterance.text, extra=extra))
    return rows
