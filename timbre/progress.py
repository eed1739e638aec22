"""Progress of long work, on stderr: a bar on a terminal, lines in a log.

A leaf, as `files` is: it imports the standard library and `tqdm` only, and every
package may import it.
"""

import os
import sys
import threading

from tqdm import tqdm

EVERY_S = 15.0  # between two lines of a log


class Bar(tqdm):
    """A `tqdm` that can also live in a log; to be used in a `with` statement.

    `update(1)` counts, from any thread; `set_postfix(loss=0.5, refresh=False)` shows
    numbers until newer ones come.

    Args:
        title: What is being done.
        total: Where it ends, `None` if unknown.
        done: Where it begins, after a resume; pace counts from there. Defaults to `0`.
        shown: Whether anything is written. Defaults to `True`.
        **options: Of `tqdm`, as `unit="B", unit_scale=True`.
    """

    monitor_interval = 0  # no thread of its own: every update looks at the clock

    def __init__(self, title, total, *, done=0, shown=True, **options):
        options = {"miniters": 1} | options
        if _has_screen(sys.stderr):
            options |= {"file": sys.stderr, "dynamic_ncols": True}
        else:
            options |= {"file": _Log(), "mininterval": EVERY_S, "ascii": True}
        super().__init__(
            desc=title, total=total, initial=done, disable=not shown, **options
        )

    def note(self, text):
        """Write a line that stays."""
        if not self.disable:
            self.write(text, file=sys.stderr)


Bar.set_lock(threading.RLock())  # of this process only


def _has_screen(stream):
    """Whether a stream is a terminal that has a size; some of machines have none."""
    try:
        return stream.isatty() and min(os.get_terminal_size(stream.fileno())) > 0
    except (AttributeError, OSError):
        return False


class _Log:
    """Writes what `tqdm` draws over its last line as a line of its own."""

    def __init__(self):
        self.stream = sys.stderr

    def write(self, text):
        text = text.strip()
        if text:
            self.stream.write(f"{text}\n")

    def flush(self):
        self.stream.flush()
