"""Synthetic speech corpora, rendered into a folder once and reused.

    <folder>/<speaker>/<speaker>-<number>.flac   16 kHz, one channel
    <folder>/manifest.csv    path, speaker, text, gender, variant, recording
    <folder>/segments.csv    path, start, end, phone, speaker
    <folder>/words.csv       path, start, end, word, speaker
    <folder>/about.json      the configuration, versions, speakers

The folder appears when it is complete, so a folder that is there is whole.
"""

import csv
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from timbre.corpora import manifest
from timbre.corpora.corpus import Corpus, Utterance
from timbre.corpora.synthetic import espeak, speakers
from timbre.corpora.synthetic.worker import RenderConfig
from timbre.files import atomic_folder
from timbre.progress import ProgressBar

RECIPE = 3  # raised whenever the same configuration would give another corpus
ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("espeakng-loader", "numpy", "scipy", "soundfile", "soxr")


def render(
    folder: str | os.PathLike,
    *,
    num_speakers: int = 80,
    utterances: int = 20,
    seed: int = 0,
    clean: bool = False,
    language: str = "en-us",
    texts: Sequence[str] | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> Corpus:
    """Render a corpus, or read the one that was rendered there before.

    The same arguments give the same bytes, whatever the number of workers. The first
    speakers of a larger corpus are those of a smaller one.

    Args:
        folder: Where to. It must not exist, be empty, or hold this very corpus.
        num_speakers: Number of speakers, female and male in turn. Defaults to `80`.
        utterances: Recordings of each, 2 to 4 seconds long. Defaults to `20`.
        seed: Of voices, texts and recording conditions. Defaults to `0`.
        clean: Leave out rooms, noise and microphones. Defaults to `False`.
        language: A language of eSpeak NG. Defaults to `"en-us"`.
        texts: Sentences to sample from, needed but for English and Korean.
        workers: Number of processes. Defaults to the number of cores.
        progress: Show progress on standard error. Defaults to `True`.

    Returns:
        The corpus, with columns for gender, pitch, conditions and `variant` in `extra`.
        Speakers of one variant sound alike: split by the group `variant`.

    Raises:
        ValueError: The folder holds something else.
        ImportError: The synthesiser is needed and not installed.
    """
    folder = Path(folder).resolve()
    config = RenderConfig(
        num_speakers=num_speakers,
        utterances=utterances,
        seed=seed,
        clean=clean,
        language=language,
        texts=None if texts is None else tuple(texts),
    )
    order = {"recipe": RECIPE, **json.loads(json.dumps(asdict(config)))}
    if not manifest.is_rendered(folder, order):
        espeak.load_package()
        try:
            _render(folder, config, workers or os.cpu_count() or 1, progress)
        except OSError:
            if not manifest.is_rendered(folder, order):  # by a faster process
                raise
    return manifest.read(folder / "manifest.csv")


def _render(folder, config, workers, progress):
    total = config.num_speakers * config.utterances
    bar = ProgressBar("synthetic corpus", total, enabled=progress, unit=" utterances")
    with atomic_folder(folder) as partial:
        with bar:
            rows = _run(config, partial, min(workers, config.num_speakers), bar)
        _write_tables(partial, rows)
        _write_about(partial, config, rows)


def _run(config, folder, num_workers, bar):
    """Rows of all recordings, rendered by several workers at once, in order."""
    workers = [
        _Worker(config, folder, range(config.num_speakers)[number::num_workers])
        for number in range(num_workers)
    ]
    with ThreadPoolExecutor(num_workers) as pool:
        try:
            futures = [pool.submit(worker.rows, bar) for worker in workers]
            rows = [row for future in futures for row in future.result()]
        finally:
            for worker in workers:
                worker.close()
    return sorted(rows, key=lambda row: row["path"])


class _Worker:
    """A process that renders some of the speakers."""

    def __init__(self, config, folder, speakers):
        job = {"order": asdict(config), "folder": str(folder)}
        self.job = job | {"speakers": list(speakers)}
        self.errors = tempfile.TemporaryFile()
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        self.process: Any = subprocess.Popen(
            [sys.executable, "-m", "timbre.corpora.synthetic.worker"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            encoding="utf-8",
        )

    def rows(self, bar):
        """Rows that the process writes, read as they come."""
        try:
            with self.process.stdin as pipe:
                json.dump(self.job, pipe)
        except BrokenPipeError:
            pass  # its exit status, below, tells more
        rows = []
        for line in self.process.stdout:
            rows.append(json.loads(line))
            bar.update()
        if self.process.wait():
            self.errors.seek(0)
            said = self.errors.read().decode(errors="replace").strip()
            raise espeak.SynthesisError(
                f"A rendering process ended with status {self.process.returncode}: "
                f"{said[-2000:] or 'no last words'}"
            )
        return rows

    def close(self):
        """End the process, finished or not."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()


def _write_tables(folder, rows):
    utterances = []
    for row in rows:
        extra = {name: row[name] for name in ("gender", "variant")}
        extra["f0_hz"] = f"{row['f0_hz']:.1f}"
        extra |= {name: f"{value:.4g}" for name, value in row["conditions"].items()}
        path, speaker = folder / row["path"], row["speaker"]
        utterances.append(Utterance(path, speaker, text=row["text"], extra=extra))
    manifest.write(folder / "manifest.csv", utterances)
    _write_labels(folder / "segments.csv", rows, source="phones", column="phone")
    _write_labels(folder / "words.csv", rows, source="words", column="word")


def _write_labels(path, rows, *, source, column):
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["path", "start", "end", column, "speaker"])
        for row in rows:
            for start_s, end_s, name in row[source]:
                table.writerow([row["path"], start_s, end_s, name, row["speaker"]])


def _write_about(folder, config, rows):
    about = {
        "recipe": RECIPE,
        "order": asdict(config),
        "sample_rate": speakers.SAMPLE_RATE,
        "num_utterances": len(rows),
        "duration_s": sum(row["num_samples"] for row in rows) / speakers.SAMPLE_RATE,
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "speakers": [asdict(speaker) for speaker in config.speakers()],
    }
    text = json.dumps(about, indent=1, ensure_ascii=False)
    (folder / "about.json").write_text(text, encoding="utf-8")
