"""Speaking styles: the same voice in another mood, from recordings in one.

Who speaks up, is bored or angry remains who they are, but most corpora know each reader
in one mood only, and an encoder that learns from them takes the mood for the voice.
Here an utterance is taken apart by WORLD into pitch, spectral envelope and
aperiodicity; each is changed as vocal effort changes it; and it is put together again.
Effort moves all at once: pitch and its range rise, the spectrum gets flatter, the first
formant higher, the pace another. What tells voices apart, the length of the vocal tract
as the upper formants show it, stays.

Reference:
    WORLD: a vocoder-based high-quality speech synthesis system (Morise et al., 2016),
    https://doi.org/10.1587/transinf.2015EDP7457
"""

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from timbre.audio import wave
from timbre.corpora import manifest
from timbre.corpora.corpus import Corpus, Utterance
from timbre.files import making
from timbre.progress import Bar

RECIPE = 1  # raised whenever the same order would give other sounds
SAMPLE_RATE = 16000
F0_LIMITS_HZ = (60.0, 600.0)
HINGE_HZ = 500.0  # the tilt of the spectrum leaves what is below it alone
FORMANT_HZ = (1000.0, 2200.0)  # first formants move in full below, not at all above
LEAST_VOICED = 20  # frames of 5 ms; with fewer there is no melody to change
PEAK = 0.99


@dataclass(frozen=True)
class Style:
    """How an utterance is said another time.

    Args:
        f0_ratio: Ratio of the mean pitch to what it was.
        f0_range: Ratio of the melody's excursions, in octaves, to what they were.
        tilt_db: Slope added to the spectrum above 500 Hz, in dB an octave.
        formant: Ratio of the first formant to what it was.
        breath: Exponent of the aperiodicity; below 1 is breathier.
        pace: Ratio of the speed to what it was, at the same pitch.
    """

    f0_ratio: float = 1.0
    f0_range: float = 1.0
    tilt_db: float = 0.0
    formant: float = 1.0
    breath: float = 1.0
    pace: float = 1.0


def draw(rng) -> Style:
    """A style of random effort: from weary (-1.3) over neutral (0) to shouted (2).

    Args:
        rng: A `numpy.random.Generator`.
    """
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


def retell(waveform, styles, *, sample_rate=SAMPLE_RATE):
    """Say an utterance again, once in each style.

    Args:
        waveform: Float `[samples]`.
        styles: `Style`s.
        sample_rate: In Hz. Defaults to `16000`.

    Returns:
        Float32 waveforms, each `[samples / pace]` up to 5 ms, as loud on the whole as
        the utterance was, unless that would clip; none if it is hardly voiced.

    Raises:
        ImportError: If `pyworld` is not installed.
    """
    world = _world()
    x = np.asarray(waveform, np.float64)
    f0, times = world.dio(x, sample_rate)
    f0 = world.stonemask(x, f0, times, sample_rate)
    if (f0 > 0).sum() < LEAST_VOICED:
        return []
    envelope = world.cheaptrick(x, f0, times, sample_rate)
    aperiodicity = world.d4c(x, f0, times, sample_rate)
    level = np.sqrt(np.mean(x**2))
    told = []
    for style in styles:
        parts = _changed(f0, envelope, aperiodicity, style, sample_rate)
        y = world.synthesize(*map(np.ascontiguousarray, parts), sample_rate)
        y *= level / max(np.sqrt(np.mean(y**2)), 1e-12)
        told.append((y * min(1.0, PEAK / np.abs(y).max())).astype(np.float32))
    return told


def render(
    corpus: Corpus,
    folder: str | os.PathLike,
    *,
    count: int = 6,
    seed: int = 0,
    threads: int | None = None,
    progress: bool = True,
) -> Corpus:
    """A corpus together with each of its utterances in other styles.

    Everything about an utterance follows from `seed` and its name in the corpus. The
    folder is rendered beside its place and renamed when complete, so a folder that is
    there is whole, and is only read when the same is asked for again.

    Args:
        corpus: What to retell.
        folder: Where to: `manifest.csv`, which names the recordings where they are,
            and the retold ones in folders of speakers. It must not exist or hold this
            very rendering.
        count: Styles of each utterance, at least 1. Defaults to `6`.
        seed: Which styles. Defaults to `0`.
        threads: Threads that render. Defaults to the number of cores, at most 8.
        progress: Show progress on standard error. Defaults to `True`.

    Returns:
        The corpus; retold rows say their style in `extra`, and in the column `retold`
        the name of what they retell. What can not be read, or is hardly voiced, is
        not retold.

    Raises:
        ValueError: The folder holds something else.
        ImportError: `pyworld` is not installed, and needed.
    """
    if count < 1:
        raise ValueError(f"`count` must be at least 1. Received: {count}")
    folder = Path(folder).resolve()
    order = {
        "recipe": RECIPE,
        "corpus": corpus.digest(),
        "count": count,
        "seed": seed,
    }
    if not _is_rendered(folder, order):
        _world()
        _render(corpus, folder, order, threads or min(os.cpu_count() or 1, 8), progress)
    return manifest.read(folder / "manifest.csv", name=corpus.name)


def _world():
    try:
        import pyworld
    except ImportError as error:
        raise ImportError("Speaking styles need WORLD: pip install pyworld") from error
    return pyworld


def _changed(f0, envelope, aperiodicity, style, sample_rate):
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


def _render(corpus, folder, order, threads, progress):
    place = {speaker: f"s{row:05d}" for row, speaker in enumerate(corpus.speakers)}
    jobs = list(zip(range(len(corpus)), corpus.keys(), corpus, strict=True))

    def tell(row):
        try:
            return _tell(partial, place, *row, order)
        finally:
            bar.update()

    with (
        making(folder) as partial,
        Bar("styles", len(jobs), shown=progress, unit=" utterances") as bar,
        ThreadPoolExecutor(threads) as pool,
    ):
        try:
            told = [row for rows in pool.map(tell, jobs) for row in rows]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        manifest.write(partial / "manifest.csv", [*corpus, *told])
        about = json.dumps(order, indent=1)
        (partial / "about.json").write_text(about + "\n", encoding="utf-8")


def _tell(folder, place, number, key, utterance, order):
    """Writes one utterance in all its styles; returns their rows."""
    try:
        waveform = utterance.read(sample_rate=SAMPLE_RATE)
    except (wave.AudioError, OSError):
        return []  # who caches or evaluates the corpus will say so
    digest = hashlib.sha256(f"{order['seed']} {key}".encode()).digest()
    rng = np.random.default_rng(list(digest))
    styles = [draw(rng) for _ in range(order["count"])]
    rows, where = [], folder / place[utterance.speaker]
    where.mkdir(exist_ok=True)
    for i, (style, sound) in enumerate(
        zip(styles, retell(waveform, styles), strict=False)
    ):
        path = where / f"u{number:06d}-{i}.flac"
        wave.write(path, sound, sample_rate=SAMPLE_RATE)
        numbers = {name: f"{value:.4g}" for name, value in asdict(style).items()}
        extra = utterance.extra | {"retold": key} | numbers
        rows.append(
            Utterance(path, utterance.speaker, text=utterance.text, extra=extra)
        )
    return rows


def _is_rendered(folder, order):
    """Whether the folder holds this rendering; an error if it holds anything else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    try:
        found = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if found != order:
        raise ValueError(
            "Styles are rendered into a folder of their own, which holds this very "
            f"rendering or nothing. Received: {folder} for {order}"
        )
    return True
