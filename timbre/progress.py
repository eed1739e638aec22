"""Progress bars of long work, on stderr: a bar on a terminal, lines in a log."""

import os
import sys
import threading
from typing import IO, Any

from tqdm import tqdm

LOG_INTERVAL_S = 15.0  # between two lines of a log


class ProgressBar(tqdm):
    """A `tqdm` that can also live in a log; to be used in a `with` statement.

    `update(1)` counts, from any thread; `set_postfix(loss=0.5, refresh=False)` shows
    numbers until newer ones come.

    Args:
        title: What is being done.
        total: Where it ends, None if unknown.
        initial: Where it begins, and pace counts from. Defaults to `0`.
        enabled: Whether anything is written. Defaults to `True`.
        **options: Of `tqdm`, as `unit="B", unit_scale=True`.
    """

    monitor_interval = 0  # no thread of its own: every update looks at the clock

    def __init__(
        self,
        title: str,
        total: float | None,
        *,
        initial: float = 0,
        enabled: bool = True,
        **options: Any,
    ):
        options = {"miniters": 1} | options
        if _is_terminal(sys.stderr):
            options |= {"file": sys.stderr, "dynamic_ncols": True}
        else:
            options |= {"file": _Log(), "mininterval": LOG_INTERVAL_S, "ascii": True}
        super().__init__(
            desc=title, total=total, initial=initial, disable=not enabled, **options
        )

    def note(self, text: str) -> None:
        """Write a line that stays."""
        if not self.disable:
            self.write(text, file=sys.stderr)


ProgressBar.set_lock(threading.RLock())  # of this process only


def _is_terminal(stream: IO[str]) -> bool:
    """Whether a stream is a terminal that has a size; some have none."""
    try:
        return stream.isatty() and min(os.get_terminal_size(stream.fileno())) > 0
    except (AttributeError, OSError):
        return False


class _Log:
    """Writes what `tqdm` draws over its last line as a line of its own."""

    def __init__(self):
        self.stream = sys.stderr

    def write(self, text: str) -> None:
        text = text.strip()
        if text:
            self.stream.write(f"{text}\n")

    def flush(self) -> None:
        self.stream.flush()
