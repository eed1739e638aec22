"""Training history: one row per logged step, as CSV and TensorBoard events.

`history.csv` has the columns `phase`, `step` and one per quantity, and no clock: the
same run gives the same file. Rows are written just before a checkpoint, so that after a
kill the file holds at least the checkpoint's; a resumed phase drops those beyond it.
TensorBoard events under `events/<phase>` hold the same rows.
"""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from timbre.training.run import Run

TEXT = ("phase", "weights")  # columns that hold no number


class History:
    """The rows of one phase, among those of all phases of a run.

    Args:
        run: A `timbre.training.run.Run`.
        phase: Name of the phase that rows are added to.
        step: The step resumed from; later rows of this phase are dropped.
        write: Whether this process writes files. Defaults to `True`.
    """

    def __init__(self, run: Run, phase: str, *, step: int = 0, write: bool = True):
        self._run, self.path, self.phase = run, run.path("history.csv"), phase
        rows = read(self.path) if self.path.exists() else []
        self._all = [r for r in rows if r["phase"] != phase or r["step"] <= step]
        self._written = len(self.rows)
        self._write = write
        self._dirty = len(rows) != len(self._all)
        self._events_folder = run.folder / "events" / phase
        self._events = None

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of this phase, dicts of numbers and the `weights` of saved steps."""
        return [row for row in self._all if row["phase"] == self.phase]

    def add(self, step: int, values: Mapping[str, Any]) -> None:
        """Add values measured at a step to the row of that step."""
        last = self._all[-1] if self._all else {}
        if (last.get("phase"), last.get("step")) != (self.phase, step):
            self._all.append({"phase": self.phase, "step": step})
        self._all[-1].update(values)
        self._dirty = True

    def flush(self) -> None:
        """Write all rows: the CSV whole or not at all, then new events."""
        if not (self._write and self._dirty):
            return
        columns = list(dict.fromkeys(key for row in self._all for key in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._all)
        self._run.write_text(self.path.name, text.getvalue())
        self._write_events()
        self._dirty = False

    def _write_events(self):
        if self._events is None:
            self._events = tf.summary.create_file_writer(str(self._events_folder))
        with self._events.as_default():
            for row in self.rows[self._written :]:
                for name in row.keys() - {*TEXT, "step"}:
                    tf.summary.scalar(name, row[name], step=row["step"])
        self._events.flush()
        self._written = len(self.rows)


def read(path: str | Path) -> list[dict[str, Any]]:
    """The rows of a `history.csv`: dicts without the empty cells, numbers parsed."""
    with open(path, newline="", encoding="utf-8") as file:
        return [
            {key: _parse(key, cell) for key, cell in row.items() if cell}
            for row in csv.DictReader(file)
        ]


def _parse(key, cell):
    if key in TEXT:
        return cell
    return int(cell) if cell.lstrip("-").isdigit() else float(cell)
